"""The tokenizer's own Jinja template, and where in its output the answers are. Every text comes from
apply_chat_template itself.

Templates carry no marks around answers, so each kind of conversation (roles, calls, thoughts) is rendered
once with marks in place of the contents (measure.py). A row's text must then be the template's own words
around the row's contents, whole, or the row is refused (locate.py).
Try: python -m engine.templates.native data/tiny-qwen3
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from engine.errors import DataError
from engine.templates.base import (
    Answer,
    Conversation,
    Rendered,
    Turn,
)
from engine.templates.guard import Guard, Ranges
from engine.templates.locate import (
    CLOSING_THOUGHT,
    OPENING_THOUGHT,
    Shape,
    Spans,
    align,
    build_turns,
    kind_of,
)
from engine.templates.measure import SOME_TOOLS, Measure
from engine.templates.prepare import Takes, words_of
from engine.templates.tools import ToolFormat, list_tool_formats, load_tool_format

Messages = Sequence[Mapping[str, Any]]
USER = {"role": "user", "content": "U"}
ANSWER = {"role": "assistant", "content": "A"}
RESULT = {"role": "tool", "content": "R"}
PROBE_NAME = "Fq0x7Zm"
UNFOUND = "the chat template changes this conversation so that its answers cannot be found again"
UNTOLD = (
    "its text spells control tokens of the tokenizer and the chat template changes it, so that they cannot be"
    " told from the template's own; allow_control_tokens=true lets them through"
)


class NativeTemplate:
    """Renders with the tokenizer's template. `notes` collects what a person should know, each said once.

    thinking False and preserve_thinking reach the template where it asks for them. guards: rows say in
    `contents` where their data spells control tokens.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        thinking: bool | None = None,
        preserve_thinking: bool = False,
        guards: bool = True,
    ) -> None:
        if not tokenizer.chat_template:
            raise DataError(
                "template: this tokenizer has no chat template of its own; name one, such as template: chatml"
            )
        self.tokenizer = tokenizer
        self.notes: list[str] = []
        template = tokenizer.chat_template
        source = template if isinstance(template, str) else json.dumps(template)
        self._options = _switches(source, thinking, preserve_thinking)
        drops_thoughts = thinking is False and "enable_thinking" in source
        self._guard = Guard(tokenizer)
        self._guards = guards and bool(self._guard.tokens)
        self._measure = Measure(
            self._try,
            special=self._guard.tokens,
            added=tuple(sorted({*self._guard.tokens, *tokenizer.get_added_vocab()} - {""})),
            eos=tokenizer.eos_token,
            insist=drops_thoughts,
            note=self._note,
        )
        self._takes = Takes(drops_thoughts=drops_thoughts, numbers_calls="tool_call_id" in source)
        self._probed = False
        self._format: ToolFormat | None = None
        self._format_sought = False
        if preserve_thinking and CLOSING_THOUGHT in source and set(self._options) <= {"enable_thinking"}:
            self._note("preserve_thinking has no effect: the tokenizer's chat template knows no such switch")

    def render(self, conversations: Sequence[Conversation]) -> list[Rendered | str]:
        """One result per conversation: its text and turns, or the reason why it cannot be used."""
        prepared = [self._prepare(conversation) for conversation in conversations]
        usable = [item for item in prepared if isinstance(item, Conversation)]
        suspect = self._guards and self._guard.suspects("\n".join(words_of(usable)))
        texts = iter(self._apply(usable))
        return [
            self._finish(item, next(texts), suspect) if isinstance(item, Conversation) else item
            for item in prepared
        ]

    def render_prompt(self, conversation: Conversation) -> Rendered:
        """The text a model is given to answer the last message."""
        prepared = self._prepare(conversation)
        if isinstance(prepared, str):
            raise DataError(prepared)
        messages, tools = prepared.messages, prepared.tools
        text = self._try(messages, tools, True)
        if isinstance(text, Exception):
            raise DataError(f"the tokenizer's chat template refuses this conversation: {text}") from text
        contents: Ranges | None = ()
        if self._guards:
            shape = self._measure.prompt_shape(messages, tools)
            plain: Spans = []
            if shape and shape.touchy:
                shape = shape.for_names(messages)
                asked = shape.arrange(messages)
                plain = _plain(asked, align(asked, text, shape) or [])
            suspect = self._guard.suspects("\n".join(words_of([prepared])))
            contents = self._spelt(prepared, text, plain, suspect, generation=True)
        if contents is None:
            raise DataError(f"this conversation cannot be used: {UNTOLD}")
        return Rendered(text, (), (), contents)

    def stop_strings(self) -> list[str]:
        """What ends an answer: the template's own stops, of plain answers and of calls, where it writes
        some.
        """
        probes = [Conversation((USER, ANSWER))]
        if self._knows_tools().tools:
            probes.append(Conversation((USER, _calling({"a": "b"}), RESULT, ANSWER), SOME_TOOLS))
        # Of each the first answer: what stands behind later ones may be how the template writes history.
        learnt = [
            rendered.text[rendered.turns[0].answer : rendered.turns[0].stop]
            for rendered in self.render(probes)
            if isinstance(rendered, Rendered)
        ]
        return [token for token in self._guard.tokens if any(text.endswith(token) for text in learnt)]

    def parse_answer(self, text: str, tools: Messages) -> Answer:
        """By the tool format whose calls look like those of this template; without one, calls stay text."""
        thought = ""
        if CLOSING_THOUGHT in text:
            before, _, text = text.partition(CLOSING_THOUGHT)
            thought, text = before.replace(OPENING_THOUGHT, "", 1).strip("\n"), text.lstrip("\n")
        tool_format = self._tool_format()
        calls, content = tool_format.parse_calls(text, tools) if tool_format else ([], text)
        return Answer(content, thought, tuple(calls))

    def _tool_format(self) -> ToolFormat | None:
        if not self._format_sought:
            self._format_sought = True
            arguments = {"city": "Paris", "days": 2}
            probe = Conversation((USER, _calling(arguments), RESULT, ANSWER), SOME_TOOLS)
            (rendered,) = self.render([probe])
            if isinstance(rendered, Rendered):
                turn = rendered.turns[0]
                text = rendered.text[turn.answer : turn.stop].rpartition(CLOSING_THOUGHT)[2]
                stop = next((token for token in self._guard.tokens if text.endswith(token)), "")
                text = text.removesuffix(stop)
                formats = map(load_tool_format, list_tool_formats())
                expected = [(PROBE_NAME, arguments)]
                self._format = next(
                    (form for form in formats if form.parse_calls(text, SOME_TOOLS)[0] == expected), None
                )
        return self._format

    # -- what the template is given

    def _prepare(self, conversation: Conversation) -> Conversation | str:
        """The conversation as this template takes it, or why it cannot."""
        plain = all(len(message) == 2 for message in conversation.messages)
        if plain and not conversation.tools and not self._takes.drops_thoughts:
            return conversation
        takes = self._knows_tools()
        if conversation.tools and not takes.tools:
            return "the tokenizer's chat template writes no tools; name a template that does"
        try:
            return Conversation(takes.prepare(conversation.messages), conversation.tools)
        except DataError as error:
            return str(error)

    def _knows_tools(self) -> Takes:
        """What the template takes, found out when the first such conversation comes."""
        if not self._probed:
            self._probed = True
            shown = self._try((USER,), SOME_TOOLS, False)
            objects, texts = (
                self._try(takes.prepare((USER, _calling({"Kq0x7Zm": "Vq0x7Zm"}))), (), False)
                for takes in (self._takes, dataclasses.replace(self._takes, text_arguments=True))
            )
            # A template that only joins texts refuses an object, or writes it as Python does.
            as_text = not isinstance(texts, Exception) and (
                isinstance(objects, Exception) or "{'Kq0x7Zm'" in objects
            )
            self._takes = dataclasses.replace(
                self._takes, tools=isinstance(shown, str) and PROBE_NAME in shown, text_arguments=as_text
            )
        return self._takes

    def _apply(self, conversations: Sequence[Conversation]) -> list[str | Exception]:
        """One text each, in batches of those with the same tools."""
        texts: list[str | Exception] = []
        for tools, group in groupby(conversations, key=lambda item: item.tools):
            batch = [list(item.messages) for item in group]
            try:
                texts += self._call(batch, tools, False)
            except _template_errors():
                texts += [self._try(messages, tools, False) for messages in batch]
        return texts

    def _try(self, messages: Messages, tools: Messages, generation: bool) -> str | Exception:
        try:
            text: str = self._call(list(messages), tools, generation)
        except _template_errors() as error:
            return error
        return text

    def _call(self, messages: Any, tools: Messages, generation: bool) -> Any:
        return self.tokenizer.apply_chat_template(
            messages,
            tools=list(tools) or None,
            tokenize=False,
            add_generation_prompt=generation,
            **self._options,
        )

    # -- what it wrote

    def _finish(self, conversation: Conversation, text: str | Exception, suspect: bool) -> Rendered | str:
        if isinstance(text, Exception):
            return f"the chat template refuses it: {text}"
        shape, spans = self._locate(conversation, text)
        if not spans or not shape:
            return UNFOUND
        contents: Ranges | None = ()
        if suspect or (shape.touchy and self._guards):
            plain = _plain(shape.arrange(conversation.messages), spans) if shape.touchy else []
            contents = self._spelt(conversation, text, plain, suspect)
        if contents is None:
            return UNTOLD
        if any(len(message) > 2 for message in conversation.messages):
            self._note_losses(shape.arrange(conversation.messages), text, spans)
        rendered = Rendered(text, build_turns(shape, spans, len(text)), (), contents)
        if shape.added:
            rendered = _with_added(rendered, shape.added)
        final = len(conversation.messages) - 1
        if shape.extra(final) or kind_of(conversation.messages[final]) != "assistant":
            rendered = _with_cut(rendered)
        return rendered if shape.stop_part.get(final) else self._with_stop(rendered)

    def _locate(self, conversation: Conversation, text: str) -> tuple[Shape | None, Spans | None]:
        messages, tools = conversation.messages, conversation.tools
        calls = any("tool_calls" in message for message in messages)
        shape = measured = self._measure.shape(messages, tools)
        if shape and calls:
            shape = shape.for_names(messages)
        spans = align(shape.arrange(messages), text, shape) if shape else None
        if not spans and (shape or tools):
            # A template that writes today's date changes its words at midnight, and tools may be written in a
            # way of their own: measure once more.
            anew = self._measure.anew(messages, tools)
            if anew and anew != measured:
                shape = anew.for_names(messages)
                return shape, align(shape.arrange(messages), text, shape)
        return shape, spans

    def _spelt(
        self, conversation: Conversation, text: str, plain: Spans, suspect: bool, *, generation: bool = False
    ) -> Ranges | None:
        """Where the data spells control tokens: rendered once more with marks around them, so that they are
        told from the template's own. None when that changes the text. plain: contents that the template's
        words touch.
        """
        guard = self._guard
        if not suspect or not any(map(guard.spells, words_of([conversation], escaped=False))):
            return tuple(plain)
        messages, tools = _map(guard.mark, (conversation.messages, conversation.tools))
        marked = self._try(messages, tools, generation)
        if isinstance(marked, Exception) or guard.unmark(marked) != text:
            return None
        return tuple(sorted({*plain, *guard.marked(marked)}))

    def _with_stop(self, rendered: Rendered) -> Rendered:
        """Templates such as GLM-4's end no answer; one that never sees a stop never learns to stop."""
        eos = self.tokenizer.eos_token
        if not eos or not rendered.turns:
            return rendered
        self._note(
            f"the tokenizer's chat template writes no stop after the last answer; {eos} is appended there"
        )
        *turns, last = rendered.turns
        end = len(rendered.text) + len(eos)
        last = dataclasses.replace(last, stop=end, end=end)
        return dataclasses.replace(rendered, text=rendered.text + eos, turns=(*turns, last))

    def _note_losses(self, messages: Messages, text: str, spans: Spans) -> None:
        """Thoughts and words that the template does not write."""
        question = max((n for n, message in enumerate(messages) if message["role"] == "user"), default=0)
        for number, (message, (start, end)) in enumerate(zip(messages, spans, strict=True)):
            if len(message) == 2 or message["role"] != "assistant":
                continue
            answer = text[start:end]
            if message.get("reasoning_content", "").strip() not in answer and number > question:
                self._note(
                    "the tokenizer's chat template leaves out thoughts that the data keeps apart from answers"
                )
            if message["content"].rpartition(CLOSING_THOUGHT)[2].strip() not in answer:
                self._note("the tokenizer's chat template leaves out what an answer says beside its calls")

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _plain(messages: Messages, spans: Spans) -> Spans:
    """The spans that hold nothing but a message's words."""
    pairs = zip(messages, spans, strict=False)
    return [span for message, span in pairs if not message.get("tool_calls")]


def _switches(source: str, thinking: bool | None, preserve_thinking: bool) -> dict[str, bool]:
    """The variables that the template asks for. Thinking is only switched off: on is its own default."""
    switches = {}
    if thinking is False:
        switches["enable_thinking"] = False
    if "preserve_thinking" in source:
        switches["preserve_thinking"] = preserve_thinking
    if "clear_thinking" in source:
        switches["clear_thinking"] = not preserve_thinking
    return switches


def _calling(arguments: Mapping[str, Any]) -> dict[str, Any]:
    call = {"type": "function", "function": {"name": PROBE_NAME, "arguments": arguments}}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


def _template_errors() -> tuple[type[Exception], ...]:
    """What a template's own code raises; anything else is our mistake and propagates."""
    from jinja2.exceptions import TemplateError

    return (TemplateError, TypeError, ValueError, LookupError)


def _with_added(rendered: Rendered, words: str) -> Rendered:
    """`words` written at the end of the last answer's prompt."""
    *turns, last = rendered.turns
    at, size = last.answer, len(words)
    turn = Turn(last.start, last.header, at + size, last.stop + size, last.end + size)
    contents = tuple(
        (start, end) if end <= at else (start + size, end + size) for start, end in rendered.contents
    )
    return Rendered(rendered.text[:at] + words + rendered.text[at:], (*turns, turn), (), contents)


def _with_cut(rendered: Rendered) -> Rendered:
    """Where the template writes blanks on both sides of the last answer's border, they would be one token
    that no prompt ends with: tokenisation restarts there.
    """
    at = rendered.turns[-1].answer if rendered.turns else 0
    if not rendered.text[at - 1 : at].isspace() or not rendered.text[at : at + 1].isspace():
        return rendered
    return dataclasses.replace(rendered, cuts=(at,))


def _map(change: Any, value: Any) -> Any:
    """A copy with every text in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(key): _map(change, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_map(change, inner) for inner in value]
    return value


if __name__ == "__main__":
    from transformers import AutoTokenizer

    template = NativeTemplate(AutoTokenizer.from_pretrained(sys.argv[1]))
    shown = template.render([Conversation((USER, ANSWER))])[0]
    print(shown if isinstance(shown, str) else [shown.text, shown.turns, template.notes])
