"""`tokenized_path`: the tokens of a run's datasets in a folder of their own, written by the first run, loaded
by the next ones, whose dataset files may be gone. A folder that does not fit the run is refused.

It holds the stores, and per table (train, and each to evaluate on) the windows of its rows before packing.
Try: tunesmith train ... --tokenized_path saves/tokens
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.read import stop_if_bad
from engine.data.report import DataReport, DatasetReport
from engine.data.tokens.alone import one_at_a_time
from engine.data.tokens.build import CACHE_VERSION, Setting, tokenizer_digest
from engine.data.tokens.store import Store
from engine.data.tokens.table import TokenTable
from engine.errors import DataError
from engine.paths import fsync_dir, fsync_tree

META = "meta.json"
Tables = tuple[TokenTable | None, dict[str, TokenTable], DataReport]
# Arguments that decide which tokens there are, in the order in which a difference is told.
ARGUMENTS = (
    "dataset", "eval_dataset", "cutoff_len", "mask_history", "train_on_prompt", "max_samples", "val_size",
    "mix_strategy", "interleave_probs", "eval_on_each_dataset",
)  # fmt: skip


def load_or_write(setting: Setting, build: Callable[[], Tables]) -> Tables:
    """What the folder holds; where there is none yet, what `build` gives, written there.

    Raises DataError when the folder holds something else, or tokens of another run's kind (every difference
    is named). overwrite_cache=true writes it anew.
    """
    path = Path(str(setting.data.tokenized_path))
    if not setting.data.overwrite_cache and _is_written(path):
        return _load(path, setting)
    with one_at_a_time(path, shared=setting.data.data_shared_file_system) as came_first:
        if _is_written(path) and not (setting.data.overwrite_cache and came_first):
            return _load(path, setting)
        tables = build()
        _write(path, setting, tables)
    return tables


def _is_written(path: Path) -> bool:
    """Raises DataError for a folder with other things in it: nothing of them is touched."""
    if (path / META).is_file():
        return True
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise DataError(
            f"tokenized_path: {path} holds something other than tokenised data; name a new folder"
        )
    return False


def facts_of(setting: Setting) -> dict[str, Any]:
    """What must be the same for tokens to be this run's."""
    facts = {name: getattr(setting.data, name) for name in ARGUMENTS}
    if setting.stage == "pt":
        # Texts are cut into blocks when they are loaded.
        facts["cutoff_len"] = None
    chat = setting.chat
    facts |= {
        "stage": setting.stage,
        "template": chat.name or "the tokenizer's own",
        "template_fingerprint": chat.fingerprint,
        "tokenizer": tokenizer_digest(chat.tokenizer),
        "version": CACHE_VERSION,
    }
    return json.loads(json.dumps(facts))  # type: ignore[no-any-return]


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    if there.get("tokenizer") != here["tokenizer"]:
        yield "it was tokenised by another tokenizer than this model's"
    if there.get("template") != here["template"]:
        yield f"template is {_shown(there.get('template'))} there and {_shown(here['template'])} here"
    elif there.get("template_fingerprint") != here["template_fingerprint"]:
        yield "the chat template or its settings (default_system, tools, thinking) differ"
    for name in ("stage", *ARGUMENTS):
        if there.get(name) != here[name]:
            yield f"{name} is {_shown(there.get(name))} there and {_shown(here[name])} here"
    if there.get("version") != here["version"]:
        yield "it was written by a version that tokenised otherwise"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "empty"
    if value is None:
        return "not set"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _load(path: Path, setting: Setting) -> Tables:
    try:
        meta = json.loads((path / META).read_text(encoding="utf-8"))
        differences = list(_differences(meta["facts"], facts_of(setting)))
        if differences:
            raise DataError(
                f"tokenized_path: {path} does not fit this run:\n"
                + "\n".join(f"  {line}" for line in differences)
                + "\nName another folder, or set overwrite_cache=true to write it anew"
            )
        stores = [Store(path / name) for name in meta["stores"]]
        tables = {name: _read_table(path, name, stores) for name in meta["tables"]}
        report = DataReport(
            datasets=[DatasetReport.from_cache_of(record) for record in meta["datasets"]],
            eval_datasets=[DatasetReport.from_cache_of(record) for record in meta["eval_datasets"]],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"tokenized_path: {path} is damaged ({error}). Delete it, or set overwrite_cache=true to write "
            "it anew"
        ) from None
    for account in (*report.datasets, *report.eval_datasets):
        stop_if_bad(account, setting.data.max_bad_rows)
    setting.chat.notes.extend(note for note in meta["notes"] if note not in setting.chat.notes)
    report.note(f"tokens were read from {path}; the dataset files were not looked at")
    if meta["seed"] != setting.seed and (setting.data.val_size or setting.data.mix_strategy != "concat"):
        report.note(f"tokenized_path: rows were split and mixed with seed {meta['seed']}, not {setting.seed}")
    return tables.pop("train", None), tables, report


def _read_table(path: Path, name: str, stores: Sequence[Store]) -> TokenTable:
    windows = np.load(path / f"table-{name}.npy")
    return TokenTable(stores, windows[0], windows[1])


def _write(path: Path, setting: Setting, tables: Tables) -> None:
    train, evals, report = tables
    named = {"train": train, **evals} if train is not None else dict(evals)
    stores = list(dict.fromkeys(store for table in named.values() for store in table.stores))
    folders = [f"store-{number}" for number in range(len(stores))]
    meta = {
        "facts": facts_of(setting),
        "seed": setting.seed,
        "stores": folders,
        "tables": list(named),
        "datasets": [account.to_json() for account in report.datasets],
        "eval_datasets": [account.to_json() for account in report.eval_datasets],
        "notes": list(setting.chat.notes),
    }
    staged = path.parent / f".{path.name}-{uuid.uuid4().hex[:8]}.tmp"
    try:
        staged.mkdir(parents=True)
        for store, folder in zip(stores, folders, strict=True):
            shutil.copytree(store.path, staged / folder, copy_function=_link)
        for name, table in named.items():
            np.save(staged / f"table-{name}.npy", _windows(table, stores))
        (staged / META).write_text(json.dumps(meta, ensure_ascii=False, indent=1), encoding="utf-8")
        fsync_tree(staged)
        if path.exists():
            outgoing = staged.with_suffix(".old.tmp")
            os.rename(path, outgoing)
            shutil.rmtree(outgoing, ignore_errors=True)
        os.rename(staged, path)
        fsync_dir(path.parent)
    except OSError as error:
        raise DataError(f"tokenized_path: {path} cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _windows(table: TokenTable, stores: Sequence[Store]) -> np.ndarray:
    """begins and sizes, int64 (2, rows), with positions running over all of `stores`."""
    base = dict(zip(stores, np.cumsum([0, *(int(store.offsets[-1]) for store in stores)]), strict=False))
    own = np.cumsum([0, *(int(store.offsets[-1]) for store in table.stores)])
    which = np.searchsorted(own, table.begins, side="right") - 1
    shift = np.array([base[store] for store in table.stores], np.int64) - own[:-1]
    return np.stack([table.begins + shift[which], table.sizes])


def _link(source: str, target: str) -> str:
    """A store's files never change, so two folders may share them."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target
