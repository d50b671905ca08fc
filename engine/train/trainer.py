"""The one Trainer: the loop is transformers', the loss is the stage's, checkpoints are complete or absent.

Not a place for objectives (engine/stages) nor for what is printed (callbacks.py). The order of rows, token
counts, evaluation and saving are overridden; the optimiser, schedules, precision and accumulation are
inherited.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from engine.data.tokens.stream import TokenStream
from engine.errors import ArgError, Problem
from engine.models import save
from engine.models.source import one_line
from engine.paths import RunPaths
from engine.train import checkpoint
from engine.train.batches import Collator, EpochBatches, build_loader, build_stream_loader
from engine.train.losses import LossParts
from engine.train.metrics import Tally
from engine.train.optim import build_optimizer

# The eval set without a name of its own (see engine/data/pipeline.py).
ALL = "eval"
# Where trainer_state.json keeps the loss of the steps since the last log.
_UNLOGGED = "unlogged_loss"


class StageLoss(Protocol):
    """Scores one batch. `with_correct` asks for LossParts.correct, which only an evaluation needs."""

    def __call__(
        self, network: nn.Module, batch: dict[str, Any], *, with_correct: bool = False
    ) -> LossParts: ...


class StageTrainer(Trainer):
    """transformers.Trainer with our loss, rows, evaluation and checkpoints. Build it with `build_trainer`."""

    # The loss is divided by the targets of the whole accumulated batch, so that k small batches equal one
    # large.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        *,
        stage_loss: StageLoss,
        paths: RunPaths,
        order: str,
        with_accuracy: bool,
        stop_requested: Callable[[], bool],
        **inherited: Any,
    ) -> None:
        # A stage's loss says use_cache=False itself; the config is saved with the model and stays its own.
        use_cache = inherited["model"].config.use_cache
        super().__init__(**inherited)
        self.model.config.use_cache = use_cache
        self.remove_callback(PrinterCallback)
        self.stage_loss, self.paths, self.order = stage_loss, paths, order
        self.with_accuracy, self.stop_requested = with_accuracy, stop_requested
        self._batches: EpochBatches | None = None
        self._saved_step: int | None = None
        self._cut_short = False
        self._num_parameters = sum(
            parameter.numel() for name, parameter in self.model.named_parameters() if "embed" not in name
        )

    # Rows and counts

    def get_train_dataloader(self) -> DataLoader:
        table, args = self.train_dataset, self.args
        seed = args.seed if args.data_seed is None else args.data_seed
        if isinstance(table, TokenStream):
            return build_stream_loader(
                table,
                self.data_collator,
                batch_size=self._train_batch_size,
                shuffle=self.order != "sequential",
                seed=seed,
                pin_memory=args.dataloader_pin_memory,
            )
        self._batches = EpochBatches(
            len(table),
            self._train_batch_size,
            order=self.order,
            seed=seed,
            lengths=table.lengths if self.order == "group_by_length" else None,
            drop_last=args.dataloader_drop_last,
        )
        if not len(self._batches):
            message = f"true leaves none of {len(table)} rows: a batch takes {self._train_batch_size}."
            raise ArgError([Problem("dataloader_drop_last", message)])
        return self._loader(table, self._batches)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        table = self.eval_dataset if eval_dataset is None else eval_dataset
        return self._loader(table, EpochBatches(len(table), self.args.eval_batch_size, order="sequential"))

    def _loader(self, table: Any, batches: EpochBatches) -> DataLoader:
        return build_loader(
            table,
            batches,
            self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def _run_epoch(self, *, epoch: int, **rest: Any) -> None:
        if self.state.global_step >= self.state.max_steps:
            # Resumed from the last checkpoint of a run that was done: the inherited loop would take one
            # more step.
            self.control.should_training_stop = True
            return
        if self._batches is not None:
            # A stream counts its epochs itself.
            self._batches.set_epoch(epoch)
        self._take_up_unlogged_loss()
        super()._run_epoch(epoch=epoch, **rest)

    def _take_up_unlogged_loss(self) -> None:
        """A checkpoint may lie between two logs: the steps since the last one count in the next, as if
        never cut.
        """
        unlogged = self.state.stateful_callbacks.pop(_UNLOGGED, None)
        if unlogged and self.args.logging_strategy != "no":
            self._tr_loss += unlogged["sum"]
            self._globalstep_last_logged = unlogged["since"]

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Any]], int]:
        # range first: zip asks it first, so that no batch is taken and lost at the end.
        batches = [batch for _, batch in zip(range(num_batches), epoch_iterator, strict=False)]
        return batches, sum(batch["num_targets"] for batch in batches)

    def _track_num_input_tokens(self, inputs: dict[str, Any]) -> None:
        self.state.num_input_tokens_seen += inputs["num_tokens"]

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        return 6 * inputs["num_tokens"] * self._num_parameters

    # Loss and evaluation

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: int | None = None,
    ) -> torch.Tensor:
        return self.stage_loss(model, inputs).total / max(num_items_in_batch or inputs["num_targets"], 1)

    @torch.no_grad()
    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float] | None:
        """Mean loss per target over all eval sets together as eval_loss, and over each that has a name of its
        own as eval_NAME_loss. None where a stop came.
        """
        tables = self.eval_dataset if eval_dataset is None else eval_dataset
        tables = tables if isinstance(tables, dict) else {ALL: tables}
        started = time.monotonic()
        metrics: dict[str, float] = {}
        overall = Tally()
        was_training = self.model.training
        self.model.eval()
        try:
            for name, table in tables.items():
                tally = self._tally(table)
                if tally is None:
                    self.control.should_training_stop = self._cut_short = True
                    return None
                if name != ALL:
                    metrics |= tally.metrics(f"{metric_key_prefix}_{name}", accuracy=self.with_accuracy)
                overall += tally
        finally:
            self.model.train(was_training)
        metrics |= overall.metrics(metric_key_prefix, accuracy=self.with_accuracy)
        metrics[f"{metric_key_prefix}_runtime"] = round(time.monotonic() - started, 4)
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _tally(self, table: Any) -> Tally | None:
        loader, tally = self.get_eval_dataloader(table), Tally()
        self.callback_handler.eval_dataloader = loader
        for batch in loader:
            if self.stop_requested():
                return None
            batch = self._prepare_inputs(batch)
            with self.accelerator.autocast():
                parts = self.stage_loss(self.model, batch, with_correct=self.with_accuracy)
            tally += Tally.of(parts, batch)
            self.control = self.callback_handler.on_prediction_step(self.args, self.state, self.control)
        return tally

    def _evaluate(
        self, trial: Any, ignore_keys_for_eval: list[str] | None, skip_scheduler: bool = False
    ) -> dict[str, float]:
        metrics = self.evaluate(ignore_keys=ignore_keys_for_eval)
        if metrics is None:
            return {}
        if isinstance(self.lr_scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau) and not skip_scheduler:
            self.lr_scheduler.step(metrics[_metric_key(self.args)])
        return metrics

    def _maybe_log_save_evaluate(
        self, tr_loss: Any, grad_norm: Any, model: nn.Module, trial: Any, *rest: Any, **named: Any
    ) -> None:
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, model, trial, *rest, **named)
        if self._cut_short:
            # A stop came during the evaluation: with save_strategy=best nothing was saved without a result.
            self._save_checkpoint(model, trial)

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        # An evaluation that was stopped half-way has no result, and NaN is never the best.
        if not metrics or not math.isfinite(metrics.get(_metric_key(self.args), 0.0)):
            return False
        return super()._determine_best_metric(metrics, trial)

    # One step. The inherited ones walk every module of the network several times a step, which is a
    # noticeable share of it where the batch is small or the adapter has hundreds of modules.

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: int | None = None
    ) -> torch.Tensor:
        if not model.training:
            model.train()
        inputs = self._prepare_inputs(inputs)
        with self.compute_loss_context_manager():
            loss = self.compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
        self.accelerator.backward(loss)
        return loss.detach()

    def _clip_grad_norm(self, model: nn.Module) -> torch.Tensor:
        trained = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        return self.accelerator.clip_grad_norm_(trained, self.args.max_grad_norm)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            self.optimizer = build_optimizer(model or self.model, self.args)
        return self.optimizer

    # Checkpoints

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        step = self.state.global_step
        if self._saved_step == step:
            return
        self.store_flos()
        final = self.paths.checkpoint(step)
        with checkpoint.staging(self.paths, step) as staged:
            self.save_weights(staged)
            if self.state.best_global_step:
                best = self.paths.checkpoint(self.state.best_global_step)
                if best == final or best.is_dir():
                    self.state.best_model_checkpoint = str(best)
            if not self.args.save_only_model:
                self._save_optimizer_and_scheduler(str(staged))
                self._save_scaler(str(staged))
                self._save_rng_state(str(staged))
            self.state.stateful_callbacks[_UNLOGGED] = {
                "sum": self._tr_loss.item(),
                "since": self._globalstep_last_logged,
            }
            self.state.save_to_json(str(staged / checkpoint.STATE))
            del self.state.stateful_callbacks[_UNLOGGED]
            checkpoint.publish(self.paths, staged, step)
        self._saved_step = step
        best_path = self.state.best_model_checkpoint
        checkpoint.rotate(
            self.paths, keep=self.args.save_total_limit, best=Path(best_path) if best_path else None
        )

    def _finalize_training(self, *args: Any, **kwargs: Any) -> Any:
        """A finished run ends as its best; a stopped one keeps the newest weights and checkpoint.

        The inherited method removes all but the best with save_total_limit=1; `rotate` has done what is due.
        """
        limit, best_wanted = self.args.save_total_limit, self.args.load_best_model_at_end
        stopped = self.stop_requested() and self.state.global_step < self.state.max_steps
        self.args.save_total_limit, self.args.load_best_model_at_end = None, best_wanted and not stopped
        try:
            return super()._finalize_training(*args, **kwargs)
        finally:
            self.args.save_total_limit, self.args.load_best_model_at_end = limit, best_wanted

    def save_weights(self, directory: Path) -> None:
        """Write the model or adapter and the tokenizer, nothing of the training."""
        save.save_model(self.accelerator.unwrap_model(self.model), directory)
        save.save_tokenizer(self.processing_class, directory)

    def save_final(self) -> None:
        """The finished model into the run's folder: each file whole or absent, whenever a kill comes."""
        with checkpoint.staging(self.paths, self.state.global_step) as staged:
            self.save_weights(staged)
            checkpoint.move_files(staged, self.paths.root)

    def _init_training_state(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
        position = super()._init_training_state(*args, **kwargs)
        # A run directory may have been moved: the best checkpoint is where the run is now.
        best = self.paths.checkpoint(self.state.best_global_step) if self.state.best_global_step else None
        self.state.best_model_checkpoint = str(best) if best is not None and best.is_dir() else None
        return position

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        with _resuming(resume_from_checkpoint):
            save.load_weights(
                self.accelerator.unwrap_model(model or self.model), Path(resume_from_checkpoint)
            )

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with _resuming(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_best_model(self) -> None:
        save.load_weights(self.accelerator.unwrap_model(self.model), Path(self.state.best_model_checkpoint))


def build_trainer(
    *,
    network: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    arguments: TrainingArguments,
    collate: Collator,
    train_table: Any,
    eval_tables: dict[str, Any],
    callbacks: list[TrainerCallback],
    stage_loss: StageLoss,
    paths: RunPaths,
    order: str = "random",
    with_accuracy: bool = False,
    stop_requested: Callable[[], bool] = lambda: False,
) -> StageTrainer:
    """A trainer ready to train. `eval_tables` may be empty; with several, eval_loss is that of all rows
    together.
    """
    return StageTrainer(
        model=network,
        args=arguments,
        processing_class=tokenizer,
        data_collator=collate,
        train_dataset=train_table,
        eval_dataset=eval_tables or None,
        callbacks=callbacks,
        stage_loss=stage_loss,
        paths=paths,
        order=order,
        with_accuracy=with_accuracy,
        stop_requested=stop_requested,
    )


@contextlib.contextmanager
def _resuming(checkpoint: str | None) -> Iterator[None]:
    """Say in one sentence that a checkpoint belongs to a model or method other than the one asked for."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        message = f"{checkpoint} does not fit the model and the adapter asked for: {one_line(error)}"
        raise ArgError([Problem("resume_from_checkpoint", message)]) from error


def _metric_key(args: TrainingArguments) -> str:
    name = args.metric_for_best_model or "loss"
    return name if name.startswith("eval_") else f"eval_{name}"
