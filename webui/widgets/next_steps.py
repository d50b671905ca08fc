"""From a finished run to what comes next: the same model in the Chat, Evaluate or Export tab.

Works on the fields of the target's form; the person still presses its button.
Try: finish a run, press "Chat with it"
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from engine.errors import JobError, UserError
from engine.jobs import client
from engine.paths import RunPaths
from engine.schema.load import read_file
from webui.form import Form
from webui.studio import Studio
from webui.widgets.command_preview import QUIET


def model_of(job_id: str) -> dict[str, Any] | None:
    """The model a finished job left behind: base, adapters and chat template. None where it left none."""
    try:
        job = client.get(job_id)
        asked = read_file(RunPaths(Path(job.run_dir)).args_yaml)
    except (JobError, UserError):
        return None
    template = asked.get("template") or ""
    if job.command == "export":
        return {
            "model_name_or_path": str(asked.get("export_dir") or ""),
            "adapter_name_or_path": [],
            "template": "",
        }
    run = short(job.run_dir)
    if (run / "adapter_config.json").is_file():
        before = asked.get("adapter_name_or_path") or []
        # Training goes on with the last adapter and saves it anew; a new one stands on all that came before.
        kept = list(before) if asked.get("create_new_adapter") else list(before)[:-1]
        base = str(asked.get("model_name_or_path") or "")
        return {"model_name_or_path": base, "adapter_name_or_path": [*kept, str(run)], "template": template}
    if (run / "config.json").is_file():
        return {"model_name_or_path": str(run), "adapter_name_or_path": [], "template": template}
    return None


def short(path: str) -> Path:
    """A path as people write it: relative where it lies below the working folder."""
    full = Path(path)
    return full.relative_to(Path.cwd()) if full.is_relative_to(Path.cwd()) else full


def connect(studio: Studio, tab: str, button: gr.Button, target: str) -> None:
    """`button` takes the model of the job shown in `tab` to the form of the tab `target`, and goes there."""
    form: Form = studio.parts[target]
    names = ("model_name_or_path", "adapter_name_or_path", "template")
    shown = gr.Textbox(visible=False)

    def take(job_id: str) -> list[Any]:
        found = model_of(job_id)
        if found is None:
            return [gr.skip()] * (len(names) + 1)
        return [gr.Tabs(selected=target), *(gr.update(value=found[name]) for name in names)]

    taken = button.click(
        take, shown, [studio.tabs, *(form.fields[name] for name in names)],
        js=f"() => window.tunesmith.job('{tab}')", **QUIET,
    )  # fmt: skip
    redraw = f"() => {{ window.tunesmith_form.refresh('{target}') }}"
    taken.then(None, None, None, js=redraw, api_visibility="private")
