"""The copy of a terminal's output: whole lines, and of a progress bar its last form."""

from __future__ import annotations

import io
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.jobs.tee import Tee, teed


def log_of(*pieces: str) -> str:
    screen, log = io.StringIO(), io.StringIO()
    tee = Tee(screen, log, threading.Lock())
    for piece in pieces:
        tee.write(piece)
    tee.close_line()
    assert screen.getvalue() == "".join(pieces), "the terminal sees everything"
    return log.getvalue()


@pytest.mark.parametrize(
    ("pieces", "log"),
    [
        (("a\nb",), "a\nb\n"),
        (("a", "b\n"), "ab\n"),
        (("\r 10%", "\r 50%", "\r100%", "\n", "next\n"), "100%\nnext\n"),
        (("windows\r\n",), "windows\n"),
        (("windows\r", "\nnext"), "windows\nnext\n"),
        ((" 10%\r", " 20%\r"), " 20%\n"),
        (("",), ""),
    ],
)
def test_lines(pieces: tuple[str, ...], log: str) -> None:
    assert log_of(*pieces) == log


@given(st.text(alphabet="ab\r\n", max_size=30), st.integers(0, 30))
def test_log_does_not_depend_on_how_it_was_written(text: str, cut: int) -> None:
    assert log_of(text[:cut], text[cut:]) == log_of(text)


def test_streams_are_given_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = sys.stdout, sys.stderr
    with pytest.raises(RuntimeError), teed(tmp_path / "log.txt"):
        print("to the log 名")
        print("error too", file=sys.stderr)
        assert sys.stdout.encoding == out.encoding
        raise RuntimeError
    assert (sys.stdout, sys.stderr) == (out, err)
    assert (tmp_path / "log.txt").read_text() == "to the log 名\nerror too\n"
    assert capsys.readouterr().out == "to the log 名\n"
