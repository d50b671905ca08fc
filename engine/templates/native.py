"""The tokenizer's own Jinja template, and where in its output the answers are. Every text comes from
apply_chat_template itself.

Templates carry no marks around answers, so each conversation shape (its sequence of roles) is rendered once
with marks in place of the contents. The pieces between the marks are the template's own words; a row's
rendered text must then be those pieces around the row's contents, whole, or the row is refused. Nothing is
guessed from the looks of a text.
Try: python -m engine.templates.native data/tiny-qwen3
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import DataError
from engine.templates.base import Rendered, Turn

Chat = Sequence[dict[str, str]]
CLOSING_THOUGHT = "</think>"


@dataclass(frozen=True)
class Shape:
    """What the template writes around the contents of a conversation with these roles.

    pieces[i] stands before message i, the last one after everything. prompt_part[i]: how much of pieces[i] an
    assistant message's prompt holds (the rest of the piece is learnt). stop_part[i]: how much of pieces[i +
    1] is its stop.
    """

    roles: tuple[str, ...]
    pieces: tuple[str, ...]
    prompt_part: dict[int, int]
    stop_part: dict[int, int]

    def lead(self, number: int) -> str:
        """The words before message `number` that do not belong to an answer."""
        return self.pieces[number][: self.prompt_part.get(number)]

    def extra(self, number: int) -> str:
        """The words before message `number` that the template writes into the answer itself, such as an empty
        thought.
        """
        return self.pieces[number][len(self.lead(number)) :]


class NativeTemplate:
    """Renders with the tokenizer's template. `notes` collects what a person should know, each said once."""

    name = None

    def __init__(self, tokenizer: Any) -> None:
        if not tokenizer.chat_template:
            raise DataError(
                "template: this tokenizer has no chat template of its own; name one, such as template: chatml"
            )
        self.tokenizer = tokenizer
        self.notes: list[str] = []
        self._shapes: dict[tuple[str, ...], Shape | None] = {}
        special = {*tokenizer.all_special_tokens, *_special_tokens(tokenizer)} - {""}
        self._special = tuple(sorted(special))
        self._added = tuple(sorted({*special, *tokenizer.get_added_vocab()} - {""}))

    def render(self, chats: Sequence[Chat]) -> list[Rendered | str]:
        """One result per chat: its text and turns, or the reason why it cannot be used."""
        try:
            texts: list[str | Exception] = list(self._apply(chats))
        except _template_errors():
            texts = [self._apply_one(chat) for chat in chats]
        return [
            self._locate(chat, text) if isinstance(text, str) else f"the chat template refuses it: {text}"
            for chat, text in zip(chats, texts, strict=True)
        ]

    def render_prompt(self, chat: Chat) -> Rendered:
        """The text a model is given to answer the last message."""
        try:
            text = self.tokenizer.apply_chat_template(list(chat), tokenize=False, add_generation_prompt=True)
        except _template_errors() as error:
            raise DataError(f"the tokenizer's chat template refuses this conversation: {error}") from error
        return Rendered(text, ())

    def stop_strings(self) -> list[str]:
        """What ends an answer: the template's own stop where it writes one."""
        probe = [{"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}]
        rendered = self.render([probe])[0]
        if isinstance(rendered, str):
            return []
        last = rendered.turns[-1]
        learnt = rendered.text[last.answer : last.stop]
        return [token for token in self._special if learnt.endswith(token)]

    def _apply(self, chats: Sequence[Chat]) -> list[str]:
        texts: list[str] = self.tokenizer.apply_chat_template(list(chats), tokenize=False)
        return texts

    def _apply_one(self, chat: Chat) -> str | Exception:
        try:
            return self._apply([chat])[0]
        except _template_errors() as error:
            return error

    def _locate(self, chat: Chat, text: str) -> Rendered | str:
        roles = tuple(message["role"] for message in chat)
        if roles not in self._shapes:
            self._shapes[roles] = self._measure(roles)
        shape = self._shapes[roles]
        spans = _align(chat, text, shape) if shape else None
        if shape and not spans:
            # A template that writes today's date changes its pieces at midnight: measure once more.
            shape = self._measure(roles)
            spans = _align(chat, text, shape) if shape and shape != self._shapes[roles] else None
            self._shapes[roles] = shape if spans else self._shapes[roles]
        if not spans or not shape:
            return "the chat template changes this conversation so that its answers cannot be found again"
        return self._with_stop(text, _turns(shape, spans, len(text)), shape)

    def _with_stop(self, text: str, turns: tuple[Turn, ...], shape: Shape) -> Rendered:
        """Templates such as GLM-4's end no answer; one that never sees a stop never learns to stop."""
        last = turns[-1]
        eos = self.tokenizer.eos_token
        if shape.stop_part[len(shape.roles) - 1] or not eos:
            return Rendered(text, turns)
        self._note(
            f"the tokenizer's chat template writes no stop after the last answer; {eos} is appended there"
        )
        end = len(text) + len(eos)
        return Rendered(text + eos, (*turns[:-1], Turn(last.start, last.header, last.answer, end, end)))

    def _measure(self, roles: tuple[str, ...]) -> Shape | None:
        """Render these roles with marks for contents. None when a mark is lost, doubled or out of order."""
        marks = [f"Mq{number}x7Zm" for number in range(len(roles))]
        chat = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
        text = self._apply_one(chat)
        pieces = _split(text, marks) if isinstance(text, str) else None
        if pieces is None:
            return None
        answers = [number for number, role in enumerate(roles) if role == "assistant" and number > 0]
        final_stop = self._stop_in(pieces[-1])
        prompt_part = {number: self._prompt_part(chat[:number], pieces[number]) for number in answers}
        stop_part = {}
        for number in answers:
            piece = pieces[number + 1]
            ends = piece.startswith(pieces[-1][:final_stop])
            eos = self.tokenizer.eos_token
            stop_part[number] = final_stop if ends else len(eos) if eos and piece.startswith(eos) else 0
        return Shape(roles, tuple(pieces), prompt_part, stop_part)

    def _prompt_part(self, before: Chat, piece: str) -> int:
        """How much of the piece before an answer the generation prompt already holds."""
        try:
            text = self.tokenizer.apply_chat_template(
                list(before), tokenize=False, add_generation_prompt=True
            )
        except _template_errors():
            return len(piece)
        header = text.rpartition(before[-1]["content"])[2]
        if piece.startswith(header):
            return len(header)
        shared = next(
            (i for i, (a, b) in enumerate(zip(header, piece, strict=False)) if a != b),
            min(len(header), len(piece)),
        )
        for whole in (header, piece):
            for token in self._added:
                start = whole.rfind(token, 0, shared + len(token) - 1)
                if start < shared < start + len(token) and start >= 0:
                    shared = start
        self._note(
            f"the generation prompt ends with {header[shared:]!r}, which trained answers do not begin with"
        )
        return shared

    def _stop_in(self, tail: str) -> int:
        """Length of the last piece up to and with its first special token; 0 when it holds none."""
        found = [(tail.index(token), -len(token), token) for token in self._special if token in tail]
        if not found:
            return 0
        position, _, token = min(found)
        return position + len(token)

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _special_tokens(tokenizer: Any) -> list[str]:
    return [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]


def _template_errors() -> tuple[type[Exception], ...]:
    """What a template's own code raises; anything else is our mistake and propagates."""
    from jinja2.exceptions import TemplateError

    return (TemplateError, TypeError, ValueError, LookupError)


def _split(text: str, marks: Sequence[str]) -> list[str] | None:
    if any(text.count(mark) != 1 for mark in marks):
        return None
    pieces = []
    for mark in marks:
        piece, found, text = text.partition(mark)
        if not found:
            return None
        pieces.append(piece)
    return [*pieces, text]


def _align(chat: Chat, text: str, shape: Shape) -> list[tuple[int, int]] | None:
    """(begin, end) of each content in the text so that pieces and contents cover it exactly; None when they
    cannot.

    A depth-first walk: templates may strip contents, and may move thoughts, so each content has a few
    possible forms.
    """
    if not text.startswith(shape.lead(0)):
        return None
    spans: list[tuple[int, int]] = []
    choices = [_candidates(chat, text, shape, 0, len(shape.lead(0)))]
    while choices:
        span = next(choices[-1], None)
        if span is None:
            choices.pop()
            if spans:
                spans.pop()
            continue
        after = span[1] + len(shape.lead(len(choices)))
        if len(choices) == len(chat):
            if after == len(text):
                return [*spans, span]
            continue
        spans.append(span)
        choices.append(_candidates(chat, text, shape, len(choices), after))
    return None


def _candidates(chat: Chat, text: str, shape: Shape, number: int, position: int) -> Iterator[tuple[int, int]]:
    """Where message `number` can stand from `position` on, its following piece right behind it; plain content
    first.
    """
    content, after = chat[number]["content"], shape.lead(number + 1)
    begin = position + len(shape.extra(number))
    if text.startswith(shape.extra(number), position):
        for form in dict.fromkeys((content, content.strip(), content.lstrip(), content.rstrip())):
            if text.startswith(form, begin) and text.startswith(after, begin + len(form)):
                yield begin, begin + len(form)
    if chat[number]["role"] != "assistant" or CLOSING_THOUGHT not in content:
        return
    # The template writes the thoughts its own way or drops them: the answer is whatever ends in the visible
    # words.
    visible = content.rpartition(CLOSING_THOUGHT)[2]
    for form in dict.fromkeys((visible.strip(), visible.lstrip("\n"), visible)):
        start = text.find(form + after, position)
        while start >= 0:
            yield position, start + len(form)
            start = text.find(form + after, start + 1)


def _turns(shape: Shape, spans: Sequence[tuple[int, int]], length: int) -> tuple[Turn, ...]:
    """Prompt and answer positions; several messages before one answer are one prompt."""
    turns = []
    start = 0
    for number in sorted(shape.prompt_part):
        piece_start = spans[number - 1][1]
        answer = piece_start + shape.prompt_part[number]
        stop = spans[number][1] + shape.stop_part[number]
        turns.append((start, piece_start, answer, stop))
        start = stop
    ends = [turn[0] for turn in turns[1:]] + [length]
    return tuple(Turn(*turn, end) for turn, end in zip(turns, ends, strict=True))


if __name__ == "__main__":
    from transformers import AutoTokenizer

    template = NativeTemplate(AutoTokenizer.from_pretrained(sys.argv[1]))
    shown = template.render([[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]])[
        0
    ]
    print(shown if isinstance(shown, str) else [shown.text, shown.turns, template.notes])
