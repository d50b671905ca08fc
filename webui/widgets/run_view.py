"""The place on a page where a run is watched: state, progress, chart and log.

Everything in it is drawn by static/run_view.js over the routes of webui/api.py; no Gradio event is
involved, so a reload or a studio restart loses nothing. Try: run_view("train")
"""

from __future__ import annotations

import gradio as gr


def run_view(tab: str) -> gr.HTML:
    """The run view of `tab` ("train", "evaluate", "export", "jobs")."""
    return gr.HTML(
        f'<tune-run tab="{tab}"></tune-run>',
        elem_id=f"ts-run-{tab}",
        elem_classes=["ts-run", "ts-card"],
        js_on_load=None,
        apply_default_css=False,
    )
