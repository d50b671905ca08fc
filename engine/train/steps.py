"""The steps every stage takes: a network that can train, the collator that fits it, and the way to the end
of a run.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from engine.data.collate import PackedCollator, PaddedCollator, PaddingFreeCollator
from engine.data.report import Estimate
from engine.errors import ArgError, Problem, UserError
from engine.events import append_event, finite
from engine.models import attention as segment
from engine.models.adapters import apply_adapter
from engine.models.load import attention_for, compute_dtype, load_config, load_model
from engine.paths import write_whole
from engine.train.checkpoint import resume_point
from engine.train.console import phase_reporter, say
from engine.train.metrics import mean_logged_loss

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerState

    from engine.data.pipeline import Prepared
    from engine.schema.commands import TrainArgs
    from engine.templates.chat import ChatTemplate
    from engine.train.batches import Collator
    from engine.train.run import Run
    from engine.train.trainer import StageTrainer


def find_resume(args: TrainArgs, run: Run) -> Path | None:
    """The checkpoint to go on from, told to the person and to the metric log."""
    point, lines = resume_point(run.paths, args.output.resume_from_checkpoint)
    for line in lines:
        say(line)
    if args.output.resume_from_checkpoint and lines:
        step = json.loads((point / "trainer_state.json").read_text())["global_step"] if point else 0
        append_event(run.paths.trainer_log, {"resumed_from": step})
    return point


def report_data(prepared: Prepared, args: TrainArgs, run: Run) -> None:
    """Say what became of the rows and how many steps they make, and write it to data_report.json."""
    report, steps = prepared.report, count_steps(prepared.train, args)
    if args.data.streaming and args.launch.dataloader_num_workers:
        report.note("dataloader_num_workers has no effect with streaming=true: one process reads the stream")
    if steps is not None:
        report.estimate = Estimate(steps)
    write_report(prepared, run)
    for line in report.lines():
        say(line)


def write_report(prepared: Prepared, run: Run) -> None:
    record = json.dumps(prepared.report.to_json(), indent=2, ensure_ascii=False)
    write_whole(run.paths.data_report, record + "\n")


def count_steps(train: Any, args: TrainArgs) -> int | None:
    """Optimiser steps of the run, as the trainer will count them. None where there is nothing to train on."""
    optimization = args.optimization
    if optimization.max_steps > 0:
        return optimization.max_steps
    if train is None:
        return None
    batches = len(train) / optimization.per_device_train_batch_size
    whole = math.floor(batches) if args.launch.dataloader_drop_last else math.ceil(batches)
    an_epoch = max(math.ceil(whole / optimization.gradient_accumulation_steps), 1)
    return math.ceil(optimization.num_train_epochs * an_epoch)


def adopt_template(
    network: nn.Module, tokenizer: PreTrainedTokenizerBase, chat: ChatTemplate, args: TrainArgs
) -> None:
    """What is saved speaks as it was trained: a template chosen by name goes into the tokenizer, its stop
    tokens into the generation config. A tokenizer's own template needs neither.
    """
    if args.template.template is None:
        return
    tokenizer.chat_template = chat.jinja()
    if network.generation_config is not None:
        network.generation_config.eos_token_id = chat.stop_token_ids()


def load_network(args: TrainArgs, tokenizer: PreTrainedTokenizerBase) -> tuple[nn.Module, Collator]:
    """The network with what trains in it chosen, and the collator whose batches its attention understands."""
    config = load_config(args.model)
    attention = attention_for(args.model, config)
    # Weights that train are float32 (unless pure); reading a full model in less would lose bits for nothing.
    reads_half = args.optimization.pure_bf16 or args.adapter.finetuning_type != "full"
    dtype = compute_dtype(args.optimization) if reads_half else torch.float32
    network = load_model(args.model, dtype=dtype, attention=attention, trainable=True)
    _check_vocabulary(network, tokenizer)
    collate = _collator_for(network, attention, args, tokenizer.pad_token_id or 0)
    trained = apply_adapter(network, args.adapter, args.model, pure=args.optimization.pure_bf16)
    total = sum(parameter.numel() for parameter in trained.parameters())
    trains = sum(parameter.numel() for parameter in trained.parameters() if parameter.requires_grad)
    say(f"{trains:,} of {total:,} parameters train ({trains / total:.2%})")
    return trained, collate


def _collator_for(network: PreTrainedModel, attention: str, args: TrainArgs, pad_token_id: int) -> Collator:
    """Rows of several sequences only where the model was seen to keep them apart. Raises ArgError."""
    isolates = bool(args.data.packing) and not args.data.contaminated_packing
    ours = attention == segment.NAME
    if (ours or isolates) and not segment.keeps_segments_apart(network):
        if isolates:
            message = (
                f"true needs attention that keeps sequences apart; {type(network).__name__} with "
                f"flash_attn={args.model.flash_attn} has none. Set packing=false."
            )
            raise ArgError([Problem("packing", message)])
        ours = False
        network.set_attn_implementation("sdpa" if network._supports_sdpa else "eager")
        say(
            f"{type(network).__name__} does not keep sequences of one row apart: "
            "padded batches are used instead"
        )
    if ours:
        return PaddingFreeCollator()
    return PackedCollator(pad_token_id) if isolates else PaddedCollator(pad_token_id)


def train_to_the_end(trainer: StageTrainer, args: TrainArgs, run: Run, resume: Path | None) -> int:
    """Train, write the model and the results. Returns 0, or 130 where a stop came before the last step."""
    with run.cooperative():
        outcome = trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    state = trainer.state
    _check_converged(state, args)
    if run.stop_requested() and state.global_step < state.max_steps:
        trainer.save_state()
        at = state.global_step
        goes_on = (
            "cannot be resumed (save_only_model)" if args.output.save_only_model else "goes on from here"
        )
        say(f"stopped at step {at} of {state.max_steps}; checkpoint-{at} {goes_on}")
        return 130
    report = phase_reporter(run.paths)
    report("saving", 0, 1)
    with run.cooperative():
        trainer.save_final()
    train_metrics = {**outcome.metrics, "num_input_tokens_seen": state.num_input_tokens_seen}
    # The inherited figure covers this attempt's steps alone; the log history covers the run.
    train_metrics["train_loss"] = mean_logged_loss(state.log_history) or outcome.training_loss
    results = {"train": train_metrics}
    if args.launch.do_eval:
        with run.cooperative():
            metrics = trainer.evaluate()
        if metrics is None:
            return 130
        results["eval"] = metrics
    write_results(run.paths.root, results, epoch=state.epoch)
    trainer.save_state()
    if args.output.plot_loss:
        from engine.train.plot import plot_losses

        for path in plot_losses(run.paths.root, state.log_history):
            say(f"drew {path.name}")
    report("saving", 1, 1)
    say(
        f"finished: {state.global_step} steps, train_loss {train_metrics['train_loss']:.4f}; "
        f"model in {run.paths.root}"
    )
    return 0


def write_results(root: Path, results: dict[str, dict[str, Any]], *, epoch: float | None) -> None:
    """`train_results.json`, `eval_results.json` and `all_results.json`, as users of the field expect them."""
    everything: dict[str, Any] = {"epoch": epoch}
    for name, metrics in results.items():
        _write_json(root / f"{name}_results.json", {"epoch": epoch, **metrics})
        everything |= metrics
    _write_json(root / "all_results.json", everything)


def _write_json(path: Path, figures: dict[str, Any]) -> None:
    write_whole(path, json.dumps(finite(figures), indent=4, sort_keys=True))


def _check_converged(state: TrainerState, args: TrainArgs) -> None:
    """Raises UserError where the loss is no number any more, which ended it (callbacks.StopWhenDiverged).

    What was logged and the checkpoints from before stay.
    """
    logged = [entry for entry in state.log_history if "loss" in entry]
    if args.optimization.fp16 or not logged or math.isfinite(logged[-1]["loss"]):
        return
    last = logged[-1]
    rate = args.optimization.learning_rate
    raise ArgError(
        [
            Problem(
                "learning_rate",
                f"{rate:g} made the loss {last['loss']} by step {last['step']}: the weights are ruined and "
                "were not saved. Lower learning_rate, or set max_grad_norm and warmup_steps.",
            )
        ]
    )


def _check_vocabulary(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    rows = network.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise UserError(
            f"the tokenizer knows {len(tokenizer)} tokens, the model embeds only {rows}. "
            "Use the tokenizer that belongs to the model."
        )
