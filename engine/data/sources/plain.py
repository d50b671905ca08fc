"""Plain text: each line that is not blank is a row {"text": line}."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.data.sources.lines import count_rows, full_lines
from engine.data.sources.text import NUL_REASON, BadRow, bad_byte

__all__ = ["count_rows", "find_columns", "read_rows"]

COLUMN = "text"


def read_rows(path: Path, start: int) -> Iterator[tuple[int, Any]]:
    for number, line in full_lines(path, start):
        if b"\0" in line:
            yield number, BadRow(number, NUL_REASON)
            continue
        try:
            yield number, {COLUMN: line.decode().rstrip("\r\n")}
        except UnicodeDecodeError:
            yield number, BadRow(number, f"{bad_byte(line)}; save the file as UTF-8")


def find_columns(path: Path) -> list[str] | None:
    return [COLUMN]
