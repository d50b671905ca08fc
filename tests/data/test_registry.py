"""dataset_info.json: what is accepted, what is refused and in which words."""

# ruff: noqa: E501 - messages stand as a person sees them
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.data.registry import find_datasets, list_datasets
from engine.errors import DataError
from tests.data.support import alpaca, write_dataset


def entry(tmp_path: Path, **facts: Any) -> Path:
    """A folder whose registry has one dataset d over rows.json."""
    (tmp_path / "rows.json").write_text("[]")
    (tmp_path / "dataset_info.json").write_text(json.dumps({"d": {"file_name": "rows.json", **facts}}))
    return tmp_path


def test_defaults_and_named_columns(tmp_path: Path) -> None:
    (spec,) = find_datasets(["d"], entry(tmp_path, columns={"prompt": "q", "system": "s", "query": None}))
    assert spec.columns == {"prompt": "q", "response": "output", "system": "s"}
    assert spec.named == {"prompt", "system"}
    assert (spec.formatting, spec.files) == ("alpaca", (tmp_path / "rows.json",))
    (spec,) = find_datasets(["d"], entry(tmp_path, formatting="sharegpt", tags={"user_tag": "user"}))
    assert spec.columns == {"messages": "conversations"}
    assert spec.tags["user_tag"] == "user"
    assert spec.tags["assistant_tag"] == "gpt"


def test_byte_order_mark_is_fine(tmp_path: Path) -> None:
    entry(tmp_path)
    info = tmp_path / "dataset_info.json"
    info.write_bytes(b"\xef\xbb\xbf" + info.read_bytes())
    assert len(find_datasets(["d"], tmp_path)) == 1


def test_folder_of_files(tmp_path: Path) -> None:
    entry(tmp_path, file_name="many")
    (tmp_path / "many").mkdir()
    for name in ("b.jsonl", "a.json", "notes.txt"):
        (tmp_path / "many" / name).write_text("")
    (spec,) = find_datasets(["d"], tmp_path)
    assert [path.name for path in spec.files] == ["a.json", "b.jsonl"]


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"formatting": "openai"}, "formatting 'openai' (not supported yet); choose one of alpaca, sharegpt"),
        ({"formatting": "alpace"}, "formatting 'alpace'; choose one of alpaca, sharegpt"),
        ({"formatting": ["alpaca"]}, "formatting ['alpaca']; choose one of alpaca, sharegpt"),
        ({"tags": 5}, "tags must be an object of texts"),
        ({"tags": {"role_tag": ["a"]}}, "tags must be an object of texts"),
        ({"columns": {"prompt": ["q"]}}, "the prompt column must be a name, found a list"),
        ({"file_name": None}, "file_name must be the name of a file, found None"),
        ({"num_samples": True}, "num_samples must be a whole number of at least 1, found True"),
        ({"ranking": True}, "ranking data is not supported yet"),
        ({"columns": {"images": "pics"}}, "the images column is not supported yet"),
        ({"columns": {"tools": "tools"}}, "the tools column is not supported yet"),
        ({"columns": {"promt": "q"}}, "unknown column role 'promt'; alpaca has prompt, query, response, system, history"),
        ({"columns": ["q"]}, "columns must be an object, found a list"),
        ({"tags": {"usr": "u"}}, "unknown tags usr; known are role_tag, content_tag, user_tag, assistant_tag, "
         "observation_tag, function_tag, system_tag"),
        ({"colums": {}}, "unknown key 'colums'; did you mean columns?"),
        ({"num_samples": 0}, "num_samples must be a whole number of at least 1, found 0"),
        ({"split": "test"}, "split 'test'; local files have \"train\", or a part such as \"train[:100]\""),
        ({"file_name": "gone.json"}, "no such file {dir}/gone.json"),
        ({"file_name": "dataset_info.txt"}, "no such file {dir}/dataset_info.txt"),
        ({"subset": "x"}, "subset is not supported yet"),
    ],
)  # fmt: skip
def test_refused_entries(tmp_path: Path, facts: dict[str, Any], message: str) -> None:
    entry(tmp_path, **facts)
    with pytest.raises(DataError) as caught:
        find_datasets(["d"], tmp_path)
    expected = message.replace("{dir}", str(tmp_path))
    assert str(caught.value) == f"dataset d in {tmp_path / 'dataset_info.json'}: {expected}"


def test_registry_nested_without_end(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="nested too deeply"):
        find_datasets(["d"], tmp_path)


def test_hub_dataset_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text(json.dumps({"d": {"hf_hub_url": "a/b"}}))
    with pytest.raises(
        DataError, match="hf_hub_url is not supported yet; download the file and set file_name"
    ):
        find_datasets(["d"], tmp_path)


def test_all_problems_at_once_with_the_nearest_names(tmp_path: Path) -> None:
    write_dataset(tmp_path, "identity", alpaca(1))
    write_dataset(tmp_path, "pairs", alpaca(1), ranking=True)
    with pytest.raises(DataError) as caught:
        find_datasets(["idenity", "identity", "pairs", "zzz"], tmp_path)
    where = tmp_path / "dataset_info.json"
    assert str(caught.value).splitlines() == [
        f"dataset idenity is not registered in {where}; did you mean identity?",
        f"dataset pairs in {where}: ranking data is not supported yet",
        f"dataset zzz is not registered in {where}; registered are identity, pairs",
    ]


def test_unreadable_registry(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset_dir: .*/none is not a folder"):
        find_datasets(["d"], tmp_path / "none")
    with pytest.raises(DataError, match=r"dataset_dir: .* holds no dataset_info\.json"):
        find_datasets(["d"], tmp_path)
    path = tmp_path / "dataset_info.json"
    path.write_text('{\n  "a": {"file_name" "x"}\n}')
    with pytest.raises(DataError) as caught:
        find_datasets(["d"], tmp_path)
    assert str(caught.value) == f"{path}: line 2, column 21: Expecting ':' delimiter"
    path.write_text("[]")
    with pytest.raises(DataError, match="expected an object of datasets, found a list"):
        list_datasets(tmp_path)


def test_list_shows_unusable_datasets_with_the_reason(tmp_path: Path) -> None:
    write_dataset(tmp_path, "good", alpaca(2))
    write_dataset(tmp_path, "pairs", alpaca(1), ranking=True)
    good, pairs = list_datasets(tmp_path)
    assert (good.name, good.formatting, good.problem) == ("good", "alpaca", "")
    assert good.size_bytes == (tmp_path / "good.json").stat().st_size
    assert pairs.problem.endswith("ranking data is not supported yet")


def test_shipped_registry_is_usable(repo: Path) -> None:
    assert [info.problem for info in list_datasets(repo / "data") if info.problem] == []


def test_rows_need_no_torch() -> None:
    code = (
        "import sys, engine.data.registry, engine.data.formats.alpaca, engine.data.formats.sharegpt, "
        "engine.data.sources, engine.data.preview, engine.templates.chat\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
