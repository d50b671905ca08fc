"""Rows -> Examples with an account of every row: columns that are not there, stages that need other data, and
when bad rows stop a run.
"""

# ruff: noqa: E501 - messages stand as a person sees them
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.data.example import Example
from engine.data.read import check_columns, read_examples, stop_early, stop_if_bad
from engine.data.registry import DatasetSpec, find_datasets
from engine.data.registry.entry import read_entry
from engine.data.report import DatasetReport, RowProblem
from engine.data.sources import open_source
from engine.errors import DataError
from engine.schema.data import DataArgs
from tests.data.support import alpaca, conversation, write_dataset

BAD = {"instruction": "a", "output": ""}


def registered(
    tmp_path: Path, content: object, *, suffix: str = ".json", compat: str = "lenient", **entry: Any
) -> DatasetSpec:
    write_dataset(tmp_path, "d", content, suffix=suffix, **entry)
    (spec,) = find_datasets(["d"], DataArgs(dataset_dir=str(tmp_path), dataset_compat=compat))
    return spec


def read(
    tmp_path: Path, content: object, *, stage: str = "sft", max_bad_rows: float = 0.01, **entry: Any
) -> tuple[list[Example], DatasetReport]:
    """Registered, opened and converted, as the pipeline does it."""
    spec = registered(tmp_path, content, **entry)
    sources = [open_source(path) for path in spec.files]
    check_columns(spec, sources, stage=stage)
    account = DatasetReport("d", [str(path) for path in spec.files])
    rows: Iterator[tuple[str, int, Any]] = (
        (str(source.path), number, row) for source in sources for number, row in source.rows()
    )
    examples = [example for _, _, example in read_examples(spec, rows, account, stage=stage)]
    account.used = len(examples)
    stop_if_bad(account, max_bad_rows)
    return examples, account


def message(tmp_path: Path, content: object, **options: Any) -> str:
    """The error that a person sees, the folder written as DIR."""
    with pytest.raises(DataError) as caught:
        read(tmp_path, content, **options)
    return str(caught.value).replace(str(tmp_path), "DIR")


def test_every_row_is_counted(tmp_path: Path) -> None:
    rows = [*alpaca(3), BAD, "text", 7, None]
    examples, account = read(tmp_path, rows, max_bad_rows=4)
    assert examples[0] == conversation("Say 0", "It is 0.")
    assert (account.read, account.used, account.num_dropped) == (7, 3, 4)
    assert account.dropped == {
        "output: is empty: there would be nothing to learn": 1,
        "is text, expected an object with named columns": 1,
        "is a number, expected an object with named columns": 1,
        "is empty, expected an object with named columns": 1,
    }
    file = str(tmp_path / "d.json")
    assert account.problems[0] == RowProblem(file, 4, "output", "is empty: there would be nothing to learn")


def test_a_line_that_is_torn_is_a_bad_row(tmp_path: Path) -> None:
    good = json.dumps(alpaca(1)[0])
    text = message(tmp_path, f'{good}\n\n{{"instruction": \n{good}\n', suffix=".jsonl")
    assert text.splitlines()[:2] == [
        "dataset d: 1 of 3 rows cannot be used",
        "  DIR/d.jsonl, row 3: column 16: Expecting value; the line ends in the middle of a row",
    ]


def test_row_numbers_of_json_lines_are_lines(tmp_path: Path) -> None:
    good = json.dumps(alpaca(1)[0])
    text = message(tmp_path, f'{good}\n\n\n{{"instruction": "a", "output": 1}}\n', suffix=".jsonl")
    assert 'DIR/d.jsonl, row 4, column "output": is a number, expected text' in text


# Columns

FIT = "Set columns in dataset_info.json"


@pytest.mark.parametrize(
    ("rows", "entry", "expected"),
    [
        ([{"question": "a", "answer": "b"}], {},
         f'no column "instruction", "output"; the columns that exist are "question", "answer". {FIT}'),
        ([{"instuction": "a", "output": "b"}], {},
         f'no column "instruction" (did you mean "instuction"?); the columns that exist are "instuction", "output". {FIT}'),
        ([{"q": "a", "output": "b"}], {"columns": {"prompt": "q", "query": "x", "response": "a"}},
         f'no column "a", "x"; the columns that exist are "q", "output". {FIT}'),
        ([{"messages": []}], {"formatting": "sharegpt"},
         f'no column "conversations"; the columns that exist are "messages". {FIT}'),
        ([{"instruction": "a", "chosen": "b"}], {"ranking": True, "stage": "dpo"},
         f'no column "rejected"; the columns that exist are "instruction", "chosen". {FIT}'),
        ([{"instruction": "a", "output": "b"}], {"columns": {"kto_tag": "ok"}, "stage": "kto"},
         f'no column "ok"; the columns that exist are "instruction", "output". {FIT}'),
    ],
)  # fmt: skip
def test_a_mapping_that_fits_nothing_is_told_once(
    tmp_path: Path, rows: object, entry: dict[str, Any], expected: str
) -> None:
    assert message(tmp_path, rows, **entry) == f"dataset d: DIR/d.json, row 1: {expected}"


def test_an_entry_for_pre_training_names_the_stage(tmp_path: Path) -> None:
    (tmp_path / "wiki.txt").write_text("A line.\n")
    spec = read_entry("wiki", {"file_name": "wiki.txt", "columns": {"prompt": "text"}}, tmp_path)
    sources = [open_source(file) for file in spec.files]
    check_columns(spec, sources, stage="pt")
    with pytest.raises(DataError, match=r'no column "output".*, or learn text alone: stage pt$'):
        check_columns(spec, sources, stage="sft")


def test_a_named_column_may_begin_far_down(tmp_path: Path) -> None:
    rows = [*alpaca(1200), {**alpaca(1)[0], "sys": "S"}]
    examples, _ = read(tmp_path, rows, columns={"system": "sys"})
    assert examples[-1].system == "S"


def test_strict_reading_unsets_what_the_mapping_does_not_name(tmp_path: Path) -> None:
    """LLaMA-Factory's rule: the input is not part of the question, for the entry does not name it."""
    rows = [{"instruction": "Add.", "input": "2 and 3", "output": "5"}]
    columns = {"prompt": "instruction", "response": "output"}
    assert read(tmp_path, rows, columns=columns)[0] == [conversation("Add.\n2 and 3", "5")]
    assert read(tmp_path, rows, columns=columns, compat="strict")[0] == [conversation("Add.", "5")]


# Stages


def test_data_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    pairs = [{"instruction": "a", "chosen": "b", "rejected": "c"}]
    assert message(tmp_path, pairs, ranking=True) == (
        "dataset d holds pairs of answers (ranking: true), which the stages dpo, rm use; stage sft needs conversations"
    )
    assert message(tmp_path, alpaca(1), stage="kto") == (
        "dataset d holds conversations, which the stages pt, sft, ppo, grpo use; stage kto needs labelled answers "
        '(a "kto_tag" column)'
    )


def test_each_stage_gets_its_kind(tmp_path: Path) -> None:
    rows = [{"instruction": "a", "output": "b", "chosen": "c", "rejected": "d", "ok": True}]
    expected = (
        ("sft", {}, "chat"),
        ("ppo", {}, "prompt"),
        ("dpo", {"ranking": True}, "pair"),
        ("pt", {}, "chat"),
    )
    for stage, entry, kind in (*expected, ("kto", {"columns": {"kto_tag": "ok"}}, "label")):
        examples, _ = read(tmp_path, rows, stage=stage, **entry)
        assert [example.kind for example in examples] == [kind]
    (text,), _ = read(tmp_path, [{"doc": "A document."}], stage="pt", columns={"prompt": "doc"})
    assert text == Example(text="A document.")
    (prompt,), _ = read(tmp_path, [{"instruction": "a"}], stage="grpo")
    assert (prompt.kind, prompt.reference) == ("prompt", "")


# When bad rows stop a run


@pytest.mark.parametrize(
    ("good", "bad", "limit", "stops"),
    [
        (99, 1, 0.01, False),
        (98, 2, 0.01, True),
        (29, 1, 0.0, True),
        (29, 0, 0.0, False),
        (1, 3, 3, False),
        (1, 4, 3, True),
        (1, 1, 0.5, False),
        (0, 2, 5, True),
    ],
)
def test_max_bad_rows_is_a_share_or_a_count(
    tmp_path: Path, good: int, bad: int, limit: float, stops: bool
) -> None:
    rows = [*alpaca(good), *[BAD] * bad]
    if not stops:
        assert len(read(tmp_path, rows, max_bad_rows=limit)[0]) == good
        return
    with pytest.raises(DataError, match=f"dataset d: {bad} of {good + bad} rows cannot be used"):
        read(tmp_path, rows, max_bad_rows=limit)


def test_the_way_out_is_told(tmp_path: Path) -> None:
    some = message(tmp_path, [*alpaca(98), BAD, BAD]).splitlines()
    assert (
        some[-1] == "max_bad_rows=0.01 allows 1: mend these rows, or set max_bad_rows=2 to go on without them"
    )
    every = message(tmp_path, [BAD], max_bad_rows=5).splitlines()
    assert every[-1] == (
        "no row is left: see whether formatting, columns and tags in dataset_info.json fit the file"
    )
    assert message(tmp_path, []) == "dataset d: DIR/d.json holds no rows"


def test_at_most_ten_reasons_are_told(tmp_path: Path) -> None:
    lines = message(tmp_path, [BAD] * 25).splitlines()
    assert lines[0] == "dataset d: 25 of 25 rows cannot be used"
    assert len(lines) == 13
    assert lines[-2] == "  ... and 15 more"


def account_of(read: int, bad: int) -> DatasetReport:
    account = DatasetReport("d", read=read, used=read - bad)
    for number in range(bad):
        account.drop(RowProblem("f", number, "", "is bad"))
    return account


def test_a_run_stops_as_soon_as_it_cannot_end_well() -> None:
    stop_early(account_of(20, 10), 0.01, total=1000)
    with pytest.raises(DataError, match="11 of 20 rows so far cannot be used"):
        stop_early(account_of(20, 11), 0.01, total=1000)
    with pytest.raises(DataError, match="11 of 20 rows cannot be used"):
        stop_early(account_of(20, 11), 10, total=20)


def test_a_file_is_not_judged_by_its_beginning() -> None:
    """Bad rows may stand close together: the share is known at the end. Nothing but bad rows is enough."""
    stop_early(account_of(1000, 999), 0.01)
    stop_early(account_of(999, 999), 0.01)
    with pytest.raises(DataError, match="1000 of 1000 rows so far cannot be used"):
        stop_early(account_of(1000, 1000), 0.01)


def test_a_stream_is_judged_after_a_thousand_rows() -> None:
    stop_early(account_of(999, 998), 0.01, stream=True)
    stop_early(account_of(1000, 10), 0.01, stream=True)
    with pytest.raises(DataError, match="11 of 1000 rows so far cannot be used"):
        stop_early(account_of(1000, 11), 0.01, stream=True)


def test_a_count_is_exceeded_at_once() -> None:
    stop_early(account_of(7, 5), 5)
    with pytest.raises(DataError, match="6 of 7 rows so far cannot be used"):
        stop_early(account_of(7, 6), 5)
