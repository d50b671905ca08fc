"""What a person asked to see: datasets (registered, or a file with an entry to try), arguments, tokenizer.

One place where a preview, a check and a count get what training gets from its arguments. Names and rules are
those of `tunesmith train`. Imports no tokenizer library unless a model is named.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.data.formats.kinds import STAGES
from engine.data.registry import find_datasets
from engine.data.registry.entry import spec_of
from engine.data.registry.spec import DatasetSpec
from engine.errors import ArgError, Problem
from engine.schema.arg import group_specs
from engine.schema.commands import TrainArgs
from engine.schema.data import DataArgs, TemplateArgs
from engine.schema.load import load_mapping
from engine.schema.model import ModelArgs
from engine.schema.rules import broken_rules

if TYPE_CHECKING:
    from engine.templates.chat import ChatTemplate


@dataclass(frozen=True)
class View:
    """`chat` is None where neither a model nor a template is named; `tokenizer` where no model is. `stage` is
    None where none was asked for: each dataset is then read as the first stage that fits would. eval_specs
    are those of `eval_dataset`.
    """

    args: TrainArgs
    specs: tuple[DatasetSpec, ...]
    chat: ChatTemplate | None
    tokenizer: Any
    notes: tuple[str, ...] = ()
    stage: str | None = None
    eval_specs: tuple[DatasetSpec, ...] = ()


class Placeholders:
    """Stands in for a tokenizer when a named template is shown without one: its begin and end are words."""

    bos_token = "<BOS>"
    eos_token = "<EOS>"
    pad_token = None
    chat_template = None
    added_tokens_decoder: Mapping[int, Any] = {}
    special_tokens_map: Mapping[str, str] = {}

    def get_vocab(self) -> dict[str, int]:
        return {}


def open_view(given: Mapping[str, Any]) -> View:
    """Everything `given` names, checked. `path` and `entry` stand for a dataset that is not registered.

    Raises ArgError with every problem of the arguments, DataError for a dataset that cannot be used.
    """
    args, notes, stage = check_arguments(given)
    specs = find_specs(args.data, given.get("path"), given.get("entry"))
    evals = tuple(find_datasets(args.data.eval_dataset, args.data))
    tokenizer, chat = open_chat(args)
    return View(args, specs, chat, tokenizer, notes, stage, evals)


def open_template(given: Mapping[str, Any]) -> View:
    """A view of no dataset: the template, and the tokenizer where a model is named."""
    args, notes, stage = check_arguments(given)
    tokenizer, chat = open_chat(args)
    return View(args, (), chat, tokenizer, notes, stage)


def check_arguments(given: Mapping[str, Any]) -> tuple[TrainArgs, tuple[str, ...], str | None]:
    """(arguments of training, notes, the stage asked for). Rules about what does not matter here (learning,
    output) are not applied, and any stage that learns from data may be named. Raises ArgError.
    """
    ours = {**group_specs(DataArgs, "data"), **group_specs(TemplateArgs, "template")}
    stage = given.get("stage")
    if stage is not None and stage not in known_stages():
        raise ArgError([Problem("stage", f"{stage!r} is not one of {', '.join(known_stages())}.")])
    values = {name: given[name] for name in given if name not in ("path", "entry", "stage")}
    loaded = load_mapping("train", values, rules=False)
    problems = [p for p in broken_rules(loaded.args) if p.field in ours and p.field != "dataset"]
    if problems:
        raise ArgError(problems)
    return loaded.args, loaded.notes, stage


def known_stages() -> tuple[str, ...]:
    """Every stage that learns from datasets."""
    return tuple(stage for stages in STAGES.values() for stage in stages)


def find_specs(data: DataArgs, path: str | None, entry: object) -> tuple[DatasetSpec, ...]:
    """The datasets named, or the file with the entry that would be registered for it."""
    if path is not None:
        return (spec_of(path, entry if entry is not None else {}),)
    if not data.dataset:
        raise ArgError([Problem("dataset", "is missing. Name a dataset, or give a path and an entry.")])
    return tuple(find_datasets(data.dataset, data))


def open_chat(args: TrainArgs) -> tuple[Any, ChatTemplate | None]:
    """(tokenizer, template) as training loads them. Without a model: (None, the named template or None)."""
    if not args.model.model_name_or_path:
        if args.template.template is None:
            return None, None
        return None, _load_chat(Placeholders(), args)
    tokenizer = _load_tokenizer(args.model, _stamp(args.model))
    return tokenizer, _load_chat(tokenizer, args)


def _load_chat(tokenizer: Any, args: TrainArgs) -> ChatTemplate:
    from engine.templates.chat import load_chat

    return load_chat(tokenizer, args.template, mask_history=args.data.mask_history)


@functools.lru_cache(maxsize=2)
def _load_tokenizer(model: ModelArgs, _stamp: Sequence[tuple[str, int]]) -> Any:
    """Kept, since the next preview will most likely want it again."""
    from engine.models.quiet import hush_libraries
    from engine.models.tokenizer import load_tokenizer

    hush_libraries()
    return load_tokenizer(model)


def _stamp(model: ModelArgs) -> tuple[tuple[str, int], ...]:
    """Changes when a file of a local tokenizer does."""
    folders = [
        Path(name).expanduser() for name in (model.model_name_or_path or "", *model.adapter_name_or_path)
    ]
    return tuple(
        (str(path), path.stat().st_mtime_ns)
        for folder in folders
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.suffix in (".json", ".jinja", ".model", ".txt")
    )
