"""Qwen 2.5, Qwen 3 and the many models after them: JSON objects between <tool_call> tags."""

from __future__ import annotations

from collections.abc import Sequence

from engine.templates.tools import Data, Tool
from engine.templates.tools.common import dump, json_block, scan
from engine.templates.turns import Call

LEAD = "\n"
HEAD = (
    "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
)
TAIL = (
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
    "<tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
)


def describe(tools: Sequence[Tool]) -> list[str]:
    return [HEAD, *(part for tool in tools for part in ("\n", Data(dump(tool)))), TAIL]


def write_calls(calls: Sequence[Call]) -> list[str]:
    parts: list[str] = []
    for name, arguments in calls:
        call = {"name": name, "arguments": arguments}
        parts += ["\n" if parts else "", "<tool_call>\n", Data(dump(call)), "\n</tool_call>"]
    return parts


def parse_calls(text: str, tools: Sequence[Tool] = ()) -> tuple[list[Call], str]:
    return scan(text, "<tool_call>", json_block("<tool_call>", "</tool_call>"), lead=LEAD)
