"""Named chat formats as data (families/*.json), and the one function that renders them. No torch, no
tokenizer.

A format is a few lists of pieces: text with {{content}}, a special token of the tokenizer ({"special":
"eos_token"}, left out where the tokenizer has none) or a fixed token ({"token": "..."}). `render_turns`
strings them together.
Try: python -m engine.templates.base qwen3
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UserError

FAMILIES = Path(__file__).parent / "families"
CONTENT = "{{content}}"
REASONING = ("reasoning", "reasoning_close_tag_only")
Piece = str | Mapping[str, str]


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
    that came from the data: the user's words, system text, tool results, answers, arguments of calls.
    """

    text: str
    turns: tuple[Turn, ...]
    cuts: tuple[int, ...] = ()
    contents: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Format:
    """The facts of one named chat format. Field names follow the data files."""

    name: str
    family: str = "chat"
    prefix: tuple[Piece, ...] = ()
    system: tuple[Piece, ...] = (CONTENT,)
    user: tuple[Piece, ...] = (CONTENT,)
    assistant: tuple[Piece, ...] = (CONTENT,)
    observation: tuple[Piece, ...] = (CONTENT,)
    function: tuple[Piece, ...] = (CONTENT,)
    default_system: str = ""
    stop_words: tuple[str, ...] = ()
    thought_words: tuple[str, ...] = ("<think>\n", "\n</think>\n\n")
    tool_call_words: tuple[str, ...] = ("<tool_call>", "</tool_call>")
    tool_format: str = "default"
    eos_only_at_end: bool = False
    stop_word_becomes_eos: bool = False
    replace_chat_template: bool = False
    media: str | None = None

    @property
    def empty_thought(self) -> str:
        opening, closing = self.thought_words
        return closing if self.family == "reasoning_close_tag_only" else opening + closing


def list_templates() -> list[str]:
    """Every name that `load_template` accepts, sorted."""
    return sorted(name for path in FAMILIES.glob("*.json") for name in _read_family(path))


def load_template(name: str) -> Format:
    """The format called `name`. Raises UserError with the nearest names."""
    for path in sorted(FAMILIES.glob("*.json")):
        facts = _read_family(path).get(name)
        if facts is not None:
            values: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()
            }
            return Format(name=name, **values)
    known = list_templates()
    near = difflib.get_close_matches(name, known, 3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known names: {', '.join(known)}"
    raise UserError(f"template: {name!r} is not a known chat template; {hint}")


def _read_family(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts


def render_turns(
    form: Format,
    turns: Sequence[tuple[str, str]],
    *,
    system: str = "",
    specials: Mapping[str, str | None],
    thinking: bool | None = True,
    discard_history: bool = False,
) -> Rendered:
    """Text and positions of (prompt, answer) pairs.

    specials maps bos_token and eos_token to the tokenizer's text or None. thinking: None lets each answer
    decide, False takes thoughts out, and in both cases an answer without thoughts gets an empty one in its
    prompt (learnt when True). discard_history: answers before the last lose their thoughts and get none.
    """
    out = _Writer(specials)
    positions = []
    for number, (prompt, answer) in enumerate(turns):
        start = out.length
        last = number == len(turns) - 1
        header = _write_prompt(out, form, prompt, system or form.default_system, first=number == 0)
        before, inside, answer = _place_thought(form, answer, thinking, bare=discard_history and not last)
        out.write(before)
        out.cut()
        begin = out.length
        stop = _write_answer(out, form, inside, answer, ends=last and form.eos_only_at_end)
        positions.append(Turn(start, header, begin, stop, out.length))
    return Rendered("".join(out.parts), tuple(positions), out.inner_cuts())


def render_prompt(
    form: Format,
    turns: Sequence[tuple[str, str]],
    question: str,
    *,
    system: str = "",
    specials: Mapping[str, str | None],
    thinking: bool | None = True,
) -> Rendered:
    """The text a model is given to answer `question` after the finished `turns`; earlier thoughts are left
    out.
    """
    out = _Writer(specials)
    for number, (prompt, answer) in enumerate((*turns, (question, None))):
        _write_prompt(out, form, prompt, system or form.default_system, first=number == 0)
        if answer is not None:
            out.cut()
            _write_answer(out, form, "", _place_thought(form, answer, thinking, bare=True)[2], ends=False)
    if form.family in REASONING and not thinking:
        out.write(form.empty_thought)
    return Rendered("".join(out.parts), (), out.inner_cuts())


class _Writer:
    """Pieces written one after another, with the places where tokenisation restarts."""

    def __init__(self, specials: Mapping[str, str | None]) -> None:
        self.specials = specials
        self.parts: list[str] = []
        self.cuts: list[int] = []
        self.length = 0

    def write(self, text: str) -> None:
        self.parts.append(text)
        self.length += len(text)

    def cut(self) -> None:
        """Here the tokens of what comes next begin anew."""
        if self.length > (self.cuts[-1] if self.cuts else 0):
            self.cuts.append(self.length)

    def inner_cuts(self) -> tuple[int, ...]:
        """Cuts with text on both sides."""
        return tuple(cut for cut in self.cuts if cut < self.length)

    def text_of(self, piece: Piece) -> str:
        """Fixed text of a piece; "" for a special token that the tokenizer lacks."""
        if isinstance(piece, str):
            return piece
        if "token" in piece:
            return piece["token"]
        name = piece["special"]
        return (self.specials.get(name) or "") if name.endswith("_token") else name

    def write_pieces(self, pieces: Sequence[Piece], content: str) -> int:
        """Write all; returns where the content ended (the start when no piece takes content)."""
        end = self.length
        for piece in pieces:
            text = self.text_of(piece)
            head, found, _ = text.partition(CONTENT)
            if found:
                end = self.length + len(head) + len(content)
                text = text.replace(CONTENT, content)
            self.write(text)
        return end


def _write_prompt(out: _Writer, form: Format, prompt: str, system: str, *, first: bool) -> int:
    """The user's turn up to where the answer begins. Returns where the user's words end."""
    out.cut()
    if first:
        out.write_pieces(form.prefix, "")
        if system and form.family == "system_in_first_user":
            prompt = "".join(out.text_of(piece) for piece in form.system).replace(CONTENT, system) + prompt
        elif system:
            out.write_pieces(form.system, system)
    return out.write_pieces(form.user, prompt)


def _write_answer(out: _Writer, form: Format, thought: str, answer: str, *, ends: bool) -> int:
    """The assistant's turn. Returns where the learnt text ends: behind its stop, before any line breaks."""
    out.write(thought)
    pattern = "".join(out.text_of(piece) for piece in form.assistant)
    tail = pattern.rpartition(CONTENT)[2]
    whole = pattern.replace(CONTENT, answer)
    eos = out.specials.get("eos_token")
    # Stops are looked for behind the content only, so that an answer may mention them.
    found = [(tail.index(word), len(word)) for word in (*form.stop_words, eos) if word and word in tail]
    learnt = sum(min(found)) if found else len(tail.rstrip()) or len(tail)
    cut = len(whole) - len(tail) + learnt
    out.write(whole[:cut])
    out.cut()
    stop = out.length
    out.write(whole[cut:])
    if ends and eos:
        # Such formats close no turn, or close it with words that do not stop a model; the end token does.
        out.write(eos)
        stop = stop if found else out.length
    return stop


def _place_thought(form: Format, answer: str, thinking: bool | None, *, bare: bool) -> tuple[str, str, str]:
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


if __name__ == "__main__":
    chosen = load_template(sys.argv[1] if len(sys.argv) > 1 else "chatml")
    shown = render_turns(
        chosen,
        [("U1", "A1"), ("U2", "A2")],
        system="S",
        specials={"bos_token": "<BOS>", "eos_token": "<EOS>"},
    )
    position = 0
    for turn in shown.turns:
        print(
            f"prompt {shown.text[turn.start : turn.answer]!r}\nlearnt {shown.text[turn.answer : turn.stop]!r}"
        )
