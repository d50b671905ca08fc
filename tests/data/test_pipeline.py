"""From dataset_info.json to tables: values, cache, validation rows, reports, and what a person is told."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.tokens import build
from engine.data.tokens.store import Store, StoreWriter
from engine.errors import DataError
from tests.data.bench import Bench, rows_of
from tests.data.support import alpaca, build_tokenizer, learnt_text


def test_rows_equal_apply_chat_template(bench: Bench) -> None:
    prepared = bench.load()
    for raw, row in zip(alpaca(20), rows_of(prepared), strict=True):
        chat = [
            {"role": "user", "content": raw["instruction"]},
            {"role": "assistant", "content": raw["output"]},
        ]
        assert row["input_ids"] == bench.tokenizer.apply_chat_template(chat, return_dict=False)
        assert learnt_text(bench.tokenizer, row["labels"]) == raw["output"] + "<|im_end|>"
    assert prepared.train is not None
    assert prepared.train.lengths.tolist() == [len(row["input_ids"]) for row in rows_of(prepared)]


def test_several_datasets_in_order_with_max_samples_of_each(bench: Bench) -> None:
    bench.add("more", alpaca(10, start=100))
    prepared = bench.load(dataset=("more", "rows"), max_samples=3)
    said = [learnt_text(bench.tokenizer, row["labels"]).split(".")[0] for row in rows_of(prepared)]
    assert said == ["It is 100", "It is 101", "It is 102", "It is 0", "It is 1", "It is 2"]
    assert [account.name for account in prepared.report.datasets] == ["more", "rows"]


def test_default_system_and_named_template(bench: Bench) -> None:
    text = bench.tokenizer.decode(rows_of(bench.load(system="Be kind."))[0]["input_ids"])
    assert text.startswith("<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nSay 0")
    prepared = bench.load(template="alpaca")
    text = bench.tokenizer.decode(rows_of(prepared)[0]["input_ids"])
    assert text.startswith("Below is an instruction")
    assert [note for note in prepared.report.notes if note.startswith("template=alpaca differs from")]


def test_validation_rows_leave_the_training_set(bench: Bench) -> None:
    whole = [tuple(row["input_ids"]) for row in rows_of(bench.load())]
    for val_size, count in ((0.2, 4), (5, 5)):
        prepared = bench.load(val_size=val_size)
        held_out = [tuple(row["input_ids"]) for row in prepared.evals["eval"]]
        kept = [tuple(row["input_ids"]) for row in rows_of(prepared)]
        assert len(held_out) == count
        assert sorted(held_out + kept) == sorted(whole)
    assert [r["input_ids"] for r in bench.load(val_size=5).evals["eval"]] == [list(ids) for ids in held_out]
    with pytest.raises(DataError, match=r"val_size=20 takes 20 of 20 rows and leaves none to train on"):
        bench.load(val_size=20)


def test_eval_dataset_alone_and_beside(bench: Bench) -> None:
    bench.add("other", alpaca(5, start=50))
    both = bench.load(eval_dataset=("other",), packing=True, cutoff_len=256)
    assert len(both.evals["eval"]) == 5
    assert "lengths" not in both.evals["eval"][0], "evaluation rows are never packed"
    alone = bench.load(dataset=(), eval_dataset=("other",))
    assert alone.train is None
    assert len(alone.evals["eval"]) == 5
    assert alone.report.to_json()["eval_rows"] == 5


def test_contradictions_are_refused(bench: Bench) -> None:
    with pytest.raises(DataError, match="val_size and eval_dataset exclude each other"):
        bench.load(eval_dataset=("rows",), val_size=0.1)
    with pytest.raises(DataError, match="mask_history=true and train_on_prompt=true contradict"):
        bench.load(mask_history=True, train_on_prompt=True)


@pytest.mark.parametrize("option", ["packing", "neat_packing"])
def test_packed_rows_are_the_same_rows_joined(bench: Bench, option: str) -> None:
    plain = sorted(
        (tuple(row["input_ids"]), tuple(row["labels"])) for row in rows_of(bench.load(cutoff_len=100))
    )
    prepared = bench.load(cutoff_len=100, **{option: True})
    parts = []
    for row in rows_of(prepared):
        assert sum(row["lengths"]) == len(row["input_ids"]) <= 100
        ends = np.cumsum(row["lengths"]).tolist()
        for start, end in zip([0, *ends], ends, strict=False):
            parts.append((tuple(row["input_ids"][start:end]), tuple(row["labels"][start:end])))
    assert sorted(parts) == plain
    assert prepared.report.packed_rows == len(rows_of(prepared)) < 20
    assert prepared.report.packing_fill is not None
    assert any(line.startswith("packing: ") for line in prepared.report.lines())


def test_second_run_reads_the_cache(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bench.load()
    assert bench.calls[0][:2] == ("tokenizing", 0)
    assert bench.calls[-1] == ("tokenizing", 20, 20)

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("tokenised again")

    monkeypatch.setattr(build, "Preparer", fail)
    monkeypatch.setattr(build, "rows_from", fail)
    second = bench.load()
    assert second.report.datasets[0].from_cache
    assert rows_of(second) == rows_of(first)
    assert bench.calls == [("tokenizing", 20, 20)]
    with pytest.raises(AssertionError, match="tokenised again"):
        bench.load(overwrite_cache=True)
    assert [name for name in bench.stores() if ".tmp" in name] == [], "a failed run leaves nothing behind"


def test_everything_that_matters_is_in_the_cache_key(bench: Bench) -> None:
    def keys(count: int, **options: Any) -> None:
        bench.load(**options)
        assert len(bench.stores()) == count, options

    keys(1)
    keys(1, packing=True, val_size=0.5, preprocessing_batch_size=3)
    keys(2, cutoff_len=64)
    keys(3, max_samples=5)
    keys(4, mask_history=True)
    keys(5, train_on_prompt=True)
    keys(6, template="chatml")
    keys(7, system="S")
    bench.add("rows", alpaca(21))
    keys(8)
    bench.add("rows", alpaca(21), columns={"prompt": "output", "response": "instruction"})
    keys(9)
    bench.tokenizer = build_tokenizer(bench.tokenizer.chat_template + " ")
    keys(10)
    bench.tokenizer = build_tokenizer(bench.tokenizer.chat_template)
    bench.tokenizer.add_tokens(["Say"])
    keys(11)
    bench.add("same", alpaca(21), columns={"prompt": "output", "response": "instruction"})
    prepared = bench.load(dataset=("same",))
    assert len(bench.stores()) == 11, "content decides, not the name"
    assert prepared.report.datasets[0].name == "same"


def test_damaged_cache_is_made_anew(bench: Bench) -> None:
    before = rows_of(bench.load())
    (store,) = (bench.cache / "tokens").iterdir()
    (store / "ids.bin").write_bytes(b"1234")
    assert rows_of(bench.load()) == before
    (store / "meta.json").unlink()
    assert rows_of(bench.load()) == before


def test_interrupt_while_tokenising_leaves_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build.Preparer, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.load()
    assert bench.stores() == []


def test_overwrite_cache_under_a_reader(bench: Bench) -> None:
    reading = bench.load()
    expected = rows_of(reading)
    bench.load(overwrite_cache=True)
    assert rows_of(reading) == expected


def test_tables_travel_to_workers(bench: Bench) -> None:
    table = bench.load(packing=True, cutoff_len=128).train
    copy = pickle.loads(pickle.dumps(table))
    assert list(copy) == list(table or [])
    assert len(pickle.dumps(table)) < 20_000, "tokens stay on disk"


def test_table_indexing(bench: Bench) -> None:
    table = bench.load().train
    assert table is not None
    assert table[-1] == table[np.int64(19)]
    with pytest.raises(IndexError):
        table[20]
    assert table.num_learnt == sum(label != -100 for row in table for label in row["labels"])


def test_num_samples_draws_with_the_seed(bench: Bench) -> None:
    bench.add("drawn", alpaca(10), num_samples=25)
    first = rows_of(bench.load(dataset=("drawn",)))
    assert len(first) == 25
    counts = [[row["input_ids"] for row in first].count(row["input_ids"]) for row in first]
    assert set(counts) == {2, 3}, "every row is drawn before any is drawn again"
    bench.load(dataset=("drawn",))
    assert len(bench.stores()) == 1


def test_split_takes_a_part(bench: Bench) -> None:
    bench.add("part", alpaca(10), split="train[20%:5]")
    said = [learnt_text(bench.tokenizer, row["labels"])[:7] for row in rows_of(bench.load(dataset=("part",)))]
    assert said == ["It is 2", "It is 3", "It is 4"]


def test_rows_with_nothing_left_to_learn_are_counted(bench: Bench) -> None:
    """An answer of two tokens behind a prompt of thousands gets no share of a room of four."""
    rows = [{"instruction": "x", "output": "y" * 40} for _ in range(200)]
    bench.add("long", [*rows, {"instruction": "word " * 900, "output": "x"}])
    prepared = bench.load(dataset=("long",), cutoff_len=4)
    account = prepared.report.datasets[0]
    assert account.dropped == {"nothing of an answer is left within cutoff_len": 1}
    assert (account.read, account.used, account.truncated) == (201, 200, 200)
    assert all(any(label != -100 for label in row["labels"]) for row in rows_of(prepared))
    bench.add("long", [{"instruction": "word " * 900, "output": "x"}])
    with pytest.raises(DataError, match="row 1: nothing of an answer is left within cutoff_len"):
        bench.load(dataset=("long",), cutoff_len=4)


def test_answers_without_room_are_counted(bench: Bench) -> None:
    """A conversation of three turns in room for one: two answers are not learnt, and that is said."""
    chat = [{"from": role, "value": "word " * 20} for _ in range(3) for role in ("human", "gpt")]
    bench.add("chats", [{"conversations": chat}, {"conversations": chat[:2]}], formatting="sharegpt")
    whole = bench.load(dataset=("chats",))
    assert (whole.report.datasets[0].lost_answers, whole.report.datasets[0].truncated) == (0, 0)
    room = len(rows_of(whole)[1]["input_ids"]) + 4
    prepared = bench.load(dataset=("chats",), cutoff_len=room)
    account = prepared.report.datasets[0]
    assert (account.used, account.truncated, account.lost_answers) == (2, 1, 2)
    assert any("2 later answers left out" in line for line in prepared.report.lines())
    last = bench.load(dataset=("chats",), cutoff_len=room, mask_history=True).report.datasets[0]
    assert (last.truncated, last.lost_answers) == (1, 0), "the last answer alone was to be learnt"


def test_spelt_control_tokens_are_counted(bench: Bench) -> None:
    bench.add("forged", [*alpaca(3), {"instruction": "say <|im_end|> twice", "output": "<|im_end|>"}])
    prepared = bench.load(dataset=("forged",))
    assert prepared.report.to_json()["guarded_rows"] == 1
    assert any("1 rows spell a control token" in line for line in prepared.report.lines())
    stop = bench.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert rows_of(prepared)[3]["input_ids"].count(stop) == 2


def test_report(bench: Bench) -> None:
    rows: list[Any] = alpaca(300)
    rows[3] = {"instruction": "no answer", "input": "", "output": ""}
    rows[9] = {"instruction": "long", "output": "word " * 300}
    bench.add("mixed", rows)
    prepared = bench.load(dataset=("mixed",), cutoff_len=200)
    record = json.loads(json.dumps(prepared.report.to_json()))
    (account,) = record["datasets"]
    assert (account["read"], account["used"], account["truncated"]) == (300, 299, 1)
    assert account["dropped"] == {"output: is empty: there would be nothing to learn": 1}
    assert account["problems"][0]["row"] == 4
    assert record["train_rows"] == 299 == sum(bin_["rows"] for bin_ in record["length_histogram"])
    table = prepared.train
    assert table is not None
    assert account["tokens"] == table.lengths.sum()
    assert account["learnt_tokens"] == table.num_learnt
    assert record["notes"] == []
    lines = prepared.report.lines()
    assert lines[0].startswith("dataset mixed: 299 of 300 rows, ")
    assert lines[1] == "  1 dropped: output: is empty: there would be nothing to learn"
    again = bench.load(dataset=("mixed",), cutoff_len=200).report.datasets[0]
    assert again.from_cache
    assert dataclasses.replace(again, from_cache=False).to_json() == account


def test_notes_of_the_template_survive_the_cache(bench: Bench) -> None:
    from tests.data.support import NO_STOP

    bench.tokenizer = build_tokenizer(NO_STOP, eos="<|endoftext|>")
    first, second = bench.load().report.notes, bench.load().report.notes
    assert first == second
    assert "writes no stop after the last answer" in first[0]


def test_a_sound_store_of_another_process_stays(tmp_path: Path) -> None:
    """Two ranks tokenise the same rows: the one that comes second drops its own."""

    def write(value: int, *, replace: bool) -> int:
        with StoreWriter(tmp_path / "key", replace=replace) as out:
            out.add(np.array([value]), np.array([1]), np.array([1]))
            out.finish({})
        return int(Store(tmp_path / "key").ids[0])

    assert write(1, replace=False) == 1
    assert write(2, replace=False) == 1
    assert write(3, replace=True) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_cache_that_cannot_be_written(bench: Bench) -> None:
    bench.cache.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"the folder .*/cache/tokens cannot be written: Not a directory"):
        bench.load()


def test_texts_become_blocks_with_an_end_token_each(bench: Bench) -> None:
    texts = [f"text number {i} " * (i % 4 + 1) + "<|im_end|>" * (i == 3) for i in range(30)]
    bench.add("texts", [{"text": text} for text in texts], formatting="text")
    prepared = bench.load(dataset=("texts",), stage="pt", cutoff_len=32, mask_history=True)
    rows = rows_of(prepared)
    ids = [token for row in rows for token in row["input_ids"]]
    end = bench.tokenizer.eos_token_id
    spelt = bench.tokenizer.backend_tokenizer
    spelt.encode_special_tokens = True
    try:
        alone = [spelt.encode(text, add_special_tokens=False).ids for text in texts]
    finally:
        spelt.encode_special_tokens = False
    assert ids == [token for text in alone for token in (*text, end)], "a spelt end token ends nothing"
    assert all(row["labels"] == row["input_ids"] for row in rows)
    assert [len(row["input_ids"]) for row in rows[:-1]] == [32] * (len(rows) - 1)
    assert prepared.report.packed_rows == len(rows)
    assert prepared.report.datasets[0].truncated == 0
    held = bench.load(dataset=("texts",), stage="pt", cutoff_len=32, val_size=5)
    together = rows_of(held) + list(held.evals["eval"])
    assert sorted(t for row in together for t in row["input_ids"]) == sorted(ids)


def test_pretraining_needs_no_chat_template(bench: Bench) -> None:
    bench.add("texts", [{"text": "one <|im_end|>"}], formatting="text")
    bench.tokenizer = build_tokenizer(None)
    (row,) = rows_of(bench.load(dataset=("texts",), stage="pt"))
    assert row["input_ids"].count(bench.tokenizer.eos_token_id) == 1
    assert rows_of(bench.load(stage="pt"))
    with pytest.raises(DataError, match="no chat template of its own"):
        bench.load()


def test_conversations_are_texts_to_pretraining(bench: Bench) -> None:
    prepared = bench.load(stage="pt", max_samples=2, cutoff_len=4096)
    (row,) = rows_of(prepared)
    assert bench.tokenizer.decode(row["input_ids"]) == (
        "Say 0\nIt is 0.<|im_end|>Say 1 please\nIt is 1.It is 1.<|im_end|>"
    )


def test_mixing_by_shares(bench: Bench) -> None:
    bench.add("other", alpaca(40, start=100))
    settings: dict[str, Any] = {"dataset": ("rows", "other"), "mix_strategy": "interleave_over"}
    rows = rows_of(bench.load(**settings, interleave_probs=("0.5", "0.5")))
    kinds = {tuple(row["input_ids"]) for row in rows}
    assert len(kinds) == 60, "every row is used"
    assert 70 < len(rows) < 130, "and the smaller set comes again"
    again = rows_of(bench.load(**settings, interleave_probs=("0.5", "0.5")))
    assert again == rows
    assert rows_of(bench.load(seed=7, **settings, interleave_probs=("0.5", "0.5"))) != rows
    once = rows_of(bench.load(dataset=("rows", "other"), mix_strategy="interleave_once"))
    assert len(once) == 60 and once != rows_of(bench.load(dataset=("rows", "other")))


def test_each_eval_dataset_has_a_table(bench: Bench) -> None:
    bench.add("other", alpaca(5, start=50))
    names = ("other", "rows")
    each = bench.load(eval_dataset=names, eval_on_each_dataset=True)
    assert {name: len(table) for name, table in each.evals.items()} == {"other": 5, "rows": 20}
    assert each.report.to_json()["eval_rows"] == 25
    assert {name: len(table) for name, table in bench.load(eval_dataset=names).evals.items()} == {"eval": 25}


def test_rows_with_media_are_left_out_with_what_to_do(bench: Bench) -> None:
    rows = [*alpaca(3), {"instruction": "<image>What?", "output": "A cat.", "pictures": ["cat.png"]}]
    bench.add("seen", rows, columns={"images": "pictures"})
    prepared = bench.load(dataset=("seen",), max_bad_rows=1)
    account = prepared.report.datasets[0]
    assert (account.used, account.problems[0].row) == (3, 4)
    (reason,) = account.dropped
    assert "holds images, which a text model cannot read" in reason
    assert "take the images column out of dataset_info.json" in reason


def test_bad_rows_are_judged_by_the_run_that_reads_the_cache(bench: Bench, tmp_path: Path) -> None:
    bench.add("holed", [*alpaca(40), {"instruction": "no answer"}])
    settings: dict[str, Any] = {"dataset": ("holed",), "tokenized_path": str(tmp_path / "tokens")}
    for options in ({"dataset": ("holed",)}, settings):
        bench.load(max_bad_rows=1, **options)
        bench.load(max_bad_rows=0.05, **options)
        for limit in (0, 0.01):
            with pytest.raises(DataError, match="1 of 41 rows cannot be used"):
                bench.load(max_bad_rows=limit, **options)
    bench.add("moved", [*alpaca(40), {"instruction": "no answer"}])
    account = bench.load(dataset=("moved",), max_bad_rows=1).report.datasets[0]
    assert account.from_cache and account.problems[0].file.endswith("moved.json")


def test_every_row_of_the_mix_is_accounted_for(bench: Bench) -> None:
    bench.add("other", alpaca(5, start=50), num_samples=7)
    under = bench.load(dataset=("rows", "other"), mix_strategy="interleave_under", val_size=3)
    record = under.report.to_json()
    assert [account["drawn"] for account in record["datasets"]] == [7, 7]
    assert [account["used"] for account in record["datasets"]] == [20, 5]
    assert (record["train_rows"], record["held_out"], record["eval_rows"]) == (11, 3, 3)
    lines = under.report.lines()
    assert "mix interleave_under: 14 rows (7, 7)" in lines
    assert "11 rows to train on, 3 held out" in lines
    assert "mix concat: 7 rows" in bench.load(dataset=("other",)).report.lines()
    assert not [line for line in bench.load().report.lines() if line.startswith("mix")]
