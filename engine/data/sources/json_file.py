"""A .json file: a list of rows, one object, objects one after the other, or JSON lines under that name.

The file is decoded row by row through a window that slides over its text, so that memory is bounded by the
largest row.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from engine.data.registry.jsonc import kind_name
from engine.data.sources import lines
from engine.data.sources.decoder import TOO_LONG, RowDecoder
from engine.data.sources.text import CHUNK, NUL_REASON, not_utf8, open_bytes
from engine.errors import DataError

SPACE = re.compile(r"[ \t\n\r]*")
CUT_OFF = "the file ends in the middle of a row; it was cut off (a copy or download that did not finish?)"
# What may be left of a value behind its last whole part: of a number, a word or an escape.
PART = re.compile(
    r"[ \t\n\r]*|-?(?:t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?|Na?|I[nfit]{0,6})?|[.eE][+-]?|\\?u?[0-9a-fA-F]{0,4}"
)
# A value cut by the window's edge may break this many characters before it: a half escape, number or word.
EDGE = 16


def read_rows(path: Path, start: int) -> Iterator[tuple[int, Any]]:
    with open_bytes(path) as file:
        window = _Window(path, file)
        first = window.skip_space()
        if first == "{" and window.first_line_is_a_value():
            values = None
        elif first == "[":
            values = _list(window)
        elif first == "{":
            values = _sequence(window)
        elif not first:
            raise DataError(f"{path} is empty")
        else:
            found = kind_name(window.value(RowDecoder()))
            raise DataError(f"{path}: expected a list of rows, or one object per line, found {found}")
        if values is not None:
            for number, row in values:
                if number > start:
                    yield number, row
    if values is None:
        yield from lines.read_rows(path, start)


def find_columns(path: Path) -> list[str] | None:
    return None


def count_rows(path: Path) -> int:
    return sum(1 for _ in read_rows(path, 0))


def _list(window: _Window) -> Iterator[tuple[int, Any]]:
    decoder = RowDecoder()
    window.position += 1
    number = 0
    mark = window.skip_space()
    while mark != "]":
        number += 1
        row = window.value(decoder)
        yield number, decoder.row_or_bad(number, row)
        mark = window.skip_space()
        if mark == ",":
            window.position += 1
            if window.skip_space() == "]":
                raise window.error("Expecting value; a comma stands before the ]")
        elif mark != "]":
            raise window.error("Expecting ',' delimiter")
    window.position += 1
    if window.skip_space():
        raise window.error("Extra data")


def _sequence(window: _Window) -> Iterator[tuple[int, Any]]:
    decoder = RowDecoder()
    number = 0
    while window.skip_space():
        number += 1
        row = window.value(decoder)
        yield number, decoder.row_or_bad(number, row)


class _Window:
    """A piece of the file's text. `position` is where reading goes on in `text`."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.text = ""
        self.position = 0
        self._path = path
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._ended = False
        # Where text[0] stands in the file.
        self._line, self._column = 1, 1

    def skip_space(self) -> str:
        """Move to the next character that is not blank and return it; empty at the end of the file."""
        while True:
            match = SPACE.match(self.text, self.position)
            assert match is not None
            self.position = match.end()
            if self.position < len(self.text):
                return self.text[self.position]
            if not self._grow():
                return ""

    def value(self, decoder: RowDecoder) -> Any:
        """Decode the value at `position` and move behind it. Raises DataError with line and column."""
        while True:
            try:
                value, end = decoder.scan(self.text, self.position)
            except json.JSONDecodeError as error:
                if not self._may_be_cut(error) or not self._grow():
                    self.position = error.pos
                    raise self.error(error.msg) from None
            except RecursionError:
                raise DataError(f"{self._path}: nested too deeply to be a dataset") from None
            except ValueError:
                raise self.error(TOO_LONG) from None
            else:
                # A number near the edge may go on behind it.
                ends = end < len(self.text) - EDGE or not isinstance(value, int | float)
                if ends or not self._grow():
                    self.position = end
                    return value

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether a value broke because the window ends, as far as can be told here."""
        near_edge = error.pos >= len(self.text) - EDGE or self.text[error.pos :].isspace()
        return near_edge or error.msg.startswith("Unterminated string")

    def first_line_is_a_value(self) -> bool:
        """Whether the line at `position` holds one whole value: then the file is JSON lines."""
        while (end := self.text.find("\n", self.position)) < 0 and self._grow():
            pass
        line = self.text[self.position : end if end >= 0 else len(self.text)]
        try:
            json.loads(line)
        except (ValueError, RecursionError):
            return False
        return True

    def error(self, reason: str) -> DataError:
        """What is wrong at `position`, and with the whole file where that is its end."""
        left = self.text[self.position :]
        cut_off = reason.startswith("Unterminated string") or PART.fullmatch(left) is not None
        if cut_off:
            self.position = len(self.text)
        line, column = self._place(self.position)
        if cut_off:
            return DataError(f"{self._path}: line {line}, column {column}: {CUT_OFF}")
        reason = reason.removesuffix(" starting at").removesuffix(" at")
        if self.text[self.position] == "'":
            reason += "; JSON has double quotes"
        elif self.text[self.position] == "\0":
            reason = NUL_REASON
        return DataError(f"{self._path} is not JSON: line {line}, column {column}: {reason}")

    def _place(self, position: int) -> tuple[int, int]:
        newlines = self.text.count("\n", 0, position)
        if not newlines:
            return self._line, self._column + position
        return self._line + newlines, position - self.text.rfind("\n", 0, position)

    def _grow(self) -> bool:
        """Drop what lies behind and read on, at least as much again as is held; False at the end."""
        if self._ended:
            return False
        self._line, self._column = self._place(self.position)
        held = self.text[self.position :]
        block = self._file.read(max(CHUNK, len(held)))
        self._ended = not block
        try:
            self.text = held + self._decoder.decode(block, final=self._ended)
        except UnicodeDecodeError:
            raise not_utf8(self._path) from None
        self.position = 0
        return True
