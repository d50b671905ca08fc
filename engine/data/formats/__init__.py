"""One file per dataset format. Each offers `build_reader(spec) -> (row dict -> Example)`, raising RowError
for a bad row.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from engine.data.example import Example
from engine.data.registry import DatasetSpec
from engine.data.report import RowError

Reader = Callable[[Mapping[str, Any]], Example]


def load_reader(spec: DatasetSpec) -> Reader:
    """The reader of the format that the spec names; a format's name is its file's name."""
    module = importlib.import_module(f"engine.data.formats.{spec.formatting}")
    reader: Reader = module.build_reader(spec)
    return reader


def text_of(value: object, column: str) -> str:
    """The text in a cell; a missing cell is empty text. Raises RowError for any other type, and for half a
    character, which JSON can spell (an emoji cut in two) but no tokenizer takes.
    """
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            half = value[error.start]
            raise RowError(
                column, f"holds half a character (\\u{ord(half):04x}) at {error.start + 1}"
            ) from None
        return value
    if value is None:
        return ""
    kind = {list: "a list", dict: "an object", bool: "true or false", int: "a number", float: "a number"}
    raise RowError(column, f"is {kind.get(type(value), type(value).__name__)}, expected text")
