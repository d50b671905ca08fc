"""Conversations as a chat template takes them: calls numbered, arguments as objects or as text, thoughts left
out. Renders nothing.

Try: python -c "from engine.templates.prepare import *; print(Takes(numbers_calls=True))"
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import DataError
from engine.templates.base import Conversation
from engine.templates.locate import CLOSING_THOUGHT, OPENING_THOUGHT


@dataclass(frozen=True)
class Takes:
    """What a template takes. tools: it writes them. text_arguments: arguments of calls as JSON text.
    numbers_calls: calls carry ids that their results name. drops_thoughts: answers come without thoughts.
    """

    tools: bool = False
    text_arguments: bool = False
    numbers_calls: bool = False
    drops_thoughts: bool = False

    def prepare(self, messages: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
        """Raises DataError for arguments that are no JSON."""
        open_calls: list[str] = []
        num_calls = 0
        prepared = []
        for message in messages:
            copy = {**message, "content": message.get("content") or ""}
            if message["role"] == "assistant":
                copy = without_thought(copy) if self.drops_thoughts else copy
                calls = copy.pop("tool_calls", None) or ()
                if calls:
                    copy["tool_calls"] = [self._call(call, num_calls + n) for n, call in enumerate(calls)]
                    open_calls = [call.get("id", "") for call in copy["tool_calls"]]
                num_calls += len(calls)
            elif message["role"] == "tool" and self.numbers_calls and open_calls:
                copy.setdefault("tool_call_id", open_calls.pop(0))
            prepared.append(copy)
        return tuple(prepared)

    def _call(self, call: Mapping[str, Any], number: int) -> dict[str, Any]:
        function = call.get("function", call)
        arguments = function.get("arguments") or {}
        try:
            if isinstance(arguments, str) and not self.text_arguments:
                arguments = json.loads(arguments)
        except ValueError as error:
            raise DataError(f"arguments of the call {function['name']!r} are no JSON: {error}") from None
        if self.text_arguments and not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        made = {"type": "function", "function": {"name": function["name"], "arguments": arguments}}
        if self.numbers_calls:
            # Data names no ids; some templates insist on nine letters or digits.
            made["id"] = call.get("id") or f"call{number:05}"
        return made


def without_thought(message: Mapping[str, Any]) -> dict[str, Any]:
    """The answer without its thought, be it kept apart or written into the content."""
    copy = {key: value for key, value in message.items() if key != "reasoning_content"}
    content: str = copy["content"]
    if CLOSING_THOUGHT in content:
        before, _, rest = content.rpartition(CLOSING_THOUGHT)
        copy["content"] = before.partition(OPENING_THOUGHT)[0] * (OPENING_THOUGHT in before) + rest.lstrip(
            "\n"
        )
    return copy


def words_of(conversations: Iterable[Conversation], *, escaped: bool = True) -> Iterator[str]:
    """All texts of the data. escaped: calls and tools as JSON, which is faster and good for a first look."""
    for conversation in conversations:
        for message in conversation.messages:
            yield message["content"]
            if len(message) > 2:
                extra = {key: value for key, value in message.items() if key not in ("role", "content")}
                yield from [json.dumps(extra, ensure_ascii=False, default=str)] if escaped else _texts(extra)
        if conversation.tools:
            tools = conversation.tools
            yield from [json.dumps(tools, ensure_ascii=False, default=str)] if escaped else _texts(tools)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
