"""Jobs for everyone outside: submit, list, stop, resume, remove, follow; and `attached`, for the engine
itself.

The studio, the command line and the engine use this file and no other of the package. Each function opens the
database of the current saves folder; nothing is kept between calls but what has been parsed. Try: tunesmith
jobs list
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import env, paths
from engine.errors import JobError
from engine.jobs import dispatch as dispatching
from engine.jobs import rebuild as rebuilding
from engine.jobs import record, runfiles
from engine.jobs import stop as stopping
from engine.jobs import tail as tailing
from engine.jobs.ask import ask, stop_asking
from engine.jobs.attach import Run, attached, check_idle, register
from engine.jobs.devices import meters, queue_for
from engine.jobs.job import Job, Progress, build_job
from engine.jobs.process import Phase
from engine.jobs.rundir import is_written_by_run, take_run_dir
from engine.jobs.runfiles import plan_argv
from engine.jobs.states import ACTIVE, TERMINAL, Queued, next_attempt
from engine.jobs.store import Row, Store
from engine.paths import RunPaths, write_whole
from engine.schema.arg import flatten, replace
from engine.schema.commands import COMMANDS
from engine.schema.load import load_mapping
from engine.schema.resolve import resolve

__all__ = [
    "Endpoint", "Job", "Phase", "Progress", "Run", "Tail", "ask", "attached", "dispatch", "endpoint", "find",
    "get", "list_jobs", "meters", "plan_argv", "rebuild", "remove", "resume", "stop", "stop_asking", "submit",
    "tail",
]  # fmt: skip


@dataclass(frozen=True)
class Tail:
    """What is new in a run's files. `reset`: clear what is shown first. `more`: ask again at once."""

    log: str
    log_offset: int
    metrics: list[dict[str, Any]]
    metrics_offset: int
    reset: bool
    more: bool
    job: Job

    def to_json(self) -> dict[str, Any]:
        return {**{name: getattr(self, name) for name in _TAIL_FIELDS}, "job": self.job.to_json()}


_TAIL_FIELDS = ("log", "log_offset", "metrics", "metrics_offset", "reset", "more")


@dataclass(frozen=True)
class Endpoint:
    """Where a job's chat server listens. The key never leaves this machine's processes."""

    url: str
    model: str
    key: str


def submit(command: str, mapping: Mapping[str, Any], *, cwd: Path | None = None) -> Job:
    """Check the arguments, write the run directory, put the job into its queue and start what may start.

    cwd: the folder that relative paths in `mapping` start from; the current one by default. Raises ArgError
    with every problem, UserError where the output directory cannot be had; nothing is written then.
    """
    if not COMMANDS[command].is_job:
        raise JobError(f"`tunesmith {command}` does not run as a job.")
    where = Path(os.path.abspath(cwd or Path.cwd()))
    loaded = load_mapping(command, mapping)
    resolved = resolve(command, loaded.args, env.probe_machine(), saves=paths.saves_root())
    output_dir = resolved.args.run.output_dir
    args = replace(loaded.args, output_dir=output_dir)
    root = Path(os.path.abspath(where / output_dir))
    store = _store()
    earlier = store.find_by_run_dir(root)
    resume = bool(flatten(args).get("resume_from_checkpoint"))
    if earlier is not None:
        dispatching.settle(store, earlier)
        earlier = store.find(earlier.id)
    if earlier is not None:
        check_idle(earlier)
    taken = take_run_dir(root, overwrite=args.run.overwrite_output_dir, resume=resume)
    goes_on = earlier is not None and resume
    job_id = earlier.id if earlier is not None and goes_on else runfiles.new_job_id()
    now = time.time()
    row = Row(
        id=job_id,
        run_dir=root,
        command=command,
        argv=tuple(plan_argv(command, args, output_dir)),
        cwd=where,
        queue=queue_for(command, resolved.args, job_id=job_id, loads=store.queue_loads()),
        attempt=earlier.attempt + 1 if earlier is not None and goes_on else 1,
        marker=runfiles.new_marker(),
        created=earlier.created if earlier is not None and goes_on else now,
        state=Queued(now) if earlier is None or not goes_on else next_attempt(earlier.state, now),
    )
    try:
        runfiles.write_run_files(row, args)
        if command == "api":
            _make_key(job_id)
        register(store, row, earlier)
    except (OSError, JobError):
        taken.undo()
        raise
    dispatching.dispatch(store)
    return get(job_id)


def list_jobs(*, limit: int = 200, state: str | None = None) -> list[Job]:
    """The newest jobs first. What a row says is checked against the living processes before it is shown."""
    store = _find_store()
    if store is None:
        return []
    dispatching.settle_all(store)
    return [build_job(row) for row in store.list_rows(limit=limit, names=(state,) if state else ())]


def get(job_id: str) -> Job:
    """One job. Raises JobError where it is unknown."""
    return build_job(_row(_store(), job_id))


def find(text: str) -> Job:
    """The job that `text` names: its id, a beginning that no other id has, or its run directory."""
    store = _find_store()
    if store is None:
        raise JobError(f"There is no job {text}: no run has been started here yet.")
    row = store.find(text) or store.find_by_run_dir(Path(os.path.abspath(text)))
    if row is not None:
        return get(row.id)
    matches = store.find_by_prefix(text) if text else []
    if len(matches) == 1:
        return get(matches[0].id)
    if matches:
        names = ", ".join(match.id for match in matches[:5])
        raise JobError(f"{text} begins the ids of {len(matches)} jobs: {names}. Give more of it.")
    raise JobError(f"There is no job {text}. `tunesmith jobs list` shows them.")


def stop(
    job_id: str, *, now: bool = False, ask_s: float = 120, terminate_s: float = 10, kill_s: float = 10
) -> Iterator[Phase]:
    """Stop a job in phases, to be iterated to the end: ask, terminate, kill, sweep, proven.

    ask_s: how long it may save before it is terminated. now: terminate at once; hurries a stop that is under
    way. Raises JobError where the job is unknown, over already, or has a process that nothing ends.
    """
    return stopping.stop_job(_store(), job_id, now=now, ask_s=ask_s, terminate_s=terminate_s, kill_s=kill_s)


def resume(job_id: str) -> Job:
    """A new attempt of the same run. Training goes on from its newest complete checkpoint; the rest begins
    anew.
    """
    store = _store()
    row = _row(store, job_id)
    now = time.time()
    again = dataclasses.replace(
        row,
        state=next_attempt(row.state, now),
        attempt=row.attempt + 1,
        marker=runfiles.new_marker(),
        argv=resuming_argv(row.command, row.argv),
    )
    if not row.run_dir.is_dir():
        raise JobError(f"{row.run_dir} is gone; there is nothing to resume.")
    if row.command == "api":
        _make_key(row.id)
    if not store.next_attempt(again):
        raise JobError(f"Job {job_id} was resumed by somebody else meanwhile.")
    runfiles.write_attempt(again)
    dispatching.dispatch(store)
    return get(job_id)


def resuming_argv(command: str, argv: tuple[str, ...]) -> tuple[str, ...]:
    """The same words, made to go on instead of starting over."""
    kept: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        name = word.partition("=")[0]
        if name in ("--overwrite_output_dir", "--resume_from_checkpoint"):
            if "=" not in word and words and not words[0].startswith("--"):
                words.pop(0)
            continue
        kept.append(word)
    return (*kept, "--resume_from_checkpoint", "true") if command == "train" else tuple(kept)


def remove(job_id: str) -> bool:
    """Forget a job and delete its run directory. False where that lies outside the saves folder, or is
    another's by now, and is left alone.

    Raises JobError while the job runs, or where other runs lie inside its directory.
    """
    store = _store()
    row = _row(store, job_id)
    if row.state.name in ACTIVE:
        raise JobError(f"Job {job_id} is {row.state.name}. Stop it first: `tunesmith jobs stop {job_id}`.")
    inside = [one.id for one in store.list_rows() if row.run_dir in one.run_dir.parents]
    if inside:
        raise JobError(f"{row.run_dir} also holds the runs of {', '.join(inside)}. Remove those first.")
    if not store.delete(row.id):
        raise JobError(f"Job {job_id} was started meanwhile. Stop it first.")
    (paths.keys_dir() / row.id).unlink(missing_ok=True)
    return _delete_run_dir(row)


def tail(job_id: str, log_offset: int | None = None, metrics_offset: int | None = None) -> Tail:
    """What is new in the log and the metrics since these byte offsets. None, 0 or less: a first look."""
    store = _store()
    row = _row(store, job_id)
    files = RunPaths(row.run_dir)
    # The state is read before the files: a run that has ended by now has written all that will be read.
    log = tailing.read_log(files.log, log_offset, ended=row.state.name in TERMINAL)
    metrics = tailing.read_metrics(files.trainer_log, metrics_offset)
    lost_place = (log.reset and (log_offset or 0) > 0) or (metrics.reset and (metrics_offset or 0) > 0)
    if lost_place and not (log.reset and metrics.reset):
        # One file began anew: the viewer clears both, so it is given both from their beginning.
        log = tailing.read_log(files.log, None, ended=row.state.name in TERMINAL)
        metrics = tailing.read_metrics(files.trainer_log, None)
    return Tail(
        log=log.text,
        log_offset=log.offset,
        metrics=metrics.events,
        metrics_offset=metrics.offset,
        reset=log.reset and metrics.reset,
        more=log.more or metrics.more,
        job=build_job(row),
    )


def endpoint(job_id: str) -> Endpoint | None:
    """Where the chat server of an api job listens; None until it does."""
    row = _row(_store(), job_id)
    try:
        told = json.loads(RunPaths(row.run_dir).endpoint_json.read_bytes())
        key = (paths.keys_dir() / row.id).read_text().strip()
        return Endpoint(str(told["url"]), str(told.get("model", "")), key)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def dispatch() -> list[str]:
    """Settle what has ended unseen and start what may start. Returns the ids this call started."""
    store = _find_store()
    return dispatching.dispatch(store) if store is not None else []


def rebuild() -> int:
    """Add every run below the saves folder that the database does not know. Returns how many."""
    return rebuilding.rebuild(Store(paths.jobs_db()), paths.saves_root())


def _store() -> Store:
    """The database; made, and filled from the run directories, where there is none."""
    store = Store(paths.jobs_db())
    if store.was_created:
        rebuilding.rebuild(store, paths.saves_root())
    return store


def _find_store() -> Store | None:
    """The database; None where there is nothing it could be about, so that looking leaves no file behind."""
    return _store() if paths.saves_root().is_dir() else None


def _row(store: Store, job_id: str) -> Row:
    row = store.find(job_id)
    if row is None:
        raise JobError(f"There is no job {job_id}.")
    if dispatching.settle(store, row):
        row = store.find(job_id) or row
    return row


def _make_key(job_id: str) -> None:
    """A fresh key for a chat server, in a file that its owner alone can read."""
    keys = paths.keys_dir()
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys.chmod(0o700)
    write_whole(keys / job_id, os.urandom(24).hex() + "\n", mode=0o600)


def _delete_run_dir(row: Row) -> bool:
    """Move it out of sight first, so that no half of a run is ever listed."""
    root = Path(os.path.abspath(paths.saves_root()))
    real = row.run_dir.resolve()
    if not real.is_relative_to(root.resolve()) or real == root.resolve():
        return False
    if not real.is_dir() or not _is_the_run_of(real, row):
        return False
    trash = root / f".removed-{row.id}"
    shutil.rmtree(trash, ignore_errors=True)
    os.replace(real, trash)
    shutil.rmtree(trash, ignore_errors=True)
    for parent in real.parents:
        if parent == root.resolve():
            break
        with contextlib.suppress(OSError):  # Not empty: other runs of the same model.
            parent.rmdir()
    return True


def _is_the_run_of(directory: Path, row: Row) -> bool:
    """Whether the folder is still that run's: by its record or, where it has none, by every name in it."""
    facts = record.read_record(directory)
    if facts:
        return facts.get("job_id") == row.id
    return all(is_written_by_run(entry.name) for entry in directory.iterdir())
