"""MiniMax-M1: tools in a system turn of their own, calls as lines of JSON between <tool_calls> tags."""

from __future__ import annotations

from collections.abc import Sequence

from engine.templates.tools import Data, Tool
from engine.templates.tools.common import Found, as_call, dump, function_of, read_json, scan, skip_word
from engine.templates.turns import Call

LEAD = "\n"
HEAD = (
    "<end_of_sentence>\n<beginning_of_sentence>system tool_setting=tools\n"
    "You are provided with these tools:\n<tools>\n"
)
TAIL = (
    "</tools>\n\nIf you need to call tools, please respond with <tool_calls></tool_calls> XML tags, "
    "and provide tool-name and json-object of arguments, following the format below:\n"
    '<tool_calls>\n{"name": <tool-name>, "arguments": <args-json-object>}\n'
    "...\n</tool_calls>"
)


def describe(tools: Sequence[Tool]) -> list[str]:
    return [HEAD, *(part for tool in tools for part in (Data(dump(function_of(tool))), "\n")), TAIL]


def write_calls(calls: Sequence[Call]) -> list[str]:
    objects = ({"name": name, "arguments": arguments} for name, arguments in calls)
    return [
        "<tool_calls>\n",
        *(part for call in objects for part in (Data(dump(call)), "\n")),
        "</tool_calls>",
    ]


def parse_calls(text: str, tools: Sequence[Tool] = ()) -> tuple[list[Call], str]:
    return scan(text, "<tool_calls>", _read, lead=LEAD)


def _read(text: str, at: int) -> Found:
    calls: list[Call] = []
    position = at + len("<tool_calls>")
    while decoded := read_json(text, position):
        call = as_call(decoded[0])
        if call is None:
            return None
        calls.append(call)
        position = decoded[1]
    end = skip_word(text, position, "</tool_calls>")
    return (calls, end) if calls and (end > position or not text[end:].strip()) else None
