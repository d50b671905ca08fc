"""Loss, perplexity and accuracy against figures worked out by hand and against one row at a time."""

from __future__ import annotations

import math
from functools import reduce
from operator import add
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from engine.evaluate.loss import TokenScores, score_batch, score_rows


class Fixed:
    """Gives every position the same distribution over four tokens: 1/10, 2/10, 3/10, 4/10."""

    device = torch.device("cpu")

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, use_cache: bool) -> Any:
        assert not use_cache
        scores_V = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
        return SimpleNamespace(logits=scores_V.expand(*input_ids.shape, 4))

    __call__ = forward


def row(ids: list[int], learnt_from: int) -> dict[str, list[int]]:
    return {"input_ids": ids, "labels": [-100] * learnt_from + ids[learnt_from:]}


class Table(list[Any]):
    @property
    def lengths(self) -> np.ndarray:
        return np.array([len(entry["input_ids"]) for entry in self])


ROWS = Table([row([0, 1, 3], 1), row([2, 2, 2, 0, 3], 3), row([1, 1], 2)])
# Labels: 1 and 3 of the first row, 0 and 3 of the second, none of the third.
BY_HAND = -(math.log(0.2) + math.log(0.4) + math.log(0.1) + math.log(0.4))


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_figures_worked_out_by_hand_at_every_batch_size(batch_size: int) -> None:
    scores = reduce(add, score_rows(Fixed(), ROWS, batch_size=batch_size, pad_token_id=0))
    assert (scores.rows, scores.tokens, scores.correct) == (3, 4, 2)
    assert scores.loss == pytest.approx(BY_HAND / 4, abs=1e-6)
    assert scores.perplexity == pytest.approx(math.exp(BY_HAND / 4), rel=1e-5)
    assert scores.accuracy == 0.5


def test_a_label_on_the_first_token_predicts_nothing() -> None:
    assert score_batch(Fixed(), [row([1, 2], 0)], pad_token_id=0, keeps=False).tokens == 1


def test_no_label_at_all_is_no_figure() -> None:
    scores = reduce(add, score_rows(Fixed(), Table([row([1, 1], 2)]), batch_size=1, pad_token_id=0))
    assert (scores.rows, scores.tokens) == (1, 0)
    assert math.isnan(scores.loss)


def test_a_hopeless_model_has_an_infinite_perplexity_and_no_crash() -> None:
    assert TokenScores(nll=2000.0, tokens=1).perplexity == math.inf


def test_a_real_model_in_padded_batches_equals_one_row_at_a_time(tiny_random: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_random).eval()
    generator = torch.Generator().manual_seed(1)
    rows = Table(
        row(torch.randint(0, 250, (size,), generator=generator).tolist(), size // 2)
        for size in (5, 31, 12, 8)
    )
    nll, correct, tokens = 0.0, 0, 0
    for entry in rows:
        ids_1L, labels_L = torch.tensor([entry["input_ids"]]), torch.tensor(entry["labels"])
        with torch.inference_mode():
            logits_LV = model(input_ids=ids_1L, use_cache=False).logits[0]
        kept_L = labels_L[1:] != -100
        losses_L = torch.nn.functional.cross_entropy(logits_LV[:-1], labels_L[1:], reduction="none")
        nll += float(losses_L.sum())
        correct += int((logits_LV[:-1].argmax(-1) == labels_L[1:])[kept_L].sum())
        tokens += int(kept_L.sum())
    scores = reduce(add, score_rows(model, rows, batch_size=3, pad_token_id=0))
    assert (scores.tokens, scores.correct) == (tokens, correct)
    assert scores.loss == pytest.approx(nll / tokens, abs=1e-5)
    without = score_batch(model, list(rows), pad_token_id=0, keeps=False)
    assert without.nll == pytest.approx(scores.nll, abs=1e-3)
