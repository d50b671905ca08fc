"""Files -> rows: every kind of file, from anywhere in it, in bounded memory, and the exact words about bad ones."""

# ruff: noqa: E501 - messages stand as a person sees them
from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.sources import BadRow, json_file, kind_of, open_source
from engine.errors import DataError

ROWS = [{"instruction": f"q{i}\u2028 你好", "output": "a\n" * (i % 3)} for i in range(7)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


def write(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(tmp_path: Path, name: str, content: str | bytes, start: int = 0) -> list[tuple[int, Any]]:
    return list(open_source(write(tmp_path, name, content)).rows(start))


def message(tmp_path: Path, name: str, content: str | bytes) -> str:
    """The error that a person sees, without the folder."""
    with pytest.raises(DataError) as caught:
        read(tmp_path, name, content)
    return str(caught.value).replace(f"{tmp_path}/", "")


def columnar(tmp_path: Path, kind: str, rows: list[dict[str, Any]], batch: int = 3) -> Path:
    """The rows as a file of several row groups or batches."""
    table = pyarrow.Table.from_pylist(rows)
    if kind == "parquet":
        path = tmp_path / "d.parquet"
        pyarrow.parquet.write_table(table, path, row_group_size=batch)
        return path
    path = tmp_path / "d.arrow"
    new = pyarrow.ipc.new_file if kind == "arrow_file" else pyarrow.ipc.new_stream
    with new(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=batch)
    return path


TEXT_FORMS: dict[str, tuple[str, str | bytes, list[int]]] = {
    "list": ("d.json", json.dumps(ROWS, ensure_ascii=False), [1, 2, 3, 4, 5, 6, 7]),
    "indented": ("d.json", json.dumps(ROWS, indent=2), [1, 2, 3, 4, 5, 6, 7]),
    "objects": ("d.json", "\n\n".join(json.dumps(row, indent=1) for row in ROWS), [1, 2, 3, 4, 5, 6, 7]),
    "lines": ("d.jsonl", LINES, [1, 2, 3, 4, 5, 6, 7]),
    "lines_in_json": ("d.json", LINES, [1, 2, 3, 4, 5, 6, 7]),
    "no_last_newline": ("d.jsonl", LINES.rstrip("\n"), [1, 2, 3, 4, 5, 6, 7]),
    "blank_lines": ("d.jsonl", LINES.replace("\n", "\n \t\n"), [1, 3, 5, 7, 9, 11, 13]),
    "windows": ("d.jsonl", LINES.replace("\n", "\r\n"), [1, 2, 3, 4, 5, 6, 7]),
    "bom": ("d.json", b"\xef\xbb\xbf" + json.dumps(ROWS).encode(), [1, 2, 3, 4, 5, 6, 7]),
    "bom_lines": ("D.JSONL", b"\xef\xbb\xbf" + LINES.encode(), [1, 2, 3, 4, 5, 6, 7]),
    "gz_list": ("d.json.gz", gzip.compress(json.dumps(ROWS).encode()), [1, 2, 3, 4, 5, 6, 7]),
    "gz_lines": ("d.jsonl.gz", gzip.compress(LINES.encode()), [1, 2, 3, 4, 5, 6, 7]),
}


@pytest.mark.parametrize("form", TEXT_FORMS)
def test_json_in_every_form(tmp_path: Path, form: str) -> None:
    name, content, numbers = TEXT_FORMS[form]
    source = open_source(write(tmp_path, name, content))
    assert list(source.rows()) == list(zip(numbers, ROWS, strict=True))
    assert source.count() == 7
    assert source.columns() == ["instruction", "output"]
    for start in (1, 6, 7, 9):
        assert list(source.rows(start)) == list(source.rows())[start:]


@pytest.mark.parametrize("kind", ["parquet", "arrow_file", "arrow_stream"])
def test_parquet_and_arrow(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{**row, "turns": [{"role": "user"}, {"role": str(i)}]} for i, row in enumerate(ROWS)]
    source = open_source(columnar(tmp_path, kind, rows))
    # One row per batch as well as all in one.
    for size in (1, 8 << 20):
        monkeypatch.setattr("engine.data.sources.columnar.BATCH_BYTES", size)
        assert list(source.rows()) == list(enumerate(rows, 1))
        for start in (1, 2, 3, 5, 6, 7, 9):
            assert list(source.rows(start)) == list(enumerate(rows, 1))[start:]
    assert source.count() == 7
    assert source.columns() == ["instruction", "output", "turns"]


def test_a_table_of_datasets_is_read(tmp_path: Path) -> None:
    """The stream format, as `datasets` leaves it in its cache and with save_to_disk."""
    from datasets import Dataset

    Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "saved"))
    (path,) = (tmp_path / "saved").glob("*.arrow")
    assert [row for _, row in open_source(path).rows()] == ROWS


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.csv", 'a,b\n"x\ny",1\n\nz,"2,""3"""\n'),
        ("d.csv", b"\xef\xbb\xbf" + b'a,b\r\n"x\ny",1\r\n\r\nz,"2,""3"""\r\n'),
        ("d.csv", 'a;b\n"x\ny";1\n\nz;"2,""3"""'),
        ("d.csv", 'a\tb\n"x\ny"\t1\n\nz\t"2,""3"""'),
        ("d.tsv", 'a\tb\n"x\ny"\t1\n\nz\t"2,""3"""\n'),
        ("d.csv.gz", gzip.compress(b',a,b\n0,"x\ny",1\n\n1,z,"2,""3"""\n')),
    ],
)
def test_csv_rows_are_known_by_the_line_they_begin_on(
    tmp_path: Path, name: str, content: str | bytes
) -> None:
    source = open_source(write(tmp_path, name, content))
    assert list(source.rows()) == [(2, {"a": "x\ny", "b": "1"}), (5, {"a": "z", "b": '2,"3"'})]
    assert list(source.rows(1)) == [(5, {"a": "z", "b": '2,"3"'})]
    assert source.count() == 2
    assert source.columns() == ["a", "b"]


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "\ufeffsep=;"])
def test_a_spreadsheet_may_tell_what_stands_between_its_cells(tmp_path: Path, first: str) -> None:
    source = open_source(write(tmp_path, "d.csv", f'{first}\r\na,b;c\r\n"1;2";3\r\n'.encode()))
    assert list(source.rows()) == [(3, {"a,b": "1;2", "c": "3"})]
    assert source.columns() == ["a,b", "c"] and source.count() == 1


def test_text_is_a_row_per_line_that_is_not_blank(tmp_path: Path) -> None:
    source = open_source(write(tmp_path, "d.txt", "\ufeffone\r\n\r\n two \n\x0bthree"))
    assert list(source.rows()) == [(1, {"text": "one"}), (3, {"text": " two "}), (4, {"text": "\x0bthree"})]
    assert (source.count(), source.columns(), len(list(source.rows(2)))) == (3, ["text"], 1)


BAD_ROWS: dict[str, tuple[str, str | bytes, int, str]] = {
    "torn": ("d.jsonl", '{"a": 1}\n{"a": \n{"a": 2}\n', 2, "column 6: Expecting value; the line ends in the middle of a row"),
    "torn_text": ("d.jsonl", '{"a": 1}\n{"a": "x', 2, "column 7: Unterminated string; the line ends in the middle of a row"),
    "colon": ("d.jsonl", '{"a": 1}\n{"a" 1}\n', 2, "column 6: Expecting ':' delimiter"),
    "two_rows": ("d.jsonl", '{"a": 1}\n{"a": 1}{"a": 2}\n', 2, "column 9: Extra data"),
    "in_json": ("d.json", '{"a": 1}\n{"a" 1}\n', 2, "column 6: Expecting ':' delimiter"),
    "nul": ("d.jsonl", b'{"a": 1}\n\0\0\0\0\n', 2, "holds NUL bytes: the file was torn by a crash, or is not text"),
    "nul_txt": ("d.txt", b"one\nt\0wo\n", 2, "holds NUL bytes: the file was torn by a crash, or is not text"),
    "nul_csv": ("d.csv", b"a\nx\0\n", 2, "holds NUL bytes: the file was torn by a crash, or is not text"),
    "latin1": ("d.jsonl", b'{"a": 1}\n{"a": "caf\xe9"}\n', 2, "byte 11 is not UTF-8 (0xe9); save the file as UTF-8"),
    "latin1_txt": ("d.txt", b"one\ncaf\xe9\n", 2, "byte 4 is not UTF-8 (0xe9); save the file as UTF-8"),
    "deep": ("d.jsonl", '{"a": 1}\n' + "[" * 100_000, 2, "nested too deeply to be a row"),
    "digits": ("d.jsonl", '{"a": 1}\n{"a": ' + "9" * 5000 + "}", 2, "holds a whole number of thousands of digits"),
    "twice": ("d.jsonl", '{"a": 1}\n{"a": 1, "b": 2, "a": 3}', 2, 'the key "a" stands twice'),
    "twice_in_list": ("d.json", '[{"a": 1},\n{"b": [{"a": 1, "a": 1}]}]', 2, 'the key "a" stands twice'),
    "wide": ("d.csv", "a,b\n1,2,3\n", 2, "has 3 cells, the header names 2 columns"),
    "narrow": ("d.csv", "a,b,\n1\n2,3\n", 2, "has 1 cell, the header names 3 columns"),
    "quotes": ("d.csv", 'a,b\n"x"y,2\n3,4\n', 2, "stray quotes: ',' expected after '\"'"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD_ROWS)
def test_a_bad_row_stands_in_its_place(tmp_path: Path, fault: str) -> None:
    """The rows around it are read, and it counts as one."""
    name, content, number, reason = BAD_ROWS[fault]
    source = open_source(write(tmp_path, name, content))
    rows = list(source.rows())
    assert [(at, row) for at, row in rows if isinstance(row, BadRow)] == [(number, BadRow(number, reason))]
    assert source.count() == len(rows)
    assert all(isinstance(row, dict) for at, row in rows if at != number)


CUT = "the file ends in the middle of a row; it was cut off (a copy or download that did not finish?)"
BROKEN_FILES: dict[str, tuple[str, str | bytes, str]] = {
    "cut_in_row": ("d.json", '[{"a": 1},\n{"b"', f"d.json: line 2, column 5: {CUT}"),
    "cut_in_text": ("d.json", '[{"a": 1},\n{"b": "x\\', f"d.json: line 2, column 10: {CUT}"),
    "cut_between": ("d.json", '[{"a": 1}\n,\n', f"d.json: line 3, column 1: {CUT}"),
    "comma": ("d.json", '[{"a": 1}\n {"a": 2}]', "d.json is not JSON: line 2, column 2: Expecting ',' delimiter"),
    "last_comma": ("d.json", '[{"a": 1},\n]', "d.json is not JSON: line 2, column 1: Expecting value; a comma stands before the ]"),
    "quotes": ("d.json", "[{'a': 1}]", "d.json is not JSON: line 1, column 3: Expecting property name enclosed in double quotes; JSON has double quotes"),
    "after": ("d.json", "[]\n[]", "d.json is not JSON: line 2, column 1: Extra data"),
    "word": ("d.json", "hello", "d.json is not JSON: line 1, column 1: Expecting value"),
    "number": ("d.json", " 3.5", "d.json: expected a list of rows, or one object per line, found a number"),
    "text": ("d.json", '"x"', "d.json: expected a list of rows, or one object per line, found a text"),
    "empty": ("d.json", "\n", "d.json is empty"),
    "nul": ("d.json", b"[1,\0\0\0]", "d.json is not JSON: line 1, column 4: holds NUL bytes: the file was torn by a crash, or is not text"),
    "deep": ("d.json", "[" * 100_000, "d.json: nested too deeply to be a dataset"),
    "digits": ("d.json", f"[{'9' * 5000}]", "d.json is not JSON: line 1, column 2: holds a whole number of thousands of digits"),
    "latin1": ("d.json", b'[\n{"a": "caf\xe9"}]', "d.json: line 2, byte 11 is not UTF-8 (0xe9); save the file as UTF-8"),
    "latin1_end": ("d.json", b'[{"a": 1}]\xe4', "d.json: line 1, byte 11 is not UTF-8 (0xe4); save the file as UTF-8"),
    "latin1_csv": ("d.csv", b"a\nok\ncaf\xe9\n", "d.csv: line 3, byte 4 is not UTF-8 (0xe9); save the file as UTF-8"),
    "latin1_header": ("d.csv", b"caf\xe9\nok\n", "d.csv: line 1, byte 4 is not UTF-8 (0xe9); save the file as UTF-8"),
    "utf16": ("d.csv", "a,b\n".encode("utf-16"), "d.csv is UTF-16, expected UTF-8; convert it: iconv -f UTF-16 -t UTF-8 d.csv > new_file"),
    "utf16_no_bom": ("d.jsonl", '{"a": 1}'.encode("utf-16-be"), "d.jsonl is UTF-16, expected UTF-8; convert it: iconv -f UTF-16 -t UTF-8 d.jsonl > new_file"),
    "open_quote": ("d.csv", 'a,b\n1,2\n3,"x\ny\n', "d.csv: line 3: a quote opens here and is not closed before the end of the file"),
    "header_twice": ("d.csv", "a,b,a\n", 'd.csv: line 1: the column "a" stands twice in the header'),
    "header_quotes": ("d.csv", '"a"b,c\n', "d.csv: line 1: stray quotes: ',' expected after '\"'"),
    "no_header": ("d.tsv", "", "d.tsv is empty: the first line names the columns"),
    "gz_cut": ("d.jsonl.gz", gzip.compress(LINES.encode())[:-9], "d.jsonl.gz: not a whole gzip file: Compressed file ended before the end-of-stream marker was reached"),
    "gz_not": ("d.txt.gz", b"hello", "d.txt.gz: not a whole gzip file: Not a gzipped file (b'he')"),
    "parquet": ("d.parquet", b"PAR1", "d.parquet: not a readable parquet file: Parquet file size is 4 bytes, smaller than the minimum file footer (8 bytes)"),
    "arrow": ("d.arrow", b"no", "d.arrow: not a readable arrow file: Corrupted message, only 2 bytes available"),
    "arrow_empty": ("d.arrow", b"", "d.arrow is empty"),
    "lfs": ("d.parquet", "version https://git-lfs.github.com/spec/v1\noid", "d.parquet is a Git LFS pointer, not the data itself; run git lfs pull where it was cloned"),
    "lfs_lines": ("d.jsonl", "version https://git-lfs.github.com/spec/v1\noid", "d.jsonl is a Git LFS pointer, not the data itself; run git lfs pull where it was cloned"),
    "page": ("d.json", " <!DOCTYPE html>", "d.json is a web page or XML, not data; the download gave a page instead of the file"),
    "page_csv": ("d.csv", "<html>\n", "d.csv is a web page or XML, not data; the download gave a page instead of the file"),
    "excel": ("d.xlsx", b"PK", "d.xlsx: files of this kind are not read; use .json, .jsonl, .csv, .tsv, .parquet, .arrow, .txt (text also as .gz)"),
    "packed": ("d.parquet.gz", b"", "d.parquet.gz: files of this kind are not read; use .json, .jsonl, .csv, .tsv, .parquet, .arrow, .txt (text also as .gz)"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN_FILES)
def test_broken_files(tmp_path: Path, fault: str) -> None:
    name, content, expected = BROKEN_FILES[fault]
    assert message(tmp_path, name, content) == expected


def test_a_torn_table(tmp_path: Path) -> None:
    for kind in ("parquet", "arrow_file", "arrow_stream"):
        path = columnar(tmp_path, kind, [{"a": "x" * 1000}] * 100, batch=50)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        with pytest.raises(DataError, match=f"not a readable {kind.split('_')[0]} file: "):
            list(open_source(path).rows())


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    for name in ("d.json", "d.csv", "d.parquet", "d.arrow"):
        source = open_source(tmp_path / name)
        for ask in (lambda source=source: list(source.rows()), source.digest, source.count):
            with pytest.raises(DataError, match=f"{name} cannot be read: No such file or directory"):
                ask()


def test_kinds_are_told_by_suffix() -> None:
    names = [
        "a.JSON",
        "a.jsonl.gz",
        "a.b.csv",
        "a.TSV.GZ",
        "a.arrow",
        "a.arrow.gz",
        "gz",
        "a.gz",
        ".json",
        "a",
    ]
    assert [kind_of(Path(name)) for name in names] == [
        ".json", ".jsonl", ".csv", ".tsv", ".arrow", None, None, None, None, None,
    ]  # fmt: skip


def test_columns_of_later_rows(tmp_path: Path) -> None:
    """A thousand rows are looked at unless all are asked for."""
    lines = '{"a": 1}\n' * 1000 + '{"b": 1}\n' + "3\n"
    source = open_source(write(tmp_path, "d.jsonl", lines))
    assert source.columns() == ["a"]
    assert source.columns(limit=None) == ["a", "b"]


def test_digest_is_of_the_bytes_and_sources_travel_to_workers(tmp_path: Path) -> None:
    source = open_source(write(tmp_path, "d.jsonl", LINES))
    assert source.digest() == hashlib.sha256(LINES.encode()).hexdigest()
    assert list(pickle.loads(pickle.dumps(source)).rows(3)) == list(source.rows(3))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.dictionaries(st.text(), VALUES, max_size=3) | VALUES, max_size=6),
    indent=st.sampled_from([None, 0, 2]),
    ascii=st.booleans(),
    window=st.integers(1, 40),
)
def test_a_list_is_read_as_json_reads_it_wherever_the_window_ends(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], indent: int | None, ascii: bool, window: int
) -> None:
    path = tmp_path_factory.mktemp("w") / "d.json"
    path.write_text(json.dumps(rows, indent=indent, ensure_ascii=ascii), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_file, "CHUNK", window)
        assert [row for _, row in open_source(path).rows()] == json.loads(path.read_text(encoding="utf-8"))


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(1, 120), window=st.integers(1, 40))
def test_a_list_cut_anywhere_is_told_to_be_cut_off(
    tmp_path_factory: pytest.TempPathFactory, cut: int, window: int
) -> None:
    whole = json.dumps([{"a": "x\\u00e9\n", "b": [1.5e-3, True]}, {"c": None, "d": {"e": -12}}] * 2)
    path = tmp_path_factory.mktemp("c") / "d.json"
    path.write_text(whole[: min(cut, len(whole) - 1)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_file, "CHUNK", window)
        with pytest.raises(DataError, match="was cut off"):
            list(open_source(path).rows())


def peak_of(rows: Iterator[tuple[int, Any]]) -> tuple[int, int]:
    """(rows, peak bytes allocated while they went by)."""
    tracemalloc.start()
    try:
        count = sum(1 for _ in rows)
        return count, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["d.json", "d.jsonl", "d.csv", "d.txt", "d.jsonl.gz", "d.json.gz"])
def test_memory_is_bounded_by_a_few_rows(tmp_path: Path, name: str) -> None:
    """20 MB of rows pass through less than 8 MB."""
    value = json.dumps({"a": "x" * 2000})
    content = {
        ".json": "[" + ",\n".join([value] * 10_000) + "]",
        ".jsonl": (value + "\n") * 10_000,
        ".csv": "a,b\n" + ("x" * 2000 + ",y\n") * 10_000,
        ".txt": ("x" * 2000 + "\n") * 10_000,
    }[Path(name.removesuffix(".gz")).suffix].encode()
    path = write(tmp_path, name, gzip.compress(content, 1) if name.endswith(".gz") else content)
    count, peak = peak_of(open_source(path).rows())
    assert count == 10_000
    assert peak < 8 << 20


@pytest.mark.parametrize("kind", ["parquet", "arrow_file", "arrow_stream"])
def test_one_large_batch_is_taken_in_pieces(tmp_path: Path, kind: str) -> None:
    """60 MB in one row group: neither as Python values nor as arrow's buffers is it held at once."""
    path = columnar(tmp_path, kind, [{"a": f"{i}" + "x" * 6000} for i in range(10_000)], batch=10_000)
    count, peak = peak_of(open_source(path).rows())
    assert count == 10_000
    assert peak < 24 << 20


def test_a_row_of_many_megabytes(tmp_path: Path) -> None:
    row = {"a": "x" * (5 << 20)}
    for name, content in (
        ("d.json", json.dumps([{"a": "y"}, row, {"a": "z"}])),
        ("d.jsonl", f"{json.dumps(row)}\n{json.dumps(row)}"),
        ("d.csv", "a\ny\n" + "x" * (5 << 20)),
    ):
        assert read(tmp_path, name, content)[1][1] == row


@pytest.mark.parametrize("name", ["d.json", "d.jsonl"])
def test_reading_is_cheap(tmp_path: Path, name: str) -> None:
    """5,000 rows of 800 bytes; 50,000 must cost under 0.6 s of CPU."""
    row = {"instruction": "Tell it in plain words, é.", "input": "x" * 200, "output": "It is so.\n" * 50}
    text = ",\n".join([json.dumps(row)] * 5000)
    source = open_source(
        write(tmp_path, name, f"[{text}]" if name == "d.json" else text.replace(",\n", "\n"))
    )
    best = 9.0
    for _ in range(3):
        began = time.process_time()
        assert sum(1 for _ in source.rows()) == 5000
        best = min(best, time.process_time() - began)
    assert best < 0.06
