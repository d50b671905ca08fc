"""What the studio adds to the page that Gradio serves: style sheet and script in its head, before the first
paint.

Gradio's own `head` and `css` options are applied by its script, after the page has been drawn once without
them; here they are part of the document, so nothing jumps. Social-media tags about Gradio are dropped.
Try: curl -s http://127.0.0.1:7860/ | grep studio/static
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.slim import slim_page

_SOCIAL_TAG = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*?/>\s*', re.DOTALL)
_MANIFEST = re.compile(r'<link rel="manifest"[^>]*>\s*')


def build_head(facts: Mapping[str, Any]) -> str:
    """The lines put in front of </head>. `facts` reach the script as `window.tunesmith_page`."""
    facts_json = json.dumps(dict(facts)).replace("<", "\\u003c")
    return (
        f"<script>window.tunesmith_page = {facts_json};</script>\n"
        '<script src="studio/texts.js"></script>\n'
        '<script src="studio/static/boot.js"></script>\n'
        '<link rel="stylesheet" href="studio/static/studio.css">\n'
        '<link rel="stylesheet" href="studio/static/form.css">\n'
        '<link rel="stylesheet" href="studio/static/data.css">\n'
        '<link rel="icon" type="image/svg+xml" href="studio/static/icon.svg">\n'
        '<script type="module" src="studio/static/studio.js"></script>\n'
        '<script type="module" src="studio/static/form.js"></script>\n'
        '<script type="module" src="studio/static/data.js"></script>\n'
    )


def edit_page(html: str, head: str) -> str:
    """`html` with `head` inside its head element; unchanged where there is none."""
    if "</head>" not in html:
        return html
    html = slim_page(_MANIFEST.sub("", _SOCIAL_TAG.sub("", html)))
    return html.replace("</head>", f"{head}</head>", 1)


class PageHead:
    """ASGI middleware that edits the HTML of the page itself and passes everything else through."""

    def __init__(self, app: ASGIApp, *, head: str) -> None:
        self.app = app
        self.head = head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not _is_page(scope):
            await self.app(scope, receive, send)
            return
        start: Message = {}
        body = bytearray()

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            if message["type"] != "http.response.body":  # an extension, such as a test client's
                await send(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            headers = MutableHeaders(scope=start)
            content = bytes(body)
            if headers.get("content-type", "").startswith("text/html"):
                content = edit_page(content.decode(), self.head).encode()
            headers["content-length"] = str(len(content))
            headers["cache-control"] = "no-cache"
            await send(start)
            await send({"type": "http.response.body", "body": content})

        await self.app(scope, receive, collect)


def _is_page(scope: Scope) -> bool:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) in ("", "/")
