"""Stopping a job, phase by phase, so that everyone who looks sees how far it is.

ask (save and stop at the next step) -> terminate -> kill -> sweep -> proven. How processes are ended is
process.py's business; this file knows which ones, and what the row says meanwhile. Try: tunesmith jobs stop
JOB
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from engine.errors import JobError
from engine.jobs import process, record
from engine.jobs.dispatch import dispatch, settle
from engine.jobs.process import Identity, Phase
from engine.jobs.states import TERMINAL, Paused, Queued, Running, Starting, Stopped
from engine.jobs.store import Row, Store

# How long a shim may take from its engine's end to its record.
_SETTLE_S = 15.0
# Whoever says "now" waits no longer than this before what takes no notice is killed. A save in progress is
# complete or absent either way.
_NOW_S = 3.0


def stop_job(
    store: Store, job_id: str, *, now: bool, ask_s: float, terminate_s: float, kill_s: float
) -> Iterator[Phase]:
    """Stop a job and prove it. Each phase is written into the row, acted on, and yielded.

    now: do not ask, terminate at once; it also hurries a stop that another viewer began. Without it, a second
    stop waits with the first and takes over where that one was dropped. Iterate to the end: a generator that
    is dropped stops stopping. Raises JobError where the job is unknown, over, or cannot be ended.
    """
    row = _find(store, job_id)
    if row.state.name in TERMINAL:
        raise JobError(f"Job {job_id} is {row.state.name} already.")
    if isinstance(row.state, (Queued, Paused)):
        stopped = Stopped(None, time.time(), None, "stopped before it started")
        if store.move(row.id, row.attempt, stopped):
            with contextlib.suppress(OSError):
                record.update_record(row.run_dir, {"state_hint": stopped.name, "reason": stopped.reason})
            yield Phase("proven", "it had not started")
            return
        row = _find(store, job_id)
    yield from _stop_active(store, row, now, ask_s, terminate_s, kill_s)
    _wait_settled(store, row)
    dispatch(store)


def _stop_active(
    store: Store, row: Row, now: bool, ask_s: float, terminate_s: float, kill_s: float
) -> Iterator[Phase]:
    # From here on no shim starts the engine: it looks at the phase in the transaction in which it starts it.
    asked = row.stop_phase is not None
    if not store.set_stop_phase(row.id, row.attempt, "terminate" if now else "ask"):
        return
    row = _find(store, row.id)
    if isinstance(row.state, Starting):
        _wait_started(store, row)
        row = _find(store, row.id)

    def hurry() -> bool:
        current = store.find(row.id)
        return current is None or current.stop_phase != "ask"

    yield from process.stop_tree(
        _engine_of(row),
        row.marker,
        ask_s=0 if now else ask_s,
        terminate_s=min(terminate_s, _NOW_S) if now else terminate_s,
        kill_s=kill_s,
        asked=asked,
        hurry=hurry,
        note=lambda phase: store.set_stop_phase(row.id, row.attempt, phase.name),
    )


def _engine_of(row: Row) -> Identity | None:
    return row.state.engine if isinstance(row.state, Running) else None


def _wait_started(store: Store, row: Row) -> None:
    """A starting job has either no engine yet, and never gets one now, or is just becoming running."""

    def decided() -> bool:
        current = store.find(row.id)
        if current is None or not isinstance(current.state, Starting):
            return True
        settle(store, current)
        return False

    process.wait_until(decided, _SETTLE_S)


def _wait_settled(store: Store, row: Row) -> None:
    """Leave only once the row says that the attempt is over; settle it ourselves where no shim is left to."""

    def over() -> bool:
        current = store.find(row.id)
        if current is None or current.attempt != row.attempt or current.state.name in TERMINAL:
            return True
        settle(store, current)
        return False

    if not process.wait_until(over, _SETTLE_S):
        raise JobError(f"Job {row.id} has no process left, but its shim has not recorded the end yet.")


def _find(store: Store, job_id: str) -> Row:
    row = store.find(job_id)
    if row is None:
        raise JobError(f"There is no job {job_id}.")
    return row
