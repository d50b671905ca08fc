"""Labels: whether an answer is wanted (kto)."""

from __future__ import annotations

from collections.abc import Mapping

from engine.data.formats.cells import kind_name
from engine.data.report import RowError

# CSV has no other way to say it than text.
_WORDS: Mapping[str, bool] = {"true": True, "false": False, "1": True, "0": False}


def read_label(value: object, column: str) -> bool:
    """true or false, also as 1 and 0 and as those words in any case."""
    if isinstance(value, bool):
        return value
    if type(value) is int and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and (label := _WORDS.get(value.strip().lower())) is not None:
        return label
    if value is None or value == "":
        raise RowError(column, "is empty, expected true or false")
    found = f'"{value[:40]}"' if isinstance(value, str) else repr(value)
    found = found if isinstance(value, str | int | float) else kind_name(value)
    raise RowError(column, f"is {found}, expected true or false")
