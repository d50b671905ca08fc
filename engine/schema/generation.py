"""How answers are sampled in chat, evaluation and the API."""

from __future__ import annotations

from dataclasses import dataclass

from engine.schema.arg import arg


@dataclass(frozen=True)
class GenerationArgs:
    do_sample: bool = arg(True, "Sample; off = always the likeliest token.", label="Sample", tier="common")
    temperature: float = arg(
        0.95, "Higher is more varied; 0 = greedy.", label="Temperature", ge=0, tier="basic"
    )
    top_p: float = arg(
        0.7, "Sample from the likeliest tokens of this mass.", label="Top-p", gt=0, le=1, tier="basic"
    )
    top_k: int = arg(50, "Sample from the K likeliest tokens; 0 = all.", label="Top-k", ge=0, tier="common")
    max_new_tokens: int = arg(1024, "Longest answer in tokens.", label="Max new tokens", ge=1, tier="basic")
    repetition_penalty: float = arg(1.0, "Above 1 discourages repeating.", label="Repetition penalty", gt=0)
    num_beams: int = arg(1, "Beams of a beam search; 1 = none.", label="Beams", ge=1)
    length_penalty: float = arg(1.0, "Above 0 favours long beams.", label="Length penalty")
    skip_special_tokens: bool = arg(
        True, "Leave special tokens out of the text.", label="Hide special tokens"
    )
