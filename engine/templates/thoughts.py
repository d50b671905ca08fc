"""Thoughts in answers: where they are written, taken out, or left empty, by the rules of reasoning formats.

Knows nothing of what stands around an answer.

Try: python -c "from engine.templates.thoughts import *; print(cut_thought(Format('x'), '<think>T</think>A'))"
"""

from __future__ import annotations

import re

from engine.templates.forms import REASONING, Format
from engine.templates.tools import Data
from engine.templates.turns import TurnIn


def with_thought(form: Format, turn: TurnIn) -> str:
    """The answer's words with the thought kept apart written before them. Line breaks at the thought's ends
    are dropped where the format's words bring their own.
    """
    if not turn.thought:
        return turn.answer
    opening, closing = form.thought_words
    thought = turn.thought.lstrip("\n") if opening.endswith("\n") else turn.thought
    thought = thought.rstrip("\n") if closing.startswith("\n") else thought
    return opening + thought + closing + turn.answer


def place_thought(form: Format, answer: str, thinking: bool | None, *, bare: bool) -> tuple[str, str, str]:
    """(added to the prompt, learnt before the answer's piece, the answer) by the reasoning rules."""
    if form.family not in REASONING:
        return "", "", answer
    has_thought = all(word.strip() in answer for word in form.thought_words)
    if has_thought and (bare or thinking is False):
        answer = _without_thought(form, answer)
        has_thought = False
    if bare or has_thought:
        return "", "", answer
    return ("", form.empty_thought, answer) if thinking else (form.empty_thought, "", answer)


def _without_thought(form: Format, answer: str) -> str:
    opening, closing = (word.strip() for word in form.thought_words)
    before, _, rest = answer.partition(opening)
    return before + rest.partition(closing)[2].lstrip("\n")


def split_thought(form: Format, answer: str) -> tuple[str, str]:
    """(thought with its words, the rest) of an answer."""
    opening, closing = form.thought_words
    start = answer.find(opening.strip())
    at = answer.find(closing.strip(), start) if start >= 0 else -1
    if at < 0:
        return "", answer
    words = answer[at + len(closing.strip()) :].lstrip("\n")
    return answer[: len(answer) - len(words)], words


def cut_thought(form: Format, text: str) -> tuple[str, str]:
    """(thought without its words, the rest) of what a model wrote; a thought comes first or not at all."""
    opening, closing = (word.strip() for word in form.thought_words)
    before, found, rest = text.partition(closing)
    ahead, opened, inside = before.partition(opening)
    if found and not ahead.strip() and opened:
        return inside.strip("\n"), rest.lstrip("\n")
    if found and not opened and form.family == "reasoning_close_tag_only":
        return before.strip("\n"), rest.lstrip("\n")
    return "", text


def answer_parts(form: Format, answer: str) -> list[str]:
    """An answer as parts from the data and the format's own words in it: those around its first thought, and
    those around calls.
    """
    if not answer:
        return []
    parts: list[str] = []
    thought, words = split_thought(form, answer)
    if thought:
        before, opening, rest = _cut_out(thought, form.thought_words[0])
        inside, closing, after = _cut_out(rest, form.thought_words[1])
        parts += [Data(before), opening, Data(inside), closing, Data(after)]
    if not any(word in words for word in form.tool_call_words):
        return [*parts, Data(words)]
    pieces = re.split("|".join(f"({re.escape(word)})" for word in form.tool_call_words), words)
    return parts + [piece if piece in form.tool_call_words else Data(piece) for piece in pieces if piece]


def _cut_out(text: str, word: str) -> tuple[str, str, str]:
    """Text before `word`, the word, text behind; the word without its line breaks where it stands bare."""
    return text.partition(word if word in text else word.strip())
