"""The terminal chat with an engine that echoes: conversation, commands, pipe, Ctrl-C."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import pytest

from engine.errors import UserError
from engine.infer.engine import Message, Sampling
from engine.infer.repl import answer_lines, converse


class Echo:
    """Answers with the number of messages and the last one; `interrupt`: Ctrl-C after the first piece."""

    def __init__(self, *, interrupt: bool = False) -> None:
        self.interrupt = interrupt
        self.closed = False
        self.seen: list[list[Message]] = []
        self.prompt_tokens = self.completion_tokens = 0
        self.finish_reason = "stop"

    def load(self) -> None: ...

    def stop(self) -> None: ...

    def cancel(self) -> None: ...

    def close(self) -> None:
        self.closed = True

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> Echo:
        if "refuse" in messages[-1]["content"]:
            raise UserError("too long")
        self.seen.append([*messages])
        return self

    def __iter__(self) -> Iterator[str]:
        yield f"{len(self.seen[-1])}:"
        if self.interrupt:
            raise KeyboardInterrupt
        yield self.seen[-1][-1]["content"]


def type_lines(monkeypatch: pytest.MonkeyPatch, lines: Sequence[str | type[BaseException]]) -> None:
    """What the person types: texts, KeyboardInterrupt, and EOFError at the end."""
    typed = iter(lines)

    def read(prompt: str) -> str:
        entry = next(typed, EOFError)
        if isinstance(entry, str):
            return entry
        raise entry

    monkeypatch.setattr("builtins.input", read)


def test_a_conversation_goes_on_until_it_is_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    type_lines(monkeypatch, ["a", "b", "/clear", "c", "/exit"])
    engine, out = Echo(), io.StringIO()
    assert converse(engine, Sampling(), out=out) == 0
    assert [len(messages) for messages in engine.seen] == [1, 3, 1]
    assert engine.seen[1][1] == {"role": "assistant", "content": "1:a"}
    assert "3:b\n" in out.getvalue()


def test_ctrl_c_ends_the_answer_and_not_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    type_lines(monkeypatch, ["a", "b"])
    engine, out = Echo(interrupt=True), io.StringIO()
    assert converse(engine, Sampling(), out=out) == 0
    assert engine.closed
    assert [len(messages) for messages in engine.seen] == [1, 3]
    assert engine.seen[1][1]["content"] == "1:", "what was said before the stop stays in the conversation"


def test_ctrl_c_ends_a_pipe_of_questions_altogether() -> None:
    engine = Echo(interrupt=True)
    with pytest.raises(KeyboardInterrupt):
        answer_lines(engine, Sampling(), ["a", "b"], out=io.StringIO())
    assert engine.closed and len(engine.seen) == 1


def test_ctrl_c_at_the_prompt_leaves_only_the_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    type_lines(monkeypatch, [KeyboardInterrupt, "a", KeyboardInterrupt, KeyboardInterrupt, "never"])
    engine = Echo()
    assert converse(engine, Sampling(), out=io.StringIO()) == 0
    assert len(engine.seen) == 1


def test_a_refused_question_is_told_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    type_lines(monkeypatch, ["refuse this", "b"])
    engine, out = Echo(), io.StringIO()
    converse(engine, Sampling(), out=out)
    assert "error: too long" in out.getvalue()
    assert [len(messages) for messages in engine.seen] == [1]


def test_lines_of_a_pipe_are_answered_one_by_one_on_their_own() -> None:
    engine, out = Echo(), io.StringIO()
    assert answer_lines(engine, Sampling(), ["a\n", "\n", "b\n"], out=out) == 0
    assert out.getvalue() == "1:a\n1:b\n"


def test_a_line_that_cannot_be_answered_is_told_and_shows_in_the_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine, out = Echo(), io.StringIO()
    assert answer_lines(engine, Sampling(), ["refuse", "b"], out=out) == 2
    assert out.getvalue() == "1:b\n"
    assert "error: too long" in capsys.readouterr().err
