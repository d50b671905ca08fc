"""Messages as turns: what is asked, or what tools gave back, and what is answered to it. No formats here.

Try: python -c "from engine.templates.turns import *; print(TurnIn('Hi', 'Hello'))"
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.errors import DataError

Call = tuple[str, Mapping[str, Any]]


class TurnIn(NamedTuple):
    """One prompt and its answer. A plain (prompt, answer) pair will do where there are no tools.

    results: what tools gave back, in place of a prompt. thought: reasoning that the data keeps apart from
    the answer. calls: (name, arguments) of the functions that the answer calls.
    """

    prompt: str = ""
    answer: str = ""
    thought: str = ""
    calls: tuple[Call, ...] = ()
    results: tuple[str, ...] = ()


def split_messages(messages: Sequence[Mapping[str, Any]]) -> tuple[str, list[TurnIn], TurnIn | None]:
    """(system text, finished turns, open prompt) of role/content messages; the open prompt is None behind a
    last answer.

    Raises DataError unless a user's message or tool results stand before each answer, a user's message first.
    """
    has_system = bool(messages) and messages[0]["role"] == "system"
    system = _text(messages[0], "content") if has_system else ""
    turns: list[TurnIn] = []
    prompt: TurnIn | None = None
    for number, message in enumerate(messages[1:] if has_system else messages, 1):
        role = message["role"]
        if role == "assistant" and prompt is not None:
            turns.append(
                prompt._replace(
                    answer=_text(message, "content"),
                    thought=_text(message, "reasoning_content"),
                    calls=tuple(_read_call(call, number) for call in message.get("tool_calls") or ()),
                )
            )
            prompt = None
        elif role == "user" and prompt is None:
            prompt = TurnIn(_text(message, "content"))
        elif role == "tool" and turns and (prompt is None or prompt.results):
            prompt = TurnIn(results=(*(prompt.results if prompt else ()), _text(message, "content")))
        else:
            expected = "user" if prompt is None else "assistant"
            raise DataError(f"message {number} is from {role!r} where {expected} is expected")
    return system, turns, prompt


def _text(message: Mapping[str, Any], key: str) -> str:
    """A call may come with "content": null."""
    return message.get(key) or ""


def _read_call(call: Mapping[str, Any], number: int) -> Call:
    """Clients of the API send arguments as JSON text, datasets as an object."""
    function = call.get("function", call)
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError as error:
            raise DataError(
                f"message {number}: arguments of {function['name']!r} are no JSON: {error}"
            ) from None
    if not isinstance(arguments, Mapping):
        raise DataError(f"message {number}: arguments of {function['name']!r} are no object")
    return function["name"], arguments
