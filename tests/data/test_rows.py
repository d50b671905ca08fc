"""Files and formats: what is read, and the exact words about what cannot be."""

# ruff: noqa: E501 - messages stand as a person sees them
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.example import Example
from engine.data.read import check_columns, read_examples, stop_if_bad
from engine.data.registry import find_datasets
from engine.data.report import DatasetReport
from engine.data.sources import parse
from engine.errors import DataError
from tests.data.support import alpaca, conversation, write_dataset


def read(tmp_path: Path, content: object, *, suffix: str = ".json", **entry: Any) -> list[Example]:
    """Registered, parsed and converted, as the pipeline does it."""
    write_dataset(tmp_path, "d", content, suffix=suffix, **entry)
    (spec,) = find_datasets(["d"], tmp_path)
    rows = [parse(path, path.read_bytes()) for path in spec.files]
    check_columns(spec, rows)
    total = sum(len(part.rows) for part in rows)
    account = DatasetReport("d", [str(path) for path in spec.files], read=total)
    examples = [example for _, _, example in read_examples(spec, rows, np.arange(total), account)]
    account.used = len(examples)
    stop_if_bad(account)
    return examples


def message(tmp_path: Path, content: object, **options: Any) -> str:
    """The error that a person sees, the folder written as DIR."""
    with pytest.raises(DataError) as caught:
        read(tmp_path, content, **options)
    return str(caught.value).replace(str(tmp_path), "DIR")


def human(text: object) -> dict[str, object]:
    return {"from": "human", "value": text}


def gpt(text: object) -> dict[str, object]:
    return {"from": "gpt", "value": text}


def test_alpaca(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Add.", "input": "2 and 3", "output": "5"},
        {"instruction": "Hi", "output": "Hello", "extra": 1},
        {"instruction": "", "input": "only input", "output": "ok"},
        {"instruction": "More", "output": "yes", "past": [["q", "a"]], "sys": "S"},
    ]
    columns = {"history": "past", "system": "sys"}
    assert read(tmp_path, rows, columns=columns) == [
        conversation("Add.\n2 and 3", "5"),
        conversation("Hi", "Hello"),
        conversation("only input", "ok"),
        conversation("q", "a", "More", "yes", system="S"),
    ]


def test_sharegpt(tmp_path: Path) -> None:
    rows = [
        {"conversations": [human("Hi"), gpt("Hello"), human("Bye"), gpt("Bye!")]},
        {"conversations": [{"from": "system", "value": "S"}, human("Hi"), gpt("Hello")], "sys": "unused"},
        {"conversations": [human("Hi"), gpt("Hello")], "sys": "T"},
    ]
    assert read(tmp_path, rows, formatting="sharegpt", columns={"system": "sys"}) == [
        conversation("Hi", "Hello", "Bye", "Bye!"),
        conversation("Hi", "Hello", system="S"),
        conversation("Hi", "Hello", system="T"),
    ]


def test_sharegpt_tags(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}]
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    got = read(tmp_path, rows, formatting="sharegpt", columns={"messages": "messages"}, tags=tags)
    assert got == [conversation("Hi", "Hello")]


LINES = '{"instruction": "Hi", "output": "Hello\u2028there"}\n\n{"instruction": "你好", "output": "是"}\n'


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".jsonl", LINES),
        (".json", LINES),
        (".jsonl", LINES.replace("\n", "\r\n")),
        (".json", b"\xef\xbb\xbf" + LINES.encode()),
        (".csv", 'instruction,output\nHi,"Hello\u2028there"\n你好,是\n'),
        (".csv", b"\xef\xbb\xbf" + 'instruction,output\nHi,"Hello\u2028there"\n你好,是\n'.encode()),
    ],
)
def test_file_kinds(tmp_path: Path, suffix: str, content: object) -> None:
    expected = [conversation("Hi", "Hello\u2028there"), conversation("你好", "是")]
    assert read(tmp_path, content, suffix=suffix) == expected


def test_parquet(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(alpaca(3)), tmp_path / "x.parquet")
    got = read(tmp_path, (tmp_path / "x.parquet").read_bytes(), suffix=".parquet")
    assert got == [conversation(row["instruction"], row["output"]) for row in alpaca(3)]
    assert message(tmp_path, b"PAR1 no", suffix=".parquet").startswith(
        "DIR/d.parquet: not a readable parquet file: "
    )


FAULTS: list[tuple[str, object, dict[str, Any], str]] = [
    ("torn_json", '[{"instruction": "a", "output": "b"},\n {"instruction": ', {},
     "DIR/d.json: line 2, column 18: Expecting value"),
    ("missing_comma", '[{"instruction": "a"\n "output": "b"}]', {},
     "DIR/d.json: line 2, column 2: Expecting ',' delimiter"),
    ("empty_file", "", {}, "DIR/d.json: line 1, column 1: Expecting value"),
    ("no_rows", "[]", {}, "dataset d: DIR/d.json holds no rows"),
    ("a_number", "3", {}, "DIR/d.json: expected a list of rows"),
    ("deep", "[" * 200_000, {}, "DIR/d.json: nested too deeply to be a dataset"),
    ("latin1", b'[{"instruction": "caf\xe9"}]', {},
     "DIR/d.json: line 1, byte 22 is not UTF-8 (0xe9); save the file as UTF-8"),
    ("torn_lines", '{"instruction": "a", "output": "b"}\n{"instruction": \n{"a" 1}\n', {"suffix": ".jsonl"},
     "DIR/d.jsonl: line 2, column 17: Expecting value\nDIR/d.jsonl: line 3, column 6: Expecting ':' delimiter"),
    ("wrong_columns", [{"question": "a", "answer": "b"}], {},
     'dataset d: DIR/d.json, row 1: no column "instruction", "output"; the columns that exist are "question", '
     '"answer". Set columns in dataset_info.json'),
    ("wrong_mapping", [{"q": "a", "output": "b"}], {"columns": {"prompt": "q", "query": "x", "response": "a"}},
     'dataset d: DIR/d.json, row 1: no column "a", "x"; the columns that exist are "q", "output". Set columns in '
     "dataset_info.json"),
    ("sharegpt_column", [{"messages": []}], {"formatting": "sharegpt"},
     'dataset d: DIR/d.json, row 1: no column "conversations"; the columns that exist are "messages". Set columns in '
     "dataset_info.json"),
    ("csv_width", "instruction,output\na,b,c\n", {"suffix": ".csv"},
     "DIR/d.csv: line 2: more fields than the 2 columns"),
    ("csv_quote", 'instruction,output\n"a,b\n', {"suffix": ".csv"}, "DIR/d.csv: line 2: unexpected end of data"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "options", "expected"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS]
)
def test_broken_files(tmp_path: Path, content: object, options: dict[str, Any], expected: str) -> None:
    assert message(tmp_path, content, **options) == expected


ALPACA_ROWS: list[tuple[object, str]] = [
    ("text", "row 1: is not an object with named columns"),
    ({"instruction": "", "output": "b"}, 'row 1, column "instruction": is empty'),
    ({"instruction": "a", "output": ""}, 'row 1, column "output": is empty: there would be nothing to learn'),
    ({"instruction": "a", "output": None}, 'row 1, column "output": is empty: there would be nothing to learn'),
    ({"instruction": ["a"], "output": "b"}, 'row 1, column "instruction": is a list, expected text'),
    ({"instruction": "a", "output": 7}, 'row 1, column "output": is a number, expected text'),
    ({"instruction": "a", "output": True}, 'row 1, column "output": is true or false, expected text'),
    ({"instruction": "a", "output": "b", "past": "x"},
     'row 1, column "past": is not a list of [question, answer] pairs'),
    ({"instruction": "a", "output": "b", "past": [["q"]]}, 'row 1, column "past": pair 1 is not [question, answer]'),
]  # fmt: skip


@pytest.mark.parametrize(("row", "expected"), ALPACA_ROWS)
def test_bad_alpaca_rows(tmp_path: Path, row: object, expected: str) -> None:
    good = {"instruction": "a", "output": "b", "past": []}
    text = message(tmp_path, [row, good], columns={"history": "past"})
    assert text == f"dataset d: 1 of 2 rows cannot be used\n  DIR/d.json, {expected}"


SHAREGPT_ROWS: list[tuple[object, str]] = [
    ([], "is empty"),
    ("x", "is not a list of messages"),
    ([human("a")], 'does not end with an answer from "gpt"'),
    ([{"from": "system", "value": "s"}], 'does not end with an answer from "gpt"'),
    ([gpt("a"), human("b")], 'message 1 has the role "gpt" where "human" is expected'),
    ([human("a"), human("b")], 'message 2 has the role "human" where "gpt" is expected'),
    ([human("a"), {"from": "bot", "value": "b"}],
     'message 2 has the role "bot" where "gpt" is expected; known roles are human, gpt, system (tags in '
     "dataset_info.json)"),
    ([human("a"), {"from": "function_call", "value": "{}"}],
     'message 2 has the role "function_call": tool turns are not supported yet'),
    ([{"role": "user", "content": "a"}], 'message 1 has no "from" and "value"'),
    ([human("a"), gpt(3)], "is a number, expected text"),
    ([human("a"), gpt("")], "every answer is empty: there would be nothing to learn"),
]  # fmt: skip


@pytest.mark.parametrize(("messages", "expected"), SHAREGPT_ROWS)
def test_bad_sharegpt_rows(tmp_path: Path, messages: object, expected: str) -> None:
    rows = [{"conversations": [human("a"), gpt("b")]}, {"conversations": messages}]
    text = message(tmp_path, rows, formatting="sharegpt")
    assert (
        text
        == f'dataset d: 1 of 2 rows cannot be used\n  DIR/d.json, row 2, column "conversations": {expected}'
    )


def test_a_bad_row_in_a_hundred_is_dropped_and_more_stop(tmp_path: Path) -> None:
    bad = {"instruction": "a", "output": ""}
    assert len(read(tmp_path, [*alpaca(99), bad])) == 99
    assert message(tmp_path, [*alpaca(98), bad, bad]).startswith("dataset d: 2 of 100 rows cannot be used\n")


def test_at_most_ten_reasons_are_told(tmp_path: Path) -> None:
    lines = message(tmp_path, [{"instruction": "a", "output": ""}] * 25).splitlines()
    assert lines[0] == "dataset d: 25 of 25 rows cannot be used"
    assert len(lines) == 12
    assert lines[-1] == "  ... and 15 more"
    torn = message(tmp_path, "{]\n" * 25, suffix=".jsonl").splitlines()
    assert len(torn) == 11
    assert torn[-1] == "(stopped after ten such lines)"


def test_row_numbers_of_json_lines_are_lines(tmp_path: Path) -> None:
    good = json.dumps(alpaca(1)[0])
    text = message(tmp_path, f'{good}\n\n\n{{"instruction": "a", "output": 1}}\n', suffix=".jsonl")
    assert 'DIR/d.jsonl, row 4, column "output": is a number, expected text' in text


def test_half_a_character_is_a_bad_cell(tmp_path: Path) -> None:
    """JSON can spell one half of an emoji; no tokenizer takes it."""
    text = message(tmp_path, '[{"instruction": "a", "output": "ab\\ud83d"}]')
    assert 'DIR/d.json, row 1, column "output": holds half a character (\\ud83d) at 3' in text
