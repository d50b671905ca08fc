"""Tokenised rows on disk: written whole or not at all, read through the page cache.

A store is a folder with ids.bin (int32), learn.bin (uint8: 1 where the token carries a loss), lengths.bin
(int64, tokens of each row), meta.json, and order.bin (int64) where its rows are drawn in another order than
they stand. Knows nothing of batches or packing (table.py).
Try: python -c "from engine.data.tokens.store import open_store; print(open_store('saves/.cache/tokens/KEY'))"
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

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

    def finish(self, meta: dict[str, Any], *, order: np.ndarray | None = None) -> None:
        """order: the rows to read, in their order and with repetition; all as they stand where it is None."""
        self._meta = meta
        if order is not None:
            (self._staging / "order.bin").write_bytes(np.ascontiguousarray(order, np.int64).tobytes())

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
        order = path / "order.bin"
        self.order = np.fromfile(order, np.int64) if order.exists() else np.arange(len(self.lengths))
        self.ids = _map(path / "ids.bin", np.int32)
        self.learn = _map(path / "learn.bin", np.uint8)
        if len(self.ids) != self.offsets[-1] or len(self.learn) != self.offsets[-1]:
            raise ValueError(f"{path} is damaged")
        if len(self.order) and not 0 <= self.order.min() <= self.order.max() < len(self.lengths):
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
