"""Seed-OSS: tags around bare text. The tag of a function's name is not closed, as the model was taught."""

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

# Calls bring their own line break.
LEAD = ""
HEAD = (
    "system\nYou are Doubao, a helpful AI assistant. You may call one or more functions to assist with "
    "the user query.Tool List:\nYou are authorized to use the following tools (described in JSON "
    "Schema format). Before performing any task, you must decide how to call them based on the "
    "descriptions and parameters of these tools.\n"
)
TAIL = (
    "\n工具调用请遵循如下格式:\n<seed:tool_call>\n<function=example_function_name>\n"
    "<parameter=example_parameter_1>value_1</parameter>\n"
    "<parameter=example_parameter_2>This is the value for the second parameter\nthat can span\nmultiple lines"
    "</parameter>\n</function>\n</seed:tool_call>\n"
)


def describe(tools: Sequence[Tool]) -> list[str]:
    return [HEAD, Data(dump([function_of(tool) for tool in tools])), TAIL]


def write_calls(calls: Sequence[Call]) -> list[str]:
    parts: list[str] = []
    for name, arguments in calls:
        parts += ["\n<seed:tool_call>\n<function=", Data(name), "\n"]
        for key, value in arguments.items():
            parts += ["<parameter=", Data(key), ">", write_value(value), "</parameter>\n"]
        parts.append("</function>\n</seed:tool_call>")
    return parts


def parse_calls(text: str, tools: Sequence[Tool] = ()) -> tuple[list[Call], str]:
    def read(text: str, at: int) -> Found:
        start = skip_blanks(text, at + len("<seed:tool_call>"))
        line = text[start:].partition("\n")[0]
        found = xml_block(
            text,
            start,
            name_words=("<function=", ">" if line.endswith(">") else "\n"),
            key_words=("<parameter=", ">"),
            close_value="</parameter>",
            close_call="</function>",
            tools=tools,
        )
        return (found[0], skip_word(text, found[1], "</seed:tool_call>")) if found else None

    return scan(text, "<seed:tool_call>", read)
