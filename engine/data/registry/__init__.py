"""dataset_info.json: which datasets exist and what their entries say. Reads no rows, imports no torch.

`dataset_dir` is a folder with that file; ONLINE: names are hub ids; REMOTE:repo[@revision]: a hub dataset
that holds the file; or the object itself as JSON. The file has LLaMA-Factory's format, and may hold comments.
Try: tunesmith data list
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.data.registry import hub
from engine.data.registry.entry import COLUMNS, TAGS, modelscope_missing, prefers_modelscope, read_entry
from engine.data.registry.jsonc import kind_name, parse_json, read_json
from engine.data.registry.spec import DatasetInfo, DatasetSpec, Origin, Split
from engine.errors import DataError
from engine.schema.data import DataArgs

__all__ = [
    "COLUMNS", "FILE_NAME", "TAGS", "DatasetInfo", "DatasetSpec", "Split", "find_datasets", "list_datasets",
    "load_registry", "read_entry",
]  # fmt: skip

FILE_NAME = "dataset_info.json"
ONLINE = "ONLINE"
REMOTE = "REMOTE:"


@dataclass(frozen=True)
class Registry:
    """The entries, and where they come from. `where` is what messages call it; `directory` is what relative
    names are relative to; `remote` the hub repository it was fetched from.
    """

    entries: Mapping[str, Any]
    where: str
    directory: Path
    remote: DatasetSpec | None = None


def find_datasets(names: Sequence[str], data: DataArgs) -> list[DatasetSpec]:
    """The entries of `names`, in their order. Raises DataError with every problem at once."""
    if data.dataset_dir == ONLINE:
        return [_online(name, data) for name in names]
    registry = load_registry(data.dataset_dir)
    specs: list[DatasetSpec] = []
    problems = []
    for name in names:
        try:
            specs.append(_find(name, registry, data.dataset_compat, data.media_dir))
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError("\n".join(problems))
    return specs


def list_datasets(dataset_dir: str | Path) -> list[DatasetInfo]:
    """Every registered dataset in the order of the file, usable or not. Raises DataError when the file itself
    is unreadable. ONLINE lists nothing: any name on the hub would do.
    """
    if str(dataset_dir) == ONLINE:
        return []
    registry = load_registry(dataset_dir)
    return [_list_one(name, registry) for name in registry.entries]


def load_registry(dataset_dir: str | Path) -> Registry:
    """Raises DataError: no such folder or file, or JSON that does not parse (line and column)."""
    text = str(dataset_dir).strip()
    if text.startswith("{"):
        where = "dataset_dir"
        return Registry(_entries(parse_json(text, where), where), where, Path())
    if text.startswith(REMOTE):
        return _load_remote(text.removeprefix(REMOTE))
    directory = Path(dataset_dir)
    path = directory / FILE_NAME
    if not directory.is_dir():
        raise DataError(f"dataset_dir: {directory} is not a folder")
    try:
        return Registry(_entries(read_json(path), path), str(path), directory)
    except FileNotFoundError:
        raise DataError(f"dataset_dir: {directory} holds no {FILE_NAME}") from None


def _load_remote(address: str) -> Registry:
    repo, _, revision = address.partition("@")
    if not repo:
        raise DataError(
            f"dataset_dir: {REMOTE} is to be followed by a hub dataset, such as {REMOTE}user/name"
        )
    remote = DatasetSpec(
        FILE_NAME, (), "alpaca", {}, {}, origin=_online_origin(), repo=repo, revision=revision or None,
        patterns=(FILE_NAME,),
    )  # fmt: skip
    where = f"{repo}/{FILE_NAME}"
    return Registry(_entries(read_json(hub.fetch_one(remote, FILE_NAME)), where), where, Path(), remote)


def _entries(value: object, where: str | Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected an object of datasets, found {kind_name(value)}")
    return {name: entry for name, entry in value.items() if not name.startswith("_")}


def _find(name: str, registry: Registry, compat: str, media_dir: str | None) -> DatasetSpec:
    if name not in registry.entries:
        raise DataError(_unregistered(name, registry))
    return read_entry(
        name, registry.entries[name], registry.directory,
        where=registry.where, compat=compat, media_dir=media_dir, remote=registry.remote,
    )  # fmt: skip


def _unregistered(name: str, registry: Registry) -> str:
    near = difflib.get_close_matches(name, list(registry.entries), 3, cutoff=0.5)
    known = ", ".join(registry.entries) or "none"
    hint = f"did you mean {' or '.join(near)}?" if near else f"registered are {known}"
    return f"dataset {name} is not registered in {registry.where}; {hint}"


def _online(name: str, data: DataArgs) -> DatasetSpec:
    """A hub id as a dataset of the default format."""
    origin = _online_origin()
    entry = {"hf_hub_url" if origin == "hf" else "ms_hub_url": name}
    return read_entry(name, entry, compat=data.dataset_compat, media_dir=data.media_dir)


def _online_origin() -> Origin:
    if not prefers_modelscope():
        return "hf"
    if missing := modelscope_missing():
        raise DataError(f"USE_MODELSCOPE_HUB=1: {missing}")
    return "ms"


def _list_one(name: str, registry: Registry) -> DatasetInfo:
    entry = registry.entries[name]
    try:
        spec = _find(name, registry, "lenient", None)
        size = sum(path.stat().st_size for path in spec.files)
    except (DataError, OSError) as error:
        formatting = entry.get("formatting") or "alpaca" if isinstance(entry, dict) else ""
        return DatasetInfo(name, str(formatting), (), 0, str(error))
    files = tuple(str(path) for path in spec.files)
    return DatasetInfo(
        name, spec.formatting, files, size, origin=spec.origin, repo=spec.repo, ranking=spec.ranking
    )
