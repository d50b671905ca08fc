"""MiniMax-M2: <invoke> tags around bare text."""

from __future__ import annotations

from collections.abc import Sequence

from engine.templates.tools import Data, Tool
from engine.templates.tools.common import Found, dump, function_of, scan, write_value, xml_block
from engine.templates.turns import Call

LEAD = "\n"
HEAD = (
    "\n\n# Tools\n\nYou may call one or more tools to assist with the user query.\n"
    "Here are the tools available in JSONSchema format:\n\n<tools>\n"
)
TAIL = (
    "</tools>\n\nWhen making tool calls, use XML format to invoke tools and pass parameters:\n\n"
    '<minimax:tool_call>\n<invoke name="tool-name-1">\n<parameter '
    'name="param-key-1">param-value-1</parameter>\n<parameter '
    'name="param-key-2">param-value-2</parameter>\n...\n</invoke>\n</minimax:tool_call>'
)


def describe(tools: Sequence[Tool]) -> list[str]:
    listed = (part for tool in tools for part in ("<tool>", Data(dump(function_of(tool))), "</tool>\n"))
    return [HEAD, *listed, TAIL]


def write_calls(calls: Sequence[Call]) -> list[str]:
    parts: list[str] = []
    for name, arguments in calls:
        parts += ["\n" if parts else "", '<invoke name="', Data(name), '">\n']
        for key, value in arguments.items():
            parts += ['<parameter name="', Data(key), '">', write_value(value), "</parameter>\n"]
        parts.append("</invoke>")
    return parts


def parse_calls(text: str, tools: Sequence[Tool] = ()) -> tuple[list[Call], str]:
    def read(text: str, at: int) -> Found:
        return xml_block(
            text,
            at,
            name_words=('<invoke name="', '">'),
            key_words=('<parameter name="', '">'),
            close_value="</parameter>",
            close_call="</invoke>",
            tools=tools,
        )

    calls, rest = scan(text, '<invoke name="', read, lead=LEAD)
    if calls and "<minimax:tool_call>" in rest:
        # Models write the pair that the description shows; it is empty now.
        before, _, after = rest.partition("<minimax:tool_call>")
        rest = before.removesuffix(LEAD) + after.strip().removeprefix("</minimax:tool_call>")
    return calls, rest
