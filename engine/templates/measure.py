"""Measures chat templates: renders each kind of conversation once with marks for contents and keeps what the
template wrote around them. Reads no data.

Try: python -m engine.templates.native data/tiny-qwen3
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.templates.locate import CLOSING_THOUGHT, Shape, kind_of, split_at_marks, with_marks

# (messages, tools, generation prompt?) -> text, or what the template raised.
Apply = Callable[[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]], bool], str | Exception]
# Order of the messages in the text, and the words around them.
Split = tuple[tuple[int, ...], list[str]]
MOST_SHAPES = 4096
QUESTION = {"role": "user", "content": "U"}
# Two sets with little in common: what a template writes around both, it writes around any.
SOME_TOOLS: tuple[dict[str, Any], ...] = (
    {
        "type": "function",
        "function": {
            "name": "Fq0x7Zm",
            "description": "What it does.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "city name"},
                    "days": {"type": "integer", "description": "days"},
                },
                "required": ["city"],
            },
        },
    },
)
OTHER_TOOLS: tuple[dict[str, Any], ...] = (
    {"function": {"description": "Else.", "parameters": {"properties": {}, "type": "object"}, "name": "g"}},
    {
        "function": {"parameters": {"type": "object", "properties": {}}, "name": "h", "description": ""},
        "type": "function",
    },
)


class Measure:
    """Shapes by kind of conversation, each measured when first asked for.

    special, added: the tokenizer's control tokens and all its added ones. insist: the last answer's prompt is
    what the generation prompt writes, even where the template writes finished answers without it.
    """

    def __init__(
        self,
        apply: Apply,
        *,
        special: Sequence[str],
        added: Sequence[str],
        eos: str | None,
        insist: bool,
        note: Callable[[str], None],
    ) -> None:
        self._apply, self._note = apply, note
        self._special, self._added, self._eos, self._insist = special, added, eos, insist
        self._heads = {char for token in special for char in token[:-1]}
        self._tails = {char for token in special for char in token[1:]}
        self._shapes: dict[Any, Shape | None] = {}
        self._headers: dict[Any, str | None] = {}
        self._endings: dict[str, str] = {}

    def shape(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
    ) -> Shape | None:
        """None when contents cannot be told apart from what the template writes. One shape fits conversations
        with any tools.
        """
        key = (tuple(map(kind_of, messages)), bool(tools))
        if key not in self._shapes:
            if len(self._shapes) >= MOST_SHAPES:
                self._shapes.clear()
                self._headers.clear()
            self._shapes[key] = self._open(messages) if tools else self._measure(messages, ())
        return self._shapes[key]

    def anew(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> Shape | None:
        """As `shape`, measured again and with these very tools. Forgets what does not hold any more."""
        self._headers.clear()
        self._shapes.pop((tuple(map(kind_of, messages)), bool(tools)), None)
        return self._measure(messages, tools) if tools else self.shape(messages, ())

    def _open(self, messages: Sequence[Mapping[str, Any]]) -> Shape | None:
        """What the template writes whatever the tools are: what is common to two sets of them."""
        shape, other = self._measure(messages, SOME_TOOLS), self._split(messages, OTHER_TOOLS)
        if shape is None or other is None or shape.order != other[0]:
            return None
        pairs = enumerate(zip(shape.pieces, other[1], strict=True))
        different = {place: pair for place, pair in pairs if pair[0] != pair[1]}
        if any(place in shape.prompt_part or place == len(messages) for place in different):
            return None
        ends = {}
        for place, (one, two) in different.items():
            head = one[: _common_start(one, two)]
            ends[place] = head, _common_end(one[len(head) :], two[len(head) :])
        return dataclasses.replace(shape, open=ends) if all(tail for _, tail in ends.values()) else None

    def prompt_shape(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
    ) -> Shape | None:
        """As `shape`, of a conversation that ends with the generation prompt; it has no answers to learn."""
        key = ("prompt", tuple(map(kind_of, messages)), _key_of(tools) if tools else "")
        if key not in self._shapes:
            found = self._split(messages, tools, generation=True)
            self._shapes[key] = (
                Shape(found[0], tuple(found[1]), {}, {}, touchy=self._touchy(found[1])) if found else None
            )
        return self._shapes[key]

    def _measure(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
    ) -> Shape | None:
        found = self._split(messages, tools)
        if found is None:
            return None
        order, pieces = found
        final = self._final_words(messages, pieces)
        prompt_part, stop_part, added = {}, {}, ""
        for place, number in enumerate(order):
            if messages[number]["role"] != "assistant" or not number:
                continue
            last = number == len(messages) - 1
            prompt_part[place], rest = self._prompt_part(messages[:number], pieces[place], tools)
            if rest and not last:
                self._note(
                    f"the generation prompt ends with {rest!r}, which the tokenizer's chat template does not"
                    " write before earlier answers; mask_history=true learns the last one only"
                )
            elif rest and self._insist and CLOSING_THOUGHT not in pieces[place][prompt_part[place] :]:
                added = rest
            elif rest:
                self._note(
                    f"the generation prompt ends with {rest!r}, which trained answers do not begin with"
                )
            behind = pieces[place + 1]
            if calls := messages[number].get("tool_calls"):
                stop_part[place] = self._stop_of_calls(behind, final, calls[:1])
            else:
                stop_part[place] = self._stop_of(behind, final)
        return Shape(order, tuple(pieces), prompt_part, stop_part, added, self._touchy(pieces))

    def _split(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        *,
        generation: bool = False,
    ) -> Split | None:
        """The words around the contents. Behind calls: those that do not depend on the arguments."""
        found = self._marked(messages, tools, None, generation)
        if found is None or not any(message.get("tool_calls") for message in messages):
            return found
        others = self._marked(messages, tools, {}, generation)
        others = others or self._marked(messages, tools, {"other": [7]}, generation)
        if others is None:
            return None
        order, pieces = found
        for place, number in enumerate(order):
            if messages[number].get("tool_calls"):
                pieces[place + 1] = _common_end(pieces[place + 1], others[1][place + 1])
        return order, pieces

    def _marked(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        arguments: Mapping[str, Any] | None,
        generation: bool,
    ) -> Split | None:
        marked = with_marks(messages, arguments=arguments)
        text = self._apply(marked, tools, generation)
        return split_at_marks(marked, text) if isinstance(text, str) else None

    def _prompt_part(
        self, before: Sequence[Mapping[str, Any]], piece: str, tools: Sequence[Mapping[str, Any]]
    ) -> tuple[int, str]:
        """How much of the piece before an answer the generation prompt already holds, and what it holds
        beyond.
        """
        header = self._header(before, tools)
        if header is None:
            return len(piece), ""
        if piece.startswith(header):
            return len(header), ""
        shared = _common_start(header, piece)
        for whole in (header, piece):
            for token in self._added:
                start = whole.rfind(token, 0, shared + len(token) - 1)
                if start < shared < start + len(token) and start >= 0:
                    shared = start
        return shared, header[shared:]

    def _header(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
    ) -> str | None:
        """What the generation prompt writes behind the last content."""
        key = (tuple(map(kind_of, messages)), bool(tools))
        if key not in self._headers:
            marked = with_marks(messages)
            text = self._apply(marked, tools, True)
            found = isinstance(text, str) and marked[-1]["content"] in text
            self._headers[key] = str(text).rpartition(marked[-1]["content"])[2] if found else None
        return self._headers[key]

    def _final_words(self, messages: Sequence[Mapping[str, Any]], pieces: Sequence[str]) -> str:
        """What closes a plain answer at the end of a conversation, up to and with its stop token."""
        if messages[-1].get("tool_calls"):
            found = self._marked((QUESTION, {"role": "assistant", "content": "A"}), (), None, False)
            pieces = found[1] if found else [""]
        stop = self._first_token(pieces[-1])
        return pieces[-1][: stop[1]] if stop else ""

    def _stop_of(self, piece: str, final: str) -> int:
        """How much of the words behind an answer is its stop."""
        if piece.startswith(final):
            return len(final)
        return len(self._eos) if self._eos and piece.startswith(self._eos) else 0

    def _stop_of_calls(self, piece: str, final: str, call: Sequence[Any]) -> int:
        """Calls have closing words of their own before the stop. Some end with another stop than answers do:
        what the template writes at the end of a conversation that ends with a call; failing that, the token
        that hands over to the tool.
        """
        token = self._first_token(final)
        word = final[token[0] :] if token else ""
        if word and word in piece:
            return piece.index(word) + len(word)
        if "call" not in self._endings:
            found = self._split((QUESTION, {"role": "assistant", "content": "", "tool_calls": call}), ())
            self._endings["call"] = found[1][-1] if found else ""
        shared = piece[: _common_start(piece, self._endings["call"])]
        ends = [shared.rindex(token) + len(token) for token in self._special if token in shared]
        first = self._first_token(piece)
        return max(ends, default=first[1] if first else 0)

    def _first_token(self, text: str) -> tuple[int, int] | None:
        """Where the first control token of the text stands."""
        found = [(text.index(token), -len(token)) for token in self._special if token in text]
        if not found:
            return None
        start, length = min(found)
        return start, start - length

    def _touchy(self, pieces: Sequence[str]) -> bool:
        inner = [piece for piece in pieces[1:-1] if not piece]
        ends = any(piece and piece[-1] in self._heads for piece in pieces[:-1])
        return bool(inner) or ends or any(piece and piece[0] in self._tails for piece in pieces[1:])


def _key_of(tools: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(tools, sort_keys=True, default=str)


def _common_start(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _common_end(one: str, other: str) -> str:
    return one[len(one) - _common_start(one[::-1], other[::-1]) :]
