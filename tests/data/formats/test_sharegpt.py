"""ShareGPT rows: turns, calls, tools, and the exact reason why one is refused."""

# ruff: noqa: E501 - messages stand as a person sees them
from __future__ import annotations

import json

import pytest

from engine.data.example import TOOL, Example, Message, ToolCall
from tests.data.formats import (
    CALL,
    NORMAL_TOOL,
    TOOL_OBJECT,
    WEATHER,
    bot,
    function,
    gpt,
    human,
    observation,
    read,
    reason,
    user,
)


def test_sharegpt_calls_and_results() -> None:
    row = {
        "conversations": [
            human("Weather?"),
            function(json.dumps([CALL, {"name": "now", "arguments": "{}"}])),
            observation('{"t": 20}'),
            observation(""),
            function("<think>\nhm\n</think>\n\nOnce more. " + json.dumps(CALL)),
            observation("20"),
            function(CALL),
            observation("21"),
            gpt("Warm."),
        ],
        "tools": [NORMAL_TOOL, {"name": "now"}],
    }
    got = read(row, "sharegpt", columns={"tools": "tools"})
    assert got.tools == (NORMAL_TOOL, {"type": "function", "function": {"name": "now"}})
    assert got.messages == (
        user("Weather?"),
        bot("", WEATHER, ToolCall("now", {})),
        Message(TOOL, '{"t": 20}'),
        Message(TOOL, ""),
        bot("<think>\nhm\n</think>\n\nOnce more. ", WEATHER),
        Message(TOOL, "20"),
        bot("", WEATHER),
        Message(TOOL, "21"),
        bot("Warm."),
    )


def test_sharegpt_prompts_systems_and_thoughts() -> None:
    assert read({"conversations": [human("Hi")]}, "sharegpt", "prompt") == Example((user("Hi"),))
    row = {"conversations": [human("Hi"), function(json.dumps(CALL))]}
    assert read(row, "sharegpt", "prompt") == Example((user("Hi"),), reference=json.dumps([CALL]))
    row = {
        "conversations": [{"from": "system", "value": "S"}, human("Hi"), {**gpt("Hello"), "thinking": "hm"}]
    }
    assert read(row, "sharegpt") == Example((user("Hi"), bot("Hello", thought="hm")), "S")
    assert read({**row, "sys": "S"}, "sharegpt", columns={"system": "sys"}).system == "S"
    assert reason({**row, "sys": "T"}, "sharegpt", columns={"system": "sys"}) == (
        'sys: differs from the system message in "conversations"; keep one system prompt'
    )


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], "is empty"),
        (None, "is empty"),
        ("x", "is text, expected a list of messages"),
        ({"from": "human"}, "is an object, expected a list of messages"),
        (["Hi"], "message 1 is text, expected an object"),
        ([{"role": "user", "content": "a"}], 'message 1 has no "from" and "value"; it has "role", "content"; "formatting": "openai" reads these'),
        ([human("a")], 'does not end with an answer from "gpt"'),
        ([{"from": "system", "value": "s"}], 'does not end with an answer from "gpt"'),
        ([gpt("a"), human("b")], 'message 1 has the role "gpt" where "human" is expected'),
        ([human("a"), human("b")], 'message 2 has the role "human" where "gpt" is expected'),
        ([human("a"), gpt("b"), gpt("c")], 'message 3 has the role "gpt" where "human" or "observation" is expected'),
        ([human("a"), {"from": "system", "value": "s"}], 'message 2 has the role "system" where "gpt" is expected'),
        ([human("a"), observation("b")], 'message 2 has the role "observation" where "gpt" is expected'),
        ([human("a"), {"from": "bot", "value": "b"}],
         'message 2 has the role "bot"; known roles are human, gpt, observation, function_call, system. Set tags in dataset_info.json, such as {"assistant_tag": "bot"}'),
        ([{"from": 1, "value": "b"}],
         "message 1 has the role a number; known roles are human, gpt, observation, function_call, system. Set tags in dataset_info.json"),
        ([human("a"), gpt(3)], "message 2 is a number, expected text"),
        ([human("a"), gpt("b\udc00")], "message 2 holds half a character (\\udc00) at 2"),
        ([human("a"), gpt("")], 'message 2 ("gpt") is empty: there would be nothing to learn'),
        ([human(""), gpt("b")], 'message 1 ("human") is empty'),
        ([human("a"), gpt(""), human("b"), gpt("c")], 'message 2 ("gpt") is empty: there would be nothing to learn'),
        ([{**human("a"), "thinking": "hm"}, gpt("b")], "message 1 has thinking, which only an answer has"),
        ([human("a"), {**gpt("b"), "weight": 0}], "message 2 has the weight 0: weights of single messages are not supported"),
        ([human("a"), function("f(x)")], 'message 2 holds no call: expected JSON such as {"name": "f", "arguments": {}}'),
        ([human("a"), function('{"name": "f", "arguments": {}')], "message 2 is not JSON: line 1, column 30: Expecting ',' delimiter"),
        ([human("a"), function('{"name": "f"}')], "message 2 calls f without arguments; write {} where there are none"),
        ([human("a"), function('{"name": "f", "arguments": []}')], "message 2: the arguments of f are a list, expected an object"),
        ([human("a"), function('{"name": "f", "arguments": "x"}')],
         "message 2: the arguments of f are not JSON: line 1, column 1: Expecting value"),
        ([human("a"), function('{"arguments": {}}')], "message 2 is a call without a name"),
        ([human("a"), function('I ask.\n{"name": "f", "arguments": {}')],
         "message 2 is not JSON: line 2, column 30: Expecting ',' delimiter"),
        ([human("a"), function('{"name": "f", "arguments": {}} there')], "message 2 goes on after its call; a call stands last"),
        ([human("a"), function("[]")], "message 2 is an empty list of calls"),
        ([human("a"), function('[{"name": "f", "arguments": {}}, 3]')],
         "message 2, call 2 is a number, expected a call with a name and arguments"),
        ([human("a"), function('{"name": "f", "arguments": {"x": "\\ud83d"}}')], "message 2: the call of f holds half a character"),
        ([human("a"), function("[" * 100_000)], "message 2 is nested too deeply"),
    ],
)  # fmt: skip
def test_bad_sharegpt_rows(messages: object, expected: str) -> None:
    assert reason({"conversations": messages}, "sharegpt") == f"conversations: {expected}"


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ("{", "is not JSON: line 1, column 2: Expecting property name enclosed in double quotes"),
        ("3", "is a number, expected a list of tools"),
        ({"name": "f"}, "is an object, expected a list of tools"),
        (["f"], "tool 1 is text, expected an object"),
        ([{"type": "function"}], 'tool 1 has neither "function" nor "name"'),
        ([{"function": {"description": "x"}}], "tool 1 has no name"),
        ([{"name": "f", "parameters": "x"}], "tool 1 (f): parameters is text, expected an object"),
        ([{"name": "f", "description": 3}], "tool 1 (f): description is a number, expected text"),
        ([{"type": "web", "function": {"name": "f"}}], 'tool 1 has the type "web", expected "function"'),
        ('[{"name": "f", "description": "\\ud83d"}]', "the list of tools holds half a character"),
    ],
)
def test_bad_tools(tools: object, expected: str) -> None:
    row = {"conversations": [human("a"), gpt("b")], "tools": tools}
    assert reason(row, "sharegpt", columns={"tools": "tools"}) == f"tools: {expected}"


@pytest.mark.parametrize("tools", [None, "", " ", "[]", []])
def test_no_tools(tools: object) -> None:
    row = {"conversations": [human("a"), gpt("b")], "tools": tools}
    assert read(row, "sharegpt", columns={"tools": "tools"}).tools == ()


def test_a_bare_tool_with_its_type() -> None:
    row = {"conversations": [human("a"), gpt("b")], "tools": [{"type": "function", **TOOL_OBJECT}]}
    assert read(row, "sharegpt", columns={"tools": "tools"}).tools == (NORMAL_TOOL,)
