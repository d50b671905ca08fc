"""From an exit to the state it means and a reason a person can read. Pure, but for reading the end of a log.

Not a diagnosis: it names what happened, in the engine's own words. Try: python -m engine.jobs.outcome
saves/x/log.txt 1
"""

from __future__ import annotations

import re
import signal
from pathlib import Path

from engine.jobs.states import Ended, Failed, Stopped, Succeeded

STOPPED_EXIT_CODE = 130  # what the engine returns when it was asked to stop and did
_TAIL_BYTES = 16 * 1024
_MAX_REASON = 2000
_EXCEPTION = re.compile(
    r"^(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Interrupt|Exit|Warning|Failure)\b"
)
_SIGNAL_HINTS = {
    signal.SIGKILL: "out of memory?",
    signal.SIGSEGV: "crash in native code",
    signal.SIGBUS: "crash in native code, or a full disk under a memory map",
    signal.SIGABRT: "native code gave up",
    signal.SIGILL: "an instruction this processor lacks",
}


def judge_exit(
    exit_code: int,
    *,
    started: float | None,
    ended: float,
    stop_requested: bool,
    log_tail: str,
    recorded: str = "",
) -> Ended:
    """The state that an exit means.

    exit_code: negative for a signal. stop_requested: somebody asked for a stop. recorded: what the engine
    itself noted.
    """
    if exit_code == 0:
        return Succeeded(started, ended)
    what = describe_exit(exit_code, log_tail, recorded, guess=not stop_requested)
    if exit_code in (STOPPED_EXIT_CODE, -signal.SIGINT):
        return Stopped(started, ended, exit_code, "stopped by request")
    if stop_requested:
        return Stopped(started, ended, exit_code, f"stopped by request ({what.splitlines()[0]})")
    return Failed(started, ended, exit_code, what)


def describe_exit(exit_code: int, log_tail: str, recorded: str = "", *, guess: bool = True) -> str:
    """One reason: `killed by signal 9 (out of memory?)`, `exit 2: <the error>`, `exit 1: ValueError: ...`.

    guess: name a likely cause of a signal. Not where the signal was our own.
    """
    if exit_code < 0:
        number = -exit_code
        known = guess and number in signal.valid_signals()
        hint = _SIGNAL_HINTS.get(signal.Signals(number)) if known else None
        return f"killed by signal {number} ({hint})" if hint else f"killed by signal {number}"
    error = recorded or find_error(log_tail)
    return f"exit {exit_code}: {error}"[:_MAX_REASON] if error else f"exit {exit_code}"


def find_error(log_tail: str) -> str:
    """The error a log ends with: an `error:` line and what belongs to it, else the last exception, else the
    last line.
    """
    lines = [line.rstrip() for line in log_tail.splitlines()]
    for index in range(len(lines) - 1, -1, -1):
        if lines[index].startswith("error: "):
            rest = [lines[index][len("error: ") :]]
            for line in lines[index + 1 :]:
                if not line.startswith(" "):
                    break
                rest.append(line)
            return "\n".join(rest)
    for line in reversed(lines):
        if _EXCEPTION.match(line):
            return line
    filled = [line for line in lines if line.strip()]
    return filled[-1].strip() if filled else ""


def read_log_tail(path: Path, *, since: int = 0) -> str:
    """The last 16 KB of a log, nothing from before byte `since` (where this attempt began)."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(since, size - _TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


if __name__ == "__main__":
    import sys

    print(describe_exit(int(sys.argv[2]), read_log_tail(Path(sys.argv[1]))))
