"""Which rows make up which batch, and the batch made ready for the loss.

The order depends on (seed, epoch) alone, never on the global random state, so that a resumed run sees the
rows an uninterrupted one would. Try: python -m engine.train.batches
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, Sampler

from engine.data.tokens.stream import TokenStream
from engine.train.losses import labelled_rows

Collator = Callable[[list[dict[str, Any]]], dict[str, Any]]


class EpochBatches(Sampler[list[int]]):
    """Row numbers, batch by batch. `order` is random, sequential or group_by_length (needs `lengths`)."""

    def __init__(
        self,
        num_rows: int,
        batch_size: int,
        *,
        order: str,
        seed: int = 0,
        lengths: np.ndarray | None = None,
        drop_last: bool = False,
    ) -> None:
        self.num_rows, self.batch_size, self.order, self.seed = num_rows, batch_size, order, seed
        self.lengths, self.drop_last, self.epoch = lengths, drop_last, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        full, rest = divmod(self.num_rows, self.batch_size)
        return full + (1 if rest and not self.drop_last else 0)

    def __iter__(self) -> Iterator[list[int]]:
        rows = self._order()
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield rows[start : start + self.batch_size].tolist()

    def _order(self) -> np.ndarray:
        if self.order == "sequential":
            return np.arange(self.num_rows)
        rng = np.random.default_rng([self.seed, self.epoch])
        rows = rng.permutation(self.num_rows)
        if self.order == "random":
            return rows
        assert self.lengths is not None, "group_by_length needs the lengths"
        # Sorted inside windows of many batches, then the batches shuffled: like lengths meet, the order
        # stays random.
        window = self.batch_size * 50
        parts = [rows[start : start + window] for start in range(0, self.num_rows, window)]
        rows = np.concatenate([part[np.argsort(-self.lengths[part], kind="stable")] for part in parts])
        full = self.num_rows // self.batch_size * self.batch_size
        batches = rng.permutation(rows[:full].reshape(-1, self.batch_size))
        return np.concatenate([batches.reshape(-1), rows[full:]])


class LossReady:
    """Wraps a collator: adds what the loss needs, worked out on the CPU so that a GPU never waits for a
    count.

    Adds positions_K and targets_BK (see losses.labelled_rows), and the integers num_targets and num_tokens (a
    collator may count the latter itself). Takes `labels` out: the model itself computes no loss.
    """

    def __init__(self, collate: Collator) -> None:
        self.collate = collate

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        batch = self.collate(rows)
        labels_BL = batch.pop("labels")
        positions_K, targets_BK = labelled_rows(labels_BL)
        mask_BL = batch.get("attention_mask")
        num_tokens = int(mask_BL.sum()) if mask_BL is not None else batch["input_ids"].numel()
        return {
            "num_tokens": num_tokens,
            **batch,
            "positions_K": positions_K,
            "targets_BK": targets_BK,
            "num_targets": int((targets_BK != -100).sum()),
        }


def build_loader(
    table: Sequence[dict[str, Any]],
    batches: EpochBatches,
    collate: Collator,
    *,
    num_workers: int,
    pin_memory: bool,
) -> DataLoader:
    """A loader whose own randomness (worker seeds) never touches the global generator."""
    return DataLoader(
        table,  # type: ignore[arg-type]
        batch_sampler=batches,
        collate_fn=LossReady(collate),
        num_workers=num_workers,
        pin_memory=pin_memory and torch.cuda.is_available(),
        persistent_workers=num_workers > 0,
        generator=torch.Generator().manual_seed(batches.seed),
    )


def build_stream_loader(
    stream: TokenStream, collate: Collator, *, batch_size: int, shuffle: bool, seed: int, pin_memory: bool
) -> DataLoader:
    """Batches of a stream's rows as they come, for ever; no length. Rows are made in this process: a worker
    of the loader would make all of them over again.
    """
    return DataLoader(
        _Rows(stream, shuffle=shuffle, seed=seed),
        batch_size=batch_size,
        collate_fn=LossReady(collate),
        num_workers=0,
        pin_memory=pin_memory and torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(seed),
    )


class _Rows(IterableDataset):
    def __init__(self, stream: TokenStream, *, shuffle: bool, seed: int) -> None:
        self.stream, self.shuffle, self.seed = stream, shuffle, seed

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.stream.rows(seed=self.seed, shuffle=self.shuffle)


if __name__ == "__main__":
    print(list(EpochBatches(10, 3, order="random", seed=42)))
