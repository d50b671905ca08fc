"""What is written into a run directory before the engine starts: what was asked, the exact command, the first
record.

Used by submit and by a run that a person starts in a shell, so that both leave the same files.
"""

from __future__ import annotations

import os
from typing import Any

from engine.jobs import process, record
from engine.jobs.store import Row
from engine.paths import RunPaths, write_whole
from engine.schema import dump
from engine.schema.arg import replace


def plan_argv(command: str, args: Any, output_dir: str) -> list[str]:
    """The words of the command that runs these arguments there: previewed, executed, recorded."""
    return dump.to_argv(command, replace(args, output_dir=output_dir))


def new_job_id() -> str:
    """Ten random hexadecimal digits; any unique beginning of them names the job too."""
    return os.urandom(5).hex()


def new_marker() -> str:
    return os.urandom(16).hex()


def write_run_files(row: Row, args: Any) -> None:
    """args.yaml, command.sh and job.json of a first attempt or, where the row says so, of a further one."""
    write_whole(RunPaths(row.run_dir).args_yaml, dump.to_yaml(args))
    write_attempt(row)


def write_attempt(row: Row) -> None:
    """command.sh and job.json of the row's attempt."""
    where = str(row.cwd).replace("\n", " ")
    script = f"#!/bin/sh\n# in the folder {where}\n{dump.to_shell(row.argv)}"
    write_whole(RunPaths(row.run_dir).command_sh, script)
    facts = {
        "job_id": row.id,
        "attempt": row.attempt,
        "command": row.command,
        "argv": list(row.argv),
        "cwd": str(row.cwd),
        "queue": row.queue,
        "marker": row.marker,
        "created": row.created,
        "boot_id": process.boot_id(),
        "state_hint": row.state.name,
    }
    if row.attempt > 1:
        record.begin_attempt(row.run_dir, facts)
    else:
        record.write_record(row.run_dir, facts)
