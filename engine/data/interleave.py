"""Several datasets as one: in which order their rows are used. Seeded; the same order for counted data, as an
array of indices, and for streams, without knowing how long any of them is.

Strategies: concat, one after the other. Otherwise a dataset is drawn each time, in turn or by its share, and
gives its next row. interleave_under ends when the first one is used up; interleave_over when all are, those
that were before starting again; interleave_once uses each row exactly once.
Try: python -c "from engine.data.interleave import *; print(interleave([3, 2], 'interleave_over', None, 0))"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np

from engine.errors import DataError

T = TypeVar("T")
CONCAT, UNDER, OVER, ONCE = "concat", "interleave_under", "interleave_over", "interleave_once"
# Draws made at a time; the array and the stream must agree on it.
DRAWS = 1 << 16


def read_probs(texts: Sequence[str], num_datasets: int) -> list[float] | None:
    """interleave_probs as shares that sum to 1; None when there are none. Raises DataError."""
    if not texts:
        return None
    shown = ",".join(texts)
    try:
        probs = [float(text) for text in texts]
    except ValueError:
        raise DataError(f"interleave_probs={shown}: expected numbers, such as 0.7,0.3") from None
    if len(probs) != num_datasets:
        raise DataError(
            f"interleave_probs={shown} has {len(probs)} shares for {num_datasets} datasets; give one for each"
        )
    if not all(0 < prob < float("inf") for prob in probs):
        raise DataError(
            f"interleave_probs={shown}: every share must be above 0; leave out datasets not to be used"
        )
    return [prob / sum(probs) for prob in probs]


def interleave(sizes: Sequence[int], strategy: str, probs: Sequence[float] | None, seed: int) -> np.ndarray:
    """(N, 2) of (dataset, row): the rows of datasets of these sizes in the order of their use."""
    if empty := [number for number, size in enumerate(sizes) if size < 1]:
        raise DataError(f"mix_strategy={strategy}: dataset {empty[0] + 1} of {len(sizes)} has no rows")
    if strategy == CONCAT:
        owners = np.repeat(np.arange(len(sizes)), sizes)
    elif strategy == ONCE:
        owners = _owners_once(sizes, probs, seed)
    else:
        owners = _owners_until(sizes, probs, seed, first=strategy == UNDER)
    rows = np.empty(len(owners), np.int64)
    for dataset, size in enumerate(sizes):
        mine = np.flatnonzero(owners == dataset)
        rows[mine] = np.arange(len(mine)) % size
    return np.stack([owners.astype(np.int64), rows], axis=1)


def _owners_until(
    sizes: Sequence[int], probs: Sequence[float] | None, seed: int, *, first: bool
) -> np.ndarray:
    """Which dataset gives each row, until the first or until every one has given all of its rows."""
    count = len(sizes)
    if probs is None:
        return np.tile(np.arange(count), min(sizes) if first else max(sizes))
    generator = np.random.default_rng(seed)
    drawn: list[np.ndarray] = []
    given = np.zeros(count, np.int64)
    while not (np.any if first else np.all)(given >= sizes):
        drawn.append(_draw(generator, np.arange(count), probs))
        given += np.bincount(drawn[-1], minlength=count)
    owners = np.concatenate(drawn)
    ends = [
        int(np.flatnonzero(owners == dataset)[size - 1])
        for dataset, size in enumerate(sizes)
        if given[dataset] >= size
    ]
    return owners[: (min if first else max)(ends) + 1]


def _owners_once(sizes: Sequence[int], probs: Sequence[float] | None, seed: int) -> np.ndarray:
    """Which dataset gives each row, those used up being left out of the draw from then on."""
    left = np.array(sizes, np.int64)
    generator = np.random.default_rng(seed)
    parts: list[np.ndarray] = []
    while len(alive := np.flatnonzero(left)):
        if len(alive) == 1:
            part = np.repeat(alive, left[alive])
        elif probs is None:
            part = np.tile(alive, left[alive].min())
        else:
            part = _draw_once(generator, alive, left, probs)
        parts.append(part)
        left -= np.bincount(part, minlength=len(left))
    return np.concatenate(parts)


def _draw_once(
    generator: np.random.Generator, alive: np.ndarray, left: np.ndarray, probs: Sequence[float]
) -> np.ndarray:
    """Draws among the datasets that are left, up to the one that uses up a dataset."""
    part = _draw(generator, alive, probs)
    stop = len(part)
    for dataset in alive:
        mine = np.flatnonzero(part == dataset)
        if len(mine) >= left[dataset]:
            stop = min(stop, int(mine[left[dataset] - 1]) + 1)
    return part[:stop]


def _draw(generator: np.random.Generator, among: np.ndarray, probs: Sequence[float]) -> np.ndarray:
    shares = np.array(probs)[among]
    return generator.choice(among, DRAWS, p=shares / shares.sum())


def interleave_stream(
    openers: Sequence[Callable[[], Iterator[T]]], strategy: str, probs: Sequence[float] | None, seed: int
) -> Iterator[tuple[int, T]]:
    """(dataset, item). Each opener gives a fresh iterator of one dataset; interleave_over opens it again."""
    if strategy == CONCAT:
        for dataset, opener in enumerate(openers):
            for item in opener():
                yield dataset, item
        return
    feeds = [_Feed(opener) for opener in openers]
    if empty := [number for number, feed in enumerate(feeds) if feed.ended]:
        raise DataError(f"mix_strategy={strategy}: dataset {empty[0] + 1} of {len(feeds)} has no rows")
    done: set[int] = set()
    for dataset in _order(len(feeds), probs, seed, done if strategy == ONCE else set()):
        feed = feeds[dataset]
        yield dataset, feed.take()
        if feed.ended:
            done.add(dataset)
            if strategy == OVER:
                feed.restart()
        # In turn, a round is finished: every dataset gives as many rows as the others.
        round_ended = probs is not None or strategy == ONCE or dataset == len(feeds) - 1
        if round_ended and (len(done) == len(feeds) or (strategy == UNDER and done)):
            return


class _Feed(Generic[T]):
    """An iterator that knows whether another item follows."""

    def __init__(self, opener: Callable[[], Iterator[T]]) -> None:
        self._opener = opener
        self.restart()

    def restart(self) -> None:
        self._items = self._opener()
        self.ended = False
        self._advance()

    def take(self) -> T:
        item = self._next
        self._advance()
        return item

    def _advance(self) -> None:
        try:
            self._next = next(self._items)
        except StopIteration:
            self.ended = True


def _order(count: int, probs: Sequence[float] | None, seed: int, skipped: set[int]) -> Iterator[int]:
    """Which dataset is next, without end; those in `skipped` (which may grow) are left out."""
    if probs is None:
        while True:
            for dataset in range(count):
                if dataset not in skipped:
                    yield dataset
    generator = np.random.default_rng(seed)
    while True:
        left = np.array([dataset for dataset in range(count) if dataset not in skipped])
        known = len(skipped)
        for dataset in _draw(generator, left, probs).tolist():
            yield dataset
            if len(skipped) != known:
                break
