"""What a request may say and what comes back when it says something else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.api.protocol import ApiError, ChatRequest
from engine.infer.engine import Sampling

HI = [{"role": "user", "content": "hi"}]


def parse(**body: Any) -> ChatRequest:
    return ChatRequest.parse(json.dumps({"messages": HI, **body}).encode())


def test_unknown_fields_are_tolerated() -> None:
    assert parse(user="me", metadata={"a": 1}, logit_bias={}).messages[0].content == "hi"


def test_fields_that_ask_for_nothing_are_tolerated() -> None:
    idle = {"n": 1, "tools": [], "logprobs": False, "presence_penalty": 0, "stop": None}
    assert parse(**idle, response_format={"type": "text"}).messages == parse().messages


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({"messages": []}, "messages", "at least 1"),
        ({"messages": "hi"}, "messages", "list"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "messages.0.role", "'user'"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "required"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content",
            "only text",
        ),
        ({"messages": [*HI, {"role": "assistant", "content": "x"}]}, None, "last message"),
        ({"temperature": -1}, "temperature", "greater than or equal to 0"),
        ({"top_p": 0}, "top_p", "greater than 0"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"n": 2}, None, "one answer"),
        ({"tools": [{"type": "function"}]}, None, "tools: not supported"),
        ({"logprobs": True}, None, "logprobs: not supported"),
        ({"response_format": {"type": "json_object"}}, None, "only text"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    body: dict[str, Any], param: str | None, message: str
) -> None:
    with pytest.raises(ApiError) as caught:
        parse(**body)
    error = caught.value.body()["error"]
    assert caught.value.status == 400
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert message in error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_request_is_a_400(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        ChatRequest.parse(body)
    assert caught.value.status == 400


def test_text_parts_are_joined_and_developer_means_system() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    asked = parse(messages=[{"role": "developer", "content": "be brief"}, {"role": "user", "content": parts}])
    assert [turn.message() for turn in asked.messages] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "ab"},
    ]


def test_a_request_changes_only_what_it_names() -> None:
    base = Sampling(temperature=0.3, top_p=0.5, max_new_tokens=99)
    asked = parse(temperature=0, max_completion_tokens=5, max_tokens=7, stop="X", seed=-1)
    changed = asked.sampling(base)
    assert (changed.temperature, changed.top_p, changed.max_new_tokens) == (0, 0.5, 5)
    assert changed.stop == ("X",)
    assert changed.seed is not None and changed.seed >= 0, "torch takes no negative seed"
    assert parse().sampling(base) == base
