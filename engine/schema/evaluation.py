"""What `tunesmith eval` measures."""

from __future__ import annotations

from dataclasses import dataclass

from engine.schema.arg import arg


@dataclass(frozen=True)
class EvaluationArgs:
    batch_size: int = arg(4, "Sequences at a time.", label="Batch size", ge=1, tier="basic")
    predict: bool = arg(
        True,
        "Generate an answer for each row and score it with BLEU and ROUGE.",
        label="Write predictions",
        tier="basic",
    )
    seed: int = arg(42, "Seed of sampling and of the choice of rows.", label="Seed", ge=0)
    use_cpu: bool = arg(False, "Stay off the GPU.", label="CPU only", tier="common")
