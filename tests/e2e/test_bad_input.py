"""Bad input: each mistake is one clear error, exit code 2, and nothing is left half-written."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.e2e.support import REPO, tunesmith, write_dataset


def train(workdir: Path, model: Path | str, **changes: object):
    given = {"model_name_or_path": model, "dataset": "toy", "max_steps": 1, **changes}
    return tunesmith(
        "train", *[word for key, value in given.items() for word in (f"--{key}", str(value))], cwd=workdir
    )


def assert_refused(done, *said: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("error:") == 1
    for text in said:
        assert text in done.stderr, done.stderr


def test_a_missing_model(workdir: Path) -> None:
    write_dataset(workdir)
    assert_refused(train(workdir, "no/such/model"), "no/such/model", "model_name_or_path")
    assert not list(workdir.rglob("*.safetensors"))


def test_an_unregistered_dataset(workdir: Path, tiny_random: Path) -> None:
    write_dataset(workdir)
    assert_refused(train(workdir, tiny_random, dataset="toys"), "toys", "toy", "dataset_info.json")


def test_malformed_json_names_file_line_and_column(workdir: Path, tiny_random: Path) -> None:
    write_dataset(workdir)
    (workdir / "data" / "toy.json").write_text(
        '[\n  {"instruction": "a", "output": "b"},\n  {"instruction": }\n]'
    )
    assert_refused(train(workdir, tiny_random), "toy.json", "line 3", "column 19")


def test_a_wrong_column_mapping_names_file_row_and_columns(workdir: Path, tiny_random: Path) -> None:
    write_dataset(workdir)
    info = {"toy": {"file_name": "toy.json", "columns": {"prompt": "question", "response": "output"}}}
    (workdir / "data" / "dataset_info.json").write_text(json.dumps(info))
    assert_refused(
        train(workdir, tiny_random), "toy.json", "row 1", '"question"', '"instruction", "input", "output"'
    )


def test_an_unwritable_output_directory(workdir: Path, tiny_random: Path) -> None:
    write_dataset(workdir)
    (workdir / "file").write_text("in the way")
    assert_refused(train(workdir, tiny_random, output_dir="file/run"), "file/run", "output_dir")
    assert (workdir / "file").read_text() == "in the way"


def test_an_existing_run_is_not_overwritten(workdir: Path, tiny_random: Path) -> None:
    write_dataset(workdir)
    (workdir / "run").mkdir()
    (workdir / "run" / "precious.txt").write_text("mine")
    done = train(workdir, tiny_random, output_dir="run")
    assert_refused(done, "run", "overwrite_output_dir", "resume_from_checkpoint")
    assert [entry.name for entry in (workdir / "run").iterdir()] == ["precious.txt"]


def test_a_port_in_use(workdir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_refused(tunesmith("webui", "--port", str(port), cwd=workdir), str(port), "--port")
        assert_refused(
            tunesmith(
                "api", "--model_name_or_path", str(REPO / "data/tiny-qwen3"), "--port", str(port), cwd=workdir
            ),
            str(port),
        )


@pytest.mark.parametrize("words", [["--learning_rate", "abc"], ["--lernrate", "1"]])
def test_a_bad_value_or_name_leaves_no_trace(workdir: Path, words: list[str]) -> None:
    assert_refused(
        tunesmith("train", "--model_name_or_path", "m", "--dataset", "d", *words, cwd=workdir), words[0][2:]
    )
    assert not list(workdir.iterdir())
