"""Tool formats: what is written reads back, what is torn stays text. The exact wording of twelve templates is
in test_base.py, against the examples.
"""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine.errors import UserError
from engine.schema.data import TOOL_FORMATS
from engine.templates.base import list_templates, load_template
from engine.templates.tools import Data, list_tool_formats, llama3, load_tool_format
from tests.templates.tool_cases import CALLS, CLOCK, TEXTS, TOOL, VALUES, declare

# Formats that write strings bare, and what a text may not hold there.
BARE = {
    "qwen3_5": ("</parameter>",),
    "seed_oss": ("</parameter>",),
    "minimax2": ("</parameter>",),
    "glm4_moe": ("</arg_value>",),
}
FORMATS = list_tool_formats()
PARIS = ("get_weather", {"city": "Paris", "days": 2})
NOW = ("now", {})


def written(name: str, *calls: tuple[str, dict[str, Any]]) -> str:
    return "".join(load_tool_format(name).write_calls(calls))


def same(left: Any, right: Any) -> bool:
    """Equal in JSON: 1, 1.0 and true are different things."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right


def test_the_formats_are_those_that_arguments_offer() -> None:
    assert sorted(TOOL_FORMATS) == FORMATS
    assert {load_template(name).tool_format for name in list_templates()} == set(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_calls_read_back(name: str) -> None:
    tools = load_tool_format(name)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(CALLS, st.sampled_from(["", "Let me see.", "两行\n\nof words."]))
    def check(calls: list[tuple[str, dict[str, Any]]], words: str) -> None:
        text = words + (tools.lead if words else "") + written(name, *calls)
        got, rest = tools.parse_calls(text, declare(calls) if name in BARE else ())
        assert same(got, calls)
        assert rest == words

    check()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "value",
    [
        "",
        "</tool_call>",
        "</function>",
        "[/TOOL_CALLS]",
        "<|tool_call_end|>",
        "}, {",
        "\n\n",
        "')]",
        '", b)',
        "北京",
    ],
)
def test_texts_that_look_like_the_format(name: str, value: str) -> None:
    calls = [("f", {"a": value, "b": {"c": [value, None, {"d": 1.5}]}}), NOW]
    tools = declare(calls)
    assert load_tool_format(name).parse_calls(written(name, *calls), tools) == (calls, "")


@pytest.mark.parametrize("name", FORMATS)
def test_no_text_makes_it_stumble(name: str) -> None:
    """Whatever a model writes is calls and words; only an unfinished or unknown form stays words."""
    tools = load_tool_format(name)
    whole = written(name, PARIS, NOW)
    pieces = st.sampled_from([whole[i:j] for i in range(0, len(whole), 5) for j in range(i, len(whole), 7)])

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(pieces | TEXTS | st.sampled_from(["<tool_call>", "[", "{", '"', "\\"]), max_size=6))
    def check(parts: list[str]) -> None:
        text = "".join(parts)
        calls, rest = tools.parse_calls(text)
        assert calls or rest == text
        for called, arguments in calls:
            assert called and isinstance(called, str) and isinstance(arguments, dict)

    check()


@pytest.mark.parametrize("name", FORMATS)
def test_torn_calls_stay_text(name: str) -> None:
    whole = written(name, PARIS)
    parse = load_tool_format(name).parse_calls
    assert parse(whole, [TOOL]) == ([PARIS], "")
    # A call of glm4_moe has no end of its own: one torn early is a call without arguments.
    start = whole.index("\n", 1) if name == "glm4_moe" else 1
    for end in range(start, whole.index("Paris") + 4):
        assert parse(whole[:end], [TOOL])[0] in ([], [("get_weather", {})]), whole[:end]
    assert parse("Just words.", [TOOL]) == ([], "Just words.")


@pytest.mark.parametrize("depth", [3000])
@pytest.mark.parametrize("name", FORMATS)
def test_bottomless_nesting_is_no_call(name: str, depth: int) -> None:
    text = written(name, ("f", {"a": 12345})).replace("12345", "[" * depth)
    calls, _ = load_tool_format(name).parse_calls(text)
    assert calls in ([], [("f", {"a": "[" * depth})])


@pytest.mark.parametrize("name", list(BARE))
def test_bare_values_without_a_schema(name: str) -> None:
    """JSON where it parses, else text; with a schema, a string stays one."""
    call = ("f", {"number": "2", "text": "two", "word": "NaN", "list": [1]})
    parse = load_tool_format(name).parse_calls
    assert parse(written(name, call)) == ([("f", {**call[1], "number": 2})], "")
    assert parse(written(name, call), declare([call])) == ([call], "")


@settings(max_examples=100, deadline=None)
@given(VALUES)
@pytest.mark.parametrize("name", list(BARE))
def test_a_bare_value_ends_at_its_tag(name: str, value: Any) -> None:
    assume(not isinstance(value, str) or not any(word in value for word in BARE[name]))
    calls = [("f", {"a": value})]
    assert same(load_tool_format(name).parse_calls(written(name, *calls), declare(calls))[0], calls)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("qwen", '<tool_call>{"name": "now", "arguments": {}}</tool_call>'),
        ("qwen", '<tool_call>\n{"arguments": {}, "name": "now"}'),
        ("default", "<tool_call>now\n{}</tool_call>"),
        ("qwen3_5", "<tool_call><function=now></function></tool_call>"),
        ("llama3", '<|python_tag|>{"name": "now", "parameters": {}}'),
        ("llama3", '[{"name": "now", "arguments": {}}]\n'),
        ("mistral", '[TOOL_CALLS] [{"name": "now", "arguments": {}}]'),
        ("mistral", '[TOOL_CALLS][{"name": "now", "arguments": {}, "id": "a1b2c3d4e"}]'),
        ("glm4", "now\n{}"),
        ("glm4_moe", "<tool_call>now</tool_call>"),
        ("minimax1", '<tool_calls>{"name": "now", "arguments": {}}</tool_calls>'),
        ("minimax2", '<minimax:tool_call>\n<invoke name="now">\n</invoke>\n</minimax:tool_call>'),
        ("seed_oss", "<seed:tool_call>\n<function=now>\n</function>\n</seed:tool_call>"),
        ("lfm2", "<|tool_call_start|>[now()]<|tool_call_end|>"),
        ("lfm2", "[now()]"),
        ("gemma4", "<|tool_call>call:now{}<tool_call|>"),
    ],
)
def test_what_models_write_a_little_differently(name: str, text: str) -> None:
    assert load_tool_format(name).parse_calls(text) == ([NOW], "")


def test_python_and_json_words_in_lfm2() -> None:
    calls = "[a.b-c(from='x, y)', ok=true, no=None, d={'k': [1, (2)]}), now()]"
    text = f"<|tool_call_start|>{calls}<|tool_call_end|>!"
    arguments = {"from": "x, y)", "ok": True, "no": None, "d": {"k": [1, 2]}}
    assert load_tool_format("lfm2").parse_calls(text) == ([("a.b-c", arguments), NOW], "!")


def test_one_torn_call_among_good_ones() -> None:
    good = written("qwen", NOW)
    calls, rest = load_tool_format("qwen").parse_calls(
        f"Look:\n{good}\n<tool_call>\n{{oops}}\n</tool_call>\n{good}"
    )
    assert calls == [NOW, NOW]
    assert rest == "Look:\n<tool_call>\n{oops}\n</tool_call>\n"


@pytest.mark.parametrize("name", ["llama3", "mistral", "glm4"])
def test_calls_without_tags_stand_at_the_end(name: str) -> None:
    """JSON in the middle of an explanation is an explanation."""
    text = written(name, PARIS) + "\nis what I would call."
    assert load_tool_format(name).parse_calls(text) == ([], text)


@pytest.mark.parametrize("name", FORMATS)
def test_description_names_everything(name: str) -> None:
    parts = load_tool_format(name).describe([TOOL, CLOCK])
    data = "".join(part for part in parts if isinstance(part, Data))
    for said in ("get_weather", "Weather of a city", "city", "city name", "days", "now"):
        assert said in data
    # Every part of it that came from the data says so.
    words = "".join(part for part in parts if not isinstance(part, Data))
    assert "get_weather" not in words and "city" not in words


def test_description_of_the_house_format() -> None:
    text = "".join(load_tool_format("default").describe([CLOCK]))
    assert text == (
        "\n\nThese tools can be called:\n\nName: now\nParameters (JSON Schema): {}\n\n"
        "To call a tool, write its name on one line and its arguments as a JSON object on the next, between "
        'tags, once for each call:\n<tool_call>\ntool_name\n{"argument": "value"}\n</tool_call>\n'
        "Stop there; what the tool gives back comes in the next message. Where no tool helps, simply answer."
        "\n"
    )


def test_llama3_tells_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    class Day(datetime.date):
        @classmethod
        def today(cls) -> Day:
            return cls(2031, 3, 4)

    monkeypatch.setattr(llama3.datetime, "date", Day)
    assert "\nToday Date: 04 Mar 2031\n" in "".join(llama3.describe([CLOCK]))


def test_formats_outside_the_examples() -> None:
    """As the models' own templates write them."""
    calls = [PARIS, NOW]
    assert written("lfm2", *calls) == (
        '<|tool_call_start|>[get_weather(city="Paris", days=2), now()]<|tool_call_end|>'
    )
    assert written("minimax1", *calls) == (
        '<tool_calls>\n{"name": "get_weather", "arguments": {"city": "Paris", "days": 2}}\n'
        '{"name": "now", "arguments": {}}\n</tool_calls>'
    )
    assert written("ling", *calls) == written("qwen", *calls)
    ling = "".join(load_tool_format("ling").describe([CLOCK]))
    assert ling.startswith("\n# Tools\n\n") and ling.endswith("</tool_call>\ndetailed thinking off")
    lfm2 = "".join(load_tool_format("lfm2").describe([CLOCK]))
    assert lfm2.startswith("\nList of tools: <|tool_list_start|>[{") and lfm2.endswith("}]<|tool_list_end|>")
    minimax1 = "".join(load_tool_format("minimax1").describe([CLOCK]))
    assert "system tool_setting=tools\n" in minimax1 and '\n{"name": "now", "parameters": {}}\n' in minimax1


def test_gemma4_writes_nested_values_in_order() -> None:
    call = ("f", {"b": {"Z": True, "a": [1, "x"]}, "a": None})
    assert written("gemma4", call) == '<|tool_call>call:f{a:null,b:{a:[1,<|"|>x<|"|>],Z:true}}<tool_call|>'


def test_unknown_name_tells_the_nearest() -> None:
    with pytest.raises(
        UserError, match="tool_format: 'qwen33' is not a known tool format; did you mean qwen or qwen3_5"
    ):
        load_tool_format("qwen33")
