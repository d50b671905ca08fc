"""One chat template for training and inference: the tokenizer's own, or a named one. Both are used through
`ChatTemplate`.

Try: python -m engine.templates.chat data/tiny-qwen3 [qwen3]
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

from engine.errors import DataError
from engine.schema.data import TemplateArgs
from engine.templates.base import (
    Answer,
    Conversation,
    Format,
    Rendered,
    load_template,
    parse_answer,
    render_prompt,
    render_turns,
    split_messages,
)
from engine.templates.compare import compare
from engine.templates.guard import Guard
from engine.templates.jinja import write_jinja
from engine.templates.native import NativeTemplate

Messages = Sequence[Mapping[str, Any]]


class Renderer(Protocol):
    """What both kinds of template offer."""

    notes: list[str]

    def render(self, conversations: Sequence[Conversation]) -> list[Rendered | str]: ...

    def render_prompt(self, conversation: Conversation) -> Rendered: ...

    def stop_strings(self) -> list[str]: ...

    def parse_answer(self, text: str, tools: Messages) -> Answer: ...


class NamedTemplate:
    """Renders with a format from the data files and the tokenizer's own begin and end tokens.

    One rule for training and inference: an answer that is only read, not learnt or asked for, loses its
    thoughts unless they are preserved. In training that is every answer but the last, where the history is
    masked, and none otherwise.
    """

    def __init__(self, form: Format, tokenizer: Any, args: TemplateArgs, *, mask_history: bool) -> None:
        self.form = form
        self.notes: list[str] = []
        self._specials = {"bos_token": tokenizer.bos_token, "eos_token": tokenizer.eos_token}
        self._options: dict[str, Any] = {
            "specials": self._specials,
            "tool_format": args.tool_format,
            "thinking": args.enable_thinking,
        }
        self._discard_read = not args.preserve_thinking
        self._reads_history = mask_history

    def render(self, conversations: Sequence[Conversation]) -> list[Rendered | str]:
        return [self._render_one(conversation) for conversation in conversations]

    def render_prompt(self, conversation: Conversation) -> Rendered:
        system, turns, question = split_messages(conversation.messages)
        if question is None:
            raise DataError(f"template {self.form.name}: the last message must be from the user or a tool")
        return render_prompt(
            self.form,
            turns,
            question,
            system=system,
            tools=conversation.tools,
            discard_history=self._discard_read,
            **self._options,
        )

    def stop_strings(self) -> list[str]:
        return list(self.form.stop_words)

    def parse_answer(self, text: str, tools: Messages) -> Answer:
        return parse_answer(
            self.form, text, tools=tools, tool_format=self._options["tool_format"], specials=self._specials
        )

    def _render_one(self, conversation: Conversation) -> Rendered | str:
        try:
            system, turns, question = split_messages(conversation.messages)
        except DataError as error:
            return str(error)
        if question is not None or not turns:
            return "the last message is not an answer"
        return render_turns(
            self.form,
            turns,
            system=system,
            tools=conversation.tools,
            discard_history=self._discard_read and self._reads_history,
            **self._options,
        )


@dataclasses.dataclass(frozen=True)
class ChatTemplate:
    """A renderer with its tokenizer. `fingerprint` changes whenever the same conversation could render
    differently or give other tokens.
    """

    name: str | None
    renderer: Renderer
    tokenizer: Any
    args: TemplateArgs
    fingerprint: str

    @property
    def notes(self) -> list[str]:
        return self.renderer.notes

    @property
    def default_system(self) -> str:
        return self.args.default_system or ""

    def render(self, conversations: Sequence[Conversation]) -> list[Rendered | str]:
        """Finished conversations -> text and turns, or for each bad one the reason."""
        if self.default_system:
            conversations = [self._with_system(conversation) for conversation in conversations]
        results = self.renderer.render(conversations)
        if self.args.allow_control_tokens:
            return [item if isinstance(item, str) else _unguarded(item) for item in results]
        return results

    def render_prompt(self, messages: Messages, tools: Messages = ()) -> Rendered:
        """The text a model is given to answer the last message."""
        asked = Conversation(tuple(map(dict, messages)), tuple(map(dict, tools)))
        rendered = self.renderer.render_prompt(self._with_system(asked))
        return _unguarded(rendered) if self.args.allow_control_tokens else rendered

    def prompt_text(self, messages: Messages, tools: Messages = ()) -> str:
        return self.render_prompt(messages, tools).text

    def prompt_ids(self, messages: Messages, tools: Messages = ()) -> list[int]:
        """Token ids of the prompt that asks for the next answer; the same ids training put before such an
        answer.
        """
        rendered = self.render_prompt(messages, tools)
        try:
            rendered.text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"the conversation holds what is no text: {rendered.text[error.start]!r}"
            ) from None
        return self._guard.encode_row(rendered)

    def parse_answer(self, text: str, tools: Messages = ()) -> Answer:
        """A model's answer as content, thought and calls: (name, arguments) each. `text` is decoded with its
        special tokens, as some calls are written with them; a stop at its end is taken off. tools: those on
        offer.
        """
        for stop in self.stop_strings():
            text = text.removesuffix(stop)
        return self.renderer.parse_answer(text, tools)

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
            tool_format=self.args.tool_format,
            default_system=self.default_system,
            has_bos=self.tokenizer.bos_token is not None,
            has_eos=self.tokenizer.eos_token is not None,
            thinking=self.args.enable_thinking,
            preserve_thinking=self.args.preserve_thinking,
        )

    @cached_property
    def _guard(self) -> Guard:
        return Guard(self.tokenizer)

    def _with_system(self, conversation: Conversation) -> Conversation:
        messages = conversation.messages
        if not self.default_system or (messages and messages[0]["role"] == "system"):
            return conversation
        system = {"role": "system", "content": self.default_system}
        return Conversation((system, *messages), conversation.tools)


def load_chat(
    tokenizer: Any, template: TemplateArgs | None = None, *, mask_history: bool = False
) -> ChatTemplate:
    """The tokenizer's own template, or the named one where a name is given. mask_history: of a finished
    conversation only the last answer is learnt (see NamedTemplate).

    Raises UserError for an unknown name, DataError when no name is given and the tokenizer has no template.
    """
    args = template or TemplateArgs()
    if args.template is None:
        native = NativeTemplate(
            tokenizer,
            thinking=args.enable_thinking,
            preserve_thinking=args.preserve_thinking,
            guards=not args.allow_control_tokens,
        )
        facts = [tokenizer.chat_template, tokenizer.special_tokens_map]
        return ChatTemplate(None, native, tokenizer, args, _digest(facts, args))
    form = load_template(args.template)
    named = NamedTemplate(form, tokenizer, args, mask_history=mask_history)
    facts = [dataclasses.asdict(form), tokenizer.bos_token, tokenizer.eos_token, mask_history]
    if tokenizer.chat_template:
        own = NativeTemplate(
            tokenizer, thinking=args.enable_thinking, preserve_thinking=args.preserve_thinking
        )
        # Own templates write earlier answers as history.
        history = NamedTemplate(form, tokenizer, args, mask_history=True)
        difference = compare(
            form.name, (history.render, history.render_prompt), (own.render, own.render_prompt)
        )
        named.notes += [difference] if difference else []
    return ChatTemplate(form.name, named, tokenizer, args, _digest(facts, args))


def _unguarded(rendered: Rendered) -> Rendered:
    return dataclasses.replace(rendered, contents=())


def _digest(facts: Any, args: TemplateArgs) -> str:
    text = json.dumps([facts, dataclasses.asdict(args)], ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    from transformers import AutoTokenizer

    chosen = TemplateArgs(template=sys.argv[2] if len(sys.argv) > 2 else None)
    shown = load_chat(AutoTokenizer.from_pretrained(sys.argv[1]), chosen)
    print(
        shown.prompt_text([{"role": "user", "content": "Hi"}]), shown.stop_strings(), *shown.notes, sep="\n"
    )
