"""Fixtures of the data tests."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerFast

from tests.data.support import build_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE with ChatML as its own template."""
    return build_tokenizer()
