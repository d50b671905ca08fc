"""What happens when the page opens: every form comes back as it was, and every menu lists what is there now.

One event each for all pages together; pages register what they have. The last page built calls `connect`.
Try: edit a field, restart the studio, reload
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from engine.errors import JobError, UserError
from engine.jobs import client
from engine.paths import RunPaths
from engine.schema.load import read_file
from webui import memory, text
from webui.form import Form
from webui.studio import Studio
from webui.widgets.command_preview import QUIET, Preview, preview_texts, problems_update

FORMS = "page_open.forms"
MENUS = "page_open.menus"
"""Keys in `studio.parts`: [(form, preview)] and [(menu, what finds its choices)]."""


def register_form(studio: Studio, form: Form, preview: Preview) -> None:
    """This form is to come back as it was left."""
    studio.parts.setdefault(FORMS, []).append((form, preview))


def register_menu(studio: Studio, menu: Any, find: Callable[[], list[str]]) -> None:
    """The choices of this menu are to be found anew whenever the page or a tab opens."""
    studio.parts.setdefault(MENUS, []).append((menu, find))


def connect(studio: Studio) -> None:
    """Wire both events for everything that was registered."""
    forms: list[tuple[Form, Preview]] = studio.parts.get(FORMS, [])
    menus: list[tuple[Any, Callable[[], list[str]]]] = studio.parts.get(MENUS, [])

    def restore(request: gr.Request, job: str) -> list[Any]:
        language = text.language(request)
        return [update for form, _ in forms for update in restored(form, job or "", language)]

    def find_choices() -> list[Any]:
        found = {find: find() for _, find in menus}
        return [gr.update(choices=found[find]) for _, find in menus]

    outputs = [output for form, preview in forms for output in restored_outputs(form, preview)]
    asked = "() => new URLSearchParams(location.search).get('job') || ''"
    opened = studio.demo.load(restore, forms[0][1].job, outputs, js=asked, **QUIET)
    opened.then(None, None, None, js="() => { window.tunesmith_form?.restored() }", api_visibility="private")
    gr.on(
        [studio.demo.load, studio.tabs.select], find_choices, None, [menu for menu, _ in menus], **QUIET
    )  # fmt: skip


def restored_outputs(form: Form, preview: Preview) -> list[Any]:
    """What `restored` updates."""
    sections = [section.accordion for section in form.sections]
    return [*form.components, *sections, preview.command, preview.yaml, preview.problems]


def restored(form: Form, job: str, language: str) -> list[Any]:
    """Updates that show a form as it was left, with its preview."""
    values = restored_values(form, job)
    fields = form.updates(values, than=form.start_values())[: len(form.fields)]
    command, yaml, problems = preview_texts(form, values, language)
    wrong = {problem.field for problem in problems}
    sections = [section.update(values, wrong) for section in form.sections]
    return [*fields, *sections, command, yaml, problems_update(form, problems, language)]


def restored_values(form: Form, job: str) -> dict[str, Any]:
    """The field values to open with: as last edited; but a job from elsewhere shows its own arguments."""
    start = form.start_values()
    kept = memory.recall(form.tab)
    if job and (kept is None or kept.job != job):
        given = job_mapping(form.command, job)
        if given is not None:
            return start | form.values_of(given)
    if kept is None:
        return start
    return start | {name: value for name, value in kept.values.items() if name in form.fields}


def job_mapping(command: str, job_id: str) -> dict[str, Any] | None:
    """What was asked of a job of this command, or None. Its folder is left out: each run has its own."""
    try:
        job = client.get(job_id)
        given = read_file(RunPaths(job.run_dir).args_yaml)
    except (JobError, UserError):
        return None
    if job.command != command:
        return None
    if is_own_folder(given.get("output_dir"), job.run_dir):
        del given["output_dir"]
    return given


def is_own_folder(output_dir: Any, run_dir: str) -> bool:
    """Whether an output_dir, perhaps relative to the folder its job was started in, is that job's own."""
    wanted, real = str(output_dir or ""), str(run_dir)
    return bool(wanted) and (real == wanted or real.endswith(f"/{wanted}"))
