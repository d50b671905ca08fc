"""The studio: one process that serves the page and polls the job store. It trains nothing and can be killed
at any moment.

    guard (hosts, origins, headers) > gzip > page head > /studio/api, /studio/static, / (Gradio)

Try: tunesmith webui --port 7860
"""

from __future__ import annotations

import asyncio
import getpass
import inspect
import logging
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.schema.commands import WebuiArgs
from engine.schema.load import Loaded
from engine.schema.serving import WebuiOptions

if TYPE_CHECKING:
    import gradio as gr
    from fastapi import FastAPI

STATIC = Path(__file__).parent / "static"
DISPATCH_EVERY_S = 3.0

log = logging.getLogger(__name__)


def main(loaded: Loaded) -> int:
    """Serve until Ctrl-C. Raises UserError where the port is taken. Jobs are processes of their own and go
    on.
    """
    args: WebuiArgs = loaded.args
    for note in loaded.notes:
        print(note)
    with bind(args.webui.host, args.webui.port) as listener:
        job_id = submit_file(args.webui.start) if args.webui.start else None
        serve(build_app(args), args.webui, listener, job_id)
    return 0


def submit_file(path: str) -> str:
    """Submit an argument file as a training job and return the job's id. Raises UserError where it is not
    right.
    """
    from engine.jobs import client
    from engine.schema.load import read_file

    return client.submit("train", read_file(Path(path))).id


def bind(host: str, port: int) -> socket.socket:
    """Take the port before anything slow is imported, so that a taken one is reported at once."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise UserError(f"host={host} is not an address of this machine. Set --host 127.0.0.1.") from error
    # The protocol by name: only then do the event loop's connections send small answers without a delay.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(128)  # two sockets may share a bound port, but only one may listen
    except OSError as error:
        listener.close()
        reason = error.strerror
        raise UserError(f"port {port} on {host}: {reason}. Choose another with --port.") from error
    return listener


def build_app(args: WebuiArgs) -> FastAPI:
    """The whole web application, without a server."""
    with quick_gradio_import():
        import gradio as gr
    from fastapi import FastAPI
    from starlette.middleware.gzip import GZipMiddleware

    from webui import api, data_api, guard, page, slim, static_files, text, theme

    options = args.webui
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, exception_handlers=api.error_handlers())
    app.include_router(api.build_router())
    app.include_router(data_api.build_router())
    app.router.routes.append(static_files.texts_script("/studio/texts.js"))
    app.mount("/studio/static", static_files.Static(directory=STATIC))
    i18n = text.i18n()
    demo = build_blocks(args, i18n)
    gr.mount_gradio_app(
        app,
        demo,
        path="/",
        server_name=options.host,
        server_port=options.port,
        root_path=options.root_path or None,
        theme=theme.build_theme(),
        i18n=i18n,
        app_kwargs={"openapi_url": None, "docs_url": None, "redoc_url": None},
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
    )
    slim.slim_config(demo.config)
    # The last added is the outermost.
    app.add_middleware(page.PageHead, head=page.build_head({"gradio_core": static_files.find_gradio_core()}))
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    rule = guard.build_host_rule(options.host, options.allowed_hosts)
    app.add_middleware(guard.Guard, rule=rule, root_path=options.root_path)
    return app


@contextmanager
def quick_gradio_import() -> Iterator[None]:
    """Import Gradio without letting it rewrite its type stubs, which takes it a second.

    It skips the stub of a class whose source file cannot be found; for the time of the import, that is what
    it is told.
    """
    real_getfile = inspect.getfile

    def getfile(subject: Any) -> str:
        if sys._getframe(1).f_globals.get("__name__") == "gradio.component_meta":
            raise OSError("stubs are not rewritten here")
        return real_getfile(subject)

    inspect.getfile = getfile
    try:
        yield
    finally:
        inspect.getfile = real_getfile


def build_blocks(args: WebuiArgs, i18n: gr.I18n) -> gr.Blocks:
    """The page: the bar, and one tab a page module."""
    import gradio as gr

    from webui.pages import chat, data, evaluate, export, jobs, train
    from webui.studio import Studio

    with gr.Blocks(title="Tunesmith", analytics_enabled=False, fill_width=True) as demo:
        gr.HTML("<tune-bar></tune-bar>", elem_id="ts-top", js_on_load=None, apply_default_css=False)
        with gr.Tabs(elem_id="ts-nav") as tabs:
            studio = Studio(args=args, i18n=i18n, demo=demo, tabs=tabs)
            for module in (train, jobs, chat, evaluate, export, data):
                with gr.Tab(i18n(f"bar.{module.TAB}"), id=module.TAB, elem_id=f"tab-{module.TAB}"):
                    module.build(studio)
    return demo


def serve(app: FastAPI, options: WebuiOptions, listener: socket.socket, job_id: str | None) -> None:
    """Run the server on the bound socket, with the clock that starts queued jobs beside it."""
    import uvicorn

    from engine.jobs import client

    logging.getLogger("uvicorn.error").addFilter(is_no_cut_off_request)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            announce(options, job_id)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Whoever waits for an answer about data gets one now instead of being cut off.
            await asyncio.to_thread(client.stop_asking)
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=1, ws="none"
    )
    ended = threading.Event()
    clock = threading.Thread(target=dispatch_until, args=(ended,), name="dispatch", daemon=True)
    clock.start()
    try:
        Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # uvicorn has shut down in order and hands the signal on
    finally:
        ended.set()
    print("\nThe studio has stopped. Jobs go on: `tunesmith jobs list` shows them.", flush=True)


def is_no_cut_off_request(record: logging.LogRecord) -> bool:
    """Log filter. A request that the end of the server cuts off is nothing that went wrong."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError)


def announce(options: WebuiOptions, job_id: str | None) -> None:
    """Say where the page is (with `job_id` on screen), and how to reach it from another machine."""
    query = f"?job={job_id}" if job_id else ""
    address = f"http://{options.host}:{options.port}/{query}"
    lines = [f"Tunesmith studio: {address}"]
    if options.host in ("127.0.0.1", "localhost"):
        forward = f"{options.port}:127.0.0.1:{options.port}"
        lines.append("From another machine:")
        lines.append(f"  ssh -L {forward} {getpass.getuser()}@{socket.gethostname()}")
    else:
        lines.append("Anyone who can reach this address can start jobs on this machine.")
    lines.append("Ctrl-C stops the studio only; running jobs go on.")
    print("\n".join(lines), flush=True)
    if options.inbrowser:
        webbrowser.open(address)


def dispatch_until(ended: threading.Event) -> None:
    """Start queued jobs every few seconds until `ended`. A failure is logged once a kind and tried again."""
    from engine.jobs import client

    last_failure = ""
    while not ended.wait(DISPATCH_EVERY_S):
        try:
            client.dispatch()
            last_failure = ""
        except Exception as error:  # a full disk or a locked database must not end the clock
            if repr(error) != last_failure:
                last_failure = repr(error)
                log.exception("dispatch failed; trying again every %s s", DISPATCH_EVERY_S)
