"""`tunesmith api`: load a model, listen, answer until told to stop. The routes are in app.py.

The process is the unit of memory: ending it frees the model. When it is ready it writes RUN/endpoint.json
({"url": "http://127.0.0.1:PORT/v1", "model", "pid"}), which is how the studio finds it.
Try: tunesmith api --model_name_or_path data/tiny-qwen3 --port 0
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine import env
from engine.errors import ArgError, Problem, UserError
from engine.events import append_event
from engine.models.quiet import hush_libraries
from engine.paths import write_whole

POLL_S = 0.1
GRACE_S = 3
"""seconds that open connections get to end once the server is asked to stop"""
STOPPED = 130


def main(loaded: Any, resolved: Any, run: Any) -> int:
    """Serve until stopped; the exit code is 130, which says so."""
    args = resolved.args
    hush_libraries()
    key = read_key()
    listener = bind(args.serving.host, args.serving.port, has_key=key is not None)
    with contextlib.closing(listener):
        engine, app = _load(args, key, run)
        listen(listener)
        url = _url(args.serving.host, listener.getsockname()[1])
        name = served_name(args)

        def ready() -> None:
            write_whole(
                run.paths.endpoint_json, json.dumps({"url": url, "model": name, "pid": os.getpid()}) + "\n"
            )
            append_event(run.paths.trainer_log, {"phase": "serving", "current": 1, "total": 1})
            print(f"serving {name} at {url} ({'with' if key else 'without'} an API key)", flush=True)

        try:
            with run.cooperative():
                asyncio.run(serve(app, listener, on_ready=ready, should_stop=run.stop_requested))
        finally:
            run.paths.endpoint_json.unlink(missing_ok=True)
            engine.stop()
    print("stopped serving", flush=True)
    return STOPPED


def read_key() -> str | None:
    """The key from the environment, None where there is none. UserError for one that guards nothing."""
    try:
        key = env.api_key()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"TUNESMITH_API_KEY_FILE cannot be read: {error}") from None
    if key == "":
        raise UserError("TUNESMITH_API_KEY_FILE is empty: anybody would have that key. Write one into it.")
    return key


def served_name(args: Any) -> str:
    """The name clients call the model by: the one asked for, else the folder's."""
    if args.serving.model_name:
        return str(args.serving.model_name)
    return Path(args.model.model_name_or_path).name


def _load(args: Any, key: str | None, run: Any) -> tuple[Any, Any]:
    append_event(run.paths.trainer_log, {"phase": "loading", "current": 0, "total": 1})
    print(f"loading {args.model.model_name_or_path}", flush=True)
    from engine.api.app import build_app
    from engine.infer.engine import Sampling
    from engine.infer.transformers_backend import TransformersEngine

    engine = TransformersEngine(args.model, args.template, use_cpu=args.serving.use_cpu)
    engine.load()
    append_event(run.paths.trainer_log, {"phase": "loading", "current": 1, "total": 1})
    app = build_app(
        engine,
        model_name=served_name(args),
        sampling=Sampling.from_args(args.generation),
        key=key,
        aliases=(args.model.model_name_or_path,),
    )
    return engine, app


def bind(host: str, port: int, *, has_key: bool) -> socket.socket:
    """A bound socket, before the model is loaded, so that a taken port is told at once. Raises ArgError."""
    if not has_key and not is_loopback(host):
        raise ArgError(
            [
                Problem(
                    "host",
                    f"{host} can be reached from other machines, which needs a key. "
                    "Set TUNESMITH_API_KEY, or listen on 127.0.0.1.",
                )
            ]
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise ArgError(
            [Problem("host", f"{host} is not an address of this machine ({error.strerror}).")]
        ) from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _port_problem(host, port, error) from None
    return listener


def listen(listener: socket.socket) -> None:
    """Open the bound socket: not before the model is there, or early clients would hang. Raises ArgError."""
    try:
        listener.listen()
    except OSError as error:
        host, port = listener.getsockname()[:2]
        raise _port_problem(host, port, error) from None


def _port_problem(host: str, port: int, error: OSError) -> ArgError:
    way_out = "Choose another port, or 0 for any free one."
    return ArgError([Problem("port", f"cannot listen on {host}:{port}: {error.strerror}. {way_out}")])


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _url(host: str, port: int) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}/v1" if ":" in reachable else f"http://{reachable}:{port}/v1"


async def serve(app: Any, listener: socket.socket, *, on_ready: Any, should_stop: Any) -> None:
    """Answer on `listener` until `should_stop()`; `on_ready` is called once requests are answered."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            # The run owns the signals; taking them here would hide a stop from it.
            yield

    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_S)
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(POLL_S / 10)
    if server.started:
        on_ready()
    while not should_stop() and not serving.done():
        await asyncio.sleep(POLL_S)
    app.state.turnstile.close()
    server.should_exit = True
    await serving
