"""TokenTable: rows over stores of tokens, looked at through indices. Selecting, splitting, packing and
cutting into blocks move indices only; no token is copied.

Try: tunesmith data stats identity --model_name_or_path data/tiny-qwen3 --packing true
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from engine.data.tokens.store import Store
from engine.data.tokens.tokenize import IGNORE


class TokenTable:
    """A map-style dataset. `table[i]` is {"input_ids", "labels"} as lists; packed rows also have "lengths" of
    their segments.

    stores: where the tokens are. begins, sizes: int64 (W,), windows of tokens, positions running over all
    stores; each lies in one store. starts: int64 (rows + 1,): row i is the windows starts[i]:starts[i + 1]
    one after another; None: each window is a row. joined: a row's windows are one sequence, not several.
    """

    def __init__(
        self,
        stores: Sequence[Store],
        begins: np.ndarray | None = None,
        sizes: np.ndarray | None = None,
        starts: np.ndarray | None = None,
        *,
        joined: bool = False,
    ) -> None:
        self.stores = tuple(stores)
        self._bounds = _running([int(store.offsets[-1]) for store in self.stores])
        if begins is None or sizes is None:
            begins, sizes = _rows_of(self.stores, self._bounds)
        self.begins, self.sizes = np.asarray(begins, np.int64), np.asarray(sizes, np.int64)
        self.packed, self.joined = starts is not None, joined
        self.starts = np.arange(len(self.begins) + 1) if starts is None else np.asarray(starts, np.int64)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> dict[str, list[int]]:
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        row = int(row) % len(self)
        windows = range(int(self.starts[row]), int(self.starts[row + 1]))
        parts = [self._window(number) for number in windows]
        ids = np.concatenate([part[0] for part in parts])
        labels = np.where(np.concatenate([part[1] for part in parts]), ids, IGNORE)
        item = {"input_ids": ids.tolist(), "labels": labels.tolist()}
        if self.packed:
            item["lengths"] = [len(ids)] if self.joined else [len(part[0]) for part in parts]
        return item

    def __iter__(self) -> Iterator[dict[str, list[int]]]:
        return (self[row] for row in range(len(self)))

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64 (rows,)."""
        return np.diff(_running(self.sizes)[self.starts])

    @property
    def num_learnt(self) -> int:
        """Tokens that carry a loss, over all rows."""
        return sum(
            int(self.stores[which].learn[first : first + size].sum())
            for which, first, size in map(self._locate, range(len(self.begins)))
        )

    def select(self, rows: np.ndarray) -> TokenTable:
        """Some rows of an unpacked table, in the given order."""
        assert not self.packed, "select before packing"
        return TokenTable(self.stores, self.begins[rows], self.sizes[rows])

    def group(self, rows: Sequence[np.ndarray], *, joined: bool = False) -> TokenTable:
        """A packed table: each entry of `rows` lists the rows of this table that it joins."""
        assert not self.packed, "a table is packed once"
        order = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        starts = _running([len(row) for row in rows])
        return TokenTable(self.stores, self.begins[order], self.sizes[order], starts, joined=joined)

    def blocks(self, size: int) -> TokenTable:
        """All rows one after another, cut into sequences of `size` tokens; the last may be shorter. Nothing
        is lost.
        """
        assert not self.packed, "blocks are cut before packing"
        ends = np.cumsum(self.sizes)
        total = int(ends[-1]) if len(ends) else 0
        # Every window is cut where a block ends within it.
        edges = np.unique(np.concatenate(([0], ends, np.arange(0, total, size), [total])))
        window = np.searchsorted(ends, edges[:-1], side="right")
        begins = self.begins[window] + edges[:-1] - (ends - self.sizes)[window]
        firsts = np.arange(0, total + size, size).clip(max=total)
        starts = np.searchsorted(edges, np.unique(firsts))
        return TokenTable(self.stores, begins, np.diff(edges), starts, joined=True)

    def _locate(self, number: int) -> tuple[int, int, int]:
        """(store, first token in it, tokens) of a window."""
        begin = int(self.begins[number])
        which = int(np.searchsorted(self._bounds, begin, side="right")) - 1
        return which, begin - int(self._bounds[which]), int(self.sizes[number])

    def _window(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        which, first, size = self._locate(number)
        store = self.stores[which]
        return store.ids[first : first + size], store.learn[first : first + size]


def _rows_of(stores: Sequence[Store], bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows of all stores as windows, each store in its own order."""
    if not stores:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    begins = [base + store.offsets[store.order] for store, base in zip(stores, bounds[:-1], strict=True)]
    return np.concatenate(begins), np.concatenate([store.lengths[store.order] for store in stores])


def _running(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """0 and the running sum: where each begins, and where the last ends."""
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
