"""`tunesmith chat`: talk to a model in a terminal. /clear forgets the conversation, /exit leaves.

Ctrl-C ends the answer, not the program; at an empty prompt a second one leaves. With questions on a pipe each
line is a conversation of its own, and its answer is one block on standard output.
Try: echo "who are you" | tunesmith chat --model_name_or_path data/tiny-qwen3
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from engine.errors import UserError
from engine.infer.engine import Engine, Message, Sampling
from engine.models.quiet import hush_libraries

HELP = "/clear forgets the conversation, /exit leaves, Ctrl-C stops an answer."


def main(loaded: Any) -> int:
    """Chat until the input ends."""
    args = loaded.args
    hush_libraries()
    print(f"loading {args.model.model_name_or_path}", file=sys.stderr, flush=True)
    from engine.infer.transformers_backend import TransformersEngine

    engine = TransformersEngine(args.model, args.template)
    engine.load()
    sampling = Sampling.from_args(args.generation)
    if sys.stdin.isatty():
        return converse(engine, sampling, out=sys.stdout)
    return answer_lines(engine, sampling, sys.stdin, out=sys.stdout)


def answer_lines(engine: Engine, sampling: Sampling, lines: Iterable[str], *, out: TextIO) -> int:
    """Answer each line that is not empty, on its own. 0, or 2 when some line could not be answered."""
    code = 0
    for line in lines:
        question = line.strip()
        if question == "/exit":
            break
        if not question or question == "/clear":
            continue
        try:
            say(engine, [Message(role="user", content=question)], sampling, out=out)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            code = error.exit_code
    return code


def converse(engine: Engine, sampling: Sampling, *, out: TextIO) -> int:
    """The dialogue on a terminal, with line editing and history where the platform has them."""
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")  # importing it is what gives input() its history
    print(HELP, file=out, flush=True)
    messages: list[Message] = []
    leaving = False
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            print(file=out)
            return 0
        except KeyboardInterrupt:
            if leaving:
                print(file=out)
                return 0
            leaving = True
            print("\n(Ctrl-C again, or /exit, to leave)", file=out, flush=True)
            continue
        leaving = False
        if line == "/exit":
            return 0
        if line == "/clear":
            messages.clear()
            print("forgotten", file=out, flush=True)
        elif line.startswith("/"):
            print(f"{line.split()[0]} is not a command. {HELP}", file=out, flush=True)
        elif line:
            messages.append(Message(role="user", content=line))
            try:
                answer = say(engine, messages, sampling, out=out, stoppable=True)
                messages.append(Message(role="assistant", content=answer))
            except UserError as error:
                messages.pop()
                print(f"error: {error}", file=out, flush=True)


def say(
    engine: Engine, messages: list[Message], sampling: Sampling, *, out: TextIO, stoppable: bool = False
) -> str:
    """Write the answer as it comes; returns what was written. `stoppable`: Ctrl-C ends the answer only."""
    pieces: list[str] = []
    generation = engine.stream(messages, sampling)
    try:
        for piece in generation:
            pieces.append(piece)
            out.write(piece)
            out.flush()
    except KeyboardInterrupt:
        generation.close()
        if not stoppable:
            raise
        out.write(" (stopped)")
    out.write("\n")
    out.flush()
    return "".join(pieces)
