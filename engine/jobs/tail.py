"""Following a run's log and metrics by byte offset. A viewer that reloads starts anew; one that goes on pays
for the new bytes.

The first look sends the end of the log and at most 2,000 metric points, chosen so that every spike survives.
Reads only. Try: python -m engine.jobs.tail saves/x
"""

from __future__ import annotations

import functools
import math
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.events import read_events

FIRST_LOG_BYTES = 64 * 1024
MAX_POINTS = 2000
_CHUNK_BYTES = 256 * 1024
_PARSE_BYTES = 1024 * 1024
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")

Event = dict[str, Any]


@dataclass(frozen=True)
class LogPart:
    """`reset`: the text does not continue what was sent before. `more`: ask again at once."""

    text: str
    offset: int
    reset: bool
    more: bool


@dataclass(frozen=True)
class MetricsPart:
    events: list[Event]
    offset: int
    reset: bool
    more: bool


def read_log(path: Path, offset: int | None, *, ended: bool) -> LogPart:
    """Text from byte `offset` to the last whole line. None, 0 or less: the last 64 KB.

    An unfinished last line is held back until it ends, or until the run has (`ended`).
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            first = offset is None or offset <= 0 or offset > size
            start = max(0, size - FIRST_LOG_BYTES) if offset is None or first else offset
            file.seek(start)
            blob = file.read(_CHUNK_BYTES)
    except OSError:
        return LogPart("", 0, True, False)
    reaches_end = start + len(blob) >= size
    if first and start > 0:
        # The first line is most likely a part of one.
        cut = blob.find(b"\n") + 1
        start, blob = start + cut, blob[cut:]
    end = blob.rfind(b"\n") + 1
    if ended and reaches_end:
        end = len(blob)
    elif end == 0 and len(blob) == _CHUNK_BYTES:
        end = _whole_characters(blob)
    return LogPart(_plain(blob[:end]), start + end, first, not reaches_end)


def read_metrics(path: Path, offset: int | None) -> MetricsPart:
    """Metric events from byte `offset`. None, 0 or less: the whole run in at most 2,000 points."""
    try:
        size = os.stat(path).st_size
    except OSError:
        return MetricsPart([], 0, True, False)
    if offset is None or offset <= 0 or offset > size:
        history = _history(path)
        return MetricsPart(*history.overview(), reset=True, more=False)
    events, reached = read_events(path, offset, limit=_CHUNK_BYTES)
    return MetricsPart(events, reached, False, reached > offset and reached < size)


class History:
    """A run's metrics, thinned as they are read, so that a long run costs no memory and no second parse."""

    _inode: int | None
    _offset: int

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._start_over(None)

    def overview(self) -> tuple[list[Event], int]:
        """At most 2,000 events in order of their step, and the offset to go on from."""
        with self._lock:
            self._read_on()
            evals = thin(self._evals, MAX_POINTS // 4, "eval_loss")
            steps = thin(self._steps, MAX_POINTS - len(evals) - len(self._phases), "loss")
            points = sorted([*steps, *evals], key=_step_of)
            return [*self._phases.values(), *points], self._offset

    def _read_on(self) -> None:
        stat = os.stat(self._path)
        if stat.st_ino != self._inode or stat.st_size < self._offset:
            self._start_over(stat.st_ino)
        while True:
            events, reached = read_events(self._path, self._offset, limit=_PARSE_BYTES)
            for event in events:
                self._add(event)
            if reached == self._offset:
                return
            self._offset = reached

    def _start_over(self, inode: int | None) -> None:
        self._inode = inode
        self._offset = 0
        self._steps: list[Event] = []
        self._evals: list[Event] = []
        self._phases: dict[str, Event] = {}

    def _add(self, event: Event) -> None:
        if "resumed_from" in event:
            # What was logged past the checkpoint is computed again.
            step = event["resumed_from"] or 0
            self._steps = [one for one in self._steps if _step_of(one) <= step]
            self._evals = [one for one in self._evals if _step_of(one) <= step]
        elif "phase" in event:
            self._phases.pop(str(event["phase"]), None)
            self._phases[str(event["phase"])] = event
        elif any(name.startswith("eval_") for name in event):
            self._evals.append(event)
        else:
            self._steps.append(event)
        if len(self._steps) > 4 * MAX_POINTS:
            self._steps = thin(self._steps, 2 * MAX_POINTS, "loss")
        if len(self._evals) > 4 * MAX_POINTS:
            self._evals = thin(self._evals, MAX_POINTS, "eval_loss")


def thin(points: Sequence[Event], limit: int, key: str) -> list[Event]:
    """At most `limit` points: the first, the last, and the lowest and highest `key` of each of many equal
    spans of steps.

    Spans are of steps, not of points, so that thinning again does not wear away the beginning. A value that
    is missing or null (a diverged loss) counts as highest.
    """
    if len(points) <= limit:
        return list(points)
    first, last = _step_of(points[0]), _step_of(points[-1])
    count = max(1, (limit - 2) // 2)
    width = max((last - first) / count, 1e-9)
    lowest: dict[int, int] = {}
    highest: dict[int, int] = {}
    for index, point in enumerate(points):
        span = min(max(int((_step_of(point) - first) / width), 0), count - 1)
        value = _height(point, key)
        if span not in lowest or value < _height(points[lowest[span]], key):
            lowest[span] = index
        if span not in highest or value > _height(points[highest[span]], key):
            highest[span] = index
    kept = {0, len(points) - 1, *lowest.values(), *highest.values()}
    return [points[index] for index in sorted(kept)]


@functools.lru_cache(maxsize=64)
def _history(path: Path) -> History:
    """One per run that is looked at."""
    return History(path)


def _step_of(event: Event) -> float:
    value = event.get("current_steps")
    return float(value) if isinstance(value, (int, float)) else 0.0


def _height(event: Event, key: str) -> float:
    value = event.get(key)
    return float(value) if isinstance(value, (int, float)) else math.inf


def _whole_characters(blob: bytes) -> int:
    """The length of `blob` without a UTF-8 character that its end cuts in two."""
    for back in range(1, min(4, len(blob)) + 1):
        byte = blob[-back]
        if byte < 0x80:
            return len(blob)
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(blob) if needed <= back else len(blob) - back
    return len(blob)


def _plain(blob: bytes) -> str:
    """Text as a page can show it: no colours, no NUL, and the last form of a line that rewrote itself."""
    text = _ESCAPE.sub("", blob.decode("utf-8", errors="replace").replace("\0", ""))
    if "\r" not in text:
        return text
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


if __name__ == "__main__":
    import sys

    from engine.paths import RunPaths

    print(read_log(RunPaths(Path(sys.argv[1])).log, None, ended=True).text, end="")
