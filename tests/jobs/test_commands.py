"""`tunesmith jobs ...` as a person and as a script use it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine import cli
from engine.jobs import client, process
from engine.jobs.dispatch import dispatch
from engine.jobs.states import Failed, Running, Succeeded
from engine.paths import RunPaths

if TYPE_CHECKING:
    from tests.jobs.conftest import Bench


def test_list(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["jobs", "list"]) == 0
    assert capsys.readouterr().out == "No jobs.\n"
    done, failed = bench.add(""), bench.add("")
    bench.rewrite(done, Succeeded(10.0, 3675.0))
    bench.rewrite(failed, Failed(1.0, 2.0, 1, "exit 1"))
    assert cli.main(["jobs", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ID", "STATE", "COMMAND", "PROGRESS", "TIME", "NAME"]
    assert lines[1].split() == [failed.id, "failed", "train", "-", "0:00:01", f"model/lora/{failed.id}"]
    assert lines[2].split()[4] == "1:01:05"
    assert cli.main(["jobs", "list", "--state", "failed", "--json"]) == 0
    [told] = json.loads(capsys.readouterr().out)
    assert (told["id"], told["state"], told["progress"]["current"]) == (failed.id, "failed", None)


def test_show(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    row = bench.add("print('it is')")
    bench.rewrite(row, Failed(10.0, 20.0, 1, "exit 1: two\n  lines"))
    assert cli.main(["jobs", "show", row.id[:6]]) == 0
    out = capsys.readouterr().out
    assert "reason    exit 1: two\n            lines" in out
    assert "print('\"'\"'it is'\"'\"')" in out, "the command is quoted for a shell"
    assert cli.main(["jobs", "show", str(row.run_dir), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(client.get(row.id).to_json()))


def test_unknown_job_and_verb(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("show", "logs", "stop", "resume", "rm"):
        assert cli.main(["jobs", verb, "nonsense"]) == 2
        assert capsys.readouterr().err.startswith("error: There is no job nonsense")
    with pytest.raises(SystemExit) as caught:
        cli.main(["jobs", "dance"])
    assert caught.value.code == 2


def test_logs(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    row = bench.add("")
    assert cli.main(["jobs", "logs", row.id]) == 0
    assert "printed nothing yet" in capsys.readouterr().err
    RunPaths(row.run_dir).log.write_text("one\n名")
    assert cli.main(["jobs", "logs", row.id]) == 0
    assert capsys.readouterr().out == "one\n名"


def test_follow_ends_with_the_job(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    row = bench.add(
        "import time; print(1, flush=True); time.sleep(0.5); print(2, end=''); raise SystemExit(3)"
    )
    dispatch(bench.store)
    assert cli.main(["jobs", "logs", "-f", row.id]) == 1
    told = capsys.readouterr()
    assert told.out == "1\n2"
    assert told.err == "-- failed: exit 3: 2\n"


def jobs(*words: str) -> subprocess.Popen[str]:
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(
        [sys.executable, "-m", "engine.cli", "jobs", *words],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_leaves_the_log_and_not_the_job(bench: Bench) -> None:
    row = bench.add_driver("loop")
    dispatch(bench.store)
    bench.wait_log(row, "attached")
    follower = jobs("logs", "-f", row.id)
    assert follower.stdout is not None
    assert follower.stdout.readline().startswith("attached")
    follower.send_signal(signal.SIGINT)
    _, err = follower.communicate(timeout=20)
    assert (follower.returncode, err) == (130, f"-- left; job {row.id} goes on\n")
    assert client.get(row.id).state == "running"
    stopper = jobs("stop", row.id)
    out, err = stopper.communicate(timeout=30)
    assert (stopper.returncode, err) == (0, "")
    assert [line.split()[1] for line in out.splitlines()] == ["ask:", "sweep:", "proven:"]
    assert client.get(row.id).state == "stopped"


def test_resume_and_rm(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    row = bench.add("raise SystemExit(1)")
    dispatch(bench.store)
    bench.wait_end(row)
    assert cli.main(["jobs", "resume", row.id]) == 0
    assert capsys.readouterr().out.startswith(f"{row.id}  attempt 2, ")
    bench.eventually(lambda: bench.now(row).attempt == 2 and bench.state(row) == "failed")
    bench.rewrite(row, Running(1.0, process.current()))
    assert cli.main(["jobs", "rm", row.id]) == 2
    assert "Stop it first" in capsys.readouterr().err
    bench.rewrite(row, Succeeded(1.0, 2.0))
    assert cli.main(["jobs", "rm", row.id]) == 0
    assert not row.run_dir.exists()
    assert cli.main(["jobs", "rebuild"]) == 0
    assert capsys.readouterr().out.endswith("0 runs added.\n")


@pytest.mark.parametrize(
    "entry", ["from engine.cli import main; main(['jobs', 'list'])", "import engine.jobs.shim"]
)
def test_light(workdir: Path, repo: Path, entry: str) -> None:
    """Neither the job list nor a shim loads what trains; a shim starts in 0.3 CPU-seconds."""
    heavy = "{'torch', 'transformers', 'datasets', 'peft', 'gradio', 'matplotlib', 'numpy'}"
    script = f"import sys, time; {entry}; print({heavy} & set(sys.modules)); print(time.process_time())"
    told = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(repo)},
        capture_output=True,
        text=True,
        check=True,
    )
    *_, loaded, seconds = told.stdout.splitlines()
    assert loaded == "set()"
    assert float(seconds) < 0.3
