"""Gemma 4: declarations and calls as objects with bare keys in alphabetical order, strings between <|"|>
marks. Neither a key nor a string can hold what ends it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.templates.tools import Data, Tool
from engine.templates.tools.common import Found, dump, function_of, scan, skip_blanks
from engine.templates.turns import Call

LEAD = ""
QUOTE = '<|"|>'
OPENING, CLOSING = "<|tool_call>", "<tool_call|>"
NAME = re.compile(r"<\|tool_call>\s*call:([^{}\s]+)\{")
KEY = re.compile(r"\s*([^:{}\[\],]+):")
SCALAR = re.compile(r"\s*([^,\]}]+)")


def describe(tools: Sequence[Tool]) -> list[str]:
    parts: list[str] = []
    for function in map(function_of, tools):
        facts = {key: value for key, value in function.items() if key != "name"}
        parts += ["\n" if parts else "", "declaration:", Data(function["name"]), *_write(facts, schema=True)]
    return parts


def write_calls(calls: Sequence[Call]) -> list[str]:
    parts: list[str] = []
    for name, arguments in calls:
        parts += [f"{OPENING}call:", Data(name), *_write(arguments), CLOSING]
    return parts


def _write(value: Any, *, schema: bool = False) -> list[str]:
    """A value as parts. In a schema the words behind "type" are written in capitals."""
    if isinstance(value, str):
        return [QUOTE, Data(value), QUOTE]
    if isinstance(value, Mapping):
        parts: list[str] = []
        for key, item in sorted(value.items(), key=lambda pair: pair[0].lower()):
            upper = schema and key == "type" and isinstance(item, str)
            parts += [",", Data(key), ":", *_write(item.upper() if upper else item, schema=schema)]
        return ["{", *parts[1:], "}"]
    if isinstance(value, list | tuple):
        parts = [part for item in value for part in (",", *_write(item, schema=schema))]
        return ["[", *parts[1:], "]"]
    return [Data(dump(value))]


def parse_calls(text: str, tools: Sequence[Tool] = ()) -> tuple[list[Call], str]:
    return scan(text, OPENING, _read_call, lead=LEAD)


def _read_call(text: str, at: int) -> Found:
    head = NAME.match(text, at)
    try:
        found = _read(text, head.end() - 1) if head else None
    except (ValueError, RecursionError):
        return None
    if head is None or found is None:
        return None
    end = skip_blanks(text, found[1])
    if text.startswith(CLOSING, end):
        return [(head[1], found[0])], end + len(CLOSING)
    return ([(head[1], found[0])], end) if end == len(text) else None


def _read(text: str, position: int) -> tuple[Any, int]:
    """The value at `position` and where it ends. Raises ValueError where there is none."""
    position = skip_blanks(text, position)
    if text.startswith(QUOTE, position):
        end = text.index(QUOTE, position + len(QUOTE))
        return text[position + len(QUOTE) : end], end + len(QUOTE)
    if text.startswith("{", position) or text.startswith("[", position):
        return _read_items(text, position)
    found = SCALAR.match(text, position)
    if found is None:
        raise ValueError(f"no value at {position}")
    return json.loads(found[1]), found.end()


def _read_items(text: str, position: int) -> tuple[Any, int]:
    """The object or list that opens at `position`."""
    values: dict[str, Any] = {}
    items: list[Any] = []
    closing = "}" if text[position] == "{" else "]"
    position = skip_blanks(text, position + 1)
    while not text.startswith(closing, position):
        key = KEY.match(text, position) if closing == "}" else None
        if key is None and closing == "}":
            raise ValueError(f"no key at {position}")
        value, position = _read(text, key.end() if key else position)
        if key:
            values[key[1]] = value
        else:
            items.append(value)
        position = skip_blanks(text, position)
        if text.startswith(",", position):
            position = skip_blanks(text, position + 1)
        elif not text.startswith(closing, position):
            raise ValueError(f"no comma at {position}")
    return (values if closing == "}" else items), position + 1
