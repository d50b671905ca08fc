"""Runs that a person starts in a shell: they register themselves, and a mistake leaves no trace."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine import env
from engine.errors import UserError
from engine.jobs import client, process, record
from engine.jobs.dispatch import dispatch
from engine.paths import RunPaths
from engine.schema.load import load_mapping
from engine.schema.resolve import resolve

if TYPE_CHECKING:
    from tests.jobs.conftest import Bench

MODEL = {"model_name_or_path": "m", "dataset": "d", "template": "qwen3"}
Shell = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def shell(bench: Bench, repo: Path) -> Shell:
    """Start the stand-in engine as a person would: by the name of the command, in the current folder."""
    tunesmith = bench.root / "bin" / "tunesmith"
    tunesmith.parent.mkdir()
    shutil.copy(repo / "tests" / "jobs" / "driver.py", tunesmith)

    def start(what: str, *words: str, output_dir: str = "saves/run") -> subprocess.Popen[str]:
        flags = [word for name, value in MODEL.items() for word in (f"--{name}", value)]
        return subprocess.Popen(
            [sys.executable, str(tunesmith), what, *flags, "--output_dir", output_dir, *words],
            env={**os.environ, "PYTHONPATH": str(repo)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def finish(popen: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = popen.communicate(timeout=30)
    return popen.returncode, out, err


def test_it_is_in_the_list_with_its_files(bench: Bench, shell: Shell) -> None:
    code, out, err = finish(shell("quick"))
    assert (code, err) == (0, "")
    [job] = client.list_jobs()
    assert (job.state, job.attempt, job.queue, job.exit_code) == ("succeeded", 1, "cpu", 0)
    run = RunPaths(Path(job.run_dir))
    assert run.log.read_text() == out == f"attached {job.id} 1\n"
    for file in (run.args_yaml, run.resolved_yaml, run.command_sh, run.trainer_log):
        assert file.exists(), file
    assert record.read_record(run.root)["state_hint"] == "succeeded"
    assert job.argv[:2] == ("tunesmith", "train")


def test_it_is_live_and_can_be_stopped_from_outside(bench: Bench, shell: Shell) -> None:
    popen = shell("loop")
    bench.eventually(lambda: [job.state for job in client.list_jobs()] == ["running"])
    [job] = client.list_jobs()
    row = bench.store.find(job.id)
    assert row is not None
    assert [one.pid for one in process.find_marked(row.marker)] == [popen.pid]
    bench.eventually(lambda: client.get(job.id).progress.current)
    waiting = bench.add("print('next')")
    assert dispatch(bench.store) == [], "it holds the device"
    phases = [phase.name for phase in client.stop(job.id)]
    assert phases == ["ask", "sweep", "proven"]
    code, out, _ = finish(popen)
    assert code == 130 and out.endswith("saved\n")
    assert client.get(job.id).state == "stopped"
    assert bench.wait_end(waiting).state.name == "succeeded"


def test_ctrl_c_saves_and_a_second_one_ends_at_once(bench: Bench, shell: Shell) -> None:
    popen = shell("slow")
    bench.eventually(lambda: RunPaths(bench.root / "saves/run").trainer_log.exists())
    popen.send_signal(signal.SIGINT)
    assert popen.stderr is not None
    assert popen.stderr.readline() == "Stopping: it saves first. Once more to stop at once.\n"
    popen.send_signal(signal.SIGINT)
    assert finish(popen)[0] == 130
    [job] = client.list_jobs()
    assert (job.state, job.reason) == ("stopped", "stopped by request")
    assert RunPaths(Path(job.run_dir)).checkpoints() == []


def test_killed(bench: Bench, shell: Shell) -> None:
    popen = shell("loop")
    bench.eventually(lambda: [job.state for job in client.list_jobs()] == ["running"])
    popen.kill()
    finish(popen)
    [job] = client.list_jobs()
    assert (job.state, job.resumable) == ("lost", True)
    assert job.reason.startswith("killed: ")


def test_crash_is_told_in_log_and_reason(bench: Bench, shell: Shell) -> None:
    code, _, err = finish(shell("crash"))
    assert code == 1 and "ValueError: the matrix is not square" in err
    [job] = client.list_jobs()
    assert (job.state, job.reason) == ("failed", "exit 1: ValueError: the matrix is not square")
    log = RunPaths(Path(job.run_dir)).log.read_text()
    assert "Traceback" in log and log.endswith("ValueError: the matrix is not square\n")


def test_a_mistake_leaves_no_trace(bench: Bench, shell: Shell) -> None:
    code, _, err = finish(shell("mistake", output_dir="saves/deep/er/run"))
    assert (code, err) == (2, "error: dataset: there is no d\n")
    assert client.list_jobs() == []
    assert [path.name for path in (bench.root / "saves").iterdir()] == ["jobs.db"]


def test_a_mistake_that_shows_late_keeps_the_run(bench: Bench, shell: Shell) -> None:
    """What a run has logged is what the person needs to see."""
    code, _, err = finish(shell("late"))
    assert (code, err) == (2, "error: learning_rate: too high\n")
    [job] = client.list_jobs()
    assert (job.state, job.reason) == ("failed", "exit 2: learning_rate: too high")
    assert RunPaths(Path(job.run_dir)).log.read_text().endswith("error: learning_rate: too high\n")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        Exception("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
    ids=["of the system", "of native code"],
)
def test_a_full_disk_is_told_in_one_sentence(bench: Bench, error: Exception) -> None:
    args = load_mapping("train", {**MODEL, "output_dir": "saves/full"}).args
    resolved = resolve("train", args, env.probe_machine())
    with (
        pytest.raises(UserError, match="make room"),
        client.attached("train", args, resolved) as run,
        run.cooperative(),
    ):
        raise error
    [job] = client.list_jobs()
    assert job.state == "failed" and job.reason.startswith("exit 2: no space left on the disk (")


def test_a_submitted_mistake_is_kept_as_failed(bench: Bench) -> None:
    row = bench.add_driver("mistake")
    dispatch(bench.store)
    bench.wait_end(row)
    job = client.get(row.id)
    assert (job.state, job.exit_code, job.reason) == ("failed", 2, "exit 2: dataset: there is no d")
    assert RunPaths(row.run_dir).resolved_yaml.exists()


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_mistake_does_not_cost_the_run_it_was_to_overwrite(bench: Bench, shell: Shell) -> None:
    finish(shell("quick"))
    root = bench.root / "saves/run"
    RunPaths(root).checkpoint(5).mkdir()
    (RunPaths(root).checkpoint(5) / "weights").write_text("precious")
    before, [job] = files(root), client.list_jobs()
    assert finish(shell("mistake", "--overwrite_output_dir", "true"))[0] == 2
    assert files(root) == before
    assert client.list_jobs() == [job]


def test_overwrite_clears_what_a_run_writes_and_nothing_else(bench: Bench, shell: Shell) -> None:
    finish(shell("quick"))
    root = bench.root / "saves/run"
    RunPaths(root).checkpoint(5).mkdir()
    (root / "my notes.txt").write_text("mine")
    [old] = client.list_jobs()
    assert finish(shell("quick", "--overwrite_output_dir", "true"))[0] == 0
    [new] = client.list_jobs()
    assert new.id != old.id
    assert RunPaths(root).checkpoints() == []
    assert (root / "my notes.txt").read_text() == "mine"
    assert not (root / ".replaced").exists()
    assert RunPaths(root).log.read_text() == f"attached {new.id} 1\n"


def test_existing_directory(bench: Bench, shell: Shell) -> None:
    finish(shell("quick"))
    before = files(bench.root / "saves/run")
    code, _, err = finish(shell("quick"))
    assert code == 2
    assert "resume_from_checkpoint=true" in err and "overwrite_output_dir=true" in err
    assert files(bench.root / "saves/run") == before


def test_directory_of_a_live_run(bench: Bench, shell: Shell) -> None:
    popen = shell("loop")
    bench.eventually(lambda: [job.state for job in client.list_jobs()] == ["running"])
    [job] = client.list_jobs()
    code, _, err = finish(shell("quick", "--overwrite_output_dir", "true"))
    assert code == 2 and f"belongs to job {job.id}, which is running" in err
    for _ in client.stop(job.id):
        pass
    finish(popen)


@pytest.mark.parametrize(
    ("output_dir", "message"),
    [
        ("file/run", "cannot write to"),
        ("file", "is a file"),
        ("saves", "folder of all runs"),
        ("/proc/run", "cannot"),
    ],
)
def test_unwritable_directory(bench: Bench, shell: Shell, output_dir: str, message: str) -> None:
    (bench.root / "file").touch()
    code, _, err = finish(shell("quick", output_dir=output_dir))
    assert code == 2 and message in err and "Traceback" not in err
    assert client.list_jobs() == []


def test_a_folder_that_is_no_run_is_never_cleared(bench: Bench, shell: Shell) -> None:
    (bench.root / "photos").mkdir()
    (bench.root / "photos" / "config.json").write_text("mine")
    for words in (["--overwrite_output_dir", "true"], ["--resume_from_checkpoint", "true"]):
        code, _, err = finish(shell("quick", *words, output_dir="photos"))
        assert code == 2 and "no run" in err
    assert files(bench.root / "photos") == {"config.json": b"mine"}


def test_resume_in_a_shell_is_a_new_attempt(bench: Bench, shell: Shell) -> None:
    finish(shell("crash"))
    [first] = client.list_jobs()
    code, _, _ = finish(shell("quick", "--resume_from_checkpoint", "true"))
    assert code == 0
    [job] = client.list_jobs()
    assert (job.id, job.attempt, job.state, job.created) == (first.id, 2, "succeeded", first.created)
    assert "ValueError" in RunPaths(Path(job.run_dir)).log.read_text(), "the log goes on"


def test_without_a_place_for_the_list_the_run_still_runs(bench: Bench, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "blocked").touch()
    os.environ["TUNESMITH_SAVES"] = str(tmp_path / "blocked" / "saves")
    try:
        code, _, err = finish(shell("quick", output_dir="elsewhere"))
    finally:
        del os.environ["TUNESMITH_SAVES"]
    assert code == 0 and "not in the job list" in err
    assert record.read_record(bench.root / "elsewhere")["exit_code"] == 0


def test_called_from_python_it_neither_restarts_nor_keeps_the_signals(bench: Bench) -> None:
    args = load_mapping("train", {**MODEL, "output_dir": "saves/in-process"}).args
    resolved = resolve("train", args, env.probe_machine())
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), sys.stdout
    with client.attached("train", args, resolved) as run:
        assert client.get(run.job_id).state == "running"
        with run.cooperative():
            os.kill(os.getpid(), signal.SIGTERM)
            bench.eventually(run.stop_requested)
    assert run.exit_code == 130
    assert client.get(run.job_id).state == "stopped"
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), sys.stdout) == before
    with pytest.raises(UserError, match="already holds files"), client.attached("train", args, resolved):
        pass


def test_a_forked_worker_ends_when_terminated_and_leaves_ctrl_c_to_the_run(bench: Bench) -> None:
    args = load_mapping("train", {**MODEL, "output_dir": "saves/in-process"}).args
    resolved = resolve("train", args, env.probe_machine())
    with client.attached("train", args, resolved) as run, run.cooperative():
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
        worker.start()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGINT)
        worker.join(timeout=0.2)
        assert worker.is_alive()
        worker.terminate()
        worker.join(timeout=10)
        assert worker.exitcode == 128 + signal.SIGTERM
        assert not run.stop_requested()
