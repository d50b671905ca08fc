"""What a viewer sees of a job: the row flattened, with progress read from the end of the metric log.

Decides nothing. Try: tunesmith jobs list --json
"""

from __future__ import annotations

import functools
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine import paths
from engine.events import read_events
from engine.jobs.states import ACTIVE, RESUMABLE, Queued
from engine.jobs.store import Row
from engine.paths import RunPaths

_END_BYTES = 8 * 1024
_DURATION = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d)")


@dataclass(frozen=True)
class Progress:
    """How far the current phase is. `eta` in seconds; None where nothing is known."""

    current: float | None = None
    total: float | None = None
    phase: str = ""
    eta: float | None = None


@dataclass(frozen=True)
class Job:
    """One run. Times are Unix seconds. `stop_phase` is set from the moment somebody asked for a stop."""

    id: str
    name: str
    command: str
    state: str
    reason: str
    run_dir: str
    argv: tuple[str, ...]
    cwd: str
    created: float
    queued: float | None
    started: float | None
    ended: float | None
    attempt: int
    exit_code: int | None
    queue: str
    stop_phase: str | None
    progress: Progress
    resumable: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def build_job(row: Row) -> Job:
    """The view of a row."""
    state = row.state
    name = state.name
    return Job(
        id=row.id,
        name=_name_of(row.run_dir),
        command=row.command,
        state=name,
        reason=getattr(state, "reason", ""),
        run_dir=str(row.run_dir),
        argv=row.argv,
        cwd=str(row.cwd),
        created=row.created,
        queued=state.since if isinstance(state, Queued) else None,
        started=getattr(state, "started", None),
        ended=getattr(state, "ended", None),
        attempt=row.attempt,
        exit_code=getattr(state, "exit_code", None),
        queue=row.queue,
        stop_phase=row.stop_phase if name in ACTIVE else None,
        progress=read_progress(row.run_dir, active=name in ACTIVE),
        resumable=name in RESUMABLE,
    )


def read_progress(run_dir: Path, *, active: bool) -> Progress:
    """The newest progress a run wrote. An ended run has no phase and no time left, but the steps it made."""
    path = str(RunPaths(run_dir).trainer_log)
    try:
        stat = os.stat(path)
    except OSError:
        return Progress()
    newest, newest_step = _newest_progress(path, stat.st_size, stat.st_mtime_ns)
    if active:
        return newest
    done = newest_step or newest
    return Progress(done.current, done.total)


@functools.lru_cache(maxsize=4096)
def _newest_progress(path: str, size: int, _mtime_ns: int) -> tuple[Progress, Progress | None]:
    """The newest progress of any phase, and the newest of the steps themselves."""
    # A read that starts inside a line loses that line only: it is no JSON object.
    events, _ = read_events(Path(path), max(0, size - _END_BYTES))
    newest: Progress | None = None
    for event in reversed(events):
        if "current_steps" in event:
            left = parse_duration(event.get("remaining_time"))
            step = Progress(event["current_steps"], event.get("total_steps"), "training", left)
            return newest or step, step
        if "phase" in event and newest is None:
            newest = Progress(event.get("current"), event.get("total"), str(event["phase"]), event.get("eta"))
    return newest or Progress(), None


def parse_duration(text: Any) -> float | None:
    """Seconds of `0:01:02` or `1 day, 0:01:02`, as the metric log writes them."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _name_of(run_dir: Path) -> str:
    """Short and telling: the path below saves/, else the folder's own name."""
    root = os.path.abspath(paths.saves_root()) + os.sep
    whole = str(run_dir)
    return whole.removeprefix(root) if whole.startswith(root) else run_dir.name


if __name__ == "__main__":
    import sys

    print(json.dumps(asdict(read_progress(Path(sys.argv[1]), active=True))))
