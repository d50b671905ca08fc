"""Files of every format, with usual and unusual names, and what is guessed of them."""

from __future__ import annotations

import csv
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest

from engine.data.inspect.detect import detect
from engine.data.inspect.walk import walk
from engine.data.registry.entry import spec_of

QUESTIONS = ("Who wrote Faust?", "What is 2 + 2?", "Where is Oslo?", "Why is the sky blue?")
ANSWERS = (
    "Goethe wrote it, in two parts.",
    "It is 4, a round number.",
    "In Norway, at the end of a long fjord.",
    "Because air scatters blue light more than red light.",
)


def write(folder: Path, rows: list[dict[str, Any]], name: str = "rows.jsonl") -> str:
    path = folder / name
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            out = csv.DictWriter(file, list(rows[0]))
            out.writeheader()
            out.writerows(rows)
    else:
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return str(path)


def pairs(question: str, answer: str, **more: str) -> list[dict[str, Any]]:
    return [{question: asked, answer: said, **more} for asked, said in zip(QUESTIONS, ANSWERS, strict=True)]


def talk(role: str, content: str, *speakers: str, system: str = "") -> list[dict[str, str]]:
    said = [{role: speaker, content: f"words {n}"} for n, speaker in enumerate(speakers)]
    return [{role: system, content: "be kind"}, *said] if system else said


def reads_all(path: str, found: dict[str, Any]) -> bool:
    """The guess is one that training would take for every row."""
    walked = list(walk(spec_of(path, found["entry"])))
    return bool(walked) and all(one.problem is None for one in walked)


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (("instruction", "output"), {"prompt": "instruction", "response": "output"}),
        (("question", "answer"), {"prompt": "question", "response": "answer"}),
        (("Prompt", "Completion"), {"prompt": "Prompt", "response": "Completion"}),
        (("user_message", "model response"), {"prompt": "user_message", "response": "model response"}),
        (("input", "output"), {"prompt": "input", "response": "output", "query": ""}),
        (("问题", "回答"), {"prompt": "问题", "response": "回答"}),
        (("q", "a"), {"prompt": "q", "response": "a"}),
    ],
)
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_questions_and_answers_by_name(
    tmp_path: Path, names: tuple[str, str], columns: dict[str, str], name: str
) -> None:
    path = write(tmp_path, pairs(*names), name)
    found = detect(path)
    assert found["formatting"] == "alpaca" and found["problem"] is None and found["found"] == list(names)
    assert {role: found["columns"].get(role) for role in columns} == columns
    assert found["confidence"] > 0.6 and found["rows"] == 4 and reads_all(path, found)


def test_default_columns_need_no_mapping(tmp_path: Path) -> None:
    rows = [{"instruction": "Add.", "input": "1 and 2", "output": "3"}] * 3
    assert detect(write(tmp_path, rows))["entry"] == {"formatting": "alpaca"}


def test_a_csv_with_names_that_say_nothing_is_judged_by_content(tmp_path: Path) -> None:
    rows = [
        {"id": str(number), "col_a": asked, "kind": "fact", "col_b": said}
        for number, (asked, said) in enumerate(zip(QUESTIONS, ANSWERS, strict=True))
    ]
    found = detect(write(tmp_path, rows, "my export.csv"))
    assert (found["columns"]["prompt"], found["columns"]["response"]) == ("col_a", "col_b")
    assert found["confidence"] < 0.6 and found["name"] == "my_export"
    swapped = [one for one in found["alternatives"] if one["columns"].get("prompt") == "col_b"]
    assert swapped and swapped[0]["columns"]["response"] == "col_a"


def test_answers_that_stand_before_questions(tmp_path: Path) -> None:
    rows = [{"x": said, "y": asked} for asked, said in zip(QUESTIONS, ANSWERS, strict=True)]
    found = detect(write(tmp_path, rows, "rows.csv"))
    assert (found["columns"]["prompt"], found["columns"]["response"]) == ("y", "x")


@pytest.mark.parametrize(
    ("messages", "formatting", "tags"),
    [
        (talk("role", "content", "user", "assistant"), "openai", {}),
        (talk("role", "content", "user", "assistant", system="system"), "openai", {}),
        (talk("from", "value", "human", "gpt", system="system"), "sharegpt", {}),
        (talk("from", "value", "user", "bot"), "sharegpt", {"user_tag": "user", "assistant_tag": "bot"}),
        (
            talk("speaker", "text", "Kunde", "Berater", "Kunde", "Berater"),
            "sharegpt",
            {"role_tag": "speaker", "content_tag": "text", "user_tag": "Kunde", "assistant_tag": "Berater"},
        ),
    ],
)
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_conversations(
    tmp_path: Path, messages: list[Any], formatting: str, tags: dict[str, str], name: str
) -> None:
    cell = json.dumps(messages) if name.endswith(".csv") else messages
    path = write(tmp_path, [{"id": n, "dialog": cell} for n in range(4)], name)
    found = detect(path)
    assert found["formatting"] == formatting and found["columns"]["messages"] == "dialog"
    assert {tag: found["tags"][tag] for tag in tags} == tags and reads_all(path, found)


def test_tools_and_calls(tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "1"},
        {"role": "assistant", "content": "done"},
    ]
    path = write(tmp_path, [{"messages": messages, "tools": [{"name": "f"}]}] * 2)
    found = detect(path)
    assert found["formatting"] == "openai" and found["columns"]["tools"] == "tools"
    assert reads_all(path, found)


def test_pairs_in_columns_of_text(tmp_path: Path) -> None:
    path = write(tmp_path, [{"prompt": "a?", "chosen": "good", "rejected": "bad"}] * 3)
    found = detect(path)
    assert found["ranking"] is True and found["entry"]["ranking"] is True and reads_all(path, found)
    assert found["columns"] == {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"}


def test_pairs_beside_a_conversation(tmp_path: Path) -> None:
    row = {
        "conversations": talk("from", "value", "human"),
        "chosen": {"from": "gpt", "value": "good"},
        "rejected": {"from": "gpt", "value": "bad"},
    }
    path = write(tmp_path, [row] * 3)
    found = detect(path)
    assert found["formatting"] == "sharegpt" and found["ranking"] is True and reads_all(path, found)


def test_labels(tmp_path: Path) -> None:
    rows = [{**row, "label": number % 2 == 0} for number, row in enumerate(pairs("prompt", "completion"))]
    path = write(tmp_path, rows)
    found = detect(path)
    assert found["columns"]["kto_tag"] == "label" and reads_all(path, found)
    assert any("kto_tag" not in other["columns"] for other in found["alternatives"])


@pytest.mark.parametrize("words", [("true", "false"), ("1", "0"), (1, 0)])
def test_labels_that_are_no_booleans(tmp_path: Path, words: tuple[Any, Any]) -> None:
    rows = [{**row, "desirable": words[n % 2]} for n, row in enumerate(pairs("prompt", "completion"))]
    path = write(tmp_path, rows, "rows.csv" if isinstance(words[0], str) else "rows.jsonl")
    found = detect(path)
    assert found["columns"]["kto_tag"] == "desirable" and reads_all(path, found)


def test_pairs_of_whole_conversations_are_explained(tmp_path: Path) -> None:
    talked = talk("role", "content", "user", "assistant")
    found = detect(write(tmp_path, [{"chosen": talked, "rejected": talked}] * 2))
    assert '"chosen" holds whole conversations' in found["problem"]


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".jsonl.gz"])
def test_other_kinds_of_file(tmp_path: Path, suffix: str) -> None:
    rows = [{"id": n, "messages": talk("role", "content", "user", "assistant")} for n in range(3)]
    path = tmp_path / f"my.rows{suffix}"
    table = pyarrow.Table.from_pylist(rows)
    if suffix == ".parquet":
        pyarrow.parquet.write_table(table, path)
    elif suffix == ".arrow":
        with pyarrow.ipc.new_file(str(path), table.schema) as out:
            out.write_table(table)
    else:
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    found = detect(str(path))
    assert found["formatting"] == "openai" and found["rows"] == 3 and reads_all(str(path), found)
    assert found["name"] == "my"


def test_prompts_alone(tmp_path: Path) -> None:
    path = write(tmp_path, [{"prompt": text, "id": n} for n, text in enumerate(QUESTIONS)])
    found = detect(path)
    assert found["formatting"] == "alpaca" and not found["columns"]["response"] and reads_all(path, found)
    assert any(other["formatting"] == "text" for other in found["alternatives"])


@pytest.mark.parametrize("name", ["rows.txt", "rows.jsonl", "rows.csv"])
def test_raw_text(tmp_path: Path, name: str) -> None:
    rows = [{"text": "A long document. " * 9}] * 3
    path = write(tmp_path, rows, name)
    if name.endswith(".txt"):
        Path(path).write_text("one line\nanother line\n")
    found = detect(path)
    assert found["formatting"] == "text" and found["columns"] == {"text": "text"} and reads_all(path, found)


def test_further_columns_by_name(tmp_path: Path) -> None:
    rows = [{**row, "system": "Be kind.", "history": [["a", "b"]]} for row in pairs("question", "answer")]
    columns = detect(write(tmp_path, rows))["columns"]
    assert columns["system"] == "system" and columns["history"] == "history"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"[", "line 1, column"),
        (b"[1, 2]", "row 1: is not an object"),
        (b'[{"a": 1}]', 'no column looks like .* it has "a"'),
        (b"\xff\xfe[\x00", "UTF-16"),
    ],
)
def test_files_that_are_none(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    found = detect(str(path))
    assert found["formatting"] is None and not found["entry"]
    assert re.search(said, found["problem"]), found["problem"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(b"%PDF")
    assert "files of this kind are not read" in detect(str(tmp_path / "x.pdf"))["problem"]
    assert "no such file" in detect(str(tmp_path / "y.json"))["problem"]


def test_the_sample_is_short_and_plain(tmp_path: Path) -> None:
    found = detect(write(tmp_path, [{"prompt": "x" * 5000, "response": "y"}] * 5))
    assert len(found["sample"]) == 3 and len(found["sample"][0]["prompt"]) == 501
    json.dumps(found)


def test_a_name_is_suggested_that_is_new(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text('{"rows": {"file_name": "x"}} // mine')
    path = write(tmp_path, pairs("question", "answer"))
    assert detect(path, dataset_dir=str(tmp_path))["name"] == "rows_2" and detect(path)["name"] == "rows"


@pytest.mark.parametrize(
    ("name", "formatting"),
    [
        ("identity", "alpaca"),
        ("chat_demo", "sharegpt"),
        ("tools_demo", "sharegpt"),
        ("messages_demo", "openai"),
        ("pairs_demo", "alpaca"),
        ("labels_demo", "alpaca"),
        ("text_demo", "text"),
    ],
)
def test_the_demo_sets_are_found_as_they_are_registered(repo: Path, name: str, formatting: str) -> None:
    registered = json.loads((repo / "data" / "dataset_info.json").read_text())[name]
    found = detect(str(repo / "data" / registered["file_name"]))
    assert found["formatting"] == formatting and found["ranking"] == registered.get("ranking", False)
    for role, column in registered.get("columns", {}).items():
        assert found["columns"].get(role, column) == column
