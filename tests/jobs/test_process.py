"""Identity, the marker, and the tree. Only processes that these tests start are signalled."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import psutil

from engine.jobs import process
from engine.jobs.runfiles import new_marker

READY = "print('ready', flush=True); "
Child = Callable[..., "subprocess.Popen[bytes]"]


def test_current_is_alive_and_round_trips() -> None:
    me = process.current()
    assert me.pid == os.getpid()
    assert process.is_alive(me)
    assert process.Identity.from_json(me.to_json()) == me


def test_what_is_no_identity() -> None:
    for value in (None, {}, {"pid": 1}, "x", {"boot_id": "b", "pid": "x", "start_time": 1}):
        assert process.Identity.from_json(value) is None


def test_reused_pid_and_other_boot_are_dead() -> None:
    me = process.current()
    assert not process.is_alive(replace(me, start_time=me.start_time + 1))
    assert not process.is_alive(replace(me, boot_id="another"))
    assert not process.is_alive(None)


def test_zombie_is_dead() -> None:
    popen = subprocess.Popen([sys.executable, "-c", "pass"])
    identity = process.identify(popen.pid)
    assert identity is not None

    def is_zombie() -> bool:
        stat = process.read_stat(popen.pid)
        return stat is not None and stat.state == "Z"

    assert process.wait_until(is_zombie, 10)
    assert not process.is_alive(identity)
    assert not process.send(identity, 9)
    popen.wait()


def test_name_with_parentheses(child: Child) -> None:
    """A process may call itself `) Z 1 (`; its state is still read right."""
    script = (
        "import ctypes; ctypes.CDLL(None).prctl(15, b') Z 1 (');" + READY + "import time; time.sleep(600)"
    )
    popen = child(script, marker="odd-name")
    stat = process.read_stat(popen.pid)
    assert stat is not None and stat.alive and stat.parent == os.getpid()


def test_marker_is_matched_whole(child: Child) -> None:
    popen = child(READY + "import time; time.sleep(600)", marker="marker-abc")
    assert [one.pid for one in process.find_marked("marker-abc")] == [popen.pid]
    assert process.find_marked("marker-ab") == []
    assert process.find_marked("marker-abcd") == []


def test_marker_in_a_command_line_is_not_looked_at() -> None:
    popen = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)", "TUNESMITH_JOB_MARKER=in-the-words"]
    )
    assert process.find_marked("in-the-words") == []
    popen.kill()
    popen.wait()


def test_a_child_of_another_job_is_left_alone(child: Child) -> None:
    """An engine may start the next job's shim on its way out; stopping the first spares it."""
    ours, theirs = new_marker(), new_marker()
    script = (
        "import os, subprocess, sys, time\n"
        f"other = dict(os.environ, TUNESMITH_JOB_MARKER='{theirs}')\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], env=other)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], env={})\n"
        "print('ready', flush=True); time.sleep(600)"
    )
    main = process.identify(child(script, marker=ours).pid)
    assert main is not None
    try:
        assert process.wait_until(lambda: len(process.find_marked(theirs)) == 1, 10)
        phases = [p.name for p in process.stop_tree(main, ours, ask_s=0, terminate_s=5, kill_s=5)]
        assert phases == ["terminate", "sweep", "proven"]
        assert len(process.find_marked(theirs)) == 1
    finally:
        for _ in process.stop_tree(None, theirs, ask_s=0, terminate_s=5, kill_s=5):
            pass


def test_a_child_without_the_marker_is_still_of_the_tree(child: Child) -> None:
    script = (
        "import subprocess, sys, time\n"
        "bare = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], env={})\n"
        "print('ready', flush=True); time.sleep(600)"
    )
    popen = child(script, marker="with-a-bare-child")
    main = process.identify(popen.pid)
    assert main is not None
    below = [process.identify(one.pid) for one in psutil.Process(main.pid).children()]
    assert len(below) == 1
    for _ in process.stop_tree(main, "with-a-bare-child", ask_s=0, terminate_s=5, kill_s=5):
        pass
    assert not process.is_alive(below[0])


def test_nothing_to_stop() -> None:
    phases = [p.name for p in process.stop_tree(None, "nobody", ask_s=1, terminate_s=1, kill_s=1)]
    assert phases == ["sweep", "proven"]
