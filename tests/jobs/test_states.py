"""The table of moves, and a machine that tries everything on the table and on the database at once."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.errors import JobError
from engine.jobs import states
from engine.jobs.process import Identity
from engine.jobs.states import (
    Failed,
    Lost,
    Paused,
    Queued,
    Running,
    Starting,
    State,
    Stopped,
    Succeeded,
)
from engine.jobs.store import Row, Store

SOMEBODY = Identity("boot", 1, 1)
EXAMPLES: dict[str, State] = {
    state.name: state
    for state in (
        Queued(1.0),
        Starting(1.0, "claim", SOMEBODY),
        Running(1.0, SOMEBODY),
        Paused(1.0, "why"),
        Succeeded(1.0, 2.0),
        Failed(1.0, 2.0, 1, "why"),
        Stopped(1.0, 2.0, 130, "why"),
        Lost(1.0, 2.0, "why"),
    )
}


def test_table_is_closed() -> None:
    assert set(states.MOVES) == set(EXAMPLES)
    assert all(target in states.MOVES for targets in states.MOVES.values() for target in targets)
    assert {"succeeded", "failed", "stopped", "lost"} == states.TERMINAL
    assert "succeeded" not in states.RESUMABLE


def test_every_state_but_the_first_can_be_reached() -> None:
    reached = {"queued"}
    while more := {t for name in reached for t in states.MOVES[name]} - reached:
        reached |= more
    assert reached == set(states.MOVES)


@pytest.mark.parametrize("terminal", sorted(states.TERMINAL))
@pytest.mark.parametrize("target", sorted(states.MOVES))
def test_nothing_leaves_a_terminal_state(terminal: str, target: str) -> None:
    with pytest.raises(JobError):
        states.move(EXAMPLES[terminal], EXAMPLES[target])


def test_next_attempt() -> None:
    assert states.next_attempt(EXAMPLES["failed"], 9.0) == Queued(9.0)
    for name in ("succeeded", "running", "queued", "starting"):
        with pytest.raises(JobError, match="cannot be resumed"):
            states.next_attempt(EXAMPLES[name], 9.0)


class TableAndDatabase(RuleBasedStateMachine):
    """Whatever is tried in whatever order, the database accepts exactly the moves of the table."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(Path(self.folder.name) / "jobs.db")
        self.row = Row("j", Path("/r"), "train", ("x",), Path("/"), "cpu", 1, "m", 0.0, Queued(0.0))
        self.store.insert(self.row)
        self.ended: set[tuple[int, State]] = set()

    @rule(to=st.sampled_from(sorted(EXAMPLES)))
    def move(self, to: str) -> None:
        legal = to in states.MOVES[self.row.state.name]
        assert self.store.move("j", self.row.attempt, EXAMPLES[to]) is legal
        if legal:
            self.row = replace(self.row, state=states.move(self.row.state, EXAMPLES[to]))

    @rule(to=st.sampled_from(sorted(EXAMPLES)), late=st.integers(1, 3))
    def move_of_another_attempt(self, to: str, late: int) -> None:
        assert not self.store.move("j", self.row.attempt - late, EXAMPLES[to])

    @rule()
    def claim(self) -> None:
        claimed = self.store.claim(SOMEBODY, time.time())
        assert (claimed is not None) is (self.row.state.name == "queued")
        if claimed is not None:
            self.row = claimed

    @rule()
    def resume(self) -> None:
        again = replace(self.row, attempt=self.row.attempt + 1, marker=os.urandom(4).hex(), state=Queued(1.0))
        resumable = self.row.state.name in states.RESUMABLE
        assert self.store.next_attempt(again) is resumable
        if resumable:
            self.row = replace(again, stop_phase=None)

    @invariant()
    def row_equals_the_model(self) -> None:
        assert self.store.find("j") == self.row

    def teardown(self) -> None:
        self.folder.cleanup()


TableAndDatabase.TestCase.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
TestTableAndDatabase = TableAndDatabase.TestCase
