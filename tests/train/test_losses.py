"""The loss on labelled rows is the loss over everything, in value and in gradient."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from engine.train import losses


def test_equals_the_full_cross_entropy_and_its_gradient(monkeypatch):
    monkeypatch.setattr(losses, "_CHUNK_ROWS", 5)
    torch.manual_seed(0)
    logits_NV = (torch.randn(17, 23) * 3).requires_grad_()
    targets_N = torch.randint(0, 23, (17,))
    targets_N[[0, 6, 16]] = -100
    ours = losses.cross_entropy_sum(logits_NV, targets_N)
    (mine,) = torch.autograd.grad(ours * 0.37, logits_NV)
    theirs = F.cross_entropy(logits_NV, targets_N, reduction="sum", ignore_index=-100)
    (reference,) = torch.autograd.grad(theirs * 0.37, logits_NV)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
    assert torch.allclose(mine, reference, atol=1e-6)


def test_half_precision_logits_are_summed_in_float32():
    torch.manual_seed(0)
    logits_NV = torch.randn(64, 50).bfloat16()
    targets_N = torch.randint(0, 50, (64,))
    reference = F.cross_entropy(logits_NV.double(), targets_N, reduction="sum")
    assert losses.cross_entropy_sum(logits_NV, targets_N).item() == pytest.approx(reference.item(), rel=1e-6)


def test_nothing_labelled_is_zero_with_a_gradient():
    logits_NV = torch.randn(0, 8, requires_grad=True)
    total = losses.cross_entropy_sum(logits_NV, torch.zeros(0, dtype=torch.int64))
    total.backward()
    assert total.item() == 0 and logits_NV.grad.shape == (0, 8)


def test_labelled_rows_of_one_row_keep_exactly_the_labelled():
    labels_BL = torch.tensor([[-100, -100, 7, 8, -100, 9]])
    positions_K, targets_BK = losses.labelled_rows(labels_BL)
    assert positions_K.tolist() == [1, 2, 4]
    assert targets_BK.tolist() == [[7, 8, 9]]


def test_labelled_rows_of_several_rows_mark_what_a_row_lacks():
    labels_BL = torch.tensor([[-100, 5, -100], [-100, -100, 6]])
    positions_K, targets_BK = losses.labelled_rows(labels_BL)
    assert positions_K.tolist() == [0, 1]
    assert targets_BK.tolist() == [[5, -100], [-100, 6]]


def test_num_correct():
    assert losses.num_correct(torch.eye(4), torch.tensor([0, 1, 0, -100])).item() == 2
