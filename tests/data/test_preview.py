"""The token view shows what the trainer uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.data.pipeline import load_datasets
from engine.data.preview import main, read_first, show
from engine.errors import DataError
from engine.schema.data import DataArgs, TemplateArgs
from engine.templates.chat import load_chat
from tests.data.support import alpaca, write_dataset


def test_tokens_are_the_trainers(tmp_path: Path, tokenizer: Any) -> None:
    write_dataset(tmp_path / "data", "rows", alpaca(5))
    data = DataArgs(dataset=("rows",), dataset_dir=str(tmp_path / "data"), cutoff_len=40)
    train = load_datasets(data, TemplateArgs(), tokenizer, seed=1, cache_dir=tmp_path / "cache").train
    assert train is not None
    chat = load_chat(tokenizer)
    examples = read_first("rows", str(tmp_path / "data"), 5)
    for example, row in zip(examples, train, strict=True):
        shown = show(example, chat, data)
        assert [token["id"] for token in shown["tokens"]] == row["input_ids"]
        assert [token["learn"] for token in shown["tokens"]] == [label != -100 for label in row["labels"]]
    assert any(show(example, chat, data)["truncated"] for example in examples)


def test_command(tmp_path: Path, tokenizer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write_dataset(tmp_path / "data", "rows", alpaca(5))
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    assert (
        main([str(tmp_path / "tokenizer"), "rows", "--dataset_dir", str(tmp_path / "data"), "--rows", "1"])
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == repr("<|im_start|>user\nSay 0<|im_end|>\n<|im_start|>assistant\n")
    assert lines[1].split(maxsplit=1) == ["learnt", repr("It is 0.<|im_end|>")]


def test_no_usable_row(tmp_path: Path) -> None:
    write_dataset(tmp_path, "rows", [{"instruction": "a", "output": ""}])
    with pytest.raises(DataError, match='row 1, column "output": is empty'):
        read_first("rows", str(tmp_path), 1)
