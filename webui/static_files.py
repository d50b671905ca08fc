"""The studio's own files (style sheet, scripts), and the one file of Gradio's front end that we call by name.

Served with an ETag and `no-cache`: a browser asks each time and is told "unchanged", so an update is never
half old.
Try: curl -sI http://127.0.0.1:7860/studio/static/studio.css
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles


class Static(StaticFiles):
    """Static files that are revalidated on each load."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-cache"
        return response


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
