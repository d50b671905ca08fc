"""GLM-4.5 and later: tags around bare keys and values; a call ends where the next begins."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from engine.templates.tools import Data, Tool
from engine.templates.tools.common import Found, dump, read_value, scan, skip_blanks, skip_word, write_value
from engine.templates.turns import Call

# Calls bring their own line break.
LEAD = ""
HEAD = (
    "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
)
TAIL = (
    "\n</tools>\n\nFor each function call, output the function name and arguments within the following "
    "XML format:\n<tool_call>{function-name}\n<arg_key>{arg-key-1}</arg_key>\n"
    "<arg_value>{arg-value-1}</arg_value>\n<arg_key>{arg-key-2}</arg_key>\n"
    "<arg_value>{arg-value-2}</arg_value>\n...\n</tool_call>\n"
)
NAME = re.compile(r"<tool_call>\s*([^\s<]+)")
ARGUMENT = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)


def describe(tools: Sequence[Tool]) -> list[str]:
    return [HEAD, *(part for tool in tools for part in ("\n", Data(dump(tool)))), TAIL]


def write_calls(calls: Sequence[Call]) -> list[str]:
    parts: list[str] = []
    for name, arguments in calls:
        parts += ["\n<tool_call>", Data(name)]
        for key, value in arguments.items():
            parts += ["\n<arg_key>", Data(key), "</arg_key>\n<arg_value>", write_value(value), "</arg_value>"]
    return parts


def parse_calls(text: str, tools: Sequence[Tool] = ()) -> tuple[list[Call], str]:
    def read(text: str, at: int) -> Found:
        head = NAME.match(text, at)
        if head is None:
            return None
        position = head.end()
        arguments: dict[str, Any] = {}
        while found := ARGUMENT.match(text, skip_blanks(text, position)):
            arguments[found[1]] = read_value(found[2], found[1], head[1], tools)
            position = found.end()
        end = skip_word(text, position, "</tool_call>")
        # Anything else right behind is a torn argument or plain words: then this is no call.
        following = text[skip_blanks(text, end) :]
        complete = end > position or not following or following.startswith("<tool_call>")
        return ([(head[1], arguments)], end) if complete else None

    return scan(text, "<tool_call>", read)
