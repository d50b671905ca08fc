"""The public functions, without an engine: what submit writes, refuses and leaves alone."""

from __future__ import annotations

import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine import paths
from engine.errors import ArgError, JobError, UserError
from engine.events import append_event
from engine.jobs import client, process, record
from engine.jobs.dispatch import dispatch
from engine.jobs.job import parse_duration
from engine.jobs.states import Queued, Running, Stopped, Succeeded
from engine.jobs.store import Row
from engine.paths import RunPaths
from engine.schema.load import load_argv, load_mapping, read_file

if TYPE_CHECKING:
    from tests.jobs.conftest import Bench

ODD = "naïve 名 'q' \"d\" $HOME `x` \\ \n second line"
PLAIN = {"model_name_or_path": "m", "dataset": "identity", "template": "qwen3"}


@pytest.fixture
def waiting(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Nothing is started: jobs stay queued."""
    monkeypatch.setattr("engine.jobs.dispatch.dispatch", lambda store: [])
    return bench


def end(bench: Bench, job_id: str, state: Any = None) -> None:
    row = bench.store.find(job_id)
    assert row is not None
    bench.rewrite(row, state or Stopped(1.0, 2.0, 130, "stopped by request"))


def test_submit_writes_what_will_run(waiting: Bench) -> None:
    job = client.submit("train", {**PLAIN, "run_name": ODD, "learning_rate": "2e-4"})
    run = RunPaths(Path(job.run_dir))
    assert (job.state, job.attempt, job.queue) == ("queued", 1, "cpu")
    args = load_argv("train", list(job.argv[2:])).args
    assert args.output.run_name == ODD
    assert args.optimization.learning_rate == 2e-4
    assert load_mapping("train", read_file(run.args_yaml)).args == args
    assert str(run.root) == str(waiting.root / args.run.output_dir)
    facts = record.read_record(run.root)
    assert (facts["job_id"], facts["argv"], facts["state_hint"]) == (job.id, list(job.argv), "queued")
    assert job.name == str(run.root.relative_to(waiting.root / "saves"))


def test_command_sh_runs_the_same_words(waiting: Bench) -> None:
    """A shell that runs command.sh gives the command exactly the recorded words."""
    import subprocess

    job = client.submit("train", {**PLAIN, "run_name": ODD})
    spy = waiting.root / "bin" / "tunesmith"
    spy.parent.mkdir()
    spy.write_text('#!/bin/sh\nfor word in "$@"; do printf "%s\\0" "$word"; done\n')
    spy.chmod(0o755)
    told = subprocess.run(
        ["sh", str(RunPaths(Path(job.run_dir)).command_sh)],
        env={"PATH": f"{spy.parent}:/usr/bin:/bin"},
        capture_output=True,
        check=True,
    )
    assert told.stdout.decode().split("\0")[:-1] == list(job.argv[1:])


def test_previewed_argv_is_the_submitted_one(waiting: Bench) -> None:
    args = load_mapping("train", PLAIN).args
    job = client.submit("train", {**PLAIN, "output_dir": "saves/x/y"})
    assert client.plan_argv("train", args, "saves/x/y") == list(job.argv)


def test_bad_arguments_write_nothing(waiting: Bench) -> None:
    before = sorted(waiting.root.rglob("*"))
    with pytest.raises(ArgError) as caught:
        client.submit("train", {**PLAIN, "learning_rate": "abc", "stage": "bogus"})
    assert {problem.field for problem in caught.value.problems} == {"learning_rate", "stage"}
    assert sorted(waiting.root.rglob("*")) == before
    with pytest.raises(JobError, match="does not run as a job"):
        client.submit("webui", {})


def test_taken_directory_names_both_ways_out(waiting: Bench) -> None:
    job = client.submit("train", {**PLAIN, "output_dir": "saves/a"})
    with pytest.raises(UserError, match=f"belongs to job {job.id}, which is queued"):
        client.submit("train", {**PLAIN, "output_dir": "saves/a", "overwrite_output_dir": True})
    end(waiting, job.id)
    with pytest.raises(UserError, match=r"(?s)resume_from_checkpoint=true.*overwrite_output_dir=true"):
        client.submit("train", {**PLAIN, "output_dir": "saves/a"})
    again = client.submit("train", {**PLAIN, "output_dir": "saves/a", "overwrite_output_dir": True})
    assert again.id != job.id
    assert [one.id for one in client.list_jobs()] == [again.id]
    end(waiting, again.id)
    third = client.submit("train", {**PLAIN, "output_dir": "saves/a", "resume_from_checkpoint": "true"})
    assert (third.id, third.attempt, third.state) == (again.id, 2, "queued")
    assert [past["attempt"] for past in record.read_record(Path(third.run_dir))["attempts"]] == [1]


def test_relative_paths_start_at_the_given_folder(waiting: Bench, tmp_path: Path) -> None:
    elsewhere = tmp_path / "project"
    elsewhere.mkdir()
    job = client.submit("train", {**PLAIN, "output_dir": "out"}, cwd=elsewhere)
    assert job.run_dir == str(elsewhere / "out")
    assert job.cwd == str(elsewhere)
    assert job.name == "out"


def test_key_of_a_chat_server_is_nowhere_but_in_its_file(waiting: Bench) -> None:
    job = client.submit("api", {"model_name_or_path": "m", "template": "qwen3", "port": 0})
    assert job.queue == f"serve:{job.id}"
    file = paths.keys_dir() / job.id
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(paths.keys_dir().stat().st_mode) == 0o700
    key = file.read_text().strip()
    assert len(key) == 48
    for path in Path(job.run_dir).iterdir():
        assert key not in path.read_text()
    assert key not in str(job.to_json())
    assert client.endpoint(job.id) is None
    paths.write_whole(
        RunPaths(Path(job.run_dir)).endpoint_json, '{"url": "http://127.0.0.1:1/v1", "model": "m"}'
    )
    assert client.endpoint(job.id) == client.Endpoint("http://127.0.0.1:1/v1", "m", key)
    end(waiting, job.id)
    client.remove(job.id)
    assert not file.exists()


def test_key_reaches_the_engine_as_a_file_name(bench: Bench) -> None:
    script = (
        "import os; from pathlib import Path; key = Path(os.environ['TUNESMITH_API_KEY_FILE']).read_text();"
        " print(key == 'k\\n', 'TUNESMITH_API_KEY' in os.environ)"
    )
    row = bench.add(script, queue="serve:x")
    paths.keys_dir().mkdir(parents=True)
    (paths.keys_dir() / row.id).write_text("k\n")
    dispatch(bench.store)
    bench.wait_end(row)
    assert RunPaths(row.run_dir).log.read_text() == "True False\n"


def test_the_command_line_is_what_is_executed(bench: Bench) -> None:
    row = bench.add("")
    bench.store.delete(row.id)
    bench.store.insert(replace(row, argv=("tunesmith", "version")))
    dispatch(bench.store)
    assert bench.wait_end(row).state.name == "succeeded"
    assert RunPaths(row.run_dir).log.read_text().startswith("tunesmith ")


def test_a_gpu_job_sees_its_gpu_only(bench: Bench) -> None:
    row = bench.add("import os; print(os.environ['CUDA_VISIBLE_DEVICES'])", queue="gpu:GPU-abc")
    dispatch(bench.store)
    bench.wait_end(row)
    assert RunPaths(row.run_dir).log.read_text() == "GPU-abc\n"


def test_resume(bench: Bench) -> None:
    row = bench.add("import os; print('attempt', os.environ['TUNESMITH_JOB_ATTEMPT']); raise SystemExit(1)")
    dispatch(bench.store)
    bench.wait_end(row)
    before = record.read_record(row.run_dir)
    again = client.resume(row.id)
    assert again.attempt == 2
    bench.eventually(lambda: bench.now(row).attempt == 2 and bench.state(row) == "failed")
    log = RunPaths(row.run_dir).log.read_text()
    assert log.startswith("attempt 1\n--- attempt 2, ") and log.endswith("attempt 2\n")
    facts = record.read_record(row.run_dir)
    assert facts["attempts"][0]["exit_code"] == 1
    assert facts["marker"] != before["marker"]
    assert bench.now(row).argv[-2:] == ("--resume_from_checkpoint", "true")


def test_resuming_argv() -> None:
    words = (
        "tunesmith",
        "train",
        "--overwrite_output_dir",
        "true",
        "--lr",
        "1",
        "--resume_from_checkpoint=x",
    )
    assert client.resuming_argv("train", words) == (
        "tunesmith", "train", "--lr", "1", "--resume_from_checkpoint", "true",
    )  # fmt: skip
    assert client.resuming_argv("eval", ("tunesmith", "eval", "--overwrite_output_dir", "--a", "1")) == (
        "tunesmith", "eval", "--a", "1",
    )  # fmt: skip


def test_resume_refuses(waiting: Bench) -> None:
    row = waiting.add("")
    for state in (Queued(1.0), Running(1.0, process.current()), Succeeded(1.0, 2.0)):
        waiting.rewrite(row, state)
        with pytest.raises(JobError, match="cannot be resumed"):
            client.resume(row.id)


def test_remove(waiting: Bench) -> None:
    row, other = waiting.add(""), waiting.add("")
    waiting.rewrite(row, Running(1.0, process.current()))
    with pytest.raises(JobError, match="Stop it first"):
        client.remove(row.id)
    assert row.run_dir.is_dir()
    end(waiting, row.id)
    assert client.remove(row.id)
    assert not row.run_dir.exists() and other.run_dir.is_dir()
    with pytest.raises(JobError, match="no job"):
        client.get(row.id)


def test_remove_leaves_what_lies_outside(waiting: Bench, tmp_path: Path) -> None:
    job = client.submit("train", {**PLAIN, "output_dir": str(tmp_path / "precious")})
    end(waiting, job.id)
    assert client.remove(job.id) is False
    assert (tmp_path / "precious" / "job.json").exists()
    assert client.list_jobs() == []


def test_remove_spares_runs_inside_and_strangers(waiting: Bench) -> None:
    outer = client.submit("train", {**PLAIN, "output_dir": "saves/outer"})
    inner = client.submit("train", {**PLAIN, "output_dir": "saves/outer/inner"})
    end(waiting, outer.id)
    with pytest.raises(JobError, match=inner.id):
        client.remove(outer.id)
    end(waiting, inner.id)
    record.update_record(Path(inner.run_dir), {"job_id": "somebody else's"})
    assert client.remove(inner.id) is False
    assert Path(inner.run_dir).is_dir()


def test_remove_spares_what_took_the_place_of_a_run(waiting: Bench) -> None:
    """The run was moved away by hand, and a folder of that name holds something else."""
    torn, gone = waiting.add(""), waiting.add("")
    for row in (torn, gone):
        end(waiting, row.id)
        RunPaths(row.run_dir).job_json.unlink()
    (gone.run_dir / "thesis.tex").write_text("mine")
    assert client.remove(gone.id) is False
    assert (gone.run_dir / "thesis.tex").exists()
    assert client.remove(torn.id) and not torn.run_dir.exists()


def test_remove_does_not_follow_links(waiting: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    (paths.saves_root() / "link").symlink_to(outside)
    job = client.submit("train", {**PLAIN, "output_dir": "saves/link/run"})
    end(waiting, job.id)
    assert client.remove(job.id) is False
    assert (outside / "precious").exists()


def test_find(waiting: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = waiting.add("", job_id="abc1"), waiting.add("", job_id="abd2")
    assert client.find("abc").id == one.id
    assert client.find(two.id).id == two.id
    assert client.find(str(two.run_dir)).id == two.id
    with monkeypatch.context() as there:
        there.setenv("TUNESMITH_SAVES", str(waiting.root / "saves"))
        there.chdir(one.run_dir.parent)
        assert client.find(one.run_dir.name).id == one.id
    with pytest.raises(JobError, match="2 jobs: abd2, abc1"):
        client.find("ab")
    for text in ("x", ""):
        with pytest.raises(JobError, match="no job"):
            client.find(text)


def test_looking_leaves_nothing_behind(workdir: Path) -> None:
    assert client.list_jobs() == []
    assert client.dispatch() == []
    with pytest.raises(JobError, match="no run has been started"):
        client.find("x")
    assert list(workdir.iterdir()) == []


def test_progress(waiting: Bench) -> None:
    row = waiting.add("")
    log = RunPaths(row.run_dir).trainer_log
    waiting.rewrite(row, Running(1.0, process.current()))
    assert client.get(row.id).progress == client.Progress()
    append_event(log, {"phase": "tokenizing", "current": 3, "total": 9})
    assert client.get(row.id).progress == client.Progress(3, 9, "tokenizing")
    append_event(
        log, {"current_steps": 5, "total_steps": 50, "loss": 1.0, "remaining_time": "1 day, 0:01:02"}
    )
    assert client.get(row.id).progress == client.Progress(5, 50, "training", 86_462.0)
    with open(log, "a") as file:
        file.write('{"current_steps": 6, "tot')
    assert client.get(row.id).progress.current == 5, "a torn line is not read"
    append_event(log, {"phase": "saving", "current": 0, "total": 1})
    assert client.get(row.id).progress == client.Progress(0, 1, "saving")
    end(waiting, row.id)
    assert client.get(row.id).progress == client.Progress(5, 50), "the steps it made, not its last phase"
    assert parse_duration("nonsense") is None


def test_200_jobs_are_listed_in_20_ms(waiting: Bench) -> None:
    for number in range(200):
        root = waiting.root / "saves" / "model" / str(number)
        root.mkdir(parents=True)
        argv = ("tunesmith", "train", "--model_name_or_path", "m", "--output_dir", str(root))
        row = Row(f"job{number:03}", root, "train", argv, root, "cpu", 1, "m", 1.0, Succeeded(1.0, 2.0))
        waiting.store.insert(row)
        append_event(RunPaths(root).trainer_log, {"current_steps": 1, "total_steps": 1, "loss": 0.0})
    assert len(client.list_jobs()) == 200
    times = []
    for _ in range(5):
        begun = time.process_time()
        jobs = client.list_jobs()
        times.append(time.process_time() - begun)
    assert [job.id for job in jobs[:2]] == ["job199", "job198"]
    assert jobs[0].progress == client.Progress(1, 1)
    assert min(times) < 0.02, times
    assert [job.id for job in client.list_jobs(limit=1)] == ["job199"]
    assert client.list_jobs(state="running") == []


def test_tail_follows_a_run(bench: Bench) -> None:
    row = bench.add_driver("loop")
    dispatch(bench.store)
    bench.eventually(lambda: RunPaths(row.run_dir).trainer_log.exists())
    first = client.tail(row.id)
    assert first.reset and first.job.state == "running"
    log, points = first.log, list(first.metrics)
    log_offset, metrics_offset = first.log_offset, first.metrics_offset
    for _ in client.stop(row.id):
        pass
    last = client.tail(row.id, log_offset, metrics_offset)
    assert not last.reset and last.job.state == "stopped"
    log += last.log
    points += last.metrics
    assert log == RunPaths(row.run_dir).log.read_text()
    steps = [point["current_steps"] for point in points]
    assert steps == list(range(1, len(steps) + 1))
    assert set(last.to_json()) == {"log", "log_offset", "metrics", "metrics_offset", "reset", "more", "job"}


def test_deleted_database_is_rebuilt_from_the_runs(bench: Bench) -> None:
    done, running, queued = bench.add("print(1)"), bench.add_driver("loop"), bench.add("print(2)")
    dispatch(bench.store)
    bench.wait_log(running, "attached")
    before = {job.id: (job.state, job.argv, job.attempt, job.queue) for job in client.list_jobs()}
    assert {state for state, *_ in before.values()} == {"succeeded", "running", "queued"}
    for file in paths.saves_root().glob("jobs.db*"):
        file.unlink()
    after = {job.id: (job.state, job.argv, job.attempt, job.queue) for job in client.list_jobs()}
    assert after == before
    assert [phase.name for phase in client.stop(running.id)][-1] == "proven"
    assert bench.wait_end(queued).state.name == "succeeded"
    assert {done.id, running.id, queued.id} == {job.id for job in client.list_jobs()}


def test_copied_runs_do_not_start_by_themselves(waiting: Bench) -> None:
    """A queued run that came from another boot or machine is listed as paused."""
    row = waiting.add("print(1)")
    record.update_record(row.run_dir, {"boot_id": "elsewhere", "argv": ["tunesmith", "train"]})
    (row.run_dir.parent / "torn").mkdir()
    (row.run_dir.parent / "torn" / "job.json").write_text('{"job_id": "x", ')
    waiting.store.delete(row.id)
    assert client.rebuild() == 1
    assert client.get(row.id).state == "paused"
    assert client.rebuild() == 0


@pytest.mark.parametrize(
    "facts",
    [
        {"boot_id": "elsewhere", "argv": ["/bin/sh", "-c", "touch owned"]},
        {"job_id": "../../../home"},
        {"command": "nonsense"},
        {"argv": []},
    ],
    ids=["another program", "an id that is a path", "an unknown command", "no command line"],
)
def test_a_folder_from_elsewhere_cannot_have_anything_else_run_or_removed(
    waiting: Bench, facts: dict[str, Any]
) -> None:
    row = waiting.add("print(1)")
    waiting.store.delete(row.id)
    record.update_record(row.run_dir, facts)
    assert client.rebuild() == 0 and client.list_jobs() == []
