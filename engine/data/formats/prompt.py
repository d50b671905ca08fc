"""Prompts: conversations that stop where the model has to speak (ppo, grpo). An answer that the data gives is
kept as the reference, for rewards that compare with it.
"""

from __future__ import annotations

from engine.data.example import Message
from engine.data.formats.tools import write_calls


def reference_of(answer: Message) -> str:
    """The expected answer as text; calls follow the words, as JSON."""
    return answer.content + (write_calls(answer.tool_calls) if answer.tool_calls else "")
