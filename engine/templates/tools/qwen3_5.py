"""Qwen 3.5: tags around bare text, each value on lines of its own."""

from __future__ import annotations

from collections.abc import Sequence

from engine.templates.tools import Data, Tool
from engine.templates.tools.common import (
    Found,
    dump,
    function_of,
    scan,
    skip_blanks,
    skip_word,
    write_value,
    xml_block,
)
from engine.templates.turns import Call

LEAD = "\n\n"
HEAD = "\n\n# Tools\n\nYou have access to the following functions:\n\n<tools>"
TAIL = (
    "\n</tools>\n\nIf you choose to call a function ONLY reply in the following format with NO suffix:"
    "\n\n<tool_call>\n<function=example_function_name>\n<parameter=example_parameter_1>\n"
    "value_1\n</parameter>\n<parameter=example_parameter_2>\nThis is the value for the second parameter"
    "\nthat can span\nmultiple lines\n</parameter>\n</function>\n</tool_call>\n\n"
    "<IMPORTANT>\nReminder:\n- Function calls MUST follow the specified format: an inner "
    "<function=...></function> block must be nested within <tool_call></tool_call> XML tags\n"
    "- Required parameters MUST be specified\n- You may provide optional reasoning for your function "
    "call in natural language BEFORE the function call, but NOT after\n"
    "- If there is no function call available, answer the question like normal with your current "
    "knowledge and do not tell the user about function calls\n</IMPORTANT>"
)


def describe(tools: Sequence[Tool]) -> list[str]:
    return [HEAD, *(part for tool in tools for part in ("\n", Data(dump(function_of(tool))))), TAIL]


def write_calls(calls: Sequence[Call]) -> list[str]:
    parts: list[str] = []
    for name, arguments in calls:
        parts += ["\n" if parts else "", "<tool_call>\n<function=", Data(name), ">\n"]
        for key, value in arguments.items():
            parts += ["<parameter=", Data(key), ">\n", write_value(value), "\n</parameter>\n"]
        parts.append("</function>\n</tool_call>")
    return parts


def parse_calls(text: str, tools: Sequence[Tool] = ()) -> tuple[list[Call], str]:
    def read(text: str, at: int) -> Found:
        found = xml_block(
            text,
            skip_blanks(text, at + len("<tool_call>")),
            name_words=("<function=", ">"),
            key_words=("<parameter=", ">"),
            close_value="</parameter>",
            close_call="</function>",
            tools=tools,
            trim="\n",
        )
        return (found[0], skip_word(text, found[1], "</tool_call>")) if found else None

    return scan(text, "<tool_call>", read, lead=LEAD)
