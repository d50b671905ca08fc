"""Which rows are used: parts of a file, sampling, splitting off a validation set. Index arithmetic only,
seeded.

Try: python -c "from engine.data.mix import *; print(split_validation(10, 0.2, seed=1))"
"""

from __future__ import annotations

import numpy as np

from engine.data.registry import DatasetSpec
from engine.errors import DataError


def choose_rows(num_rows: int, spec: DatasetSpec, max_samples: int | None, seed: int) -> np.ndarray:
    """Indices of the rows of one dataset that are used: its `split` part, then `num_samples`, then
    `max_samples`.

    num_samples draws without repetition while it can, then draws again; max_samples takes the first so many.
    """
    start, stop = (_position(bound, num_rows) for bound in spec.split)
    rows = np.arange(num_rows)[start:stop]
    if spec.num_samples is not None and len(rows):
        generator = np.random.default_rng(seed)
        rounds = -(-spec.num_samples // len(rows))
        rows = np.concatenate([generator.permutation(rows) for _ in range(rounds)])[: spec.num_samples]
    return rows if max_samples is None else rows[:max_samples]


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


def _position(bound: str | None, num_rows: int) -> int | None:
    if bound is None:
        return None
    return round(num_rows * int(bound[:-1]) / 100) if bound.endswith("%") else int(bound)
