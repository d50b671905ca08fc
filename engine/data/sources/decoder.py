"""JSON values of rows. A key that stands twice in an object makes the row bad: either value may be meant."""

from __future__ import annotations

import json
from json.scanner import make_scanner
from typing import Any

from engine.data.sources.text import NUL_REASON, BadRow, bad_byte

TOO_DEEP = "nested too deeply to be a row"
TOO_LONG = "holds a whole number of thousands of digits"


class RowDecoder:
    """Decodes values one after the other. `repeated` is a key that stood twice in the last one, or None."""

    def __init__(self) -> None:
        self.repeated: str | None = None
        self._scan = make_scanner(json.JSONDecoder(object_pairs_hook=self._build))  # type: ignore[arg-type]

    def _build(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    self.repeated = key
                seen.add(key)
        return row

    def scan(self, text: str, position: int) -> tuple[Any, int]:
        """(value, end) of the value that starts at `position`. Raises json.JSONDecodeError, RecursionError,
        or ValueError for a number of thousands of digits.
        """
        self.repeated = None
        try:
            value, end = self._scan(text, position)
        except StopIteration as stop:
            raise json.JSONDecodeError("Expecting value", text, stop.value) from None
        return value, end

    def row_or_bad(self, number: int, row: Any) -> Any:
        """The row just scanned, or a BadRow in its place when a key stood twice."""
        return row if self.repeated is None else BadRow(number, f'the key "{self.repeated}" stands twice')

    def decode_line(self, number: int, line: bytes) -> Any:
        """The row on one line, or a BadRow that says where it breaks."""
        try:
            text = line.decode().strip()
            row, end = self.scan(text, 0)
        except UnicodeDecodeError:
            return BadRow(number, f"{bad_byte(line)}; save the file as UTF-8")
        except json.JSONDecodeError as error:
            return BadRow(number, _why(line, error))
        except RecursionError:
            return BadRow(number, TOO_DEEP)
        except ValueError:
            return BadRow(number, TOO_LONG)
        if end != len(text):
            return BadRow(number, f"column {end + 1}: Extra data")
        return self.row_or_bad(number, row)


def _why(line: bytes, error: json.JSONDecodeError) -> str:
    if b"\0" in line:
        return NUL_REASON
    cut_off = error.msg.startswith("Unterminated string") or error.pos >= len(error.doc)
    hint = "; the line ends in the middle of a row" if cut_off else ""
    return f"column {error.colno}: {error.msg.removesuffix(' starting at').removesuffix(' at')}{hint}"
