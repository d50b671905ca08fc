"""A dataset_info.json that says something wrong. Beside it lies good.json, with one good row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

GOOD = {"file_name": "good.json"}
ENTRY = "dataset d in DIR/dataset_info.json: "


@dataclass(frozen=True)
class BrokenRegistry:
    """info: the entries, or the name of a file in `files` to be taken as dataset_info.json; None: there is
    none.
    """

    id: str
    info: str | Mapping[str, Any] | None
    message: str
    dataset: str = "d"
    arguments: Mapping[str, str] = field(default_factory=dict)


def entry(id: str, message: str, **keys: Any) -> BrokenRegistry:
    return BrokenRegistry(id, {"d": {**GOOD, **keys}}, ENTRY + message)


REGISTRIES = [
    BrokenRegistry(
        "torn", "torn.dataset_info.json", "DIR/dataset_info.json: line 2, column 21: Expecting ':' delimiter"
    ),
    BrokenRegistry(
        "name_twice",
        "twice.dataset_info.json",
        'DIR/dataset_info.json: line 3: "d" stands twice in one object; keep one of them',
    ),
    BrokenRegistry(
        "a_list",
        "list.dataset_info.json",
        "DIR/dataset_info.json: expected an object of datasets, found a list",
    ),
    BrokenRegistry("missing", None, "dataset_dir: DIR holds no dataset_info.json"),
    BrokenRegistry(
        "no_folder",
        {"d": GOOD},
        "dataset_dir: DIR/none is not a folder",
        arguments={"dataset_dir": "DIR/none"},
    ),
    BrokenRegistry(
        "misspelt_name",
        {"identity": GOOD, "other": GOOD},
        "dataset idenity is not registered in DIR/dataset_info.json; did you mean identity?",
        dataset="idenity",
    ),
    BrokenRegistry(
        "unknown_name",
        {"identity": GOOD, "other": GOOD},
        "dataset zzz is not registered in DIR/dataset_info.json; registered are identity, other",
        dataset="zzz",
    ),
    BrokenRegistry("entry_is_text", {"d": "good.json"}, ENTRY + "expected an object, found a text"),
    BrokenRegistry("no_file_name", {"d": {}}, ENTRY + "file_name is missing (or hf_hub_url, ms_hub_url)"),
    entry("unknown_key", "unknown key 'colums'; did you mean columns?", colums={}),
    entry("unknown_column", "unknown column role 'promt'; did you mean prompt?", columns={"promt": "q"}),
    entry(
        "unknown_tag",
        "unknown tag 'usr_tag'; did you mean user_tag?",
        formatting="sharegpt",
        tags={"usr_tag": "user"},
    ),
    entry(
        "unknown_format",
        "formatting 'sharegtp'; choose one of alpaca, sharegpt, openai, text",
        formatting="sharegtp",
    ),
    entry("absent_split", 'no file of split "test"; no file\'s name says which split it is', split="test"),
    entry(
        "pairs_with_labels",
        "ranking and a kto_tag column exclude each other; keep one of them",
        ranking=True,
        columns={"kto_tag": "ok"},
    ),
    BrokenRegistry(
        "everything_at_once",
        {"d": {**GOOD, "colums": {}, "formatting": 3, "num_samples": 0}},
        f"{ENTRY}unknown key 'colums'; did you mean columns?\n"
        f"{ENTRY}formatting 3; choose one of alpaca, sharegpt, openai, text\n"
        f"{ENTRY}num_samples must be a whole number of at least 1, found 0",
    ),
]
