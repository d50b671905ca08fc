"""The token view shows what the trainer uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.data.pieces import token_texts
from engine.data.pipeline import load_datasets
from engine.data.preview import preview
from engine.data.view import View, open_view
from engine.schema.data import TemplateArgs
from tests.data.support import alpaca, write_dataset


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A folder that holds a tokenizer and the little that tells a model from any folder."""
    where = tmp_path_factory.mktemp("models") / "tokenizer"
    tokenizer.save_pretrained(where)
    (where / "config.json").write_text('{"model_type": "qwen3"}')
    return where


def view_of(folder: Path, model: Path | None, **given: Any) -> View:
    if model is not None:
        given["model_name_or_path"] = str(model)
    return open_view({"dataset": "rows", "dataset_dir": str(folder), **given})


def test_tokens_are_the_trainers(tmp_path: Path, tokenizer: Any, model: Path) -> None:
    folder = tmp_path / "data"
    write_dataset(folder, "rows", alpaca(5))
    view = view_of(folder, model, cutoff_len=40)
    train = load_datasets(
        view.args.data, TemplateArgs(), tokenizer, seed=1, cache_dir=tmp_path / "cache"
    ).train
    assert train is not None
    shown = preview(view, count=10)["rows"]
    for row, used in zip(shown, train, strict=True):
        kept = [token for token in row["tokens"] if not token.get("cut")]
        assert [token["id"] for token in kept] == used["input_ids"]
        assert [token["learn"] for token in kept] == [label != -100 for label in used["labels"]]
        assert row["kept"] == len(kept) and row["length"] == len(row["tokens"])
        assert row["truncated"] == (row["kept"] < row["length"])
        assert "".join(token["text"] for token in row["tokens"]) == "".join(p["text"] for p in row["spans"])
    assert any(row["truncated"] for row in shown) and not all(row["truncated"] for row in shown)
