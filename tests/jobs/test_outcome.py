"""From exits and logs to states and reasons."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.jobs import outcome
from engine.jobs.states import Failed, Stopped, Succeeded

TRACEBACK = """step 3
Traceback (most recent call last):
  File "x.py", line 1, in <module>
    f()
torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB
"""


@pytest.mark.parametrize(
    ("log", "error"),
    [
        (TRACEBACK, "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"),
        ("note: x\nerror: dataset: no d\n  known: a\nbye\n", "dataset: no d\n  known: a"),
        ("error: old\n" + TRACEBACK + "error: new\n", "new"),
        ("just\nwords\n\n", "words"),
        ("", ""),
    ],
)
def test_find_error(log: str, error: str) -> None:
    assert outcome.find_error(log) == error


def judge(code: int, *, stop: bool = False, log: str = "", recorded: str = "") -> object:
    return outcome.judge_exit(
        code, started=1.0, ended=2.0, stop_requested=stop, log_tail=log, recorded=recorded
    )


def test_judge_exit() -> None:
    assert judge(0) == Succeeded(1.0, 2.0)
    assert judge(0, stop=True) == Succeeded(1.0, 2.0), "it was faster than the request"
    assert judge(130) == Stopped(1.0, 2.0, 130, "stopped by request")
    assert judge(-2) == Stopped(1.0, 2.0, -2, "stopped by request")
    assert judge(-9) == Failed(1.0, 2.0, -9, "killed by signal 9 (out of memory?)")
    assert judge(-9, stop=True) == Stopped(1.0, 2.0, -9, "stopped by request (killed by signal 9)")
    assert judge(-11) == Failed(1.0, 2.0, -11, "killed by signal 11 (crash in native code)")
    assert judge(-15) == Failed(1.0, 2.0, -15, "killed by signal 15")
    assert judge(1, log=TRACEBACK).reason.startswith("exit 1: torch.cuda.OutOfMemoryError")  # type: ignore[attr-defined]
    assert judge(2, log="x", recorded="dataset: no d") == Failed(1.0, 2.0, 2, "exit 2: dataset: no d")
    assert judge(3) == Failed(1.0, 2.0, 3, "exit 3")


def test_log_tail_is_of_this_attempt(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(b"error: of the first attempt\n" + b"x" * 50_000 + b"\nerror: now\n")
    assert outcome.read_log_tail(log).endswith("error: now\n")
    assert len(outcome.read_log_tail(log)) <= 16 * 1024
    assert outcome.read_log_tail(log, since=log.stat().st_size) == ""
    assert outcome.read_log_tail(tmp_path / "none") == ""
