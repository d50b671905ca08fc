"""Progress of a long phase: events for the studio, plain lines for the log. Counts, and knows not what."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from engine.events import append_event

EVENT_EVERY_S = 1.0
LINE_EVERY_S = 10.0
"""seconds, not steps: a slow model still shows life and a fast one does not flood the log"""


class Progress:
    """`advance` after each batch; writing is throttled, the last step is always written."""

    def __init__(
        self, events: Path, *, phase: str, unit: str, total: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._events, self._phase, self._unit, self._clock = events, phase, unit, clock
        self._began = self._last_line = clock()
        self._last_event: float | None = None
        self.current, self.total = 0, total
        self.advance(0)

    def advance(self, count: int) -> None:
        """`count` more are done."""
        self.current += count
        now, finished = self._clock(), self.current >= self.total
        if finished or self._last_event is None or now - self._last_event >= EVENT_EVERY_S:
            self._last_event = now
            append_event(self._events, {"phase": self._phase, "current": self.current, "total": self.total})
        if self.current and (finished or now - self._last_line >= LINE_EVERY_S):
            self._last_line = now
            speed = self.current / max(now - self._began, 1e-6)
            left = "" if finished else f", {(self.total - self.current) / speed:.0f} s left"
            print(
                f"{self._phase}: {self.current}/{self.total} {self._unit}, {speed:.1f} a second{left}",
                flush=True,
            )
