"""Which rows of a dataset are used: a part of it, a sample, a validation set held out. Seeded.

Index arithmetic for data that is counted, and the same choice over iterators for streams. How several
datasets become one is in interleave.py; its functions are offered here too.
Try: python -c "from engine.data.mix import *; print(split_validation(10, 0.2, seed=1))"
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from engine.data.interleave import interleave, interleave_stream, read_probs
from engine.data.registry.spec import DatasetSpec
from engine.errors import DataError

__all__ = [
    "choose_rows", "interleave", "interleave_stream", "needs_count", "read_probs", "split_validation",
    "stream_rows",
]  # fmt: skip

T = TypeVar("T")


def choose_rows(num_rows: int, spec: DatasetSpec, max_samples: int | None, seed: int) -> np.ndarray:
    """Indices of the rows of one dataset that are used: its `split` part, then `num_samples`, then
    `max_samples`.

    num_samples draws without repetition while it can, then draws again; max_samples takes the first so many.
    """
    rows = np.arange(*spec.split.bounds(num_rows))
    if spec.num_samples is not None and len(rows):
        generator = np.random.default_rng(seed)
        rounds = -(-spec.num_samples // len(rows))
        rows = np.concatenate([generator.permutation(rows) for _ in range(rounds)])[: spec.num_samples]
    return rows if max_samples is None else rows[:max_samples]


def needs_count(spec: DatasetSpec) -> bool:
    """Whether choose_rows has to know the number of rows; if not, they are the first ones from some start."""
    return spec.num_samples is not None or spec.split.needs_count


def stream_rows(
    open_rows: Callable[[int], Iterator[T]],
    spec: DatasetSpec,
    max_samples: int | None,
    seed: int,
    *,
    count: Callable[[], int],
) -> Iterator[T]:
    """The rows that choose_rows would choose, in the order of the file within each drawing of all of them.

    open_rows(start) gives the rows from the start-th on. count() is asked only where needs_count says so.
    """
    if not needs_count(spec):
        start = int(spec.split.start or 0)
        stop = None if spec.split.stop is None else max(int(spec.split.stop) - start, 0)
        yield from itertools.islice(open_rows(start), _least(stop, max_samples))
        return
    num_rows = count()
    chosen = choose_rows(num_rows, spec, max_samples, seed)
    first, stop = spec.split.bounds(num_rows)
    for begin in range(0, len(chosen), max(stop - first, 1)):
        wanted = np.sort(chosen[begin : begin + stop - first])
        yield from _pick(open_rows, wanted)


def _pick(open_rows: Callable[[int], Iterator[T]], wanted: np.ndarray) -> Iterator[T]:
    """The rows of these ascending indices."""
    position = int(wanted[0])
    rows = open_rows(position)
    for index in wanted.tolist():
        yield from itertools.islice(rows, index - position, index - position + 1)
        position = index + 1


def _least(*numbers: int | None) -> int | None:
    return min((number for number in numbers if number is not None), default=None)


def split_validation(num_rows: int, val_size: float, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(train, validation) row indices, each ascending. val_size below 1 is a share, otherwise a count.

    Raises DataError when one of the two would be empty.
    """
    count = round(num_rows * val_size) if val_size < 1 else int(val_size)
    count = max(count, 1)
    if count >= num_rows:
        raise DataError(
            f"val_size={val_size:g} takes {count} of {num_rows} rows and leaves none to train on; "
            "lower it or add rows"
        )
    held_out = np.zeros(num_rows, bool)
    held_out[np.random.default_rng(seed).permutation(num_rows)[:count]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
