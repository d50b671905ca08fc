"""OpenAI rows: parts, calls and their results, and the exact reason why one is refused."""

# ruff: noqa: E501 - messages stand as a person sees them
from __future__ import annotations

import pytest

from engine.data.example import TOOL, Example, Message, ToolCall
from tests.data.formats import (
    CALL,
    NORMAL_TOOL,
    WEATHER,
    bot,
    read,
    reason,
    said,
    user,
)


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
