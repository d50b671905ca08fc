"""Alpaca rows: what they become, and the exact reason why one is refused."""

# ruff: noqa: E501 - messages stand as a person sees them
from __future__ import annotations

import json
from typing import Any

import pytest

from engine.data.example import Example
from tests.data.formats import (
    ALPACA,
    NORMAL_TOOL,
    TOOL_OBJECT,
    bot,
    read,
    reason,
    user,
)


def test_alpaca_with_every_column() -> None:
    row = {
        **ALPACA,
        "past": [["Hi", "Hello"]],
        "sys": "S",
        "tools": json.dumps([TOOL_OBJECT]),
        "pics": ["a.png"],
    }
    row["input"] = "<image>"
    columns = {"history": "past", "system": "sys", "tools": "tools", "images": "pics"}
    assert read(row, "alpaca", columns=columns) == Example(
        (user("Hi"), bot("Hello"), user("Add.\n<image>"), bot("5")),
        "S",
        tools=(NORMAL_TOOL,),
        images=("a.png",),
    )


def test_alpaca_pairs_labels_prompts_and_text() -> None:
    pair = {"instruction": "Add.", "chosen": "5", "rejected": "6"}
    assert read(pair, "alpaca", "pair", ranking=True) == Example(
        (user("Add."),), chosen=bot("5"), rejected=bot("6")
    )
    labelled = {**ALPACA, "ok": False}
    got = read(labelled, "alpaca", "label", columns={"kto_tag": "ok"})
    assert (got.kind, got.desirable, got.messages[-1]) == ("label", False, bot("5"))
    assert read(ALPACA, "alpaca", "prompt") == Example((user("Add.\n2 and 3"),), reference="5")
    bare = read({"instruction": "Add."}, "alpaca", "prompt")
    assert (bare.kind, bare.reference) == ("prompt", "")
    assert read({"text": "A document."}, "alpaca", "text", columns={"prompt": "text"}) == Example(
        text="A document."
    )
    assert read(ALPACA, "alpaca", "text").kind == "chat"
    assert read({"text": "A document."}, "text", "text") == Example(text="A document.")


@pytest.mark.parametrize(
    ("change", "columns", "expected"),
    [
        ({"instruction": "", "input": ""}, {}, "instruction: is empty"),
        ({"output": ""}, {}, "output: is empty: there would be nothing to learn"),
        ({"output": None}, {}, "output: is empty: there would be nothing to learn"),
        ({"instruction": ["a"]}, {}, "instruction: is a list, expected text"),
        ({"input": {"a": 1}}, {}, "input: is an object, expected text"),
        ({"output": 7}, {}, "output: is a number, expected text"),
        ({"output": True}, {}, "output: is true or false, expected text"),
        ({"output": "ab\ud83d"}, {}, "output: holds half a character (\\ud83d) at 3"),
        ({"past": "x"}, {"history": "past"}, "past: is text, expected a list of [question, answer] pairs"),
        ({"past": {"q": "a"}}, {"history": "past"}, "past: is an object, expected a list of [question, answer] pairs"),
        ({"past": [["q"]]}, {"history": "past"}, "past: pair 1 is not [question, answer]"),
        ({"past": [["q", "a"], ["q", ""]]}, {"history": "past"}, "past: the answer of pair 2 is empty"),
        ({"past": [["q", 3]]}, {"history": "past"}, "past: the answer of pair 1 is a number, expected text"),
        ({"past": "[1, }"}, {"history": "past"}, "past: is not JSON: line 1, column 5: Expecting value"),
        ({"sys": 1}, {"system": "sys"}, "sys: is a number, expected text"),
    ],
)  # fmt: skip
def test_bad_alpaca_rows(change: dict[str, Any], columns: dict[str, str], expected: str) -> None:
    assert reason({**ALPACA, **change}, "alpaca", columns=columns) == expected


def test_history_may_be_json_text_as_csv_has_it() -> None:
    row = {**ALPACA, "past": '[["Hi", "Hello"]]'}
    assert read(row, "alpaca", columns={"history": "past"}).messages[:2] == (user("Hi"), bot("Hello"))
    assert len(read({**ALPACA, "past": ""}, "alpaca", columns={"history": "past"}).messages) == 2
