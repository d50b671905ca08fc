"""The studio's own files (style sheet, scripts, texts), and the file of Gradio's front end called by name.

Served with an ETag and `no-cache`: a browser asks each time and is told "unchanged", so an update is never
half old.
Try: curl -sI http://127.0.0.1:7860/studio/static/studio.css
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from webui import text


class Static(StaticFiles):
    """Static files that are revalidated on each load."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-cache"
        return response


def texts_script(path: str) -> Route:
    """A script at `path` that gives the page its texts in every language, before the front end reads them."""
    tables = json.dumps(text.page_tables(), ensure_ascii=False, separators=(",", ":"))
    content = f"window.gradio_config.i18n_translations = {tables};\n".encode()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'

    async def serve(request: Request) -> Response:
        headers = {"etag": tag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match", "").removeprefix("W/") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type="text/javascript; charset=utf-8", headers=headers)

    return Route(path, serve)


def find_gradio_core() -> str | None:
    """`assets/core-HASH.js`, Gradio's module that exports `changeLocale`; None where this version has it
    elsewhere.

    It is not a public interface: without it the language switch reloads the page instead.
    """
    import gradio

    assets = Path(gradio.__file__).parent / "templates" / "frontend" / "assets"
    for file in sorted(assets.glob("core-*.js")):
        if re.search(r"\bas changeLocale\b", file.read_text(encoding="utf-8")):
            return f"assets/{file.name}"
    return None
