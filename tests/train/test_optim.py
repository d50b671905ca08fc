"""What decays, and what the extra arguments of an optimiser and a schedule may be."""

from __future__ import annotations

import pytest
from torch import nn

from engine.errors import ArgError
from engine.train.arguments import training_arguments
from engine.train.optim import build_optimizer
from tests.train.support import train_args


def test_matrices_decay_and_vectors_do_not(tmp_path):
    network = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2), nn.Linear(2, 2).requires_grad_(False))
    optimizer = build_optimizer(network, training_arguments(train_args(tmp_path, weight_decay=0.1), tmp_path))
    decay = {
        tuple(p.shape): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]
    }
    assert decay == {(2, 3): 0.1, (2,): 0.0}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 4


def test_extra_arguments_reach_the_optimiser(tmp_path):
    arguments = training_arguments(
        train_args(tmp_path, optim="sgd", optim_args="momentum=0.9,nesterov=True"), tmp_path
    )
    (group, *_) = build_optimizer(nn.Linear(2, 2), arguments).param_groups
    assert group["momentum"] == 0.9 and group["nesterov"] is True


@pytest.mark.parametrize("extra", ["bogus=1", "momentum", "momentum=fast"])
def test_extra_arguments_that_do_not_fit(tmp_path, extra):
    with pytest.raises(ArgError, match="optim_args"):
        training_arguments(train_args(tmp_path, optim="sgd", optim_args=extra), tmp_path)


@pytest.mark.parametrize(
    "optim", ["adamw_torch_fused", "adamw_torch", "adafactor", "sgd", "adagrad", "rmsprop"]
)
def test_every_optimiser_on_offer_is_built(tmp_path, optim):
    arguments = training_arguments(train_args(tmp_path, optim=optim), tmp_path)
    built = build_optimizer(nn.Linear(2, 2), arguments)
    assert type(built).__name__.lower() in (optim, optim.split("_")[0])


def test_every_schedule_on_offer_is_built(tmp_path):
    from engine.schema.optimization import SCHEDULES

    extra = {
        "cosine_with_min_lr": {"min_lr": 1e-6},
        "cosine_warmup_with_min_lr": {"min_lr": 1e-6},
        "warmup_stable_decay": {"num_decay_steps": 10},
    }
    for name in SCHEDULES:
        changes = {"lr_scheduler_type": name, "lr_scheduler_kwargs": extra.get(name)}
        made = training_arguments(train_args(tmp_path, eval_strategy="epoch", **changes), tmp_path)
        assert made.lr_scheduler_type == name
