"""The variable-length kernel gives what the CPU path gives: values, gradients, windows, autocast. Needs a
GPU.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from engine.models import attention as segment

pytestmark = pytest.mark.gpu
LENGTHS = [70, 3, 129, 1]


def attend(query, key, value, boundaries, window):
    output, _ = segment.segment_attention(
        SimpleNamespace(is_causal=True),
        query,
        key,
        value,
        None,
        cu_seq_lens_q=boundaries,
        max_length_q=max(LENGTHS),
        sliding_window=window,
    )
    return output


@pytest.mark.parametrize("window", [None, 16])
@pytest.mark.parametrize("key_heads", [8, 2])
def test_values_and_gradients_equal_the_cpu(window, key_heads):
    torch.manual_seed(0)
    total = sum(LENGTHS)
    heads = (8, key_heads, key_heads)
    on_cpu = [torch.randn(1, count, total, 64).bfloat16().float().requires_grad_() for count in heads]
    on_gpu = [tensor.detach().cuda().bfloat16().requires_grad_() for tensor in on_cpu]
    boundaries = torch.tensor([0, *LENGTHS]).cumsum(0).int()
    expected = attend(*on_cpu, boundaries, window)
    found = attend(*on_gpu, boundaries.cuda(), window)
    assert torch.allclose(found.float().cpu(), expected, atol=2e-2)
    weight = torch.randn_like(expected)
    (expected * weight).sum().backward()
    (found * weight.cuda().bfloat16()).sum().backward()
    for reference, ours in zip(on_cpu, on_gpu, strict=True):
        assert torch.allclose(ours.grad.float().cpu(), reference.grad, atol=5e-2, rtol=5e-2)


def test_mixed_formats_under_autocast():
    """Norms hand on float32 queries and keys beside bfloat16 values: one kernel, one format."""
    total = sum(LENGTHS)
    query, key = torch.randn(2, 1, 4, total, 64, device="cuda")
    value = torch.randn(1, 4, total, 64, device="cuda", dtype=torch.bfloat16)
    boundaries = torch.tensor([0, *LENGTHS]).cumsum(0).int().cuda()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        assert attend(query, key, value, boundaries, None).dtype == torch.bfloat16


def test_a_model_keeps_segments_apart(tiny_random):
    from transformers import AutoModelForCausalLM

    segment.register()
    network = AutoModelForCausalLM.from_pretrained(
        tiny_random, attn_implementation=segment.NAME, dtype=torch.bfloat16
    )
    assert segment.keeps_segments_apart(network.cuda())
