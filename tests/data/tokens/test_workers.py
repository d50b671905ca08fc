"""Workers give what one process gives, in the same order, and never outlive whoever started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.data.tokens import build
from engine.data.tokens.workers import ordered_map
from engine.errors import DataError
from tests.data.bench import Bench, rows_of
from tests.data.support import alpaca

REPO = Path(__file__).parents[3]


def test_results_come_in_the_order_of_the_items() -> None:
    assert list(ordered_map(lambda n: (n, os.getpid()), range(50), num_workers=1))[-1] == (49, os.getpid())
    found = list(ordered_map(lambda n: (n, os.getpid()), range(50), num_workers=3))
    assert [number for number, _ in found] == list(range(50))
    assert os.getpid() not in {pid for _, pid in found}
    assert list(ordered_map(str, [], num_workers=3)) == []


def test_items_are_drawn_no_faster_than_results_are_taken() -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            drawn.append(number)
            yield number

    results = ordered_map(lambda n: n, items(), num_workers=2)
    assert next(results) == 0
    assert len(drawn) < 20
    results.close()
    assert no_children()


def no_children() -> bool:
    return not [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]


def test_an_error_in_a_worker_is_raised_here() -> None:
    def fail(number: int) -> int:
        if number == 3:
            raise DataError("row 3 is bad")
        return number

    results = ordered_map(fail, range(100), num_workers=2)
    with pytest.raises(DataError, match="row 3 is bad"):
        list(results)
    assert no_children()


def test_a_killed_worker_is_told() -> None:
    def die(number: int) -> int:
        if number == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    with pytest.raises(DataError, match=r"exit code -9.*preprocessing_num_workers"):
        list(ordered_map(die, range(100), num_workers=2))
    assert no_children()


def test_two_workers_write_the_store_of_one(bench: Bench) -> None:
    rows: list[Any] = alpaca(300)
    rows[7], rows[250] = {"instruction": "no answer"}, "not a row"
    bench.add("many", rows)
    settings = {"dataset": ("many",), "preprocessing_batch_size": 16, "max_bad_rows": 5}
    one = bench.load(preprocessing_num_workers=1, **settings)
    expected, account = rows_of(one), one.report.datasets[0].to_json()
    (store,) = (bench.cache / "tokens").iterdir()
    before = {path.name: path.read_bytes() for path in store.iterdir()}
    two = bench.load(preprocessing_num_workers=2, overwrite_cache=True, **settings)
    assert rows_of(two) == expected
    assert two.report.datasets[0].to_json() == account
    assert {path.name: path.read_bytes() for path in store.iterdir()} == before
    assert [problem["row"] for problem in account["problems"]] == [8, 251]
    assert no_children()


def test_workers_are_chosen_by_what_there_is_to_do(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    inherited = build.ordered_map

    def noted(*args: Any, num_workers: int) -> Iterator[Any]:
        asked.append(num_workers)
        return inherited(*args, num_workers=1)

    monkeypatch.setattr(build, "ordered_map", noted)
    bench.load(preprocessing_batch_size=5)
    monkeypatch.setattr(build, "_WORTH_WORKERS_BYTES", 100)
    bench.load(preprocessing_batch_size=5, overwrite_cache=True)
    bench.load(preprocessing_batch_size=5, overwrite_cache=True, preprocessing_num_workers=3)
    assert asked[0] == 1
    assert 1 <= asked[1] <= 8
    assert asked[2] == 3


HANGING = """
import sys, time
from engine.data.tokens.workers import ordered_map
def work(number):
    print(number, flush=True)
    time.sleep(60)
list(ordered_map(work, range(9), num_workers=2))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_worker_outlives_the_process_that_started_it(number: signal.Signals) -> None:
    """Killed while the workers are in the middle of an item; they are found by their pipes alone."""
    code = HANGING.replace("time.sleep(60)", "time.sleep(0.2)") if number != signal.SIGINT else HANGING
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        workers = psutil.Process(child.pid).children()
        child.send_signal(number)
        assert child.wait(30) != 0
    assert len(workers) == 2
    _, left = psutil.wait_procs(workers, timeout=10)
    alive = [worker for worker in left if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE]
    for worker in alive:
        worker.kill()
    assert not alive


def test_the_data_path_itself_imports_no_torch() -> None:
    """What runs in a worker comes from these modules; only the tokenizer's library brings torch along."""
    code = (
        "import sys, engine.data.pipeline; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPO, timeout=60).returncode == 0
