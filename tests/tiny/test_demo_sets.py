"""The demo sets: registered, well-formed, varied, and in step with the scripts that make some of them."""

import json

import demo_sets
import format_sets
import pytest
from transformers import AutoTokenizer

ALPACA = ("identity", "alpaca_en_demo", "alpaca_zh_demo", "demo_identity", "tiny_skills", "tiny_heldout")

FORMATS = ("tools_demo", "messages_demo", "pairs_demo", "labels_demo", "text_demo")


def rows_of(repo, name):
    return json.loads((repo / "data" / f"{name}.json").read_text(encoding="utf-8"))


def test_every_registered_set_is_there_and_every_file_is_registered(repo):
    info = json.loads((repo / "data" / "dataset_info.json").read_text(encoding="utf-8"))
    files = {entry["file_name"] for entry in info.values()}
    there = {path.name for path in (repo / "data").iterdir() if path.suffix in (".json", ".jsonl", ".txt")}
    assert there - {"dataset_info.json"} == files
    assert set(info) == {*ALPACA, "chat_demo", *FORMATS}


@pytest.mark.parametrize("name", ALPACA)
def test_alpaca_rows_are_whole_and_no_row_is_there_twice(repo, name):
    rows = rows_of(repo, name)
    for row in rows:
        assert set(row) - {"kind"} == {"instruction", "input", "output"}
        assert row["instruction"].strip() and row["output"].strip()
    assert len({(row["instruction"], row["input"]) for row in rows}) == len(rows)


@pytest.mark.parametrize("name", ["alpaca_en_demo", "alpaca_zh_demo"])
def test_lengths_vary_from_a_few_to_hundreds_of_tokens(repo, tiny_model, name):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    rows = rows_of(repo, name)
    lengths = [len(tokenizer.encode(row["instruction"] + row["input"] + row["output"])) for row in rows]
    assert len(rows) >= 300
    assert min(lengths) < 25 and max(lengths) > 300
    assert sum(bool(row["input"]) for row in rows) > 60


def test_identity_has_placeholders_in_both_languages(repo):
    rows = rows_of(repo, "identity")
    chinese = [row for row in rows if any("\u4e00" <= mark <= "\u9fff" for mark in row["instruction"])]
    assert 90 <= len(rows) <= 120 and 40 <= len(chinese) <= 60
    text = json.dumps(rows)
    assert text.count("{{name}}") > 50 and text.count("{{author}}") > 50


def test_chat_rows_alternate_and_some_have_a_system_prompt(repo):
    rows = rows_of(repo, "chat_demo")
    for row in rows:
        senders = [turn["from"] for turn in row["conversations"]]
        assert senders == ["human", "gpt"] * (len(senders) // 2) and senders
        assert all(turn["value"].strip() for turn in row["conversations"])
    assert len(rows) >= 100
    assert sum(bool(row["system"]) for row in rows) > 30
    assert sum(len(row["conversations"]) > 2 for row in rows) > 80


@pytest.mark.parametrize("name", ["demo_identity", "tiny_skills", "tiny_heldout"])
def test_made_sets_are_what_the_script_makes(repo, name):
    assert rows_of(repo, name) == getattr(demo_sets, name)()


def test_the_demo_set_is_filled_in_and_learns_nothing_held_out(repo):
    rows = rows_of(repo, "demo_identity")
    text = json.dumps(rows)
    assert "{{" not in text and demo_sets.NAME in text
    asked = {row["instruction"] for row in rows_of(repo, "tiny_heldout") if row["kind"] != "identity"}
    assert not asked & {row["instruction"] for row in rows}


@pytest.mark.parametrize("name", ["tools_demo", "pairs_demo", "labels_demo"])
def test_sets_of_other_formats_are_what_the_script_makes(repo, name):
    assert rows_of(repo, name) == getattr(format_sets, name)()


def test_sets_of_lines_are_what_the_script_makes(repo):
    lines = (repo / "data" / "messages_demo.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == format_sets.messages_demo()
    text = (repo / "data" / "text_demo.txt").read_text(encoding="utf-8")
    assert text.splitlines() == format_sets.text_demo()


def test_every_call_gives_what_the_answer_says():
    for row in format_sets.tools_demo():
        turns = {turn["from"]: turn["value"] for turn in row["conversations"]}
        if "function_call" not in turns:
            continue
        call, result = json.loads(turns["function_call"]), json.loads(turns["observation"])
        assert call["name"] in row["tools"]
        assert str(result.get("result", result.get("degrees"))) in turns["gpt"]


def test_pairs_and_labels_hold_two_different_answers():
    assert all(row["chosen"] != row["rejected"] for row in format_sets.pairs_demo())
    assert {row["label"] for row in format_sets.labels_demo()} == {True, False}
