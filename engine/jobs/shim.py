"""The small process that owns one attempt of a job: starts the engine, waits for it, records how it ended,
dispatches.

In a session of its own, so it outlives the studio, the terminal and whoever submitted. If it is killed the
engine goes on and records its own end. Imports no torch and no schema. Started by dispatch: python -m
engine.jobs.shim JOB_ID CLAIM
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Sequence
from typing import Any

from engine import env, paths
from engine.errors import JobError
from engine.jobs import outcome, process, record
from engine.jobs.dispatch import dispatch
from engine.jobs.process import MARKER_VARIABLE, Identity
from engine.jobs.states import Ended, Failed, Running, Stopped
from engine.jobs.store import Row, Store
from engine.paths import RunPaths


def main(argv: Sequence[str]) -> int:
    """Run one attempt to its end. Always 0: the job's own exit code stands in its record."""
    job_id, claim = argv
    # Keys of a terminal and its closing concern whoever sits there, not this process. A handler, unlike
    # SIG_IGN, is not inherited: the engine can be asked to stop from its first instruction on.
    signal.signal(signal.SIGINT, _take_no_notice)
    signal.signal(signal.SIGHUP, _take_no_notice)
    store = Store(paths.jobs_db())
    me = process.current()
    row = store.find(job_id)
    if row is None or not store.set_shim(job_id, claim, me):
        return 0  # The claim was taken back; the job is another shim's now.
    ended = _run(store, row, claim, me)
    if ended.started is None and not store.move(row.id, row.attempt, ended, claim=claim):
        return 0  # Taken back before the engine started: nothing here is ours to record.
    _record(
        row,
        {
            "state_hint": ended.name,
            "started": ended.started,
            "ended": ended.ended,
            "exit_code": ended.exit_code,
            "reason": ended.reason,
        },
    )
    if ended.started is not None:
        store.move(row.id, row.attempt, ended)
    dispatch(store)
    return 0


def _take_no_notice(_number: int, _frame: types.FrameType | None) -> None:
    """For signals that are not meant for this process."""


def _run(store: Store, row: Row, claim: str, me: Identity) -> Ended:
    """Start the engine, wait for it and for everything it started, and judge its exit."""
    log_path = RunPaths(row.run_dir).log
    log_start = log_path.stat().st_size if log_path.exists() else 0
    started = time.time()
    engine: subprocess.Popen[bytes] | None = None
    identity: Identity | None = None
    try:
        with store.starting(row.id, claim) as starter:
            if starter is None:
                return Stopped(None, time.time(), None, "stopped before it started")
            engine = _start_engine(store, row)
            identity = process.identify(engine.pid)
            assert identity is not None, "a child that was not waited for has a /proc entry"
            starter.record(Running(started, identity, me))
    except OSError as error:
        return Failed(None, time.time(), None, f"cannot start: {error}")
    except JobError:
        # A database that fails after the engine began costs the row, not the run: job.json holds the facts.
        if engine is None or identity is None:
            raise
    assert engine is not None and identity is not None, "started above"
    _record(
        row,
        {"state_hint": "running", "started": started, "engine": identity.to_json(), "shim": me.to_json()},
    )
    exit_code = engine.wait()
    ended = time.time()
    with contextlib.suppress(JobError):
        for _ in process.stop_tree(None, row.marker, ask_s=0, terminate_s=5, kill_s=5):
            pass
    now = store.find(row.id)
    recorded = record.find_exit(row.run_dir, row.id, row.attempt)
    return outcome.judge_exit(
        exit_code,
        started=started,
        ended=ended,
        stop_requested=now is not None and now.stop_phase is not None,
        log_tail=outcome.read_log_tail(log_path, since=log_start),
        recorded=recorded.reason if recorded else "",
    )


def _record(row: Row, facts: dict[str, Any]) -> None:
    """Into job.json. A full disk must not end the shim before it has told the database."""
    try:
        record.update_record(row.run_dir, facts)
    except OSError as error:
        print(f"{RunPaths(row.run_dir).job_json} cannot be written: {error.strerror}", file=sys.stderr)


def _start_engine(store: Store, row: Row) -> subprocess.Popen[bytes]:
    with open(RunPaths(row.run_dir).log, "ab") as log:
        if row.attempt > 1:
            log.write(f"--- attempt {row.attempt}, {time.strftime('%Y-%m-%d %H:%M:%S')} ---\n".encode())
            log.flush()
        return subprocess.Popen(
            engine_argv(row.argv),
            cwd=row.cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=engine_environment(store, row),
        )


def engine_argv(argv: Sequence[str]) -> list[str]:
    """What is executed for a previewed command: this very Python instead of whatever `tunesmith` is on the
    path.
    """
    if argv[0] == "tunesmith":
        return [sys.executable, "-P", "-m", "engine.cli", *argv[1:]]
    return list(argv)


def engine_environment(store: Store, row: Row) -> dict[str, str]:
    """Ours, plus which job this is; the key of a chat server as a file name, never as a value."""
    variables: dict[str, str | None] = {
        "TUNESMITH_JOB_ID": row.id,
        "TUNESMITH_JOB_ATTEMPT": str(row.attempt),
        MARKER_VARIABLE: row.marker,
        "TUNESMITH_SAVES": str(store.path.parent.resolve()),
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
    }
    key_file = paths.keys_dir() / row.id
    if key_file.exists():
        variables["TUNESMITH_API_KEY_FILE"] = os.fspath(key_file.resolve())
    if row.queue.startswith("gpu:"):
        variables["CUDA_VISIBLE_DEVICES"] = row.queue.removeprefix("gpu:")
    return env.child_environment(variables)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
