"""What this process stands on: versions, devices, and every environment variable the project reads.

Imports no torch: devices are read from NVML and /proc, so that the command line and the studio can ask too.
Try: tunesmith env
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine import __version__

PACKAGES = (
    "torch", "transformers", "peft", "trl", "datasets", "accelerate", "tokenizers", "gradio",
    "deepspeed", "bitsandbytes", "matplotlib", "psutil",
)  # fmt: skip


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA device. `index` is NVML's, which ignores CUDA_VISIBLE_DEVICES; `uuid` is what we store."""

    index: int
    uuid: str
    name: str
    memory_bytes: int
    compute_capability: tuple[int, int]


@dataclass(frozen=True)
class Machine:
    """What resolve needs to know of a machine. `cpu_bf16`: the processor has bfloat16 instructions."""

    cpu_count: int
    cpu_bf16: bool
    memory_bytes: int
    gpus: tuple[Gpu, ...] = ()


def probe_machine() -> Machine:
    """Read the machine, in a few milliseconds and without torch."""
    return Machine(
        cpu_count=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        cpu_bf16=_cpu_has_bf16(),
        memory_bytes=psutil.virtual_memory().total,
        gpus=_gpus(),
    )


def _cpu_has_bf16() -> bool:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    for line in text.splitlines():
        if line.startswith(("flags", "Features")):
            flags = line.split()
            return "avx512_bf16" in flags or "amx_bf16" in flags or "bf16" in flags
    return False


def _gpus() -> tuple[Gpu, ...]:
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # noqa: BLE001  NVML raises its own classes for "no driver", "no library", "no permission"
        return ()
    try:
        return tuple(_read_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount()))
    finally:
        pynvml.nvmlShutdown()


def _read_gpu(pynvml, index: int) -> Gpu:  # type: ignore[no-untyped-def]
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    return Gpu(
        index=index,
        uuid=str(pynvml.nvmlDeviceGetUUID(handle)),
        name=str(pynvml.nvmlDeviceGetName(handle)),
        memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
        compute_capability=tuple(pynvml.nvmlDeviceGetCudaComputeCapability(handle)),
    )


def versions() -> dict[str, str]:
    """Installed versions of the packages that matter in a bug report; "-" where one is absent."""
    found = {"tunesmith": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "-"
    return found


# Every environment variable we read, one function each.


def saves_dir() -> str | None:
    """TUNESMITH_SAVES: the folder of run directories and of the job database."""
    return os.environ.get("TUNESMITH_SAVES")


def job_id() -> str | None:
    """TUNESMITH_JOB_ID: set by the shim for the engine it starts."""
    return os.environ.get("TUNESMITH_JOB_ID")


def job_attempt() -> int | None:
    """TUNESMITH_JOB_ATTEMPT: 1 for the first attempt of a run; None outside a job."""
    text = os.environ.get("TUNESMITH_JOB_ATTEMPT")
    return int(text) if text else None


def job_marker() -> str | None:
    """TUNESMITH_JOB_MARKER: random, inherited by every process of a job; how leftovers are found."""
    return os.environ.get("TUNESMITH_JOB_MARKER")


def api_key() -> str | None:
    """The key a chat server asks for: the content of TUNESMITH_API_KEY_FILE, else TUNESMITH_API_KEY."""
    file = os.environ.get("TUNESMITH_API_KEY_FILE")
    if file:
        return Path(file).read_text().strip()
    return os.environ.get("TUNESMITH_API_KEY") or None


def use_modelscope_hub() -> bool:
    """USE_MODELSCOPE_HUB=1: of a dataset that is on both hubs, take ModelScope's."""
    return (os.environ.get("USE_MODELSCOPE_HUB") or "").lower() in ("1", "true", "y", "yes")


def child_environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """This process's environment with `changes` applied, for a process of ours. None removes a name."""
    environment = dict(os.environ)
    for name, value in changes.items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    return environment


def wait_without_spinning() -> None:
    """Let idle compute threads sleep, unless OMP_WAIT_POLICY says otherwise. Call before torch is imported.

    By default they spin until the next operation. Where anything else wants a core (the studio, a browser, a
    second job) the spinning threads hold up the one that works: a training run with a busy neighbour was 250
    times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def cuda_visible_devices() -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def process_rank() -> int:
    """RANK: which of a run's processes this is, over all nodes; 0 where there is one."""
    return int(os.environ.get("RANK") or 0)


def local_rank() -> int:
    """LOCAL_RANK: which of this node's processes this is."""
    return int(os.environ.get("LOCAL_RANK") or 0)


def world_size() -> int:
    """WORLD_SIZE: how many processes a run has."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def one_thread_for_tokenizers() -> None:
    """For a process beside others that tokenise: the tokenizer's own threads would only be in their way."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def colour_wanted() -> bool:
    """NO_COLOR is not set and TERM is not dumb. Whether the output is a terminal is another question."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
