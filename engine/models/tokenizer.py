"""The tokenizer of a model, with a pad token. Templates and rendering live in engine/templates and
engine/data.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from transformers import AutoTokenizer

from engine.errors import ArgError, Problem
from engine.models.source import FIELD, Source, locate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from engine.schema.model import ModelArgs

# What some tokenizer of the field keeps its vocabulary in, or the code that makes it.
_FILES = ("tokenizer*", "vocab*", "*.model", "*.tiktoken", "*vocab.json", "tokenization*.py", "tekken.json")


def load_tokenizer(model: ModelArgs) -> PreTrainedTokenizerBase:
    """Load the tokenizer: the last adapter's where it brings one (it carries the trained chat template).

    Raises UserError where the model cannot be found or brings no tokenizer.
    """
    source = _beside_adapter(model) or locate(model, what="tokenizer")
    if source.is_local:
        _check_files(Path(source.path))
    with source.explained():
        tokenizer = AutoTokenizer.from_pretrained(source.path, **source.options)
    if tokenizer.pad_token_id is None:
        # Padding is never learned, so that any token will do; the end token is the field's habit.
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    return tokenizer


def _check_files(folder: Path) -> None:
    """For a known architecture the library makes an empty tokenizer up where the folder holds none."""
    if not any(file for pattern in _FILES for file in folder.glob(pattern)):
        message = f"{folder} holds a model without a tokenizer. Copy the tokenizer's files into that folder."
        raise ArgError([Problem(FIELD, message)])


def _beside_adapter(model: ModelArgs) -> Source | None:
    for name in reversed(model.adapter_name_or_path):
        folder = Path(name).expanduser() / (model.adapter_folder or "")
        if (folder / "tokenizer_config.json").is_file():
            options = {"trust_remote_code": model.trust_remote_code}
            return Source(str(folder), True, "tokenizer", options)
    return None
