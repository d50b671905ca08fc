"""How tools, calls and results are written: one file per format, its name the format's name.

A format's file offers `describe`, `write_calls` and `parse_calls`, and says in LEAD what stands between an
answer's words and its calls; NAME.jinja beside it says the same for a saved tokenizer. Texts are lists of
parts, those of class Data taken from the dataset (so that control tokens spelt in them can be told from the
format's own). Formats are listed without being imported.
Try: python -c "from engine.templates.tools import *; print(load_tool_format('qwen').describe([]))"
"""

from __future__ import annotations

import difflib
import functools
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from engine.errors import UserError
from engine.templates.turns import Call

FOLDER = Path(__file__).parent
Tool = Mapping[str, Any]


class Data(str):
    """A part of a rendered text that came from the data."""

    __slots__ = ()


class Describe(Protocol):
    def __call__(self, tools: Sequence[Tool]) -> list[str]: ...


class WriteCalls(Protocol):
    def __call__(self, calls: Sequence[Call]) -> list[str]: ...


class ParseCalls(Protocol):
    def __call__(self, text: str, tools: Sequence[Tool] = ()) -> tuple[list[Call], str]: ...


@dataclass(frozen=True)
class ToolFormat:
    """describe(tools): what is appended to the system text. write_calls(calls): a function turn's content.
    parse_calls(text, tools) -> (calls, the rest of the text); text without a well-formed call comes back
    whole, `tools` tell the types of arguments written as bare text. lead: stands between an answer's words
    and its calls. jinja: macros describe_tools(tools) and write_calls(calls).
    """

    name: str
    describe: Describe
    write_calls: WriteCalls
    parse_calls: ParseCalls
    lead: str
    jinja: str


def list_tool_formats() -> list[str]:
    """Every name that `load_tool_format` accepts, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.jinja"))


@functools.cache
def load_tool_format(name: str) -> ToolFormat:
    """The format called `name`. Raises UserError with the nearest names."""
    known = list_tool_formats()
    if name not in known:
        near = difflib.get_close_matches(name, known, 3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known names: {', '.join(known)}"
        raise UserError(f"tool_format: {name!r} is not a known tool format; {hint}")
    module = importlib.import_module(f"{__name__}.{name}")
    jinja = (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")
    return ToolFormat(name, module.describe, module.write_calls, module.parse_calls, module.LEAD, jinja)
