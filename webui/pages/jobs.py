"""The Jobs page: every run, whoever started it; open, stop, resume, delete.

The list is drawn by static/jobs.js over webui/api.py and refreshes itself. Try: open the studio at /#jobs
"""

from __future__ import annotations

import gradio as gr

from webui.studio import Studio
from webui.widgets.run_view import run_view

TAB = "jobs"


def build(studio: Studio) -> None:
    """Draw the page inside the open tab: the list, and beside it the run that was opened from it."""
    with gr.Row(elem_classes="ts-main ts-main-jobs"):
        with gr.Column(scale=7, min_width=320, elem_classes="ts-left"):
            gr.HTML(
                "<tune-jobs></tune-jobs>",
                elem_id="ts-jobs",
                elem_classes="ts-card",
                js_on_load=None,
                apply_default_css=False,
            )
        with gr.Column(scale=5, min_width=320, elem_classes="ts-right"):
            run_view(TAB)
