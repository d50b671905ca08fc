"""JSON with comments, as people write dataset_info.json: // to the end of the line and /* between stars */.

Comments become blanks, so that every character keeps its place and errors name the right line and column.
Try: python -c "from engine.data.registry.jsonc import *; print(strip_comments('{} // nothing'))"
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from engine.errors import DataError

# A string or a comment, whichever begins first; a comment that is never closed runs to the end.
PIECE = re.compile(r'"(?:[^"\\\n]|\\.)*"?|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
NOT_LINE_END = re.compile(r"[^\r\n]")


def kind_name(value: object) -> str:
    """What a person calls a JSON value of this type."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def strip_comments(text: str) -> str:
    """The text with blanks for comments, of the same length and with the same lines."""

    def blank(match: re.Match[str]) -> str:
        piece = match.group()
        return piece if piece.startswith('"') else NOT_LINE_END.sub(" ", piece)

    return PIECE.sub(blank, text)


def parse_json(text: str, where: str | Path) -> Any:
    """Raises DataError with line and column; a key that stands twice in an object is an error too."""
    if not text.strip():
        raise DataError(f"{where} is empty")
    repeated: list[str] = []

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            keys = [key for key, _ in pairs]
            repeated.extend(dict.fromkeys(key for key in keys if keys.count(key) > 1))
        return value

    bare = strip_comments(text.removeprefix("\ufeff"))
    try:
        value = json.loads(bare, object_pairs_hook=build)
    except json.JSONDecodeError as error:
        reason = error.msg.removesuffix(" starting at").removesuffix(" at")
        closing = bare[error.pos : error.pos + 1]
        if closing in ("}", "]") and bare[: error.pos].rstrip().endswith(","):
            reason += f"; a comma stands before the {closing}"
        raise DataError(f"{where}: line {error.lineno}, column {error.colno}: {reason}") from None
    except RecursionError:
        raise DataError(f"{where}: nested too deeply") from None
    if repeated:
        raise DataError("\n".join(_twice(key, text, where) for key in repeated))
    return value


def _twice(key: str, text: str, where: str | Path) -> str:
    """The second one's line is told where the key stands in no other object."""
    spelled = re.escape(json.dumps(key, ensure_ascii=False))
    places = [match.start() for match in re.finditer(rf"{spelled}\s*:", strip_comments(text))]
    line = f"line {text.count(chr(10), 0, places[1]) + 1}: " if len(places) == 2 else ""
    return f'{where}: {line}"{key}" stands twice in one object; keep one of them'


def read_json(path: Path) -> Any:
    """The same of a file. Raises FileNotFoundError where there is none."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start + 1}") from None
    return parse_json(text, path)
