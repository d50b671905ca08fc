"""A real server on a free loopback port, in a thread of the test; and an engine that only says words."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from engine.api.app import build_app
from engine.api.server import bind, listen, serve
from engine.infer.engine import Engine, Message, PromptTooLong, Sampling

DEADLINE_S = 20


class WordEngine:
    """Says the question's words one by one; 'forever' until cancelled; 'hold' is silent until cancelled."""

    def __init__(self) -> None:
        self.answers: list[WordAnswer] = []

    def load(self) -> None: ...

    def stop(self) -> None:
        for answer in self.answers:
            answer.cancel()

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> WordAnswer:
        if "too long" in messages[-1]["content"]:
            raise PromptTooLong("the conversation is too long")
        self.answers.append(WordAnswer([*messages], sampling))
        return self.answers[-1]


class WordAnswer:
    def __init__(self, messages: list[Message], sampling: Sampling) -> None:
        self.messages, self.sampling = messages, sampling
        self.cancelled, self.ended = threading.Event(), threading.Event()
        self.prompt_tokens, self.completion_tokens, self.finish_reason = 7, 0, "stop"

    def __iter__(self) -> Iterator[str]:
        try:
            for word in self._words():
                if self.cancelled.is_set():
                    self.finish_reason = "cancelled"
                    return
                self.completion_tokens += 1
                yield word
        finally:
            self.ended.set()

    def _words(self) -> Iterator[str]:
        question = self.messages[-1]["content"]
        if question == "break":
            yield "so"
            raise RuntimeError("out of memory")
        if question == "hold":
            self.cancelled.wait(DEADLINE_S)
        while question == "forever":
            self.cancelled.wait(0.005)
            yield "again "
        yield from (f"{word} " for word in question.split(" "))

    def cancel(self) -> None:
        self.cancelled.set()

    def close(self) -> None:
        self.cancel()


@pytest.fixture
def engine() -> WordEngine:
    return WordEngine()


@pytest.fixture
def served() -> Callable[..., contextlib.AbstractContextManager[str]]:
    """served(engine, key=, sampling=) -> the address of a running server, while in its with-block."""
    return _served


@contextlib.contextmanager
def _served(engine: Engine, *, key: str | None = None, sampling: Sampling | None = None) -> Iterator[str]:
    """The address of a running server; it is stopped, and proven to end, on the way out."""
    app = build_app(
        engine, model_name="tiny", sampling=sampling or Sampling(), key=key, aliases=("models/tiny",)
    )
    listener = bind("127.0.0.1", 0, has_key=False)
    listen(listener)
    ready, stop = threading.Event(), threading.Event()
    coroutine = serve(app, listener, on_ready=ready.set, should_stop=stop.is_set)
    thread = threading.Thread(target=asyncio.run, args=(coroutine,))
    thread.start()
    try:
        assert ready.wait(DEADLINE_S)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        thread.join(DEADLINE_S)
        listener.close()
        assert not thread.is_alive(), "the server did not end"
