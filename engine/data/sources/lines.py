"""JSON lines: one row per line. A line that does not parse is a bad row, not the end of the file; blank lines
are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.data.sources.decoder import RowDecoder
from engine.data.sources.text import open_bytes


def read_rows(path: Path, start: int) -> Iterator[tuple[int, Any]]:
    decode = RowDecoder().decode_line
    for number, line in full_lines(path, start):
        yield number, decode(number, line)


def find_columns(path: Path) -> list[str] | None:
    return None


def count_rows(path: Path) -> int:
    return sum(1 for _ in full_lines(path, 0))


def full_lines(path: Path, start: int) -> Iterator[tuple[int, bytes]]:
    """(line number, line) of the lines that are not blank, without the first `start` of them.

    Lines end at a newline only: U+2028 and its like may stand inside JSON strings.
    """
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            if line.isspace():
                continue
            if start:
                start -= 1
                continue
            yield number, line
