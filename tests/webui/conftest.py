"""A studio without a server, built once, and run directories to look at."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

SAME_ORIGIN = {"sec-fetch-site": "same-origin"}


@pytest.fixture(scope="session")
def studio_app(tmp_path_factory: pytest.TempPathFactory):
    """The whole web application, as `tunesmith webui` serves it."""
    from engine.schema.commands import WebuiArgs
    from webui.app import build_app

    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("studio"))
    try:
        return build_app(WebuiArgs())
    finally:
        os.chdir(before)


@pytest.fixture
def studio(studio_app, workdir: Path) -> Iterator[TestClient]:
    """A browser's view of it, in an empty folder. `workdir` is that folder."""
    with TestClient(studio_app, base_url="http://127.0.0.1:7860", headers=SAME_ORIGIN) as client:
        yield client


def make_run(folder: Path, job_id: str, *, exit_code: int = 0, steps: int = 0, reason: str = "") -> Path:
    """A run directory of a training that has ended, as the engine leaves it."""
    run = folder / "saves" / "tiny" / "lora" / job_id
    run.mkdir(parents=True)
    facts = {
        "job_id": job_id, "attempt": 1, "command": "train", "cwd": str(folder), "queue": "cpu", "marker": "m",
        "argv": ["tunesmith", "train", "--model_name_or_path", "data/tiny", "--output_dir", str(run)],
        "created": 1.7e9, "started": 1.7e9, "ended": 1.7e9 + 60, "exit_code": exit_code, "reason": reason,
    }  # fmt: skip
    (run / "job.json").write_text(json.dumps(facts))
    (run / "log.txt").write_text("".join(f"step {n}/{steps} loss {1 / n:.4f}\n" for n in range(1, steps + 1)))
    lines = (
        {"current_steps": n, "total_steps": steps, "loss": 1 / n, "lr": 1e-4} for n in range(1, steps + 1)
    )
    (run / "trainer_log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run
