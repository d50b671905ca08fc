"""Every parameter trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ArgError, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.schema.adapter import AdapterArgs
    from engine.schema.model import ModelArgs


def apply(network: PreTrainedModel, adapter: AdapterArgs, model: ModelArgs) -> PreTrainedModel:
    if model.adapter_name_or_path:
        message = "only finetuning_type=lora goes on from an adapter. Export the merged model first."
        raise ArgError([Problem("adapter_name_or_path", message)])
    return network.requires_grad_(True)
