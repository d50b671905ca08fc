"""Save and Load: the arguments of a form as a YAML file, on this machine or on the person's own.

Files are read and written by the schema's own loader and dumper, inside the working folder only.
Try: Load a LLaMA-Factory YAML on the Train page and read the notes
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from engine.errors import ArgError, UserError
from engine.paths import confine, saved_args_dir, saves_root, write_whole
from engine.schema import dump
from engine.schema.arg import flatten
from engine.schema.load import FILE_ENDINGS, load_mapping, read_file
from webui import text
from webui.form import Form
from webui.widgets.command_preview import (
    QUIET,
    Preview,
    Redraw,
    notes_html,
    problem_outputs,
    problem_updates,
)

EXAMPLES = Path("examples")


@dataclass(frozen=True)
class Read:
    """An argument file as a form can show it: field values, what was adapted, what cannot be used."""

    values: dict[str, Any]
    notes: tuple[str, ...]
    problems: tuple[str, ...]


def find_files() -> list[str]:
    """Argument files a person may load: saved from the studio, newest first, then the examples."""
    saved = sorted(_yaml_files(saved_args_dir()), key=lambda path: -path.stat().st_mtime)
    return [str(path) for path in [*saved, *sorted(_yaml_files(EXAMPLES))]]


def save_file(form: Form, values: Mapping[str, Any], name: str) -> Path:
    """Write the form's arguments to saves/configs/NAME.yaml. Raises ArgError, or UserError for a bad name."""
    loaded = form.load(values)
    stem = _stem(name) or suggest_name(form, values)
    if re.search(r"[\x00-\x1f/\\]", stem) or stem.startswith("."):
        raise UserError(f"{name!r} cannot name a file. Use letters, digits, dots, dashes and spaces.")
    path = confine(saved_args_dir() / f"{stem}.yaml", saved_args_dir())
    write_whole(path, dump.to_yaml(loaded.args))
    return saved_args_dir() / path.name


def _stem(name: str) -> str:
    return re.sub(r"\.(ya?ml|json)$", "", name.strip())


def suggest_name(form: Form, values: Mapping[str, Any]) -> str:
    """A file name from what a person would recognise: the model and the method."""
    model = Path(str(values.get("model_name_or_path") or "model").rstrip("/")).name
    method = str(values.get("finetuning_type") or form.command)
    return re.sub(r"[^\w.-]+", "_", f"{model}-{method}").strip("._") or form.command


def read_arguments(form: Form, path: Path) -> Read:
    """An argument file in the terms of this form. Raises UserError where the file itself cannot be read."""
    given = read_file(path)
    try:
        loaded = load_mapping(form.command, given)
        return Read(form.values_of(flatten(loaded.args)), loaded.notes, ())
    except ArgError as error:
        wrong = {problem.field for problem in error.problems}
        problems = tuple(str(problem) for problem in error.problems)
    good = {name: value for name, value in given.items() if name not in wrong}
    try:
        loaded = load_mapping(form.command, good, rules=False)
    except ArgError:
        return Read(form.values_of({name: given[name] for name in given if name in form.specs}), (), problems)
    shown = flatten(loaded.args) | {
        name: given[name] for name in wrong if name in form.specs and name in given
    }
    return Read(form.values_of(shown), loaded.notes, problems)


@dataclass(frozen=True)
class Files:
    """The Save and Load buttons and the panels they open."""

    save: gr.Button
    load: gr.Button
    save_panel: gr.Column
    load_panel: gr.Column
    name: gr.Textbox
    write: gr.Button
    download: gr.Button
    choice: gr.Dropdown
    upload: gr.UploadButton
    asked: gr.Textbox


def draw_buttons(i18n: gr.I18n) -> tuple[gr.Button, gr.Button]:
    return (
        gr.Button(i18n("action.save"), elem_id="ts-save"),
        gr.Button(i18n("action.load"), elem_id="ts-load"),
    )


def draw_panels(i18n: gr.I18n, form: Form, save: gr.Button, load: gr.Button) -> Files:
    """The two panels below the buttons, closed."""
    tab = form.tab
    with gr.Column(visible=False, elem_id=f"{tab}-save-panel", elem_classes="ts-panel") as save_panel:
        with gr.Row(elem_classes="ts-grid"):
            name = gr.Textbox(
                label=i18n("files.name.label"), info=i18n("files.name.help"), max_lines=1, min_width=0,
                elem_id=f"{tab}-save-name", elem_classes="ts-big",
            )  # fmt: skip
        with gr.Row(elem_classes="ts-panel-actions"):
            write = gr.Button(i18n("files.write"), size="sm", elem_id=f"{tab}-save-write")
            download = gr.Button(i18n("files.download"), size="sm", elem_id=f"{tab}-save-download")
    with gr.Column(visible=False, elem_id=f"{tab}-load-panel", elem_classes="ts-panel") as load_panel:
        with gr.Row(elem_classes="ts-grid"):
            choice = gr.Dropdown(
                [], value=None, label=i18n("files.choice.label"), info=i18n("files.choice.help"),
                allow_custom_value=True, min_width=0, elem_id=f"{tab}-load-choice", elem_classes="ts-big",
            )  # fmt: skip
        with gr.Row(elem_classes="ts-panel-actions"):
            upload = gr.UploadButton(
                i18n("files.upload"), file_types=list(FILE_ENDINGS), size="sm", elem_id=f"{tab}-load-upload"
            )
    asked = gr.Textbox(visible="hidden", elem_id=f"{tab}-panel-asked")
    return Files(save, load, save_panel, load_panel, name, write, download, choice, upload, asked)


def connect(form: Form, preview: Preview, files: Files, redraw: Redraw) -> None:
    """Wire the buttons, the panels and what they do."""
    _connect_panels(form, files)
    outputs = [preview.notes, *problem_outputs(form, preview)]
    files.write.click(_write(form), [files.name, *form.components], outputs, **QUIET)
    written = files.download.click(
        _yaml(form), [files.name, *form.components], [files.asked, *outputs], **QUIET
    )
    written.then(
        None, files.asked, None, api_visibility="private",
        js="(file) => { window.tunesmith_form.download(file) }",
    )  # fmt: skip
    read_outputs = [preview.notes, *form.outputs]
    redraw(files.choice.input(_read_chosen(form), [files.choice, *form.components], read_outputs, **QUIET))
    redraw(files.upload.upload(_read_uploaded(form), [files.upload, *form.components], read_outputs, **QUIET))


def _connect_panels(form: Form, files: Files) -> None:
    panels = [files.save_panel, files.load_panel]
    for button, kind in ((files.save, "save"), (files.load, "load")):
        is_open = f"!!document.getElementById('{form.tab}-{kind}-panel')"
        toggled = button.click(
            _toggle, [files.asked], [*panels, files.choice], js=f"() => {is_open} ? '' : '{kind}'", **QUIET
        )
        show = f"() => {{ window.tunesmith_form.show('{form.tab}-{kind}-panel') }}"
        toggled.then(None, None, None, js=show, api_visibility="private")


def _toggle(asked: str) -> list[Any]:
    return [
        gr.update(visible=asked == "save"),
        gr.update(visible=asked == "load"),
        gr.update(choices=find_files(), value=None),
    ]


def _write(form: Form) -> Any:
    def write(request: gr.Request, name: str, *values: Any) -> list[Any]:
        language = text.language(request)
        try:
            path = save_file(form, form.named(values), name or "")
        except ArgError as error:
            return [gr.update(visible=False), *problem_updates(form, error.problems, language)]
        except UserError as error:
            return [_say([str(error)], bad=True), *problem_updates(form, (), language)]
        return [_say([text.t("say.saved", language, path=path)]), *problem_updates(form, (), language)]

    return write


def _yaml(form: Form) -> Any:
    """Name and content of the file to download, as JSON; "" where the form is not right yet."""

    def yaml(request: gr.Request, name: str, *values: Any) -> list[Any]:
        named = form.named(values)
        try:
            content = dump.to_yaml(form.load(named).args)
        except ArgError as error:
            return ["", gr.skip(), *problem_updates(form, error.problems, text.language(request))]
        file = {"name": _stem(name or "") or suggest_name(form, named), "content": content}
        return [json.dumps(file), *(gr.skip() for _ in range(2 + len(form.sections)))]

    return yaml


def _read_chosen(form: Form) -> Any:
    def read_chosen(request: gr.Request, chosen: str | None, *values: Any) -> list[Any]:
        if not chosen:
            return [gr.skip()] * (1 + len(form.outputs))
        try:
            path = confine(chosen, Path.cwd(), saves_root())
        except UserError as error:
            return [_say([str(error)], bad=True), *(gr.skip() for _ in form.outputs)]
        return _show(form, path, chosen, values, text.language(request))

    return read_chosen


def _read_uploaded(form: Form) -> Any:
    def read_uploaded(request: gr.Request, uploaded: str, *values: Any) -> list[Any]:
        return _show(form, Path(uploaded), Path(uploaded).name, values, text.language(request))

    return read_uploaded


def _show(form: Form, path: Path, name: str, values: Any, language: str) -> list[Any]:
    try:
        read = read_arguments(form, path)
    except UserError as error:
        message = str(error).replace(str(path), name)
        return [_say([message], bad=True), *(gr.skip() for _ in form.outputs)]
    lines = [text.t("say.loaded", language, name=name), *read.problems, *read.notes]
    return [_say(lines, bad=bool(read.problems)), *form.updates(read.values, than=form.named(values))]


def _say(lines: list[str], *, bad: bool = False) -> Any:
    return gr.update(value=notes_html(lines, tone="bad" if bad else ""), visible=True)


def _yaml_files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("**/*") if path.suffix in FILE_ENDINGS and path.is_file()]
