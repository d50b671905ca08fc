"""dataset_info.json: which datasets exist and how their columns are called. Reads no rows, imports no torch.

The file has LLaMA-Factory's format. A key we know but do not support yet is refused by name when its dataset
is asked for.
Try: python -m engine.data.registry data
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import DataError

FILE_NAME = "dataset_info.json"
SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "alpaca": {"prompt": "instruction", "query": "input", "response": "output"},
    "sharegpt": {"messages": "conversations"},
}
OPTIONAL_COLUMNS: Mapping[str, tuple[str, ...]] = {"alpaca": ("system", "history"), "sharegpt": ("system",)}
TAGS: Mapping[str, str] = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
LATER_FORMATS = ("openai", "ranking", "kto", "prompt", "text")
LATER_COLUMNS = ("tools", "images", "videos", "audios", "chosen", "rejected", "kto_tag")
REMOTE_KEYS = ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
KNOWN_KEYS = (
    "file_name",
    "formatting",
    "columns",
    "tags",
    "num_samples",
    "split",
    "ranking",
    "subset",
    "folder",
)
SPLIT = re.compile(r"^train(?:\[(-?\d+%?)?:(-?\d+%?)?\])?$")


@dataclass(frozen=True)
class DatasetSpec:
    """One usable entry. `named` holds the columns that the entry itself maps (the rest are defaults)."""

    name: str
    files: tuple[Path, ...]
    formatting: str
    columns: Mapping[str, str]
    named: frozenset[str] = frozenset()
    tags: Mapping[str, str] = field(default_factory=lambda: dict(TAGS))
    num_samples: int | None = None
    split: tuple[str | None, str | None] = (None, None)

    def mapping(self) -> dict[str, Any]:
        """Everything but the files that decides what the rows mean; part of the token cache's key."""
        return {
            "formatting": self.formatting,
            "columns": dict(self.columns),
            "tags": dict(self.tags),
            "num_samples": self.num_samples,
            "split": list(self.split),
        }


@dataclass(frozen=True)
class DatasetInfo:
    """One entry as a list shows it. `problem` says why it cannot be used; empty when it can."""

    name: str
    formatting: str
    files: tuple[str, ...]
    size_bytes: int
    problem: str = ""


def list_datasets(dataset_dir: str | Path) -> list[DatasetInfo]:
    """Every registered dataset in the order of the file, usable or not. Raises DataError when the file itself
    is unreadable.
    """
    directory = Path(dataset_dir)
    infos = []
    for name, entry in load_info(directory).items():
        try:
            spec = read_entry(name, entry, directory)
        except DataError as error:
            formatting = entry.get("formatting", "alpaca") if isinstance(entry, dict) else ""
            infos.append(DatasetInfo(name, str(formatting), (), 0, str(error)))
        else:
            files = tuple(str(path) for path in spec.files)
            infos.append(
                DatasetInfo(name, spec.formatting, files, sum(path.stat().st_size for path in spec.files))
            )
    return infos


def find_datasets(names: Sequence[str], dataset_dir: str | Path) -> list[DatasetSpec]:
    """The entries of `names`, in their order. Raises DataError with every problem at once."""
    directory = Path(dataset_dir)
    info = load_info(directory)
    specs: list[DatasetSpec] = []
    problems = []
    for name in names:
        if name not in info:
            problems.append(_unregistered(name, info, directory))
            continue
        try:
            specs.append(read_entry(name, info[name], directory))
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError("\n".join(problems))
    return specs


def load_info(directory: Path) -> dict[str, Any]:
    """The registry as a dict. Raises DataError: no such folder or file, or JSON that does not parse (line and
    column).
    """
    path = directory / FILE_NAME
    if not directory.is_dir():
        raise DataError(f"dataset_dir: {directory} is not a folder")
    try:
        info = json.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise DataError(f"dataset_dir: {directory} holds no {FILE_NAME}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise DataError(f"{path}: nested too deeply") from None
    if not isinstance(info, dict):
        raise DataError(f"{path}: expected an object of datasets, found a {_kind(info)}")
    return info


def read_entry(name: str, entry: object, directory: Path) -> DatasetSpec:
    """One entry of the file, checked. Raises DataError naming the dataset and the key."""
    where = f"dataset {name} in {directory / FILE_NAME}"
    if not isinstance(entry, dict):
        raise DataError(f"{where}: expected an object, found a {_kind(entry)}")
    _refuse_unknown(entry, where)
    formatting = entry.get("formatting", "alpaca")
    if not isinstance(formatting, str) or formatting not in COLUMNS:
        later = " (not supported yet)" if formatting in LATER_FORMATS else ""
        raise DataError(f"{where}: formatting {formatting!r}{later}; choose one of {', '.join(COLUMNS)}")
    columns, named = _read_columns(entry.get("columns") or {}, formatting, where)
    tags = entry.get("tags") or {}
    if not isinstance(tags, dict) or not all(isinstance(tag, str) for tag in tags.values()):
        raise DataError(f"{where}: tags must be an object of texts")
    if unknown := [tag for tag in tags if tag not in TAGS]:
        raise DataError(f"{where}: unknown tags {', '.join(unknown)}; known are {', '.join(TAGS)}")
    num_samples = entry.get("num_samples")
    if num_samples is not None and (type(num_samples) is not int or num_samples < 1):
        raise DataError(f"{where}: num_samples must be a whole number of at least 1, found {num_samples!r}")
    match = SPLIT.match(str(entry.get("split", "train")))
    if match is None:
        raise DataError(
            f'{where}: split {entry["split"]!r}; local files have "train", or a part such as "train[:100]"'
        )
    return DatasetSpec(
        name=name,
        files=_find_files(entry, directory, where),
        formatting=formatting,
        columns=columns,
        named=named,
        tags={**TAGS, **tags},
        num_samples=num_samples,
        split=(match.group(1), match.group(2)),
    )


def _refuse_unknown(entry: Mapping[str, Any], where: str) -> None:
    if "file_name" in entry and not (entry["file_name"] and isinstance(entry["file_name"], str)):
        raise DataError(f"{where}: file_name must be the name of a file, found {entry['file_name']!r}")
    if "file_name" not in entry:
        remote = [key for key in REMOTE_KEYS if key in entry]
        if remote:
            raise DataError(f"{where}: {remote[0]} is not supported yet; download the file and set file_name")
        raise DataError(f"{where}: file_name is missing")
    if entry.get("ranking"):
        raise DataError(f"{where}: ranking data is not supported yet")
    for key in ("subset", "folder"):
        if entry.get(key):
            raise DataError(f"{where}: {key} is not supported yet")
    unknown = [key for key in entry if key not in KNOWN_KEYS and key not in REMOTE_KEYS]
    if unknown:
        near = difflib.get_close_matches(unknown[0], KNOWN_KEYS, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; known keys are {', '.join(KNOWN_KEYS)}"
        raise DataError(f"{where}: unknown key {unknown[0]!r}{hint}")


def _read_columns(given: object, formatting: str, where: str) -> tuple[dict[str, str], frozenset[str]]:
    """Named columns over the defaults. A mapping to null or "" leaves an optional column out."""
    if not isinstance(given, dict):
        raise DataError(f"{where}: columns must be an object, found a {_kind(given)}")
    columns = dict(COLUMNS[formatting])
    allowed = (*COLUMNS[formatting], *OPTIONAL_COLUMNS[formatting])
    for role, column in given.items():
        if role in LATER_COLUMNS and column:
            raise DataError(f"{where}: the {role} column is not supported yet")
        if not isinstance(column, str | type(None)):
            raise DataError(f"{where}: the {role} column must be a name, found a {_kind(column)}")
        if role not in allowed and role not in LATER_COLUMNS:
            raise DataError(f"{where}: unknown column role {role!r}; {formatting} has {', '.join(allowed)}")
        if column:
            columns[role] = str(column)
        else:
            columns.pop(role, None)
    return columns, frozenset(role for role, column in given.items() if column)


def _find_files(entry: Mapping[str, Any], directory: Path, where: str) -> tuple[Path, ...]:
    path = directory / str(entry["file_name"])
    if path.is_dir():
        files = tuple(sorted(child for child in path.iterdir() if child.suffix in SUFFIXES))
        if not files:
            raise DataError(f"{where}: the folder {path} holds no {', '.join(SUFFIXES)} file")
        return files
    if not path.is_file():
        raise DataError(f"{where}: no such file {path}")
    if path.suffix not in SUFFIXES:
        raise DataError(f"{where}: {path.name} is of a kind that is not supported; use {', '.join(SUFFIXES)}")
    return (path,)


def _unregistered(name: str, info: Mapping[str, Any], directory: Path) -> str:
    near = difflib.get_close_matches(name, list(info), 3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"registered are {', '.join(info) or 'none'}"
    return f"dataset {name} is not registered in {directory / FILE_NAME}; {hint}"


def _kind(value: object) -> str:
    names = {
        dict: "object",
        list: "list",
        str: "text",
        bool: "true/false value",
        int: "number",
        float: "number",
    }
    return names.get(type(value), "null" if value is None else type(value).__name__)


if __name__ == "__main__":
    for item in list_datasets(sys.argv[1] if len(sys.argv) > 1 else "data"):
        print(f"{item.name:24} {item.formatting:10} {item.problem or ', '.join(item.files)}")
