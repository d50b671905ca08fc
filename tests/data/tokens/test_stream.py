"""Streamed rows are the rows of a table, in an order that the seed decides, in bounded memory."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.data.pipeline import Prepared
from engine.data.tokens import stream as stream_module
from engine.data.tokens.stream import TokenStream
from engine.errors import DataError
from tests.data.bench import Bench, rows_of
from tests.data.support import NO_STOP, alpaca, build_tokenizer

Row = dict[str, list[int]]


def stream_of(prepared: Prepared) -> TokenStream:
    assert isinstance(prepared.train, TokenStream)
    return prepared.train


def take(prepared: Prepared, count: int, **order: Any) -> list[Row]:
    return list(itertools.islice(stream_of(prepared).rows(**{"seed": 1, **order}), count))


def as_set(rows: list[Row]) -> list[str]:
    return sorted(json.dumps([row["input_ids"], row["labels"]]) for row in rows)


@pytest.mark.parametrize("buffer_size", [1, 7, 1000])
def test_an_epoch_holds_the_rows_of_the_table(bench: Bench, buffer_size: int) -> None:
    table = rows_of(bench.load())
    streamed = bench.load(streaming=True, buffer_size=buffer_size, preprocessing_batch_size=3)
    rows = take(streamed, 60)
    for epoch in range(3):
        assert as_set(rows[epoch * 20 : epoch * 20 + 20]) == as_set(table)
    if buffer_size > 1:
        assert rows[:20] != rows[20:40], "each epoch has an order of its own"
    assert take(streamed, 20, shuffle=False) == table
    assert stream_of(streamed).report.train_rows == 20, "only the first epoch is counted"


def test_the_seed_decides_the_order(bench: Bench) -> None:
    prepared = bench.load(streaming=True, buffer_size=8)
    assert take(prepared, 50) == take(bench.load(streaming=True, buffer_size=8), 50)
    assert take(prepared, 50) != take(prepared, 50, seed=2)
    assert list(itertools.islice(stream_of(prepared), 5)) == take(prepared, 5, seed=42)


def test_packed_in_the_buffer(bench: Bench) -> None:
    prepared = bench.load(streaming=True, packing=True, cutoff_len=100)
    table = rows_of(bench.load(cutoff_len=100))
    parts, count = [], 0
    for row in stream_of(prepared):
        assert sum(row["lengths"]) == len(row["input_ids"]) <= 100
        start = 0
        for size in row["lengths"]:
            window = slice(start, start + size)
            parts.append({name: row[name][window] for name in ("input_ids", "labels")})
            start += size
        count += len(row["lengths"])
        if count == 20:
            break
    assert as_set(parts) == as_set(table)
    report = prepared.report.to_json()
    assert report["streaming"] and report["packed_rows"] == len(
        rows_of(bench.load(packing=True, cutoff_len=100))
    )
    assert report["packing_fill"] == bench.load(packing=True, cutoff_len=100).report.packing_fill
    whole = bench.load(streaming=True, packing=True, cutoff_len=100, contaminated_packing=True)
    assert all(row["lengths"] == [len(row["input_ids"])] for row in take(whole, 5))


def test_rows_are_read_as_they_are_needed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.add("long", alpaca(500))
    prepared = bench.load(dataset=("long",), streaming=True, buffer_size=20, preprocessing_batch_size=10)
    read = []
    inherited = stream_module.open_rows

    def noted(*args: Any) -> Iterator[Any]:
        for row in inherited(*args):
            read.append(row)
            yield row

    monkeypatch.setattr(stream_module, "open_rows", noted)
    rows = stream_of(prepared).rows(seed=1)
    next(rows)
    assert len(read) <= 100, "a look at the first rows"
    assert prepared.report.datasets[0].read <= 30
    list(itertools.islice(rows, 100))
    assert 100 < len(read) <= 150
    assert prepared.report.datasets[0].read == len(read), "the counts grow with the rows"


def test_a_count_is_held_out_from_the_head(bench: Bench) -> None:
    table = rows_of(bench.load())
    prepared = bench.load(streaming=True, val_size=4)
    assert list(prepared.evals["eval"]) == table[:4]
    assert as_set(take(prepared, 32)[:16]) == as_set(table[4:]) == as_set(take(prepared, 32)[16:])
    assert prepared.report.to_json()["eval_rows"] == 4
    with pytest.raises(DataError, match="val_size=20 takes 20 of 20 rows and leaves none"):
        bench.load(streaming=True, val_size=20)


def test_max_samples_and_eval_dataset(bench: Bench) -> None:
    bench.add("other", alpaca(5, start=50))
    prepared = bench.load(streaming=True, max_samples=3, eval_dataset=("other",))
    assert as_set(take(prepared, 3)) == as_set(rows_of(bench.load(max_samples=3)))
    assert len(prepared.evals["eval"]) == 3


@pytest.mark.parametrize("strategy", ["concat", "interleave_under", "interleave_over", "interleave_once"])
def test_datasets_meet_as_they_do_in_a_table(bench: Bench, strategy: str) -> None:
    bench.add("other", alpaca(7, start=50))
    settings: dict[str, Any] = {"dataset": ("rows", "other"), "mix_strategy": strategy}
    if strategy != "concat":
        settings["interleave_probs"] = ("0.7", "0.3")
    table = rows_of(bench.load(**settings))
    prepared = bench.load(streaming=True, preprocessing_batch_size=4, **settings)
    assert take(prepared, len(table), shuffle=False) == table
    accounts = prepared.report.datasets
    assert accounts[0].read <= 20 and accounts[1].read <= 7, "a row that comes again is not read twice"


def test_num_samples_of_a_stream(bench: Bench) -> None:
    bench.add("drawn", alpaca(30), num_samples=7)
    table = rows_of(bench.load(dataset=("drawn",)))
    assert as_set(take(bench.load(dataset=("drawn",), streaming=True), 7)) == as_set(table)


def test_a_folder_of_many_kinds_streams(bench: Bench) -> None:
    folder = bench.data / "parts"
    folder.mkdir()
    lines = [json.dumps(row) for row in alpaca(10)]
    (folder / "a.jsonl").write_text("\n".join(lines[:6]))
    (folder / "b.json").write_text("[" + ",".join(lines[6:]) + "]")
    bench.register("parts", file_name="parts")
    expected = rows_of(bench.load(max_samples=10))
    assert as_set(take(bench.load(dataset=("parts",), streaming=True), 10)) == as_set(expected)


def test_bad_rows_of_a_stream_are_counted_and_end_it(bench: Bench) -> None:
    rows: list[Any] = alpaca(200)
    rows[150] = {"instruction": "no answer"}
    bench.add("holed", rows)
    prepared = bench.load(dataset=("holed",), streaming=True)
    assert len(take(prepared, 199)) == 199
    (account,) = prepared.report.datasets
    assert (account.read, account.used, account.num_dropped) == (200, 199, 1)
    assert account.problems[0].row == 151
    with pytest.raises(DataError, match="row 151"):
        take(bench.load(dataset=("holed",), streaming=True, max_bad_rows=0), 300)


def test_a_bad_stream_is_told_before_its_end(bench: Bench) -> None:
    """A table is judged at its end; of a stream a thousand rows say enough."""
    bad = [{"instruction": "no answer"}] * 15
    bench.add("later", [*alpaca(985), *bad, *alpaca(3000)])
    prepared = bench.load(dataset=("later",), streaming=True, buffer_size=100, preprocessing_batch_size=100)
    with pytest.raises(DataError, match="row 986"):
        take(prepared, 1500)
    assert prepared.report.datasets[0].read <= 1100
    assert len(rows_of(bench.load(dataset=("later",), preprocessing_batch_size=100))) == 3985


def test_a_stream_without_a_usable_row_says_so(bench: Bench) -> None:
    bench.add("empty", [{"instruction": "x", "output": ""}] * 3)
    with pytest.raises(DataError, match="row 1"):
        take(bench.load(dataset=("empty",), streaming=True), 1)


def test_what_the_template_remarks_reaches_the_report(bench: Bench) -> None:
    bench.tokenizer = build_tokenizer(NO_STOP, eos="<|endoftext|>")
    prepared = bench.load(streaming=True)
    take(prepared, 1)
    assert any("writes no stop after the last answer" in note for note in prepared.report.notes)


def test_texts_are_cut_into_blocks_without_loss(bench: Bench, tmp_path: Path) -> None:
    bench.add("texts", "\n".join(f"text number {i} " * (i % 5 + 1) for i in range(40)), suffix=".txt",
              formatting="text")  # fmt: skip
    table = rows_of(bench.load(dataset=("texts",), stage="pt", cutoff_len=16))
    prepared = bench.load(dataset=("texts",), stage="pt", cutoff_len=16, streaming=True, buffer_size=9)
    blocks = take(prepared, len(table), shuffle=False)
    assert [row["input_ids"] for row in blocks] == [row["input_ids"] for row in table]
    assert {len(row["input_ids"]) for row in blocks[:-1]} == {16}
