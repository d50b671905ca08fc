"""What the whole-product tests share: data to train on, waiting for a condition, looking at runs."""

from __future__ import annotations

import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.events import read_events
from engine.jobs import client, process

REPO = Path(__file__).resolve().parents[2]


def write_dataset(folder: Path, *, rows: int = 48, words: int = 12, seed: int = 0) -> None:
    """A learnable alpaca set named `toy`, of uneven lengths, in `folder`/data."""
    rng = random.Random(seed)
    made = []
    for number in range(rows):
        length = rng.randint(1, words)
        made.append(
            {"instruction": f"say {'la ' * length}", "input": "", "output": "la " * length + str(number % 4)}
        )
    data = folder / "data"
    data.mkdir(exist_ok=True)
    (data / "toy.json").write_text(json.dumps(made), encoding="utf-8")
    (data / "dataset_info.json").write_text(json.dumps({"toy": {"file_name": "toy.json"}}), encoding="utf-8")


def arguments(model: Path, **changes: Any) -> dict[str, Any]:
    """Arguments of a short, exactly repeatable run on `toy`."""
    return {
        "model_name_or_path": str(model), "dataset": "toy", "finetuning_type": "lora", "lora_dropout": 0.1,
        "cutoff_len": 128, "per_device_train_batch_size": 4, "learning_rate": 1e-3, "max_steps": 40,
        "logging_steps": 1,
        "save_steps": 5, "lr_scheduler_type": "cosine", "warmup_ratio": 0.1, **changes,
    }  # fmt: skip


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float = 120) -> Any:
    """The first true value of `condition`, or an assertion that names what did not happen."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def wait_for_end(job_id: str, *, seconds: float = 120) -> client.Job:
    ends = ("succeeded", "failed", "stopped", "lost")

    def ended() -> client.Job | None:
        client.dispatch()
        job = client.get(job_id)
        return job if job.state in ends else None

    return wait_for(ended, f"end of {job_id}", seconds=seconds)


def wait_for_step(job: client.Job, step: int) -> None:
    log = Path(job.run_dir) / "trainer_log.jsonl"
    wait_for(lambda: losses(log) and max(losses(log)) >= step, f"step {step} of {job.id}")


def losses(log: Path) -> dict[int, float]:
    """step -> loss as it was logged last (a resumed run logs some steps again)."""
    events, _ = read_events(log)
    return {event["current_steps"]: event["loss"] for event in events if "loss" in event}


def weights_sha256(run_dir: str | Path) -> str:
    digest = hashlib.sha256()
    files = sorted(Path(run_dir).glob("*.safetensors"))
    assert files, f"{run_dir} holds no weights"
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def job_record(job: client.Job) -> dict[str, Any]:
    return dict(json.loads((Path(job.run_dir) / "job.json").read_text(encoding="utf-8")))


def assert_nothing_left(job: client.Job) -> None:
    """No process carries the job's marker. One that has recorded its exit may still be on its way out."""
    marker = job_record(job)["marker"]
    wait_for(lambda: not process.find_marked(marker), f"the end of every process of {job.id}", seconds=15)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**changes: str) -> dict[str, str]:
    """This test's environment with the command `tunesmith` on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, **changes}


def tunesmith(*words: str, cwd: Path, seconds: float = 120) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "engine.cli", *words],
        cwd=cwd, capture_output=True, text=True, timeout=seconds, env=environment(PYTHONPATH=str(REPO)),
    )  # fmt: skip
