"""Mistral: tools and calls are JSON lists. The marks around calls belong to the template's function turn."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.templates.tools import Data, Tool
from engine.templates.tools.common import as_call, dump, read_json
from engine.templates.turns import Call

LEAD = ""
START = re.compile(r'(?:\[TOOL_CALLS\]\s*)?(?=\[\s*\{\s*")')


def describe(tools: Sequence[Tool]) -> list[str]:
    return ["[AVAILABLE_TOOLS] ", Data(dump(list(tools))), "[/AVAILABLE_TOOLS]"]


def write_calls(calls: Sequence[Call]) -> list[str]:
    return [Data(dump([{"name": name, "arguments": arguments} for name, arguments in calls]))]


def parse_calls(text: str, tools: Sequence[Tool] = ()) -> tuple[list[Call], str]:
    """Calls stand at the very end, with or without their mark, which decoding may have dropped."""
    for start in START.finditer(text):
        decoded = read_json(text, start.end())
        if decoded is None or text[decoded[1] :].strip():
            continue
        calls = [as_call(value) for value in decoded[0]]
        found = [call for call in calls if call]
        if len(found) == len(calls):
            return found, text[: start.start()]
    return [], text
