"""`tunesmith eval` from arguments to files, on the random little model."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ArgError, DataError, UserError
from engine.evaluate.progress import Progress
from engine.evaluate.run import main
from engine.events import read_events
from tests.evaluate.support import call, make_run, read_json

ROWS = [
    {"instruction": "Say yes.", "output": "yes"},
    {"instruction": "你好", "output": "你好，很高兴见到你。"},
    {"instruction": "Count to three.", "output": "one two three"},
]


@pytest.fixture
def values(workdir: Path, tiny_random: Path) -> dict[str, Any]:
    data = workdir / "data"
    data.mkdir()
    (data / "rows.json").write_text(json.dumps(ROWS, ensure_ascii=False), encoding="utf-8")
    (data / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}))
    return {
        "model_name_or_path": str(tiny_random),
        "eval_dataset": "rows",
        "dataset_dir": str(data),
        "max_new_tokens": 4,
        "do_sample": False,
        "use_cpu": True,
    }


def test_figures_and_predictions_are_written(
    values: dict[str, Any], workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(workdir / "run")
    assert call(main, "eval", values, run) == 0
    figures = read_json(run.paths.all_results)
    assert figures == read_json(run.paths.eval_results) | read_json(run.paths.predict_results)
    assert figures["eval_perplexity"] == pytest.approx(math.exp(figures["eval_loss"]))
    assert 0 <= figures["eval_accuracy"] <= 1
    assert (figures["eval_samples"], figures["predict_samples"]) == (3, 3)
    assert {"predict_bleu-4", "predict_rouge-1", "predict_rouge-2", "predict_rouge-l"} <= figures.keys()
    lines = run.paths.predictions.read_text(encoding="utf-8").splitlines()
    predictions = [json.loads(line) for line in lines]
    assert [prediction["label"] for prediction in predictions] == [row["output"] for row in ROWS]
    assert all(prediction.keys() == {"prompt", "predict", "label"} for prediction in predictions)
    assert predictions[1]["prompt"].endswith("你好<|im_end|>\n<|im_start|>assistant\n")
    assert run.phases()[0] == "loading" and run.phases()[-1] == "evaluating"
    last = read_events(run.paths.trainer_log)[0][-1]
    assert (last["current"], last["total"]) == (6, 6), "three rows scored and three answered"
    assert "eval_loss" in capsys.readouterr().out


def test_without_predictions_only_losses_are_measured(values: dict[str, Any], workdir: Path) -> None:
    run = make_run(workdir / "run")
    assert call(main, "eval", {**values, "predict": False}, run) == 0
    assert not run.paths.predictions.exists() and not run.paths.predict_results.exists()
    assert read_json(run.paths.all_results) == read_json(run.paths.eval_results)


def test_the_batch_size_does_not_change_the_loss(values: dict[str, Any], workdir: Path) -> None:
    losses = []
    for size in (1, 3):
        run = make_run(workdir / f"run{size}")
        call(main, "eval", {**values, "predict": False, "batch_size": size}, run)
        losses.append(read_json(run.paths.all_results)["eval_loss"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_a_dataset_named_for_training_is_evaluated_too(values: dict[str, Any], workdir: Path) -> None:
    run = make_run(workdir / "run")
    values["dataset"] = values.pop("eval_dataset")
    values["predict"] = False
    assert call(main, "eval", values, run) == 0
    assert read_json(run.paths.all_results)["eval_samples"] == 3
    held_out = make_run(workdir / "held_out")
    assert call(main, "eval", {**values, "val_size": 0.34}, held_out) == 0
    assert read_json(held_out.paths.all_results)["eval_samples"] == 1


def test_each_dataset_is_measured_on_its_own(values: dict[str, Any], workdir: Path) -> None:
    info = {name: {"file_name": "rows.json"} for name in ("rows", "again")}
    (workdir / "data" / "dataset_info.json").write_text(json.dumps(info))
    together, each = make_run(workdir / "together"), make_run(workdir / "each")
    values["eval_dataset"] = "rows,again"
    assert call(main, "eval", values, together) == 0
    assert call(main, "eval", {**values, "eval_on_each_dataset": True}, each) == 0
    whole, parts = read_json(together.paths.all_results), read_json(each.paths.all_results)
    assert {"eval_rows_loss", "eval_again_accuracy", "predict_rows_bleu-4"} <= parts.keys()
    assert parts["eval_rows_loss"] == pytest.approx(parts["eval_again_loss"]) == parts["eval_loss"]
    assert parts["eval_loss"] == pytest.approx(whole["eval_loss"])
    assert parts["eval_samples"] == 6 and parts["eval_rows_samples"] == 3
    assert not [key for key in whole if "rows" in key]
    lines = [run.paths.predictions.read_text(encoding="utf-8") for run in (together, each)]
    assert lines[0] == lines[1]


def test_a_stop_ends_with_130_and_keeps_the_predictions_so_far(values: dict[str, Any], workdir: Path) -> None:
    run = make_run(workdir / "run")
    run.stops = lambda: run.paths.predictions.exists() and run.paths.predictions.stat().st_size > 0
    assert call(main, "eval", {**values, "batch_size": 1}, run) == 130
    assert len(run.paths.predictions.read_text(encoding="utf-8").splitlines()) == 1
    assert not run.paths.all_results.exists()


def test_a_stop_during_the_losses_ends_with_130(values: dict[str, Any], workdir: Path) -> None:
    run = make_run(workdir / "run", stops=lambda: True)
    assert call(main, "eval", values, run) == 130
    assert not run.paths.predictions.exists()


def test_no_dataset_is_told_by_name(values: dict[str, Any], workdir: Path) -> None:
    del values["eval_dataset"]
    with pytest.raises(ArgError, match="eval_dataset"):
        call(main, "eval", values, make_run(workdir / "run"))


def test_an_unregistered_dataset_is_told_before_the_model_is_read(
    values: dict[str, Any], workdir: Path
) -> None:
    with pytest.raises(DataError, match="nothing_here"):
        call(main, "eval", {**values, "eval_dataset": "nothing_here"}, make_run(workdir / "run"))


def test_missing_scoring_packages_are_told_first(
    values: dict[str, Any], workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.evaluate.score.PACKAGES", ("no_such_package",))
    run = make_run(workdir / "run")
    with pytest.raises(UserError, match="pip install"):
        call(main, "eval", values, run)
    assert not run.paths.trainer_log.exists()


def test_progress_writes_an_event_a_second_and_always_the_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    log = tmp_path / "log.jsonl"
    progress = Progress(log, phase="evaluating", unit="rows", total=40, clock=lambda: now)
    for _ in range(40):
        now += 0.5
        progress.advance(1)
    currents = [event["current"] for event in read_events(log)[0]]
    assert currents == [0, *range(2, 41, 2)]
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "evaluating: 20/40 rows, 2.0 a second, 10 s left",
        "evaluating: 40/40 rows, 2.0 a second",
    ]
