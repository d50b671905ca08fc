"""What happens to a job when something is killed. Real processes; the fixture asserts that none is left."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.jobs import client, process, record
from engine.jobs.dispatch import dispatch, settle_all
from engine.jobs.states import Failed, Lost, Queued, Running, Starting, Stopped
from engine.paths import RunPaths

if TYPE_CHECKING:
    from tests.jobs.conftest import Bench

WAIT = "import time; print('up', flush=True); time.sleep(600)"


def test_success(bench: Bench) -> None:
    row = bench.add("print('héllo')")
    assert dispatch(bench.store) == [row.id]
    ended = bench.wait_end(row)
    assert ended.state.name == "succeeded"
    assert RunPaths(row.run_dir).log.read_text() == "héllo\n"
    facts = record.read_record(row.run_dir)
    assert (facts["exit_code"], facts["state_hint"]) == (0, "succeeded")
    assert facts["engine"] != facts["shim"]


def test_failure_tells_the_error_of_the_log(bench: Bench) -> None:
    row = bench.add("import sys; sys.exit('error: dataset: there is no d\\n  registered: a, b')")
    dispatch(bench.store)
    ended = bench.wait_end(row).state
    assert isinstance(ended, Failed)
    assert (ended.exit_code, ended.reason) == (1, "exit 1: dataset: there is no d\n  registered: a, b")


def test_next_job_starts_when_one_ends(bench: Bench) -> None:
    first, second = bench.add("print(1)"), bench.add("print(2)")
    assert dispatch(bench.store) == [first.id]
    assert bench.wait_end(second).state.name == "succeeded"
    assert bench.state(first) == "succeeded"


def test_engine_is_detached(bench: Bench) -> None:
    """Sessions of their own, nothing on standard input, and the marker of the job."""
    row = bench.add("import sys; print(repr(sys.stdin.read()), flush=True); import time; time.sleep(600)")
    dispatch(bench.store)
    bench.wait_log(row, "''")
    engine, shim = bench.engine(row), bench.shim(row)
    assert os.getsid(engine.pid) == engine.pid
    assert os.getsid(shim.pid) == shim.pid
    assert process.find_marked(row.marker) == [engine]
    bench.kill(engine)
    bench.wait_end(row)


def test_engine_killed(bench: Bench) -> None:
    row = bench.add(WAIT)
    dispatch(bench.store)
    bench.wait_log(row, "up")
    bench.kill(bench.engine(row))
    ended = bench.wait_end(row).state
    assert isinstance(ended, Failed)
    assert ended.reason == "killed by signal 9 (out of memory?)"
    assert client.get(row.id).resumable


def test_engine_killed_its_workers_are_swept(bench: Bench) -> None:
    """A worker in a session of its own that ignores signals must not hold the device."""
    row = bench.add(
        "import subprocess, sys, time\n"
        "worker = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);'"
        " 'print(\"worker\", flush=True); time.sleep(600)'\n"
        "subprocess.Popen([sys.executable, '-c', worker], start_new_session=True)\n"
        "time.sleep(600)"
    )
    dispatch(bench.store)
    bench.wait_log(row, "worker")
    assert len(process.find_marked(row.marker)) == 2
    bench.kill(bench.engine(row))
    bench.wait_end(row, timeout_s=30)
    assert process.find_marked(row.marker) == []


def test_shim_killed_the_engine_goes_on_and_records_its_own_end(bench: Bench) -> None:
    row = bench.add_driver("loop")
    waiting = bench.add("print('next')")
    dispatch(bench.store)
    bench.wait_log(row, "attached")
    engine = bench.engine(row)
    bench.kill(bench.shim(row))
    settle_all(bench.store)
    assert bench.state(row) == "running"
    assert process.is_alive(engine)
    assert process.send(engine, signal.SIGINT)
    ended = bench.wait_end(row).state
    assert isinstance(ended, Stopped)
    assert ended.exit_code == 130
    assert bench.wait_end(waiting).state.name == "succeeded", "the engine dispatches in its shim's place"


def test_shim_and_engine_killed(bench: Bench) -> None:
    row = bench.add(WAIT)
    dispatch(bench.store)
    bench.wait_log(row, "up")
    engine = bench.engine(row)
    bench.kill(bench.shim(row))
    bench.kill(engine)
    job = client.get(row.id)
    assert (job.state, job.resumable) == ("lost", True)
    assert "ended without a record" in job.reason
    assert record.read_record(row.run_dir)["state_hint"] == "lost"


def test_shim_killed_while_starting_before_the_engine(bench: Bench) -> None:
    """A claim whose dispatcher and shim are gone is taken back; one whose shim began and died has failed."""
    row = bench.add("print('second try')")
    claimed = bench.store.claim(_nobody(), 1.0)
    assert claimed is not None and isinstance(claimed.state, Starting)
    settle_all(bench.store)
    assert isinstance(bench.now(row).state, Queued)
    claimed = bench.store.claim(_nobody(), 1.0)
    assert claimed is not None and isinstance(claimed.state, Starting)
    bench.store.set_shim(row.id, claimed.state.claim, _nobody())
    settle_all(bench.store)
    ended = bench.now(row).state
    assert isinstance(ended, Failed)
    assert "before the engine started" in ended.reason


def test_shim_killed_between_start_and_record(bench: Bench) -> None:
    """The engine runs but no row says so: it is found by its marker and adopted."""
    row = bench.add(WAIT)
    dispatch(bench.store)
    bench.wait_log(row, "up")
    engine = bench.engine(row)
    bench.kill(bench.shim(row))
    record.update_record(row.run_dir, {"engine": None})
    bench.rewrite(row, Starting(1.0, "c", _nobody(), _nobody()))
    settle_all(bench.store)
    state = bench.now(row).state
    assert isinstance(state, Running)
    assert state.engine == engine
    assert [phase.name for phase in client.stop(row.id)][-1] == "proven"
    assert bench.state(row) == "stopped"


def test_reboot(bench: Bench) -> None:
    row = bench.add(WAIT)
    old = replace(process.current(), boot_id="another boot")
    bench.rewrite(row, Running(1.0, old, old))
    job = client.get(row.id)
    assert (job.state, job.reason) == ("lost", "the machine restarted while it ran")


def test_reboot_after_the_exit_was_recorded(bench: Bench) -> None:
    row = bench.add(WAIT)
    record.update_record(row.run_dir, {"ended": 5.0, "exit_code": 0, "reason": ""})
    old = replace(process.current(), boot_id="another boot")
    bench.rewrite(row, Running(1.0, old, old))
    assert client.get(row.id).state == "succeeded"


def test_reused_pid_is_a_stranger(bench: Bench) -> None:
    row = bench.add(WAIT)
    me = process.current()
    stranger = replace(me, start_time=me.start_time - 1)
    bench.rewrite(row, Running(1.0, stranger, stranger))
    assert client.get(row.id).state == "lost"


def test_torn_job_json(bench: Bench) -> None:
    """A job.json that was cut in two costs its facts, not the job."""
    row = bench.add(WAIT)
    dispatch(bench.store)
    bench.wait_log(row, "up")
    path = RunPaths(row.run_dir).job_json
    path.write_bytes(path.read_bytes()[:40])
    settle_all(bench.store)
    assert bench.state(row) == "running"
    assert [phase.name for phase in client.stop(row.id)][-1] == "proven"
    assert bench.state(row) == "stopped"
    assert record.read_record(row.run_dir)["state_hint"] == "stopped"


def test_missing_program_and_missing_folder(bench: Bench) -> None:
    row = bench.add("pass", cwd=bench.root / "gone")
    dispatch(bench.store)
    ended = bench.wait_end(row).state
    assert isinstance(ended, Failed)
    assert ended.reason.startswith("cannot start: ")


def test_a_record_that_cannot_be_written_costs_neither_the_run_nor_its_end(bench: Bench) -> None:
    """As on a full disk: the shim lives on, waits, and tells the database how the run ended."""
    row = bench.add(
        "import pathlib, sys, time\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.01)\n"
        "sys.exit('error: no room')"
    )
    job_json = RunPaths(row.run_dir).job_json
    job_json.unlink()
    job_json.mkdir()
    (job_json / "in the way").touch()
    dispatch(bench.store)
    bench.wait(row, "running")
    (bench.root / "go").touch()
    ended = bench.wait_end(row).state
    assert isinstance(ended, Failed) and ended.reason == "exit 1: no room"


def test_submitter_killed(bench: Bench, child: Any) -> None:
    """kill -9 of the process that dispatched (a studio) leaves the job running to its end."""
    row = bench.add("import time; print('up', flush=True); time.sleep(0.5); print('done')")
    script = (
        "from engine.jobs import client; import time; client.dispatch(); print('ready', flush=True);"
        " time.sleep(600)"
    )
    studio = child(script, marker="studio-of-" + row.id)
    bench.wait(row, "running")
    studio.kill()
    studio.wait()
    assert bench.wait_end(row).state.name == "succeeded"
    assert "done" in RunPaths(row.run_dir).log.read_text()


def test_lost_row_is_lost_once(bench: Bench) -> None:
    row = bench.add(WAIT)
    bench.rewrite(row, Running(1.0, _nobody(), _nobody()))
    assert settle_all(bench.store)
    lost = bench.now(row).state
    assert isinstance(lost, Lost)
    assert not settle_all(bench.store)
    assert bench.now(row).state == lost


def _nobody() -> process.Identity:
    """An identity that no process has."""
    return process.Identity(process.boot_id(), 2**22 + 1, 1)


def _dispatch_at(start: Any) -> None:
    start.wait()
    client.dispatch()


def test_racing_dispatchers_start_each_job_once(bench: Bench) -> None:
    rows = [bench.add("print('ran')", queue=f"gpu:{number % 2}") for number in range(4)]
    context = multiprocessing.get_context("fork")
    start = context.Event()
    racers = [context.Process(target=_dispatch_at, args=(start,)) for _ in range(8)]
    for racer in racers:
        racer.start()
    start.set()
    for racer in racers:
        racer.join(timeout=30)
        assert racer.exitcode == 0
    for row in rows:
        assert bench.wait_end(row).state.name == "succeeded"
        assert RunPaths(row.run_dir).log.read_text() == "ran\n"
