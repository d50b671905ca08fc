"""Fixtures of the data tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from tests.data.bench import Bench
from tests.data.support import alpaca, build_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE with ChatML as its own template."""
    return build_tokenizer()


@pytest.fixture
def bench(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> Bench:
    """A dataset folder with twenty alpaca rows under the name `rows`, and an empty cache."""
    made = Bench(tmp_path, tokenizer)
    made.add("rows", alpaca(20))
    return made


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A folder that holds that tokenizer and the little that tells a model from any folder."""
    where = tmp_path_factory.mktemp("models") / "tokenizer"
    tokenizer.save_pretrained(where)
    (where / "config.json").write_text('{"model_type": "qwen3"}')
    return where
