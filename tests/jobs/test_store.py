"""The database: versions, races, locks, and what a damaged one says."""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import JobError
from engine.jobs import process
from engine.jobs.process import Identity
from engine.jobs.states import Failed, Lost, Paused, Queued, Running, Starting, Stopped, Succeeded
from engine.jobs.store import Row, Store

GOLDEN = Path(__file__).parent / "golden" / "jobs_v1.db"
SOMEBODY = Identity("0b5c1d2e", 4242, 987654)


def row(number: int, **changes: Any) -> Row:
    plain = Row(
        id=f"job{number}",
        run_dir=Path(f"/home/ada/saves/qwen/lora/{number}"),
        command="train",
        argv=("tunesmith", "train", "--run_name", "naïve 名\n'$x"),
        cwd=Path("/home/ada"),
        queue="cpu",
        attempt=1,
        marker=f"marker{number}",
        created=float(number),
        state=Queued(float(number)),
    )
    return replace(plain, **changes)


# One job in every state: what a database of schema version 1 holds. The golden file was written from these.
GOLDEN_ROWS = [
    row(1, state=Queued(10.5), priority=3),
    row(2, state=Starting(11.0, "c1a1", SOMEBODY)),
    row(3, state=Starting(11.0, "c1a1", SOMEBODY, SOMEBODY), queue="gpu:GPU-1"),
    row(4, state=Running(12.0, SOMEBODY, SOMEBODY), stop_phase="ask", queue="gpu:GPU-2"),
    row(5, state=Running(12.0, SOMEBODY), queue="serve:job5", command="api"),
    row(6, state=Paused(13.0, "by request")),
    row(7, state=Succeeded(12.0, 14.0)),
    row(8, state=Failed(12.0, 14.0, -9, "killed by signal 9"), attempt=3),
    row(9, state=Failed(None, 14.0, None, "cannot start")),
    row(10, state=Stopped(12.0, 14.0, 130, "stopped by request")),
    row(11, state=Lost(12.0, 14.0, "the machine restarted")),
]


def test_golden_database_of_version_1(tmp_path: Path) -> None:
    """A file written by an earlier release is read, whole, for ever."""
    path = tmp_path / "jobs.db"
    shutil.copy(GOLDEN, path)
    store = Store(path)
    assert not store.was_created
    assert store.list_rows() == GOLDEN_ROWS[::-1]
    assert store.move("job1", 1, Starting(1.0, "c", SOMEBODY))
    store.insert(row(12))


def test_golden_schema_is_the_one_we_write(tmp_path: Path) -> None:
    """The schema has not changed without a new version and a migration."""

    def schema(path: Path) -> list[tuple[str, ...]]:
        connection = sqlite3.connect(path)
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
        listed = [(name, " ".join(sql.split())) for name, sql in found]
        connection.close()
        return listed

    Store(tmp_path / "new.db")
    shutil.copy(GOLDEN, tmp_path / "old.db")
    assert schema(tmp_path / "new.db") == schema(tmp_path / "old.db")


def test_rows_round_trip(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.db")
    for one in GOLDEN_ROWS:
        store.insert(one)
    assert store.list_rows() == GOLDEN_ROWS[::-1]
    assert store.find("job4") == GOLDEN_ROWS[3]
    assert store.find_by_run_dir(GOLDEN_ROWS[5].run_dir) == GOLDEN_ROWS[5]
    assert [one.id for one in store.find_by_prefix("job1")] == ["job11", "job10", "job1"]
    assert store.find_by_prefix("job%") == []


def test_one_run_directory_one_job(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.db")
    store.insert(row(1))
    with pytest.raises(JobError, match="already belongs to a job"):
        store.insert(row(2, run_dir=row(1).run_dir))


def test_newer_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    Store(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(JobError, match=r"newer Tunesmith .schema 99"):
        Store(path)


def test_damaged_database_names_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_bytes(b"this is no database at all, but it is long enough to be taken for one" * 20)
    with pytest.raises(JobError, match="jobs rebuild"):
        Store(path)


def test_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match="Cannot make the folder"):
        Store(tmp_path / "file" / "jobs.db")


def test_locked_database_is_waited_for(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.db")
    holder = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    threading.Timer(0.5, lambda: holder.execute("COMMIT")).start()
    begun = time.monotonic()
    store.insert(row(1))
    assert time.monotonic() - begun > 0.3
    assert store.find("job1") is not None
    holder.close()


def test_queue_order_and_device_sets(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.db")
    store.insert(row(1, queue="cpu"))
    store.insert(row(2, queue="cpu"))
    store.insert(row(3, queue="cpu", priority=5))
    store.insert(row(4, queue="gpu:a"))
    store.insert(row(5, queue="serve:job5"))
    store.insert(row(6, queue="serve:job6"))
    claimed = []
    while (one := store.claim(SOMEBODY, 1.0)) is not None:
        claimed.append(one.id)
    assert claimed == ["job3", "job4", "job5", "job6"]
    assert store.queue_loads() == {"cpu": 3, "gpu:a": 1, "serve:job5": 1, "serve:job6": 1}


def test_a_claim_taken_back_is_void(tmp_path: Path) -> None:
    """The late shim of a dispatcher that died finds its claim gone, even where the job was claimed again."""
    store = Store(tmp_path / "jobs.db")
    store.insert(row(1))
    first = store.claim(SOMEBODY, 1.0)
    assert first is not None and isinstance(first.state, Starting)
    assert store.move("job1", 1, Queued(1.0))
    second = store.claim(SOMEBODY, 2.0)
    assert second is not None and isinstance(second.state, Starting)
    assert not store.set_shim("job1", first.state.claim, SOMEBODY)
    with store.starting("job1", first.state.claim) as starter:
        assert starter is None
    assert not store.move("job1", 1, Stopped(None, 1.0, None, ""), claim=first.state.claim)
    with store.starting("job1", second.state.claim) as starter:
        assert starter is not None
        starter.record(Running(3.0, SOMEBODY))
    assert store.find("job1") == row(1, state=Running(3.0, SOMEBODY))


def test_no_engine_starts_after_a_stop(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.db")
    store.insert(row(1))
    claimed = store.claim(SOMEBODY, 1.0)
    assert claimed is not None and isinstance(claimed.state, Starting)
    assert store.set_stop_phase("job1", 1, "ask")
    with store.starting("job1", claimed.state.claim) as starter:
        assert starter is None


def _race(path: str, start: Any, won: Any) -> None:
    store = Store(Path(path))
    me = process.current()
    start.wait()
    while (claimed := store.claim(me, time.time())) is not None:
        won.put((claimed.id, me.pid))


def test_eight_processes_race_for_every_job_once(tmp_path: Path) -> None:
    """Ten device sets with three jobs each, eight dispatchers: one winner per set, none taken twice."""
    store = Store(tmp_path / "jobs.db")
    for number in range(30):
        store.insert(row(number, queue=f"gpu:{number % 10}"))
    context = multiprocessing.get_context("fork")
    start, won = context.Event(), context.Queue()
    racers = [context.Process(target=_race, args=(str(store.path), start, won)) for _ in range(8)]
    for racer in racers:
        racer.start()
    start.set()
    taken = [won.get(timeout=30) for _ in range(10)]
    for racer in racers:
        racer.join(timeout=30)
        assert racer.exitcode == 0
    assert won.empty()
    assert sorted(job for job, _ in taken) == sorted(f"job{number}" for number in range(10))
    for job, pid in taken:
        state = store.find(job).state  # type: ignore[union-attr]
        assert isinstance(state, Starting) and state.claimer.pid == pid


def test_many_processes_make_one_database(tmp_path: Path) -> None:
    """The switch to WAL does not fail where several open a new file at once."""
    context = multiprocessing.get_context("fork")
    made = context.Queue()
    path = tmp_path / "saves" / "jobs.db"
    openers = [context.Process(target=lambda: made.put(Store(path).was_created)) for _ in range(6)]
    for opener in openers:
        opener.start()
    answers = [made.get(timeout=30) for _ in openers]
    for opener in openers:
        opener.join(timeout=30)
    assert sorted(answers) == [False] * 5 + [True]
