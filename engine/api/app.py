"""The routes: /health, /v1/models, /v1/chat/completions. Owns no socket and no process (server.py does).

One answer is written at a time; others wait their turn in order. A client that goes away, waiting or reading,
frees its place at once and ends its generation at the next token.
"""

from __future__ import annotations

import asyncio
import hmac
import time
import traceback
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from engine.api.protocol import ApiError, ChatRequest, Envelope, sse
from engine.errors import UserError
from engine.infer.engine import Engine, Generation, PromptTooLong, Sampling

LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}
CLIENT_IS_GONE = 499
"""nginx's status for a client that closed the connection; nobody reads it, the log line shows it"""


class Turnstile:
    """Lets one request at a time to the engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.closing = False
        self._lock = asyncio.Lock()
        self._endings: set[asyncio.Task[None]] = set()

    async def enter(self, gone: asyncio.Task[None]) -> bool:
        """Wait for the turn. False when the client left first. Raises ApiError 503 once the server closes."""
        turn = asyncio.create_task(self._lock.acquire())
        try:
            await asyncio.wait({turn, gone}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._give_up(turn)
            raise
        if gone.done():
            self._give_up(turn)
            return False
        if self.closing:
            self._lock.release()
            raise ApiError(503, "the server is shutting down")
        return True

    def leave(self, generation: Generation | None) -> None:
        """End the turn: the next one starts when nothing of this generation runs any more."""
        if generation is None:
            self._lock.release()
            return
        generation.cancel()
        ending = asyncio.create_task(self._end(generation))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    def close(self) -> None:
        """Shut: the answer being written ends, those who wait are sent away."""
        self.closing = True
        self.engine.stop()

    async def _end(self, generation: Generation) -> None:
        try:
            await asyncio.to_thread(generation.close)
        finally:
            self._lock.release()

    def _give_up(self, turn: asyncio.Task[bool]) -> None:
        if turn.done() and not turn.cancelled():
            self._lock.release()
        turn.cancel()


class StreamedAnswer(StreamingResponse):
    """Server-sent events; leaves the turnstile however it ends."""

    def __init__(self, events: AsyncIterator[str], generation: Generation, leave: Callable[[], None]) -> None:
        super().__init__(
            events,
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )
        self._generation, self._leave = generation, leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        watch = asyncio.create_task(_until_gone(receive))
        watch.add_done_callback(lambda task: None if task.cancelled() else self._generation.cancel())
        try:
            await self.stream_response(send)
        finally:
            watch.cancel()
            self._leave()


def build_app(
    engine: Engine, *, model_name: str, sampling: Sampling, key: str | None, aliases: tuple[str, ...] = ()
) -> FastAPI:
    """The application. `sampling` is what requests start from; without `key` only this machine's pages may
    ask.
    """
    app = FastAPI(title="Tunesmith", docs_url=None, redoc_url=None, openapi_url=None)
    turnstile = Turnstile(engine)
    app.state.turnstile = turnstile
    started = int(time.time())
    _answer_errors_in_json(app)

    async def admit(request: Request) -> None:
        if key is None:
            _refuse_foreign_pages(request)
        elif not _has_key(request, key):
            raise ApiError(
                401,
                "missing or wrong API key: send it as 'Authorization: Bearer KEY'",
                code="invalid_api_key",
            )

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "closing" if turnstile.closing else "ok", "model": model_name}

    @app.get("/v1/models", dependencies=[Depends(admit)])
    async def models() -> dict[str, Any]:
        model = {"id": model_name, "object": "model", "created": started, "owned_by": "tunesmith"}
        return {"object": "list", "data": [model]}

    @app.post("/v1/chat/completions", dependencies=[Depends(admit)])
    async def chat_completions(request: Request) -> Response:
        asked = ChatRequest.parse(await request.body())
        if asked.model not in (None, "", model_name, *aliases):
            raise ApiError(
                404, f"this server has no model {asked.model!r}, only {model_name!r}", code="model_not_found"
            )
        gone = asyncio.create_task(_until_gone(request.receive))
        try:
            return await _answer(turnstile, asked, model_name, asked.sampling(sampling), gone)
        finally:
            gone.cancel()

    return app


async def _answer(
    turnstile: Turnstile, asked: ChatRequest, model_name: str, sampling: Sampling, gone: asyncio.Task[None]
) -> Response:
    if not await turnstile.enter(gone):
        return Response(status_code=CLIENT_IS_GONE)
    generation: Generation | None = None
    handed_over = False
    began = time.monotonic()
    try:
        generation = _start(turnstile.engine, asked, sampling)
        envelope = Envelope(id=f"chatcmpl-{uuid.uuid4().hex}", created=int(time.time()), model=model_name)

        def leave(generation: Generation = generation) -> None:
            _log(generation, time.monotonic() - began)
            turnstile.leave(generation)

        if asked.stream:
            handed_over = True
            with_usage = asked.stream_options is not None and asked.stream_options.include_usage
            return StreamedAnswer(_events(generation, envelope, with_usage=with_usage), generation, leave)
        reading = asyncio.create_task(_read_all(generation))
        await asyncio.wait({reading, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            generation.cancel()
        text = await _told(reading)
        _log(generation, time.monotonic() - began)
        return JSONResponse(envelope.whole(text, generation))
    finally:
        if not handed_over:
            turnstile.leave(generation)


def _start(engine: Engine, asked: ChatRequest, sampling: Sampling) -> Generation:
    try:
        return engine.stream([turn.message() for turn in asked.messages], sampling)
    except PromptTooLong as error:
        raise ApiError(400, str(error), code="context_length_exceeded", param="messages") from None
    except UserError as error:
        raise ApiError(400, str(error), param="messages") from None


async def _events(generation: Generation, envelope: Envelope, *, with_usage: bool) -> AsyncIterator[str]:
    yield sse(envelope.chunk({"role": "assistant", "content": ""}))
    try:
        async for piece in _pieces(generation):
            yield sse(envelope.chunk({"content": piece}))
    except Exception as error:  # noqa: BLE001  told to the client and to the log
        # The status line is long gone: the protocol's way to say so is an error event, and no [DONE].
        yield sse(_failure(error).body())
        return
    yield sse(envelope.last_chunk(generation))
    if with_usage:
        yield sse(envelope.usage_chunk(generation))
    yield sse("[DONE]")


async def _pieces(generation: Generation) -> AsyncIterator[str]:
    iterator = iter(generation)
    while (piece := await asyncio.to_thread(next, iterator, None)) is not None:
        yield piece


async def _read_all(generation: Generation) -> str:
    return "".join([piece async for piece in _pieces(generation)])


async def _told(reading: asyncio.Task[str]) -> str:
    """The text; a failure of the model becomes an ApiError 500."""
    try:
        return await reading
    except Exception as error:
        raise _failure(error) from error


def _failure(error: Exception) -> ApiError:
    traceback.print_exception(error)
    return ApiError(500, f"generation failed: {error}")


async def _until_gone(receive: Receive) -> None:
    """Return when the client closes the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _has_key(request: Request, key: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), key.encode())


def _refuse_foreign_pages(request: Request) -> None:
    """Without a key, no page of another site may reach the server from the same browser (DNS rebinding,
    forms).
    """
    addresses = [f"//{request.headers.get('host', '')}", *request.headers.getlist("origin")]
    try:
        names = {urlsplit(address).hostname for address in addresses}
    except ValueError:  # half an IPv6 address
        names = {None}
    if not names <= LOOPBACK_NAMES:
        raise ApiError(403, "without an API key this server answers this machine only", code="forbidden")


def _answer_errors_in_json(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def known(_: Request, error: ApiError) -> JSONResponse:
        headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
        return JSONResponse(error.body(), status_code=error.status, headers=headers)

    @app.exception_handler(HTTPException)
    async def by_framework(request: Request, error: HTTPException) -> JSONResponse:
        message = f"{error.detail}: {request.method} {request.url.path}"
        return JSONResponse(ApiError(error.status_code, message).body(), status_code=error.status_code)


def _log(generation: Generation, seconds: float) -> None:
    """One line an answer: sizes and speed, never what was said."""
    speed = generation.completion_tokens / max(seconds, 1e-6)
    print(
        f"answered: {generation.prompt_tokens} tokens read, {generation.completion_tokens} written "
        f"in {seconds:.1f} s ({speed:.1f} tokens/s), ended by {generation.finish_reason}",
        flush=True,
    )
