"""`tunesmith train` called from a test, and what it wrote."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import SimpleNamespace

from engine.env import probe_machine
from engine.paths import RunPaths
from engine.schema.load import load_mapping
from engine.schema.resolve import resolve
from engine.train.run import main


def train(model: Path, root: Path, *, stop=lambda: False, **changes) -> int:
    mapping = {
        "model_name_or_path": str(model),
        "dataset": "words",
        "output_dir": str(root),
        "max_steps": 6,
        "logging_steps": 1,
        "learning_rate": 1e-3,
        "use_cpu": True,
        **changes,
    }
    loaded = load_mapping("train", mapping)
    resolved = resolve("train", loaded.args, probe_machine())
    root.mkdir(parents=True, exist_ok=True)
    run = SimpleNamespace(paths=RunPaths(root), stop_requested=stop, cooperative=contextlib.nullcontext)
    return main(loaded, resolved, run)


def logged(root: Path) -> list[dict]:
    return [json.loads(line) for line in (root / "trainer_log.jsonl").read_text().splitlines()]


def losses(root: Path) -> list[float]:
    return [event["loss"] for event in logged(root) if "loss" in event]
