"""Segments of one row attend as if each stood alone, under every path: plain, grouped heads, windows,
inference.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen3Config, Qwen3ForCausalLM

from engine.models import attention as segment

LENGTHS = [5, 1, 9, 3]


@pytest.fixture(autouse=True)
def _registered():
    segment.register()


def reference(query, key, value, window=None):
    """Softmax attention of one segment, spelled out."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    i, j = torch.arange(query.shape[2])[:, None], torch.arange(query.shape[2])[None]
    seen = (j <= i) if window is None else (j <= i) & (j > i - window)
    return scores.masked_fill(~seen, float("-inf")).softmax(-1) @ value


@pytest.mark.parametrize("heads", [(4, 4), (4, 2)])
@pytest.mark.parametrize("window", [None, 2, 4, 50])
def test_equals_each_segment_alone(heads, window):
    torch.manual_seed(0)
    total = sum(LENGTHS)
    query, key, value = (torch.randn(1, count, total, 8) for count in (heads[0], heads[1], heads[1]))
    boundaries = torch.tensor([0, *LENGTHS]).cumsum(0).int()
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
    parts = [
        reference(q, k, v, window)
        for q, k, v in zip(
            query.split(LENGTHS, 2), key.split(LENGTHS, 2), value.split(LENGTHS, 2), strict=True
        )
    ]
    assert torch.allclose(output, torch.cat(parts, 2).transpose(1, 2), atol=1e-5)


def test_a_mask_beside_boundaries_is_refused():
    x = torch.randn(1, 2, 4, 8)
    with pytest.raises(ValueError, match="exclude"):
        segment.segment_attention(
            SimpleNamespace(), x, x, x, torch.ones(1, 1, 4, 4), cu_seq_lens_q=torch.tensor([0, 2, 4])
        )


SMALL = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}


def network(config):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, attn_implementation=segment.NAME).eval()


@pytest.mark.parametrize(
    "config",
    [
        Qwen3Config(**SMALL, head_dim=8),
        LlamaConfig(**SMALL),
        MistralConfig(**SMALL, sliding_window=4),
        Qwen3Config(**SMALL, head_dim=8, use_sliding_window=True, sliding_window=3, max_window_layers=1),
    ],
    ids=["qwen3", "llama", "mistral-window", "qwen3-mixed-window"],
)
def test_a_model_leaks_nothing_between_segments(config):
    model = network(config)
    assert segment.keeps_segments_apart(model)
    rows = [torch.randint(1, 60, (length,)) for length in LENGTHS]
    packed = model(**segment._row(rows, torch.device("cpu")), use_cache=False).logits[0]
    plain = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    plain.load_state_dict(model.state_dict())
    alone = torch.cat([plain(row[None], use_cache=False).logits[0] for row in rows])
    assert torch.allclose(packed, alone, atol=1e-5)


def test_the_proof_fails_for_a_model_that_leaks():
    model = network(Qwen3Config(**SMALL, head_dim=8))
    inner = model.forward

    def deaf(*args, cu_seq_lens_q=None, position_ids=None, **rest):
        return inner(*args, **rest)

    model.forward = deaf
    assert not segment.keeps_segments_apart(model)


def test_restarting_positions_are_enough_to_keep_segments_apart():
    model = network(Qwen3Config(**SMALL, head_dim=8))
    rows = [torch.randint(1, 60, (length,)) for length in LENGTHS]
    full = segment._row(rows, torch.device("cpu"))
    bare = {name: full[name] for name in ("input_ids", "position_ids")}
    assert torch.allclose(
        model(**bare, use_cache=False).logits, model(**full, use_cache=False).logits, atol=1e-6
    )


def test_generation_with_padding_equals_sdpa():
    config = Qwen3Config(**SMALL, head_dim=8)
    ours = network(config)
    theirs = Qwen3ForCausalLM._from_config(config, attn_implementation="sdpa").eval()
    theirs.load_state_dict(ours.state_dict())
    ids = torch.randint(1, 60, (2, 6))
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1] * 6])
    settings = {"attention_mask": mask, "max_new_tokens": 8, "do_sample": False, "pad_token_id": 0}
    assert torch.equal(ours.generate(ids, **settings), theirs.generate(ids, **settings))


def test_no_square_mask_is_built(monkeypatch):
    """Neither the mask function nor the attention touches an L x L matrix for a packed row."""
    model = network(Qwen3Config(**SMALL, head_dim=8))
    monkeypatch.setattr(segment, "sdpa_mask", lambda **_: pytest.fail("a mask was built"))
    assert segment.keeps_segments_apart(model)
