"""Attention that knows where one sequence ends and the next begins, for rows that hold several.

A batch without padding is one row (1, L) with `cu_seq_lens_q` (the running sum of segment lengths, from 0)
beside it. Nothing here builds a matrix of L x L: on a GPU the segments go to torch's variable-length flash
kernel, elsewhere each segment is attended on its own. Calls without boundaries (inference with a cache,
padded rows) go to torch's sdpa. Not a kernel of its own. Try: pytest tests/models/test_attention.py
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "tunesmith_segment"

# B batch, H query heads, K key heads, L tokens in the row, S tokens in one segment, D head size


def register() -> None:
    """Make `attn_implementation="tunesmith_segment"` known to transformers. Calling it twice does no harm."""
    AttentionInterface.register(NAME, segment_attention)
    AttentionMaskInterface.register(NAME, segment_mask)


def segment_mask(
    *,
    q_length: int,
    kv_length: int,
    q_offset: int | torch.Tensor = 0,
    attention_mask: torch.Tensor | None = None,
    use_vmap: bool = False,
    **rest: Any,
) -> torch.Tensor | None:
    """The mask transformers hands to every layer: None wherever `segment_attention` needs no mask.

    A row without a padding mask and without a cache is causal within its segments, which the attention does
    by itself. Everything else (padding, a cache, a custom pattern) gets torch's boolean mask.
    """
    if attention_mask is None and q_length == kv_length and not use_vmap:
        return None
    return sdpa_mask(
        q_length=q_length,
        kv_length=kv_length,
        q_offset=q_offset,
        attention_mask=attention_mask,
        use_vmap=use_vmap,
        **rest,
    )


def segment_attention(
    module: torch.nn.Module,
    query_BHLD: torch.Tensor,
    key_BKLD: torch.Tensor,
    value_BKLD: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    position_ids: torch.Tensor | None = None,
    is_causal: bool | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention inside each segment. Returns (B, L, H, D) and no weights.

    `cu_seq_lens_q` (N+1,) int32 holds the boundaries and needs B = 1; without it, a row is one segment, or
    as many as `position_ids` restarts. `sliding_window` counts the query itself. Raises ValueError where
    boundaries come with a mask, since one of the two would be ignored.
    """
    if cu_seq_lens_q is not None and attention_mask is not None:
        raise ValueError("sequence boundaries and an attention mask exclude each other")
    whole_rows = attention_mask is None and query_BHLD.shape[2] == key_BKLD.shape[2]
    causal = is_causal if is_causal is not None else getattr(module, "is_causal", True)
    if cu_seq_lens_q is None and not (whole_rows and causal and query_BHLD.shape[2] > 1):
        return sdpa_attention_forward(
            module, query_BHLD, key_BKLD, value_BKLD, attention_mask, dropout, scaling, is_causal, **rest
        )
    if query_BHLD.is_cuda and torch.is_autocast_enabled("cuda"):
        # Norms with float32 weights hand on float32; the variable-length kernel is not in autocast's list.
        dtype = torch.get_autocast_dtype("cuda")
        query_BHLD, key_BKLD, value_BKLD = query_BHLD.to(dtype), key_BKLD.to(dtype), value_BKLD.to(dtype)
    if cu_seq_lens_q is not None and query_BHLD.is_cuda and not dropout and query_BHLD.dtype != torch.float32:
        assert max_length_q is not None, "the collator gives max_length_q beside cu_seq_lens_q"
        return _varlen(
            query_BHLD, key_BKLD, value_BKLD, cu_seq_lens_q, max_length_q, scaling, sliding_window
        ), None
    lengths = _segment_lengths(cu_seq_lens_q, position_ids, query_BHLD)
    outputs = [
        _causal(query_BHSD, key_BKSD, value_BKSD, dropout=dropout, scale=scaling, window=sliding_window)
        for query_BHSD, key_BKSD, value_BKSD in zip(
            query_BHLD.split(lengths, 2),
            key_BKLD.split(lengths, 2),
            value_BKLD.split(lengths, 2),
            strict=True,
        )
    ]
    output_BHLD = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
    return output_BHLD.transpose(1, 2).contiguous(), None


def _segment_lengths(
    boundaries: torch.Tensor | None, position_ids: torch.Tensor | None, query_BHLD: torch.Tensor
) -> list[int]:
    batch_size, _, length, _ = query_BHLD.shape
    if boundaries is None:
        restarts = position_ids is not None and position_ids.shape == (1, length) and batch_size == 1
        if not restarts:
            return [length]
        starts = [0, *((position_ids[0, 1:] == 0).nonzero()[:, 0] + 1).tolist(), length]
    else:
        starts = boundaries.tolist()
        assert batch_size == 1 and starts[-1] == length, "boundaries must cover exactly one row"
    return [end - start for start, end in pairwise(starts)]


def _causal(
    query_BHSD: torch.Tensor,
    key_BKSD: torch.Tensor,
    value_BKSD: torch.Tensor,
    *,
    dropout: float,
    scale: float | None,
    window: int | None,
) -> torch.Tensor:
    length = query_BHSD.shape[2]
    grouped = query_BHSD.shape[1] != key_BKSD.shape[1]
    if window is None or length <= window:
        return F.scaled_dot_product_attention(
            query_BHSD,
            key_BKSD,
            value_BKSD,
            dropout_p=dropout,
            is_causal=True,
            scale=scale,
            enable_gqa=grouped,
        )
    # A band: queries in blocks as long as the window, so that a block sees at most two windows of keys.
    outputs = []
    for start in range(0, length, window):
        end = min(start + window, length)
        first = max(0, start - window + 1)
        q_position = torch.arange(start, end, device=query_BHSD.device)[:, None]
        k_position = torch.arange(first, end, device=query_BHSD.device)[None, :]
        band = (k_position <= q_position) & (k_position > q_position - window)
        outputs.append(
            F.scaled_dot_product_attention(
                query_BHSD[:, :, start:end],
                key_BKSD[:, :, first:end],
                value_BKSD[:, :, first:end],
                attn_mask=band,
                dropout_p=dropout,
                scale=scale,
                enable_gqa=grouped,
            )
        )
    return torch.cat(outputs, dim=2)


def _varlen(
    query_BHLD: torch.Tensor,
    key_BKLD: torch.Tensor,
    value_BKLD: torch.Tensor,
    boundaries: torch.Tensor,
    longest: int,
    scale: float | None,
    window: int | None,
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    output_LHD = varlen_attn(
        query_BHLD[0].transpose(0, 1),
        key_BKLD[0].transpose(0, 1),
        value_BKLD[0].transpose(0, 1),
        boundaries,
        boundaries,
        longest,
        longest,
        scale=scale,
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=query_BHLD.shape[1] != key_BKLD.shape[1],
    )
    return output_LHD[None]


@torch.no_grad()
def keeps_segments_apart(model: PreTrainedModel, *, tolerance: float = 2e-2) -> bool:
    """Whether a token's output is blind to the other segments of its row, tried on two short ones.

    A model whose layers do not hand the boundaries on to the attention would let one example read another
    without any error; this is the proof that it does not. `tolerance` is relative to the largest logit
    (bfloat16 included).
    """
    device = next(model.parameters()).device
    vocabulary = model.get_input_embeddings().num_embeddings
    first, second = torch.arange(1, 8) % vocabulary, (torch.arange(20, 25) * 7) % vocabulary
    was_training = model.training
    model.eval()
    try:
        packed_V = model(**_row([first, second], device), use_cache=False).logits[0, -1].float()
        alone_V = model(**_row([second], device), use_cache=False).logits[0, -1].float()
    finally:
        model.train(was_training)
    return bool((packed_V - alone_V).abs().max() <= tolerance * alone_V.abs().max())


def _row(segments: list[torch.Tensor], device: torch.device) -> dict[str, Any]:
    lengths = [len(segment) for segment in segments]
    boundaries = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32).to(device)
    return {
        "input_ids": torch.cat(segments)[None].to(device),
        "position_ids": torch.cat([torch.arange(length) for length in lengths])[None].to(device),
        "cu_seq_lens_q": boundaries,
        "cu_seq_lens_k": boundaries,
        "max_length_q": max(lengths),
        "max_length_k": max(lengths),
    }
