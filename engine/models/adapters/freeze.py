"""Some layers train, all else is frozen: the last N layers (the first -N where negative), or single modules
of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.errors import ArgError, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.schema.adapter import AdapterArgs
    from engine.schema.model import ModelArgs

_LAYER = re.compile(r"\.(\d+)\.(.+)$")


def apply(network: PreTrainedModel, adapter: AdapterArgs, model: ModelArgs) -> PreTrainedModel:
    if model.adapter_name_or_path:
        message = "only finetuning_type=lora goes on from an adapter. Export the merged model first."
        raise ArgError([Problem("adapter_name_or_path", message)])
    layers = _trainable_layers(
        adapter.freeze_trainable_layers, network.config.get_text_config().num_hidden_layers
    )
    wanted = adapter.freeze_trainable_modules
    in_layers = {name: match for name, _ in network.named_parameters() if (match := _LAYER.search(name))}
    _check(
        wanted,
        {part for match in in_layers.values() for part in match[2].split(".")},
        "freeze_trainable_modules",
    )
    outside = {
        part for name, _ in network.named_parameters() if name not in in_layers for part in name.split(".")
    }
    _check(adapter.freeze_extra_modules, outside, "freeze_extra_modules")

    for name, parameter in network.named_parameters():
        match = in_layers.get(name)
        parts = set(name.split("."))
        if match:
            trains = int(match[1]) in layers and ("all" in wanted or bool(parts & set(wanted)))
        else:
            trains = bool(parts & set(adapter.freeze_extra_modules))
        parameter.requires_grad_(trains)
    return network


def _trainable_layers(count: int, num_layers: int) -> set[int]:
    if count == 0 or abs(count) > num_layers:
        message = (
            f"the model has {num_layers} layers; choose 1 to {num_layers}, or negative for the first ones."
        )
        raise ArgError([Problem("freeze_trainable_layers", message)])
    return set(range(num_layers - count, num_layers)) if count > 0 else set(range(-count))


def _check(names: tuple[str, ...], existing: set[str], field: str) -> None:
    unknown = [name for name in names if name != "all" and name not in existing]
    if unknown:
        choices = ", ".join(sorted(existing - {"weight", "bias"}))
        raise ArgError([Problem(field, f"the model has no module {', '.join(unknown)}. It has: {choices}.")])
