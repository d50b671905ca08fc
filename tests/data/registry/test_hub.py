"""Hub datasets through the real libraries, against a hub on this machine: what is fetched, from where without
network, and the words about what cannot be.
"""

# ruff: noqa: E501 - messages stand as a person sees them
from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.data.registry import load_registry, read_entry
from engine.data.registry.hub import fetch, fetch_one
from engine.data.registry.spec import DatasetSpec
from engine.errors import DataError
from tests.data.hub_server import COMMIT, serve

# The libraries read their address and their cache when they are imported.
ASK = """
import json, sys
from engine.data.registry.hub import fetch
from engine.data.registry import find_datasets, read_entry
from engine.data.sources import open_source
from engine.errors import DataError
from engine.schema.data import DataArgs
results = []
for entry in json.load(sys.stdin):
    try:
        if "dataset_dir" in entry:
            (spec,) = find_datasets([entry["name"]], DataArgs(dataset_dir=entry["dataset_dir"]))
        else:
            spec = read_entry("d", entry)
        files = fetch(spec)
        rows = [row for file in files for _, row in open_source(file).rows()]
        results.append({"files": [str(file) for file in files], "rows": rows})
    except DataError as error:
        results.append({"error": str(error)})
print(json.dumps(results))
"""
Ask = Callable[..., list[dict[str, Any]]]
UNREACHED = "Check the network, or set HF_ENDPOINT to a mirror; or fetch it where there is network (hf download {}) and bring the folder that HF_HOME names"


@pytest.fixture(scope="module")
def hub_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Repositories of the kinds that people upload."""
    root = tmp_path_factory.mktemp("repos")
    files: dict[str, object] = {
        "user/splits/data/train-00000-of-00002.jsonl": [{"at": "train0"}],
        "user/splits/data/train-00001-of-00002.jsonl": [{"at": "train1"}],
        "user/splits/data/test-00000-of-00001.jsonl": [{"at": "test"}],
        "user/configs/one/rows.jsonl": [{"at": "one"}],
        "user/configs/two/rows.jsonl": [{"at": "two", "args": {"x": 1}}, {"at": "two", "args": {"y": 2}}],
        "user/plain/a.json": [{"at": "a"}],
        "user/plain/extra/b.json": [{"at": "b"}],
        "user/registry/rows.json": [{"at": "registered"}],
    }
    for name, rows in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        assert isinstance(rows, list)
        (root / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "user/configs/README.md").write_text(
        "---\nconfigs:\n- config_name: one\n  data_files: one/*.jsonl\n- config_name: two\n"
        "  data_files:\n  - split: train\n    path: two/*.jsonl\n---\n"
    )
    (root / "user/registry/dataset_info.json").write_text('{"mine": {"file_name": "rows.json"}} // theirs')
    (root / "user/packed").mkdir()
    with zipfile.ZipFile(root / "user/packed/rows.zip", "w") as archive:
        archive.writestr("rows.jsonl", '{"at": "packed"}\n')
    (root / "user/script").mkdir()
    (root / "user/script/script.py").write_text("raise SystemExit('ran')")
    (root / "user/empty").mkdir()
    (root / "user/empty/README.md").write_text("nothing here")
    return root


@pytest.fixture(scope="module")
def ask(hub_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Entries -> their files and rows, or the error, in a process whose hub and cache are these."""
    home = tmp_path_factory.mktemp("home")
    with serve(hub_root) as hub:

        def run(*entries: dict[str, Any], offline: bool = False, home: Path = home) -> list[dict[str, Any]]:
            env = {
                **{name: value for name, value in os.environ.items() if not name.endswith("_OFFLINE")},
                "HF_ENDPOINT": hub.address,
                "HF_HOME": str(home),
                "HF_HUB_OFFLINE": str(int(offline)),
            }
            done = subprocess.run(
                [sys.executable, "-c", ASK],
                input=json.dumps(entries),
                env=env,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
            results: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
            return results

        yield run


ENTRIES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "whole": ({"hf_hub_url": "user/splits"}, ["train0", "train1"]),
    "split": ({"hf_hub_url": "user/splits", "split": "test"}, ["test"]),
    "both": ({"hf_hub_url": "user/splits", "split": "test+train"}, ["test", "train0", "train1"]),
    "revision": ({"hf_hub_url": "user/splits", "split": "test", "revision": "v1"}, ["test"]),
    "commit": ({"hf_hub_url": "user/splits", "split": "test", "revision": COMMIT}, ["test"]),
    "subset": ({"hf_hub_url": "user/configs", "subset": "two"}, ["two", "two"]),
    "folder": ({"hf_hub_url": "user/plain", "folder": "extra"}, ["b"]),
    "all": ({"hf_hub_url": "user/plain"}, ["a", "b"]),
    "converted": ({"hf_hub_url": "user/packed"}, ["packed"]),
    "online": ({"dataset_dir": "ONLINE", "name": "user/plain"}, ["a", "b"]),
    "remote": ({"dataset_dir": "REMOTE:user/registry", "name": "mine"}, ["registered"]),
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "split": ({"hf_hub_url": "user/splits", "split": "dev"}, 'dataset d: user/splits has no split "dev"; it has train, test. Set split'),
    "subset": ({"hf_hub_url": "user/configs", "subset": "six"}, "dataset d: user/configs has the wrong subset: BuilderConfig 'six' not found. Available: ['one', 'two']"),
    "folder": ({"hf_hub_url": "user/plain", "folder": "nope"}, "dataset d: user/plain holds no data files in folder 'nope'"),
    "revision": ({"hf_hub_url": "user/plain", "revision": "v9"}, "dataset d: user/plain has no revision 'v9' on the Hugging Face hub"),
    "name": ({"hf_hub_url": "user/unknown"}, "dataset d: the Hugging Face hub has no dataset user/unknown, or it is private: check the spelling, or set HF_TOKEN to a token that may read it"),
    "gated": ({"hf_hub_url": "user/gated"}, "dataset d: user/gated is gated on the Hugging Face hub: accept its conditions on its page, then set HF_TOKEN to a token that may read it"),
    "script": ({"hf_hub_url": "user/script"}, "dataset d: user/script is a script, which is never run here; convert it once and register the rows"),
    "empty": ({"hf_hub_url": "user/empty"}, "dataset d: user/empty holds no data files"),
    "no_registry": ({"dataset_dir": "REMOTE:user/plain", "name": "d"}, "dataset dataset_info.json: user/plain holds no file dataset_info.json"),
}  # fmt: skip


def test_fetched_and_found_again_without_network(ask: Ask) -> None:
    """Rows come as they were uploaded: nothing is filled in that a row does not say."""
    first = ask(*(entry for entry, _ in ENTRIES.values()))
    for name, result in zip(ENTRIES, first, strict=True):
        assert [row["at"] for row in result.get("rows", [])] == ENTRIES[name][1], (name, result)
    assert first[list(ENTRIES).index("subset")]["rows"][0] == {"at": "two", "args": {"x": 1}}
    again = ask(*(entry for entry, _ in ENTRIES.values()), offline=True)
    for name, result, before in zip(ENTRIES, again, first, strict=True):
        assert result.get("rows") == before["rows"], (name, result)


def test_what_a_hub_refuses(ask: Ask) -> None:
    results = ask(*(entry for entry, _ in REFUSED.values()))
    assert dict(zip(REFUSED, [result.get("error") for result in results], strict=True)) == {
        name: message for name, (_, message) in REFUSED.items()
    }


def test_without_network_and_without_a_copy(ask: Ask, tmp_path: Path) -> None:
    """A part of a repository in the cache is never taken for the whole."""
    asked = {"hf_hub_url": "user/splits", "split": "test"}
    ask(asked, {"hf_hub_url": "user/plain"}, home=tmp_path)
    (lost,) = tmp_path.glob("hub/*/snapshots/*/extra/b.json")
    lost.unlink()
    there, train, torn, never = ask(
        asked,
        {"hf_hub_url": "user/splits"},
        {"hf_hub_url": "user/plain"},
        {"hf_hub_url": "user/configs", "subset": "one", "revision": "v1"},
        offline=True,
        home=tmp_path,
    )
    assert there["rows"] == [{"at": "test"}]
    assert train["error"].endswith(UNREACHED.format("user/splits --repo-type dataset"))
    assert torn["error"].endswith(UNREACHED.format("user/plain --repo-type dataset"))
    assert never["error"].startswith("dataset d: user/configs cannot be fetched from the Hugging Face hub (")
    assert never["error"].endswith(UNREACHED.format("user/configs --repo-type dataset --revision v1"))


def test_a_hub_out_of_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` makes a missing file of it, with the cause in the text alone."""

    def load(*_: object, **__: object) -> None:
        raise FileNotFoundError(
            "Couldn't find 'user/name' on the Hugging Face Hub either: LocalEntryNotFoundError: 503"
        )

    monkeypatch.setattr("engine.data.registry.hub._check_name", lambda: None)
    monkeypatch.setattr("datasets.load_dataset_builder", load)
    with pytest.raises(DataError) as caught:
        fetch(read_entry("d", {"hf_hub_url": "user/name"}))
    assert str(caught.value).endswith(UNREACHED.format("user/name --repo-type dataset"))


def test_a_machine_without_network_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("engine.data.registry.hub.getproxies", dict)
    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    monkeypatch.setattr(
        "engine.data.registry.hub._fetch_online", lambda spec: pytest.fail("the hub was asked")
    )
    with pytest.raises(
        DataError, match=r"cannot be fetched from the Hugging Face hub \(no address for "
    ) as caught:
        fetch(read_entry("d", {"hf_hub_url": "user/never_seen"}))
    assert UNREACHED.format("user/never_seen --repo-type dataset") in str(caught.value)
    with pytest.raises(DataError, match="no address for "):
        load_registry("REMOTE:user/never_seen")


def test_local_datasets_have_their_files(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("[]")
    assert fetch(read_entry("d", {"file_name": "rows.json"}, tmp_path)) == (tmp_path / "rows.json",)


@pytest.fixture
def modelscope(hub_root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """A stand-in for the package, which copies nothing: its snapshots are the repositories."""
    asked: list[dict[str, Any]] = []

    def dataset_snapshot_download(**arguments: Any) -> str:
        asked.append(arguments)
        folder = hub_root / arguments["dataset_id"]
        if not folder.is_dir():
            raise RuntimeError("404 not found")
        return str(folder)

    module = types.ModuleType("modelscope.hub.snapshot_download")
    module.dataset_snapshot_download = dataset_snapshot_download  # type: ignore[attr-defined]
    for name in ("modelscope", "modelscope.hub"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "modelscope.hub.snapshot_download", module)
    monkeypatch.setattr("engine.data.registry.entry.modelscope_missing", lambda: "")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path))
    return asked


def ms(repo: str, **entry: Any) -> DatasetSpec:
    return read_entry("d", {"ms_hub_url": repo, **entry})


def test_modelscope(modelscope: list[dict[str, Any]], hub_root: Path) -> None:
    (file,) = fetch(ms("user/splits", split="test", revision="v1"))
    assert file == hub_root / "user/splits/data/test-00000-of-00001.jsonl"
    assert modelscope == [{"dataset_id": "user/splits", "revision": "v1"}]
    (file,) = fetch(ms("user/configs", subset="one"))
    assert file == hub_root / "user/configs/one/rows.jsonl"
    assert fetch_one(ms("user/registry"), "dataset_info.json") == hub_root / "user/registry/dataset_info.json"
    assert modelscope[-1] == {"dataset_id": "user/registry", "allow_file_pattern": ["dataset_info.json"]}


def test_modelscope_refuses(modelscope: list[dict[str, Any]]) -> None:
    with pytest.raises(DataError, match="dataset d: 404 not found"):
        fetch(ms("user/unknown"))
    with pytest.raises(DataError, match='user/splits has no split "dev"; it has train, test'):
        fetch(ms("user/splits", split="dev"))


def test_a_fault_of_our_own_is_not_blamed_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("engine.data.registry.hub._check_name", lambda: None)
    monkeypatch.setattr("datasets.load_dataset_builder", broken)
    with pytest.raises(ZeroDivisionError):
        fetch(read_entry("d", {"hf_hub_url": "user/name"}))
