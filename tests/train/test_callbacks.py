"""What is logged stays readable and exact when numbers are odd, and patience survives a resume."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest

from engine.paths import RunPaths
from engine.train.callbacks import RunLog, StopWhenNoBetter
from engine.train.console import phase_reporter
from engine.train.metrics import Tally, mean_logged_loss


def state(step: int, **more) -> SimpleNamespace:
    base = {"global_step": step, "max_steps": 10, "epoch": 0.5, "num_input_tokens_seen": 100 * step}
    return SimpleNamespace(**base, **more)


def test_a_diverged_loss_is_logged_as_null(tmp_path, capsys):
    log = RunLog(RunPaths(tmp_path), bar=False)
    log.on_train_begin(None, state(0), None)
    log.on_log(None, state(2), None, {"loss": float("nan"), "learning_rate": 1e-3, "grad_norm": float("inf")})
    event = json.loads((tmp_path / "trainer_log.jsonl").read_text().splitlines()[-1])
    assert event["loss"] is None and event["grad_norm"] is None and event["current_steps"] == 2
    assert "loss nan" in capsys.readouterr().out


def test_what_is_neither_loss_nor_evaluation_is_no_point_of_the_curve(tmp_path):
    RunLog(RunPaths(tmp_path), bar=False).on_log(None, state(10), None, {"train_runtime": 3.0})
    assert not (tmp_path / "trainer_log.jsonl").exists()


@pytest.mark.parametrize(
    ("values", "greater", "stops"),
    [
        ([3.0, 2.0, 2.5], False, False),
        ([3.0, 2.0, 2.5, 2.1], False, True),
        ([3.0, 2.0, 2.5, 1.9], False, False),
        ([0.1, 0.5, 0.4, 0.5], True, True),
        ([math.nan, 3.0, 2.0], False, False),
        ([3.0, math.nan, math.nan], False, True),
        ([math.nan, math.nan, math.nan], True, True),
    ],
)
def test_patience_is_counted_in_the_history(values, greater, stops):
    args = SimpleNamespace(metric_for_best_model="loss", greater_is_better=greater)
    control = SimpleNamespace(should_training_stop=False)
    history = [{"eval_loss": value, "step": step} for step, value in enumerate(values)]
    StopWhenNoBetter(2).on_evaluate(args, state(3, log_history=history), control)
    assert control.should_training_stop is stops


def test_phases_are_reported_first_last_and_not_too_often(tmp_path):
    report = phase_reporter(RunPaths(tmp_path), every_s=60)
    for done in range(101):
        report("tokenizing", done, 100)
    events = [json.loads(line) for line in (tmp_path / "trainer_log.jsonl").read_text().splitlines()]
    assert [event["current"] for event in events] == [0, 100]


def test_mean_of_logged_losses_weighs_each_step_once():
    history = [{"loss": 4.0, "step": 1}, {"eval_loss": 9.0, "step": 1}, {"loss": 1.0, "step": 4}]
    assert mean_logged_loss(history) == pytest.approx((4.0 + 3 * 1.0) / 4)
    assert mean_logged_loss([]) is None


def test_tallies_add_up():
    both = Tally(2.0, 4, 1) + Tally(6.0, 4, 3)
    assert both.metrics("eval", accuracy=True) == pytest.approx(
        {"eval_loss": 1.0, "eval_perplexity": 2.718281828, "eval_accuracy": 0.5}
    )
