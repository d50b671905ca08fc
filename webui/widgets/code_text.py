"""A command or a YAML file as coloured text with a Copy button.

Colours argument names and comments; changes no character.
Try: python -c "from webui.widgets.code_text import code_html; print(code_html('seed: 1', 'yaml', 'en'))"
"""

from __future__ import annotations

import html
import re
from typing import Literal

from webui.text import t

_NAME = {
    "command": re.compile(r"^(\s*)(--[A-Za-z0-9_]+)", re.MULTILINE),
    "yaml": re.compile(r"^()([A-Za-z0-9_]+)(?=:)", re.MULTILINE),
}
_COMMENT = re.compile(r"^#.*$", re.MULTILINE)


def code_html(source: str, kind: Literal["command", "yaml"], language: str) -> str:
    """The text in a <pre>: what is selected or copied from it is `source` itself."""
    # Quotes stay as they are: escaping them would put names of entities between the patterns below.
    shown = html.escape(source, quote=False)
    shown = _NAME[kind].sub(r"\1<i>\2</i>", shown)
    shown = _COMMENT.sub(lambda match: f"<em>{match[0]}</em>", shown)
    copy, copied = (html.escape(t(f"say.{word}", language)) for word in ("copy", "copied"))
    return (
        f'<div class="ts-code"><button type="button" class="ts-copy" data-done="{copied}">{copy}</button>'
        f"<pre>{shown}</pre></div>"
    )
