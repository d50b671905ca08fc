"""The states of a job and the legal moves between them. Pure: touches no file, process or clock.

A state carries its data: a finished job without an end, a running one without a process, cannot be
written.
    queued -> starting -> running -> succeeded | failed | stopped | lost       paused: between attempts
The store checks the same table again in each UPDATE. Try: python -m engine.jobs.states
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.errors import JobError
from engine.jobs.process import Identity


@dataclass(frozen=True)
class Queued:
    """Waits for its device set."""

    name: ClassVar[str] = "queued"
    since: float


@dataclass(frozen=True)
class Starting:
    """Claimed by a dispatcher. `claim` is random: only the shim that was given it may start the engine."""

    name: ClassVar[str] = "starting"
    since: float
    claim: str
    claimer: Identity
    shim: Identity | None = None


@dataclass(frozen=True)
class Running:
    """`shim` is None for a run that a person started in a shell."""

    name: ClassVar[str] = "running"
    started: float
    engine: Identity
    shim: Identity | None = None


@dataclass(frozen=True)
class Paused:
    """Waits for a person before it goes back into the queue."""

    name: ClassVar[str] = "paused"
    since: float
    reason: str = ""


@dataclass(frozen=True)
class Succeeded:
    name: ClassVar[str] = "succeeded"
    started: float | None
    ended: float
    exit_code: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Failed:
    """`exit_code` is negative for a signal, None where the engine never started."""

    name: ClassVar[str] = "failed"
    started: float | None
    ended: float
    exit_code: int | None
    reason: str


@dataclass(frozen=True)
class Stopped:
    """Ended because somebody asked for it."""

    name: ClassVar[str] = "stopped"
    started: float | None
    ended: float
    exit_code: int | None
    reason: str


@dataclass(frozen=True)
class Lost:
    """Gone without a record: killed together with its shim, or the machine restarted."""

    name: ClassVar[str] = "lost"
    started: float | None
    ended: float
    reason: str
    exit_code: None = None


Ended = Succeeded | Failed | Stopped | Lost
State = Queued | Starting | Running | Paused | Ended

MOVES: dict[str, frozenset[str]] = {
    # Back to queued: the dispatcher that held the claim died before its shim began.
    "queued": frozenset({"starting", "paused", "stopped"}),
    "starting": frozenset({"queued", "running", "succeeded", "failed", "stopped", "lost"}),
    "running": frozenset({"paused", "succeeded", "failed", "stopped", "lost"}),
    "paused": frozenset({"queued", "stopped"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "stopped": frozenset(),
    "lost": frozenset(),
}
TERMINAL = frozenset(name for name, targets in MOVES.items() if not targets)
# States that hold a device.
ACTIVE = frozenset({"starting", "running"})
# A new attempt may begin from these; a success has nothing left to do.
RESUMABLE = frozenset({"failed", "stopped", "lost", "paused"})


def sources(target: str) -> tuple[str, ...]:
    """The states from which `target` may be entered, sorted."""
    return tuple(sorted(name for name, targets in MOVES.items() if target in targets))


def move(current: State, target: State) -> State:
    """`target`, or JobError where the move is not in the table."""
    if target.name not in MOVES[current.name]:
        raise JobError(f"A job that is {current.name} cannot become {target.name}.")
    return target


def next_attempt(current: State, now: float) -> Queued:
    """The first state of the next attempt of the same run."""
    if current.name not in RESUMABLE:
        raise JobError(
            f"A job that is {current.name} cannot be resumed. One that is {', '.join(sorted(RESUMABLE))} can."
        )
    return Queued(now)


if __name__ == "__main__":
    for state, targets in MOVES.items():
        print(f"{state:10} -> {', '.join(sorted(targets)) or '(end)'}")
