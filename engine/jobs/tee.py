"""Copying what a shell-started run prints into its log, for as long as it runs. The terminal sees it
unchanged.

The log gets whole lines only: of a progress bar that rewrites its line, the last form. Not used under a shim,
whose engine writes straight into the file.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


class Tee:
    """A text stream that is another one, and a log beside it."""

    def __init__(self, stream: Any, log: IO[str], lock: threading.Lock) -> None:
        self._stream = stream
        self._log = log
        self._lock = lock
        self._line = ""

    def write(self, text: str) -> int:
        written = self._stream.write(text)
        with self._lock:
            *lines, self._line = (self._line + text).split("\n")
            for line in lines:
                self._log.write(_last_form(line) + "\n")
            self._line = _last_form(self._line, open_end=True)
            if lines:
                self._log.flush()
        return len(text) if written is None else int(written)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._stream.flush()

    def close_line(self) -> None:
        """Write what stands without an end of line."""
        with self._lock:
            if self._line.strip():
                self._log.write(_last_form(self._line) + "\n")
            self._line = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _last_form(line: str, *, open_end: bool = False) -> str:
    """What a terminal shows of a line with carriage returns. While it is open, a last one has rewritten
    nothing yet.
    """
    body = line.rstrip("\r")
    kept = body[body.rfind("\r") + 1 :]
    return kept + "\r" if open_end and len(body) < len(line) else kept


@contextlib.contextmanager
def teed(log_path: Path) -> Iterator[None]:
    """Copy both standard streams of this process into a log, line by line."""
    lock = threading.Lock()
    with open(log_path, "a", encoding="utf-8", errors="replace") as log:
        earlier = sys.stdout, sys.stderr
        tees = Tee(earlier[0], log, lock), Tee(earlier[1], log, lock)
        sys.stdout, sys.stderr = tees
        try:
            yield
        finally:
            sys.stdout, sys.stderr = earlier
            for tee in tees:
                tee.close_line()
