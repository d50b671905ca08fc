"""Pairs and labels in each format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.data.example import Example
from tests.data.formats import (
    ALPACA,
    CALL,
    WEATHER,
    bot,
    function,
    gpt,
    human,
    read,
    reason,
    said,
    user,
)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"chosen": ""}, "chosen: is empty: there would be nothing to compare"),
        ({"rejected": None}, "rejected: is empty: there would be nothing to compare"),
        ({"rejected": "5"}, 'rejected: is the same as "chosen": there would be nothing to prefer'),
        ({"chosen": {"value": "5"}}, "chosen: is an object, expected text"),
    ],
)
def test_bad_alpaca_pairs(change: dict[str, Any], expected: str) -> None:
    row = {"instruction": "Add.", "chosen": "5", "rejected": "6", **change}
    assert reason(row, "alpaca", "pair", ranking=True) == expected


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (True, True),
        (False, False),
        (1, True),
        (0, False),
        ("True", True),
        ("false", False),
        ("1", True),
        ("0", False),
    ],
)
def test_labels(value: object, label: bool) -> None:
    got = read({**ALPACA, "ok": value}, "alpaca", "label", columns={"kto_tag": "ok"})
    assert got.desirable is label


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("good", 'is "good"'),
        (2, "is 2"),
        (0.5, "is 0.5"),
        (None, "is empty"),
        ("", "is empty"),
        ([1], "is a list"),
    ],
)
def test_bad_labels(value: object, shown: str) -> None:
    row = {**ALPACA, "ok": value}
    assert reason(row, "alpaca", "label", columns={"kto_tag": "ok"}) == f"ok: {shown}, expected true or false"


def test_pairs_of_messages() -> None:
    for chosen, rejected in ((gpt("5"), gpt("6")), ("5", "6"), ([gpt("5")], [gpt("6")])):
        row = {"conversations": [human("Add.")], "chosen": chosen, "rejected": rejected}
        expected = Example((user("Add."),), chosen=bot("5"), rejected=bot("6"))
        assert read(row, "sharegpt", "pair", ranking=True) == expected
    row = {"conversations": [human("Add.")], "chosen": function(json.dumps(CALL)), "rejected": gpt("6")}
    assert read(row, "sharegpt", "pair", ranking=True).chosen == bot("", WEATHER)
    row = {
        "messages": [said("user", "Add.")],
        "chosen": said("assistant", "5"),
        "rejected": said("assistant", "6"),
    }
    assert read(row, "openai", "pair", ranking=True) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"rejected": None}, "rejected: is empty: there would be nothing to compare"),
        ({"rejected": gpt("")}, "rejected: is empty: there would be nothing to compare"),
        ({"rejected": human("6")}, 'rejected: has the role "human" where "gpt" is expected'),
        ({"rejected": gpt("5")}, 'rejected: is the same as "chosen": there would be nothing to prefer'),
        ({"rejected": [human("a"), gpt("b")]}, "rejected: is a list of 2 messages, expected the one answer"),
        ({"rejected": 6}, "rejected: the answer is a number, expected an object"),
        ({"conversations": [human("a"), gpt("b")]},
         'conversations: has to end with "human": the two answers stand in columns of their own'),
    ],
)  # fmt: skip
def test_bad_pairs_of_messages(change: dict[str, Any], expected: str) -> None:
    row = {"conversations": [human("Add.")], "chosen": gpt("5"), "rejected": gpt("6"), **change}
    assert reason(row, "sharegpt", "pair", ranking=True) == expected
