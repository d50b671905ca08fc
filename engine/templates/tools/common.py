"""What several tool formats share: JSON as models write it, values as bare text, and the walk over the calls
in an answer. No format of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.templates.tools import Data, Tool
from engine.templates.turns import Call

# Calls found at a place of a text and where they end; None where there are none.
Found = tuple[list[Call], int] | None


def dump(value: Any, *, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def function_of(tool: Tool) -> Mapping[str, Any]:
    function: Mapping[str, Any] = tool.get("function", tool)
    return function


def read_json(text: str, start: int) -> tuple[Any, int] | None:
    """The JSON value that begins at `start` (behind blanks) and where it ends."""
    while start < len(text) and text[start].isspace():
        start += 1
    try:
        return json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None


def as_call(value: Any, key: str = "arguments") -> Call | None:
    """The call that an object {"name", key} means."""
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments = value.get(key)
    return (value["name"], arguments) if isinstance(arguments, dict) else None


def skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def skip_word(text: str, position: int, word: str) -> int:
    """Behind `word`, blanks before it allowed; `position` itself where the word does not come next."""
    after = skip_blanks(text, position)
    return after + len(word) if text.startswith(word, after) else position


def scan(
    text: str, opening: str, read: Callable[[str, int], Found], *, lead: str = "\n"
) -> tuple[list[Call], str]:
    """All calls that `read` finds at an `opening`, and the text without them. Malformed ones stay in it;
    `lead` before the first call and blanks around the others go.
    """
    calls: list[Call] = []
    kept: list[str] = []
    position = search = 0
    while (at := text.find(opening, search)) >= 0:
        found = read(text, at)
        if found is None:
            search = at + len(opening)
            continue
        kept.append(text[position:at])
        calls += found[0]
        position = search = found[1]
    if not calls:
        return [], text
    first, *others = [*kept, text[position:]]
    return calls, first.removesuffix(lead) + "".join(other for other in others if other.strip())


def json_block(opening: str, closing: str) -> Callable[[str, int], Found]:
    """Reads one {"name", "arguments"} object between two words; the last word may be missing at the end."""

    def read(text: str, at: int) -> Found:
        decoded = read_json(text, at + len(opening))
        call = as_call(decoded[0]) if decoded else None
        if decoded is None or call is None:
            return None
        end = skip_word(text, decoded[1], closing)
        return ([call], end) if end > decoded[1] or not text[end:].strip() else None

    return read


def write_value(value: Any) -> str:
    """An argument as bare text: strings as they are, everything else as JSON."""
    return Data(value if isinstance(value, str) else dump(value))


def read_value(text: str, key: str, function: str, tools: Sequence[Tool]) -> Any:
    """An argument from bare text. A string where the tool's schema says so; else JSON where it is JSON (not
    NaN or Infinity, which are words), else a string.
    """
    if _declared_type(key, function, tools) == "string":
        return text
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _declared_type(key: str, function: str, tools: Sequence[Tool]) -> Any:
    for tool in map(function_of, tools):
        if tool.get("name") == function:
            schema: Any = tool
            for step in ("parameters", "properties", key):
                schema = schema.get(step) if isinstance(schema, Mapping) else None
            return schema.get("type") if isinstance(schema, Mapping) else None
    return None


def _refuse(word: str) -> Any:
    raise ValueError(word)


def xml_block(
    text: str,
    at: int,
    *,
    name_words: tuple[str, str],
    key_words: tuple[str, str],
    close_value: str,
    close_call: str,
    tools: Sequence[Tool],
    trim: str = "",
) -> Found:
    """One call written as tags around bare text, such as <function=NAME><parameter=KEY>VALUE</parameter>
    </function>. `trim`: what stands between a value and its tags.
    """
    head = _between(text, at, name_words)
    if head is None or not head[0]:
        return None
    name, position = head
    arguments: dict[str, Any] = {}
    while (end := skip_word(text, position, close_call)) == position:
        key = _between(text, skip_blanks(text, position), key_words)
        close = text.find(close_value, key[1]) if key else -1
        if key is None or close < 0:
            return None
        value = text[key[1] : close].removeprefix(trim).removesuffix(trim)
        arguments[key[0]] = read_value(value, key[0], name, tools)
        position = close + len(close_value)
    return [(name, arguments)], end


def _between(text: str, at: int, words: tuple[str, str]) -> tuple[str, int] | None:
    """What stands between the two words from `at` on, on one line, and where the second ends."""
    opening, closing = words
    if not text.startswith(opening, at):
        return None
    start = at + len(opening)
    end = text.find(closing, start)
    if end < 0 or "\n" in text[start:end]:
        return None
    return text[start:end], end + len(closing)
