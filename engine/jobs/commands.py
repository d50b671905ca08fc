"""`tunesmith jobs list|show|logs|stop|resume|rm`: the job list in a terminal, and as JSON for scripts.

A job is named by its id, a unique beginning of it, or its run directory. Imports no torch. Try: tunesmith
jobs --help
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.errors import JobError
from engine.jobs import client
from engine.jobs.client import Job
from engine.jobs.states import MOVES, TERMINAL
from engine.schema.dump import to_shell

_POLL_S = 0.3
_INTERRUPTED = 130


def main(argv: Sequence[str]) -> int:
    """Run one subcommand and return the exit code. A UserError is the caller's to print."""
    parser = build_parser()
    options = parser.parse_args(list(argv))
    action: Callable[[argparse.Namespace], int] = options.action
    return action(options)


def build_parser() -> argparse.ArgumentParser:
    """The subcommands and their options."""
    parser = argparse.ArgumentParser(
        prog="tunesmith jobs",
        description="The runs of this folder: what they do, what they said, and how to end them.",
    )
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    verb = verbs.add_parser("list", help="all jobs, the newest first")
    verb.add_argument("--state", choices=sorted(MOVES), help="only jobs in this state")
    verb.add_argument("--limit", type=int, default=50, help="at most so many (50)")
    verb.add_argument("--json", action="store_true", help="a JSON list")
    verb.set_defaults(action=_list)

    verb = verbs.add_parser("show", help="everything about one job")
    verb.add_argument("job")
    verb.add_argument("--json", action="store_true", help="a JSON object")
    verb.set_defaults(action=_show)

    verb = verbs.add_parser("logs", help="what a job printed")
    verb.add_argument("job")
    verb.add_argument("-f", "--follow", action="store_true", help="go on until the job ends")
    verb.set_defaults(action=_logs)

    verb = verbs.add_parser("stop", help="save and stop, and prove that nothing is left")
    verb.add_argument("job", nargs="+")
    verb.add_argument("--now", action="store_true", help="do not wait for it to save")
    verb.set_defaults(action=_stop)

    verb = verbs.add_parser("resume", help="go on from the newest complete checkpoint")
    verb.add_argument("job")
    verb.set_defaults(action=_resume)

    verb = verbs.add_parser("rm", help="forget jobs and delete their run directories")
    verb.add_argument("job", nargs="+")
    verb.set_defaults(action=_remove)

    verb = verbs.add_parser("rebuild", help="add the run directories that the list does not know")
    verb.set_defaults(action=_rebuild)
    return parser


def _list(options: argparse.Namespace) -> int:
    jobs = client.list_jobs(limit=options.limit, state=options.state)
    if options.json:
        print(json.dumps([job.to_json() for job in jobs], ensure_ascii=False, indent=1))
    elif jobs:
        rows = [("ID", "STATE", "COMMAND", "PROGRESS", "TIME", "NAME"), *(_cells(job) for job in jobs)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
        for row in rows:
            padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            print("  ".join([*padded, row[-1]]).rstrip())
    else:
        print("No jobs.")
    return 0


def _cells(job: Job) -> tuple[str, ...]:
    state = f"{job.state} ({job.stop_phase})" if job.stop_phase else job.state
    return job.id, state, job.command, _progress(job), _duration(job), job.name


def _progress(job: Job) -> str:
    progress = job.progress
    if progress.current is None:
        return progress.phase or "-"
    text = f"{progress.current:g}" + (f"/{progress.total:g}" if progress.total is not None else "")
    return f"{text} {progress.phase}".rstrip()


def _duration(job: Job) -> str:
    if job.started is None:
        return "-"
    seconds = max(0, int((job.ended or time.time()) - job.started))
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _show(options: argparse.Namespace) -> int:
    job = client.find(options.job)
    if options.json:
        print(json.dumps(job.to_json(), ensure_ascii=False, indent=1))
        return 0
    facts = {
        "id": job.id,
        "state": f"{job.state} ({job.stop_phase})" if job.stop_phase else job.state,
        "reason": job.reason,
        "command": job.command,
        "folder": job.run_dir,
        "attempt": str(job.attempt),
        "queue": job.queue,
        "created": _clock(job.created),
        "started": _clock(job.started),
        "ended": _clock(job.ended),
        "progress": _progress(job),
        "exit code": "" if job.exit_code is None else str(job.exit_code),
    }
    for name, value in facts.items():
        if value:
            print(f"{name:<10}{value}".replace("\n", "\n" + " " * 10))
    print(f"\n{to_shell(job.argv)}", end="")
    return 0


def _clock(seconds: float | None) -> str:
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _logs(options: argparse.Namespace) -> int:
    job = client.find(options.job)
    if not options.follow:
        print_whole_log(job)
        return 0
    try:
        return _follow(job)
    except KeyboardInterrupt:
        print(f"-- left; job {job.id} goes on", file=sys.stderr)
        return _INTERRUPTED


def _follow(job: Job) -> int:
    """Print what comes until the job ends. 0 where it succeeded, else 1."""
    log_offset = metrics_offset = 0
    while True:
        tail = client.tail(job.id, log_offset, metrics_offset)
        print(tail.log, end="", flush=True)
        log_offset, metrics_offset = tail.log_offset, tail.metrics_offset
        if tail.job.state in TERMINAL and not tail.more:
            ending = f": {tail.job.reason}" if tail.job.reason else ""
            print(f"-- {tail.job.state}{ending}", file=sys.stderr)
            return 0 if tail.job.state == "succeeded" else 1
        if not tail.more:
            time.sleep(_POLL_S)


def print_whole_log(job: Job) -> None:
    """The log as it is, without reading it into memory."""
    from engine.paths import RunPaths

    try:
        with open(RunPaths(Path(job.run_dir)).log, encoding="utf-8", errors="replace") as log:
            for line in log:
                print(line, end="")
    except FileNotFoundError:
        print(f"{job.id} has printed nothing yet ({job.state}).", file=sys.stderr)


def _stop(options: argparse.Namespace) -> int:
    failed = 0
    for text in options.job:
        job = client.find(text)
        try:
            for phase in client.stop(job.id, now=options.now):
                print(f"{job.id}  {phase.name}: {phase.detail}", flush=True)
        except JobError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = error.exit_code
        except KeyboardInterrupt:
            print(f"-- left; job {job.id} was asked to stop, and nothing further is done", file=sys.stderr)
            return _INTERRUPTED
    return failed


def _resume(options: argparse.Namespace) -> int:
    job = client.resume(client.find(options.job).id)
    print(f"{job.id}  attempt {job.attempt}, {job.state}")
    return 0


def _remove(options: argparse.Namespace) -> int:
    for text in options.job:
        job = client.find(text)
        deleted = client.remove(job.id)
        print(
            f"{job.id}  removed"
            + ("" if deleted else f"; {job.run_dir} was left: outside the saves folder, or another's by now")
        )
    return 0


def _rebuild(options: argparse.Namespace) -> int:
    print(f"{client.rebuild()} runs added.")
    return 0
