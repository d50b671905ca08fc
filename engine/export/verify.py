"""Proof that two models are the same function: their logits on probe prompts, and the tokens they would pick.

A probe is a prompt and the reference's own greedy answer to it; the other model reads the same ids. Comparing
under the reference's answer asks the greedy question at every step: no early near-tie hides the later ones.
L length, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

QUESTIONS = (
    "Who are you?",
    "What is 12 + 7? Explain in one sentence.",
    "请用一句话介绍你自己。",
    "Write a Python function that reverses a list.",
)
ANSWER_TOKENS = 16

TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest difference of a logit, as a share of the largest logit. Merging rounds each weight once to its
number format (23, 10 or 7 bits of fraction); the unmerged model rounds each layer's two products instead."""


@dataclass(frozen=True)
class Probe:
    """What a model said: ids = prompt and greedy answer, logits_LV in float32 on the CPU."""

    ids: list[int]
    prompt_size: int
    logits_LV: torch.Tensor


@dataclass(frozen=True)
class Difference:
    """How far a model is from the reference. `limit` is the tolerance in logits; `greedy_changed` counts
    answer tokens that it would pick differently although the reference was not undecided between the two."""

    max_abs: float
    limit: float
    greedy_changed: int
    greedy_tokens: int

    @property
    def ok(self) -> bool:
        return self.max_abs <= self.limit and self.greedy_changed == 0

    def __str__(self) -> str:
        same = self.greedy_tokens - self.greedy_changed
        return (
            f"largest logit difference {self.max_abs:.3g} (allowed {self.limit:.3g}), "
            f"{same} of {self.greedy_tokens} greedy tokens equal"
        )


def ask(model: Any, prompts: Sequence[list[int]]) -> list[Probe]:
    """The reference's probes: its greedy answers to the prompts, and its logits on them."""
    found = []
    for prompt in prompts:
        ids = prompt + _greedy(model, prompt)
        found.append(Probe(ids, len(prompt), _logits(model, ids)))
    return found


def repeat(model: Any, reference: Sequence[Probe]) -> list[Probe]:
    """Another model's logits on the reference's ids."""
    return [Probe(probe.ids, probe.prompt_size, _logits(model, probe.ids)) for probe in reference]


def compare(reference: Sequence[Probe], other: Sequence[Probe], *, dtype: torch.dtype) -> Difference:
    """The worst difference over all probes, judged by the tolerance of `dtype`."""
    largest = max(1.0, max(float(probe.logits_LV.abs().max()) for probe in reference))
    limit = TOLERANCE[dtype] * largest
    max_abs, changed, tokens = 0.0, 0, 0
    for mine, yours in zip(reference, other, strict=True):
        difference = float((mine.logits_LV - yours.logits_LV).abs().max())
        max_abs = max(max_abs, difference if difference == difference else float("inf"))
        steps = slice(mine.prompt_size - 1, len(mine.ids) - 1)
        mine_LV, yours_LV = mine.logits_LV[steps], yours.logits_LV[steps]
        picked_L1 = yours_LV.argmax(dim=-1, keepdim=True)
        margin_L1 = mine_LV.max(dim=-1, keepdim=True).values - mine_LV.gather(-1, picked_L1)
        changed += int((margin_L1 > limit).sum())
        tokens += len(margin_L1)
    return Difference(max_abs, limit, changed, tokens)


def _greedy(model: Any, prompt: list[int]) -> list[int]:
    """The likeliest tokens, by hand: `generate` would mix in the sampling settings the model ships with."""
    answer: list[int] = []
    ids_1L, cache = torch.tensor([prompt], device=model.device), None
    with torch.inference_mode():
        for _ in range(ANSWER_TOKENS):
            out = model(input_ids=ids_1L, past_key_values=cache, use_cache=True)
            ids_1L, cache = out.logits[:, -1:].argmax(dim=-1), out.past_key_values
            answer.append(int(ids_1L))
    return answer


def _logits(model: Any, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        ids_1L = torch.tensor([ids], device=model.device)
        logits_LV: torch.Tensor = model(input_ids=ids_1L, use_cache=False).logits[0].float().cpu()
    return logits_LV
