"""Packed rows learn what separate rows learn: the same loss and the same gradient, whatever the attention;
and the contaminated kind is a plain concatenation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.data.collate import PackedCollator, PaddedCollator, PaddingFreeCollator
from engine.models import attention as segment
from engine.models.adapters import apply_adapter
from engine.models.load import load_model
from engine.stages.sft import loss
from engine.train.batches import LossReady
from tests.train.support import learnable_rows, train_args

Row = dict[str, Any]
ROWS = [learnable_rows(9)[index] for index in range(9)]
ATTENTION = [segment.NAME, "sdpa", "eager"]


def network(model: Path, method: str, attention: str) -> torch.nn.Module:
    args = train_args(model, finetuning_type=method)
    torch.manual_seed(0)
    loaded = load_model(args.model, dtype=torch.float32, attention=attention, trainable=True)
    trained = apply_adapter(loaded, args.adapter, args.model, pure=False)
    if method == "lora":
        # A fresh adapter adds nothing: with its B matrices filled it takes part.
        for name, parameter in trained.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.05)
    return trained


def joined(rows: list[Row], *, lengths: list[int]) -> Row:
    return {name: [token for row in rows for token in row[name]] for name in ("input_ids", "labels")} | {
        "lengths": lengths
    }


def packed(rows: list[Row], *, isolated: bool = True) -> list[Row]:
    """Two packed rows: five sequences, then four."""
    packs = []
    for part in (rows[:5], rows[5:]):
        sizes = [len(row["input_ids"]) for row in part]
        packs.append(joined(part, lengths=sizes if isolated else [sum(sizes)]))
    return packs


def score(model: torch.nn.Module, collate: Any, rows: list[Row]) -> tuple[float, int, torch.Tensor]:
    """Mean loss, targets and the gradient of everything that trains."""
    model.zero_grad()
    batch = LossReady(collate)(rows)
    total = loss(model, batch).total / batch["num_targets"]
    total.backward()
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return total.item(), batch["num_targets"], torch.cat(gradients)


def one_by_one(model: torch.nn.Module) -> tuple[float, int, torch.Tensor]:
    """Each row alone: the truth that every way of joining them must give."""
    sums, counts, gradients = [], [], []
    for row in ROWS:
        mean, count, gradient = score(model, PaddedCollator(0), [row])
        sums.append(mean * count)
        counts.append(count)
        gradients.append(gradient * count)
    return sum(sums) / sum(counts), sum(counts), sum(gradients, torch.zeros(())) / sum(counts)


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("method", ["full", "lora"])
def test_packed_rows_give_the_loss_of_separate_rows(tiny_random: Path, method: str, attention: str) -> None:
    model = network(tiny_random, method, attention)
    expected, num_targets, gradient = one_by_one(model)
    collators = [PackedCollator(0), PaddingFreeCollator()]
    for collate in collators[1:] if attention == segment.NAME else collators:
        found = score(model, collate, packed(ROWS))
        assert found[0] == pytest.approx(expected, abs=1e-6)
        assert found[1] == num_targets
        assert torch.allclose(found[2], gradient, atol=1e-6)


@pytest.mark.parametrize("attention", ATTENTION)
def test_contaminated_packing_is_a_plain_concatenation(tiny_random: Path, attention: str) -> None:
    model = network(tiny_random, "full", attention)
    collate = PaddingFreeCollator() if attention == segment.NAME else PaddedCollator(0)
    mixed = score(model, collate, packed(ROWS, isolated=False))
    # Spelled out: two long texts, nothing told of where one sequence ends.
    plain = [{name: row[name] for name in ("input_ids", "labels")} for row in packed(ROWS)]
    expected = score(network(tiny_random, "full", "eager"), PaddedCollator(0), plain)
    assert mixed[0] == pytest.approx(expected[0], abs=1e-6)
    assert mixed[1] == expected[1]
    assert abs(mixed[0] - one_by_one(model)[0]) > 1e-4
