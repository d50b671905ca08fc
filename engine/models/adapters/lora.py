"""LoRA: a pair of small matrices beside each chosen linear layer. PEFT does the mathematics.

Goes on with the last given adapter, or merges all of them and starts a fresh one (`create_new_adapter`).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from engine.errors import ArgError, Problem
from engine.models.save import ADAPTER_WEIGHTS_NAME
from engine.models.source import one_line

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from engine.schema.adapter import AdapterArgs
    from engine.schema.model import ModelArgs


def apply(network: PreTrainedModel, adapter: AdapterArgs, model: ModelArgs) -> PeftModel:
    from peft import LoraConfig, TaskType, get_peft_model

    from engine.models.source import adapter_path

    paths = [adapter_path(model, name) for name in model.adapter_name_or_path]
    resumed = None if adapter.create_new_adapter or not paths else paths.pop()
    for path in paths:
        network = merge(network, path)
    if resumed is not None:
        return attach(network, resumed, trainable=True)
    _check(network, adapter.lora_target, "lora_target", linear_only=True)
    _check(network, adapter.additional_target, "additional_target", linear_only=False)
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=adapter.lora_rank,
        lora_alpha=adapter.lora_alpha or 2 * adapter.lora_rank,
        lora_dropout=adapter.lora_dropout,
        target_modules="all-linear" if "all" in adapter.lora_target else list(adapter.lora_target),
        modules_to_save=list(adapter.additional_target) or None,
        use_rslora=adapter.use_rslora,
    )
    return get_peft_model(network, config)


def attach(network: PreTrainedModel, path: str, *, trainable: bool = False) -> PeftModel:
    """The network with the adapter in `path` beside it. Raises UserError where it does not fit."""
    from peft import PeftModel

    with _explained(path), warnings.catch_warnings():
        # The library only warns where a place of the model found no matrix in the file.
        warnings.filterwarnings("error", message=".*missing adapter keys")
        attached = PeftModel.from_pretrained(network, path, is_trainable=trainable)
        _check_all_used(attached, path)
    return attached


def _check_all_used(attached: PeftModel, path: str) -> None:
    """An adapter of a deeper model of the same width loads without a word: its upper layers go nowhere."""
    from huggingface_hub import try_to_load_from_cache
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    local = Path(path) / ADAPTER_WEIGHTS_NAME
    file = local if Path(path).is_dir() else try_to_load_from_cache(path, ADAPTER_WEIGHTS_NAME)
    if not isinstance(file, str | Path) or not Path(file).is_file():
        return
    with safe_open(file, "pt") as weights:
        held = sum(".lora_" in name for name in weights.keys())  # noqa: SIM118  it is no dict
    places = get_peft_model_state_dict(attached, save_embedding_layers=False)
    placed = sum(".lora_" in name for name in places)
    if held != placed:
        raise ValueError(f"it holds {held} matrices, this model has places for {placed}")


def merge(network: PreTrainedModel, path: str) -> PreTrainedModel:
    """The network with the adapter in `path` added into its weights. Raises UserError where it does not
    fit.
    """
    return attach(network, path).merge_and_unload()


class _explained:
    """Turn PEFT's failures to load an adapter into one sentence about the argument."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from safetensors import SafetensorError

        if isinstance(error, (OSError, ValueError, RuntimeError, KeyError, UserWarning, SafetensorError)):
            message = f"the adapter in {self.path} does not fit or cannot be read: {one_line(error)}"
            raise ArgError([Problem("adapter_name_or_path", message)]) from error


def _check(network: PreTrainedModel, names: tuple[str, ...], field: str, *, linear_only: bool) -> None:
    existing = {
        name.rsplit(".", 1)[-1]
        for name, module in network.named_modules()
        if name
        and (isinstance(module, nn.Linear) or not linear_only)
        and not isinstance(module, nn.ModuleList)
    }
    unknown = [name for name in names if name != "all" and name.rsplit(".", 1)[-1] not in existing]
    if unknown:
        choices = ", ".join(sorted(name for name in existing if not name.isdigit()))
        raise ArgError([Problem(field, f"the model has no module {', '.join(unknown)}. It has: {choices}.")])
