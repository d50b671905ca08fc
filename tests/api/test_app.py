"""The server over real HTTP: answers, streams, turns, keys, errors, and clients that go away."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.infer.engine import Sampling
from engine.infer.transformers_backend import TransformersEngine
from engine.schema.data import TemplateArgs
from engine.schema.model import ModelArgs

CHAT = "/v1/chat/completions"


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def events(response: httpx.Response) -> Iterator[Any]:
    """The data of each server-sent event. Keep the iterator: dropping it closes the connection."""
    for line in response.iter_lines():
        if line:
            assert line.startswith("data: ")
            data = line.removeprefix("data: ")
            yield data if data == "[DONE]" else json.loads(data)


@pytest.fixture
def client(engine: Any, served: Any) -> Iterator[httpx.Client]:
    with served(engine) as url, httpx.Client(base_url=url, timeout=20) as made:
        yield made


def test_a_whole_answer_has_the_protocols_shape(client: httpx.Client) -> None:
    body = client.post(CHAT, json=ask("one two")).raise_for_status().json()
    assert (
        body["object"] == "chat.completion" and body["id"].startswith("chatcmpl-") and body["model"] == "tiny"
    )
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "one two "},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


def test_a_streamed_answer_comes_piece_by_piece_and_says_done(client: httpx.Client) -> None:
    body = ask("one 你好", stream=True, stream_options={"include_usage": True})
    with client.stream("POST", CHAT, json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        seen = list(events(response))
    assert seen.pop() == "[DONE]"
    usage = seen.pop()
    assert usage["choices"] == [] and usage["usage"]["completion_tokens"] == 2
    deltas = [event["choices"][0]["delta"] for event in seen]
    assert deltas == [{"role": "assistant", "content": ""}, {"content": "one "}, {"content": "你好 "}, {}]
    assert [event["choices"][0]["finish_reason"] for event in seen] == [None, None, None, "stop"]
    assert len({event["id"] for event in seen}) == 1


def test_the_first_piece_arrives_while_the_answer_is_still_being_written(
    client: httpx.Client, engine: Any
) -> None:
    with client.stream("POST", CHAT, json=ask("forever", stream=True)) as response:
        pieces = events(response)
        next(pieces)
        assert next(pieces)["choices"][0]["delta"] == {"content": "again "}
        assert not engine.answers[0].ended.is_set()


@pytest.mark.parametrize("text", ["forever", "hold"])
def test_a_client_that_leaves_a_stream_ends_its_generation(
    client: httpx.Client, engine: Any, text: str
) -> None:
    with client.stream("POST", CHAT, json=ask(text, stream=True)) as response:
        pieces = events(response)
        next(pieces)
    assert engine.answers[0].ended.wait(20)
    assert client.post(CHAT, json=ask("next")).json()["choices"][0]["message"]["content"] == "next "


def test_a_client_that_leaves_a_whole_answer_ends_its_generation(client: httpx.Client, engine: Any) -> None:
    with pytest.raises(httpx.ReadTimeout):
        client.post(CHAT, json=ask("forever"), timeout=0.3)
    assert engine.answers[0].ended.wait(20)
    assert client.post(CHAT, json=ask("next")).status_code == 200


def test_a_client_that_leaves_while_waiting_costs_no_generation(client: httpx.Client, engine: Any) -> None:
    with client.stream("POST", CHAT, json=ask("forever", stream=True)) as response:
        pieces = events(response)
        next(pieces)
        with pytest.raises(httpx.ReadTimeout):
            client.post(CHAT, json=ask("waited"), timeout=0.3)
    client.post(CHAT, json=ask("last")).raise_for_status()
    assert [answer.messages[-1]["content"] for answer in engine.answers] == ["forever", "last"]


def test_answers_are_written_one_at_a_time(client: httpx.Client, engine: Any) -> None:
    waiting: list[httpx.Response] = []
    with client.stream("POST", CHAT, json=ask("forever", stream=True)) as response:
        pieces = events(response)
        next(pieces)
        other = threading.Thread(target=lambda: waiting.append(client.post(CHAT, json=ask("second"))))
        other.start()
        assert client.get("/health").json()["status"] == "ok", "the server answers while a model is busy"
        assert len(engine.answers) == 1
    other.join(20)
    assert waiting[0].json()["choices"][0]["message"]["content"] == "second "


def test_a_failure_in_the_middle_of_a_stream_is_an_error_event(client: httpx.Client) -> None:
    with client.stream("POST", CHAT, json=ask("break", stream=True)) as response:
        seen = list(events(response))
    assert seen[-1]["error"]["type"] == "server_error" and "out of memory" in seen[-1]["error"]["message"]
    assert "[DONE]" not in seen
    assert client.post(CHAT, json=ask("fine")).status_code == 200


def test_a_failure_of_a_whole_answer_is_a_500_in_json(client: httpx.Client) -> None:
    response = client.post(CHAT, json=ask("break"))
    assert response.status_code == 500
    assert "out of memory" in response.json()["error"]["message"]
    assert client.post(CHAT, json=ask("fine")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", CHAT, {"messages": []}, 400, None),
        ("POST", CHAT, ask("too long"), 400, "context_length_exceeded"),
        ("POST", CHAT, ask("hi", model="gpt-x"), 404, "model_not_found"),
        ("GET", "/v1/nothing", None, 404, None),
        ("GET", CHAT, None, 405, None),
    ],
)
def test_errors_come_in_the_protocols_json(
    client: httpx.Client, method: str, path: str, body: Any, status: int, code: str | None
) -> None:
    response = client.request(method, path, json=body)
    assert response.status_code == status
    error = response.json()["error"]
    assert error["code"] == code and error["type"] == "invalid_request_error" and error["message"]


def test_the_model_is_listed_and_known_by_its_path_too(client: httpx.Client) -> None:
    (model,) = client.get("/v1/models").json()["data"]
    assert model["id"] == "tiny" and model["object"] == "model"
    assert client.post(CHAT, json=ask("hi", model="models/tiny")).status_code == 200


@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", "sesame", "Basic sesame", "Bearer sesam", "Bearer é"]
)
def test_with_a_key_nobody_gets_in_without_it(engine: Any, served: Any, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    with served(engine, key="sesame") as url:
        for method, path in (("GET", "/v1/models"), ("POST", CHAT)):
            response = httpx.request(method, url + path, headers=headers)
            assert response.status_code == 401
            assert response.json()["error"]["code"] == "invalid_api_key"
            assert "sesame" not in response.text
        assert httpx.get(url + "/health").status_code == 200
    assert not engine.answers


def test_with_the_key_one_gets_in(engine: Any, served: Any) -> None:
    with served(engine, key="sesame") as url:
        response = httpx.post(url + CHAT, json=ask("hi"), headers={"Authorization": "Bearer sesame"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "["}],
)
def test_without_a_key_pages_of_other_sites_are_refused(
    client: httpx.Client, headers: dict[str, str]
) -> None:
    assert client.post(CHAT, json=ask("hi"), headers=headers).status_code == 403
    assert client.post(CHAT, json=ask("hi"), headers={"Origin": "http://localhost:7860"}).status_code == 200


def test_stopping_the_server_ends_the_answer_in_hand(engine: Any, served: Any) -> None:
    with served(engine) as url, httpx.Client(base_url=url) as client:
        stream = client.stream("POST", CHAT, json=ask("forever", stream=True))
        response = stream.__enter__()
        pieces = events(response)
        next(pieces)
    assert engine.answers[0].ended.is_set()


def test_a_real_model_streams_what_it_answers_whole(tiny_random: Path, served: Any) -> None:
    real = TransformersEngine(ModelArgs(model_name_or_path=str(tiny_random)), TemplateArgs(), use_cpu=True)
    real.load()
    greedy = Sampling(do_sample=False, max_new_tokens=8)
    with served(real, sampling=greedy) as url, httpx.Client(base_url=url, timeout=20) as client:
        whole = client.post(CHAT, json=ask("你好")).raise_for_status().json()
        with client.stream("POST", CHAT, json=ask("你好", stream=True)) as response:
            deltas = [event["choices"][0]["delta"] for event in events(response) if event != "[DONE]"]
    assert "".join(delta.get("content", "") for delta in deltas) == whole["choices"][0]["message"]["content"]
    assert whole["choices"][0]["finish_reason"] == "length"
    assert whole["usage"]["completion_tokens"] == 8
