"""Losses as pure functions: tensors in, tensors out.

No model, no arguments, no logging. Only positions that carry a label are scored: the caller asks the model
for the logits of those rows alone (see `labelled_rows`). Try: pytest tests/train/test_losses.py
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

IGNORE = -100
# Rows of logits turned into float32 at a time: 2048 x 152k x 4 bytes = 1.2 GB, whatever the batch.
_CHUNK_ROWS = 2048

# B batch, L length, K kept positions, N scored tokens, V vocabulary


class LossParts(NamedTuple):
    """What a stage's loss gives for one batch: the sum over its targets (nats), and what it got right."""

    total: torch.Tensor
    correct: torch.Tensor | None = None


def labelled_rows(labels_BL: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the model must predict, and what. Returns (positions_K, targets_BK), both int64.

    Position p predicts the label at p + 1. A position is kept where any row of the batch has a label there;
    in `targets_BK` the rows that have none hold -100. Without padding B is 1 and nothing is kept in vain.
    """
    shifted_BL = labels_BL[:, 1:]
    positions_K = (shifted_BL != IGNORE).any(dim=0).nonzero()[:, 0]
    return positions_K, shifted_BL[:, positions_K]


def cross_entropy_sum(logits_NV: torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
    """Sum over the scored tokens of -log p(target), in nats, as a float32 scalar. Targets of -100 count
    nothing.

    The gradient is made in the forward pass, chunk by chunk in float32, so that no float32 copy of all
    logits exists.
    """
    return _CrossEntropySum.apply(logits_NV, targets_N)


def num_correct(logits_NV: torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
    """How many scored tokens the most likely token gets right, as an int64 scalar."""
    return (logits_NV.argmax(dim=-1) == targets_N).sum()


class _CrossEntropySum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits_NV: torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float32, device=logits_NV.device)
        wants_gradient = ctx.needs_input_grad[0]
        gradient_NV = torch.empty_like(logits_NV) if wants_gradient else None
        for start in range(0, logits_NV.shape[0], _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            log_p_nV = torch.log_softmax(logits_NV[rows].float(), dim=-1)
            targets_n = targets_N[rows]
            scored_n = targets_n != IGNORE
            index_n1 = targets_n.clamp_min(0)[:, None]
            total -= (log_p_nV.gather(1, index_n1)[:, 0] * scored_n).sum()
            if gradient_NV is not None:
                gradient_nV = log_p_nV.exp_()
                gradient_nV.scatter_add_(1, index_n1, torch.full_like(index_n1, -1, dtype=gradient_nV.dtype))
                gradient_NV[rows] = gradient_nV.mul_(scored_n[:, None])
        ctx.save_for_backward(gradient_NV)
        return total

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        (gradient_NV,) = ctx.saved_tensors
        return gradient_NV * upstream.to(gradient_NV.dtype), None
