"""Questions about data, answered by a process of their own: `ask(op, arguments)` -> plain JSON.

What takes torch-weight libraries (tokenizers, templates, parquet) runs in one long-lived worker, so that the
studio stays light and the second preview takes milliseconds. The worker is started on demand, started anew
when it died, and ends by itself when idle, or as soon as whoever started it is gone (its standard input
closes, even after kill -9). No job: it has no run directory and changes nothing but what `register` is asked
to. The other end is engine/data/inspect/serve.py; what can be asked is engine/data/inspect/service.py.
Try: python -c "from engine.jobs.client import ask; print(ask('list', {'dataset_dir': 'data'}))"
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from engine import env
from engine.jobs import process
from engine.jobs.dispatch import JOB_VARIABLES
from engine.jobs.process import MARKER_VARIABLE, Identity
from engine.jobs.runfiles import new_marker

SERVE = (sys.executable, "-P", "-m", "engine.data.inspect.serve")
TIMEOUT_S = 60.0
LONG_OPS = frozenset({"check", "stats"})
# A worker that closed its output has ended or is about to; one that hangs there is ended.
_LEAVE_S = 5.0
_STDERR_BYTES = 4000


def ask(op: str, arguments: Mapping[str, Any], *, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """The answer of one operation, or {"error": what is wrong, "problems": [...]}. Never raises for what the
    data, the arguments or the worker did.

    Safe from several threads: questions wait for their turn, timeout_s at most, and then take timeout_s at
    most. A worker that takes longer is ended, and the error says so. What reads whole datasets has a worker
    of its own, so that a preview never waits for it.
    """
    return _shared(op in LONG_OPS).ask(op, arguments, timeout_s=timeout_s)


def stop_asking() -> None:
    """End the workers of `ask` for good: who waits for an answer, or asks later, is told so at once."""
    for long in (False, True):
        _shared(long).abandon()


@functools.cache
def _shared(_long: bool) -> Asker:
    """The two of this process: for short questions and for long ones."""
    return Asker()


class Asker:
    """Keeps at most one worker alive. `command`: what is started, for tests."""

    def __init__(self, command: Sequence[str] = SERVE) -> None:
        self._command = tuple(command)
        self._turn = threading.Lock()
        self._worker: _Worker | None = None
        self._abandoned = False

    def ask(self, op: str, arguments: Mapping[str, Any], *, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """See the function of that name."""
        if not self._turn.acquire(timeout=timeout_s):
            return _failure(
                f"other questions about data kept the worker busy for {timeout_s:g} s. Try again later."
            )
        try:
            # A worker that leaves because it was idle may cross with a question: that one is asked again.
            for _ in range(2):
                if self._abandoned:
                    return _failure("questions about data are no longer answered: the studio is stopping.")
                try:
                    worker = self._running()
                except OSError as error:
                    return _failure(f"the worker for questions about data cannot be started: {error}")
                answer = worker.ask(op, arguments, timeout_s)
                if isinstance(answer, dict):
                    return answer
                self._worker = None
                if not answer.left_by_itself and not self._abandoned:
                    return _failure(answer.reason)
            return _failure("the worker for questions about data leaves as soon as it is started.")
        finally:
            self._turn.release()

    def worker(self) -> Identity | None:
        """The process that would be asked next; None where none runs."""
        worker = self._worker
        return worker.identity if worker and process.is_alive(worker.identity) else None

    def close(self) -> None:
        """End the worker now and wait for that. The next question starts another."""
        with self._turn:
            if self._worker is not None:
                self._worker.end()
                self._worker = None

    def abandon(self) -> None:
        """End the worker even in the middle of a question, and start no other."""
        self._abandoned = True
        worker = self._worker
        if worker is not None:
            worker.end()

    def _running(self) -> _Worker:
        if self._worker is None or not process.is_alive(self._worker.identity):
            self._worker = _Worker(self._command)
        return self._worker


@dataclass(frozen=True)
class _Gone:
    """Why there will be no answer. `left_by_itself`: it ended in good order before it took the question."""

    reason: str
    left_by_itself: bool = False


class _Worker:
    """One process, its pipes, and the thread that reads what it answers."""

    def __init__(self, command: Sequence[str]) -> None:
        self.marker = new_marker()
        self._number = 0
        # A file, not a pipe: nobody has to read it, and what it says last explains a death.
        self._stderr: IO[bytes] = tempfile.TemporaryFile("ab+")  # noqa: SIM115
        secretless = dict.fromkeys((*JOB_VARIABLES, "TUNESMITH_API_KEY"))
        self._popen = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,  # a Ctrl-C is for the studio, whose end ends this one
            env=env.child_environment({**secretless, MARKER_VARIABLE: self.marker}),
        )
        identity = process.identify(self._popen.pid)
        assert identity is not None, "a child that was not waited for has a /proc entry"
        self.identity = identity
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="data worker", daemon=True).start()

    def ask(self, op: str, arguments: Mapping[str, Any], timeout_s: float) -> dict[str, Any] | _Gone:
        self._number += 1
        request = {"id": self._number, "op": op, "arguments": dict(arguments)}
        question = json.dumps(request, ensure_ascii=True).encode() + b"\n"
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(question)
            self._popen.stdin.flush()
            line = self._lines.get(timeout=timeout_s)
        except (BrokenPipeError, ValueError):  # it died, or was ended from elsewhere and its pipe is closed
            return self._gone()
        except queue.Empty:
            self.end()
            return _Gone(f"{op} took longer than {timeout_s:g} s and was ended. Ask for fewer rows.")
        if line is None:
            return self._gone()
        try:
            reply = json.loads(line)
            result = reply["result"] if reply["id"] == self._number else None
        except (ValueError, TypeError, KeyError):
            result = None
        if not isinstance(result, dict):
            self.end()
            return _Gone(f"the worker answered {op} with something else: {line[:200]!r}")
        with contextlib.suppress(OSError):
            os.ftruncate(self._stderr.fileno(), 0)  # what it said explains this answer, not the next
        return result

    def end(self) -> None:
        """Kill it and whatever it started."""
        for _ in process.stop_tree(self.identity, self.marker, ask_s=0, terminate_s=0, kill_s=_LEAVE_S):
            pass
        self._close()

    def _read(self) -> None:
        """Hand on its lines; at their end, collect the process so that no zombie stays."""
        assert self._popen.stdout is not None
        with self._popen.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._popen.wait()
        self._lines.put(None)

    def _gone(self) -> _Gone:
        """What its end means: the exit code and the last thing it said."""
        try:
            code = self._popen.wait(timeout=_LEAVE_S)
        except subprocess.TimeoutExpired:
            self.end()
            code = self._popen.wait()
        said = self._last_words()
        self._close()
        if code == 0:
            return _Gone("", left_by_itself=True)
        how = f"exit code {code}"
        if code < 0:
            how = f"ended by {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                how += ": perhaps by the system, which was short of memory"
        return _Gone(
            f"the worker for questions about data died ({how}). {said}Try again: a new one is started."
        )

    def _last_words(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            size = os.fstat(self._stderr.fileno()).st_size
            text = os.pread(self._stderr.fileno(), _STDERR_BYTES, max(0, size - _STDERR_BYTES))
            lines = [line.strip() for line in text.decode(errors="replace").splitlines() if line.strip()]
            return f"It last said: {lines[-1][:300]} " if lines else ""
        return ""

    def _close(self) -> None:
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError):
            self._popen.stdin.close()
        with contextlib.suppress(OSError):
            self._stderr.close()


def _failure(message: str) -> dict[str, Any]:
    return {"error": message, "problems": []}
