"""The job database: one SQLite file (WAL), one row per job. The only user of sqlite3.

Every change of state is one UPDATE whose WHERE names the attempt and the states it may come from, so of many
writers one wins and the others learn that they lost. It starts no process and reads no run directory. Try:
python -m engine.jobs.store saves/jobs.db
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import JobError
from engine.jobs import states
from engine.jobs.process import Identity
from engine.jobs.states import Failed, Lost, Paused, Queued, Running, Starting, State, Stopped, Succeeded

SCHEMA_VERSION = 1
_BUSY_TIMEOUT_S = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    run_dir TEXT NOT NULL UNIQUE,
    command TEXT NOT NULL,
    argv TEXT NOT NULL,
    cwd TEXT NOT NULL,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL,
    marker TEXT NOT NULL,
    created REAL NOT NULL,
    state TEXT NOT NULL,
    since REAL,
    claim TEXT,
    claimer TEXT,
    shim TEXT,
    engine TEXT,
    started REAL,
    ended REAL,
    exit_code INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    stop_phase TEXT
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, queue, priority DESC, since);
"""
_STATE_COLUMNS = ("since", "claim", "claimer", "shim", "engine", "started", "ended", "exit_code", "reason")


@dataclass(frozen=True)
class Row:
    """One job. `marker` is new for every attempt; `stop_phase` is set from the moment somebody asks for a
    stop.
    """

    id: str
    run_dir: Path
    command: str
    argv: tuple[str, ...]
    cwd: Path
    queue: str
    attempt: int
    marker: str
    created: float
    state: State
    priority: int = 0
    stop_phase: str | None = None


class Store:
    """A database file, made where it is missing. Holds no connection: any thread or process may use its own
    Store.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.was_created = self._open_schema()

    def insert(self, row: Row) -> None:
        """Add a job. JobError where the id or the run directory is taken."""
        values: dict[str, Any] = {
            "id": row.id,
            "run_dir": str(row.run_dir),
            "command": row.command,
            "argv": json.dumps(row.argv, ensure_ascii=False),
            "cwd": str(row.cwd),
            "queue": row.queue,
            "priority": row.priority,
            "attempt": row.attempt,
            "marker": row.marker,
            "created": row.created,
            "state": row.state.name,
            "stop_phase": row.stop_phase,
            **_columns_of(row.state),
        }
        names = ", ".join(values)
        marks = ", ".join("?" for _ in values)
        try:
            with self._writing() as connection:
                connection.execute(f"INSERT INTO jobs ({names}) VALUES ({marks})", tuple(values.values()))
        except sqlite3.IntegrityError as error:
            raise JobError(f"{row.run_dir} already belongs to a job.") from error

    def find(self, job_id: str) -> Row | None:
        rows = self._read("WHERE id = ?", (job_id,))
        return rows[0] if rows else None

    def find_by_run_dir(self, run_dir: Path) -> Row | None:
        rows = self._read("WHERE run_dir = ?", (str(run_dir),))
        return rows[0] if rows else None

    def find_by_prefix(self, prefix: str) -> list[Row]:
        return self._read("WHERE substr(id, 1, ?) = ? ORDER BY sequence DESC", (len(prefix), prefix))

    def list_rows(self, *, limit: int | None = None, names: Sequence[str] = ()) -> list[Row]:
        """Newest first. `names`: only jobs in these states."""
        marks = ", ".join("?" for _ in names)
        where = f"WHERE state IN ({marks}) " if names else ""
        return self._read(f"{where}ORDER BY sequence DESC LIMIT ?", (*names, -1 if limit is None else limit))

    def queue_loads(self) -> dict[str, int]:
        """How many jobs wait for or hold each queue."""
        with self._connection() as connection:
            found = connection.execute(
                "SELECT queue, count(*) FROM jobs"
                " WHERE state IN ('queued', 'starting', 'running') GROUP BY queue"
            )
            return {str(queue): int(count) for queue, count in found}

    def claim(self, claimer: Identity, now: float) -> Row | None:
        """Take the next job whose queue is free, in one transaction: of many dispatchers one gets it."""
        with self._writing() as connection:
            found = connection.execute(
                "SELECT * FROM jobs WHERE state = 'queued' AND NOT EXISTS ("
                " SELECT 1 FROM jobs AS other"
                " WHERE other.queue = jobs.queue AND other.state IN ('starting', 'running'))"
                " ORDER BY priority DESC, since, sequence LIMIT 1"
            ).fetchone()
            if found is None:
                return None
            row = _row_of(found)
            claimed = replace(row, state=states.move(row.state, Starting(now, os.urandom(8).hex(), claimer)))
            assert self._move(connection, claimed.id, claimed.attempt, claimed.state, None), (
                "claimed in one transaction"
            )
            return claimed

    def move(self, job_id: str, attempt: int, target: State, *, claim: str | None = None) -> bool:
        """Enter a state from any legal one. False where another was faster, the attempt is over or the claim
        is not ours.
        """
        with self._writing() as connection:
            return self._move(connection, job_id, attempt, target, claim)

    @contextlib.contextmanager
    def starting(self, job_id: str, claim: str) -> Iterator[Starter | None]:
        """Hold the database while a shim starts its engine, so that a stop sees either no engine or one it
        can signal.

        Yields None where the claim is gone or a stop came first.
        """
        with self._writing() as connection:
            found = connection.execute(
                "SELECT * FROM jobs WHERE id = ? AND claim = ? AND state = 'starting' AND stop_phase IS NULL",
                (job_id, claim),
            ).fetchone()
            yield None if found is None else Starter(self, connection, _row_of(found))

    def set_shim(self, job_id: str, claim: str, shim: Identity) -> bool:
        """Note the shim's process while its job is starting."""
        with self._writing() as connection:
            changed = connection.execute(
                "UPDATE jobs SET shim = ? WHERE id = ? AND claim = ? AND state = 'starting'",
                (json.dumps(shim.to_json()), job_id, claim),
            )
            return changed.rowcount == 1

    def set_stop_phase(self, job_id: str, attempt: int, phase: str) -> bool:
        """Show every viewer how far a stop is. False where that attempt is not active."""
        with self._writing() as connection:
            changed = connection.execute(
                "UPDATE jobs SET stop_phase = ?"
                " WHERE id = ? AND attempt = ? AND state IN ('starting', 'running')",
                (phase, job_id, attempt),
            )
            return changed.rowcount == 1

    def next_attempt(self, row: Row) -> bool:
        """Replace a finished attempt by `row` (attempt one higher, a new marker). False where another was
        faster.
        """
        marks = ", ".join("?" for _ in states.RESUMABLE)
        values: dict[str, Any] = {
            "attempt": row.attempt,
            "marker": row.marker,
            "argv": json.dumps(row.argv, ensure_ascii=False),
            "cwd": str(row.cwd),
            "queue": row.queue,
            "state": row.state.name,
            "stop_phase": None,
            **_columns_of(row.state),
        }
        setters = ", ".join(f"{name} = ?" for name in values)
        with self._writing() as connection:
            changed = connection.execute(
                f"UPDATE jobs SET {setters} WHERE id = ? AND attempt = ? AND state IN ({marks})",
                (*values.values(), row.id, row.attempt - 1, *sorted(states.RESUMABLE)),
            )
            return changed.rowcount == 1

    def delete(self, job_id: str) -> bool:
        """Forget a job. False where it is unknown or active."""
        with self._writing() as connection:
            changed = connection.execute(
                "DELETE FROM jobs WHERE id = ? AND state NOT IN ('starting', 'running')", (job_id,)
            )
            return changed.rowcount == 1

    def withdraw(self, job_id: str, engine: Identity, *, instead: Row | None) -> None:
        """Forget a run that its own engine takes back, and put back the job whose directory it had taken."""
        with self._writing() as connection:
            connection.execute(
                "DELETE FROM jobs WHERE id = ? AND engine = ?", (job_id, json.dumps(engine.to_json()))
            )
        if instead is not None and self.find(instead.id) is None:
            self.insert(instead)

    def _move(
        self, connection: sqlite3.Connection, job_id: str, attempt: int, target: State, claim: str | None
    ) -> bool:
        columns = _columns_of(target)
        sources = states.sources(target.name)
        setters = ", ".join(f"{name} = ?" for name in columns)
        marks = ", ".join("?" for _ in sources)
        held = "" if claim is None else " AND claim = ?"
        changed = connection.execute(
            f"UPDATE jobs SET state = ?, {setters} WHERE id = ? AND attempt = ? AND state IN ({marks}){held}",
            (target.name, *columns.values(), job_id, attempt, *sources, *(() if claim is None else (claim,))),
        )
        return changed.rowcount == 1

    def _read(self, where: str, values: Sequence[Any]) -> list[Row]:
        with self._connection() as connection:
            return [
                _row_of(found) for found in connection.execute(f"SELECT * FROM jobs {where}", tuple(values))
            ]

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise JobError(f"Cannot open the job database {self.path}: {error}.") from error
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA synchronous = NORMAL")
            yield connection
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError):
                raise
            raise JobError(
                f"The job database {self.path} cannot be used: {error}. If damaged, move it away and run"
                " `tunesmith jobs rebuild`: the run directories hold every fact."
            ) from error
        finally:
            connection.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One immediate transaction: the write lock is taken first, so that nothing read in it can be
        outdated.
        """
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _open_schema(self) -> bool:
        """True where this call made the tables."""
        if self.path.exists() and self._version() == SCHEMA_VERSION:
            return False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JobError(
                f"Cannot make the folder of the job database {self.path}: {error.strerror}."
            ) from error
        with self._connection() as connection:
            _switch_to_wal(connection)
        with self._writing() as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version > SCHEMA_VERSION:
                raise JobError(
                    f"{self.path} was written by a newer Tunesmith"
                    f" (schema {version}, this one knows {SCHEMA_VERSION})."
                )
            if version == SCHEMA_VERSION:
                return False
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            return True

    def _version(self) -> int:
        with self._connection() as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])


@dataclass(frozen=True)
class Starter:
    """The right to start one engine, valid inside `Store.starting`."""

    store: Store
    connection: sqlite3.Connection
    row: Row

    def record(self, running: Running) -> None:
        """Enter `running`; visible to others when the `starting` block ends."""
        moved = self.store._move(self.connection, self.row.id, self.row.attempt, running, None)
        assert moved, "the row is locked by this transaction"


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """The switch does not wait for other openers by itself."""
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _columns_of(state: State) -> dict[str, Any]:
    """Every state column: those of this state filled, the others empty."""
    columns: dict[str, Any] = dict.fromkeys(_STATE_COLUMNS)
    columns["reason"] = ""
    for name, value in vars(state).items():
        columns[name] = json.dumps(value.to_json()) if isinstance(value, Identity) else value
    return columns


def _row_of(found: sqlite3.Row) -> Row:
    return Row(
        id=found["id"],
        run_dir=Path(found["run_dir"]),
        command=found["command"],
        argv=tuple(json.loads(found["argv"])),
        cwd=Path(found["cwd"]),
        queue=found["queue"],
        attempt=found["attempt"],
        marker=found["marker"],
        created=found["created"],
        state=_state_of(found),
        priority=found["priority"],
        stop_phase=found["stop_phase"],
    )


def _state_of(found: sqlite3.Row) -> State:
    def identity(column: str) -> Identity | None:
        return Identity.from_json(json.loads(found[column])) if found[column] else None

    def needed(column: str) -> Identity:
        value = identity(column)
        assert value is not None, f"a job that is {found['state']} has a {column}"
        return value

    started, ended, code, reason = found["started"], found["ended"], found["exit_code"], found["reason"]
    match found["state"]:
        case "queued":
            return Queued(found["since"])
        case "starting":
            return Starting(found["since"], found["claim"], needed("claimer"), identity("shim"))
        case "running":
            return Running(started, needed("engine"), identity("shim"))
        case "paused":
            return Paused(found["since"], reason)
        case "succeeded":
            return Succeeded(started, ended, code, reason)
        case "failed":
            return Failed(started, ended, code, reason)
        case "stopped":
            return Stopped(started, ended, code, reason)
        case "lost":
            return Lost(started, ended, reason)
    raise JobError(f"Job {found['id']} has the unknown state {found['state']!r}.")


if __name__ == "__main__":
    import sys

    for listed in Store(Path(sys.argv[1])).list_rows():
        print(listed.id, listed.state)
