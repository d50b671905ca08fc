"""Files -> rows, one at a time. Knows nothing of what columns mean, and never holds more than a few rows.

One module per kind of file: json, json lines, csv and tsv, parquet, arrow, txt; the text kinds also gzipped.
Text is UTF-8, with or without a byte-order mark; UTF-16 is refused with the way out.
Try: for number, row in open_source("data/identity.json").rows(): print(number, row)
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from engine.data.sources.text import BadRow, telling
from engine.errors import DataError

__all__ = ["SUFFIXES", "BadRow", "Source", "kind_of", "open_source"]

KINDS: Mapping[str, str] = {
    ".json": "json_file",
    ".jsonl": "lines",
    ".csv": "delimited",
    ".tsv": "delimited",
    ".parquet": "columnar",
    ".arrow": "columnar",
    ".txt": "plain",
}
SUFFIXES = tuple(KINDS)
TEXT_KINDS = (".json", ".jsonl", ".csv", ".tsv", ".txt")
# Rows looked at for the names of columns, where the file has no header or schema.
COLUMN_ROWS = 1000


class Kind(Protocol):
    """What a module of this package offers. `find_columns` gives None where only the rows know."""

    def read_rows(self, path: Path, start: int) -> Iterator[tuple[int, Any]]: ...

    def find_columns(self, path: Path) -> list[str] | None: ...

    def count_rows(self, path: Path) -> int: ...


@dataclass(frozen=True)
class Source:
    """One data file. Holds nothing open: any number of readers, in any process, can start anywhere."""

    path: Path

    def digest(self) -> str:
        """SHA-256 of the bytes. Raises DataError when the file cannot be read."""
        with telling(self.path), self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def rows(self, start: int = 0) -> Iterator[tuple[int, Any]]:
        """(number, row) from the start-th row on, counted from 0; bad ones count too.

        The number is what a person calls the row: its line in csv, txt and JSON lines, else counted from 1. A
        row that cannot be read is a BadRow. Raises DataError with line and column where the file ends to make
        sense as a whole.
        """
        return _kind(self.path).read_rows(self.path, start)

    def columns(self, limit: int | None = COLUMN_ROWS) -> list[str]:
        """Names in the header or schema; else those in the first `limit` rows (None: all), as they appear."""
        named = _kind(self.path).find_columns(self.path)
        if named is not None:
            return named
        rows = itertools.islice(self.rows(), limit)
        return list(dict.fromkeys(key for _, row in rows if isinstance(row, dict) for key in row))

    def count(self) -> int:
        """How many rows `rows()` gives: from the header of parquet, else by reading all of the file."""
        return _kind(self.path).count_rows(self.path)


def open_source(path: str | Path) -> Source:
    """Raises DataError when the file's kind is not one we read. Opens nothing yet."""
    source = Source(Path(path))
    if kind_of(source.path) is None:
        raise DataError(
            f"{path}: files of this kind are not read; use {', '.join(SUFFIXES)} (text also as .gz)"
        )
    return source


def kind_of(path: Path) -> str | None:
    """The suffix that says how to read the file, ".json" for rows.JSON.gz as well; None for other files."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        return suffixes[-2] if suffixes[-2:-1] and suffixes[-2] in TEXT_KINDS else None
    return suffixes[-1] if suffixes and suffixes[-1] in KINDS else None


def _kind(path: Path) -> Kind:
    suffix = kind_of(path)
    assert suffix is not None, f"open_source lets no {path.name} through"
    kind: Kind = importlib.import_module(f"engine.data.sources.{KINDS[suffix]}")
    return kind
