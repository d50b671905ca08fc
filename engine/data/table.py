"""TokenTable: tokenised rows on disk, memory-mapped, looked at through an index. Selecting, mixing, splitting
and packing move indices only.

A store is a folder with ids.bin (int32), learn.bin (uint8: 1 where the token carries a loss), lengths.bin
(int64) and meta.json, written whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from engine.data.tokenize import IGNORE
from engine.errors import DataError
from engine.paths import fsync_dir

STALE_S = 24 * 3600.0
_PARTS = (("ids", np.int32), ("learn", np.uint8), ("lengths", np.int64))


class StoreWriter:
    """Collects token batches in a folder of its own and renames it into place: `with StoreWriter(path) as
    out: out.add(...)`.

    replace: put it in the place of one that is there already; otherwise a sound one stays.
    Leaving the block by an exception (Ctrl-C included) removes what was written.
    """

    def __init__(self, path: Path, *, replace: bool) -> None:
        self.path = path
        self._replace = replace
        self._staging = path.parent / f".{path.name}-{uuid.uuid4().hex[:8]}.tmp"
        self._meta: dict[str, Any] | None = None

    def __enter__(self) -> StoreWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._staging.mkdir()
        except OSError as error:
            raise DataError(
                f"the token cache {self.path.parent} cannot be written: {error.strerror}"
            ) from None
        _sweep(self.path.parent)
        self._files = {name: (self._staging / f"{name}.bin").open("wb") for name, _ in _PARTS}
        return self

    def add(self, ids: np.ndarray, learn: np.ndarray, lengths: np.ndarray) -> None:
        for (name, dtype), values in zip(_PARTS, (ids, learn, lengths), strict=True):
            self._files[name].write(np.ascontiguousarray(values, dtype).tobytes())

    def finish(self, meta: dict[str, Any]) -> None:
        self._meta = meta

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for file in self._files.values():
                file.flush()
                os.fsync(file.fileno())
                file.close()
            if kind is None:
                assert self._meta is not None, "finish() comes before the end of the block"
                self._commit(self._meta)
        finally:
            shutil.rmtree(self._staging, ignore_errors=True)

    def _commit(self, meta: dict[str, Any]) -> None:
        (self._staging / "meta.json").write_text(json.dumps(meta, ensure_ascii=False), encoding="utf-8")
        try:
            os.rename(self._staging, self.path)
        except OSError:
            # Another process made the same one meanwhile, or it is to be made anew.
            if self._replace or open_store(self.path) is None:
                self._swap()
        fsync_dir(self.path.parent)

    def _swap(self) -> None:
        """Whoever has the outgoing one mapped keeps reading it."""
        outgoing = self._staging.with_suffix(".old.tmp")
        os.rename(self.path, outgoing)
        os.rename(self._staging, self.path)
        shutil.rmtree(outgoing, ignore_errors=True)


class Store:
    """One folder of tokenised rows, read through the page cache. Pickles as its path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.meta: dict[str, Any] = json.loads((path / "meta.json").read_text(encoding="utf-8"))
        self.lengths = np.fromfile(path / "lengths.bin", np.int64)
        self.offsets = np.concatenate(([0], np.cumsum(self.lengths)))
        self.ids = _map(path / "ids.bin", np.int32)
        self.learn = _map(path / "learn.bin", np.uint8)
        if len(self.ids) != self.offsets[-1] or len(self.learn) != self.offsets[-1]:
            raise ValueError(f"{path} is damaged")

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        return Store, (self.path,)

    def __len__(self) -> int:
        return len(self.lengths)


def open_store(path: Path) -> Store | None:
    """None where there is none or it is damaged."""
    try:
        return Store(path)
    except (OSError, ValueError, KeyError):
        return None


class TokenTable:
    """A map-style dataset. `table[i]` is {"input_ids", "labels"} as lists; packed rows also have "lengths" of
    their segments.

    stores: where the tokens are. segments: int64 (S,), global row numbers over all stores. starts: int64
    (rows + 1,), row i is segments[starts[i]:starts[i + 1]] one after another.
    """

    def __init__(
        self, stores: Sequence[Store], segments: np.ndarray | None = None, starts: np.ndarray | None = None
    ) -> None:
        self.stores = tuple(stores)
        self._bounds = np.concatenate(([0], np.cumsum([len(store) for store in self.stores]))).astype(
            np.int64
        )
        self.segments = np.arange(self._bounds[-1]) if segments is None else np.asarray(segments, np.int64)
        self.packed = starts is not None
        self.starts = np.arange(len(self.segments) + 1) if starts is None else np.asarray(starts, np.int64)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> dict[str, list[int]]:
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        row = int(row) % len(self)
        parts = [
            self._segment(int(number)) for number in self.segments[self.starts[row] : self.starts[row + 1]]
        ]
        ids = np.concatenate([part[0] for part in parts])
        labels = np.where(np.concatenate([part[1] for part in parts]), ids, IGNORE)
        item = {"input_ids": ids.tolist(), "labels": labels.tolist()}
        if self.packed:
            item["lengths"] = [len(part[0]) for part in parts]
        return item

    def __iter__(self) -> Iterator[dict[str, list[int]]]:
        return (self[row] for row in range(len(self)))

    @property
    def segment_lengths(self) -> np.ndarray:
        """Tokens of each segment, int64 (S,)."""
        if not self.stores:
            return np.zeros(0, np.int64)
        return np.concatenate([store.lengths for store in self.stores])[self.segments]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64 (rows,)."""
        ends = np.concatenate(([0], np.cumsum(self.segment_lengths)))[self.starts]
        return np.diff(ends)

    @property
    def num_learnt(self) -> int:
        """Tokens that carry a loss, over all rows."""
        sums = [_learnt_per_row(store) for store in self.stores]
        return int(np.concatenate(sums)[self.segments].sum()) if sums else 0

    def select(self, rows: np.ndarray) -> TokenTable:
        """Some rows of an unpacked table, in the given order."""
        assert not self.packed, "select before packing"
        return TokenTable(self.stores, self.segments[rows])

    def group(self, rows: Sequence[np.ndarray]) -> TokenTable:
        """A packed table: each entry of `rows` lists the rows of this table that it joins."""
        assert not self.packed, "a table is packed once"
        joined = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        starts = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
        return TokenTable(self.stores, self.segments[joined], starts)

    def _segment(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        which = int(np.searchsorted(self._bounds, number, side="right")) - 1
        store = self.stores[which]
        local = number - int(self._bounds[which])
        window = slice(int(store.offsets[local]), int(store.offsets[local + 1]))
        return store.ids[window], store.learn[window]


def _learnt_per_row(store: Store) -> np.ndarray:
    sums = np.concatenate(([0], np.cumsum(store.learn, dtype=np.int64)))
    return np.diff(sums[store.offsets])


def _map(path: Path, dtype: Any) -> np.ndarray:
    if path.stat().st_size == 0:
        return np.zeros(0, dtype)
    return np.memmap(path, dtype, mode="r")


def _sweep(directory: Path) -> None:
    """Remove what a killed process left half-written a day ago or earlier."""
    for entry in directory.glob(".*.tmp"):
        try:
            if time.time() - entry.stat().st_mtime > STALE_S:
                shutil.rmtree(entry, ignore_errors=True)
        except FileNotFoundError:
            continue
