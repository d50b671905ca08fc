"""dataset_info.json: what is accepted, what is refused and in which words."""

# ruff: noqa: E501 - messages stand as a person sees them
from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.registry import DatasetSpec, find_datasets, hub, list_datasets
from engine.data.registry.entry import read_entry
from engine.data.registry.jsonc import parse_json, strip_comments
from engine.data.registry.spec import Split
from engine.errors import DataError
from engine.schema.data import DataArgs
from tests.data.support import alpaca, write_dataset

SHAREGPT_TAGS = {
    "role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt",
    "observation_tag": "observation", "function_tag": "function_call", "system_tag": "system",
}  # fmt: skip
OPENAI_TAGS = {
    "role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
    "observation_tag": "tool", "function_tag": "function_call", "system_tag": "system",
}  # fmt: skip


def touch(tmp_path: Path, *names: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("[]")


def find(tmp_path: Path, compat: str = "lenient", **entry: Any) -> DatasetSpec:
    """The dataset d of a registry with this one entry."""
    (tmp_path / "dataset_info.json").write_text(json.dumps({"d": entry}))
    (spec,) = find_datasets(["d"], DataArgs(dataset_dir=str(tmp_path), dataset_compat=compat))
    return spec


def rows(tmp_path: Path, compat: str = "lenient", **facts: Any) -> DatasetSpec:
    """The same over a file that is there."""
    touch(tmp_path, "rows.json")
    return find(tmp_path, compat, **{"file_name": "rows.json", **facts})


def message(tmp_path: Path, **entry: Any) -> list[str]:
    """What a person is told of the entry, one problem after the other."""
    with pytest.raises(DataError) as caught:
        rows(tmp_path, **entry)
    prefix = f"dataset d in {tmp_path / 'dataset_info.json'}: "
    lines = str(caught.value).splitlines()
    assert all(line.startswith(prefix) for line in lines)
    return [line.removeprefix(prefix).replace(str(tmp_path), "DIR") for line in lines]


def names(tmp_path: Path, spec: DatasetSpec) -> list[str]:
    return [path.relative_to(tmp_path).as_posix() for path in spec.files]


@pytest.mark.parametrize(
    ("entry", "columns", "tags"),
    [
        ({}, {"prompt": "instruction", "query": "input", "response": "output"}, SHAREGPT_TAGS),
        ({"columns": {"prompt": "q", "system": "s", "query": None}}, {"prompt": "q", "response": "output", "system": "s"}, SHAREGPT_TAGS),
        ({"columns": {"history": "h", "tools": "t", "images": "i", "videos": "v", "audios": "a", "kto_tag": "k"}},
         {"prompt": "instruction", "query": "input", "response": "output", "history": "h", "tools": "t", "images": "i", "videos": "v", "audios": "a", "kto_tag": "k"}, SHAREGPT_TAGS),
        ({"ranking": True}, {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"}, SHAREGPT_TAGS),
        ({"ranking": True, "columns": {"chosen": "good"}}, {"prompt": "instruction", "query": "input", "chosen": "good", "rejected": "rejected"}, SHAREGPT_TAGS),
        ({"formatting": "sharegpt"}, {"messages": "conversations"}, SHAREGPT_TAGS),
        ({"formatting": "sharegpt", "tags": {"user_tag": "user", "_note": 1}, "columns": {"tools": "t"}},
         {"messages": "conversations", "tools": "t"}, {**SHAREGPT_TAGS, "user_tag": "user"}),
        ({"formatting": "openai"}, {"messages": "messages", "tools": "tools"}, OPENAI_TAGS),
        ({"formatting": "openai", "ranking": True, "columns": {"tools": ""}}, {"messages": "messages", "chosen": "chosen", "rejected": "rejected"}, OPENAI_TAGS),
        ({"formatting": "text"}, {"text": "text"}, SHAREGPT_TAGS),
        ({"formatting": "text", "columns": {"text": "body"}}, {"text": "body"}, SHAREGPT_TAGS),
    ],
)  # fmt: skip
def test_a_mapping_keeps_the_defaults_of_what_it_does_not_name(
    tmp_path: Path, entry: dict[str, Any], columns: dict[str, str], tags: dict[str, str]
) -> None:
    spec = rows(tmp_path, **entry)
    assert (spec.columns, spec.tags) == (columns, tags)
    assert spec.named == {role for role, column in entry.get("columns", {}).items() if column}
    assert spec.ranking == entry.get("ranking", False)


@pytest.mark.parametrize(
    ("entry", "columns", "tags"),
    [
        ({}, {"prompt": "instruction", "query": "input", "response": "output"}, SHAREGPT_TAGS),
        ({"columns": {"prompt": "q"}}, {"prompt": "q"}, SHAREGPT_TAGS),
        ({"formatting": "openai"}, {"messages": "conversations"}, SHAREGPT_TAGS),
        ({"formatting": "sharegpt", "columns": {"messages": "m"},
          "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "bot"}},
         {"messages": "m"},
         {**dict.fromkeys(SHAREGPT_TAGS, ""), "role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "bot"}),
    ],
)  # fmt: skip
def test_strict_unsets_what_a_mapping_does_not_name(
    tmp_path: Path, entry: dict[str, Any], columns: dict[str, str], tags: dict[str, str]
) -> None:
    spec = rows(tmp_path, "strict", **entry)
    assert (spec.columns, spec.tags) == (columns, tags)


def test_strict_tells_what_it_leaves_unset(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        rows(
            tmp_path,
            "strict",
            formatting="sharegpt",
            columns={"system": "s"},
            tags={"user_tag": "u"},
            ranking=True,
        )
    assert [line.split(".json: ")[1] for line in str(caught.value).splitlines()] == [
        "columns names no messages column",
        "ranking needs columns to name chosen and rejected",
        "tags names no role_tag, content_tag, assistant_tag",
    ]


REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"formatting": "alpace"}, ["formatting 'alpace'; choose one of alpaca, sharegpt, openai, text"]),
    ({"formatting": ["alpaca"]}, ["formatting ['alpaca']; choose one of alpaca, sharegpt, openai, text"]),
    ({"tags": 5}, ["tags must be an object, found a number"]),
    ({"tags": {"role_tag": ["a"]}}, ["the role_tag must be a text, found a list"]),
    ({"tags": {"usr_tag": "u"}}, ["unknown tag 'usr_tag'; did you mean user_tag?"]),
    ({"formatting": "sharegpt", "tags": {"user_tag": ""}}, ["tags names no user_tag"]),
    ({"columns": ["q"]}, ["columns must be an object, found a list"]),
    ({"columns": {"prompt": ["q"]}}, ["the prompt column must be a name, found a list"]),
    ({"columns": {"promt": "q"}}, ["unknown column role 'promt'; did you mean prompt?"]),
    ({"columns": {"zzz": "q"}}, ["unknown column role 'zzz'; alpaca has prompt, query, response, history, system, tools, images, videos, audios, chosen, rejected, kto_tag"]),
    ({"columns": {"messages": "m"}}, ["alpaca has no messages column; it has prompt, query, response, history, system, tools, images, videos, audios, chosen, rejected, kto_tag"]),
    ({"columns": {"prompt": "", "query": ""}}, ["columns names no prompt column"]),
    ({"formatting": "text", "columns": {"system": "s"}}, ["text has no system column; it has text"]),
    ({"formatting": "text", "ranking": True}, ["ranking needs formatting alpaca, sharegpt or openai, not text"]),
    ({"ranking": True, "columns": {"kto_tag": "k"}}, ["ranking and a kto_tag column exclude each other; keep one of them"]),
    ({"ranking": "yes"}, ["ranking must be true or false, found 'yes'"]),
    ({"file_name": None}, ["file_name must be the name of a file, or a list of names, found None"]),
    ({"file_name": ["a.json", 1]}, ["file_name must be the name of a file, or a list of names, found a list"]),
    ({"file_name": "gone.json"}, ["no such file DIR/gone.json"]),
    ({"file_name": "rowz.json"}, ["no such file DIR/rowz.json; did you mean rows.json?"]),
    ({"file_name": "no*.json"}, ["no .json, .jsonl, .csv, .tsv, .parquet, .arrow, .txt file matches DIR/no*.json"]),
    ({"num_samples": True}, ["num_samples must be a whole number of at least 1, found True"]),
    ({"num_samples": 0}, ["num_samples must be a whole number of at least 1, found 0"]),
    ({"split": "train[a:]"}, ["split 'train[a:]'; write a name such as \"train\", or a part such as \"train[:100]\", \"train[10%:20%]\""]),
    ({"split": 5}, ["split must be a text, found 5"]),
    ({"split": "train+test[:5]"}, ["split 'train+test[:5]': take a part of one split; register one dataset for each"]),
    ({"split": "test"}, ["no file of split \"test\"; no file's name says which split it is"]),
    ({"subset": "x"}, ["subset 'x' is for hub datasets and folders; file_name names a file"]),
    ({"folder": "x"}, ["folder 'x' is for hub datasets and folders; file_name names a file"]),
    ({"revision": "v1"}, ["revision is for datasets on a hub; file_name is a local file"]),
    ({"colums": {}}, ["unknown key 'colums'; did you mean columns?"]),
    ({"colums": {}, "num_samples": -1, "formatting": "x"}, [
        "unknown key 'colums'; did you mean columns?",
        "formatting 'x'; choose one of alpaca, sharegpt, openai, text",
        "num_samples must be a whole number of at least 1, found -1",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "expected"), REFUSED)
def test_refused_entries(tmp_path: Path, facts: dict[str, Any], expected: list[str]) -> None:
    assert message(tmp_path, **facts) == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"script_url": "belle"}, "script_url would run code that came with the data, which is never done here; convert it once with its own script, save the rows as .jsonl or .parquet, and set file_name"),
        ({"cloud_file_name": "s3://b/a.json"}, "cloud_file_name is not read from here; copy the file first (aws s3 cp, gcloud storage cp) and set file_name"),
        ({"om_hub_url": "a/b"}, "om_hub_url is not supported; use hf_hub_url or ms_hub_url, or download the files and set file_name"),
        ({"hf_hub_url": ""}, "hf_hub_url must be a text, found ''"),
        ({"hf_hub_url": "https://hub/u/n"}, "hf_hub_url 'https://hub/u/n' is not the id of a dataset on the hub, such as user/name"),
        ({"split": "train"}, "file_name is missing (or hf_hub_url, ms_hub_url)"),
    ],
)  # fmt: skip
def test_places_that_are_not_read(tmp_path: Path, entry: dict[str, Any], expected: str) -> None:
    with pytest.raises(DataError) as caught:
        find(tmp_path, **entry)
    assert str(caught.value).splitlines()[0] == f"dataset d in {tmp_path / 'dataset_info.json'}: {expected}"


def test_an_entry_that_is_no_object(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text('{"d": "rows.json"}')
    with pytest.raises(DataError, match=r"dataset d in .*: expected an object, found a text"):
        find_datasets(["d"], DataArgs(dataset_dir=str(tmp_path)))


# Local files


def test_a_folder_is_read_with_all_below_it(tmp_path: Path) -> None:
    """Hidden files, notes beside data and what `datasets` says of its own files are no data."""
    touch(
        tmp_path, "many/b.jsonl", "many/a.json", "many/deep/er/c.csv.gz", "many/notes.txt", "many/README.md",
        "many/.hidden.json", "many/_old/x.json", "many/dataset_info.json", "many/state.json",
    )  # fmt: skip
    assert names(tmp_path, find(tmp_path, file_name="many")) == [
        "many/a.json",
        "many/b.jsonl",
        "many/deep/er/c.csv.gz",
    ]
    touch(tmp_path, "texts/one.txt", "texts/two.txt")
    assert names(tmp_path, find(tmp_path, file_name="texts")) == ["texts/one.txt", "texts/two.txt"]
    touch(tmp_path, "none/README.md")
    with pytest.raises(DataError, match=r"the folder .*/none holds no \.json, \.jsonl"):
        find(tmp_path, file_name="none")


def test_patterns_and_lists(tmp_path: Path) -> None:
    touch(tmp_path, "p/1.json", "p/2.json", "p/q/3.json", "p/x.md", "a[1].json", "z.csv")
    assert names(tmp_path, find(tmp_path, file_name="p/*")) == ["p/1.json", "p/2.json"]
    assert names(tmp_path, find(tmp_path, file_name="p/**/*.json")) == ["p/1.json", "p/2.json", "p/q/3.json"]
    assert names(tmp_path, find(tmp_path, file_name="a[1].json")) == ["a[1].json"]
    assert names(tmp_path, find(tmp_path, file_name=["z.csv", "p/[2-9].json", "p"])) == [
        "z.csv", "p/2.json", "p/1.json", "p/q/3.json",
    ]  # fmt: skip
    absolute = str(tmp_path / "p" / "1.json")
    assert names(tmp_path, find(tmp_path, file_name=absolute)) == ["p/1.json"]


def test_paths_that_lead_nowhere_are_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link.json").symlink_to("gone.json")
    with pytest.raises(DataError, match=r"link.json: it is a link to gone.json, which is not there"):
        read_entry("d", {"file_name": "link.json"}, tmp_path)
    with pytest.raises(DataError, match="the folders of a path are separated by / here"):
        read_entry("d", {"file_name": "sub\\rows.json"}, tmp_path)
    write_dataset(tmp_path, "rows", alpaca(1))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_entry("d", {"file_name": "~/rows.json"}, "data").files == (tmp_path / "rows.json",)


def test_splits_and_subfolders_of_a_folder(tmp_path: Path) -> None:
    touch(
        tmp_path, "corpus_test/train-00000-of-00002.json", "corpus_test/train-00001-of-00002.json",
        "corpus_test/eval/a.json", "corpus_test/train_sft.json", "corpus_test/other.json",
    )  # fmt: skip

    def split(name: str | None, **facts: Any) -> list[str]:
        spec = find(tmp_path, file_name="corpus_test", **({"split": name} if name else {}), **facts)
        return [path.name for path in spec.files]

    assert len(split(None)) == 5
    assert split("train[:10]") == ["train-00000-of-00002.json", "train-00001-of-00002.json", "train_sft.json"]
    assert split("test") == ["a.json"]
    assert split("train_sft") == ["train_sft.json"]
    assert split("train_sft+test") == ["a.json", "train_sft.json"]
    assert split(None, folder="eval") == ["a.json"]
    assert split(None, subset="eval") == ["a.json"]
    with pytest.raises(DataError, match='no file of split "dev"; there are files of train, test'):
        split("dev")
    with pytest.raises(DataError, match=r"no such folder .*corpus_test/nope"):
        split(None, folder="nope")
    # A single file is its own train split, whatever it is called.
    touch(tmp_path, "test.json")
    assert names(tmp_path, find(tmp_path, file_name="test.json", split="train")) == ["test.json"]
    assert names(tmp_path, find(tmp_path, file_name="test.json", split="test")) == ["test.json"]


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("train", (0, 95)),
        ("train[:10]", (0, 10)),
        ("train[10%:20%]", (10, 19)),
        ("train[-10:]", (85, 95)),
        ("train[-1%:]", (94, 95)),
        ("train[:-200]", (0, 0)),
        ("train[90:10]", (90, 90)),
        ("train[:200]", (0, 95)),
    ],
)
def test_parts_of_a_split(tmp_path: Path, text: str, bounds: tuple[int, int]) -> None:
    spec = rows(tmp_path, split=text)
    assert spec.split.bounds(95) == bounds
    assert str(spec.split) == text


def test_mapping_is_what_the_rows_mean(tmp_path: Path) -> None:
    """It changes with what changes the examples, and not with where the files are."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    base = rows(tmp_path / "a").mapping()
    assert base == rows(tmp_path / "b").mapping()
    changes: list[dict[str, Any]] = [
        {"ranking": True}, {"columns": {"system": "s"}}, {"columns": {"query": "input"}}, {"num_samples": 3},
        {"split": "train[:5]"}, {"tags": {"user_tag": "u"}}, {"formatting": "text"},
    ]  # fmt: skip
    seen = [json.dumps(rows(tmp_path / "a", **change).mapping()) for change in changes]
    assert len({json.dumps(base), *seen}) == len(changes) + 1


# The registry itself


def test_comments_and_notes_are_tolerated(tmp_path: Path) -> None:
    touch(tmp_path, "rows.json")
    (tmp_path / "dataset_info.json").write_bytes(
        b"\xef\xbb\xbf"
        b'{ // our data\n "_comment": "mine",\n /* "old": {}, */\n "d": {"file_name": "rows.json", "_why": 1,'
        b' "columns": {"_x": 1, "system": "http://a/*b*/"}}}'
    )
    (spec,) = find_datasets(["d"], DataArgs(dataset_dir=str(tmp_path)))
    assert spec.columns["system"] == "http://a/*b*/"
    assert [info.name for info in list_datasets(tmp_path)] == ["d"]


def test_comments_leave_places_alone(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        parse_json('{ /* one\ntwo */ "a": // x\n  "b" 1}', "info")
    assert str(caught.value) == "info: line 3, column 7: Expecting ',' delimiter"
    with pytest.raises(DataError, match='info: line 2: "d" stands twice in one object; keep one of them'):
        parse_json('{"d": 1,\n"d": 2}', "info")
    with pytest.raises(DataError, match="info is empty"):
        parse_json(" \n", "info")


@given(st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner, max_size=3)))
def test_json_without_comments_is_left_as_it_is(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, indent=1, ensure_ascii=False)):
        assert strip_comments(text) == text
        assert parse_json(text, "info") == value


def test_a_comma_too_many_is_told() -> None:
    for text in ('{"a": {},\n}', '{"a": ["b" , // last\n]}'):
        with pytest.raises(
            DataError, match=r"line 2, column 1: .*; a comma stands before the [}\]]$|Illegal"
        ):
            parse_json(text, "f")


def test_unreadable_registry(tmp_path: Path) -> None:
    def told() -> str:
        with pytest.raises(DataError) as caught:
            find_datasets(["d"], DataArgs(dataset_dir=str(tmp_path)))
        return str(caught.value).replace(str(tmp_path), "DIR")

    path = tmp_path / "dataset_info.json"
    assert told() == "dataset_dir: DIR holds no dataset_info.json"
    path.write_text('{\n  "a": {"file_name" "x"}\n}')
    assert told() == "DIR/dataset_info.json: line 2, column 21: Expecting ':' delimiter"
    path.write_text("[]")
    assert told() == "DIR/dataset_info.json: expected an object of datasets, found a list"
    path.write_text("[" * 100_000)
    assert told() == "DIR/dataset_info.json: nested too deeply"
    path.write_bytes(b'{"caf\xe9": {}}')
    assert told() == "DIR/dataset_info.json: not UTF-8 at byte 6"
    with pytest.raises(DataError, match=r"dataset_dir: .*/none is not a folder"):
        list_datasets(tmp_path / "none")


def test_all_problems_at_once_with_the_nearest_names(tmp_path: Path) -> None:
    write_dataset(tmp_path, "identity", alpaca(1))
    write_dataset(tmp_path, "pairs", alpaca(1), rankin=True)
    with pytest.raises(DataError) as caught:
        find_datasets(["idenity", "identity", "pairs", "zzz"], DataArgs(dataset_dir=str(tmp_path)))
    where = tmp_path / "dataset_info.json"
    assert str(caught.value).splitlines() == [
        f"dataset idenity is not registered in {where}; did you mean identity?",
        f"dataset pairs in {where}: unknown key 'rankin'; did you mean ranking?",
        f"dataset zzz is not registered in {where}; registered are identity, pairs",
    ]


def test_list_shows_unusable_datasets_with_the_reason(tmp_path: Path) -> None:
    write_dataset(tmp_path, "good", alpaca(2))
    write_dataset(tmp_path, "pairs", alpaca(1), ranking=1)
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    info["far"] = {"hf_hub_url": "user/name", "formatting": "openai", "ranking": True}
    info["odd"] = 3
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    good, pairs, far, odd = list_datasets(tmp_path)
    assert (good.name, good.formatting, good.problem, good.origin) == ("good", "alpaca", "", "local")
    assert good.size_bytes == (tmp_path / "good.json").stat().st_size
    assert pairs.problem.endswith("ranking must be true or false, found 1")
    assert (far.origin, far.repo, far.files, far.ranking, far.problem) == ("hf", "user/name", (), True, "")
    assert odd.problem.endswith("expected an object, found a number")


def test_shipped_registry_is_usable(repo: Path) -> None:
    assert [info.problem for info in list_datasets(repo / "data") if info.problem] == []


# Hubs, and other places of the registry


def test_hub_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "modelscope", _module("modelscope"))
    spec = find(
        tmp_path,
        hf_hub_url="u/n",
        subset="s",
        folder="f",
        split="test[:5]",
        revision="v1",
        formatting="sharegpt",
    )
    assert (spec.origin, spec.repo, spec.subset, spec.folder, spec.revision) == ("hf", "u/n", "s", "f", "v1")
    assert (spec.split, spec.files) == (Split(("test",), None, "5"), ())
    both = {"hf_hub_url": "u/n", "ms_hub_url": "U/N"}
    assert find(tmp_path, **both).repo == "u/n"
    assert find(tmp_path, ms_hub_url="U/N").origin == "ms"
    monkeypatch.setenv("USE_MODELSCOPE_HUB", "1")
    assert (find(tmp_path, **both).origin, find(tmp_path, **both).repo) == ("ms", "U/N")
    assert find(tmp_path, hf_hub_url="u/n").origin == "hf"


def _module(name: str) -> types.ModuleType:
    """A stand-in for an installed package."""
    module = types.ModuleType(name)
    module.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]
    return module


def test_modelscope_has_to_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="ms_hub_url needs the modelscope package: pip install modelscope"):
        find(tmp_path, ms_hub_url="U/N")
    monkeypatch.setenv("USE_MODELSCOPE_HUB", "1")
    with pytest.raises(DataError, match="USE_MODELSCOPE_HUB=1: ms_hub_url needs the modelscope package"):
        find_datasets(["u/n"], DataArgs(dataset_dir="ONLINE"))


def test_a_local_copy_beside_a_hub_address(tmp_path: Path) -> None:
    """It is used once it is there; strict reading goes to the hub, as LLaMA-Factory does."""
    entry = {"hf_hub_url": "u/n", "file_name": "copy.json"}
    assert find(tmp_path, **entry).origin == "hf"
    touch(tmp_path, "copy.json")
    assert names(tmp_path, find(tmp_path, **entry)) == ["copy.json"]
    assert find(tmp_path, "strict", **entry).origin == "hf"


def test_online_names_are_hub_ids() -> None:
    specs = find_datasets(["u/one", "u/two"], DataArgs(dataset_dir="ONLINE"))
    assert [(spec.name, spec.origin, spec.repo) for spec in specs] == [
        ("u/one", "hf", "u/one"),
        ("u/two", "hf", "u/two"),
    ]
    assert specs[0].columns["prompt"] == "instruction"
    assert list_datasets("ONLINE") == []


def test_a_registry_on_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "info.json"
    info.write_text(json.dumps({"d": {"file_name": ["a.json", "b/*.json"]}, "e": {"hf_hub_url": "x/y"}}))
    asked = []

    def fetch_one(spec: DatasetSpec, name: str) -> Path:
        asked.append((spec.origin, spec.repo, spec.revision, name))
        return info

    monkeypatch.setattr(hub, "fetch_one", fetch_one)
    data = DataArgs(dataset_dir="REMOTE:user/name@v2")
    d, e = find_datasets(["d", "e"], data)
    assert asked == [("hf", "user/name", "v2", "dataset_info.json")]
    assert (d.origin, d.repo, d.revision, d.patterns) == ("hf", "user/name", "v2", ("a.json", "b/*.json"))
    assert (e.origin, e.repo, e.revision, e.patterns) == ("hf", "x/y", None, ())
    with pytest.raises(DataError, match=r"dataset f is not registered in user/name/dataset_info\.json"):
        find_datasets(["f"], data)
    assert [(info.name, info.repo) for info in list_datasets("REMOTE:user/name")] == [
        ("d", "user/name"),
        ("e", "x/y"),
    ]
    with pytest.raises(DataError, match="REMOTE: is to be followed by a hub dataset"):
        list_datasets("REMOTE:")


def test_a_registry_as_text(tmp_path: Path) -> None:
    touch(tmp_path, "rows.json")
    text = json.dumps({"d": {"file_name": str(tmp_path / "rows.json")}})
    (spec,) = find_datasets(["d"], DataArgs(dataset_dir=text))
    assert spec.files == (tmp_path / "rows.json",)
    with pytest.raises(DataError, match=r"dataset_dir: line 1, column 2: Expecting property name"):
        list_datasets("{d: 1}")
    with pytest.raises(DataError, match=r"dataset x is not registered in dataset_dir; registered are d"):
        find_datasets(["x"], DataArgs(dataset_dir=text))


def test_media_stand_in_the_dataset_folder_unless_told(tmp_path: Path) -> None:
    assert rows(tmp_path).media_dir == tmp_path
    (spec,) = find_datasets(["d"], DataArgs(dataset_dir=str(tmp_path), media_dir="/media"))
    assert spec.media_dir == Path("/media")


def test_the_registry_is_light() -> None:
    code = (
        "import sys, engine.data.registry, engine.data.sources, engine.data.sources.json_file\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pyarrow', 'numpy', 'huggingface_hub', 'gradio'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rows_need_no_torch() -> None:
    code = (
        "import sys, engine.data.registry, engine.data.formats.alpaca, engine.data.formats.sharegpt, "
        "engine.data.sources, engine.data.inspect.preview, engine.templates.chat\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
