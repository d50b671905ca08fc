"""Which queue a job waits in, and how busy the machine is. Torch-free: NVML and psutil.

A queue is a device set: one job at a time on the processor, one on each GPU. Try: python -m
engine.jobs.devices
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import psutil

from engine import env
from engine.env import Gpu
from engine.schema.arg import flatten


def queue_for(command: str, args: Any, *, job_id: str, loads: Mapping[str, int] | None = None) -> str:
    """The queue of a job, from its resolved arguments. `loads`: how many jobs each queue has now.

    api: a queue of its own, so a server never waits. export: one at a time, off the GPU. Others: the
    processor, or the visible GPU with the fewest jobs.
    """
    if command == "api":
        return f"serve:{job_id}"
    if command == "export":
        return "export"
    gpus = visible_gpus()
    if not gpus or flatten(args).get("use_cpu"):
        return "cpu"
    counts = loads or {}
    return min((f"gpu:{gpu.uuid}" for gpu in gpus), key=lambda queue: counts.get(queue, 0))


def visible_gpus() -> tuple[Gpu, ...]:
    """The GPUs that an inherited CUDA_VISIBLE_DEVICES leaves us, in its order."""
    gpus = env.probe_machine().gpus
    wanted = env.cuda_visible_devices()
    if wanted is None:
        return gpus
    chosen: list[Gpu] = []
    for word in (word.strip() for word in wanted.split(",")):
        match = [gpu for gpu in gpus if word and (word == str(gpu.index) or gpu.uuid.startswith(word))]
        if not match:
            break  # As the driver does: the first word that names nothing ends the list.
        chosen.append(match[0])
    return tuple(chosen)


def meters() -> dict[str, Any]:
    """Loads of this machine: {"cpu": percent, "memory": {"used", "total"} bytes, "gpus": [...]}.

    The processor's load is measured from one call to the next; the first says 0.
    """
    memory = psutil.virtual_memory()
    return {
        "cpu": psutil.cpu_percent(interval=None),
        "memory": {"used": memory.total - memory.available, "total": memory.total},
        "gpus": _gpu_meters(),
    }


def _gpu_meters() -> list[dict[str, Any]]:
    nvml = _open_nvml()
    if nvml is None:
        return []
    found = []
    for index in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        try:
            load = int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        except nvml.NVMLError:  # A slice of a device (MIG) has memory but no load of its own.
            load = None
        found.append(
            {
                "index": index,
                "uuid": str(nvml.nvmlDeviceGetUUID(handle)),
                "name": str(nvml.nvmlDeviceGetName(handle)),
                "load": load,
                "used": int(memory.used),
                "total": int(memory.total),
            }
        )
    return found


@functools.cache
def _open_nvml() -> Any:
    """The driver's library, opened once; None where there is none."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


if __name__ == "__main__":
    print(meters())
