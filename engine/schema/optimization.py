"""How the parameters move: batch, rate, schedule, precision, determinism."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.schema.arg import arg

SCHEDULES = (
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup",
    "inverse_sqrt",
    "reduce_lr_on_plateau", "cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay",
)  # fmt: skip
OPTIMIZERS = ("adamw_torch_fused", "adamw_torch", "adafactor", "sgd", "adagrad", "rmsprop")


@dataclass(frozen=True)
class OptimizationArgs:
    learning_rate: float = arg(5e-5, "Peak learning rate.", label="Learning rate", gt=0, tier="basic")
    num_train_epochs: float = arg(3.0, "Passes over the data.", label="Epochs", gt=0, tier="basic")
    max_steps: int = arg(
        -1,
        "Stop after this many optimiser steps; -1 lets the epochs decide.",
        label="Max steps",
        ge=-1,
        tier="common",
    )
    per_device_train_batch_size: int = arg(
        8, "Sequences per device and step.", label="Batch / device", ge=1, tier="basic"
    )
    gradient_accumulation_steps: int = arg(
        1, "Batches added up before each optimiser step.", label="Grad. accumulation", ge=1, tier="basic"
    )
    per_device_eval_batch_size: int = arg(8, "Sequences per device in evaluation.", label="Eval batch", ge=1)
    lr_scheduler_type: str = arg(
        "linear",
        "Shape of the learning rate after warm-up.",
        label="LR schedule",
        choices=SCHEDULES,
        tier="basic",
    )
    lr_scheduler_kwargs: dict[str, Any] | None = arg(
        None, "Arguments of the schedule, as a mapping.", label="Schedule arguments", tier="expert"
    )
    warmup_steps: float = arg(
        0.0,
        "Warm-up: a share of all steps below 1, or a number of steps.",
        label="Warm-up",
        ge=0,
        tier="basic",
    )
    optim: str = arg("adamw_torch_fused", "Optimiser.", label="Optimiser", choices=OPTIMIZERS, tier="common")
    optim_args: str | None = arg(
        None, "Arguments of the optimiser, as key=value,...", label="Optimiser arguments", tier="expert"
    )
    weight_decay: float = arg(0.0, "Decoupled weight decay.", label="Weight decay", ge=0, tier="common")
    adam_beta1: float = arg(0.9, "Decay of the first moment.", label="Adam beta 1", ge=0, lt=1)
    adam_beta2: float = arg(0.999, "Decay of the second moment.", label="Adam beta 2", ge=0, lt=1)
    adam_epsilon: float = arg(1e-8, "Added to the denominator.", label="Adam epsilon", gt=0)
    max_grad_norm: float = arg(
        1.0, "Clip the gradient to this norm; 0 = never.", label="Grad. clip norm", ge=0, tier="basic"
    )
    bf16: bool = arg(
        False,
        "Compute in bfloat16 where the machine has it; weights stay in float32.",
        label="bf16",
        tier="common",
    )
    fp16: bool = arg(False, "Compute in float16 with loss scaling.", label="fp16", tier="common")
    pure_bf16: bool = arg(False, "Keep the weights themselves in bfloat16.", label="Pure bf16")
    tf32: bool | None = arg(None, "TF32 matrix products on NVIDIA devices that have them.", label="TF32")
    gradient_checkpointing: bool | None = arg(
        None,
        "Recompute activations to save memory. Empty: on with a GPU, off without.",
        label="Grad. checkpointing",
    )
    disable_gradient_checkpointing: bool = arg(
        False, "Never recompute activations.", label="No grad. checkpointing", tier="expert"
    )
    train_sampling_strategy: str = arg(
        "random",
        "Order of the rows: shuffled, as they stand, or grouped by length.",
        label="Row order",
        choices=("random", "sequential", "group_by_length"),
    )
    disable_shuffling: bool = arg(
        False, "Same as the row order sequential.", label="No shuffling", tier="expert"
    )
    early_stopping_steps: int | None = arg(
        None, "Stop after this many evaluations without a better result.", label="Early stopping", ge=1
    )
    seed: int = arg(42, "Seed of everything random.", label="Seed", ge=0, tier="basic")
    data_seed: int | None = arg(None, "Seed of the row order. Empty: the seed.", label="Data seed", ge=0)
    full_determinism: bool = arg(
        False, "Slower kernels that always give the same bits.", label="Full determinism"
    )
