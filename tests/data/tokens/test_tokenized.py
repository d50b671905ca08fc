"""tokenized_path: written once, loaded without the files, refused where it does not fit; and one process that
tokenises while the others wait.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.data.tokens import alone, build
from engine.data.tokens.alone import one_at_a_time
from engine.errors import DataError
from tests.data.bench import Bench, rows_of
from tests.data.support import alpaca, build_tokenizer

REPO = Path(__file__).parents[3]


@pytest.fixture
def folder(bench: Bench, tmp_path: Path) -> Path:
    """Written by a run that held rows out and packed."""
    path = tmp_path / "tokens"
    bench.load(tokenized_path=str(path), val_size=4, packing=True, cutoff_len=128)
    return path


def load(bench: Bench, folder: Path, **changes: Any) -> Any:
    settings = {"val_size": 4, "packing": True, "cutoff_len": 128, **changes}
    return bench.load(tokenized_path=str(folder), **settings)


def test_loaded_without_the_dataset_files(bench: Bench, folder: Path) -> None:
    expected = bench.load(val_size=4, packing=True, cutoff_len=128)
    shutil.rmtree(bench.data)
    shutil.rmtree(bench.cache)
    loaded = load(bench, folder)
    assert rows_of(loaded) == rows_of(expected)
    assert list(loaded.evals["eval"]) == list(expected.evals["eval"])
    record = loaded.report.to_json()
    assert record["datasets"][0]["from_cache"]
    assert record["packing_fill"] == expected.report.packing_fill
    assert any("the dataset files were not looked at" in note for note in record["notes"])
    assert not bench.calls
    # How rows are joined is decided when they are loaded.
    assert len(rows_of(load(bench, folder, packing=False))) == 16


def test_several_datasets_keep_their_order(bench: Bench, tmp_path: Path) -> None:
    bench.add("other", alpaca(7, start=50), num_samples=9)
    settings: dict[str, Any] = {
        "dataset": ("rows", "other"),
        "eval_dataset": ("other", "rows"),
        "mix_strategy": "interleave_over",
        "eval_on_each_dataset": True,
    }
    expected = bench.load(**settings)
    for _ in range(2):
        loaded = bench.load(tokenized_path=str(tmp_path / "tokens"), **settings)
        assert rows_of(loaded) == rows_of(expected)
        assert {name: list(table) for name, table in loaded.evals.items()} == {
            name: list(table) for name, table in expected.evals.items()
        }


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cutoff_len": 64}, "cutoff_len is 128 there and 64 here"),
        ({"template": "chatml"}, "template is the tokenizer's own there and chatml here"),
        ({"system": "Be kind."}, "the chat template or its settings"),
        ({"mask_history": True}, "mask_history is false there and true here"),
        ({"train_on_prompt": True}, "train_on_prompt is false there and true here"),
        ({"dataset": ("other",)}, "dataset is rows there and other here"),
        ({"val_size": 0}, "val_size is 4 there and 0 here"),
        ({"max_samples": 3}, "max_samples is not set there and 3 here"),
        ({"stage": "pt", "val_size": 4}, "stage is sft there and pt here"),
    ],
)
def test_what_differs_is_named(bench: Bench, folder: Path, changes: dict[str, Any], told: str) -> None:
    before = (folder / "meta.json").read_bytes()
    with pytest.raises(DataError, match=f"does not fit this run:\n(.*\n)*  {told}") as raised:
        load(bench, folder, **changes)
    assert "Name another folder, or set overwrite_cache=true" in str(raised.value)
    assert (folder / "meta.json").read_bytes() == before


def test_another_tokenizer_is_refused_and_every_difference_told(bench: Bench, folder: Path) -> None:
    bench.tokenizer = build_tokenizer()
    bench.tokenizer.add_tokens(["Say"])
    with pytest.raises(DataError, match=r"another tokenizer than this model's\n  cutoff_len is 128"):
        load(bench, folder, cutoff_len=64)
    bench.add("other", alpaca(3))
    loaded = load(bench, folder, overwrite_cache=True)
    assert rows_of(loaded) == rows_of(load(bench, folder))


def test_another_seed_is_told(bench: Bench, folder: Path) -> None:
    loaded = load(bench, folder, seed=7)
    assert any("with seed 42, not 7" in note for note in loaded.report.notes)


def test_half_written_and_foreign_folders(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tokens"

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.data.tokens.tokenized.fsync_tree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(bench, path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cache", "data"], "nothing is left behind"
    monkeypatch.undo()
    path.mkdir()
    load(bench, path)
    assert (path / "meta.json").is_file(), "an empty folder is taken"
    (path / "store-0" / "ids.bin").write_bytes(b"1234")
    with pytest.raises(DataError, match=r"tokens is damaged .*Delete it, or set overwrite_cache=true"):
        load(bench, path)
    load(bench, path, overwrite_cache=True)
    load(bench, path)
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(DataError, match="holds something other than tokenised data"):
            load(bench, foreign, overwrite_cache=overwrite)
    assert (foreign / "thesis.txt").read_text() == "years of work"


RACER = """
import sys, os
from pathlib import Path
from engine.data.tokens import build
from tests.data.bench import Bench
from tests.data.support import build_tokenizer
inherited = build._write
def noted(*args):
    print("tokenised", flush=True)
    sys.stdin.readline()
    return inherited(*args)
build._write = noted
bench = Bench(Path(sys.argv[1]), build_tokenizer())
print("ready", flush=True)
prepared = bench.load(data_shared_file_system=sys.argv[2] == "shared")
print(len(prepared.train), flush=True)
"""


def racer(root: Path, mode: str, rank: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "RANK": str(rank), "LOCAL_RANK": "0" if mode == "shared" else str(rank)}
    return subprocess.Popen(
        [sys.executable, "-c", RACER, str(root), mode],
        cwd=REPO,
        env={**environment, "WORLD_SIZE": "2"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("mode", ["local", "shared"])
def test_of_two_processes_one_tokenises(bench: Bench, mode: str) -> None:
    """The second is there while the first is at work; it waits, and reads what the first one wrote."""
    with racer(bench.data.parent, mode, 0) as first:
        assert [line(first), line(first)] == ["ready", "tokenised"]
        with racer(bench.data.parent, mode, 1) as second:
            assert line(second) == "ready"
            said = [process.communicate("\n", timeout=60)[0].split() for process in (first, second)]
    assert said == [["20"], ["20"]]
    assert first.returncode == second.returncode == 0
    assert len(bench.stores()) == 1


def test_who_waits_hears_that_the_first_process_failed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "made"
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(DataError, match="row 3"), one_at_a_time(path, shared=True):
        raise DataError("row 3 is bad")
    monkeypatch.setenv("RANK", "1")
    with (
        pytest.raises(DataError, match="the first process could not prepare the data: row 3 is bad"),
        one_at_a_time(path, shared=True),
    ):
        pass
    monkeypatch.setenv("RANK", "0")
    with one_at_a_time(path, shared=True):
        path.mkdir()
    monkeypatch.setenv("RANK", "1")
    with one_at_a_time(path, shared=True) as came_first:
        assert not came_first


def test_who_waits_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(alone, "_LOOK_S", 0.0)
    with (
        pytest.raises(DataError, match=r"written nothing .*data_shared_file_system=false"),
        one_at_a_time(tmp_path / "never", shared=True, patience_s=0.0),
    ):
        pass


def test_a_lock_whose_holder_died_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / ".thing.lock").write_text("")
    with one_at_a_time(tmp_path / "thing", shared=False) as came_first:
        assert came_first
    assert list(tmp_path.iterdir()) == [], "and the lock is cleared away"


def test_facts_are_plain_json(bench: Bench, folder: Path) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["facts"]["dataset"] == ["rows"]
    assert meta["facts"]["version"] == build.CACHE_VERSION
