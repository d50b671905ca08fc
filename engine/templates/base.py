"""Conversations in a named chat format as text: the shapes every template speaks, and the functions that
render turns (`render_turns` for training, `render_prompt` for inference) and read an answer back. No torch,
no tokenizer.

The formats' facts are in forms.py and families/*.json, how tools are written in tools/.
Try: python -m engine.templates.base qwen3
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.templates.forms import (
    CONTENT,
    REASONING,
    Format,
    Piece,
    list_templates,
    load_template,
)
from engine.templates.thoughts import answer_parts, cut_thought, place_thought, split_thought, with_thought
from engine.templates.tools import Data, Tool, ToolFormat, list_tool_formats, load_tool_format
from engine.templates.turns import Call, TurnIn, split_messages

__all__ = [
    "CONTENT",
    "REASONING",
    "Answer",
    "Call",
    "Conversation",
    "Format",
    "Piece",
    "Rendered",
    "Turn",
    "TurnIn",
    "list_templates",
    "list_tool_formats",
    "load_template",
    "load_tool_format",
    "parse_answer",
    "render_prompt",
    "render_turns",
    "split_messages",
]


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is rendered: messages as {"role", "content"} objects (system first, if any), and tools on offer.

    An assistant message may carry "reasoning_content" and "tool_calls" ([{"type": "function", "function":
    {"name", "arguments"}}], arguments an object); a tool's result has the role "tool". tools are {"type":
    "function", "function": {"name", "description", "parameters"}} objects.
    """

    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """Character positions of one prompt and its answer inside a rendered text, in ascending order.

    start: the turn begins. header: the user's words end; what follows up to `answer` is the format's own and
    survives truncation. answer..stop is what is learnt, the stop token included. end: the next turn begins.
    """

    start: int
    header: int
    answer: int
    stop: int
    end: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as text. Tokenisation restarts at each of `cuts`: named formats keep the tokens of a
    prompt and of its answer apart, as they are at inference. `contents` are the ascending (start, end) ranges
    that came from the data: the user's words, system text, tools, tool results, answers, arguments of calls.
    Thought words and the words around calls are not among them.
    """

    text: str
    turns: tuple[Turn, ...]
    cuts: tuple[int, ...] = ()
    contents: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said, taken apart."""

    content: str
    thought: str = ""
    calls: tuple[Call, ...] = ()


def render_turns(
    form: Format,
    turns: Sequence[TurnIn | tuple[str, str]],
    *,
    system: str = "",
    tools: Sequence[Tool] = (),
    tool_format: str | None = None,
    specials: Mapping[str, str | None],
    thinking: bool | None = True,
    discard_history: bool = False,
) -> Rendered:
    """Text and positions of prompts and their answers.

    specials maps bos_token and eos_token to the tokenizer's text or None. tool_format replaces the format's
    own. thinking: None lets each answer decide, False takes thoughts out, and in both cases an answer without
    thoughts gets an empty one in its prompt (learnt when True). discard_history: answers before the user's
    last words lose their thoughts and get none.
    """
    out = _Writer(form, specials, load_tool_format(tool_format or form.tool_format))
    inputs = [TurnIn(*turn) for turn in turns]
    opens = _last_question(inputs) if discard_history else 0
    positions = []
    for number, turn in enumerate(inputs):
        start = out.length
        header = _write_prompt(out, turn, system, tools, first=number == 0)
        ends = number == len(inputs) - 1
        answer, stop = _write_answer(out, turn, thinking, bare=number < opens, last=ends)
        positions.append(Turn(start, header, answer, stop, out.length))
    return out.rendered(tuple(positions))


def render_prompt(
    form: Format,
    turns: Sequence[TurnIn | tuple[str, str]],
    question: TurnIn | str,
    *,
    system: str = "",
    tools: Sequence[Tool] = (),
    tool_format: str | None = None,
    specials: Mapping[str, str | None],
    thinking: bool | None = True,
    discard_history: bool = True,
) -> Rendered:
    """The text a model is given to answer `question` (the user's words, or tool results) after the finished
    `turns`: what `render_turns` writes before such an answer.
    """
    out = _Writer(form, specials, load_tool_format(tool_format or form.tool_format))
    asked = TurnIn(question) if isinstance(question, str) else question
    inputs = [*(TurnIn(*turn) for turn in turns), asked]
    opens = _last_question(inputs) if discard_history else 0
    for number, turn in enumerate(inputs):
        _write_prompt(out, turn, system, tools, first=number == 0)
        if number < len(inputs) - 1:
            _write_answer(out, turn, thinking, bare=number < opens, last=False)
    if form.family in REASONING and not thinking:
        out.write(form.empty_thought)
    return out.rendered(())


def parse_answer(
    form: Format,
    text: str,
    *,
    tools: Sequence[Tool] = (),
    tool_format: str | None = None,
    specials: Mapping[str, str | None] | None = None,
) -> Answer:
    """A model's answer (its stop taken off) as content, thought and calls. What is malformed stays text.

    tools: the declared types of arguments that a format writes as bare text.
    """
    out = _Writer(form, specials or {}, load_tool_format(tool_format or form.tool_format))
    head, _, tail = out.text_of(form.assistant).partition(CONTENT)
    text = text.removesuffix(tail).removesuffix(tail.rstrip()).removeprefix(head)
    thought, text = cut_thought(form, text)
    calls, words = out.tools.parse_calls(text, tools)
    if calls and form.function != form.assistant:
        # What surrounds calls, as mistral's [TOOL_CALLS], may have been decoded or not.
        for fixed in reversed(out.text_of(form.function).split(CONTENT)):
            words = words.removesuffix(fixed)
        words = words.removesuffix(out.tools.lead)
    return Answer(words.removeprefix(head).removeprefix(head.lstrip("\n")), thought, tuple(calls))


class _Writer:
    """Parts written one after another, where tokenisation restarts, and which of them are data."""

    def __init__(self, form: Format, specials: Mapping[str, str | None], tools: ToolFormat) -> None:
        self.form = form
        self.specials = specials
        self.tools = tools
        self.parts: list[str] = []
        self.cuts: list[int] = []
        self.contents: list[tuple[int, int]] = []
        self.length = 0

    def write(self, part: str) -> None:
        if not part:
            return
        start = self.length
        self.parts.append(part)
        self.length += len(part)
        if isinstance(part, Data):
            # Neighbours make one range, unless tokens begin anew between them.
            if self.contents and self.contents[-1][1] == start and start not in self.cuts[-1:]:
                start = self.contents.pop()[0]
            self.contents.append((start, self.length))

    def cut(self) -> None:
        """Here the tokens of what comes next begin anew."""
        if self.length and self.length not in self.cuts[-1:]:
            self.cuts.append(self.length)

    def rendered(self, turns: tuple[Turn, ...]) -> Rendered:
        cuts = tuple(cut for cut in self.cuts if cut < self.length)
        return Rendered("".join(self.parts), turns, cuts, tuple(self.contents))

    def text_of(self, pieces: Sequence[Piece]) -> str:
        """Fixed text of pieces; a special token that the tokenizer lacks is left out."""
        text = ""
        for piece in pieces:
            text += piece if isinstance(piece, str) else piece.get("token") or self._special(piece["special"])
        return text

    def _special(self, name: str) -> str:
        return (self.specials.get(name) or "") if name.endswith("_token") else name

    def write_pieces(self, pieces: Sequence[Piece], content: Sequence[str]) -> int:
        """Write all; returns where the content ended (the start when no piece takes content)."""
        end = self.length
        before, *rest = self.text_of(pieces).split(CONTENT)
        self.write(before)
        for fixed in rest:
            for part in content:
                self.write(part)
            end = self.length
            self.write(fixed)
        return end


def _last_question(turns: Sequence[TurnIn]) -> int:
    """Number of the last turn that answers the user: thoughts from there on belong to one chain of calls."""
    return max((number for number, turn in enumerate(turns) if not turn.results), default=0)


def _write_prompt(out: _Writer, turn: TurnIn, system: str, tools: Sequence[Tool], *, first: bool) -> int:
    """What is asked, up to where the answer begins. Returns where the user's words or the results end."""
    out.cut()
    form = out.form
    lead: list[str] = []
    if first:
        out.write_pieces(form.prefix, ())
        content = _system_parts(out, system, tools)
        if content and form.family == "system_in_first_user":
            before, *rest = out.text_of(form.system).split(CONTENT)
            lead = [before, *(part for fixed in rest for part in (*content, fixed))]
        elif content:
            out.write_pieces(form.system, content)
    if not turn.results:
        return out.write_pieces(form.user, [*lead, Data(turn.prompt)])
    between = out.text_of(form.between_results)
    results = [part for result in turn.results for part in (between, Data(result))]
    return out.write_pieces(form.observation, results[1:])


def _system_parts(out: _Writer, system: str, tools: Sequence[Tool]) -> list[str]:
    form = out.form
    parts: list[str] = [Data(system)] if system else [form.default_system] if form.default_system else []
    if tools:
        described = out.tools.describe(tools)
        if not parts and form.family == "chat_strip_tools_newlines":
            described[0] = described[0].lstrip("\n")
        parts += described
    return parts


def _write_answer(
    out: _Writer, turn: TurnIn, thinking: bool | None, *, bare: bool, last: bool
) -> tuple[int, int]:
    """The assistant's turn. Returns where the learnt text begins and ends: behind its stop, before any line
    breaks.
    """
    form = out.form
    before, inside, answer = place_thought(form, with_thought(form, turn), thinking, bare=bare)
    out.write(before)
    out.cut()
    begin = out.length
    out.write(inside)
    if turn.calls and form.function != form.assistant:
        _write_words_before_calls(out, answer)
        content = out.tools.write_calls(turn.calls)
    else:
        content = answer_parts(form, answer)
        if turn.calls:
            said = split_thought(form, answer)[1]
            content += [out.tools.lead if said else "", *out.tools.write_calls(turn.calls)]
    head, _, tail = out.text_of(form.function if turn.calls else form.assistant).partition(CONTENT)
    for part in (head, *content):
        out.write(part)
    eos = out.specials.get("eos_token")
    # Stops are looked for behind the content only, so that an answer may mention them.
    found = [(tail.index(word), len(word)) for word in (*form.stop_words, eos) if word and word in tail]
    learnt = sum(min(found)) if found else len(tail.rstrip()) or len(tail)
    out.write(tail[:learnt])
    out.cut()
    stop = out.length
    out.write(tail[learnt:])
    if last and form.eos_only_at_end and eos:
        # Such formats close no turn, or close it with words that do not stop a model; the end token does.
        out.write(eos)
        stop = stop if found else out.length
    return begin, stop


def _write_words_before_calls(out: _Writer, answer: str) -> None:
    """Where calls are not written like an answer, what is thought and said stands ahead of them, the words as
    an answer begins.
    """
    thought, words = split_thought(out.form, answer)
    head = out.text_of(out.form.assistant).partition(CONTENT)[0] if words else ""
    lead = out.tools.lead if words else ""
    for part in (*answer_parts(out.form, thought), head, *answer_parts(out.form, words), lead):
        out.write(part)


if __name__ == "__main__":
    chosen = load_template(sys.argv[1] if len(sys.argv) > 1 else "chatml")
    shown = render_turns(
        chosen,
        [("U1", "A1"), ("U2", "A2")],
        system="S",
        specials={"bos_token": "<BOS>", "eos_token": "<EOS>"},
    )
    for turn in shown.turns:
        print(
            f"prompt {shown.text[turn.start : turn.answer]!r}\nlearnt {shown.text[turn.answer : turn.stop]!r}"
        )
