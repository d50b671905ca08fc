"""The token view shows what the trainer uses: ids, learnt tokens, the cut, the packs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from engine.data.inspect.pieces import token_texts
from engine.data.inspect.preview import preview
from engine.data.inspect.view import View, open_view
from engine.data.pipeline import load_datasets
from tests.data.support import alpaca, write_dataset

LONG = [
    {
        "instruction": "Say it. " * 30,
        "output": "It is five. " * 3,
        "history": [["Hello there", "Who are you?"]],
    },
    {"instruction": "Say it.", "output": "It is five. " * 40},
]


def view_of(folder: Path, model: Path | None, **given: Any) -> View:
    if model is not None:
        given["model_name_or_path"] = str(model)
    return open_view({"dataset": "rows", "dataset_dir": str(folder), **given})


def trained_rows(view: View, tokenizer: Any, cache: Path, stage: str = "sft") -> Any:
    template = view.args.template
    return load_datasets(view.args.data, template, tokenizer, seed=1, cache_dir=cache, stage=stage).train


@pytest.mark.parametrize("mask_history", [False, True])
@pytest.mark.parametrize("template", [None, "qwen3", "llama2"])
def test_kept_tokens_are_the_trainers(
    tmp_path: Path, tokenizer: Any, model_folder: Path, mask_history: bool, template: str | None
) -> None:
    folder = tmp_path / "data"
    columns = {"prompt": "instruction", "history": "history"}
    write_dataset(folder, "rows", [*LONG, *alpaca(3)], columns=columns)
    view = view_of(folder, model_folder, cutoff_len=60, mask_history=mask_history, template=template)
    shown = preview(view, count=10)["rows"]
    for row, used in zip(shown, trained_rows(view, tokenizer, tmp_path / "cache"), strict=True):
        kept = [token for token in row["tokens"] if not token.get("cut")]
        assert [token["id"] for token in kept] == used["input_ids"]
        assert [token["learn"] for token in kept] == [label != -100 for label in used["labels"]]
        assert row["kept"] == len(kept) and row["length"] == len(row["tokens"])
        assert row["truncated"] == (row["kept"] < row["length"])
        assert "".join(token["text"] for token in row["tokens"]) == "".join(p["text"] for p in row["spans"])
    assert shown[0]["truncated"] and not shown[2]["truncated"] and shown[2]["cut_at"] is None
    assert all(row["tokens"][row["cut_at"]]["cut"] for row in shown if row["truncated"])


def test_packs_are_the_trainers(tmp_path: Path, tokenizer: Any, model_folder: Path) -> None:
    write_dataset(tmp_path / "data", "rows", alpaca(12))
    view = view_of(tmp_path / "data", model_folder, cutoff_len=100, packing=True)
    shown = preview(view, count=12)
    sizes = [[shown["rows"][member]["kept"] for member in members] for members in shown["packs"]]
    train = trained_rows(view, tokenizer, tmp_path / "cache")
    assert sizes == [row["lengths"] for row in train] and len(sizes) < 12


def test_text_is_cut_into_the_trainers_blocks(tmp_path: Path, tokenizer: Any, model_folder: Path) -> None:
    write_dataset(tmp_path / "data", "rows", "Say the sum.\n" * 5, suffix=".txt", formatting="text")
    view = view_of(tmp_path / "data", model_folder, cutoff_len=16)
    rows = preview(view, count=9)["rows"]
    ids = [token["id"] for row in rows for token in row["tokens"]]
    blocks = trained_rows(view, tokenizer, tmp_path / "cache", stage="pt")
    assert ids == [token for block in blocks for token in block["input_ids"]]
    before, starts = 0, []
    for row in rows:
        starts += [before + start for start in row["block_starts"]]
        before += row["length"]
    assert starts == list(range(0, before, 16)) and all(token["learn"] for token in rows[0]["tokens"])


def test_pairs_show_both_answers(tmp_path: Path, model_folder: Path) -> None:
    rows = [{"instruction": "Sum?", "chosen": "five", "rejected": "six"}]
    write_dataset(tmp_path / "data", "rows", rows, ranking=True)
    (row,) = preview(view_of(tmp_path / "data", model_folder))["rows"]
    learnt = [
        "".join(token["text"] for token in side["tokens"] if token["learn"])
        for side in (row, row["rejected"])
    ]
    assert row["kind"] == "pair" and learnt == ["five<|im_end|>", "six<|im_end|>"]


def test_labels_and_prompts(tmp_path: Path, model_folder: Path) -> None:
    folder = tmp_path / "data"
    labelled = [{"instruction": "Sum?", "output": "five", "label": False}]
    write_dataset(
        folder, "rows", labelled, columns={"prompt": "instruction", "response": "output", "kto_tag": "label"}
    )
    (row,) = preview(view_of(folder, model_folder))["rows"]
    assert row["kind"] == "label" and row["desirable"] is False and any(t["learn"] for t in row["tokens"])
    write_dataset(folder, "rows", labelled, columns={"prompt": "instruction", "response": None})
    (row,) = preview(view_of(folder, model_folder))["rows"]
    assert row["kind"] == "prompt" and not any(token["learn"] for token in row["tokens"])
    assert row["spans"][0]["text"].endswith("<|im_start|>assistant\n")


def test_tools_are_shown(tmp_path: Path) -> None:
    row = {
        "conversations": [{"from": "human", "value": "go"}, {"from": "gpt", "value": "gone"}],
        "tools": [{"name": "walk", "description": "", "parameters": {}}],
    }
    columns = {"messages": "conversations", "tools": "tools"}
    write_dataset(tmp_path / "data", "rows", [row], formatting="sharegpt", columns=columns)
    (shown,) = preview(view_of(tmp_path / "data", None, template="qwen3"))["rows"]
    assert shown["tools"][0]["function"]["name"] == "walk" and "walk" in shown["spans"][0]["text"]


def test_bad_rows_stay_in_their_place(tmp_path: Path, model_folder: Path) -> None:
    rows = [*alpaca(1), {"instruction": "x", "output": ""}, 7, *alpaca(1)]
    write_dataset(tmp_path / "data", "rows", rows)
    shown = preview(view_of(tmp_path / "data", model_folder), count=10)["rows"]
    assert [bool(row["problem"]) for row in shown] == [False, True, True, False]
    assert shown[1]["problem"].startswith("is empty") and shown[1]["column"] == "output"
    assert [
        row["number"] for row in preview(view_of(tmp_path / "data", model_folder), start=1, count=2)["rows"]
    ] == [2, 3]


def test_without_a_tokenizer_there_are_spans_alone(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", "rows", alpaca(1))
    (named,) = preview(view_of(tmp_path / "data", None, template="llama2"))["rows"]
    assert named["spans"][0]["text"].startswith("<BOS>[INST]") and not named["tokens"]
    assert named["spans"][1] == {"text": "It is 0.<EOS>", "learn": True}
    (bare,) = preview(view_of(tmp_path / "data", None))["rows"]
    assert bare["spans"] == [{"text": "Say 0", "learn": False}, {"text": "It is 0.", "learn": True}]


def test_text_that_spells_a_control_token_is_told(tmp_path: Path, tokenizer: Any, model_folder: Path) -> None:
    rows = [{"instruction": "x<|im_end|>", "output": "five"}]
    write_dataset(tmp_path / "data", "rows", rows)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    (row,) = preview(view_of(tmp_path / "data", model_folder))["rows"]
    (forged,) = preview(view_of(tmp_path / "data", model_folder, allow_control_tokens=True))["rows"]
    assert row["guarded"] and [token["id"] for token in row["tokens"]].count(end) == 2
    assert not forged["guarded"] and [token["id"] for token in forged["tokens"]].count(end) == 3


def test_a_character_of_several_tokens_stands_whole_on_the_last(tokenizer: Any) -> None:
    text = "a 龘🙂b"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    shown = token_texts(ids, tokenizer)
    assert "".join(piece for piece, _ in shown) == text
    parts = [part for _, part in shown if part]
    assert len(parts) >= 6 and all("\\x" in part for part in parts)
    assert [piece for piece, part in shown if part and piece] == ["龘", "🙂"]


def test_pieces_of_a_sentencepiece_tokenizer() -> None:
    vocabulary = {"▁Hi": 0, "▁there": 1, "<0xE4>": 2, "<0xBD>": 3, "<0xA0>": 4, "<0x0A>": 5, "<unk>": 6}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    shown = token_texts([0, 1, 2, 3, 4, 5], tokenizer)
    assert [text for text, _ in shown] == [" Hi", " there", "", "", "你", "\n"]
    assert [piece for _, piece in shown] == ["", "", "\\xe4", "\\xbd", "\\xa0", ""]


def test_an_answer_cut_off_in_the_middle_of_a_character(tokenizer: Any) -> None:
    ids = tokenizer("龘", add_special_tokens=False)["input_ids"]
    assert token_texts(ids[:-1], tokenizer)[-1][0] == "\ufffd"


def test_of_a_huge_row_the_beginning_is_shown(tmp_path: Path, model_folder: Path) -> None:
    write_dataset(tmp_path / "data", "rows", [{"instruction": "Say it.", "output": "five " * 60_000}])
    (row,) = preview(view_of(tmp_path / "data", model_folder, cutoff_len=100))["rows"]
    assert len(row["tokens"]) == 10_000 and row["hidden_tokens"] == row["length"] - 10_000 > 0
    assert row["kept"] == 100 and row["learnt"] > 50 and row["truncated"]
    assert sum(len(span["text"]) for span in row["spans"]) == 200_000 and row["hidden_text"] > 100_000


def test_a_row_that_takes_minutes_to_encode_is_shown_without_tokens(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.data.inspect.preview.MAX_ENCODED", 1000)
    write_dataset(tmp_path / "data", "rows", [{"instruction": "Say it.", "output": "x" * 2000}, *alpaca(1)])
    shown = preview(view_of(tmp_path / "data", model_folder))
    huge, small = shown["rows"]
    assert huge["spans"] and huge["tokens"] == [] and huge["length"] is None and huge["problem"] is None
    assert small["tokens"] and "a row of over 1,000 characters is shown without its tokens" in shown["notes"]
