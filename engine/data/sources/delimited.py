"""csv and tsv: the first line names the columns. A file whose header has no comma is split at its semicolons
or tabs, and a first line "sep=;", as spreadsheets write it, is obeyed. Cells stay text; a row with more or
fewer cells than the header, or with stray quotes, is a bad row.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.data.sources.text import NUL_REASON, BadRow, not_utf8, open_bytes
from engine.errors import DataError

# A quote that is never closed would read the rest of the file into one cell.
MAX_CELL = 64 << 20
UNCLOSED = "a quote opens here and is not closed before the end of the file"


def read_rows(path: Path, start: int) -> Iterator[tuple[int, Any]]:
    with _open_table(path) as (header, records):
        for number, cells in records:
            if start:
                start -= 1
            elif isinstance(cells, str):
                yield number, BadRow(number, cells)
            else:
                yield number, _row(number, header, cells)


def find_columns(path: Path) -> list[str] | None:
    with _open_table(path) as (header, _):
        return [name for name in header if name]


def count_rows(path: Path) -> int:
    with _open_table(path) as (_, records):
        return sum(1 for _ in records)


def _row(number: int, header: list[str], cells: list[str]) -> Any:
    if len(cells) > len(header) or any(header[len(cells) :]):
        count = f"{len(cells)} cell{'s' if len(cells) != 1 else ''}"
        return BadRow(number, f"has {count}, the header names {len(header)} columns")
    if any("\0" in cell for cell in cells):
        return BadRow(number, NUL_REASON)
    row = dict(zip(header, cells, strict=False))
    # Spreadsheets leave columns without a name behind: an index, or trailing commas.
    row.pop("", None)
    return row


@contextlib.contextmanager
def _open_table(path: Path) -> Iterator[tuple[list[str], Iterator[tuple[int, list[str] | str]]]]:
    """(header, records); a record is (line it starts on, cells, or why they cannot be told apart)."""
    csv.field_size_limit(MAX_CELL)
    with open_bytes(path) as file, io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        try:
            first = text.readline()
            delimiter, told = _delimiter(path, first)
            # An empty line is no record, and keeps the numbers of those that follow.
            lines = _joined("\n" if told else first, text)
            reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=False)
            records = _records(path, reader)
            header = next((cells for _, cells in records), None)
            if header is None:
                raise DataError(f"{path} is empty: the first line names the columns")
            if isinstance(header, str):
                raise DataError(f"{path}: line 1: {header}")
            for name in header:
                if name and header.count(name) > 1:
                    raise DataError(f'{path}: line 1: the column "{name}" stands twice in the header')
            yield header, records
        except UnicodeDecodeError:
            raise not_utf8(path) from None


def _joined(first: str, rest: io.TextIOWrapper) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def _delimiter(path: Path, first: str) -> tuple[str, bool]:
    """(what stands between cells, whether the first line is there to tell it)."""
    if told := re.fullmatch(r'"?sep=([,;|\t])"?\s*', first):
        return told.group(1), True
    if ".tsv" in [suffix.lower() for suffix in path.suffixes[-2:]]:
        return "\t", False
    return next((mark for mark in ",;\t" if mark in first), ","), False


def _records(path: Path, reader: Any) -> Iterator[tuple[int, list[str] | str]]:
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise DataError(f"{path}: line {number}: {UNCLOSED}") from None
            if "field limit" in str(error):
                raise DataError(f"{path}: line {number}: a cell of over {MAX_CELL >> 20} MiB") from None
            yield number, f"stray quotes: {error}"
        else:
            if cells:
                yield number, cells
