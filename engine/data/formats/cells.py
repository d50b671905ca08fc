"""The value in one cell: text, or a list, or JSON written as text. Knows nothing of roles or columns'
meaning.

Try: python -c "from engine.data.formats.cells import text_of; text_of(7, 'output')"
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.data.report import RowError

_KINDS = {
    list: "a list",
    tuple: "a list",
    dict: "an object",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    bytes: "bytes",
    type(None): "empty",
}


def kind_name(value: object) -> str:
    """What a person calls the type of a JSON value."""
    return _KINDS.get(type(value), f"a {type(value).__name__}")


def text_of(value: object, column: str, what: str = "") -> str:
    """The text in a cell; a missing cell is empty text. Raises RowError for any other type, and for half a
    character, which JSON can spell (an emoji cut in two) but no tokenizer takes. `what` names the part of the
    cell.
    """
    if isinstance(value, str):
        if value.isascii():
            return value
        try:
            value.encode()
        except UnicodeEncodeError as error:
            half = f"\\u{ord(value[error.start]):04x}"
            raise RowError(
                column, f"{_lead(what)}holds half a character ({half}) at {error.start + 1}"
            ) from None
        return value
    if value is None:
        return ""
    raise RowError(column, f"{_lead(what)}is {kind_name(value)}, expected text")


def cell(row: Mapping[str, Any], column: str) -> str:
    """The text in the row's column; no column of that role, no text."""
    return text_of(row.get(column), column) if column else ""


def list_of(value: object, column: str, expected: str) -> list[Any]:
    """The list in a cell, or the JSON text of one (CSV knows nothing else); a missing or empty cell is an
    empty list. `expected` says what of: "a list of messages".
    """
    if value is None or value == "":
        return []
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = parse_json(value, column)
    if not isinstance(value, list | tuple):
        raise RowError(column, f"is {kind_name(value)}, expected {expected}")
    return list(value)


def parse_json(text: str, column: str, lead: str = "is") -> Any:
    """Raises RowError with line and column inside the text. `lead` begins the sentence: "message 2 is"."""
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise _not_json(error, column, lead) from None


def decode_json(text: str, begin: int, column: str, lead: str) -> tuple[Any, int]:
    """(the value that begins there, where it ends). Raises RowError as parse_json does."""
    try:
        return json.JSONDecoder().raw_decode(text, begin)
    except (json.JSONDecodeError, RecursionError) as error:
        raise _not_json(error, column, lead) from None


def _not_json(error: json.JSONDecodeError | RecursionError, column: str, lead: str) -> RowError:
    if isinstance(error, RecursionError):
        return RowError(column, f"{lead} nested too deeply")
    return RowError(column, f"{lead} not JSON: line {error.lineno}, column {error.colno}: {error.msg}")


def check_json(value: object, column: str, what: str) -> None:
    """A value that templates will write as JSON has to be writable: no dates, no half characters."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise RowError(column, f"{what} holds half a character") from None
    except RecursionError:
        raise RowError(column, f"{what} is nested too deeply") from None
    except (TypeError, ValueError) as error:
        raise RowError(column, f"{what} cannot be written as JSON: {error}") from None


def _lead(what: str) -> str:
    return f"{what} " if what else ""
