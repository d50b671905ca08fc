"""Ask a chat server for an answer and hand out its text as it comes.

The server is a job of its own; this is only its client.

Try: load a model in the Chat tab and send a message
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx

from engine.errors import UserError

CONNECT_TIMEOUT_S = 10.0


async def stream_answer(
    url: str, key: str | None, messages: Sequence[Mapping[str, str]], **options: Any
) -> AsyncIterator[str]:
    """The pieces of one answer.

    url: the server's base, with or without /v1. options: model, temperature, ... Closing the iterator closes
    the connection, which stops the server's work. Raises UserError with the server's own words where it
    refuses, and where it cannot be reached.
    """
    base = url.rstrip("/").removesuffix("/v1")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    body = {"messages": list(messages), "stream": True, **options}
    timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)
    try:
        # trust_env=False: a proxy set for the internet must not get between us and loopback.
        async with (
            httpx.AsyncClient(timeout=timeout, trust_env=False) as http,
            http.stream("POST", f"{base}/v1/chat/completions", json=body, headers=headers) as response,
        ):
            if response.status_code != 200:
                raise UserError(_refusal(response.status_code, await response.aread()))
            async for line in response.aiter_lines():
                if line == "data: [DONE]":
                    return
                if line.startswith("data: "):
                    piece = _piece(line.removeprefix("data: "))
                    if piece:
                        yield piece
    except httpx.HTTPError as error:
        raise UserError(f"the chat server at {base} did not answer ({type(error).__name__}).") from error


def _piece(data: str) -> str:
    try:
        chunk = json.loads(data)
    except ValueError:
        return ""
    if "error" in chunk:
        raise UserError(_words(chunk["error"]))
    choices = chunk.get("choices") or [{}]
    return str((choices[0].get("delta") or {}).get("content") or "")


def _refusal(status: int, content: bytes) -> str:
    try:
        reply = json.loads(content)
        return _words(reply.get("error") or reply.get("detail") or reply)
    except (ValueError, AttributeError):
        return f"the chat server answered with status {status}."


def _words(error: Any) -> str:
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)
