"""`file_name` of dataset_info.json -> local files: a file, a folder (with all below it), a glob pattern, or a
list of these. A split's name chooses among files whose names say which split they are.

Try: python -c "from engine.data.registry.files import *; print(find_files('tiny*.json', Path('data')))"
"""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.data.sources import SUFFIXES, kind_of
from engine.errors import DataError

GLOB = re.compile(r"[*?\[]")
# What `datasets` writes beside its arrow files, and what describes a folder rather than being its data.
NOT_DATA = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
# The words by which hubs and people mark the files of a split.
SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
WORD_BREAK = re.compile(r"[^a-z0-9]+")


def find_files(names: str | Sequence[str], directory: Path) -> tuple[Path, ...]:
    """The data files, each once, as named, and sorted within a folder or pattern. Raises DataError."""
    found: dict[Path, None] = {}
    for name in [names] if isinstance(names, str) else names:
        found.update(dict.fromkeys(_find(name, directory)))
    return tuple(found)


def _find(name: str, directory: Path) -> list[Path]:
    path = directory / Path(name).expanduser()
    if path.is_dir():
        files = data_files(path)
        if not files:
            raise DataError(f"the folder {path} holds no {', '.join(SUFFIXES)} file")
        return files
    if path.exists():
        if kind_of(path) is None:
            raise DataError(
                f"{path.name} is of a kind that is not read; use {', '.join(SUFFIXES)} (text also as .gz)"
            )
        return [path]
    if not GLOB.search(name):
        raise DataError(f"no such file {path}{_way_out(path)}")
    matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
    files = [file for file in matches if file.is_file() and kind_of(file)]
    if not files:
        raise DataError(f"no {', '.join(SUFFIXES)} file matches {path}")
    return files


def _way_out(path: Path) -> str:
    if path.is_symlink():
        return f": it is a link to {path.readlink()}, which is not there"
    if "\\" in str(path) and os.sep == "/":
        return "; the folders of a path are separated by / here"
    names = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, 1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else ""


def data_files(folder: Path) -> list[Path]:
    """Data files in a folder and below it, sorted; hidden ones, and notes beside data (.txt, what `datasets`
    writes about its arrow files) are left out.
    """
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if kind_of(path)
        and path.name not in NOT_DATA
        and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
        and path.is_file()
    ]
    tables = [path for path in files if kind_of(path) != ".txt"]
    return tables or files


def of_split(files: Sequence[Path], root: Path, names: Sequence[str]) -> list[Path]:
    """The files whose names (or folders below `root`) carry one of the splits' names. Raises DataError that
    tells which there are.
    """
    marked = {path: _split_words(path, root) for path in files}
    chosen = [path for path, words in marked.items() if any(_is_called(words, name) for name in names)]
    if chosen:
        return chosen
    present = [split for split in SPLIT_WORDS if any(_is_called(words, split) for words in marked.values())]
    if not present and tuple(names) == ("train",):
        return list(files)
    there = f"there are files of {', '.join(present)}" if present else "no file's name says which split it is"
    raise DataError(f'no file of split "{"+".join(names)}"; {there}')


def _split_words(path: Path, root: Path) -> set[str]:
    inside = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    stem = inside.as_posix().lower()
    return {*WORD_BREAK.split(stem), *_stems(inside)}


def _stems(path: Path) -> Iterable[str]:
    """Folder names and the file's name before its first dot, whole: for splits such as train_sft."""
    for part in path.parts:
        yield part.lower().split(".")[0]
        yield re.sub(r"-\d+-of-\d+$", "", part.lower().split(".")[0])


def _is_called(words: set[str], split: str) -> bool:
    return not words.isdisjoint(SPLIT_WORDS.get(split, (split.lower(),)))
