"""Plain lines and phases: what a run tells before there is a step to log. Imports nothing heavy, on
purpose.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.events import append_event
from engine.paths import RunPaths


def say(line: str) -> None:
    """One plain line with the time, at once: the console is followed live."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def phase_reporter(paths: RunPaths, *, every_s: float = 0.5) -> Callable[[str, int, int], None]:
    """report(phase, current, total): an event in the metric log, at most one per `every_s` within a phase."""
    last: dict[str, float] = {}

    def report(phase: str, current: int, total: int) -> None:
        now = time.monotonic()
        if phase not in last or current >= total or now - last[phase] >= every_s:
            last[phase] = now
            append_event(paths.trainer_log, {"phase": phase, "current": current, "total": total})

    return report
