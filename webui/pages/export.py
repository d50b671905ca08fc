"""The Export page: the form of `tunesmith export`, the run on screen, and the way on to a chat.

Try: open the studio at /#export
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from engine.errors import JobError
from engine.jobs import client
from webui import text
from webui.form import Form
from webui.studio import Studio
from webui.widgets import command_preview, job_actions, model_picker, next_steps, page_open, results
from webui.widgets.run_view import run_view

TAB = "export"

CARDS: dict[str, tuple[str, ...]] = {
    "card.model": ("model_name_or_path", "adapter_name_or_path", "template", "infer_dtype"),
    "card.export": ("export_dir", "export_size", "export_device", "output_dir", "overwrite_output_dir"),
}
FIRST_EXPORT = {"model_name_or_path": "data/tiny-qwen3", "export_dir": "saves/exports/merged"}


def build(studio: Studio) -> None:
    """Draw the page inside the open tab and wire it."""
    i18n = studio.i18n
    form = Form("export", TAB, initial=FIRST_EXPORT)
    special = {
        "model_name_or_path": model_picker.model_picker,
        "adapter_name_or_path": model_picker.adapter_picker,
    }
    with gr.Row(elem_classes="ts-main"):
        with gr.Column(scale=7, min_width=320, elem_classes="ts-left"):
            form.draw_cards(i18n, CARDS, special)
            form.draw_further(i18n)
            with gr.Column(visible=False, elem_id="export-results", elem_classes="ts-card") as done:
                found = gr.HTML(js_on_load=None, elem_classes="ts-results", padding=False)
                with gr.Row(elem_classes="ts-steps"):
                    talk = gr.Button(
                        i18n("next.chat"), elem_id="ts-export-chat", variant="primary", size="sm"
                    )
        with gr.Column(scale=5, min_width=320, elem_classes="ts-right"):
            with gr.Column(elem_classes="ts-card"):
                preview = command_preview.draw_preview(i18n, form)
                with gr.Row(elem_classes="ts-actions"):
                    start, stop = job_actions.draw_actions(i18n, TAB, "export.start")
            run_view(TAB)
    command_preview.connect(form, preview)
    page_open.register_form(studio, form, preview)
    model_picker.connect(studio, form)
    job_actions.connect(form, preview, start, stop)
    job_actions.when_shown(TAB, show_results, preview, [done, found])
    studio.parts["export"] = form
    next_steps.connect(studio, TAB, talk, "chat")
    for target, button in studio.parts["train.next"].items():
        next_steps.connect(studio, "train", button, target)
    page_open.connect(studio)  # this is the last page built


def show_results(request: gr.Request, job_id: str) -> list[Any]:
    """What was exported, once it is there."""
    hidden = [gr.update(visible=False), gr.update(value="")]
    try:
        job = client.get(job_id)
    except JobError:
        return hidden
    if job.command != "export" or job.state != "succeeded":
        return hidden
    return [gr.update(visible=True), gr.update(value=results.export_html(job, text.language(request)))]
