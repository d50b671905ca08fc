"""Settle what has ended unseen, then start what may start. A function, not a daemon: submit, every shim that
ends, every shell-started run that ends and the studio's clock call it; of many callers exactly one wins
each job.

What a job's state is follows from its processes and its recorded exit, not from the column. Try: python -c
"from engine.jobs import client; print(client.dispatch())"
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from engine import env
from engine.errors import JobError
from engine.jobs import outcome, process, record
from engine.jobs.process import MARKER_VARIABLE, Identity
from engine.jobs.states import ACTIVE, Failed, Lost, Queued, Running, Starting, State, Stopped
from engine.jobs.store import Row, Store
from engine.paths import RunPaths

# What an engine is told through its environment; nobody else's child may inherit it.
JOB_VARIABLES = ("TUNESMITH_JOB_ID", "TUNESMITH_JOB_ATTEMPT", "TUNESMITH_API_KEY_FILE", MARKER_VARIABLE)


def dispatch(store: Store) -> list[str]:
    """Start every queued job whose queue is free. Returns the ids of those this call started."""
    settle_all(store)
    me = process.current()
    started = []
    while (row := store.claim(me, time.time())) is not None:
        _start_shim(store, row)
        started.append(row.id)
    return started


def settle_all(store: Store) -> bool:
    """Bring every active row up to what its processes say. True where one changed."""
    moved = [settle(store, row) for row in store.list_rows(names=sorted(ACTIVE))]
    return any(moved)


def settle(store: Store, row: Row) -> bool:
    """Move a row whose processes are gone. True where this call moved it."""
    if _looks_healthy(row):
        return False
    facts = gather(row)
    target = derive(row, facts, time.time())
    if target is None:
        return False
    if not isinstance(target, (Running, Queued)):
        # Whatever the engine left behind would hold the device that the next job is given.
        with contextlib.suppress(JobError):
            for _ in process.stop_tree(None, row.marker, ask_s=0, terminate_s=3, kill_s=5):
                pass
    if not store.move(row.id, row.attempt, target):
        return False
    _note(row, target)
    return True


@dataclass(frozen=True)
class Facts:
    """What can be seen of an active job from outside. `engine` is a live process that is its engine."""

    claimer_alive: bool
    shim_alive: bool
    engine: Identity | None
    exit: record.Exit | None
    restarted: bool
    log_tail: str


def gather(row: Row) -> Facts:
    """Look at the processes first and at the records after: a record written by one that has just left is
    then seen.
    """
    state = row.state
    assert isinstance(state, (Starting, Running)), "only an active job has processes"
    shim_alive = process.is_alive(state.shim)
    claimer_alive = isinstance(state, Starting) and process.is_alive(state.claimer)
    known = state.engine if isinstance(state, Running) else state.shim or state.claimer
    engine = state.engine if isinstance(state, Running) and process.is_alive(state.engine) else None
    if isinstance(state, Starting) and not shim_alive:
        engine = _find_engine(row)
    return Facts(
        claimer_alive=claimer_alive,
        shim_alive=shim_alive,
        engine=engine,
        exit=record.find_exit(row.run_dir, row.id, row.attempt),
        restarted=known.boot_id != process.boot_id(),
        log_tail=outcome.read_log_tail(RunPaths(row.run_dir).log),
    )


def derive(row: Row, facts: Facts, now: float) -> State | None:
    """The state that the facts mean, or None where the row already tells the truth. Pure."""
    state = row.state
    if isinstance(state, Starting):
        if facts.shim_alive or (state.shim is None and facts.claimer_alive):
            return None
        if facts.engine is not None:
            return Running(now, facts.engine)
        started = None
    elif isinstance(state, Running):
        if facts.engine is not None or facts.shim_alive:
            return None
        started = state.started
    else:
        return None
    stop_requested = row.stop_phase is not None
    if facts.exit is not None:
        return outcome.judge_exit(
            facts.exit.exit_code,
            started=started,
            ended=facts.exit.ended,
            stop_requested=stop_requested,
            log_tail=facts.log_tail,
            recorded=facts.exit.reason,
        )
    if stop_requested:
        return Stopped(started, now, None, "stopped by request")
    if isinstance(state, Starting) and state.shim is None:
        return Queued(state.since)
    if facts.restarted:
        return Lost(started, now, "the machine restarted while it ran")
    if isinstance(state, Starting):
        error = outcome.find_error(facts.log_tail)
        return Failed(
            None, now, None, f"its shim ended before the engine started{': ' + error if error else ''}"
        )
    assert isinstance(state, Running), "the only state left"
    together = " together with its shim" if state.shim else ""
    return Lost(
        started,
        now,
        f"killed{together}: it ended without a record. Resume goes on from its newest checkpoint",
    )


def _looks_healthy(row: Row) -> bool:
    """The cheap look that a list of jobs takes every second."""
    state = row.state
    if isinstance(state, Running):
        return process.is_alive(state.engine) or process.is_alive(state.shim)
    if isinstance(state, Starting):
        return process.is_alive(state.shim or state.claimer)
    return True


def _find_engine(row: Row) -> Identity | None:
    """The engine of a job whose shim died before it could say: as the engine recorded itself, or by its
    marker.
    """
    recorded = record.find_engine(row.run_dir, row.id, row.attempt)
    if process.is_alive(recorded):
        return recorded
    marked = process.find_marked(row.marker)
    leaders = [one for one in marked if process.is_session_leader(one)]
    return next(iter(leaders or marked), None)


def _note(row: Row, state: State) -> None:
    """Write what was settled into the run directory, where there still is one."""
    if not row.run_dir.is_dir():
        return
    facts = {"state_hint": state.name}
    for name in ("ended", "exit_code", "reason"):
        if hasattr(state, name):
            facts[name] = getattr(state, name)
    with contextlib.suppress(OSError):
        record.update_record(row.run_dir, facts)


def _start_shim(store: Store, row: Row) -> None:
    assert isinstance(row.state, Starting), "a claimed job is starting"
    claim = row.state.claim
    environment = shim_environment(store, claim)
    try:
        row.run_dir.mkdir(parents=True, exist_ok=True)
        with open(RunPaths(row.run_dir).log, "ab") as log:
            shim = subprocess.Popen(
                [sys.executable, "-P", "-m", "engine.jobs.shim", row.id, claim],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
            )
    except OSError as error:
        failed = Failed(None, time.time(), None, f"cannot start: {error}")
        if store.move(row.id, row.attempt, failed, claim=claim):
            _note(row, failed)
        return
    identity = process.identify(shim.pid)
    if identity is not None:
        store.set_shim(row.id, claim, identity)
    # Collects the exit, so that no zombie stays for as long as the studio lives.
    threading.Thread(target=shim.wait, name=f"shim of {row.id}", daemon=True).start()


def shim_environment(store: Store, claim: str) -> dict[str, str]:
    """Ours, less what concerns another job. A marker of its own keeps the shim out of every stop."""
    changes: dict[str, str | None] = dict.fromkeys(JOB_VARIABLES)
    changes[MARKER_VARIABLE] = f"shim-{claim}"
    changes["TUNESMITH_SAVES"] = str(store.path.parent.resolve())
    environment = env.child_environment(changes)
    source = Path(__file__).resolve().parents[2]
    if source.name not in ("site-packages", "dist-packages"):
        # Run from a checkout: -P keeps the folder of the job off the path, so the checkout must be put on it.
        paths = [str(source), *environment.get("PYTHONPATH", "").split(os.pathsep)]
        environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path for path in paths if path))
    return environment
