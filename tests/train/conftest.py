"""Models for tests that must learn."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def loud_random(tiny_random: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random model with larger embeddings: a frozen head of tiny weights could not become sure of
    anything.
    """
    import torch
    from transformers import AutoTokenizer, Qwen3ForCausalLM

    where = tmp_path_factory.mktemp("models") / "loud-random"
    network = Qwen3ForCausalLM.from_pretrained(tiny_random)
    with torch.no_grad():
        network.model.embed_tokens.weight.mul_(20)
    network.save_pretrained(where)
    AutoTokenizer.from_pretrained(tiny_random).save_pretrained(where)
    return where
