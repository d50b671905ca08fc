"""The Evaluate page: the form of `tunesmith eval`, the run on screen, and what it found.

Try: open the studio at /#evaluate
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from engine.errors import JobError
from engine.jobs import client
from webui import text
from webui.form import Form
from webui.studio import Studio
from webui.widgets import command_preview, data_picker, job_actions, model_picker, page_open, results
from webui.widgets.run_view import run_view

TAB = "evaluate"

CARDS: dict[str, tuple[str, ...]] = {
    "card.model": ("model_name_or_path", "adapter_name_or_path", "template", "infer_dtype", "use_cpu"),
    "card.data": ("eval_dataset", "dataset_dir", "max_samples", "cutoff_len", "batch_size"),
    "card.answers": (
        "predict", "do_sample", "temperature", "top_p", "max_new_tokens", "seed", "output_dir",
    ),
}  # fmt: skip
FIRST_EVALUATION = {
    "model_name_or_path": "data/tiny-qwen3", "eval_dataset": ("demo_identity",), "max_samples": 20,
    "max_new_tokens": 64,
}  # fmt: skip


def build(studio: Studio) -> None:
    """Draw the page inside the open tab and wire it."""
    i18n = studio.i18n
    form = Form("eval", TAB, initial=FIRST_EVALUATION)
    special = {
        "model_name_or_path": model_picker.model_picker,
        "adapter_name_or_path": model_picker.adapter_picker,
        "eval_dataset": data_picker.data_picker,
    }
    with gr.Row(elem_classes="ts-main"):
        with gr.Column(scale=7, min_width=320, elem_classes="ts-left"):
            form.draw_cards(i18n, CARDS, special)
            form.draw_further(i18n)
            found = gr.HTML(
                js_on_load=None,
                visible=False,
                elem_id="evaluate-results",
                elem_classes=["ts-card", "ts-results"],
            )
        with gr.Column(scale=5, min_width=320, elem_classes="ts-right"):
            with gr.Column(elem_classes="ts-card"):
                preview = command_preview.draw_preview(i18n, form)
                with gr.Row(elem_classes="ts-actions"):
                    start, stop = job_actions.draw_actions(i18n, TAB, "evaluate.start")
            run_view(TAB)
    command_preview.connect(form, preview)
    page_open.register_form(studio, form, preview)
    model_picker.connect(studio, form)
    data_picker.connect(studio, form, ["eval_dataset"])
    job_actions.connect(form, preview, start, stop)
    job_actions.when_shown(TAB, show_results, preview, [found])
    studio.parts["evaluate"] = form


def show_results(request: gr.Request, job_id: str) -> Any:
    """What the job on screen has found so far."""
    try:
        job = client.get(job_id)
    except JobError:
        return gr.update(value="", visible=False)
    shown = results.evaluation_html(job.run_dir, text.language(request)) if job.command == "eval" else ""
    return gr.update(value=shown, visible=bool(shown))
