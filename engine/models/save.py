"""Weights and tokenizer onto disk, as any user of the field reads them back; and weights back into a live
model.

Safetensors only, in shards, readable under the umask (the library alone leaves 0600). Not atomic: whoever
needs that writes into a staging folder first (engine/train/checkpoint.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn
from transformers.utils import CONFIG_NAME, SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from engine.paths import ordinary_mode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ADAPTER_CONFIG_NAME = "adapter_config.json"
ADAPTER_WEIGHTS_NAME = "adapter_model.safetensors"


def save_model(network: nn.Module, directory: Path, *, max_shard_gb: float = 5) -> None:
    """Write a whole model (weights, config, generation config) or, for a PEFT model, its adapter."""
    directory.mkdir(parents=True, exist_ok=True)
    if hasattr(network, "peft_config"):
        network.save_pretrained(directory, save_embedding_layers=False)
        # PEFT writes a model card of blanks to fill in; an unfilled form says nothing.
        (directory / "README.md").unlink(missing_ok=True)
    else:
        network.save_pretrained(directory, max_shard_size=f"{max_shard_gb}GB")
    open_to_umask(directory)


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, directory: Path) -> None:
    """Write the tokenizer with the chat template it was trained with."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(directory)
    open_to_umask(directory)


def load_weights(network: nn.Module, directory: Path) -> None:
    """Read what `save_model` wrote into the same live model.

    Raises RuntimeError where shapes differ, ValueError where names do, OSError where a file is missing.
    """
    from safetensors.torch import load_file

    if hasattr(network, "peft_config"):
        from peft import set_peft_model_state_dict

        state = load_file(directory / ADAPTER_WEIGHTS_NAME)
        missing = set_peft_model_state_dict(network, state, adapter_name=network.active_adapter)
        if missing.unexpected_keys:
            raise ValueError(f"another adapter, with {missing.unexpected_keys[0]}")
        return
    seen: set[str] = set()
    for file in weight_files(directory):
        result = network.load_state_dict(load_file(file), strict=False)
        if result.unexpected_keys:
            raise ValueError(f"another model, with {result.unexpected_keys[0]}")
        seen |= set(network.state_dict()) - set(result.missing_keys)
    network.tie_weights()
    tied = set(getattr(network, "all_tied_weights_keys", {}) or {})
    missing_names = set(network.state_dict()) - seen - tied
    if missing_names:
        raise ValueError(f"another model, without {min(missing_names)}")


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files a saved model consists of, by its index where it is sharded."""
    if (directory / ADAPTER_CONFIG_NAME).is_file():
        return [directory / ADAPTER_WEIGHTS_NAME]
    index = directory / SAFE_WEIGHTS_INDEX_NAME
    if index.is_file():
        return [
            directory / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))
        ]
    return [directory / SAFE_WEIGHTS_NAME]


def config_file(directory: Path) -> Path:
    adapter = directory / ADAPTER_CONFIG_NAME
    return adapter if adapter.is_file() else directory / CONFIG_NAME


def open_to_umask(directory: Path) -> None:
    """Give every file directly in `directory` the mode an ordinary new file gets."""
    mode = ordinary_mode()
    for file in directory.iterdir():
        if file.is_file():
            file.chmod(mode)
