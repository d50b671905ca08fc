"""Our arguments -> transformers.TrainingArguments, in the training process only.

Logging, progress, token counts and the end of a run are ours; what is switched off here is switched off for
that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainingArguments

from engine.errors import ArgError, Problem, UserError
from engine.train import optim

if TYPE_CHECKING:
    from engine.schema.commands import TrainArgs


def training_arguments(args: TrainArgs, output_dir: Path) -> TrainingArguments:
    """The arguments of the Trainer. `args` is resolved: no value in it still waits for a default.

    Raises ArgError where the extra arguments of the optimiser or of the schedule do not fit.
    """
    optimization, output, launch = args.optimization, args.output, args.launch
    arguments = TrainingArguments(
        output_dir=str(output_dir),
        per_device_train_batch_size=optimization.per_device_train_batch_size,
        per_device_eval_batch_size=optimization.per_device_eval_batch_size,
        gradient_accumulation_steps=optimization.gradient_accumulation_steps,
        num_train_epochs=optimization.num_train_epochs,
        max_steps=optimization.max_steps,
        max_grad_norm=optimization.max_grad_norm,
        seed=optimization.seed,
        data_seed=optimization.data_seed,
        full_determinism=optimization.full_determinism,
        dataloader_num_workers=launch.dataloader_num_workers,
        dataloader_pin_memory=launch.dataloader_pin_memory,
        dataloader_drop_last=launch.dataloader_drop_last,
        ddp_timeout=launch.ddp_timeout,
        use_cpu=launch.use_cpu,
        run_name=output.run_name,
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        logging_nan_inf_filter=False,
        include_num_input_tokens_seen="no",
        remove_unused_columns=False,
        **_optimizer(args),
        **_precision(args),
        **_intervals(args),
    )
    if arguments.world_size > 1:
        raise UserError("a run is one process so far; start it without torchrun or another launcher.")
    # With several GPUs in sight the library would split every batch over them, rows and boundaries apart.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    optim.check(arguments)
    return arguments


def _optimizer(args: TrainArgs) -> dict[str, Any]:
    optimization = args.optimization
    return {
        "learning_rate": optimization.learning_rate,
        "lr_scheduler_type": optimization.lr_scheduler_type,
        "lr_scheduler_kwargs": optimization.lr_scheduler_kwargs,
        "warmup_steps": optimization.warmup_steps,
        "optim": optimization.optim,
        "optim_args": optimization.optim_args,
        "weight_decay": optimization.weight_decay,
        "adam_beta1": optimization.adam_beta1,
        "adam_beta2": optimization.adam_beta2,
        "adam_epsilon": optimization.adam_epsilon,
    }


def _precision(args: TrainArgs) -> dict[str, Any]:
    optimization = args.optimization
    recompute = bool(optimization.gradient_checkpointing) and not optimization.disable_gradient_checkpointing
    return {
        # Weights that are bfloat16 themselves need no autocast.
        "bf16": optimization.bf16 and not optimization.pure_bf16,
        "fp16": optimization.fp16,
        "tf32": optimization.tf32,
        "activation_checkpointing": recompute,
        # The other variant needs inputs that require gradients, which frozen embeddings do not give.
        "activation_checkpointing_kwargs": {"use_reentrant": False} if recompute else None,
    }


def _intervals(args: TrainArgs) -> dict[str, Any]:
    output = args.output
    best = output.load_best_model_at_end or args.optimization.early_stopping_steps is not None
    metric = output.metric_for_best_model or ("eval_loss" if best or output.save_strategy == "best" else None)
    each = args.data.eval_dataset if args.data.eval_on_each_dataset else ()
    _check_metric(metric, with_accuracy=output.compute_accuracy, datasets=each)
    return {
        "logging_strategy": output.logging_strategy,
        "logging_steps": output.logging_steps,
        "logging_first_step": output.logging_first_step,
        "save_strategy": output.save_strategy,
        "save_steps": output.save_steps,
        "save_total_limit": output.save_total_limit,
        "save_only_model": output.save_only_model,
        "eval_strategy": output.eval_strategy,
        "eval_steps": output.eval_steps,
        "eval_on_start": output.eval_on_start,
        "load_best_model_at_end": output.load_best_model_at_end,
        "metric_for_best_model": metric,
        "greater_is_better": output.greater_is_better,
    }


def _check_metric(name: str | None, *, with_accuracy: bool, datasets: Sequence[str]) -> None:
    """Raises ArgError for a measure that no evaluation gives: the run would end at its first one."""
    measures = ["loss", "perplexity", *(["accuracy"] if with_accuracy else [])]
    known = [*measures, *(f"{dataset}_{measure}" for dataset in datasets for measure in measures)]
    if name is None or name.removeprefix("eval_") in known:
        return
    hint = "" if with_accuracy else " With compute_accuracy=true also eval_accuracy."
    message = (
        f"{name} is measured by no evaluation; choose {' or '.join(f'eval_{one}' for one in known)}.{hint}"
    )
    raise ArgError([Problem("metric_for_best_model", message)])
