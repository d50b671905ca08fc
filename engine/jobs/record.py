"""job.json: the facts of a run in its own directory, from which the database can be rebuilt.

Shim and engine both write it: each change is made under a lock on the directory and the file is replaced
whole. Not the place of secrets. Try: python -m engine.jobs.record saves/x
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.jobs.process import Identity
from engine.paths import RunPaths, write_whole


@dataclass(frozen=True)
class Exit:
    """How the engine's process ended. `exit_code` is negative for a signal."""

    ended: float
    exit_code: int
    reason: str


def read_record(run_dir: Path) -> dict[str, Any]:
    """What job.json holds; {} where it is missing or not whole."""
    try:
        value = json.loads(RunPaths(run_dir).job_json.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def update_record(run_dir: Path, changes: Mapping[str, Any]) -> None:
    """Set some facts and keep the others."""
    with _locked(run_dir):
        _write(run_dir, {**read_record(run_dir), **changes})


def write_record(run_dir: Path, facts: Mapping[str, Any]) -> None:
    """Start the record anew."""
    with _locked(run_dir):
        _write(run_dir, facts)


def begin_attempt(run_dir: Path, changes: Mapping[str, Any]) -> None:
    """Put what the last attempt left into `attempts` and set the facts of the next one."""
    with _locked(run_dir):
        facts = read_record(run_dir)
        kept = ("attempt", "started", "ended", "exit_code", "reason", "state_hint")
        past = [*facts.get("attempts", []), {name: facts.get(name) for name in kept}]
        blank = dict.fromkeys(("engine", "shim", "started", "ended", "exit_code", "reason"))
        _write(run_dir, {**facts, **blank, **changes, "attempts": past})


def find_exit(run_dir: Path, job_id: str, attempt: int) -> Exit | None:
    """The recorded end of that very attempt; None where there is none, or another job has the directory."""
    facts = read_record(run_dir)
    if facts.get("job_id") != job_id or facts.get("attempt") != attempt:
        return None
    try:
        return Exit(float(facts["ended"]), int(facts["exit_code"]), str(facts.get("reason") or ""))
    except (KeyError, TypeError, ValueError):
        return None


def find_engine(run_dir: Path, job_id: str, attempt: int) -> Identity | None:
    """The engine's process as that attempt recorded it."""
    facts = read_record(run_dir)
    if facts.get("job_id") != job_id or facts.get("attempt") != attempt:
        return None
    return Identity.from_json(facts.get("engine"))


def _write(run_dir: Path, facts: Mapping[str, Any]) -> None:
    write_whole(RunPaths(run_dir).job_json, json.dumps(facts, ensure_ascii=False, indent=1) + "\n")


@contextlib.contextmanager
def _locked(run_dir: Path) -> Iterator[None]:
    """One writer at a time. A filesystem without locks goes without: writers then rarely meet."""
    run_dir.mkdir(parents=True, exist_ok=True)
    fd = os.open(run_dir, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


if __name__ == "__main__":
    import sys

    print(json.dumps(read_record(Path(sys.argv[1])), indent=1, ensure_ascii=False))
