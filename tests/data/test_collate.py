"""Batches: positions restart, boundaries are right, first labels are masked, padding is never learnt."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.data.collate import PackedCollator, PaddedCollator, PaddingFreeCollator


def row(*ids: int, lengths: list[int] | None = None) -> dict[str, Any]:
    item: dict[str, Any] = {"input_ids": list(ids), "labels": list(ids)}
    return item | ({"lengths": lengths} if lengths else {})


def test_padding_free_batch() -> None:
    batch = PaddingFreeCollator()([row(1, 2, 3), row(4, 5, 6, 7, 8, lengths=[2, 3]), row(9)])
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5, 6, 7, 8, 9]]
    assert batch["labels"].tolist() == [[-100, 2, 3, -100, 5, -100, 7, 8, -100]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1, 0, 1, 2, 0]]
    assert batch["cu_seq_lens_q"].tolist() == batch["cu_seq_lens_k"].tolist() == [0, 3, 5, 8, 9]
    assert batch["cu_seq_lens_q"].dtype == torch.int32
    assert batch["max_length_q"] == batch["max_length_k"] == 3
    assert "attention_mask" not in batch
    assert {batch[name].dtype for name in ("input_ids", "labels", "position_ids")} == {torch.int64}


def test_packed_batch() -> None:
    batch = PackedCollator(0)([row(1, 2, 3), row(4, 5, 6, 7, 8, lengths=[2, 3])])
    assert batch["input_ids"].tolist() == [[1, 2, 3, 0, 0], [4, 5, 6, 7, 8]]
    assert batch["labels"].tolist() == [[-100, 2, 3, -100, -100], [-100, 5, -100, 7, 8]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1], [0, 1, 0, 1, 2]]
    assert batch["num_tokens"] == 8
    assert "attention_mask" not in batch


def test_padded_batch() -> None:
    batch = PaddedCollator(0, pad_to_multiple_of=4)([row(1, 2, 3, 4, 5), row(6)])
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5, 0, 0, 0], [6, 0, 0, 0, 0, 0, 0, 0]]
    assert batch["labels"].tolist() == [[1, 2, 3, 4, 5, -100, -100, -100], [6] + [-100] * 7]
    assert batch["attention_mask"].tolist() == [[1] * 5 + [0] * 3, [1] + [0] * 7]


def test_rows_are_left_as_they_were() -> None:
    rows = [row(1, 2, 3)]
    PaddingFreeCollator()(rows)
    assert rows == [row(1, 2, 3)]


def test_padded_batches_refuse_packed_rows() -> None:
    with pytest.raises(ValueError, match="PackedCollator"):
        PaddedCollator(0)([row(1, 2, 3, lengths=[1, 2])])
