"""Where the contents of a conversation stand in the text that a chat template made of it. Renders nothing.

A Shape is what the template writes around contents, measured with marks in their place (`split_at_marks`).
`align` lays it over a row's text: pieces and contents must cover the text exactly, or the row is refused.
Nothing is guessed from the looks of a text.
Try: python -m engine.templates.native data/tiny-qwen3
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.templates.base import Turn

Message = Mapping[str, Any]
Spans = list[tuple[int, int]]
NAME_MARK = re.compile(r"Nq\d+c\d+x7Zm")
OPENING_THOUGHT, CLOSING_THOUGHT = "<think>", "</think>"


@dataclass(frozen=True)
class Shape:
    """What the template writes around the contents of conversations of one kind.

    order: the messages as they stand in the text, by number (some templates put the system text before the
    last question); everything else counts in that order. pieces[i] stands before message i, the last one
    after everything. prompt_part[i]: how much of pieces[i] an assistant message's prompt holds (the rest of
    the piece is learnt). stop_part[i]: how much of pieces[i + 1] is its stop. added: words that only the
    generation prompt writes before the last answer. touchy: a content and the words next to it could spell a
    control token together. open: pieces that hold the tools on offer, as what stands before and behind those;
    any text may stand between.
    """

    order: tuple[int, ...]
    pieces: tuple[str, ...]
    prompt_part: Mapping[int, int]
    stop_part: Mapping[int, int]
    added: str = ""
    touchy: bool = False
    open: Mapping[int, tuple[str, str]] = dataclasses.field(default_factory=dict)

    def for_names(self, messages: Sequence[Message]) -> Shape:
        """The shape of these messages, where the words around results name the calls they answer."""
        if not any(NAME_MARK.search(piece) for piece in self.pieces):
            return self
        names = {
            f"Nq{number}c{index}x7Zm": call["function"]["name"]
            for number, message in enumerate(messages)
            for index, call in enumerate(message.get("tool_calls") or ())
        }
        pieces = (NAME_MARK.sub(lambda mark: names[mark.group()], piece) for piece in self.pieces)
        return dataclasses.replace(self, pieces=tuple(pieces))

    def arrange(self, messages: Sequence[Message]) -> Sequence[Message]:
        """The messages in the order of the text."""
        return [messages[number] for number in self.order]

    def lead(self, number: int) -> str:
        """The words before message `number` that do not belong to an answer."""
        return self.pieces[number][: self.prompt_part.get(number)]

    def extra(self, number: int) -> str:
        """The words before message `number` that the template writes into the answer itself, such as an empty
        thought.
        """
        return self.pieces[number][len(self.lead(number)) :]


def kind_of(message: Message) -> str:
    """Messages of one kind are written alike: the role, and for more than plain words what else there is."""
    role: str = message["role"]
    if role != "assistant":
        return role
    content = message["content"]
    inline = " inline" if CLOSING_THOUGHT in content else ""
    if len(message) == 2:
        return role + inline
    calls, thought = message.get("tool_calls") or (), message.get("reasoning_content")
    if not calls and not thought:
        return role + inline
    return f"{role} {len(calls)}{' thinks' if thought else ''}{' speaks' if content else ''}{inline}"


def with_marks(messages: Sequence[Message], *, arguments: Mapping[str, Any] | None = None) -> list[Message]:
    """The same kinds of messages with marks in place of contents. arguments: what every call is given in
    place of a marked argument.
    """
    marked: list[Message] = []
    for number, message in enumerate(messages):
        copy: dict[str, Any] = {**message, "content": f"Mq{number}x7Zm"}
        if message["role"] == "assistant" and CLOSING_THOUGHT in message["content"]:
            opening = f"{OPENING_THOUGHT}\n" if OPENING_THOUGHT in message["content"] else ""
            copy["content"] = f"{opening}Iq{number}x7Zm\n{CLOSING_THOUGHT}\n\n{copy['content']}"
        if message.get("reasoning_content"):
            copy["reasoning_content"] = f"Tq{number}x7Zm"
        calls = message.get("tool_calls") or ()
        if calls:
            copy["content"] = copy["content"] if message["content"] else ""
            copy["tool_calls"] = [
                _marked_call(call, f"q{number}c{index}x7Zm", arguments) for index, call in enumerate(calls)
            ]
        marked.append(copy)
    return marked


def _marked_call(call: Message, mark: str, arguments: Mapping[str, Any] | None) -> dict[str, Any]:
    given: Any = {f"K{mark}": f"V{mark}"} if arguments is None else dict(arguments)
    if isinstance(call["function"]["arguments"], str):
        given = json.dumps(given)
    return {**call, "function": {**call["function"], "name": f"N{mark}", "arguments": given}}


def split_at_marks(messages: Sequence[Message], text: str) -> tuple[tuple[int, ...], list[str]] | None:
    """The order of the marked messages in the text, and the text around them. None when a mark is lost or
    doubled, when messages overlap, or when another one than the last stands at the end.
    """
    extents = [_extent(message, number, text) or (-1, -1) for number, message in enumerate(messages)]
    order = tuple(sorted(range(len(messages)), key=lambda number: extents[number][0]))
    pieces = []
    position = 0
    for begin, end in (extents[number] for number in order):
        if begin < position:
            return None
        pieces.append(text[position:begin])
        position = end
    return (order, [*pieces, text[position:]]) if order[-1] == len(messages) - 1 else None


def _extent(message: Message, number: int, text: str) -> tuple[int, int] | None:
    """From the first to the last mark of a message."""
    content = f"Mq{number}x7Zm"
    calls = message.get("tool_calls") or ()
    marks = [content] if message["content"] else []
    if text.count(content) != 1 and not calls:
        return None
    marks += [f"{kind}q{number}x7Zm" for kind in "TI"]
    for index in range(len(calls)):
        if f"Nq{number}c{index}x7Zm" not in text:
            return None
        marks += [f"{kind}q{number}c{index}x7Zm" for kind in "NKV"]
    found = [mark for mark in marks if mark in text]
    if any(text.count(mark) > 1 for mark in found if mark[0] in "MTI"):
        return None
    # The first time each: headers of results may name the call once more.
    return min(text.find(mark) for mark in found), max(text.find(mark) + len(mark) for mark in found)


def align(messages: Sequence[Message], text: str, shape: Shape) -> Spans | None:
    """(begin, end) of each content so that pieces and contents cover the text exactly, in its order; None
    when they cannot. `messages` too are in that order (Shape.arrange).
    """
    return _as_given(messages, text, shape) or _walk(messages, text, shape)


def _as_given(messages: Sequence[Message], text: str, shape: Shape) -> Spans | None:
    """The common case: every content stands there as it is."""
    pieces = shape.pieces
    spans: Spans = []
    position = 0
    for message, piece in zip(messages, pieces, strict=False):
        if len(message) != 2:
            return None
        content = message["content"]
        if not text.startswith(piece, position):
            return None
        begin = position + len(piece)
        position = begin + len(content)
        if not text.startswith(content, begin):
            return None
        spans.append((begin, position))
    if position + len(pieces[-1]) != len(text) or not text.endswith(pieces[-1]):
        return None
    return spans


def _walk(messages: Sequence[Message], text: str, shape: Shape) -> Spans | None:
    """Depth first: templates may strip contents, and may move thoughts, so each content has a few possible
    forms.
    """
    spans: Spans = []
    choices = [_candidates(messages[0], text, shape, 0, 0)]
    while choices:
        span = next(choices[-1], None)
        if span is None:
            choices.pop()
            if spans:
                spans.pop()
            continue
        number = len(choices)
        if number == len(messages):
            if span[1] + len(shape.lead(number)) == len(text):
                return [*spans, span]
            continue
        spans.append(span)
        choices.append(_candidates(messages[number], text, shape, number, span[1]))
    return None


def _candidates(
    message: Message, text: str, shape: Shape, number: int, position: int
) -> Iterator[tuple[int, int]]:
    """Where message `number` can stand when the one before it ends at `position`."""
    after = shape.open[number + 1][0] if number + 1 in shape.open else shape.lead(number + 1)
    if number not in shape.open:
        lead = shape.lead(number)
        if text.startswith(lead, position):
            yield from _at(message, text, shape.extra(number), after, position + len(lead))
        return
    head, tail = shape.open[number]
    if text.startswith(head, position):
        for start in _occurrences(tail, text, position + len(head)):
            yield from _at(message, text, "", after, start + len(tail))


def _at(message: Message, text: str, extra: str, after: str, position: int) -> Iterator[tuple[int, int]]:
    """Where a message can stand from `position` on, with `after` right behind it; plain content first. extra:
    the template's own words in the answer.
    """
    content: str = message["content"]
    if message.get("tool_calls"):
        yield from _calling(message, text, after, position)
        return
    thinks = CLOSING_THOUGHT in content or message.get("reasoning_content")
    if message["role"] != "assistant" or not thinks:
        begin = position + len(extra)
        if text.startswith(extra, position):
            for form in _forms(message):
                if text.startswith(form, begin) and text.startswith(after, begin + len(form)):
                    yield begin, begin + len(form)
        return
    # The template writes the thoughts its own way or drops them: the answer is whatever ends in the visible
    # words.
    visible = content.rpartition(CLOSING_THOUGHT)[2]
    for form in dict.fromkeys((visible.strip(), visible.lstrip("\n"), visible)):
        for start in _occurrences(form + after, text, position):
            yield position, start + len(form)


def _forms(message: Message) -> Iterator[str]:
    """How templates write a plain content: as it is, stripped, or a tool's result as a JSON string."""
    content: str = message["content"]
    yield from dict.fromkeys((content, content.strip(), content.lstrip(), content.rstrip()))
    if message["role"] == "tool":
        for ascii_only in (False, True):
            yield json.dumps(content, ensure_ascii=ascii_only)[1:-1]


def _calling(message: Message, text: str, after: str, position: int) -> Iterator[tuple[int, int]]:
    """An answer that calls is all that stands before the next piece, and it must hold every call whole: what
    only looks like that piece inside an argument is passed over.
    """
    ends = _occurrences(after, text, position) if after else iter((len(text),))
    for end in ends:
        if holds_calls(message, text[position:end]):
            yield position, end


def _occurrences(part: str, text: str, position: int) -> Iterator[int]:
    start = text.find(part, position)
    while start >= 0:
        yield start
        start = text.find(part, start + 1)


def holds_calls(message: Message, answer: str) -> bool:
    """Whether the name and every text among the arguments of each call stand in the answer."""
    position = 0
    for call in message["tool_calls"]:
        position = answer.find(call["function"]["name"], position)
        if position < 0:
            return False
        arguments = call["function"]["arguments"]
        arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
        for leaf in _texts(arguments):
            if not any(form in answer for form in _spellings(leaf)):
                return False
    return True


def _spellings(text: str) -> Iterator[str]:
    """How templates write a text among arguments: bare, trimmed, as JSON, as Python."""
    yield text
    yield text.strip()
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield json.dumps(text)[1:-1]
    yield repr(text)[1:-1]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def build_turns(shape: Shape, spans: Spans, length: int) -> tuple[Turn, ...]:
    """Prompt and answer positions; several messages before one answer are one prompt."""
    turns = []
    start = 0
    for number, part in shape.prompt_part.items():
        header = spans[number - 1][1]
        stop = spans[number][1] + shape.stop_part[number]
        turns.append((start, header, header + part, stop))
        start = stop
    ends = [turn[0] for turn in turns[1:]] + [length]
    return tuple(Turn(*turn, end) for turn, end in zip(turns, ends, strict=True))
