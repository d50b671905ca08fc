"""The Data page: which datasets there are, what the model sees of them, what is wrong with them, and how to
add one.

Drawn by static/data.js over the routes of webui/data_api.py; Gradio carries only "Train on this", which ends
in a field of the Train form. Try: open the studio at /#data
"""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from webui.form import Form
from webui.studio import Studio
from webui.widgets.command_preview import QUIET

TAB = "data"


def build(studio: Studio) -> None:
    """Draw the page inside the open tab and wire it."""
    gr.HTML("<tune-data></tune-data>", elem_id="ts-data", js_on_load=None, apply_default_css=False)
    chosen = gr.Textbox(visible="hidden", elem_id="data-chosen")
    train = gr.Button("train", visible="hidden", elem_id="data-train")
    form: Form = studio.parts["train"]
    fields = [form.fields["dataset"], form.fields["dataset_dir"]]
    taken = train.click(
        train_on, chosen, [studio.tabs, *fields], js="() => window.tunesmith_data.chosen()", **QUIET
    )
    redraw = "() => { window.tunesmith_form.refresh('train') }"
    taken.then(None, None, None, js=redraw, api_visibility="private")


def train_on(chosen: str) -> list[Any]:
    """The dataset that is open on this page, in the Train form. `chosen`: JSON of {dataset, dataset_dir}."""
    try:
        told = json.loads(chosen)
        name, folder = str(told["dataset"]), str(told["dataset_dir"])
    except (ValueError, KeyError, TypeError):
        return [gr.skip()] * 3
    return [gr.Tabs(selected="train"), gr.update(value=[name]), gr.update(value=folder)]
