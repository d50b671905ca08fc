"""Jobs are tested with real processes and a real database. After each test none of its processes is left."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.jobs import process, runfiles
from engine.jobs.process import Identity
from engine.jobs.states import TERMINAL, Queued, Running, Starting, State
from engine.jobs.store import Row, Store
from engine.paths import RunPaths, jobs_db
from engine.schema.load import load_mapping

REPO = Path(__file__).resolve().parents[2]
DRIVER = Path(__file__).parent / "driver.py"


def eventually(condition: Callable[[], object], timeout_s: float = 15.0, what: str = "the condition") -> None:
    """Wait for a condition; fail with its name when the time is up."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come true in {timeout_s:g} s")
        time.sleep(0.01)


@dataclass
class Bench:
    """A saves folder, its store, and jobs that are small scripts instead of engines."""

    root: Path
    store: Store
    markers: list[str] = field(default_factory=list)

    def add(
        self,
        script: str,
        *,
        job_id: str | None = None,
        queue: str = "cpu",
        state: State | None = None,
        cwd: Path | None = None,
    ) -> Row:
        """A queued job that runs Python text, with the files that submit writes."""
        job_id = job_id or runfiles.new_job_id()
        run_dir = self.root / "saves" / "model" / "lora" / job_id
        row = Row(
            id=job_id,
            run_dir=run_dir,
            command="train",
            argv=(sys.executable, "-c", script),
            cwd=cwd or self.root,
            queue=queue,
            attempt=1,
            marker=runfiles.new_marker(),
            created=time.time(),
            state=state or Queued(time.time()),
        )
        return self._insert(row)

    def add_driver(self, *words: str, queue: str = "cpu") -> Row:
        """A queued job whose engine is driver.py, which attaches to its run as the real engine does."""
        job_id = runfiles.new_job_id()
        run_dir = self.root / "saves" / "model" / "lora" / job_id
        argv = (sys.executable, str(DRIVER), *words, "--output_dir", str(run_dir), *MODEL)
        row = Row(
            id=job_id,
            run_dir=run_dir,
            command="train",
            argv=argv,
            cwd=self.root,
            queue=queue,
            attempt=1,
            marker=runfiles.new_marker(),
            created=time.time(),
            state=Queued(time.time()),
        )
        return self._insert(row)

    def _insert(self, row: Row) -> Row:
        args = load_mapping("train", {"model_name_or_path": "m", "dataset": "d", "template": "qwen3"}).args
        runfiles.write_run_files(row, args)
        self.store.insert(row)
        self.markers.append(row.marker)
        return row

    def now(self, row: Row) -> Row:
        found = self.store.find(row.id)
        assert found is not None
        return found

    def state(self, row: Row) -> str:
        return self.now(row).state.name

    def wait(self, row: Row, *names: str, timeout_s: float = 15.0) -> Row:
        """Wait until the row says one of these states, without settling it."""
        eventually(
            lambda: self.state(row) in names, timeout_s, f"{row.id} in {names}, now {self.now(row).state}"
        )
        return self.now(row)

    @staticmethod
    def eventually(condition: Callable[[], object], timeout_s: float = 15.0, what: str = "it") -> None:
        eventually(condition, timeout_s, what)

    def rewrite(self, row: Row, state: State) -> None:
        """Put a state into the database that no legal move leads to, as a crash might leave it."""
        columns = {
            name: json.dumps(value.to_json()) if isinstance(value, Identity) else value
            for name, value in vars(state).items()
        }
        columns["state"] = state.name
        setters = ", ".join(f"{name} = ?" for name in columns)
        connection = sqlite3.connect(self.store.path)
        with connection:
            connection.execute(f"UPDATE jobs SET {setters} WHERE id = ?", (*columns.values(), row.id))
        connection.close()

    def wait_end(self, row: Row, timeout_s: float = 15.0) -> Row:
        return self.wait(row, *TERMINAL, timeout_s=timeout_s)

    def wait_log(self, row: Row, text: str) -> None:
        log = RunPaths(row.run_dir).log
        eventually(lambda: log.exists() and text in log.read_text(), what=f"{text!r} in the log of {row.id}")

    def engine(self, row: Row) -> Identity:
        state = self.now(row).state
        assert isinstance(state, Running), state
        return state.engine

    def shim(self, row: Row) -> Identity:
        state = self.now(row).state
        assert isinstance(state, (Running, Starting)) and state.shim is not None, state
        return state.shim

    def kill(self, identity: Identity) -> None:
        """kill -9 of one process that this test started."""
        assert process.send(identity, signal.SIGKILL)
        eventually(lambda: not process.is_alive(identity), what=f"the end of process {identity.pid}")


MODEL = ("--model_name_or_path", "m", "--dataset", "d", "--template", "qwen3")


@pytest.fixture
def bench(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A saves folder of its own. Afterwards nothing that was started here is left."""
    bench = Bench(workdir, Store(jobs_db()))
    yield bench
    rows = bench.store.list_rows()
    markers = {row.marker for row in rows} | set(bench.markers)
    left = {marker: found for marker in markers if (found := process.find_marked(marker))}
    for marker in left:
        for _ in process.stop_tree(None, marker, ask_s=0, terminate_s=0.5, kill_s=5):
            pass
    for row in rows:
        shim = getattr(row.state, "shim", None)
        eventually(lambda shim=shim: not process.is_alive(shim), what="the end of the shim")
    assert not left, f"processes were left behind: {left}"


@pytest.fixture
def child() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a small Python script with a marker of its own; all are ended afterwards."""
    started: list[tuple[subprocess.Popen[bytes], str]] = []

    def start(script: str, *, marker: str, wait_for: str = "ready") -> subprocess.Popen[bytes]:
        environment = {**os.environ, process.MARKER_VARIABLE: marker}
        popen = subprocess.Popen(
            [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, start_new_session=True
        )
        started.append((popen, marker))
        assert popen.stdout is not None
        if wait_for:
            assert popen.stdout.readline().decode().strip() == wait_for
        return popen

    yield start
    for popen, marker in started:
        main = process.identify(popen.pid)
        for _ in process.stop_tree(main, marker, ask_s=0, terminate_s=0, kill_s=5):
            pass
        popen.wait()
        assert popen.stdout is not None
        popen.stdout.close()
        assert process.find_marked(marker) == []
