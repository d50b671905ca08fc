"""The command is the run: the preview, pasted into a shell, resolves to the same arguments and the same
losses.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from engine.jobs import client
from engine.schema import dump
from engine.schema.load import load_mapping
from tests.e2e.support import REPO, arguments, environment, losses, tunesmith, wait_for_end, write_dataset

ODD_TEXT = 'it\'s "odd" $HOME `ls` \\ 中文\nsecond line # not a comment'


def test_the_previewed_command_gives_the_same_run(workdir: Path, tiny_random: Path) -> None:
    write_dataset(workdir)
    given = arguments(tiny_random, max_steps=8, default_system=ODD_TEXT, run_name="a b", cutoff_len=512)
    preview = dump.to_shell(dump.to_argv("train", load_mapping("train", given).args))
    job = wait_for_end(client.submit("train", given).id)
    assert job.state == "succeeded", job.reason
    done = subprocess.run(
        ["bash", "-c", preview],
        cwd=workdir,
        env=environment(PYTHONPATH=str(REPO)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    mine = Path(job.run_dir)
    theirs = next(
        path.parent
        for path in workdir.glob("saves/*/*/*/resolved.yaml")
        if path.parent.resolve() != mine.resolve()
    )
    first, second = (yaml.safe_load((run / "resolved.yaml").read_text()) for run in (mine, theirs))
    assert first.pop("output_dir") != second.pop("output_dir")
    assert first == second and first["default_system"] == ODD_TEXT
    one, two = losses(mine / "trainer_log.jsonl"), losses(theirs / "trainer_log.jsonl")
    assert len(one) == 8 and one == pytest.approx(two, abs=1e-6)


def test_a_shell_run_registers_itself_and_command_sh_repeats_it(workdir: Path, tiny_random: Path) -> None:
    write_dataset(workdir)
    (workdir / "a.yaml").write_text(yaml.safe_dump(arguments(tiny_random, max_steps=3, output_dir="my run")))
    done = tunesmith("train", "a.yaml", cwd=workdir)
    assert done.returncode == 0, done.stderr
    job = client.list_jobs()[0]
    assert job.state == "succeeded" and Path(job.run_dir).resolve() == (workdir / "my run").resolve()
    log = (workdir / "my run" / "log.txt").read_text()
    assert "step 3/3" in log and "step 3/3" in done.stdout
    asked = yaml.safe_load((workdir / "my run" / "args.yaml").read_text())
    assert asked["max_steps"] == 3 and asked["output_dir"] == "my run"
    assert "--output_dir 'my run'" in (workdir / "my run" / "command.sh").read_text()
