"""Every example that trains runs as it stands, for two steps; the others run to their end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.schema.load import read_file
from tests.e2e.support import REPO, losses, tunesmith

EXAMPLES = REPO / "examples"
TRAINING = sorted(
    path.name for path in EXAMPLES.glob("*.yaml") if "# tunesmith train" in path.read_text("utf-8")
)


@pytest.fixture
def clone(workdir: Path) -> Path:
    """A folder that looks like the checkout to a command started in it."""
    for name in ("data", "examples"):
        (workdir / name).symlink_to(REPO / name)
    return workdir


@pytest.mark.parametrize("name", TRAINING)
def test_a_training_example_runs(clone: Path, name: str) -> None:
    given = read_file(EXAMPLES / name)
    steps = {key: 2 for key in ("eval_steps", "save_steps") if key in given}
    words = [f"{key}={value}" for key, value in {**steps, "max_steps": 2, "output_dir": "run"}.items()]
    done = tunesmith("train", f"examples/{name}", *words, cwd=clone)
    assert done.returncode == 0, done.stderr
    assert set(losses(clone / "run" / "trainer_log.jsonl")) >= {1}
    assert "eval_loss" in (clone / "run" / "trainer_log.jsonl").read_text()


def test_the_evaluation_example_scores_the_tiny_model(clone: Path) -> None:
    done = tunesmith("eval", "examples/eval.yaml", "max_samples=20", "output_dir=run", cwd=clone)
    assert done.returncode == 0, done.stderr
    results = json.loads((clone / "run" / "all_results.json").read_text())
    assert results["predict_exact_match"] >= 80
    assert len((clone / "run" / "generated_predictions.jsonl").read_text().splitlines()) == 20
