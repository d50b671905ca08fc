"""Stopping: at every stage of a job, against every kind of stubbornness, and always with nothing left."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from engine.errors import JobError
from engine.jobs import client, process
from engine.jobs.dispatch import dispatch
from engine.jobs.states import Stopped
from engine.paths import RunPaths

if TYPE_CHECKING:
    from tests.jobs.conftest import Bench

# Its children ignore signals in sessions of their own, and one has lost its parent.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
deaf += "print('deaf', flush=True); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", deaf], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("orphan", flush=True)
        time.sleep(600)
    os._exit(0)
os.wait()
print("stubborn", flush=True)
time.sleep(600)
"""


def names(phases: object) -> list[str]:
    return [phase.name for phase in phases]  # type: ignore[attr-defined]


def test_stop_queued(bench: Bench) -> None:
    row = bench.add("print('never')")
    assert names(client.stop(row.id)) == ["proven"]
    assert bench.state(row) == "stopped"
    assert dispatch(bench.store) == []
    assert not RunPaths(row.run_dir).log.exists()


def test_stop_training_saves_first(bench: Bench) -> None:
    row = bench.add_driver("loop")
    dispatch(bench.store)
    bench.eventually(lambda: RunPaths(row.run_dir).trainer_log.exists())
    assert names(client.stop(row.id)) == ["ask", "sweep", "proven"]
    ended = bench.now(row).state
    assert isinstance(ended, Stopped)
    assert (ended.exit_code, ended.reason) == (130, "stopped by request")
    assert RunPaths(row.run_dir).checkpoints()
    assert process.find_marked(row.marker) == []


def test_stop_loading_ends_at_once(bench: Bench) -> None:
    """Outside of a cooperative section the first signal interrupts."""
    row = bench.add_driver("load")
    dispatch(bench.store)
    bench.wait_log(row, "attached")
    begun = time.monotonic()
    assert names(client.stop(row.id)) == ["ask", "sweep", "proven"]
    assert time.monotonic() - begun < 5
    assert bench.state(row) == "stopped"


def test_stop_is_not_lost_in_a_destructor(bench: Bench) -> None:
    """While libraries are imported an interrupt often arrives where Python drops it."""
    row = bench.add_driver("deaf")
    dispatch(bench.store)
    bench.wait_log(row, "deaf")
    assert names(client.stop(row.id, ask_s=10)) == ["ask", "sweep", "proven"]
    assert bench.state(row) == "stopped"


def test_stop_right_after_the_start(bench: Bench) -> None:
    """Somewhere between the claim and the first line of the engine."""
    for _ in range(3):
        row = bench.add_driver("loop")
        dispatch(bench.store)
        assert names(client.stop(row.id))[-1] == "proven"
        assert bench.state(row) == "stopped"
        assert process.find_marked(row.marker) == []


def test_stop_of_the_stubborn(bench: Bench) -> None:
    row = bench.add(STUBBORN)
    dispatch(bench.store)
    for word in ("deaf", "orphan", "stubborn"):
        bench.wait_log(row, word)
    assert len(process.find_marked(row.marker)) == 3
    phases = client.stop(row.id, ask_s=0.2, terminate_s=0.2)
    assert names(phases) == ["ask", "terminate", "kill", "sweep", "proven"]
    assert bench.state(row) == "stopped"
    assert process.find_marked(row.marker) == []


def test_stop_now_of_the_stubborn_takes_seconds(bench: Bench) -> None:
    """A library being loaded from a slow disk takes no signal at all."""
    row = bench.add(STUBBORN)
    dispatch(bench.store)
    bench.wait_log(row, "stubborn")
    begun = time.monotonic()
    assert names(client.stop(row.id, now=True)) == ["terminate", "kill", "sweep", "proven"]
    assert time.monotonic() - begun < 8


def test_stop_of_the_stubborn_without_a_shim(bench: Bench) -> None:
    row = bench.add(STUBBORN)
    dispatch(bench.store)
    bench.wait_log(row, "stubborn")
    bench.kill(bench.shim(row))
    assert names(client.stop(row.id, ask_s=0.2, terminate_s=0.2))[-1] == "proven"
    assert bench.state(row) == "stopped"


def test_stop_of_one_that_is_halted(bench: Bench) -> None:
    """SIGSTOP holds signals back until it goes on."""
    row = bench.add_driver("loop")
    dispatch(bench.store)
    bench.wait_log(row, "attached")
    process.send(bench.engine(row), signal.SIGSTOP)
    assert names(client.stop(row.id)) == ["ask", "sweep", "proven"]


def test_stop_now_hurries_a_patient_stop(bench: Bench) -> None:
    row = bench.add(STUBBORN)
    dispatch(bench.store)
    bench.wait_log(row, "stubborn")
    seen: list[str] = []
    patient = threading.Thread(
        target=lambda: seen.extend(names(client.stop(row.id, ask_s=60, terminate_s=0.2)))
    )
    patient.start()
    bench.eventually(lambda: client.get(row.id).stop_phase == "ask", what="the phase, seen by another viewer")
    assert "terminate" in names(client.stop(row.id, now=True, terminate_s=0.2))
    patient.join(timeout=20)
    assert not patient.is_alive()
    assert seen[0] == "ask" and seen[-1] == "proven"


def test_a_second_stop_does_not_cut_the_first_one_short(bench: Bench) -> None:
    """Pressing Stop twice still saves, and the second press takes over where the first was dropped."""
    row = bench.add_driver("slow")
    dispatch(bench.store)
    bench.eventually(lambda: RunPaths(row.run_dir).trainer_log.exists())
    dropped = client.stop(row.id)
    assert next(dropped).name == "ask"
    second = client.stop(row.id)
    assert next(second).name == "ask"
    (row.run_dir / "go").touch()
    assert names(second)[-1] == "proven"
    assert RunPaths(row.run_dir).checkpoints()


def test_stop_while_the_next_job_waits(bench: Bench) -> None:
    """The job that a stopped one makes room for is not taken for a part of it."""
    first, second = bench.add_driver("loop"), bench.add_driver("quick")
    dispatch(bench.store)
    bench.wait_log(first, "attached")
    bench.kill(bench.shim(first))  # so that the engine itself dispatches the next
    assert names(client.stop(first.id))[-1] == "proven"
    assert bench.wait_end(second).state.name == "succeeded"


def test_stop_refuses_what_is_over(bench: Bench) -> None:
    row = bench.add("print(1)")
    dispatch(bench.store)
    bench.wait_end(row)
    with pytest.raises(JobError, match="succeeded already"):
        next(client.stop(row.id))
    with pytest.raises(JobError, match="no job nonsense"):
        next(client.stop("nonsense"))
