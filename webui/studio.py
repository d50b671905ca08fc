"""What a page gets to build itself with. Not a registry of behaviour: the pages own theirs.

Try: grep -n "def build" webui/pages/*.py
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.schema.commands import WebuiArgs

if TYPE_CHECKING:
    import gradio as gr


@dataclass(frozen=True)
class Studio:
    """One studio being built.

    `demo` and `tabs` are the open Blocks and its tab strip (tab ids are the pages' `TAB`); `i18n(key)` is a
    label that the browser translates; `parts` is where a page leaves components that a page built after it
    needs.
    """

    args: WebuiArgs
    i18n: gr.I18n
    demo: gr.Blocks
    tabs: gr.Tabs
    parts: dict[str, Any] = field(default_factory=dict)
