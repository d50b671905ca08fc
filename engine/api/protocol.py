"""The shapes of the chat-completions protocol: what a request may say, what an answer and an error look like.

Knows no server and no model. Unknown fields are tolerated, as clients send many; a known field that asks for
something this server does not do is refused by name, because ignoring it would answer another question.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from engine.infer.engine import Generation, Message, Sampling


class ApiError(Exception):
    """An answer other than 200, in the protocol's JSON."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param

    def body(self) -> dict[str, Any]:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


class Turn(BaseModel):
    """One message. Its content is a text or a list of text parts."""

    model_config = ConfigDict(extra="ignore")
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str

    @field_validator("content", mode="before")
    @classmethod
    def _join_parts(cls, content: Any) -> Any:
        if not isinstance(content, list):
            return content
        texts = []
        for part in content:
            if (
                not isinstance(part, dict)
                or part.get("type") != "text"
                or not isinstance(part.get("text"), str)
            ):
                raise ValueError('only text parts are supported: {"type": "text", "text": "..."}')
            texts.append(part["text"])
        return "".join(texts)

    def message(self) -> Message:
        return Message(role="system" if self.role == "developer" else self.role, content=self.content)


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")
    include_usage: bool = False


class ChatRequest(BaseModel):
    """The body of POST /v1/chat/completions; None = the server's own setting."""

    model_config = ConfigDict(extra="ignore")
    messages: list[Turn] = Field(min_length=1)
    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0)
    do_sample: bool | None = None
    repetition_penalty: float | None = Field(None, gt=0, allow_inf_nan=False)
    seed: int | None = Field(None, ge=-(2**63), lt=2**64)
    stop: str | list[str] | None = None
    n: int | None = None
    logprobs: bool | None = None
    tools: list[Any] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_format: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _refuse_what_is_not_done(self) -> ChatRequest:
        if self.n not in (None, 1):
            raise ValueError("n: only one answer per request is supported; send the request n times")
        for name in ("logprobs", "tools", "presence_penalty", "frequency_penalty"):
            if getattr(self, name):
                raise ValueError(f"{name}: not supported by this server; leave it out")
        if self.response_format and self.response_format.get("type", "text") != "text":
            raise ValueError("response_format: only text is supported")
        if self.messages[-1].role == "assistant":
            raise ValueError("messages: the last message must not be the assistant's")
        return self

    @classmethod
    def parse(cls, body: bytes) -> ChatRequest:
        """Raises ApiError 400 naming the first field that is wrong."""
        try:
            return cls.model_validate(json.loads(body))
        except ValidationError as error:
            first = error.errors()[0]
            param = ".".join(str(part) for part in first["loc"]) or None
            message = first["msg"].removeprefix("Value error, ")
            raise ApiError(400, f"{param}: {message}" if param else message, param=param) from None
        except (ValueError, RecursionError) as error:
            raise ApiError(400, f"the body is not JSON: {error}") from None

    def sampling(self, base: Sampling) -> Sampling:
        """`base` with what this request sets."""
        asked = {
            "max_new_tokens": self.max_completion_tokens or self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "do_sample": self.do_sample,
            "repetition_penalty": self.repetition_penalty,
            "seed": self.seed if self.seed is None else self.seed % 2**63,
            "stop": None
            if self.stop is None
            else (self.stop,)
            if isinstance(self.stop, str)
            else tuple(self.stop),
        }
        return base.with_changes(**{name: value for name, value in asked.items() if value is not None})


@dataclass(frozen=True)
class Envelope:
    """What every piece of one answer carries: its id, the time (unix seconds), the model's served name."""

    id: str
    created: int
    model: str

    def whole(self, text: str, generation: Generation) -> dict[str, Any]:
        """A complete answer."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "logprobs": None,
            "finish_reason": _finish_reason(generation),
        }
        return self._dict("chat.completion", [choice]) | {"usage": usage(generation)}

    def chunk(self, delta: dict[str, str]) -> dict[str, Any]:
        """A piece of a streamed answer."""
        return self._dict("chat.completion.chunk", [{"index": 0, "delta": delta, "finish_reason": None}])

    def last_chunk(self, generation: Generation) -> dict[str, Any]:
        choice = {"index": 0, "delta": {}, "finish_reason": _finish_reason(generation)}
        return self._dict("chat.completion.chunk", [choice])

    def usage_chunk(self, generation: Generation) -> dict[str, Any]:
        return self._dict("chat.completion.chunk", []) | {"usage": usage(generation)}

    def _dict(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }


def usage(generation: Generation) -> dict[str, int]:
    """Tokens read and written, the stop token included."""
    return {
        "prompt_tokens": generation.prompt_tokens,
        "completion_tokens": generation.completion_tokens,
        "total_tokens": generation.prompt_tokens + generation.completion_tokens,
    }


def sse(data: dict[str, Any] | str) -> str:
    """One server-sent event."""
    return f"data: {data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)}\n\n"


def _finish_reason(generation: Generation) -> str:
    return "length" if generation.finish_reason == "length" else "stop"
