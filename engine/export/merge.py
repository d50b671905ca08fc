"""Adapters added into the weights, one by one, each checked against the model that has it beside them.

Writes nothing. PEFT does the mathematics (engine/models/adapters), in the weights' own number format.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch

from engine.export.verify import Difference, Probe, ask, compare, repeat


def load_base(model: Any, *, device: str | None) -> Any:
    """The base model without adapters, in the number format asked for (auto: the checkpoint's own)."""
    from engine.models.load import load_model

    plain = dataclasses.replace(model, adapter_name_or_path=(), train_from_scratch=False)
    dtype = "auto" if model.infer_dtype == "auto" else getattr(torch, model.infer_dtype)
    network = load_model(plain, dtype=dtype, attention="sdpa", trainable=False, device=device)
    network.config.use_cache = True
    return network


def merge_all(
    network: Any, model: Any, prompts: Sequence[list[int]], *, on_merged: Callable[[str, Difference], None]
) -> tuple[Any, list[Probe]]:
    """The network with every adapter merged, and its probes. `on_merged(path, difference)` after each
    adapter.

    Raises UserError where an adapter cannot be read or does not fit.
    """
    from engine.models.adapters.lora import attach
    from engine.models.load import adapter_path

    for name in model.adapter_name_or_path:
        attached = attach(network, adapter_path(model, name)).eval()
        unmerged = ask(attached, prompts)
        network = attached.merge_and_unload().eval()
        on_merged(name, compare(unmerged, repeat(network, unmerged), dtype=network.dtype))
    return network, ask(network, prompts)
