"""The fields that choose a model and its adapters: what lies on this disk, or any path or hub id.

A folder is judged by the names of the files in it; nothing is loaded.
Try: python -c "from webui.widgets.model_picker import find_models; print(find_models())"
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from engine.jobs import client
from engine.paths import saves_root
from webui.form import Form
from webui.studio import Studio
from webui.widgets.command_preview import QUIET
from webui.widgets.page_open import register_menu

DEPTH = 5
"""How deep below a root a model folder may lie: saves/MODEL/METHOD/RUN/checkpoint-N."""
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
SKIPPED = {"node_modules", "__pycache__"}


def find_models() -> list[str]:
    """Folders that hold a whole model: below data/, models/ and saves/, and where exports were written."""
    found = [str(path) for path in _walk() if _is_model(path)]
    return [*sorted(found, key=_rank), *(path for path in _exported() if path not in found)]


def find_adapters() -> list[str]:
    """Folders that hold an adapter, newest first; a run before its checkpoints."""
    found = [path for path in _walk() if (path / "adapter_config.json").is_file()]
    return [
        str(path)
        for path in sorted(found, key=lambda path: (_age(path), path.name.startswith("checkpoint-")))
    ]


def find_base(adapter: str) -> str | None:
    """The model that an adapter was trained on, as its configuration says."""
    try:
        config = json.loads((Path(adapter) / "adapter_config.json").read_text(encoding="utf-8"))
        base = config.get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        return None
    return str(base) if base else None


def model_picker(**common: Any) -> gr.Dropdown:
    """A builder for `Form.draw`: one model, free text allowed. Its choices come when the page opens, so that
    the page weighs the same however many runs there are.
    """
    return gr.Dropdown([], **common, allow_custom_value=True)


def adapter_picker(**common: Any) -> gr.Dropdown:
    """A builder for `Form.draw`: adapters in the order they are applied, free text allowed."""
    return gr.Dropdown([], **common, multiselect=True, allow_custom_value=True)


def connect(studio: Studio, form: Form) -> None:
    """Fresh choices whenever the page or a tab opens; an adapter brings its base model along."""
    model, adapters = form.fields["model_name_or_path"], form.fields["adapter_name_or_path"]
    assert isinstance(adapters, gr.Dropdown)
    register_menu(studio, model, find_models)
    register_menu(studio, adapters, find_adapters)
    adapters.input(_bring_base, adapters, model, **QUIET)


def _bring_base(chosen: list[str]) -> Any:
    base = find_base(chosen[-1]) if chosen else None
    return gr.update(value=base) if base else gr.skip()


def _walk() -> Iterator[Path]:
    """Every folder below the places where models lie, hidden ones and what models do not hold left out."""
    for root in (Path("data"), Path("models"), saves_root()):
        start = len(root.parts)
        for folder, names, _ in os.walk(root):
            path = Path(folder)
            deep = len(path.parts) - start >= DEPTH
            names[:] = (
                [] if deep else sorted(name for name in names if name[0] != "." and name not in SKIPPED)
            )
            yield path


def _is_model(path: Path) -> bool:
    return (path / "config.json").is_file() and any((path / name).is_file() for name in WEIGHTS)


def _exported() -> list[str]:
    """Where the exports of the job list were written, if they lie outside the folders that are walked."""
    found = []
    for job in client.list_jobs(limit=100):
        if job.command == "export" and "--export_dir" in job.argv[:-1]:
            target = job.argv[list(job.argv).index("--export_dir") + 1]
            if _is_model(Path(target)) and target not in found:
                found.append(target)
    return found


def _rank(path: str) -> tuple[bool, bool, float]:
    """Base models first, then results, newest first, with checkpoints last."""
    in_saves = Path(path).is_relative_to(saves_root())
    return in_saves, Path(path).name.startswith("checkpoint-"), _age(Path(path))


def _age(path: Path) -> float:
    """Sorts newer folders first."""
    return -path.stat().st_mtime
