"""The field that chooses datasets: names from dataset_info.json, or any text. Reads names only, no rows.

Try: python -c "from webui.widgets.data_picker import find_datasets; print(find_datasets('data'))"
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from engine.errors import Problem
from webui import text
from webui.form import Form
from webui.studio import Studio
from webui.widgets.command_preview import QUIET

_STRING_OR_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


def find_datasets(dataset_dir: str) -> list[str]:
    """The names registered in a dataset folder, sorted; none where there is no readable register. Comments
    are passed over, and so are keys that begin with "_".
    """
    try:
        written = (Path(dataset_dir or "data") / "dataset_info.json").read_text(encoding="utf-8-sig")
        register = json.loads(_STRING_OR_COMMENT.sub(lambda found: found[1] or " ", written))
    except (OSError, ValueError):
        return []
    return sorted(name for name in register if name[:1] != "_") if isinstance(register, dict) else []


def unknown_datasets(form: Form, values: Mapping[str, Any], language: str) -> list[Problem]:
    """The chosen names that the register lacks. Nothing where it cannot be read: the run will say why."""
    folder = str(values.get("dataset_dir") or "data")
    known = find_datasets(folder)
    problems = []
    for field in ("dataset", "eval_dataset"):
        missing = [name for name in values.get(field) or () if name not in known] if known else []
        if field in form.fields and missing:
            words = text.t("say.unknown_dataset", language, names=", ".join(missing), folder=folder)
            problems.append(Problem(field, words))
    return problems


def data_picker(**common: Any) -> gr.Dropdown:
    """A builder for `Form.draw`: several names, free text allowed."""
    return gr.Dropdown([], **common, multiselect=True, allow_custom_value=True)


def connect(studio: Studio, form: Form, names: Sequence[str]) -> None:
    """Keep the choices in step with the dataset folder, and find them anew when the page or a tab opens."""
    folder = form.fields["dataset_dir"]
    if form.tab == "train":  # pressed by the link that static/data_look.js puts beside the field
        look = gr.Button("look", visible="hidden", elem_id="train-look")
        shown = "(names, folder) => { window.tunesmith_data.look(names, folder) }"
        look.click(None, [form.fields["dataset"], folder], None, js=shown, api_visibility="private")
    pickers = [form.fields[name] for name in names]

    def find_choices(dataset_dir: str) -> Any:
        updates = [gr.update(choices=find_datasets(dataset_dir)) for _ in pickers]
        return updates if len(updates) > 1 else updates[0]

    opened = [folder.change, studio.demo.load, studio.tabs.select]
    gr.on(opened, find_choices, folder, pickers, **QUIET)
