"""What an entry holds, and which stages learn from it."""

from __future__ import annotations

from typing import Any

import pytest

from engine.data.example import Kind
from engine.data.formats.kinds import STAGES, kind_for, kind_of, misfit
from tests.data.formats import (
    spec_of,
)


@pytest.mark.parametrize(
    ("formatting", "entry", "kind", "stages"),
    [
        ("alpaca", {}, "chat", {"sft", "ppo", "grpo", "pt"}),
        ("sharegpt", {}, "chat", {"sft", "ppo", "grpo", "pt"}),
        ("openai", {}, "chat", {"sft", "ppo", "grpo", "pt"}),
        ("text", {}, "text", {"pt"}),
        ("alpaca", {"columns": {"response": None}}, "prompt", {"ppo", "grpo", "pt"}),
        ("alpaca", {"ranking": True}, "pair", {"dpo", "rm"}),
        ("openai", {"ranking": True}, "pair", {"dpo", "rm"}),
        ("alpaca", {"columns": {"kto_tag": "ok"}}, "label", {"kto"}),
    ],
)
def test_kinds_and_the_stages_they_fit(
    formatting: str, entry: dict[str, Any], kind: Kind, stages: set[str]
) -> None:
    spec = spec_of(formatting, **entry)
    assert kind_of(spec) == kind
    every = [name for names in STAGES.values() for name in names]
    assert {name for name in every if not misfit(spec, name)} == stages


def test_misfits_are_told_in_words() -> None:
    assert misfit(spec_of("alpaca", ranking=True), "sft") == (
        "holds pairs of answers (ranking: true), which the stages dpo, rm use; stage sft needs conversations"
    )
    assert misfit(spec_of("alpaca"), "dpo") == (
        "holds conversations, which the stages pt, sft, ppo, grpo use; stage dpo needs pairs of answers "
        '("ranking": true with the columns chosen and rejected)'
    )
    assert kind_for("a stage of tomorrow") == "chat"
