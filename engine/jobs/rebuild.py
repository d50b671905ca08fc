"""Filling a job database from run directories: what job.json says, checked against the processes that live.

Adds what is missing and changes nothing else. Try: tunesmith jobs rebuild
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import JobError
from engine.jobs import outcome, process, record
from engine.jobs.process import Identity
from engine.jobs.states import Failed, Lost, Paused, Queued, Running, State, Stopped, Succeeded
from engine.jobs.store import Row, Store
from engine.schema.commands import COMMANDS

_MAX_DEPTH = 6
# An id becomes a part of file names.
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


def rebuild(store: Store, root: Path) -> int:
    """Add a row for every run below `root` that the store does not know. Returns how many."""
    added = 0
    rows = [row for run_dir in find_run_dirs(root) if (row := row_of(run_dir)) is not None]
    for row in sorted(rows, key=lambda row: row.created):
        if store.find(row.id) is None and store.find_by_run_dir(row.run_dir) is None:
            with contextlib.suppress(JobError):  # Another process rebuilds at the same time.
                store.insert(row)
                added += 1
    return added


def find_run_dirs(root: Path) -> Iterator[Path]:
    """Every directory below `root` that holds a job.json. Hidden folders and checkpoints are not entered."""
    top = os.path.abspath(root)
    for folder, names, files in os.walk(top):
        if "job.json" in files:
            yield Path(folder)
        deep = len(Path(folder).relative_to(top).parts) >= _MAX_DEPTH
        names[:] = [] if deep else [n for n in names if not n.startswith((".", "checkpoint-"))]


def row_of(run_dir: Path) -> Row | None:
    """The row that a run directory describes; None where its job.json is not whole or not to be trusted.

    A folder may come from anywhere: resuming what it describes runs our own command and nothing else.
    """
    facts = record.read_record(run_dir)
    try:
        is_ours = facts["argv"][0] == "tunesmith" or facts.get("boot_id") == process.boot_id()
        if not is_ours or not _ID.fullmatch(str(facts["job_id"])) or facts["command"] not in COMMANDS:
            return None
        return Row(
            id=str(facts["job_id"]),
            run_dir=run_dir,
            command=str(facts["command"]),
            argv=tuple(str(word) for word in facts["argv"]),
            cwd=Path(facts["cwd"]),
            queue=str(facts.get("queue", "cpu")),
            attempt=int(facts["attempt"]),
            marker=str(facts["marker"]),
            created=float(facts["created"]),
            state=state_of(facts),
        )
    except (LookupError, TypeError, ValueError):
        return None


def state_of(facts: dict[str, Any]) -> State:
    """The state that a record means here and now."""
    created = float(facts["created"])
    started = None if facts.get("started") is None else float(facts["started"])
    engine, shim = Identity.from_json(facts.get("engine")), Identity.from_json(facts.get("shim"))
    if engine is not None and process.is_alive(engine):
        return Running(started or created, engine, shim if process.is_alive(shim) else None)
    hint, reason = str(facts.get("state_hint") or ""), str(facts.get("reason") or "")
    if facts.get("ended") is None:
        return _state_without_end(facts, hint, started, created)
    ended, code = float(facts["ended"]), facts.get("exit_code")
    match hint:
        case "succeeded":
            return Succeeded(started, ended)
        case "stopped":
            return Stopped(started, ended, code, reason)
        case "lost":
            return Lost(started, ended, reason)
        case "failed":
            return Failed(started, ended, code, reason)
    return outcome.judge_exit(
        int(code or 0), started=started, ended=ended, stop_requested=False, log_tail="", recorded=reason
    )


def _state_without_end(facts: dict[str, Any], hint: str, started: float | None, created: float) -> State:
    if hint == "queued" and started is None:
        if facts.get("boot_id") == process.boot_id():
            return Queued(created)
        # A folder from another machine or day: nothing starts by itself because it was copied here.
        return Paused(created, "queued before the machine restarted, or on another one")
    if hint == "stopped":
        return Stopped(started, created, None, str(facts.get("reason") or "stopped before it started"))
    return Lost(started, started or created, "it ended without a record")
