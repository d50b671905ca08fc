"""One chat template for training and inference: the tokenizer's own, or a named one. Both are used through
`ChatTemplate`.

Try: python -m engine.templates.chat data/tiny-qwen3 [qwen3]
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

from engine.errors import DataError
from engine.templates.base import Format, Rendered, load_template, render_prompt, render_turns
from engine.templates.jinja import write_jinja
from engine.templates.native import Chat, NativeTemplate

PROBE: tuple[dict[str, str], ...] = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "One?"},
    {"role": "assistant", "content": "Two."},
    {"role": "user", "content": "Three?"},
    {"role": "assistant", "content": "Four."},
)


class Renderer(Protocol):
    """What both kinds of template offer."""

    notes: list[str]

    def render(self, chats: Sequence[Chat]) -> list[Rendered | str]: ...

    def render_prompt(self, chat: Chat) -> Rendered: ...

    def stop_strings(self) -> list[str]: ...


class NamedTemplate:
    """Renders with a format from the data files and the tokenizer's own begin and end tokens."""

    def __init__(self, form: Format, tokenizer: Any, *, thinking: bool | None, discard_history: bool) -> None:
        self.form = form
        self.notes: list[str] = []
        self._specials = {"bos_token": tokenizer.bos_token, "eos_token": tokenizer.eos_token}
        self._thinking = thinking
        self._discard_history = discard_history

    def render(self, chats: Sequence[Chat]) -> list[Rendered | str]:
        return [self._render_one(chat) for chat in chats]

    def render_prompt(self, chat: Chat) -> Rendered:
        system, turns, question = _split_chat(chat)
        if question is None:
            raise DataError(f"template {self.form.name}: the last message must be from the user")
        return render_prompt(
            self.form, turns, question, system=system, specials=self._specials, thinking=self._thinking
        )

    def stop_strings(self) -> list[str]:
        return list(self.form.stop_words)

    def _render_one(self, chat: Chat) -> Rendered | str:
        try:
            system, turns, question = _split_chat(chat)
        except DataError as error:
            return str(error)
        if question is not None or not turns:
            return "the last message is not an answer"
        return render_turns(
            self.form,
            turns,
            system=system,
            specials=self._specials,
            thinking=self._thinking,
            discard_history=self._discard_history,
        )


@dataclasses.dataclass(frozen=True)
class ChatTemplate:
    """A renderer with its tokenizer. `fingerprint` changes whenever the same conversation could render
    differently.
    """

    name: str | None
    renderer: Renderer
    tokenizer: Any
    default_system: str
    fingerprint: str

    @property
    def notes(self) -> list[str]:
        return self.renderer.notes

    def render(self, chats: Sequence[Chat]) -> list[Rendered | str]:
        """Finished conversations -> text and turns, or for each bad one the reason."""
        return self.renderer.render([self._with_system(chat) for chat in chats])

    def prompt_text(self, messages: Chat) -> str:
        return self.renderer.render_prompt(self._with_system(messages)).text

    def prompt_ids(self, messages: Chat) -> list[int]:
        """Token ids of the prompt that asks for the next answer; the same ids training put before such an
        answer.
        """
        rendered = self.renderer.render_prompt(self._with_system(messages))
        try:
            rendered.text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"the conversation holds what is no text: {rendered.text[error.start]!r}"
            ) from None
        ids: list[int] = []
        bounds = [0, *rendered.cuts, len(rendered.text)]
        for start, end in pairwise(bounds):
            ids.extend(self.tokenizer(rendered.text[start:end], add_special_tokens=False)["input_ids"])
        return ids

    def stop_strings(self) -> list[str]:
        """Texts that end an answer, the tokenizer's end token included."""
        eos = self.tokenizer.eos_token
        return list(dict.fromkeys([*self.renderer.stop_strings(), *([eos] if eos else [])]))

    def stop_token_ids(self) -> list[int]:
        """Stops that are one token of this tokenizer, the end-of-sequence token among them."""
        vocabulary = self.tokenizer.get_vocab()
        return [vocabulary[text] for text in self.stop_strings() if text in vocabulary]

    def jinja(self) -> str:
        """The chat template to save with the tokenizer: its own untouched, or the named format written as
        Jinja.
        """
        if not isinstance(self.renderer, NamedTemplate):
            own: str = self.tokenizer.get_chat_template()
            return own
        return write_jinja(
            self.renderer.form,
            default_system=self.default_system,
            has_bos=self.tokenizer.bos_token is not None,
            has_eos=self.tokenizer.eos_token is not None,
        )

    def _with_system(self, chat: Chat) -> Chat:
        if not self.default_system or (chat and chat[0]["role"] == "system"):
            return chat
        return [{"role": "system", "content": self.default_system}, *chat]


def load_chat(
    tokenizer: Any,
    name: str | None = None,
    *,
    default_system: str | None = None,
    thinking: bool | None = True,
    discard_history: bool = False,
) -> ChatTemplate:
    """The tokenizer's own template, or the named one where a name is given.

    thinking and discard_history concern named reasoning templates only (see base.render_turns). Raises
    UserError for an unknown name, DataError when no name is given and the tokenizer has no template.
    """
    if name is None:
        native = NativeTemplate(tokenizer)
        facts = [tokenizer.chat_template, tokenizer.special_tokens_map]
        return ChatTemplate(None, native, tokenizer, default_system or "", _digest(facts, default_system))
    form = load_template(name)
    named = NamedTemplate(form, tokenizer, thinking=thinking, discard_history=discard_history)
    specials = [tokenizer.bos_token, tokenizer.eos_token]
    facts = [dataclasses.asdict(form), specials, thinking, discard_history]
    chat = ChatTemplate(name, named, tokenizer, default_system or "", _digest(facts, default_system))
    if tokenizer.chat_template and (difference := _difference(chat, tokenizer)):
        named.notes.append(difference)
    return chat


def _difference(chat: ChatTemplate, tokenizer: Any) -> str:
    """One line when the named template and the tokenizer's own do not render a probe alike, else ""."""
    own = NativeTemplate(tokenizer)
    for probe in (PROBE, PROBE[1:3]):
        theirs, ours = own.render([probe])[0], chat.renderer.render([probe])[0]
        if isinstance(theirs, str) or isinstance(ours, str):
            continue
        if theirs.text.rstrip() == ours.text.rstrip():
            continue
        at = next(
            (i for i, (a, b) in enumerate(zip(ours.text, theirs.text, strict=False)) if a != b),
            min(len(ours.text), len(theirs.text)),
        )
        start = max(0, at - 12)
        return (
            f"template={chat.name} differs from the tokenizer's own chat template: it writes "
            f"{ours.text[start : at + 24]!r} where the tokenizer's writes {theirs.text[start : at + 24]!r}"
        )
    return ""


def _split_chat(chat: Chat) -> tuple[str, list[tuple[str, str]], str | None]:
    """(system, finished turns, open question). Raises DataError unless user and assistant alternate."""
    system = chat[0]["content"] if chat and chat[0]["role"] == "system" else ""
    rest = list(chat[1:] if chat and chat[0]["role"] == "system" else chat)
    for number, message in enumerate(rest):
        expected = ("user", "assistant")[number % 2]
        if message["role"] != expected:
            raise DataError(f"message {number + 1} is from {message['role']!r} where {expected} is expected")
    pairs = [(rest[i]["content"], rest[i + 1]["content"]) for i in range(0, len(rest) - 1, 2)]
    return system, pairs, rest[-1]["content"] if len(rest) % 2 else None


def _digest(facts: Any, default_system: str | None) -> str:
    text = json.dumps([facts, default_system], ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    from transformers import AutoTokenizer

    shown = load_chat(AutoTokenizer.from_pretrained(sys.argv[1]), *sys.argv[2:3])
    print(
        shown.prompt_text([{"role": "user", "content": "Hi"}]), shown.stop_strings(), *shown.notes, sep="\n"
    )
