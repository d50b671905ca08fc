"""How surprised a model is by labelled text: loss, perplexity and token accuracy, exact over all tokens.

Every labelled token weighs the same, so that no figure depends on the batch size. B rows, L length, K kept
positions, V vocabulary, N labelled tokens.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

IGNORED = -100
CHUNK = 1024
"""labelled positions turned into float32 at a time, which bounds the memory a large vocabulary takes"""


@dataclass(frozen=True)
class TokenScores:
    """Sums over labelled tokens; add them up freely. `nll` in nats."""

    nll: float = 0.0
    correct: int = 0
    tokens: int = 0
    rows: int = 0

    def __add__(self, other: TokenScores) -> TokenScores:
        return TokenScores(
            self.nll + other.nll,
            self.correct + other.correct,
            self.tokens + other.tokens,
            self.rows + other.rows,
        )

    @property
    def loss(self) -> float:
        return self.nll / self.tokens if self.tokens else math.nan

    @property
    def accuracy(self) -> float:
        return self.correct / self.tokens if self.tokens else math.nan

    @property
    def perplexity(self) -> float:
        return math.exp(self.loss) if self.loss < 700 else math.inf


def score_rows(model: Any, table: Any, *, batch_size: int, pad_token_id: int) -> Iterator[TokenScores]:
    """The scores of one batch after another; the longest rows come first: memory runs out early or never."""
    order = np.argsort(-np.asarray(table.lengths), kind="stable")
    keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
    for start in range(0, len(order), batch_size):
        rows = [table[int(index)] for index in order[start : start + batch_size]]
        yield score_batch(model, rows, pad_token_id=pad_token_id, keeps=keeps)


def score_batch(model: Any, rows: Sequence[dict[str, Any]], *, pad_token_id: int, keeps: bool) -> TokenScores:
    """Scores of rows ({"input_ids", "labels"}). `keeps`: the model's forward takes logits_to_keep."""
    width = max(len(row["input_ids"]) for row in rows)
    ids_BL = torch.full((len(rows), width), pad_token_id)
    mask_BL = torch.zeros((len(rows), width), dtype=torch.long)
    next_BL = torch.full((len(rows), width), IGNORED)
    for index, row in enumerate(rows):
        size = len(row["input_ids"])
        ids_BL[index, :size] = torch.tensor(row["input_ids"])
        mask_BL[index, :size] = 1
        next_BL[index, : size - 1] = torch.tensor(row["labels"][1:])
    # The vocabulary projection is the widest layer: it is applied only where some row has a label.
    kept_K = (next_BL != IGNORED).any(dim=0).nonzero().squeeze(1)
    if not len(kept_K):
        return TokenScores(rows=len(rows))
    options = {"logits_to_keep": kept_K.to(model.device)} if keeps else {}
    with torch.inference_mode():
        logits_BKV = model(
            input_ids=ids_BL.to(model.device),
            attention_mask=mask_BL.to(model.device),
            use_cache=False,
            **options,
        ).logits
        if not keeps:
            logits_BKV = logits_BKV[:, kept_K.to(model.device)]
        nll, correct, tokens = _sums(logits_BKV, next_BL[:, kept_K].to(model.device))
    return TokenScores(nll, correct, tokens, len(rows))


def _sums(logits_BKV: torch.Tensor, next_BK: torch.Tensor) -> tuple[float, int, int]:
    labelled_BK = next_BK != IGNORED
    where_N2 = labelled_BK.nonzero()
    nll, correct = 0.0, 0
    for part_N2 in where_N2.split(CHUNK):
        row_N, position_N = part_N2.unbind(1)
        scores_NV, target_N = logits_BKV[row_N, position_N].float(), next_BK[row_N, position_N]
        nll += float(F.cross_entropy(scores_NV, target_N, reduction="none").double().sum())
        correct += int((scores_NV.argmax(dim=-1) == target_N).sum())
    return nll, correct, len(where_N2)
