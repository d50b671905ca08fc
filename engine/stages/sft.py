"""Supervised fine-tuning: learn to say what the assistant said. Next-token cross-entropy on labelled tokens
only.

Try: tunesmith train --stage sft --finetuning_type lora --model_name_or_path data/tiny-qwen3 --dataset
identity
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn
from transformers import set_seed

from engine.data.pipeline import load_datasets
from engine.models.tokenizer import load_tokenizer
from engine.paths import cache_dir
from engine.train import callbacks, steps
from engine.train.arguments import training_arguments
from engine.train.console import phase_reporter
from engine.train.losses import LossParts, cross_entropy_sum, num_correct
from engine.train.trainer import build_trainer

if TYPE_CHECKING:
    from engine.schema.commands import TrainArgs
    from engine.train.run import Run

# B batch, K positions that are scored, V vocabulary


def run(args: TrainArgs, run: Run) -> int:
    """Train one model on demonstrations. Returns the exit code."""
    arguments = training_arguments(args, run.paths.root)
    resume = steps.find_resume(args, run)
    set_seed(args.optimization.seed)

    tokenizer = load_tokenizer(args.model)
    prepared = load_datasets(
        args.data,
        args.template,
        tokenizer,
        seed=args.optimization.seed,
        progress=phase_reporter(run.paths),
        cache_dir=cache_dir(),
    )
    steps.report_data(prepared, args, run)

    network, collate = steps.load_network(args, tokenizer)
    steps.adopt_template(network, tokenizer, prepared.chat, args)
    stop = callbacks.StopWhenAsked(run.stop_requested)
    log = callbacks.RunLog(run.paths, bar=False if args.output.disable_tqdm else None)
    patience = args.optimization.early_stopping_steps
    trainer = build_trainer(
        network=network,
        tokenizer=tokenizer,
        arguments=arguments,
        collate=collate,
        train_table=prepared.train,
        eval_tables=prepared.evals,
        callbacks=[
            log,
            callbacks.EvaluationClock(log),
            stop,
            callbacks.StopWhenDiverged(),
            callbacks.DataReportKeeper(prepared.report, lambda: steps.write_report(prepared, run)),
            *([callbacks.StopWhenNoBetter(patience)] if patience else []),
        ],
        stage_loss=loss,
        paths=run.paths,
        order=args.optimization.train_sampling_strategy,
        with_accuracy=args.output.compute_accuracy,
        stop_requested=run.stop_requested,
    )
    return steps.train_to_the_end(trainer, args, run, resume)


def loss(network: nn.Module, batch: dict[str, Any], *, with_correct: bool = False) -> LossParts:
    """Cross-entropy over the labelled tokens of a batch. The head makes logits for those positions and no
    others.
    """
    inputs = {name: value for name, value in batch.items() if name not in _NOT_FOR_MODEL}
    logits_BKV = network(**inputs, logits_to_keep=batch["positions_K"], use_cache=False).logits
    logits_NV, targets_N = logits_BKV.flatten(0, 1), batch["targets_BK"].flatten()
    correct = num_correct(logits_NV, targets_N) if with_correct else None
    return LossParts(cross_entropy_sum(logits_NV, targets_N), correct)


_NOT_FOR_MODEL = ("positions_K", "targets_BK", "num_targets", "num_tokens")
