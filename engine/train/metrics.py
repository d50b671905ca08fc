"""Exact sums over an evaluation set: loss, perplexity, token accuracy. Every target counts once, whatever
its batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.train.losses import LossParts


@dataclass(frozen=True)
class Tally:
    """Sums that add up: nats of loss, targets, targets got right."""

    total: float = 0.0
    num_targets: int = 0
    num_correct: int = 0

    @staticmethod
    def of(parts: LossParts, batch: dict[str, Any]) -> Tally:
        correct = 0 if parts.correct is None else int(parts.correct)
        return Tally(float(parts.total), batch["num_targets"], correct)

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.total + other.total,
            self.num_targets + other.num_targets,
            self.num_correct + other.num_correct,
        )

    def metrics(self, prefix: str, *, accuracy: bool) -> dict[str, float]:
        """`PREFIX_loss` in nats per target, its exponential as `PREFIX_perplexity`, `PREFIX_accuracy` of 0
        to 1.
        """
        loss = self.total / self.num_targets if self.num_targets else math.nan
        found = {f"{prefix}_loss": loss, f"{prefix}_perplexity": math.exp(min(loss, 700.0))}
        if accuracy:
            found[f"{prefix}_accuracy"] = self.num_correct / max(self.num_targets, 1)
        return found


def mean_logged_loss(history: Sequence[dict[str, Any]]) -> float | None:
    """The mean training loss over all steps that a log covers, each step weighing the same. None without a
    log.
    """
    total, last = 0.0, 0
    for entry in history:
        if "loss" in entry:
            total += entry["loss"] * (entry["step"] - last)
            last = entry["step"]
    return total / last if last else None
