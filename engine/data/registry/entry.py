"""One entry of dataset_info.json -> DatasetSpec: every key checked, all that is wrong told at once.

The keys are LLaMA-Factory's, and so are the defaults; `revision`, lists of files and the defaults of openai
and text are ours. Under "strict", columns or tags that an entry gives unset those it does not name, as there.
Try: read_entry("d", {"file_name": "identity.json"}, "data")
"""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.data.registry.files import GLOB, find_files, of_split
from engine.data.registry.jsonc import kind_name
from engine.data.registry.spec import DatasetSpec, Origin, Split
from engine.errors import DataError

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "alpaca": {"prompt": "instruction", "query": "input", "response": "output"},
    "sharegpt": {"messages": "conversations"},
    "openai": {"messages": "messages", "tools": "tools"},
    "text": {"text": "text"},
}
# LLaMA-Factory reads every format's messages from there unless told otherwise.
STRICT_MESSAGES = "conversations"
COMMON_COLUMNS = ("system", "tools", "images", "videos", "audios", "chosen", "rejected", "kto_tag")
OPTIONAL_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "alpaca": ("history", *COMMON_COLUMNS),
    "sharegpt": COMMON_COLUMNS,
    "openai": COMMON_COLUMNS,
    "text": (),
}
ALL_COLUMNS = ("prompt", "query", "response", "history", "messages", "text", *COMMON_COLUMNS)
PAIR = ("chosen", "rejected")
TAGS: Mapping[str, str] = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
OPENAI_TAGS: Mapping[str, str] = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "function_call",
    "system_tag": "system",
}
NEEDED_TAGS = ("role_tag", "content_tag", "user_tag", "assistant_tag")
PLACES = ("file_name", "hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
KNOWN_KEYS = (
    *PLACES, "formatting", "columns", "tags", "num_samples", "split", "ranking", "subset", "folder",
    "revision",
)  # fmt: skip
# Places we do not load from, and the way out.
REFUSED: Mapping[str, str] = {
    "script_url": "would run code that came with the data, which is never done here; convert it once with its"
    " own script, save the rows as .jsonl or .parquet, and set file_name",
    "cloud_file_name": "is not read from here; copy the file first (aws s3 cp, gcloud storage cp) and set"
    " file_name",
    "om_hub_url": "is not supported; use hf_hub_url or ms_hub_url, or download the files and set file_name",
}
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
SPLIT = re.compile(r"([\w.+-]+?)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?")


@dataclass
class _Check:
    """One entry while it is read; `problems` gathers what is wrong with it."""

    entry: Mapping[str, Any]
    strict: bool
    problems: list[str] = field(default_factory=list)

    def text(self, key: str) -> str | None:
        """The text of a key, None where it is absent or null."""
        value = self.entry.get(key)
        if value is None or (isinstance(value, str) and value):
            return value
        self.problems.append(f"{key} must be a text, found {_shown(value)}")
        return None


def read_entry(
    name: str,
    entry: object,
    directory: str | Path = ".",
    *,
    where: str = "",
    compat: str = "lenient",
    media_dir: str | None = None,
    remote: DatasetSpec | None = None,
) -> DatasetSpec:
    """Raises DataError with one line per problem, each naming the dataset and the key.

    directory: what `file_name` is relative to. where: what the messages call the registry. remote: a hub
    repository that the registry came from, in which `file_name` names files.
    """
    prefix = f"dataset {name} in {where}" if where else f"dataset {name}"
    if not isinstance(entry, dict):
        raise DataError(f"{prefix}: expected an object, found {kind_name(entry)}")
    entry = {key: value for key, value in entry.items() if not key.startswith("_")}
    check = _Check(entry, compat == "strict")
    _check_keys(check)
    formatting = _read_formatting(check)
    ranking = _read_flag(check, "ranking")
    columns, named = _read_columns(check, formatting, ranking)
    tags = _read_tags(check, formatting)
    split, given = _read_split(check)
    facts: dict[str, Any] = {
        "formatting": formatting,
        "columns": columns,
        "named": named,
        "tags": tags,
        "ranking": ranking,
        "split": split,
        "num_samples": _read_count(check),
        "subset": check.text("subset"),
        "folder": check.text("folder"),
        "media_dir": Path(media_dir or directory),
    }
    place = _read_place(check, Path(directory), remote)
    if not check.problems and place["origin"] == "local":
        try:
            place["files"] = _local_files(facts, place.pop("names"), Path(directory), given)
        except DataError as error:
            check.problems.append(str(error))
    if check.problems:
        raise DataError("\n".join(f"{prefix}: {problem}" for problem in check.problems))
    return DatasetSpec(name=name, **facts, **place)


def _shown(value: object) -> str:
    return kind_name(value) if isinstance(value, dict | list) else repr(value)


def _check_keys(check: _Check) -> None:
    for key in check.entry:
        if key not in KNOWN_KEYS:
            check.problems.append(f"unknown key {key!r}; {_nearest(key, KNOWN_KEYS)}")


def _nearest(word: object, known: tuple[str, ...], what: str = "known keys") -> str:
    near = difflib.get_close_matches(str(word), known, 1)
    return f"did you mean {near[0]}?" if near else f"{what} are {', '.join(known)}"


def _read_formatting(check: _Check) -> str:
    formatting = check.entry.get("formatting") or "alpaca"
    if isinstance(formatting, str) and formatting in COLUMNS:
        return formatting
    check.problems.append(f"formatting {formatting!r}; choose one of {', '.join(COLUMNS)}")
    return "alpaca"


def _read_flag(check: _Check, key: str) -> bool:
    value = check.entry.get(key)
    if value is None or isinstance(value, bool):
        return bool(value)
    check.problems.append(f"{key} must be true or false, found {_shown(value)}")
    return False


def _read_count(check: _Check) -> int | None:
    value = check.entry.get("num_samples")
    if value is None or (type(value) is int and value >= 1):
        return value
    check.problems.append(f"num_samples must be a whole number of at least 1, found {_shown(value)}")
    return None


def _read_columns(check: _Check, formatting: str, ranking: bool) -> tuple[dict[str, str], frozenset[str]]:
    """Named columns over the defaults. A mapping to null or "" leaves an optional column out."""
    given = _read_object(check, "columns")
    columns = dict(COLUMNS[formatting])
    if check.strict:
        columns = {} if given else _strict_columns(formatting)
    if ranking and not check.strict:
        columns.pop("response", None)
        columns.update((role, role) for role in PAIR)
    allowed = tuple(dict.fromkeys((*COLUMNS[formatting], *OPTIONAL_COLUMNS[formatting])))
    for role, column in given.items():
        if role not in ALL_COLUMNS:
            hint = _nearest(role, allowed, f"{formatting} has")
            check.problems.append(f"unknown column role {role!r}; {hint.replace('has are', 'has')}")
        elif column and not isinstance(column, str):
            check.problems.append(f"the {role} column must be a name, found {kind_name(column)}")
        elif column and role not in allowed:
            check.problems.append(f"{formatting} has no {role} column; it has {', '.join(allowed)}")
        elif column:
            columns[role] = column
        else:
            columns.pop(role, None)
    _check_meaning(check, formatting, ranking, columns)
    return columns, frozenset(role for role, column in given.items() if column)


def _strict_columns(formatting: str) -> dict[str, str]:
    """What LLaMA-Factory reads when an entry gives no columns."""
    return {"messages": STRICT_MESSAGES} if formatting == "openai" else dict(COLUMNS[formatting])


def _check_meaning(check: _Check, formatting: str, ranking: bool, columns: Mapping[str, str]) -> None:
    main = next(iter(COLUMNS[formatting]))
    if main not in columns and not (formatting == "alpaca" and "query" in columns):
        check.problems.append(f"columns names no {main} column")
    if ranking and "kto_tag" in columns:
        check.problems.append("ranking and a kto_tag column exclude each other; keep one of them")
    if ranking and formatting == "text":
        check.problems.append("ranking needs formatting alpaca, sharegpt or openai, not text")
    elif ranking and (missing := [role for role in PAIR if role not in columns]):
        check.problems.append(f"ranking needs columns to name {' and '.join(missing)}")


def _read_tags(check: _Check, formatting: str) -> dict[str, str]:
    defaults = OPENAI_TAGS if formatting == "openai" and not check.strict else TAGS
    given = _read_object(check, "tags")
    tags = dict.fromkeys(TAGS, "") if check.strict and given else dict(defaults)
    for tag, word in given.items():
        if tag not in TAGS:
            check.problems.append(f"unknown tag {tag!r}; {_nearest(tag, tuple(TAGS), 'known tags')}")
        elif word is not None and not isinstance(word, str):
            check.problems.append(f"the {tag} must be a text, found {kind_name(word)}")
        else:
            tags[tag] = word or ""
    if formatting in ("sharegpt", "openai") and (missing := [tag for tag in NEEDED_TAGS if not tags[tag]]):
        check.problems.append(f"tags names no {', '.join(missing)}")
    return tags


def _read_object(check: _Check, key: str) -> dict[str, Any]:
    value = check.entry.get(key)
    if value is None or isinstance(value, dict):
        return {role: name for role, name in (value or {}).items() if not role.startswith("_")}
    check.problems.append(f"{key} must be an object, found {kind_name(value)}")
    return {}


def _read_split(check: _Check) -> tuple[Split, bool]:
    """(split, whether the entry gives one)."""
    text = check.text("split")
    if text is None:
        return Split(), False
    match = SPLIT.fullmatch(text)
    if match is None:
        check.problems.append(
            f'split {text!r}; write a name such as "train", or a part such as "train[:100]", "train[10%:20%]"'
        )
        return Split(), False
    names = tuple(name for name in match.group(1).split("+") if name)
    split = Split(names, match.group(2), match.group(3))
    if len(names) > 1 and not split.is_whole:
        check.problems.append(f"split {text!r}: take a part of one split; register one dataset for each")
    return split, True


def _read_place(check: _Check, directory: Path, remote: DatasetSpec | None) -> dict[str, Any]:
    """Where the rows are: {"origin", "names"} of local files, or {"origin", "repo", ...} of a hub."""
    revision = check.text("revision")
    urls: dict[Origin, str | None] = {"hf": check.text("hf_hub_url"), "ms": check.text("ms_hub_url")}
    for key, url in (("hf_hub_url", urls["hf"]), ("ms_hub_url", urls["ms"])):
        if url and not HUB_ID.fullmatch(url):
            check.problems.append(f"{key} {url!r} is not the id of a dataset on the hub, such as user/name")
    names = _read_names(check)
    on_hub = urls["hf"] or urls["ms"]
    if names and not (on_hub and (check.strict or not _there(names, directory))):
        if remote is None:
            if revision and not on_hub:
                check.problems.append("revision is for datasets on a hub; file_name is a local file")
            return {"origin": "local", "names": names}
        return {
            "origin": remote.origin,
            "repo": remote.repo,
            "revision": revision or remote.revision,
            "files": (),
            "patterns": tuple(names),
        }
    if on_hub:
        origin: Origin = "ms" if urls["ms"] and (prefers_modelscope() or not urls["hf"]) else "hf"
        if origin == "ms" and (missing := modelscope_missing()):
            check.problems.append(missing)
        return {"origin": origin, "repo": urls[origin], "revision": revision, "files": ()}
    refused = [key for key in REFUSED if check.entry.get(key)]
    if refused:
        check.problems.append(f"{refused[0]} {REFUSED[refused[0]]}")
    elif "file_name" not in check.entry:
        check.problems.append("file_name is missing (or hf_hub_url, ms_hub_url)")
    return {"origin": "local", "names": []}


def _read_names(check: _Check) -> list[str]:
    given = check.entry.get("file_name")
    if isinstance(given, str) and given:
        return [given]
    if isinstance(given, list) and given and all(isinstance(name, str) and name for name in given):
        return given
    if "file_name" in check.entry:
        check.problems.append(
            f"file_name must be the name of a file, or a list of names, found {_shown(given)}"
        )
    return []


def _there(names: list[str], directory: Path) -> bool:
    """Whether the local copy that stands beside a hub address has been made."""
    return all(GLOB.search(name) or (directory / name).exists() for name in names)


def prefers_modelscope() -> bool:
    # A list of local datasets has no use for what this imports, and it costs as much as all the rest.
    from engine import env

    return env.use_modelscope_hub()


def modelscope_missing() -> str:
    """What to do when the ModelScope package is not installed; empty when it is."""
    if importlib.util.find_spec("modelscope") is not None:
        return ""
    return "ms_hub_url needs the modelscope package: pip install modelscope"


def _local_files(
    facts: Mapping[str, Any], names: list[str], directory: Path, given: bool
) -> tuple[Path, ...]:
    below = [part for part in (facts["subset"], facts["folder"]) if part]
    root = directory / names[0] if len(names) == 1 and (directory / names[0]).is_dir() else directory
    if below:
        if root == directory:
            key = "subset" if facts["subset"] else "folder"
            raise DataError(f"{key} {below[0]!r} is for hub datasets and folders; file_name names a file")
        root = root.joinpath(*below)
        if not root.is_dir():
            raise DataError(f"no such folder {root}")
        names = [str(root.absolute())]
    files = find_files(names, directory if not below else Path("/"))
    split: Split = facts["split"]
    single = len(files) == 1 and root == directory
    if not given or (single and split.names == ("train",)):
        return files
    return tuple(of_split(files, root, split.names))


def spec_of(path: str | Path, entry: object) -> DatasetSpec:
    """The spec that `entry` would give for the file at `path`; the file's name stands for the dataset's."""
    whole = Path(path).expanduser().resolve()
    if isinstance(entry, dict):
        entry = {**entry, "file_name": whole.name}
    return read_entry(whole.name, entry, whole.parent)
