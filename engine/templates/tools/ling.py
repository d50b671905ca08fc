"""Ling 2 (bailing_v2): calls as Qwen writes them; the list of tools ends by turning thinking off."""

from __future__ import annotations

from collections.abc import Sequence

from engine.templates.tools import Tool, qwen

LEAD = qwen.LEAD
HEAD = qwen.HEAD.removeprefix("\n")
TAIL = qwen.TAIL + "\ndetailed thinking off"
write_calls, parse_calls = qwen.write_calls, qwen.parse_calls


def describe(tools: Sequence[Tool]) -> list[str]:
    return [HEAD, *qwen.describe(tools)[1:-1], TAIL]
