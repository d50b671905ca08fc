"""What a run says while it trains, and when it ends early.

One line a log in plain text, one JSON object a log in trainer_log.jsonl (LLaMA-Factory's keys plus ours), a
progress bar on a terminal only. Stopping is asked for from outside and happens at the end of a step, with a
checkpoint.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psutil
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import has_length

from engine.data.report import DataReport, Estimate
from engine.events import append_event
from engine.paths import RunPaths
from engine.train.console import say

# Steps that are timed for the estimate of the whole.
TIMED_STEPS = 5


class RunLog(TrainerCallback):
    """Writes every log of the trainer to the metric log and, as one plain line, to the console."""

    def __init__(self, paths: RunPaths, *, bar: bool | None = None) -> None:
        self.paths = paths
        self.with_bar = sys.stderr.isatty() and sys.stdout.isatty() if bar is None else bar
        self.bar: Any = None

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self.started, self.first_step, self.first_tokens = time.monotonic(), state.global_step, 0
        self.first_tokens = state.num_input_tokens_seen
        self.last_time, self.last_tokens = self.started, self.first_tokens
        append_event(
            self.paths.trainer_log,
            {"phase": "training", "current": state.global_step, "total": state.max_steps},
        )
        loader = kwargs.get("train_dataloader")
        if has_length(loader) and _has_other_rows(state, len(loader), args.gradient_accumulation_steps):
            say("data or batch size changed since that checkpoint: rows may be seen twice or not at all")
        if self.with_bar:
            from tqdm import tqdm

            self.bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                desc="train",
                leave=False,
                dynamic_ncols=True,
            )

    def on_step_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        if self.bar is not None:
            self.bar.update(1)

    def on_train_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        if "loss" not in logs and "eval_loss" not in logs:
            return
        event = self._event(state, logs)
        append_event(self.paths.trainer_log, event)
        self._say(self._line(event))

    def _event(self, state: TrainerState, logs: dict[str, Any]) -> dict[str, Any]:
        now, step, total = time.monotonic(), state.global_step, max(state.max_steps, 1)
        started = getattr(self, "started", now)
        elapsed, done = now - started, step - getattr(self, "first_step", 0)
        left = elapsed / done * (total - step) if done > 0 else 0.0
        event: dict[str, Any] = {
            "current_steps": step,
            "total_steps": state.max_steps,
            "epoch": round(state.epoch or 0.0, 4),
            "percentage": round(step / total * 100, 2),
            "elapsed_time": str(timedelta(seconds=int(elapsed))),
            "remaining_time": str(timedelta(seconds=int(left))),
            "total_tokens": state.num_input_tokens_seen,
        }
        if "loss" in logs:
            tokens = state.num_input_tokens_seen
            event |= {
                "loss": logs["loss"],
                "lr": logs.get("learning_rate"),
                "grad_norm": logs.get("grad_norm"),
            }
            event["throughput"] = round((tokens - self.last_tokens) / max(now - self.last_time, 1e-9), 2)
            self.last_time, self.last_tokens = now, tokens
            event["memory_gb"] = round(_memory_bytes() / 2**30, 3)
        event |= {key: value for key, value in logs.items() if key.startswith("eval_")}
        return event

    def _line(self, event: dict[str, Any]) -> str:
        """One log in about 72 characters: what it is read for, without what the metric log adds."""
        total = str(event["total_steps"])
        parts = [f"step {event['current_steps']:>{len(total)}}/{total}"]
        if "loss" in event:
            parts += [f"loss {event['loss']:.4f}", f"lr {event['lr']:.2e}"]
            if event["grad_norm"] is not None:
                parts.append(f"grad {event['grad_norm']:.2f}")
            parts.append(f"{event['throughput']:.0f} tok/s")
        shown = {
            key: value for key, value in event.items() if key.startswith("eval_") and key != "eval_runtime"
        }
        parts += [f"{key} {value:.4f}" for key, value in shown.items()]
        return "  ".join(parts)

    def _say(self, line: str) -> None:
        if self.bar is None:
            say(line)
        else:
            self.bar.write(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stdout)


def _has_other_rows(state: TrainerState, num_batches: int, accumulation: int) -> bool:
    """Whether the step a run goes on from lay elsewhere in its epoch when the checkpoint was written."""
    if not state.global_step or state.epoch is None:
        return False
    epochs, steps = divmod(state.global_step, math.ceil(num_batches / accumulation))
    return abs(epochs + min(steps * accumulation / num_batches, 1.0) - state.epoch) > 1e-6


def _memory_bytes() -> int:
    """The most the GPU held so far; on a CPU, what the process holds now."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return psutil.Process().memory_info().rss


class EvaluationClock(TrainerCallback):
    """Evaluation takes time from the training; the throughput that is shown leaves it out."""

    def __init__(self, run_log: RunLog) -> None:
        self.run_log = run_log

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.run_log.last_time = time.monotonic()
        self.run_log.last_tokens = state.num_input_tokens_seen


class DataReportKeeper(TrainerCallback):
    """Keeps data_report.json true while a run goes on: how long it will take once steps were timed, and the
    counts of a stream, which grow.
    """

    def __init__(self, report: DataReport, write: Callable[[], None]) -> None:
        self.report, self.write = report, write
        self._timed_from: tuple[int, float] | None = None

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self.report.estimate = Estimate(state.max_steps)
        self.write()

    def on_step_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        estimate, step, now = self.report.estimate, state.global_step, time.monotonic()
        if self._timed_from is None:
            # The first step pays for caches and kernels; it says nothing of the others.
            self._timed_from = step, now
        elif estimate is not None and estimate.seconds is None and step - self._timed_from[0] >= TIMED_STEPS:
            first, began = self._timed_from
            estimate.seconds = round((now - began) / (step - first) * estimate.steps, 1)
            self.write()

    def on_save(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        if self.report.streaming:
            self.write()

    def on_train_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self.write()
        if self.report.streaming:
            for line in self.report.lines():
                say(line)


class StopWhenAsked(TrainerCallback):
    """Ends the run after the current step, with a checkpoint, once `stop_requested` says so."""

    def __init__(self, stop_requested: Callable[[], bool]) -> None:
        self.stop_requested = stop_requested
        self.stopped = False

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.stop_requested():
            say(f"stop asked for: saving at step {state.global_step}")
            self.stopped = control.should_save = control.should_training_stop = True
            control.should_evaluate = False


class StopWhenDiverged(TrainerCallback):
    """Ends a run whose loss is no number any more: it learns nothing, and rotates good checkpoints out.

    `step` is where, or None. Not under fp16: a step that overflows is skipped there, the next may be sound.
    """

    step: int | None = None

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        if "loss" in logs and not math.isfinite(logs["loss"]) and not args.fp16:
            self.step = state.global_step
            control.should_training_stop = True
            control.should_save = control.should_evaluate = False

    def on_epoch_end(self, args: Any, state: Any, control: TrainerControl, **kwargs: Any) -> None:
        if self.step is not None:
            control.should_save = control.should_evaluate = False


class StopWhenNoBetter(TrainerCallback):
    """Ends the run after `patience` evaluations in a row without a better metric.

    Counts in the log history, which a checkpoint carries, so that a resumed run counts on.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        name = args.metric_for_best_model or "eval_loss"
        key = name if name.startswith("eval_") else f"eval_{name}"
        # A value that is no number is no better than any, and must not pass for the best.
        worst = -math.inf if args.greater_is_better else math.inf
        found = [entry[key] for entry in state.log_history if key in entry]
        values = [worst if math.isnan(value) else value for value in found]
        if not values:
            return
        best = max(values) if args.greater_is_better else min(values)
        since = len(values) - 1 - values.index(best)
        if since >= self.patience:
            say(f"no better {key} in {since} evaluations: stopping")
            control.should_training_stop = True
