"""Each format's rows: what they become, and the exact reason why one is refused."""

# ruff: noqa: E501 - messages stand as a person sees them
from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.entry import read_entry
from engine.data.example import ASSISTANT, TOOL, USER, Example, Kind, Message, ToolCall
from engine.data.formats import load_reader
from engine.data.formats.kinds import STAGES, kind_for, kind_of, misfit
from engine.data.formats.sharegpt import write_entry, write_row
from engine.data.report import RowError
from engine.data.spec import DatasetSpec
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


# Alpaca

ALPACA = {"instruction": "Add.", "input": "2 and 3", "output": "5"}


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


# Pairs and labels


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


# ShareGPT


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


# OpenAI


def test_openai_with_calls_and_results_out_of_order() -> None:
    calls = [
        {
            "id": "1",
            "type": "function",
            "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
        },
        {"id": "2", "type": "function", "function": {"name": "now", "arguments": {}}},
    ]
    row = {
        "messages": [
            said("developer", "S"),
            said("user", [{"type": "text", "text": "Weather "}, {"type": "text", "text": "now?"}]),
            said("assistant", None, tool_calls=calls),
            said("tool", "noon", tool_call_id="2"),
            said("tool", '{"t": 20}', tool_call_id="1"),
            said("assistant", "Warm.", reasoning_content="20 is warm"),
        ],
        "tools": [NORMAL_TOOL],
    }
    assert read(row, "openai", columns={"tools": "tools"}) == Example(
        (
            user("Weather now?"),
            bot("", WEATHER, ToolCall("now", {})),
            Message(TOOL, '{"t": 20}'),
            Message(TOOL, "noon"),
            bot("Warm.", thought="20 is warm"),
        ),
        "S",
        tools=(NORMAL_TOOL,),
    )


def test_openai_without_ids_keeps_the_order() -> None:
    row = {
        "messages": [
            said("user", "a"),
            said("assistant", "I ask.", tool_calls=[CALL, CALL]),
            said("tool", "1"),
            said("tool", "2"),
            said("assistant", "b"),
        ]
    }
    got = read(row, "openai").messages
    assert got[1] == bot("I ask.", WEATHER, WEATHER)
    assert [message.content for message in got[2:4]] == ["1", "2"]
    assert read({"messages": row["messages"][:2]}, "openai").messages == got[:2]


def test_none_is_no_value_as_parquet_fills_it() -> None:
    filled = {"tool_calls": None, "tool_call_id": None, "reasoning_content": None, "weight": None}
    row = {"messages": [said("user", "a", **filled), said("assistant", "b", **filled)]}
    assert read(row, "openai") == Example((user("a"), bot("b")))


def test_openai_media_parts() -> None:
    parts = [
        {"type": "text", "text": "See "},
        {"type": "image_url", "image_url": {"url": "https://x/a.png"}},
        {"type": "image", "image": "b.png"},
        {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}},
    ]
    got = read({"messages": [said("user", parts), said("assistant", "ok")]}, "openai")
    assert got.messages[0].content == "See <image><image><audio>"
    assert got.images == ("https://x/a.png", "b.png")
    assert got.audios == ("data:audio/mp3;base64,QQ==",)
    row = {"messages": [said("user", [{"type": "image"}]), said("assistant", "ok")], "images": ["a.png"]}
    assert read(row, "openai", columns={"images": "images"}).images == ("a.png",)
    assert reason(row, "openai") == (
        "messages: holds 0 images, but the messages hold 1 <image> placeholder; the counts must be equal"
    )
    both = {"messages": [said("user", parts), said("assistant", "ok")], "images": ["a.png"]}
    assert reason(both, "openai", columns={"images": "images"}) == (
        "images: holds images, and so do the messages; keep them in one place"
    )


def with_calls(
    *messages: dict[str, object], ids: tuple[str | None, ...] = ("1", "2")
) -> list[dict[str, object]]:
    calls = [{**CALL, "id": name} if name else CALL for name in ids]
    return [said("user", "a"), said("assistant", "", tool_calls=calls), *messages, said("assistant", "b")]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (["a"], "message 1 is text, expected an object"),
        ([{"content": "a"}], 'message 1 has no "role"; it has "content"'),
        ([{"role": "user"}], 'message 1 has no "content"'),
        ([said("user", 3)], "message 1 is a number, expected text"),
        ([said("user", [{"type": "smell"}])],
         'message 1, part 1 has the type "smell"; known types are text, image, image_url, input_image, video, video_url, audio, audio_url, input_audio'),
        ([said("user", [{"text": "a"}])],
         "message 1, part 1 has no type; known types are text, image, image_url, input_image, video, video_url, audio, audio_url, input_audio"),
        ([said("user", "a", tool_calls=[CALL])], 'message 1 has the role "user" and calls; only "assistant" calls'),
        ([said("user", "a"), said("assistant", None)], 'message 2 ("assistant") is empty: there would be nothing to learn'),
        (with_calls(said("tool", "x", tool_call_id="1")), 'message 2: the call "2" has no result'),
        (with_calls(), 'message 3 has the role "assistant" where "user" or "tool" is expected'),
        ([*with_calls()[:2], said("user", "x"), said("assistant", "b")], 'message 2: the call "1" has no result'),
        (with_calls(said("tool", "x", tool_call_id="1"), said("tool", "x", tool_call_id="3")),
         'message 4: tool_call_id is "3", but the calls before it are 1, 2'),
        (with_calls(said("tool", "x", tool_call_id="1"), said("tool", "x")),
         "message 4: tool_call_id is empty, but the calls before it are 1, 2"),
        (with_calls(said("tool", "x", tool_call_id="1"), said("tool", "x", tool_call_id="1")),
         'message 4 is a second result of the call "1"'),
        (with_calls(said("tool", "x"), ids=("1", None)), "message 2 has calls with and without an id"),
        (with_calls(said("tool", "x"), ids=("1", "1")), "message 2 has two calls with the same id"),
        ([said("user", "a"), said("tool", "x")], 'message 2 has the role "tool" where "assistant" is expected'),
        ([said("assistant", "a", weight=0)], "message 1 has the weight 0: weights of single messages are not supported"),
    ],
)  # fmt: skip
def test_bad_openai_rows(messages: object, expected: str) -> None:
    assert reason({"messages": messages}, "openai") == f"messages: {expected}"


# Media


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a.png", ("a.png",)),
        (["a.png"], ("a.png",)),
        ('["a.png"]', ("a.png",)),
        ({"path": "a.png", "bytes": None}, ("a.png",)),
        ([{"path": "a.png", "bytes": b"A"}], ("data:application/octet-stream;base64,QQ==",)),
        (b"A", ("data:application/octet-stream;base64,QQ==",)),
    ],
)
def test_media(value: object, expected: tuple[str, ...]) -> None:
    row = {"conversations": [human("<image>"), gpt("b")], "pics": value}
    assert read(row, "sharegpt", columns={"images": "pics"}).images == expected


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("<image>", [], "holds 0 images, but the messages hold 1 <image> placeholder; the counts must be equal"),
        ("a", ["a.png"], "holds 1 image, but the messages hold 0 <image> placeholders; the counts must be equal"),
        ("<image>", ["a.png", 3], "value 2 is a number, expected a path"),
        ("<image>", [""], "value 1 is empty, expected a path"),
        ("<image>", 3, "is a number, expected a list of paths"),
        ("<image>", [["1.png", "2.png"]], "value 1 is a list; frames of a video are not supported, name the video's file"),
    ],
)  # fmt: skip
def test_bad_media(text: str, value: object, expected: str) -> None:
    row = {"conversations": [human(text), gpt("b")], "pics": value}
    assert reason(row, "sharegpt", columns={"images": "pics"}) == f"pics: {expected}"


def test_placeholder_words_are_text_where_no_column_is_mapped() -> None:
    row = {"conversations": [human("What is <image> in HTML?"), gpt("b")]}
    assert read(row, "sharegpt").images == ()


def test_placeholders_of_a_pair_count_with_each_answer() -> None:
    row = {"conversations": [human("<image>")], "chosen": "<image>", "rejected": "b", "images": ["a", "b"]}
    assert reason(row, "sharegpt", "pair", ranking=True, columns={"images": "images"}) == (
        "images: holds 2 images, but the messages hold 1 <image> placeholder; the counts must be equal"
    )


# What an entry holds, what a stage needs


@pytest.mark.parametrize(
    ("formatting", "entry", "kind", "stages"),
    [
        ("alpaca", {}, "chat", {"sft", "ppo", "grpo", "pt"}),
        ("sharegpt", {}, "chat", {"sft", "ppo", "grpo", "pt"}),
        ("openai", {}, "chat", {"sft", "ppo", "grpo", "pt"}),
        ("text", {}, "text", {"pt"}),
        ("alpaca", {"columns": {"response": None}}, "prompt", {"ppo", "grpo", "pt"}),
        ("alpaca", {"ranking": True}, "pair", {"dpo", "rm"}),
        ("openai", {"ranking": True}, "pair", {"dpo", "rm"}),
        ("alpaca", {"columns": {"kto_tag": "ok"}}, "label", {"kto"}),
    ],
)
def test_kinds_and_the_stages_they_fit(
    formatting: str, entry: dict[str, Any], kind: Kind, stages: set[str]
) -> None:
    spec = spec_of(formatting, **entry)
    assert kind_of(spec) == kind
    every = [name for names in STAGES.values() for name in names]
    assert {name for name in every if not misfit(spec, name)} == stages


def test_misfits_are_told_in_words() -> None:
    assert misfit(spec_of("alpaca", ranking=True), "sft") == (
        "holds pairs of answers (ranking: true), which the stages dpo, rm use; stage sft needs conversations"
    )
    assert misfit(spec_of("alpaca"), "dpo") == (
        "holds conversations, which the stages pt, sft, ppo, grpo use; stage dpo needs pairs of answers "
        '("ranking": true with the columns chosen and rejected)'
    )
    assert kind_for("a stage of tomorrow") == "chat"


# alpaca -> Example -> sharegpt -> Example

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
CALLS = st.builds(ToolCall, TEXT, st.dictionaries(TEXT, JSON_VALUES, max_size=3))
# White space alone before a call is not kept; words are, JSON among them.
WORDS = (
    st.just("") | TEXT.filter(lambda text: not text.isspace()) | st.just('{"name": "x", "arguments": {}} [{')
)
TOOLS = st.lists(st.fixed_dictionaries({"name": TEXT, "description": TEXT}), max_size=2).map(
    lambda tools: tuple({"type": "function", "function": tool} for tool in tools)
)
ANSWERS = st.builds(Message, st.just(ASSISTANT), TEXT, st.just("") | TEXT)


def same_through_sharegpt(example: Example, want: Kind) -> Example:
    row = json.loads(json.dumps(write_row(example)))
    spec = read_entry("d", write_entry(row, str(REPO / "data/identity.json")))
    return load_reader(spec, want)(row)


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "instruction": TEXT,
            "input": st.just("") | TEXT,
            "output": TEXT,
            "history": st.lists(st.tuples(TEXT, TEXT).map(list), max_size=3),
            "system": st.just("") | TEXT,
            "tools": TOOLS.map(json.dumps),
            "chosen": TEXT,
            "rejected": TEXT,
            "kto_tag": st.booleans(),
        }
    ),
    st.sampled_from(["chat", "pair", "label", "prompt"]),
)
def test_alpaca_to_sharegpt_and_back_is_the_identity(row: dict[str, Any], want: Kind) -> None:
    roles = ["history", "system", "tools", *(["kto_tag"] if want == "label" else [])]
    spec = spec_of("alpaca", columns={role: role for role in roles}, ranking=want == "pair")
    if want == "pair" and row["chosen"] == row["rejected"]:
        row["rejected"] += "!"
    example = load_reader(spec, want)(row)
    assert same_through_sharegpt(example, want) == example


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_conversations_with_calls_survive_sharegpt(data: st.DataObject) -> None:
    messages = [user(data.draw(TEXT))]
    for _ in range(data.draw(st.integers(0, 3))):
        calls = data.draw(st.lists(CALLS, min_size=1, max_size=3))
        messages.append(bot(data.draw(WORDS), *calls, thought=data.draw(st.just("") | TEXT)))
        messages += [Message(TOOL, data.draw(st.just("") | TEXT)) for _ in calls]
    messages.append(data.draw(ANSWERS))
    example = Example(tuple(messages), data.draw(st.just("") | TEXT), tools=data.draw(TOOLS))
    assert same_through_sharegpt(example, "chat") == example


def test_media_survive_sharegpt() -> None:
    example = Example((user("<image><video><audio>"), bot("b")), images=("a",), videos=("b",), audios=("c",))
    assert same_through_sharegpt(example, "chat") == example


# Whatever a cell holds


CELLS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=4)
    | st.dates()
    | st.sampled_from(["human", "gpt", "function_call", "user", "assistant", "tool", "[", '{"name": "f", "arguments": {}}']),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["from", "value", "role", "content", "type", "text", "image", "image_url", "url", "name", "arguments",
             "function", "tool_calls", "tool_call_id", "id", "thinking", "weight", "path", "bytes", "x"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"from": st.sampled_from(["human", "gpt", "observation", "function_call"]), "value": CELLS},
        optional={"thinking": CELLS, "weight": CELLS},
    ).map(
        lambda message: {
            **message,
            "role": message["from"],
            "content": message["value"],
            "tool_calls": message.get("x"),
        }
    ),
    max_size=4,
)
TAGS = {"user_tag": "human", "assistant_tag": "gpt", "observation_tag": "observation"}
COLUMNS = {name: name for name in ("system", "tools", "images", "videos", "audios")}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(
        [
            ("alpaca", {"columns": {**COLUMNS, "history": "history"}}, "chat"),
            ("alpaca", {"columns": {**COLUMNS, "kto_tag": "label"}}, "label"),
            ("alpaca", {"ranking": True}, "pair"),
            ("sharegpt", {"columns": COLUMNS}, "chat"),
            ("sharegpt", {"ranking": True}, "pair"),
            ("openai", {"columns": {**COLUMNS, "messages": "conversations"}, "tags": TAGS}, "prompt"),
            ("text", {}, "text"),
        ]
    ),
    st.fixed_dictionaries(
        dict.fromkeys(
            ("instruction", "input", "output", "history", "system", "tools", "images", "label", "chosen", "rejected", "text"),
            CELLS,
        )
        | {"conversations": MESSAGES | CELLS}
    ),
)  # fmt: skip
def test_any_cell_is_read_or_refused(how: tuple[str, dict[str, Any], Kind], row: dict[str, Any]) -> None:
    """Nothing but RowError is ever raised, and what is read can be encoded and written as JSON."""
    formatting, entry, want = how
    try:
        example = read(row, formatting, want, **entry)
    except RowError as error:
        assert error.reason
        return
    assert example.kind == want
    texts = [example.system, example.text or "", example.reference, *example.images]
    texts += [text for message in example.messages for text in (message.content, message.thought)]
    for text in texts:
        text.encode()
    json.dumps([dict(tool) for tool in example.tools], allow_nan=False)
