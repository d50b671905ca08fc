"""Tools on offer and calls of them, as data spells them, -> one shape. How a template writes them is not our
business.

Tools: a list (or its JSON text) of {"type": "function", "function": {...}} or bare {"name": ...} objects.
Calls: {"name", "arguments"}, bare or below "function", arguments an object or its JSON text.
Try: split_calls('Wait. {"name": "f", "arguments": {}}', "conversations", "message 2")
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.data.example import ToolCall
from engine.data.formats.cells import check_json, decode_json, kind_name, list_of, parse_json
from engine.data.report import RowError

# Where JSON with calls may begin inside a text: the first of these from which all the rest parses.
_CALLS_BEGIN = re.compile(r'(?:\[\s*)?\{\s*"(?:name|arguments|type|function|id)"\s*:')
_MAX_TRIES = 100


def read_tools(value: object, column: str) -> tuple[dict[str, Any], ...]:
    """The tools in a cell, each as {"type": "function", "function": {"name", ...}}. No tools: ()."""
    if isinstance(value, str) and not value.strip():
        return ()
    if isinstance(value, str):
        value = parse_json(value, column)
    tools = list_of(value, column, "a list of tools")
    if tools:
        check_json(tools, column, "the list of tools")
    return tuple(_read_tool(tool, column, f"tool {number}") for number, tool in enumerate(tools, 1))


def _read_tool(tool: object, column: str, what: str) -> dict[str, Any]:
    if not isinstance(tool, dict):
        raise RowError(column, f"{what} is {kind_name(tool)}, expected an object")
    kind, wrapped = tool.get("type"), isinstance(tool.get("function"), dict)
    if not wrapped and "name" not in tool:
        raise RowError(column, f'{what} has neither "function" nor "name"')
    if wrapped and kind not in (None, "function"):
        raise RowError(column, f'{what} has the type "{kind}", expected "function"')
    function = tool["function"] if wrapped else tool
    if not wrapped and kind == "function":
        # {"type": "function", "name": ...}: the type belongs outside.
        function = {key: value for key, value in tool.items() if key != "type"}
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise RowError(column, f"{what} has no name")
    for key, expected_type, expected in (("description", str, "text"), ("parameters", dict, "an object")):
        if not isinstance(function.get(key), expected_type | None):
            found = kind_name(function[key])
            raise RowError(column, f"{what} ({name}): {key} is {found}, expected {expected}")
    return {"type": "function", "function": dict(function)}


def read_calls(value: object, column: str, what: str) -> tuple[ToolCall, ...]:
    """Calls given as an object or a list of them."""
    items = value if isinstance(value, list | tuple) else [value]
    if not items:
        raise RowError(column, f"{what} is an empty list of calls")
    many = len(items) > 1
    return tuple(
        read_call(item, column, f"{what}, call {number}" if many else what)
        for number, item in enumerate(items, 1)
    )


def read_call(item: object, column: str, what: str) -> ToolCall:
    """One call. Arguments have to be there: {} says that there are none."""
    if not isinstance(item, dict):
        raise RowError(column, f"{what} is {kind_name(item)}, expected a call with a name and arguments")
    call = item["function"] if isinstance(item.get("function"), dict) else item
    name, arguments = call.get("name"), call.get("arguments")
    if not isinstance(name, str) or not name:
        raise RowError(column, f"{what} is a call without a name")
    if arguments is None:
        raise RowError(column, f"{what} calls {name} without arguments; write {{}} where there are none")
    if isinstance(arguments, str):
        arguments = parse_json(arguments, column, f"{what}: the arguments of {name} are")
    if not isinstance(arguments, dict):
        found = kind_name(arguments)
        raise RowError(column, f"{what}: the arguments of {name} are {found}, expected an object")
    check_json([name, arguments], column, f"{what}: the call of {name}")
    return ToolCall(name, arguments)


def split_calls(text: str, column: str, what: str) -> tuple[str, tuple[ToolCall, ...]]:
    """(the words before the calls, the calls) of a text that ends with the JSON of a call or a list of calls.
    The words stay as they are; white space alone is no words.
    """
    starts = [match.start() for match in _CALLS_BEGIN.finditer(text)][:_MAX_TRIES]
    for start in starts:
        try:
            value = json.loads(text[start:])
        except (ValueError, RecursionError):
            continue
        words = text[:start]
        return ("" if words.isspace() else words), read_calls(value, column, what)
    begin = starts[0] if starts else len(text) - len(text.lstrip())
    if text[begin : begin + 1] not in ("{", "["):
        raise RowError(
            column, f'{what} holds no call: expected JSON such as {{"name": "f", "arguments": {{}}}}'
        )
    value, end = decode_json(text, begin, column, f"{what} is")
    if text[end:].strip():
        raise RowError(column, f"{what} goes on after its call; a call stands last")
    return "", read_calls(value, column, what)


def write_calls(calls: Sequence[ToolCall]) -> str:
    """The JSON text that split_calls reads back."""
    return json.dumps(
        [{"name": call.name, "arguments": dict(call.arguments)} for call in calls], ensure_ascii=False
    )


def write_tools(tools: Sequence[Mapping[str, Any]]) -> str:
    """The JSON text that read_tools reads back."""
    return json.dumps([dict(tool) for tool in tools], ensure_ascii=False)
