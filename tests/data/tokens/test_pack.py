"""Packing loses nothing, splits nothing, overfills nothing; blocks split, and lose nothing."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.tokens.pack import pack
from engine.data.tokens.store import Store, StoreWriter
from engine.data.tokens.table import TokenTable


@given(lengths=st.lists(st.integers(1, 64), max_size=200), capacity=st.integers(64, 100))
def test_every_sequence_once_and_no_row_overfull(lengths: list[int], capacity: int) -> None:
    rows = pack(np.array(lengths, np.int64), capacity)
    placed = [int(index) for row in rows for index in row]
    assert sorted(placed) == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in row) <= capacity for row in rows)
    assert all(list(row) == sorted(row) for row in rows)
    # Best fit leaves at most one row half empty: two such rows would have been one.
    assert sum(2 * sum(lengths[index] for index in row) <= capacity for row in rows) <= 1


def test_realistic_mix_is_full_fast_and_reproducible() -> None:
    lengths = np.random.default_rng(0).lognormal(5, 0.8, 20_000).astype(np.int64).clip(8, 2048)
    began = time.process_time()
    rows = pack(lengths, 2048)
    assert time.process_time() - began < 2
    assert lengths.sum() / (len(rows) * 2048) > 0.97
    assert all((a == b).all() for a, b in zip(rows, pack(lengths, 2048), strict=True))


def test_sequence_longer_than_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="between 1 and 8"):
        pack(np.array([3, 9]), 8)


def test_nothing_to_pack() -> None:
    assert pack(np.zeros(0, np.int64), 8) == []


@pytest.mark.parametrize("capacity", [1024, 2048, 4096, 16384])
@pytest.mark.parametrize("mean", [40, 190, 700])
def test_fill_of_realistic_mixes(capacity: int, mean: int) -> None:
    """Short questions, long documents, and two datasets together: at least 97 % full."""
    rng = np.random.default_rng(mean)
    lengths = rng.lognormal(np.log(mean), 0.9, 6000).astype(np.int64).clip(8, capacity)
    lengths = np.concatenate([lengths, rng.integers(capacity // 3, capacity // 2, 300)])
    assert lengths.sum() / (len(pack(lengths, capacity)) * capacity) > 0.97


def write_stores(folder: str, lengths: list[list[int]]) -> list[Store]:
    """Stores whose tokens count up from 1 over all of them; every third one is learnt."""
    stores, first = [], 1
    for number, sizes in enumerate(lengths):
        ids = np.arange(first, first + sum(sizes))
        first += sum(sizes)
        with StoreWriter(Path(folder) / str(number), replace=True) as out:
            out.add(ids, ids % 3 == 0, np.array(sizes))
            out.finish({})
        stores.append(Store(Path(folder) / str(number)))
    return stores


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.lists(st.integers(1, 20), max_size=12), min_size=1, max_size=3),
    size=st.integers(1, 25),
    seed=st.integers(0, 99),
)
def test_blocks_hold_every_token_once_and_in_order(lengths: list[list[int]], size: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = TokenTable(write_stores(folder, lengths))
        table = table.select(np.random.default_rng(seed).permutation(len(table)))
        expected = [pair for row in table for pair in zip(row["input_ids"], row["labels"], strict=True)]
        blocks = table.blocks(size)
        found = [pair for row in blocks for pair in zip(row["input_ids"], row["labels"], strict=True)]
        assert found == expected
        sizes = [len(row["input_ids"]) for row in blocks]
        assert all(count == size for count in sizes[:-1])
        assert not sizes or 1 <= sizes[-1] <= size
        assert sizes == blocks.lengths.tolist()
        assert all(row["lengths"] == [len(row["input_ids"])] for row in blocks), "one sequence each"


def test_rows_over_several_stores_and_empty_ones(tmp_path: Path) -> None:
    table = TokenTable(write_stores(str(tmp_path), [[2], [], [1, 3]]))
    assert [row["input_ids"] for row in table] == [[1, 2], [3], [4, 5, 6]]
    assert [row["labels"] for row in table] == [[-100, -100], [3], [-100, -100, 6]]
    packed = table.group([np.array([2, 0])])
    assert packed[0] == {
        "input_ids": [4, 5, 6, 1, 2],
        "labels": [-100, -100, 6, -100, -100],
        "lengths": [3, 2],
    }
    assert table.group([np.array([2, 0])], joined=True)[0]["lengths"] == [5]
    assert table.num_learnt == 2
