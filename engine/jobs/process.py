"""Which process is which, and how to stop a whole tree of them for certain. Linux: everything is read from
/proc.

A process is (boot id, pid, start time), so a reused pid is a stranger. A job's processes carry a random
marker in their environment, so those that left the tree (a session of their own, a dead parent) are found
too. Command lines are never looked at. Knows nothing of jobs. Try: python -c "from engine.jobs.process import
current; print(current())"
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import JobError

MARKER_VARIABLE = "TUNESMITH_JOB_MARKER"
_POLL_S = 0.03


@dataclass(frozen=True)
class Identity:
    """One process, for good: `start_time` is in clock ticks since boot (field 22 of /proc/PID/stat)."""

    boot_id: str
    pid: int
    start_time: int

    def to_json(self) -> dict[str, Any]:
        return {"boot_id": self.boot_id, "pid": self.pid, "start_time": self.start_time}

    @staticmethod
    def from_json(value: Any) -> Identity | None:
        """None where `value` is not an identity (absent, or written by a torn hand)."""
        try:
            return Identity(str(value["boot_id"]), int(value["pid"]), int(value["start_time"]))
        except (KeyError, TypeError, ValueError):
            return None


@dataclass(frozen=True)
class Stat:
    """What /proc/PID/stat says. `state` Z (zombie) and X (dead) are not alive."""

    pid: int
    state: str
    parent: int
    session: int
    start_time: int

    @property
    def alive(self) -> bool:
        return self.state not in "ZXx"


@dataclass(frozen=True)
class Phase:
    """One step of stopping: ask, terminate, kill, sweep, proven. `detail` says whom it concerns."""

    name: str
    detail: str = ""


def boot_id() -> str:
    """Random id of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def read_stat(pid: int) -> Stat | None:
    """None where there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The name stands in parentheses and may itself hold spaces and parentheses: cut at the last one.
    fields = text[text.rfind(")") + 2 :].split()
    if len(fields) < 20:
        return None
    return Stat(pid, fields[0], int(fields[1]), int(fields[3]), int(fields[19]))


def identify(pid: int) -> Identity | None:
    """The identity of a process that runs now; a zombie still has one, until it is collected."""
    stat = read_stat(pid)
    return Identity(boot_id(), pid, stat.start_time) if stat else None


def current() -> Identity:
    """The calling process."""
    identity = identify(os.getpid())
    assert identity is not None, "a running process has a /proc entry"
    return identity


def is_alive(identity: Identity | None) -> bool:
    """Whether that very process still runs. Not a zombie, a reused pid, or one of an earlier boot."""
    if identity is None:
        return False
    stat = read_stat(identity.pid)
    return (
        stat is not None
        and stat.alive
        and stat.start_time == identity.start_time
        and identity.boot_id == boot_id()
    )


def all_stats() -> list[Stat]:
    """Every process of the machine that we can see."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [stat for pid in pids if (stat := read_stat(pid)) is not None]


def find_marked(marker: str) -> list[Identity]:
    """Every live process whose environment holds exactly this marker, oldest first."""
    boot = boot_id()
    found = [
        Identity(boot, s.pid, s.start_time) for s in all_stats() if s.alive and _marker_of(s.pid) == marker
    ]
    return sorted(found, key=lambda identity: (identity.start_time, identity.pid))


def is_session_leader(identity: Identity) -> bool:
    stat = read_stat(identity.pid)
    return stat is not None and stat.session == identity.pid


def send(identity: Identity, signal_number: int) -> bool:
    """Signal that very process, never one that took its pid meanwhile. False where it is gone or not ours."""
    try:
        handle = os.pidfd_open(identity.pid)
    except OSError:
        return False
    try:
        # The handle pins the process: if it is the right one now, the signal cannot reach another.
        if not is_alive(identity):
            return False
        signal.pidfd_send_signal(handle, signal_number)
        return True
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(handle)


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Poll until the condition holds. False when the time is up."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def stop_tree(
    main: Identity | None,
    marker: str,
    *,
    ask_s: float,
    terminate_s: float,
    kill_s: float,
    asked: bool = False,
    hurry: Callable[[], bool] = lambda: False,
    note: Callable[[Phase], object] = lambda phase: None,
) -> Iterator[Phase]:
    """Stop `main`, everything below it and everything that carries the marker.

    ask: SIGINT to `main` alone, which may save and leave; not sent where somebody has `asked` already, for a
    second one means at once; ends early once `hurry()` is true. terminate: SIGTERM to all that is left.
    kill: SIGKILL. sweep: kill whatever carries the marker, wherever it went. proven: nothing does.
    Each phase is given to `note` before it acts and is yielded once it has, before the wait for its effect.
    Raises JobError naming the processes that even SIGKILL did not end (hung in the kernel, or not ours).
    """

    def begin(name: str, detail: str) -> Phase:
        phase = Phase(name, detail)
        note(phase)
        return phase

    group = _Group(main, marker)
    if main is not None and ask_s > 0 and is_alive(main):
        phase = begin("ask", f"asked process {main.pid} to save and stop")
        group.refresh()
        if not asked:
            _signal_and_wake(main, signal.SIGINT)
        yield phase
        wait_until(lambda: not is_alive(main) or hurry(), ask_s)
    if left := group.refresh():
        phase = begin("terminate", _pids(left))
        for member in left:
            _signal_and_wake(member, signal.SIGTERM)
        yield phase
        wait_until(lambda: not group.refresh(), terminate_s)
    if left := group.refresh():
        yield begin("kill", _pids(left))
        _kill_until_gone(group.refresh, kill_s)
    yield begin("sweep", "looking for processes that carry the job's marker")
    _kill_until_gone(group.refresh, kill_s)
    if left := group.refresh():
        raise JobError(
            f"These processes could not be ended: {_pids(left)}. They hang in the kernel or are not ours."
        )
    yield begin("proven", "no process of the job is left")


class _Group:
    """The processes to end. It remembers whom it saw, since a child whose parent died is no descendant any
    more.
    """

    def __init__(self, main: Identity | None, marker: str) -> None:
        self._main = main
        self._marker = marker
        self._boot_id = boot_id()
        self._seen: set[Identity] = set() if main is None else {main}

    def refresh(self) -> list[Identity]:
        """Who is left, oldest first: seen before, below one of those, or marked; never the caller."""
        stats = {stat.pid: stat for stat in all_stats() if stat.alive and stat.pid != os.getpid()}
        ours = {one.pid for one in self._seen if one.pid in stats and self._identity(stats[one.pid]) == one}
        children: dict[int, list[int]] = {}
        for stat in stats.values():
            children.setdefault(stat.parent, []).append(stat.pid)
            if stat.pid not in ours and _marker_of(stat.pid) == self._marker:
                ours.add(stat.pid)
        waiting = list(ours)
        while waiting:
            for pid in children.get(waiting.pop(), []):
                # An engine that ends may start the next job's shim: that child belongs to another job.
                if pid not in ours and _marker_of(pid) in (None, self._marker):
                    ours.add(pid)
                    waiting.append(pid)
        self._seen = {self._identity(stats[pid]) for pid in ours}
        return sorted(self._seen, key=lambda one: (one.start_time, one.pid))

    def _identity(self, stat: Stat) -> Identity:
        return Identity(self._boot_id, stat.pid, stat.start_time)


def _marker_of(pid: int) -> str | None:
    """The marker in a process's environment; None where it has none or we may not look."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    prefix = f"{MARKER_VARIABLE}=".encode()
    for entry in environment.split(b"\0"):
        if entry.startswith(prefix):
            return entry[len(prefix) :].decode(errors="replace")
    return None


def _signal_and_wake(identity: Identity, signal_number: int) -> None:
    """A process that was halted (SIGSTOP) takes its signals only once it goes on."""
    send(identity, signal_number)
    send(identity, signal.SIGCONT)


def _kill_until_gone(members: Callable[[], list[Identity]], timeout_s: float) -> None:
    def none_left() -> bool:
        left = members()
        for member in left:
            send(member, signal.SIGKILL)
        return not left

    wait_until(none_left, timeout_s)


def _pids(identities: list[Identity]) -> str:
    return "processes " + ", ".join(str(identity.pid) for identity in identities)
