"""The command line: quick and light where it can be, exit code 2 and one screen where a person erred."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]


def tunesmith(*words: str, cwd: Path = REPO) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "engine.cli", *words], cwd=cwd, capture_output=True, text=True, timeout=60,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPO), "HOME": str(cwd)},
    )  # fmt: skip


@pytest.mark.parametrize(
    "words", [["version"], ["help"], ["--help"], ["train", "--help"], ["help", "export"], ["jobs", "--help"],
     ["data", "--help"]],
)  # fmt: skip
def test_help_and_version_answer(words: list[str]) -> None:
    done = tunesmith(*words)
    assert done.returncode == 0 and done.stdout.strip() and done.stderr == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "Did you mean train?"),
        (["train", "stage=bogus"], "one of sft"),
        (["train", "no.yaml"], "no.yaml: No such file"),
        (["train", "datset=x"], "Did you mean dataset?"),
        (["export", "model_name_or_path=m"], "export_dir: is missing"),
        (["webui", "--port", "x"], "port"),
    ],
)
def test_a_mistake_is_one_screen_and_exit_2(words: list[str], said: str, tmp_path: Path) -> None:
    done = tunesmith(*words, cwd=tmp_path)
    assert (
        done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr and done.stdout == ""
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words", [["version"], ["help"], ["train", "--help"], ["train", "stage=bogus"], ["jobs", "--help"],
     ["data", "--help"]],
)  # fmt: skip
def test_no_torch_where_none_is_needed(words: list[str]) -> None:
    program = (
        "import sys; from engine.cli import main; main(sys.argv[1:]);"
        "heavy = {'torch', 'transformers', 'gradio', 'datasets', 'peft'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_version_costs_a_fraction_of_a_second_of_cpu() -> None:
    """A bound on processor time, not on the clock: the machine may be busy."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert tunesmith("version").returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.3


def test_dry_run_prints_every_value_with_reasons_and_writes_nothing(tmp_path: Path) -> None:
    done = tunesmith("train", "--dry_run", "--model_name_or_path", "m", "--dataset", "d", cwd=tmp_path)
    assert done.returncode == 0 and "# twice lora_rank:\nlora_alpha: 16" in done.stdout
    assert not list(tmp_path.iterdir())
