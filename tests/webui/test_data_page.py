"""The Data page without a browser: its questions to the worker, its uploads, its texts, its way to the Train
form.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi.testclient import TestClient

from engine.errors import UserError
from engine.jobs import client
from webui import app as studio_module
from webui import memory, text, uploads
from webui.data_api import OPS
from webui.pages import data
from webui.widgets import data_picker

API = "/studio/api/data"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What the worker was asked; it answers everything with {"told": true}."""
    questions: list[tuple[str, dict[str, Any]]] = []

    def ask(op: str, arguments: dict[str, Any], *, timeout_s: float = 60) -> dict[str, Any]:
        questions.append((op, arguments))
        return {"told": True}

    monkeypatch.setattr(client, "ask", ask)
    return questions


def send(studio: TestClient, name: str, content: bytes) -> dict[str, Any]:
    return studio.post(f"{API}/uploads", params={"name": name}, content=content).json()


def staged(folder: Path) -> list[Path]:
    return [path for path in (folder / "saves" / ".studio" / "uploads").rglob("*") if path.is_file()]


# ---- questions


def test_a_question_reaches_the_worker_as_it_was_put(studio: TestClient, asked: list) -> None:
    arguments = {"dataset_dir": "data", "dataset": "identity", "packing": True, "enable_thinking": None}
    assert studio.post(f"{API}/preview", json=arguments).json() == {"told": True}
    assert asked == [("preview", arguments)]


def test_only_known_questions_are_passed_on(studio: TestClient, asked: list) -> None:
    assert studio.post(f"{API}/render", json={}).status_code == 404
    assert studio.post(f"{API}/__class__", json={}).status_code == 404
    assert asked == []
    assert "render" not in OPS


@pytest.mark.parametrize("key", ["path", "source_path"])
def test_the_browser_names_no_file(studio: TestClient, asked: list, key: str) -> None:
    for op in ("detect", "preview", "register"):
        answer = studio.post(f"{API}/{op}", json={key: "/etc/passwd"}).json()
        assert "id of their upload" in answer["error"]
    assert asked == []


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff"])
def test_a_body_that_is_no_object_is_answered_in_a_sentence(
    studio: TestClient, asked: list, body: bytes
) -> None:
    reply = studio.post(f"{API}/list", content=body)
    assert (reply.status_code, asked) == (200, [])
    assert reply.json()["error"] == "The body must be a JSON object."


def test_a_question_has_a_size(studio: TestClient, asked: list) -> None:
    answer = studio.post(f"{API}/list", content=b'{"x": "' + b"x" * 2**20 + b'"}').json()
    assert "1 MiB" in answer["error"]
    assert asked == []


def test_another_site_asks_and_uploads_nothing(studio: TestClient, workdir: Path, asked: list) -> None:
    for attack in ({"sec-fetch-site": "cross-site"}, {"host": "evil.example"}):
        for path in ("list", "register", "uploads?name=a.csv"):
            assert studio.post(f"{API}/{path}", content=b"{}", headers=attack).status_code == 403
        assert studio.delete(f"{API}/uploads/{'0' * 16}", headers=attack).status_code == 403
    assert asked == []
    assert staged(workdir) == []


def test_the_settings_begin_as_the_train_form_was_left(studio: TestClient, workdir: Path) -> None:
    memory.remember("train", "", {"cutoff_len": "77", "template": "", "dataset_dir": "d", "seed": "1"})
    told = studio.get(f"{API}/choices").json()
    assert told["models"] == []
    assert (told["settings"]["cutoff_len"], told["settings"]["dataset_dir"]) == ("77", "d")
    assert "template" not in told["settings"]
    assert "seed" not in told["settings"]


# ---- uploads


def test_an_upload_is_staged_whole_and_asked_about_by_its_id(
    studio: TestClient, workdir: Path, asked: list
) -> None:
    told = send(studio, "my data.csv", b"q,a\n1,2\n")
    assert (told["name"], told["size"]) == ("my_data.csv", 8)
    (file,) = staged(workdir)
    assert file.read_bytes() == b"q,a\n1,2\n"
    assert file.parent.name == told["upload"]

    studio.post(f"{API}/detect", json={"upload": told["upload"], "dataset_dir": "data"})
    assert asked == [("detect", {"dataset_dir": "data", "path": str(file)})]
    assert studio.post(f"{API}/raw", json={"upload": told["upload"]}).json()["error"].startswith("raw is not")

    studio.delete(f"{API}/uploads/{told['upload']}")
    assert staged(workdir) == []
    gone = studio.post(f"{API}/detect", json={"upload": told["upload"]}).json()
    assert "Upload it again" in gone["error"]


def test_what_was_registered_is_not_kept_twice(
    studio: TestClient, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [{"error": "the name is taken"}, {"name": "x", "entry": {}, "file": "a.csv"}]
    sources = []

    def ask(op: str, arguments: dict[str, Any], **_: Any) -> dict[str, Any]:
        sources.append(Path(arguments["source_path"]).is_file())
        return answers.pop(0)

    monkeypatch.setattr(client, "ask", ask)
    question = {"upload": send(studio, "a.csv", b"q\n1\n")["upload"], "name": "x", "entry": {}}
    assert "error" in studio.post(f"{API}/register", json=question).json()
    assert len(staged(workdir)) == 1  # the person chooses another name
    assert studio.post(f"{API}/register", json=question).json()["name"] == "x"
    assert sources == [True, True]
    assert staged(workdir) == []


def test_where_an_upload_lies_is_not_told(
    studio: TestClient, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(op: str, arguments: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {"error": f"{arguments['path']}: torn", "problems": [{"file": arguments["path"], "row": 1}]}

    monkeypatch.setattr(client, "ask", ask)
    told = studio.post(f"{API}/map", json={"upload": send(studio, "a.csv", b"x")["upload"]}).json()
    assert told == {"error": "a.csv: torn", "problems": [{"file": "a.csv", "row": 1}]}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.csv", "a.csv"),
        ("../../etc/x.json", "x.json"),
        (r"C:\Users\me\My Data (1).JSONL", "My_Data_1.jsonl"),
        (".hidden.csv", "hidden.csv"),
        ("-rf.txt", "rf.txt"),
        ("数据集.parquet", "数据集.parquet"),
        ("a.jsonl.gz", "a.jsonl.gz"),
        ("?.csv", "upload.csv"),
        ("a\x00b\n.csv", "a_b.csv"),
        ("x" * 300 + ".csv", "x" * 80 + ".csv"),
    ],
)
def test_names_are_cleaned(given: str, kept: str) -> None:
    assert uploads.clean_name(given, "en") == kept


@pytest.mark.parametrize("name", ["", "run.py", "model.safetensors", "csv", "a.csv.exe", "a.csv/", "a.gz"])
def test_other_kinds_of_files_are_refused(studio: TestClient, workdir: Path, name: str) -> None:
    told = send(studio, name, b"x")
    assert told["field"] == "file"
    assert ".parquet" in told["error"]
    assert staged(workdir) == []


def test_an_empty_or_too_large_file_is_refused_and_leaves_nothing(
    studio: TestClient, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "empty" in send(studio, "a.csv", b"")["error"]
    monkeypatch.setattr(uploads, "MAX_BYTES", 10)
    assert "larger" in send(studio, "a.csv", b"x" * 11)["error"]
    assert "name" in send(studio, "a.csv", b"x" * 10)
    assert len(staged(workdir)) == 1


def test_a_length_that_was_not_announced_is_counted(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"x" * 5

    monkeypatch.setattr(uploads, "MAX_BYTES", 12)
    with pytest.raises(UserError, match="larger"):
        anyio.run(uploads.receive, "a.csv", None, pieces(), "en")
    assert staged(workdir) == []


def test_an_upload_that_is_cut_off_leaves_nothing(workdir: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"half a fi"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        anyio.run(uploads.receive, "a.csv", 100, pieces(), "en")
    assert list(uploads.uploads_dir().iterdir()) == []


def test_a_full_disk_is_said_beforehand(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "KEPT_FREE_BYTES", 2**62)

    async def nothing() -> AsyncIterator[bytes]:
        yield b"x"

    with pytest.raises(UserError, match=r"0\.0 GiB"):
        anyio.run(uploads.receive, "a.csv", 1, nothing(), "en")


def test_what_was_never_registered_is_swept_the_next_day(studio: TestClient, workdir: Path) -> None:
    old = send(studio, "a.csv", b"x")
    folder = uploads.uploads_dir() / old["upload"]
    long_ago = time.time() - uploads.KEPT_S - 1
    os.utime(folder, (long_ago, long_ago))
    new = send(studio, "b.csv", b"x")
    assert [path.name for path in uploads.uploads_dir().iterdir()] == [new["upload"]]


def test_an_upload_discarded_while_others_are_swept_is_no_error(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = uploads.uploads_dir()
    root.mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", lambda folder: iter([folder / ("a" * 16)]))  # seen, then gone
        uploads.sweep(root)
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("upload", ["", "..", "../x", "0" * 15, "Z" * 16, "0" * 16])
def test_an_id_leads_to_an_upload_or_nowhere(workdir: Path, upload: str) -> None:
    (workdir / "saves" / ".studio" / "x").mkdir(parents=True)
    (workdir / "saves" / ".studio" / "x" / "a.csv").write_text("x")
    assert uploads.find(upload) is None
    uploads.discard(upload)
    assert (workdir / "saves" / ".studio" / "x" / "a.csv").exists()


def test_a_link_among_the_uploads_leads_nowhere(workdir: Path) -> None:
    (workdir / "secret.csv").write_text("x")
    folder = uploads.uploads_dir() / ("a" * 16)
    folder.mkdir(parents=True)
    (folder / "a.csv").symlink_to(workdir / "secret.csv")
    with pytest.raises(UserError, match="outside"):
        uploads.find("a" * 16)


# ---- the way to the Train form


def test_the_dataset_comes_to_the_train_form() -> None:
    tabs, names, folder = data.train_on(json.dumps({"dataset": "faq", "dataset_dir": "mine"}))
    assert tabs.selected == "train"
    assert (names["value"], folder["value"]) == (["faq"], "mine")
    for nothing in ("", "null", "[]", "{}"):
        assert len({str(update) for update in data.train_on(nothing)}) == 1


def test_the_picker_of_the_train_form_knows_names_beside_comments(workdir: Path) -> None:
    (workdir / "d").mkdir()
    (workdir / "d" / "dataset_info.json").write_text(
        '\ufeff{ // mine\n "b": {"file_name": "http://x/*no*/"}, /* two\n lines */ "a": {}, "_note": "x"}'
    )
    assert data_picker.find_datasets("d") == ["a", "b"]


# ---- the scripts


def scripts() -> list[tuple[str, str]]:
    return [(file.name, file.read_text(encoding="utf-8")) for file in studio_module.STATIC.glob("data*.js")]


def test_every_text_of_the_scripts_has_both_languages() -> None:
    english, chinese = text.table("en"), text.table("zh")
    used: set[str] = set()
    for name, source in scripts():
        used |= set(re.findall(r'"(data\.[a-z_0-9]+)"', source))
        for stem in re.findall(r"t?\(?`(data\.[a-z_]*)\$\{", source):
            found = {key for key in english if key.startswith(stem)}
            assert found, (name, stem)
            used |= found
    assert used - set(english) == set()
    assert used - set(chinese) == set()
    assert {key for key in english if key.startswith("data.")} - used == set()


def test_nothing_of_the_data_is_taken_for_html() -> None:
    for name, source in scripts():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", source), name


def test_the_scripts_stay_small() -> None:
    assert scripts()
    assert [name for name, source in scripts() if source.count("\n") > 300] == []
