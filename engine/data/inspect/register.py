"""Add a dataset to dataset_info.json: whole or not at all, with every other byte of the file as it was.

The user's comments, order, indentation, line ends and byte-order mark stay. A file from elsewhere is copied
into the dataset folder under a name that is free. Two that register at once both succeed.
Try: tunesmith data register my.csv --dataset_dir data
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]  # in the library since Python 2
from pathlib import Path
from typing import Any

from engine.data.inspect.walk import natural_stage, sources_of
from engine.data.read import check_columns
from engine.data.registry.entry import read_entry
from engine.data.registry.jsonc import parse_json, strip_comments
from engine.errors import ArgError, DataError, Problem
from engine.paths import fsync_dir, write_whole

FILE_NAME = "dataset_info.json"
MARK = b"\xef\xbb\xbf"
MAX_NAME = 100
_UNFIT = re.compile(r"[\s,\"'/\\=\[\]{}:*?<>|]|[\x00-\x1f\x7f]")
_SPACE = " \t\r\n"
_TRIES = 5


@dataclass(frozen=True)
class Member:
    """One dataset in the text of the file: where its name begins, and where its value begins and ends."""

    name: str
    start: int
    value_start: int
    value_end: int


def register(
    dataset_dir: str,
    name: str,
    entry: Mapping[str, Any],
    *,
    source_path: str | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write `entry` under `name`. Returns {"name", "entry", "file": the data file}.

    source_path: a data file that is copied into the folder (unless it lies there already) and becomes the
    entry's file_name. Raises ArgError for a name that is unfit or taken, DataError for an entry or a file
    that cannot be used; nothing is changed then.
    """
    folder = check_folder(dataset_dir)
    check_name(name)
    entry = dict(entry)
    with _locked(folder):
        if not overwrite and name in read_members(folder / FILE_NAME):
            raise _taken(folder, name)
        copied = None
        if source_path is not None:
            file, copied = place_file(Path(source_path), folder)
            entry = {"file_name": file, **{key: entry[key] for key in entry if key != "file_name"}}
        try:
            file = _check_entry(name, entry, folder)
            _write_entry(folder / FILE_NAME, name, entry, overwrite=overwrite)
        except BaseException:
            if copied is not None:
                copied.unlink(missing_ok=True)
            raise
    return {"name": name, "entry": entry, "file": file}


def check_folder(dataset_dir: str) -> Path:
    """The folder as it really is. Raises ArgError for what is no folder."""
    if dataset_dir == "ONLINE" or dataset_dir.startswith(("REMOTE:", "{")):
        raise ArgError([Problem("dataset_dir", f"{dataset_dir[:60]} is no folder. Give one to register in.")])
    folder = Path(dataset_dir).expanduser()
    if not folder.is_dir():
        raise ArgError([Problem("dataset_dir", f"{folder} is not a folder. Make it first.")])
    return folder.resolve()


def check_name(name: str) -> None:
    """A name has to survive a comma-separated list, a command line and a YAML file. Raises ArgError."""
    if not isinstance(name, str) or not name.strip():
        raise ArgError([Problem("name", "is empty. Give the dataset a name.")])
    found = _UNFIT.search(name)
    if found:
        raise ArgError([Problem("name", f"{name!r} holds {found.group()!r}. Use letters, digits, _ - and .")])
    if name[0] in "_-." or len(name) > MAX_NAME or not name.isprintable():
        rule = f"must begin with a letter or a digit and have at most {MAX_NAME} characters."
        raise ArgError([Problem("name", f"{name[:40]!r} {rule}")])


def suggest_name(path: str | Path, dataset_dir: str | Path | None = None) -> str:
    """A name after the file that no dataset of the folder has."""
    stem = Path(path).name.partition(".")[0]
    base = re.sub(r"[^\w-]+", "_", stem).strip("_-")[: MAX_NAME - 5] or "dataset"
    taken: Mapping[str, Any] = {}
    if dataset_dir is not None:
        with contextlib.suppress(DataError):
            taken = read_members(Path(dataset_dir) / FILE_NAME)
    return _free(base, lambda name: name in taken)


def _free(base: str, is_taken: Any) -> str:
    name, number = base, 2
    while is_taken(name):
        name, number = f"{base}_{number}", number + 1
    return name


def _taken(folder: Path, name: str) -> ArgError:
    message = f"{name} is registered in {folder / FILE_NAME} already. Choose another name, or overwrite it."
    return ArgError([Problem("name", message)])


def _check_entry(name: str, entry: Mapping[str, Any], folder: Path) -> str:
    """The entry has to be one that training would take, its columns among them. Returns its first file."""
    spec = read_entry(name, entry, folder, where=str(folder / FILE_NAME))
    if spec.origin == "local":
        check_columns(spec, sources_of(spec), stage=natural_stage(spec))
    return str(spec.files[0]) if spec.files else spec.repo


def place_file(source: Path, folder: Path) -> tuple[str, Path | None]:
    """(the file's name in the folder, the copy that was made). No copy of what lies in the folder already.

    The copy never replaces anything and never goes through a link: its name is made free first.
    """
    real = source.expanduser().resolve()
    if not real.is_file():
        raise DataError(f"{source} is not a file")
    if real.is_relative_to(folder):
        return str(real.relative_to(folder)), None
    suffix = "".join(Path(source.name).suffixes[-2:]) if source.suffix == ".gz" else source.suffix
    stem = re.sub(r"[^\w-]+", "_", source.name.removesuffix(suffix)).strip("_-")[:MAX_NAME] or "dataset"
    number = 1
    while True:
        target = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}_{number}{suffix}")
        try:
            fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666)
            break
        except FileExistsError:
            number += 1
        except OSError as error:
            raise DataError(f"{target} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(fd, "wb") as out, real.open("rb") as data:
            while chunk := data.read(1 << 20):
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        fsync_dir(folder)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise DataError(f"{source} cannot be copied into {folder}: {error.strerror}") from None
    return target.name, target


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One at a time, over all processes; the folder itself is locked, so that no file is left behind."""
    try:
        import fcntl
    except ImportError:  # Windows: a change by somebody else is still seen before the file is replaced.
        yield
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _write_entry(path: Path, name: str, entry: Mapping[str, Any], *, overwrite: bool) -> None:
    """Whoever edits the file without our lock keeps what was written: their change is read and kept."""
    for _ in range(_TRIES):
        before = _read(path)
        content = insert(before or b"{}\n", name, entry, path=path, overwrite=overwrite)
        if _read(path) == before:
            mode = None if before is None else stat.S_IMODE(path.stat().st_mode)
            try:
                write_whole(path.resolve(), content, mode=mode)
            except OSError as error:
                raise DataError(f"{path} cannot be written: {error.strerror}") from None
            return
    raise DataError(f"{path} is being changed by somebody else all the time; try again")


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def read_members(path: Path) -> dict[str, Member]:
    """The datasets of the file by name, with their places; {} where there is no file. Raises DataError."""
    content = _read(path)
    return {member.name: member for member in find_members(_decode(content, path)[2])} if content else {}


def insert(
    content: bytes, name: str, entry: Mapping[str, Any], *, path: Path, overwrite: bool = False
) -> bytes:
    """The file's bytes with the dataset behind the last one, written as its neighbours are; or, to overwrite,
    with the value of that name alone replaced. All other bytes are those of before.
    """
    mark, text, plain = _decode(content, path)
    members = find_members(plain)
    newline = "\r\n" if "\r\n" in text else "\n"
    same = [member for member in members if member.name == name]
    if same and not overwrite:
        raise _taken(path.parent, name)
    if same:
        member = same[-1]
        value = _write_value(entry, text, member, newline)
        return mark + (text[: member.value_start] + value + text[member.value_end :]).encode()
    close = plain.rindex("}")
    if not members:
        value = json.dumps({name: entry}, ensure_ascii=False, indent=2).replace("\n", newline)[1:-1]
        inside = text[plain.index("{") + 1 : close].rstrip(_SPACE)
        return mark + (text[: plain.index("{") + 1] + inside + value + text[close:]).encode()
    last = members[-1]
    before = text[: last.value_end]
    # Comments behind the last value stay where they are, with the comma ahead of them.
    tail = text[last.value_end : close]
    kept = tail.rstrip(_SPACE)
    line = _line_before(text, last.start)
    value = json.dumps(name, ensure_ascii=False) + ": " + _write_value(entry, text, last, newline)
    gap = " " if line is None else newline + line
    closing = tail[len(kept) :]
    if "//" in kept.rpartition("\n")[2] and line is None:
        gap = newline
    return mark + (before + "," + kept + gap + value + closing + text[close:]).encode()


def _write_value(entry: Mapping[str, Any], text: str, neighbour: Member, newline: str) -> str:
    """The entry as JSON, indented as the file is; on one line where its neighbour is."""
    line = _line_before(text, neighbour.start)
    if line is None or "\n" not in text[neighbour.value_start : neighbour.value_end]:
        return json.dumps(entry, ensure_ascii=False)
    value = json.dumps(entry, ensure_ascii=False, indent=line or 2)
    return value.replace("\n", newline + line)


def _line_before(text: str, start: int) -> str | None:
    """The white space that a line begins with; None where something else stands on it before `start`."""
    line = text[text.rfind("\n", 0, start) + 1 : start]
    return line if not line.strip(_SPACE) and "\n" in text[:start] else None


def _decode(content: bytes, path: Path) -> tuple[bytes, str, str]:
    """(byte-order mark, text, the text with comments blanked out, offsets kept). Raises DataError."""
    mark = MARK if content.startswith(MARK) else b""
    try:
        text = content[len(mark) :].decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start + 1}") from None
    if not text.strip(_SPACE):
        return mark, text + "{}\n", text + "{}\n"
    if not isinstance(parse_json(text, path), dict):
        raise DataError(f"{path}: expected an object of datasets")
    return mark, text, strip_comments(text)


def find_members(plain: str) -> list[Member]:
    """The members of the outermost object, in order. `plain` has no comments and is known to parse."""
    decoder = json.JSONDecoder()
    members = []
    at = _skip(plain, plain.index("{") + 1)
    while plain[at] != "}":
        start = at
        name, at = scanstring(plain, at + 1, True)
        at = _skip(plain, _skip(plain, at) + 1)
        value_start = at
        _, at = decoder.raw_decode(plain, at)
        members.append(Member(name, start, value_start, at))
        at = _skip(plain, at)
        if plain[at] == ",":
            at = _skip(plain, at + 1)
    return members


def _skip(plain: str, at: int) -> int:
    while plain[at] in _SPACE:
        at += 1
    return at
