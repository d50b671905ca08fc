"""Llama 3 and 4: a call is a bare JSON object with "parameters"; several are a list. The description names
the day of rendering, as the models were taught.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence

from engine.templates.tools import Data, Tool
from engine.templates.tools.common import as_call, dump, read_json
from engine.templates.turns import Call

LEAD = "\n"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
HEAD = (
    "\n\nYou have access to the following functions. To call a function, please respond with JSON for "
    'a function call. Respond in the format {"name": function name, "parameters": dictionary of '
    "argument name and its value}. Do not use variables.\n\n"
)
START = re.compile(r'^(?:<\|python_tag\|>)?(?=[\[{]\s*["{])', re.MULTILINE)


def describe(tools: Sequence[Tool]) -> list[str]:
    today = datetime.date.today()
    date = f"{today.day:02d} {MONTHS[today.month - 1]} {today.year}"
    opening = f"Cutting Knowledge Date: December 2023\nToday Date: {date}{HEAD}"
    return [opening, *(part for tool in tools for part in (Data(dump(tool, indent=4)), "\n\n"))]


def write_calls(calls: Sequence[Call]) -> list[str]:
    objects = [{"name": name, "parameters": arguments} for name, arguments in calls]
    return [Data(dump(objects[0] if len(objects) == 1 else objects))]


def parse_calls(text: str, tools: Sequence[Tool] = ()) -> tuple[list[Call], str]:
    """Calls are told from words by beginning a line and standing at the very end."""
    for start in START.finditer(text):
        decoded = read_json(text, start.end())
        if decoded is None or text[decoded[1] :].strip():
            continue
        values = decoded[0] if isinstance(decoded[0], list) else [decoded[0]]
        calls = [as_call(value, "parameters") or as_call(value) for value in values]
        found = [call for call in calls if call]
        if found and len(found) == len(calls):
            return found, text[: start.start()].removesuffix(LEAD)
    return [], text
