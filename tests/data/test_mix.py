"""Which rows are used and in which order: as `datasets` has it for a seed, and what must always hold."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import numpy as np
import pytest
from datasets import Dataset, interleave_datasets
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.mix import (
    choose_rows,
    interleave,
    interleave_stream,
    needs_count,
    read_probs,
    split_validation,
    stream_rows,
)
from engine.data.registry.spec import DatasetSpec, Split
from engine.errors import DataError

STRATEGIES = ("interleave_under", "interleave_over", "interleave_once")
THEIRS = dict(
    zip(STRATEGIES, ("first_exhausted", "all_exhausted", "all_exhausted_without_replacement"), strict=True)
)


def spec(*, start: str | None = None, stop: str | None = None, num_samples: int | None = None) -> DatasetSpec:
    return DatasetSpec(
        "d", (), "alpaca", {}, {}, split=Split(start=start, stop=stop), num_samples=num_samples
    )


def shares(sizes: list[int], seed: int) -> list[float]:
    raw = np.random.default_rng(seed).uniform(0.2, 1, len(sizes))
    return [float(share) for share in raw / raw.sum()]


def pairs(order: np.ndarray) -> list[tuple[int, int]]:
    return [(int(dataset), int(row)) for dataset, row in order]


# Rows of one dataset


def test_all_rows_in_their_order_unless_told() -> None:
    assert choose_rows(4, spec(), None, 0).tolist() == [0, 1, 2, 3]
    assert choose_rows(4, spec(), 2, 0).tolist() == [0, 1]
    assert choose_rows(20, spec(start="10%", stop="50%"), None, 0).tolist() == [2, 3, 4, 5, 6, 7, 8, 9]
    assert choose_rows(4, spec(start="3", stop="1"), None, 0).tolist() == []
    assert choose_rows(0, spec(num_samples=3), None, 0).tolist() == []


@given(st.integers(1, 40), st.integers(1, 130), st.integers(0, 9), st.integers(1, 60) | st.none())
def test_num_samples_repeats_a_row_only_after_all_were_drawn(
    size: int, wanted: int, seed: int, most: int | None
) -> None:
    rows = choose_rows(size, spec(num_samples=wanted), most, seed)
    assert len(rows) == (wanted if most is None else min(wanted, most))
    for begin in range(0, len(rows), size):
        assert len(set(rows[begin : begin + size])) == len(rows[begin : begin + size])
    again = choose_rows(size, spec(num_samples=wanted), most, seed)
    assert rows.tolist() == again.tolist()


def test_samples_depend_on_the_seed() -> None:
    first, second = (choose_rows(100, spec(num_samples=50), None, seed).tolist() for seed in (1, 2))
    assert first != second
    assert sorted(first) != list(range(50))


BOUNDS = st.none() | st.integers(-30, 30).map(str) | st.integers(-100, 100).map(lambda share: f"{share}%")


@given(
    size=st.integers(1, 25), start=BOUNDS, stop=BOUNDS, wanted=st.none() | st.integers(1, 70),
    most=st.none() | st.integers(1, 40), seed=st.integers(0, 3),
)  # fmt: skip
def test_a_stream_gives_the_rows_that_would_be_chosen(
    size: int, start: str | None, stop: str | None, wanted: int | None, most: int | None, seed: int
) -> None:
    """In the order of the file within each round; the rows are counted only where that is needed."""
    one = spec(start=start, stop=stop, num_samples=wanted)
    chosen = choose_rows(size, one, most, seed).tolist()
    counted = []

    def count() -> int:
        counted.append(1)
        return size

    rows = list(stream_rows(lambda begin: iter(range(begin, size)), one, most, seed, count=count))
    assert bool(counted) == needs_count(one)
    first, last = one.split.bounds(size)
    for begin in range(0, max(len(chosen), len(rows)), max(last - first, 1)):
        end = begin + last - first
        assert rows[begin:end] == sorted(chosen[begin:end])


def test_a_stream_reads_no_further_than_it_must() -> None:
    read: list[int] = []

    def open_rows(start: int) -> Iterator[int]:
        for row in itertools.count(start):
            read.append(row)
            yield row

    part = spec(start="5", stop="1000000")
    assert list(stream_rows(open_rows, part, 3, 0, count=lambda: 0)) == [5, 6, 7]
    assert read == [5, 6, 7]


# Validation


@given(st.integers(2, 200), st.floats(0.001, 0.5), st.integers(0, 5))
def test_validation_rows_and_the_others_are_all_rows(size: int, share: float, seed: int) -> None:
    train, held_out = split_validation(size, share, seed=seed)
    assert sorted([*train, *held_out]) == list(range(size))
    assert len(held_out) == max(round(size * share), 1)
    assert train.tolist() == sorted(train)
    assert held_out.tolist() == sorted(held_out)


def test_validation_by_count() -> None:
    assert [len(rows) for rows in split_validation(10, 3, seed=0)] == [7, 3]
    with pytest.raises(
        DataError, match=r"val_size=10 takes 10 of 10 rows and leaves none to train on; lower it"
    ):
        split_validation(10, 10, seed=0)


# Several datasets


@pytest.mark.parametrize(
    ("texts", "probs"), [((), None), (("0.7", "0.3"), [0.7, 0.3]), (("3", " 1"), [0.75, 0.25])]
)
def test_shares(texts: tuple[str, ...], probs: list[float] | None) -> None:
    assert read_probs(texts, 2) == probs


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("a", "0.3"), "interleave_probs=a,0.3: expected numbers, such as 0.7,0.3"),
        (("1",), "interleave_probs=1 has 1 shares for 2 datasets; give one for each"),
        (("1", "0"), "interleave_probs=1,0: every share must be above 0; leave out datasets not to be used"),
        (
            ("1", "nan"),
            "interleave_probs=1,nan: every share must be above 0; leave out datasets not to be used",
        ),
        (
            ("1", "inf"),
            "interleave_probs=1,inf: every share must be above 0; leave out datasets not to be used",
        ),
    ],
)
def test_refused_shares(texts: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_probs(texts, 2)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("concat", "a0 a1 a2 b0 b1 c0 c1 c2 c3"),
        ("interleave_under", "a0 b0 c0 a1 b1 c1"),
        ("interleave_over", "a0 b0 c0 a1 b1 c1 a2 b0 c2 a0 b1 c3"),
        ("interleave_once", "a0 b0 c0 a1 b1 c1 a2 c2 c3"),
    ],
)
def test_in_turn(strategy: str, expected: str) -> None:
    order = pairs(interleave([3, 2, 4], strategy, None, 0))
    assert " ".join(f"{'abc'[dataset]}{row}" for dataset, row in order) == expected


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("sizes", [[1], [5, 3, 4], [1, 1, 40], [300, 7]])
def test_the_same_as_datasets_in_turn(strategy: str, sizes: list[int]) -> None:
    assert pairs(interleave(sizes, strategy, None, 3)) == theirs(sizes, strategy, None, 3)


@pytest.mark.parametrize("strategy", STRATEGIES[:2])
@pytest.mark.parametrize("sizes", [[1], [5, 3, 4], [1, 1, 40], [900, 2000]])
@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_draws_as_datasets(strategy: str, sizes: list[int], seed: int) -> None:
    probs = shares(sizes, seed)
    assert pairs(interleave(sizes, strategy, probs, seed)) == theirs(sizes, strategy, probs, seed)


def theirs(sizes: list[int], strategy: str, probs: list[float] | None, seed: int) -> list[tuple[int, int]]:
    tables = [
        Dataset.from_dict({"at": [[number, row] for row in range(size)]}) for number, size in enumerate(sizes)
    ]
    mixed = interleave_datasets(tables, probabilities=probs, seed=seed, stopping_strategy=THEIRS[strategy])
    return [(dataset, row) for dataset, row in mixed["at"]]


SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=5)


@settings(deadline=None)
@given(SIZES, st.sampled_from(["concat", *STRATEGIES]), st.booleans(), st.integers(0, 9))
def test_what_holds_for_every_mix(sizes: list[int], strategy: str, drawn: bool, seed: int) -> None:
    probs = shares(sizes, seed) if drawn else None
    order = interleave(sizes, strategy, probs, seed)
    assert order.dtype == np.int64
    assert np.array_equal(order, interleave(sizes, strategy, probs, seed))
    uses = [np.bincount(order[order[:, 0] == number, 1], minlength=size) for number, size in enumerate(sizes)]
    for number, size in enumerate(sizes):
        # A dataset's rows come in order, and from the beginning again only when all were used.
        mine = order[order[:, 0] == number, 1]
        assert mine.tolist() == [at % size for at in range(len(mine))]
    if strategy in ("concat", "interleave_once"):
        assert all((use == 1).all() for use in uses)
    elif strategy == "interleave_over":
        assert all((use >= 1).all() for use in uses)
    else:
        assert all((use <= 1).all() for use in uses)
        assert any((use == 1).all() for use in uses)


@settings(deadline=None)
@given(SIZES, st.sampled_from(["concat", *STRATEGIES]), st.booleans(), st.integers(0, 9))
def test_a_stream_mixes_like_the_array(sizes: list[int], strategy: str, drawn: bool, seed: int) -> None:
    probs = shares(sizes, seed) if drawn else None
    openers = [lambda size=size: iter(range(size)) for size in sizes]
    expected = pairs(interleave(sizes, strategy, probs, seed))
    assert list(interleave_stream(openers, strategy, probs, seed)) == expected


def test_shares_are_kept_until_a_dataset_is_used_up() -> None:
    order = interleave([50_000, 50_000, 50_000], "interleave_once", [0.5, 0.3, 0.2], 5)
    early = np.bincount(order[:50_000, 0]) / 50_000
    assert np.abs(early - [0.5, 0.3, 0.2]).max() < 0.01
    # Of those that are left, the shares keep their proportion.
    middle = order[110_000:130_000, 0]
    assert set(middle) == {1, 2}
    assert abs((middle == 1).mean() - 0.6) < 0.02


def test_an_empty_dataset_is_told() -> None:
    for strategy in STRATEGIES:
        message = f"mix_strategy={strategy}: dataset 2 of 2 has no rows"
        with pytest.raises(DataError, match=message):
            interleave([3, 0], strategy, None, 0)
        with pytest.raises(DataError, match=message):
            list(interleave_stream([lambda: iter("ab"), lambda: iter("")], strategy, None, 0))


def test_a_stream_without_end_can_be_mixed() -> None:
    mixed = interleave_stream(
        [lambda: itertools.count(), lambda: itertools.count(100)], "interleave_over", None, 0
    )
    assert [item for _, item in itertools.islice(mixed, 5)] == [0, 100, 1, 101, 2]


def test_millions_of_rows_take_no_time() -> None:
    began = time.process_time()
    for strategy in STRATEGIES:
        order = interleave([1_000_000, 600_000, 400_000], strategy, [0.5, 0.3, 0.2], 1)
        assert len(order) >= 1_900_000
    assert time.process_time() - began < 3
