"""Rows -> batches of tensors. What keeps sequences apart: their boundaries (PaddingFreeCollator), positions
that begin anew (PackedCollator), or padding (PaddedCollator).

B batch, L length (of all segments together in a padding-free batch), S segments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from engine.data.tokens.tokenize import IGNORE

Features = Sequence[Mapping[str, Any]]


class PaddingFreeCollator:
    """All rows of a batch one after another in a single row, for attention that knows the boundaries.

    Returns input_ids, labels, position_ids (each int64 (1, L), positions restart at every segment),
    cu_seq_lens_q and cu_seq_lens_k (int32 (S + 1,)), max_length_q and max_length_k (int). No attention_mask:
    with one, models mix segments. The first label of every segment is -100, since no token of the segment
    comes before it.
    """

    def __call__(self, features: Features) -> dict[str, Any]:
        lengths = np.array(
            [size for row in features for size in row.get("lengths") or (len(row["input_ids"]),)], np.int64
        )
        ends = np.concatenate(([0], np.cumsum(lengths)))
        ids_L = np.concatenate([np.asarray(row["input_ids"], np.int64) for row in features])
        labels_L = np.concatenate([np.asarray(row["labels"], np.int64) for row in features])
        assert len(ids_L) == len(labels_L) == ends[-1], "segment lengths must add up to the row"
        labels_L[ends[:-1]] = IGNORE
        positions_L = np.arange(ends[-1]) - np.repeat(ends[:-1], lengths)
        boundaries = torch.from_numpy(ends.astype(np.int32))
        longest = int(lengths.max())
        return {
            "input_ids": torch.from_numpy(ids_L)[None],
            "labels": torch.from_numpy(labels_L)[None],
            "position_ids": torch.from_numpy(positions_L)[None],
            "cu_seq_lens_q": boundaries,
            "cu_seq_lens_k": boundaries,
            "max_length_q": longest,
            "max_length_k": longest,
        }


class PackedCollator:
    """Packed rows side by side, for attention that tells segments by their positions (transformers' sdpa and
    eager, which read them off position_ids where there is neither a mask nor a cache).

    Returns input_ids, labels, position_ids (each int64 (B, L)) and num_tokens, padding not counted. Padding
    on the right is a segment of its own. The first label of every segment is -100.
    """

    def __init__(self, pad_token_id: int) -> None:
        self.pad_token_id = pad_token_id

    def __call__(self, features: Features) -> dict[str, Any]:
        sizes = [len(row["input_ids"]) for row in features]
        shape = (len(features), max(sizes))
        ids_BL = np.full(shape, self.pad_token_id, np.int64)
        labels_BL = np.full(shape, IGNORE, np.int64)
        positions_BL = np.zeros(shape, np.int64)
        for number, (row, size) in enumerate(zip(features, sizes, strict=True)):
            lengths = [*(row.get("lengths") or (size,)), shape[1] - size]
            starts = np.concatenate(([0], np.cumsum(lengths[:-1])))
            assert starts[-1] == size, "segment lengths must add up to the row"
            ids_BL[number, :size] = row["input_ids"]
            labels_BL[number, :size] = row["labels"]
            labels_BL[number, starts[:-1]] = IGNORE
            positions_BL[number] = np.arange(shape[1]) - np.repeat(starts, lengths)
        return {
            "input_ids": torch.from_numpy(ids_BL),
            "labels": torch.from_numpy(labels_BL),
            "position_ids": torch.from_numpy(positions_BL),
            "num_tokens": sum(sizes),
        }


class PaddedCollator:
    """Rows side by side, padded on the right to the longest: input_ids, labels, attention_mask, each int64
    (B, L).

    Packed rows are refused: a padding mask cannot keep their segments apart.
    """

    def __init__(self, pad_token_id: int, *, pad_to_multiple_of: int = 1) -> None:
        self.pad_token_id = pad_token_id
        self.pad_to_multiple_of = pad_to_multiple_of

    def __call__(self, features: Features) -> dict[str, torch.Tensor]:
        if any(len(row.get("lengths") or ()) > 1 for row in features):
            raise ValueError(
                "packed rows need PaddingFreeCollator or PackedCollator: "
                "padding keeps rows apart, not segments"
            )
        longest = max(len(row["input_ids"]) for row in features)
        width = -(-longest // self.pad_to_multiple_of) * self.pad_to_multiple_of
        ids_BL = np.full((len(features), width), self.pad_token_id, np.int64)
        labels_BL = np.full((len(features), width), IGNORE, np.int64)
        mask_BL = np.zeros((len(features), width), np.int64)
        for number, row in enumerate(features):
            size = len(row["input_ids"])
            ids_BL[number, :size] = row["input_ids"]
            labels_BL[number, :size] = row["labels"]
            mask_BL[number, :size] = 1
        return {
            "input_ids": torch.from_numpy(ids_BL),
            "labels": torch.from_numpy(labels_BL),
            "attention_mask": torch.from_numpy(mask_BL),
        }
