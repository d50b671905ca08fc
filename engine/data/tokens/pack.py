"""Best-fit packing of sequence lengths into rows of one capacity. Knows nothing of text.

Every sequence lands in exactly one row, whole; longest first, each into the fullest row that still has room.
Try: python -m engine.data.tokens.pack
"""

from __future__ import annotations

import numpy as np


def pack(lengths: np.ndarray, capacity: int) -> list[np.ndarray]:
    """Groups of indices, ascending inside a row; rows are ordered by their first index.

    lengths: int array (N,), each in 1..capacity. Raises ValueError for one that is longer or empty.
    """
    lengths = np.asarray(lengths, np.int64)
    if len(lengths) and (lengths.max() > capacity or lengths.min() < 1):
        raise ValueError(f"lengths must be between 1 and {capacity}")
    # rows_by_room[r]: rows with r tokens left. `open_rooms` has bit r set while that list is not empty, so
    # the smallest room >= length is the lowest set bit of open_rooms >> length.
    rows_by_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    open_rooms = 0
    members: list[list[int]] = []
    order = np.argsort(-lengths, kind="stable")
    for index, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        fitting = open_rooms >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            row = rows_by_room[room].pop()
            if not rows_by_room[room]:
                open_rooms ^= 1 << room
        else:
            room, row = capacity, len(members)
            members.append([])
        members[row].append(index)
        rest = room - length
        if rest:
            if not rows_by_room[rest]:
                open_rooms |= 1 << rest
            rows_by_room[rest].append(row)
    rows = [np.sort(np.array(row, np.int64)) for row in members]
    return sorted(rows, key=lambda row: int(row[0]))


if __name__ == "__main__":
    generator = np.random.default_rng(0)
    example = generator.lognormal(5, 0.8, 50_000).astype(np.int64).clip(8, 2048)
    packed = pack(example, 2048)
    print(f"{len(example)} sequences in {len(packed)} rows, {example.sum() / (len(packed) * 2048):.2%} full")
