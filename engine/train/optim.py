"""The optimiser over what trains, and a rehearsal of it before anything is loaded.

Schedules and the known optimisers are transformers'; which parameter decays is decided here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

import torch
from torch import nn
from transformers import Trainer, TrainingArguments, get_scheduler

from engine.errors import ArgError, Problem


def build_optimizer(network: nn.Module, arguments: TrainingArguments) -> torch.optim.Optimizer:
    """An optimiser over every parameter that trains. Vectors (norms, biases) never decay; matrices do.

    Two groups at most, in the order of the model's parameters, so that a saved state fits the next attempt.
    """
    matrices, vectors = [], []
    for parameter in network.parameters():
        if parameter.requires_grad:
            (matrices if parameter.ndim > 1 else vectors).append(parameter)
    groups = [
        {"params": matrices, "weight_decay": arguments.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return _build([group for group in groups if group["params"]], arguments)


def check(arguments: TrainingArguments) -> None:
    """Build optimiser and schedule for one number. Raises ArgError where their extra arguments do not fit."""
    try:
        optimizer = _build([nn.Parameter(torch.zeros(1))], arguments)
    except (TypeError, ValueError) as error:
        raise ArgError([Problem("optim_args", f"{arguments.optim} does not take them: {error}")]) from error
    try:
        get_scheduler(
            arguments.lr_scheduler_type,
            optimizer=optimizer,
            num_warmup_steps=arguments.get_warmup_steps(100),
            num_training_steps=100,
            scheduler_specific_kwargs=arguments.lr_scheduler_kwargs,
        )
    except (TypeError, ValueError, KeyError) as error:
        message = f"{arguments.lr_scheduler_type.value} needs other arguments: {error}"
        raise ArgError([Problem("lr_scheduler_kwargs", message)]) from error


def _build(groups: Iterable, arguments: TrainingArguments) -> torch.optim.Optimizer:
    kind, settings = Trainer.get_optimizer_cls_and_kwargs(arguments)
    # The library reads optim_args for a few optimisers and drops them for the others.
    return kind(groups, **{**settings, **_parse(arguments.optim_args)})


def _parse(text: str | None) -> dict[str, object]:
    """`a=1,b=(0.9,0.95)` -> {"a": 1, "b": (0.9, 0.95)}. Raises ValueError where it is no list of
    name=value.
    """
    if not text:
        return {}
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        return {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords if not call.args}
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{text!r} is not a list of name=value") from error
