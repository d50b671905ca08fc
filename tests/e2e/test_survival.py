"""kill -9 of anything: the run goes on, or resumes to the very same bits. Stop leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.jobs import client
from tests.e2e.support import (
    REPO,
    arguments,
    assert_nothing_left,
    environment,
    free_port,
    job_record,
    losses,
    wait_for,
    wait_for_end,
    wait_for_step,
    weights_sha256,
    write_dataset,
)

KILLED_IN_MID_SAVE = """
import os
publish = os.rename
def rename(source, target, *rest, **more):
    if str(target).endswith("checkpoint-10") and os.path.exists(os.environ["KILL_IN_SAVE"]):
        os.remove(os.environ["KILL_IN_SAVE"])
        os.kill(os.getpid(), 9)
    return publish(source, target, *rest, **more)
os.rename = rename
"""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, tiny_random: Path) -> str:
    """The weights of the run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("calm")
    write_dataset(folder)
    before = Path.cwd()
    os.chdir(folder)
    try:
        job = wait_for_end(client.submit("train", arguments(tiny_random)).id)
        assert job.state == "succeeded", job.reason
        return weights_sha256(job.run_dir)
    finally:
        os.chdir(before)


@pytest.fixture
def ready(workdir: Path) -> Path:
    write_dataset(workdir)
    return workdir


def test_the_run_goes_on_without_its_shim(ready: Path, tiny_random: Path, uninterrupted: str) -> None:
    job = client.submit("train", arguments(tiny_random))
    wait_for_step(job, 3)
    os.kill(job_record(job)["shim"]["pid"], signal.SIGKILL)
    job = wait_for_end(job.id)
    assert job.state == "succeeded" and weights_sha256(job.run_dir) == uninterrupted
    assert_nothing_left(job)


def test_a_killed_trainer_resumes_bit_for_bit(ready: Path, tiny_random: Path, uninterrupted: str) -> None:
    job = client.submit("train", arguments(tiny_random))
    wait_for_step(job, 12)
    os.kill(job_record(job)["engine"]["pid"], signal.SIGKILL)
    job = wait_for_end(job.id)
    assert job.state == "failed" and "signal 9" in job.reason and job.resumable
    job = wait_for_end(client.resume(job.id).id)
    assert job.state == "succeeded" and job.attempt == 2
    assert weights_sha256(job.run_dir) == uninterrupted
    assert_nothing_left(job)


def test_a_kill_in_the_middle_of_a_save(
    ready: Path, tiny_random: Path, uninterrupted: str, tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    trap = tmp_path_factory.mktemp("trap")
    (trap / "sitecustomize.py").write_text(KILLED_IN_MID_SAVE)
    (trap / "armed").touch()
    monkeypatch.setenv("PYTHONPATH", f"{trap}{os.pathsep}{REPO}")
    monkeypatch.setenv("KILL_IN_SAVE", str(trap / "armed"))
    job = wait_for_end(client.submit("train", arguments(tiny_random)).id)
    assert job.state == "failed" and "signal 9" in job.reason
    seen = sorted(path.name for path in Path(job.run_dir).glob("checkpoint-*"))
    assert seen == ["checkpoint-5"], "what was being written must not be seen"
    job = wait_for_end(client.resume(job.id).id)
    assert job.state == "succeeded" and weights_sha256(job.run_dir) == uninterrupted
    assert "checkpoint-5" in (Path(job.run_dir) / "log.txt").read_text()
    assert_nothing_left(job)


def test_the_run_goes_on_without_the_studio(ready: Path, tiny_random: Path, uninterrupted: str) -> None:
    from engine.schema.dump import to_yaml
    from engine.schema.load import load_mapping

    (ready / "run.yaml").write_text(to_yaml(load_mapping("train", arguments(tiny_random)).args))
    studio = subprocess.Popen(
        [sys.executable, "-m", "engine.cli", "webui", "--port", str(free_port()), "--start", "run.yaml"],
        env=environment(PYTHONPATH=str(REPO)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        job = wait_for(lambda: client.list_jobs()[:1], "a job from the studio")[0]
        wait_for_step(job, 2)
    finally:
        studio.kill()
        studio.wait()
    job = wait_for_end(job.id)
    assert job.state == "succeeded" and weights_sha256(job.run_dir) == uninterrupted
    assert_nothing_left(job)


@pytest.mark.parametrize("phase", ["tokenizing", "training", "evaluating"])
def test_stop_works_in_every_phase(ready: Path, tiny_random: Path, phase: str) -> None:
    many = 30_000 if phase == "tokenizing" else 48
    write_dataset(ready, rows=many, words=60 if many > 48 else 12)
    endless = arguments(
        tiny_random, max_steps=100_000, save_steps=50_000, val_size=0.5, eval_strategy="steps"
    )
    endless["eval_steps"] = 2 if phase == "evaluating" else 50_000
    job = client.submit("train", endless)

    def reached() -> bool:
        text = (
            (Path(job.run_dir) / "trainer_log.jsonl").read_text()
            if (Path(job.run_dir) / "trainer_log.jsonl").exists()
            else ""
        )
        if phase == "evaluating":
            return '"eval_loss"' in text
        return f'"phase": "{phase}"' in text

    wait_for(reached, f"{phase} of {job.id}")
    phases = [step.name for step in client.stop(job.id)]
    assert phases[0] == "ask" and phases[-1] == "proven"
    job = wait_for_end(job.id)
    assert job.state == "stopped"
    assert_nothing_left(job)
    if phase != "tokenizing":
        step = max(losses(Path(job.run_dir) / "trainer_log.jsonl"))
        assert list(Path(job.run_dir).glob("checkpoint-*")), f"stopped at step {step} without a checkpoint"
