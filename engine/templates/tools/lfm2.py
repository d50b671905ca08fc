"""LFM2: calls as a Python list of function calls, [name(key="value", ...)]. Keys and names are bare."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.templates.tools import Data, Tool
from engine.templates.tools.common import Found, dump, scan, skip_blanks
from engine.templates.turns import Call

LEAD = ""
OPENING, CLOSING = "<|tool_call_start|>", "<|tool_call_end|>"
NAME = re.compile(r"([^\s()\[\],=]+)\(")
KEY = re.compile(r"\s*([^\s()\[\],='\"]+)\s*=\s*")
BARE = re.compile(r"\s*\[[^\s()\[\],=]+\(")


def describe(tools: Sequence[Tool]) -> list[str]:
    return ["\nList of tools: <|tool_list_start|>", Data(dump(list(tools))), "<|tool_list_end|>"]


def write_calls(calls: Sequence[Call]) -> list[str]:
    written = [
        f"{name}({', '.join(f'{key}={write_python(value)}' for key, value in arguments.items())})"
        for name, arguments in calls
    ]
    return [OPENING, Data(f"[{', '.join(written)}]"), CLOSING]


def write_python(value: Any) -> str:
    """A value as Python writes it, strings in double quotes."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{dump(key)}: {write_python(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(write_python, value)) + "]"
    return str(value) if value is None or isinstance(value, bool) else dump(value)


def parse_calls(text: str, tools: Sequence[Tool] = ()) -> tuple[list[Call], str]:
    if OPENING not in text and BARE.match(text):
        # Decoding may have dropped the marks.
        found = _read_list(text, skip_blanks(text, 0))
        return (found[0], "") if found and not text[found[1] :].strip() else ([], text)
    return scan(text, OPENING, _read, lead=LEAD)


def _read(text: str, at: int) -> Found:
    found = _read_list(text, skip_blanks(text, at + len(OPENING)))
    if found is None:
        return None
    calls, end = found
    after = skip_blanks(text, end)
    if text.startswith(CLOSING, after):
        return calls, after + len(CLOSING)
    return (calls, end) if after == len(text) else None


def _read_list(text: str, at: int) -> Found:
    """[call, call, ...] from `at` on."""
    calls: list[Call] = []
    if not text.startswith("[", at):
        return None
    position = at + 1
    while head := NAME.match(text, skip_blanks(text, position)):
        arguments = _read_arguments(text, head.end())
        if arguments is None:
            return None
        calls.append((head[1], arguments[0]))
        position = skip_blanks(text, arguments[1])
        if text.startswith(",", position):
            position += 1
    position = skip_blanks(text, position)
    return (calls, position + 1) if calls and text.startswith("]", position) else None


def _read_arguments(text: str, position: int) -> tuple[dict[str, Any], int] | None:
    arguments: dict[str, Any] = {}
    while not text.startswith(")", skip_blanks(text, position)):
        key = KEY.match(text, position)
        end = _end_of_value(text, key.end()) if key else -1
        if key is None or end < 0:
            return None
        try:
            arguments[key[1]] = _literal(text[key.end() : end])
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
        position = end + 1 if text[end] == "," else end
    return arguments, skip_blanks(text, position) + 1


def _literal(text: str) -> Any:
    """Python, or JSON where a model mixes in true, false and null."""
    try:
        return json.loads(text)
    except ValueError:
        return ast.literal_eval(text.strip())


def _end_of_value(text: str, position: int) -> int:
    """Where the comma or bracket behind a value stands; -1 when it never ends."""
    depth, quote = 0, ""
    while position < len(text):
        char = text[position]
        if quote:
            position += char == "\\"
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif depth == 0 and char in ",)":
            return position
        else:
            depth += (char in "([{") - (char in ")]}")
        position += 1
    return -1
