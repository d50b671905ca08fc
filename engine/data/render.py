"""Examples -> rendered text with the spans that are learnt. The seam between rows and templates; no tokens
here.

Try: tunesmith data preview identity --template qwen3
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.data.example import Example
from engine.templates.base import Rendered
from engine.templates.chat import ChatTemplate


def render(examples: Sequence[Example], chat: ChatTemplate) -> list[Rendered | str]:
    """One result per example: its text and turns, or the reason why the template cannot take it."""
    return chat.render([example.to_conversation() for example in examples])


def learnt_spans(rendered: Rendered, *, mask_history: bool, train_on_prompt: bool) -> list[tuple[int, int]]:
    """Character ranges whose tokens carry a loss: every answer with its stop, the last one only, or
    everything.
    """
    if train_on_prompt:
        return [(0, len(rendered.text))]
    turns = rendered.turns[-1:] if mask_history else rendered.turns
    return [(turn.answer, turn.stop) for turn in turns]


def spans(
    rendered: Rendered, *, mask_history: bool = False, train_on_prompt: bool = False
) -> list[tuple[int, int, bool]]:
    """The whole text as consecutive (start, end, learn) pieces, for people to look at."""
    pieces = []
    position = 0
    for start, end in learnt_spans(rendered, mask_history=mask_history, train_on_prompt=train_on_prompt):
        pieces += [(position, start, False), (start, end, True)]
        position = end
    pieces.append((position, len(rendered.text), False))
    return [piece for piece in pieces if piece[0] < piece[1]]
