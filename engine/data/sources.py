"""Files -> rows. json, jsonl, csv and parquet, UTF-8 with or without a byte-order mark. Knows nothing of what
columns mean.

Try: rows = parse(path, read_bytes(path)); rows.columns(), rows.numbers[0], rows.rows[0]
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.data.report import MAX_SHOWN
from engine.errors import DataError


@dataclass(frozen=True)
class Rows:
    """The rows of one file. `numbers[i]` is what a person calls row i: counted from 1, or its line in JSON
    lines.
    """

    path: Path
    rows: list[Any]
    numbers: Sequence[int]

    def columns(self) -> list[str]:
        """Names that occur in any row, in order of first appearance."""
        return list(dict.fromkeys(key for row in self.rows if isinstance(row, dict) for key in row))


def read_bytes(path: Path) -> bytes:
    """Raises DataError when the file cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def parse(path: Path, content: bytes) -> Rows:
    """Raises DataError with file, line and column; for JSON lines up to ten bad lines at once."""
    if path.suffix == ".parquet":
        return _parse_parquet(path, content)
    text = _decode(path, content)
    if path.suffix == ".csv":
        return _parse_csv(path, text)
    if path.suffix == ".jsonl":
        return _parse_lines(path, text)
    return _parse_json(path, text)


def _decode(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line_start = content.rfind(b"\n", 0, error.start) + 1
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - line_start + 1
        raise DataError(
            f"{path}: line {line}, byte {column} is not UTF-8 (0x{content[error.start]:02x}); "
            "save the file as UTF-8"
        ) from None


def _parse_json(path: Path, text: str) -> Rows:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        # A .json file may hold JSON lines: then the first object parses and more follows.
        if error.msg == "Extra data" and text.lstrip().startswith("{"):
            return _parse_lines(path, text)
        raise DataError(f"{path}: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise DataError(f"{path}: nested too deeply to be a dataset") from None
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise DataError(f"{path}: expected a list of rows")
    return Rows(path, value, range(1, len(value) + 1))


def _parse_lines(path: Path, text: str) -> Rows:
    rows: list[Any] = []
    numbers: list[int] = []
    problems: list[str] = []
    # str.splitlines would also split at U+2028 and friends, which may stand inside JSON strings.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
            numbers.append(number)
        except json.JSONDecodeError as error:
            problems.append(f"{path}: line {number}, column {error.colno}: {error.msg}")
            if len(problems) == MAX_SHOWN:
                problems.append("(stopped after ten such lines)")
                break
        except RecursionError:
            problems.append(f"{path}: line {number}: nested too deeply to be a row")
    if problems:
        raise DataError("\n".join(problems))
    return Rows(path, rows, numbers)


def _parse_csv(path: Path, text: str) -> Rows:
    # The standard limit of 128 KiB per field would refuse long documents.
    csv.field_size_limit(2**31 - 1)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[Any] = []
    try:
        for row in reader:
            if None in row:
                width = len(reader.fieldnames or [])
                raise DataError(f"{path}: line {reader.line_num}: more fields than the {width} columns")
            rows.append(row)
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.reader.line_num}: {error}") from None
    return Rows(path, rows, range(1, len(rows) + 1))


def _parse_parquet(path: Path, content: bytes) -> Rows:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{path}: not a readable parquet file: {error}") from None
    return Rows(path, rows, range(1, len(rows) + 1))
