"""The live preview of a form: the command line, the YAML, and what is wrong, redrawn at every edit.

Starts nothing (job_actions.py does). Try: type `abc` as learning rate in the studio
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine.errors import Problem
from engine.schema import dump
from webui import memory, text
from webui.form import FURTHER, Form
from webui.widgets.code_text import code_html


@dataclass(frozen=True)
class Preview:
    """The components of one tab's preview. `job` is a hidden field: the id of the job this tab shows."""

    command: gr.HTML
    yaml: gr.HTML
    problems: gr.HTML
    notes: gr.HTML
    job: gr.Textbox
    refresh: gr.Button


def draw_preview(i18n: gr.I18n, form: Form) -> Preview:
    """Command and YAML in two tabs, the summary of problems and the notes below them."""
    command, yaml, _ = preview_texts(form, form.start_values(), "en")
    with gr.Tabs(elem_classes="ts-prev"):
        with gr.Tab(i18n("preview.command")):
            command_box = gr.HTML(
                command, elem_id=f"{form.tab}-command", elem_classes="ts-said", js_on_load=None
            )
        with gr.Tab("YAML"):
            yaml_box = gr.HTML(yaml, elem_id=f"{form.tab}-yaml", elem_classes="ts-said", js_on_load=None)
    return Preview(
        command=command_box,
        yaml=yaml_box,
        problems=gr.HTML(
            js_on_load=None,
            visible=False,
            elem_id=f"{form.tab}-problems",
            padding=False,
            elem_classes="ts-said",
        ),
        notes=gr.HTML(
            js_on_load=None, visible=False, elem_id=f"{form.tab}-notes", padding=False, elem_classes="ts-said"
        ),
        job=gr.Textbox(visible="hidden", elem_id=f"{form.tab}-job"),
        refresh=gr.Button("refresh", visible="hidden", elem_id=f"{form.tab}-refresh"),
    )


def preview_texts(
    form: Form, values: Mapping[str, Any], language: str
) -> tuple[str, str, tuple[Problem, ...]]:
    """(command, YAML, problems) of some field values, the first two as HTML.

    What is wrong heads both texts as a comment, so that neither looks ready to run.
    """
    loaded, problems = form.check(values)
    head = "".join(f"# {line}\n" for problem in problems for line in str(problem).splitlines())
    if head:
        head = f"# {text.t('say.preview.unfinished', language)}\n{head}"
    command = dump.to_shell(dump.to_argv(form.command, loaded.args))
    yaml = dump.to_yaml(loaded.args)
    return (
        code_html(head + command, "command", language),
        code_html(head + yaml, "yaml", language),
        problems,
    )


def problems_html(form: Form, problems: Sequence[Problem], language: str) -> str:
    """The summary of problems. form.js reads data-field to mark the field itself and to go to it."""
    items = []
    for problem in problems:
        drawn = problem.field in form.fields
        name = html.escape(field_label(form, problem.field, language))
        message = html.escape(problem.message)
        target = f' data-field="{form.tab}-{html.escape(problem.field)}"' if drawn else ""
        title = f'<button type="button" class="ts-goto">{name}</button>' if drawn else f"<b>{name}</b>"
        items.append(f"<li{target}>{title} <span>{message}</span></li>")
    heading = html.escape(text.t("say.problems", language, count=len(problems)))
    return f'<div class="ts-problems" role="alert"><b>{heading}</b><ul>{"".join(items)}</ul></div>'


def notes_html(notes: Sequence[str], *, tone: str = "") -> str:
    """Sentences a person should see once. `tone`: '' or 'bad'."""
    items = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return f'<div class="ts-notes {tone}" role="status"><ul>{items}</ul></div>'


def field_label(form: Form, name: str, language: str) -> str:
    """What a person calls a field."""
    if name == FURTHER:
        return text.t("form.further.label", language)
    spec = form.specs.get(name)
    return text.t(f"{text.arg_key(spec)}.label", language) if spec else name


def problem_updates(form: Form, problems: Sequence[Problem], language: str) -> list[Any]:
    """Updates of the summary and of the sections: one that hides a problem is opened."""
    wrong = {problem.field for problem in problems}
    return [
        problems_update(form, problems, language),
        *(section.update(None, wrong) for section in form.sections),
    ]


def problems_update(form: Form, problems: Sequence[Problem], language: str) -> Any:
    """The summary, or nothing in its place."""
    shown = problems_html(form, problems, language) if problems else ""
    return gr.update(value=shown, visible=bool(problems))


def problem_outputs(form: Form, preview: Preview) -> list[gr.blocks.Block]:
    return [preview.problems, *(section.accordion for section in form.sections)]


Redraw = Callable[[gr.events.Dependency], None]
"""Draws the preview anew after another event has changed the fields."""


def connect(form: Form, preview: Preview) -> Redraw:
    """Redraw the preview at every edit; show and hide the fields that depend on others."""
    # `change`, also for texts: their `input` event is not sent for a deletion or a paste.
    triggers = [box.change for box in form.components] + [preview.refresh.click]
    redraw_outputs = [preview.command, preview.yaml, *problem_outputs(form, preview)]
    inputs = [*form.components, preview.job]
    redraw = _redraw(form)
    # The last input is filled in the browser: the job on screen belongs to what is remembered of the form.
    # Until the form has been restored it is null, so that fields which are only now drawn overwrite nothing.
    shown_job = (
        f"(...v) => {{ v[v.length - 1] = window.tunesmith_form?.shown_job('{form.tab}') ?? null; return v }}"
    )
    gr.on(triggers, redraw, inputs, redraw_outputs, trigger_mode="always_last", js=shown_job, **QUIET)

    masters = form.masters()
    if masters and form.dependent_outputs():
        gr.on(
            [form.fields[name].change for name in masters],
            _visibility(form, masters),
            [form.fields[name] for name in masters],
            form.dependent_outputs(),
            trigger_mode="always_last",
            **QUIET,
        )

    def after(event: gr.events.Dependency) -> None:
        event.then(redraw, inputs, redraw_outputs, js=shown_job, **QUIET)

    return after


QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""How every event here runs: at once, without a spinner, not part of a public API."""


def _redraw(form: Form) -> Callable[..., list[Any]]:
    def redraw(request: gr.Request, *sent: Any) -> list[Any]:
        *values, job = sent
        named = form.named(values)
        language = text.language(request)
        command, yaml, problems = preview_texts(form, named, language)
        if job is not None:
            memory.remember(form.tab, str(job), {name: named[name] for name in form.fields})
        return [command, yaml, *problem_updates(form, problems, language)]

    return redraw


def _visibility(form: Form, masters: Sequence[str]) -> Callable[..., Any]:
    def visibility(*sent: Any) -> Any:
        updates = form.visibility(dict(zip(masters, sent, strict=True)))
        return updates if len(updates) > 1 else updates[0]

    return visibility
