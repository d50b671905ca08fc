"""Packing loses nothing, splits nothing, overfills nothing."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.pack import pack


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
    assert lengths.sum() / (len(rows) * 2048) > 0.99
    assert all((a == b).all() for a, b in zip(rows, pack(lengths, 2048), strict=True))


def test_sequence_longer_than_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="between 1 and 8"):
        pack(np.array([3, 9]), 8)


def test_nothing_to_pack() -> None:
    assert pack(np.zeros(0, np.int64), 8) == []
