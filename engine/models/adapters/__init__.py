"""What of a model trains. One file per `finetuning_type`, named like it; listed without importing it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from engine.schema.adapter import AdapterArgs
    from engine.schema.model import ModelArgs


def names() -> tuple[str, ...]:
    return tuple(
        sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))
    )


def apply_adapter(
    network: PreTrainedModel, adapter: AdapterArgs, model: ModelArgs, *, pure: bool
) -> nn.Module:
    """Choose what trains, add matrices where the method has them, and keep trained weights in float32.

    pure=True leaves trained weights in the model's own format. Raises UserError where a module name fits
    nothing.
    """
    method = importlib.import_module(f"engine.models.adapters.{adapter.finetuning_type}")
    network = method.apply(network, adapter, model)
    if not pure:
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
    return network
