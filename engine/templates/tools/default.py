"""The house's own format, for models that were never taught one: each call is a tool's name and a JSON object
between <tool_call> tags.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.templates.tools import Data, Tool
from engine.templates.tools.common import Found, dump, function_of, read_json, scan, skip_word
from engine.templates.turns import Call

LEAD = "\n"
HEAD = "\n\nThese tools can be called:\n"
TAIL = (
    "\nTo call a tool, write its name on one line and its arguments as a JSON object on the next, "
    'between tags, once for each call:\n<tool_call>\ntool_name\n{"argument": "value"}\n'
    "</tool_call>\nStop there; what the tool gives back comes in the next message. Where no tool "
    "helps, simply answer.\n"
)


def describe(tools: Sequence[Tool]) -> list[str]:
    parts = [HEAD]
    for function in map(function_of, tools):
        parts += ["\nName: ", Data(function["name"])]
        if function.get("description"):
            parts += ["\nDescription: ", Data(function["description"])]
        parts += ["\nParameters (JSON Schema): ", Data(dump(function.get("parameters", {}))), "\n"]
    return [*parts, TAIL]


def write_calls(calls: Sequence[Call]) -> list[str]:
    parts: list[str] = []
    for name, arguments in calls:
        parts += [
            "\n" if parts else "",
            "<tool_call>\n",
            Data(f"{name}\n{dump(arguments)}"),
            "\n</tool_call>",
        ]
    return parts


def parse_calls(text: str, tools: Sequence[Tool] = ()) -> tuple[list[Call], str]:
    return scan(text, "<tool_call>", _read, lead=LEAD)


def _read(text: str, at: int) -> Found:
    name, _, rest = text[at + len("<tool_call>") :].lstrip().partition("\n")
    start = len(text) - len(rest)
    decoded = read_json(text, start) if rest else None
    if decoded is None or not isinstance(decoded[0], dict) or not name.strip():
        return None
    end = skip_word(text, decoded[1], "</tool_call>")
    return ([(name.strip(), decoded[0])], end) if end > decoded[1] or not text[end:].strip() else None
