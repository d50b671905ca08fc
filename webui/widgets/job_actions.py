"""Start and Stop: hand a form to the job runner, and the job's id to the run view.

Knows nothing of what a job does. Try: press Start on the Train page and read saves/*/*/*/args.yaml
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from engine.errors import ArgError, Problem, UserError
from engine.jobs import client
from webui import memory, text
from webui.form import Form
from webui.widgets import data_picker
from webui.widgets.command_preview import QUIET, Preview, notes_html, problem_outputs, problem_updates


def draw_actions(i18n: gr.I18n, tab: str, start: str) -> tuple[gr.Button, gr.Button]:
    """The Start and Stop buttons. `start`: key of the text on Start."""
    return (
        gr.Button(i18n(start), variant="primary", elem_id=_button_id(tab, "start"), elem_classes="ts-go"),
        gr.Button(i18n("action.stop"), elem_id=_button_id(tab, "stop"), elem_classes="ts-halt"),
    )


def connect(form: Form, preview: Preview, start: gr.Button, stop: gr.Button) -> None:
    """Start submits the form and opens the run view on the job; Stop stops the job that is on screen."""
    tab = form.tab
    submitted = start.click(
        _submit(form),
        form.components,
        [preview.job, preview.notes, *problem_outputs(form, preview)],
        **QUIET,
    )
    submitted.then(
        None, preview.job, None,
        js=f"(id) => id ? window.tunesmith.open(id, '{tab}') : window.tunesmith_form.show_problems('{tab}')",
        api_visibility="private",
    )  # fmt: skip
    stop.click(None, None, None, js=f"() => {{ window.tunesmith.stop('{tab}') }}", api_visibility="private")


def submit(form: Form, values: dict[str, Any], language: str) -> tuple[str, list[Any]]:
    """Submit a form. Returns the job's id, or "", and updates of the notes, the problems and the sections."""
    try:
        unknown = data_picker.unknown_datasets(form, values, language)
        if unknown:
            raise ArgError([*form.check(values)[1], *unknown])
        job = client.submit(form.command, form.mapping(values))
    except ArgError as error:
        return "", [gr.update(value="", visible=False), *problem_updates(form, error.problems, language)]
    except UserError as error:
        about = _about_a_field(form, error)
        if about:
            return "", [gr.update(value="", visible=False), *problem_updates(form, [about], language)]
        notes = gr.update(value=notes_html([str(error)], tone="bad"), visible=True)
        return "", [notes, *problem_updates(form, (), language)]
    memory.remember(form.tab, job.id, {name: values[name] for name in form.fields})
    return job.id, [gr.update(value="", visible=False), *problem_updates(form, (), language)]


def _about_a_field(form: Form, error: UserError) -> Problem | None:
    """A refusal that begins with the name of an argument, as the problem of its field."""
    name, _, message = str(error).partition(": ")
    return Problem(name, message) if message and name in form.fields else None


def _submit(form: Form) -> Callable[..., list[Any]]:
    def start(request: gr.Request, *values: Any) -> list[Any]:
        job_id, updates = submit(form, form.named(values), text.language(request))
        return [job_id, *updates]

    return start


def _button_id(tab: str, action: str) -> str:
    return f"ts-{action}" if tab == "train" else f"ts-{tab}-{action}"


def when_shown(tab: str, fn: Callable[..., Any], preview: Preview, outputs: list[Any]) -> None:
    """Call `fn(request, job_id)` when the run view of `tab` shows another job, or its job changes state.

    form.js presses the hidden button: the run view lives outside this framework's events.
    """
    pressed = gr.Button("shown", visible="hidden", elem_id=f"{tab}-shown")
    pressed.click(fn, preview.job, outputs, js=f"() => window.tunesmith.job('{tab}')", **QUIET)
