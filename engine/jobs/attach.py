"""The engine's side of a job: `with attached(...) as run` around everything a long command does.

Takes the run directory, writes what was asked and what it resolved to, registers a run that a person started
in a shell, turns signals into a stop request, and records how it ended. Imports no torch. See cli.py for the
caller.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine import env, paths
from engine.errors import JobError, UserError
from engine.jobs import devices, outcome, process, record
from engine.jobs.dispatch import dispatch, settle
from engine.jobs.process import MARKER_VARIABLE
from engine.jobs.rundir import TakenDir, take_run_dir
from engine.jobs.runfiles import new_job_id, new_marker, plan_argv, write_run_files
from engine.jobs.states import ACTIVE, RESUMABLE, Running, Starting
from engine.jobs.store import Row, Store
from engine.jobs.tee import teed
from engine.paths import RunPaths, write_whole
from engine.schema import dump
from engine.schema.arg import replace
from engine.schema.resolve import Resolved

# How often a command that was interrupted, and took no notice, is interrupted again.
_AGAIN_S = 0.3


@dataclass
class Run:
    """What a command knows of the run it is. `exit_code`: what the command returned; None while it works.

    `has_worked`: the real work has begun, so that a mistake found later does not undo the run.
    """

    paths: RunPaths
    job_id: str
    attempt: int
    exit_code: int | None = None
    has_worked: bool = False
    _signals: list[int] = field(default_factory=list)
    _cooperative: int = 0
    _on_work: Callable[[], None] = lambda: None
    _pid: int = field(default_factory=os.getpid)

    def stop_requested(self) -> bool:
        """Whether somebody asked to stop. True from the first signal on."""
        return bool(self._signals)

    @contextlib.contextmanager
    def cooperative(self) -> Iterator[None]:
        """A section that asks `stop_requested()` often: there the first signal only sets the flag, so that it
        can save.

        Outside of one, the first signal ends the command at once. Entering the first marks the start of real
        work.
        """
        self.has_worked = True
        self._on_work()
        self._cooperative += 1
        try:
            yield
        finally:
            self._cooperative -= 1

    def _receive(self, number: int, _frame: types.FrameType | None) -> None:
        if os.getpid() != self._pid:
            # A forked worker has this handler too. The run stops it: it neither saves nor tells anybody.
            if number == signal.SIGTERM:
                os._exit(128 + number)
            return
        self._signals.append(number)
        if self._cooperative == 0 or len(self._signals) > 1:
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_S, _AGAIN_S)
            raise KeyboardInterrupt
        # Not print: the signal may have come in the middle of one.
        with contextlib.suppress(OSError):
            os.write(2, b"Stopping: it saves first. Once more to stop at once.\n")

    @staticmethod
    def _interrupt_again(_number: int, _frame: types.FrameType | None) -> None:
        """An interrupt that arrives inside a destructor or a callback is lost; imports run many of them.

        One that is being handled is left alone, so that what cleans up is not cut short.
        """
        error = sys.exc_info()[1]
        while error is not None and not isinstance(error, KeyboardInterrupt):
            error = error.__context__
        if error is None:
            raise KeyboardInterrupt


@contextlib.contextmanager
def attached(command: str, args: Any, resolved: Resolved) -> Iterator[Run]:
    """Be a run for the length of the block. Set `run.exit_code` before it ends.

    UserError: the output directory is taken or cannot be written; nothing was changed then.
    """
    root = Path(os.path.abspath(resolved.args.run.output_dir))
    facts = record.read_record(root)
    ours = (env.job_id(), env.job_attempt(), env.job_marker())
    if ours[0] is not None and ours == (facts.get("job_id"), facts.get("attempt"), facts.get("marker")):
        session = _begin_submitted(root, facts, resolved)
    else:
        _carry_marker()
        session = _begin_from_shell(root, command, args, resolved)
    pid = os.getpid()
    output = teed(session.run.paths.log) if session.from_shell else contextlib.nullcontext()
    try:
        with output, _signals_to(session.run):
            yield session.run
    except BaseException as error:
        full = _explain_full_disk(error, root)
        if os.getpid() == pid:  # A forked child that fails is not the run.
            session.fail(full or error)
        if full is not None:
            raise full from error
        raise
    if session.run.exit_code is None:
        session.run.exit_code = outcome.STOPPED_EXIT_CODE if session.run.stop_requested() else 0
    session.end(session.run.exit_code, "")


@dataclass
class _Session:
    """The engine's own record of one attempt. `earlier`: the row that this run's overwriting removed."""

    run: Run
    taken: TakenDir
    store: Store | None
    engine: process.Identity
    started: float
    from_shell: bool
    earlier: Row | None = None

    def fail(self, error: BaseException) -> None:
        """Record the exit that an exception means; an argument's fault leaves no trace of a shell-started
        run.
        """
        code, reason = _exit_of(error)
        if self.from_shell and code == UserError.exit_code and not self.run.has_worked and self._withdraw():
            return
        if self.from_shell and code not in (0, outcome.STOPPED_EXIT_CODE):
            text = (
                f"error: {reason}\n"
                if isinstance(error, UserError)
                else "".join(traceback.format_exception(error))
            )
            with contextlib.suppress(OSError), open(self.run.paths.log, "a", encoding="utf-8") as log:
                log.write(text)
        self.end(code, reason)

    def end(self, exit_code: int, reason: str) -> None:
        """Write the exit into job.json and, where no shim lives to do it, judge it and let the next job have
        the device.
        """
        if exit_code == 0:
            self.taken.commit()
        with contextlib.suppress(OSError):  # A full disk must not hide the error that filled it.
            record.update_record(
                self.run.paths.root, {"ended": time.time(), "exit_code": exit_code, "reason": reason}
            )
        if self.store is None:
            return
        with contextlib.suppress(JobError):  # The record stands, and the database can be rebuilt from it.
            row = self.store.find(self.run.job_id)
            if row is not None and row.attempt == self.run.attempt and not _has_shim(row):
                self._settle(self.store, row, exit_code, reason)

    def _settle(self, store: Store, row: Row, exit_code: int, reason: str) -> None:
        ended = outcome.judge_exit(
            exit_code,
            started=self.started,
            ended=time.time(),
            stop_requested=self.run.stop_requested() or row.stop_phase is not None,
            log_tail="",
            recorded=reason,
        )
        if store.move(row.id, row.attempt, ended):
            with contextlib.suppress(OSError):
                record.update_record(self.run.paths.root, {"state_hint": ended.name, "reason": ended.reason})
        dispatch(store)

    def _withdraw(self) -> bool:
        """As if it had never been started. False where it made something already."""
        if not self.taken.undo():
            return False
        if self.store is not None:
            with contextlib.suppress(JobError):
                self.store.withdraw(self.run.job_id, self.engine, instead=self.earlier)
        return True


def _has_shim(row: Row) -> bool:
    return isinstance(row.state, (Starting, Running)) and process.is_alive(row.state.shim)


def _begin_submitted(root: Path, facts: dict[str, Any], resolved: Resolved) -> _Session:
    """Started by a shim, which keeps the log and judges the exit; this side's record counts if the shim is
    killed.
    """
    run = Run(RunPaths(root), str(facts["job_id"]), int(facts["attempt"]))
    engine = process.current()
    write_whole(run.paths.resolved_yaml, dump.resolved_yaml(resolved))
    record.update_record(root, {"engine": engine.to_json(), "state_hint": "running"})
    taken = TakenDir(root, (), frozenset(), True)
    run._on_work = taken.commit
    return _Session(run, taken, _open_store(), engine, time.time(), from_shell=False)


def _begin_from_shell(root: Path, command: str, args: Any, resolved: Resolved) -> _Session:
    """Started by a person: takes the directory itself and is in the list like any other."""
    resume = bool(getattr(getattr(args, "output", None), "resume_from_checkpoint", None))
    store = _open_store()
    earlier = store.find_by_run_dir(root) if store else None
    if store is not None and earlier is not None:
        settle(store, earlier)
        earlier = store.find(earlier.id)
    if earlier is not None:
        check_idle(earlier)
    engine, started = process.current(), time.time()
    goes_on = earlier is not None and resume and earlier.state.name in RESUMABLE
    job_id = earlier.id if goes_on and earlier else new_job_id()
    attempt = earlier.attempt + 1 if goes_on and earlier else 1
    taken = take_run_dir(root, overwrite=args.run.overwrite_output_dir, resume=resume)
    output_dir = resolved.args.run.output_dir
    row = Row(
        id=job_id,
        run_dir=root,
        command=command,
        argv=tuple(plan_argv(command, args, output_dir)),
        cwd=Path.cwd(),
        queue=devices.queue_for(command, resolved.args, job_id=job_id),
        attempt=attempt,
        marker=env.job_marker() or new_marker(),
        created=earlier.created if goes_on and earlier else started,
        state=Running(started, engine),
    )
    run = Run(RunPaths(root), job_id, attempt, _on_work=taken.commit)
    session = _Session(
        run, taken, store, engine, started, from_shell=True, earlier=None if goes_on else earlier
    )
    try:
        if store is not None:
            register(store, row, earlier)
        write_run_files(row, replace(args, output_dir=output_dir))
        write_whole(run.paths.resolved_yaml, dump.resolved_yaml(resolved))
        record.update_record(root, {"started": started, "engine": engine.to_json()})
    except (OSError, JobError) as error:
        session._withdraw()
        raise UserError(f"output_dir: cannot begin a run in {root}: {error}") from error
    return session


def check_idle(earlier: Row) -> None:
    """UserError where the job that has this directory still needs it."""
    if earlier.state.name in {*ACTIVE, "queued"}:
        raise UserError(
            f"output_dir: {earlier.run_dir} belongs to job {earlier.id}, which is {earlier.state.name}."
            f" Stop it (`tunesmith jobs stop {earlier.id}`) or choose another output_dir."
        )


def register(store: Store, row: Row, earlier: Row | None) -> None:
    """Put a run into the list: as a further attempt of the job that had this directory, or in that job's
    place.
    """
    if earlier is not None and earlier.id == row.id:
        if not store.next_attempt(row):
            raise JobError(f"job {row.id} was resumed by somebody else")
        return
    if earlier is not None:
        store.delete(earlier.id)
    store.insert(row)


def _open_store() -> Store | None:
    """None, said once, where no database can be kept: the run itself needs none."""
    try:
        return Store(paths.jobs_db())
    except JobError as error:
        print(f"note: this run is not in the job list: {error}", file=sys.stderr)
        return None


def _carry_marker() -> None:
    """Start this command once more with a marker in its environment, as only a process's first environment
    can be seen.

    Done for the command line alone, before anything heavy is imported; a caller from Python goes without.
    """
    carries_one = env.job_marker() is not None and env.job_id() is None
    if carries_one or not _is_command_line():
        return
    environment = env.child_environment(
        {
            MARKER_VARIABLE: new_marker(),
            "TUNESMITH_JOB_ID": None,
            "TUNESMITH_JOB_ATTEMPT": None,
        }
    )
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def _is_command_line() -> bool:
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    return (spec is not None and spec.name == "engine.cli") or Path(sys.argv[0]).name == "tunesmith"


@contextlib.contextmanager
def _signals_to(run: Run) -> Iterator[None]:
    """SIGINT, SIGTERM and the closing of the terminal ask the run to stop. One that is ignored (nohup) stays
    so.
    """
    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGINT
    ]
    earlier: list[tuple[int, Any]] = []
    with contextlib.suppress(ValueError):  # Only the main thread may; elsewhere the caller keeps its own.
        earlier = [(signal.SIGALRM, signal.signal(signal.SIGALRM, run._interrupt_again))]
        earlier += [(number, signal.signal(number, run._receive)) for number in numbers]
    try:
        yield
    finally:
        if earlier:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in earlier:
            signal.signal(number, handler)


def _explain_full_disk(error: BaseException, root: Path) -> UserError | None:
    """What a failed write means to a person. A library of native code has an error of its own for it."""
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "os error 28" in str(error)
    if not full:
        return None
    return UserError(
        f"no space left on the disk ({str(error).splitlines()[0]}). What {root} held before is whole: "
        "make room and resume."
    )


def _exit_of(error: BaseException) -> tuple[int, str]:
    """The exit code and the reason that an exception means."""
    if isinstance(error, UserError):
        return error.exit_code, str(error)
    if isinstance(error, KeyboardInterrupt):
        return outcome.STOPPED_EXIT_CODE, ""
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return error.code or 0, ""
        return 1, str(error.code)
    return 1, f"{type(error).__name__}: {error}"
