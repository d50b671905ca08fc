"""What the tests of formats share: an entry's reader, and messages as formats spell them and as we do."""

from __future__ import annotations

from typing import Any

import pytest

from engine.data.example import ASSISTANT, USER, Example, Kind, Message, ToolCall
from engine.data.formats import load_reader
from engine.data.registry.entry import read_entry
from engine.data.registry.spec import DatasetSpec
from engine.data.report import RowError
from tests.conftest import REPO

CALL = {"name": "get_weather", "arguments": {"city": "Paris"}}
WEATHER = ToolCall("get_weather", {"city": "Paris"})
TOOL_OBJECT = {"name": "get_weather", "description": "Weather of a city", "parameters": {"type": "object"}}
NORMAL_TOOL = {"type": "function", "function": TOOL_OBJECT}


def spec_of(formatting: str, **entry: Any) -> DatasetSpec:
    return read_entry("d", {"file_name": str(REPO / "data/identity.json"), "formatting": formatting, **entry})


def read(row: dict[str, Any], formatting: str, want: Kind = "chat", **entry: Any) -> Example:
    return load_reader(spec_of(formatting, **entry), want)(row)


def reason(row: dict[str, Any], formatting: str, want: Kind = "chat", **entry: Any) -> str:
    """COLUMN: REASON of the bad row."""
    with pytest.raises(RowError) as caught:
        read(row, formatting, want, **entry)
    return f"{caught.value.column}: {caught.value.reason}"


def user(text: str) -> Message:
    return Message(USER, text)


def bot(text: str, *calls: ToolCall, thought: str = "") -> Message:
    return Message(ASSISTANT, text, thought, calls)


def human(value: object) -> dict[str, object]:
    return {"from": "human", "value": value}


def gpt(value: object) -> dict[str, object]:
    return {"from": "gpt", "value": value}


def function(value: object) -> dict[str, object]:
    return {"from": "function_call", "value": value}


def observation(value: object) -> dict[str, object]:
    return {"from": "observation", "value": value}


def said(role: str, content: object = None, **more: object) -> dict[str, object]:
    return {"role": role, "content": content, **more}


ALPACA = {"instruction": "Add.", "input": "2 and 3", "output": "5"}
