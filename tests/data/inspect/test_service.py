"""Every operation: plain JSON in, plain JSON out, and what is wrong told with its field."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.inspect.service import OPS, answer
from engine.data.inspect.stats import histogram
from tests.data.support import alpaca, write_dataset
from tests.templates.tool_cases import TOOL

EXAMPLES = json.loads((Path(__file__).parents[2] / "templates" / "template_examples.json").read_text())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    where = tmp_path / "data"
    write_dataset(where, "rows", alpaca(30))
    return where


def ask(op: str, **arguments: Any) -> dict[str, Any]:
    """Through JSON both ways, as the studio does it."""
    told = json.loads(json.dumps(answer(op, json.loads(json.dumps(arguments)))))
    assert isinstance(told, dict)
    return told


def test_list(folder: Path) -> None:
    write_dataset(folder, "lost", [], file_name="nowhere.json")
    write_dataset(folder, "Pairs", [{"instruction": "a", "chosen": "b", "rejected": "c"}], ranking=True)
    told = ask("list", dataset_dir=str(folder))["datasets"]
    assert [(one["name"], one["rows"], bool(one["problem"])) for one in told] == [
        ("rows", 30, False),
        ("lost", None, True),
        ("Pairs", 1, False),
    ]
    assert told[2]["ranking"] is True and told[0]["origin"] == "local"
    assert [one["name"] for one in ask("list", dataset_dir=str(folder), search="pair json")["datasets"]] == [
        "Pairs"
    ]


def test_raw_windows_search_and_one_row(folder: Path) -> None:
    first = ask("raw", dataset_dir=str(folder), dataset="rows", start=3, count=2)
    assert first["columns"] == ["instruction", "input", "output"] and first["total"] == 30
    assert [(row["number"], row["row"]["instruction"]) for row in first["rows"]] == [
        (4, "Say 3" + " please" * 3),
        (5, "Say 4" + " please" * 4),
    ]
    found = ask("raw", dataset_dir=str(folder), dataset="rows", search="IT IS 17.")
    assert [row["number"] for row in found["rows"]] == [18]
    file = found["rows"][0]["file"]
    assert ask("raw", dataset_dir=str(folder), dataset="rows", file=file, number=9)["rows"][0]["number"] == 9


def test_a_torn_line_is_shown_as_it_stands(folder: Path) -> None:
    text = json.dumps(alpaca(1)[0]) + '\n{"instruction": "torn\n'
    path = write_dataset(folder, "torn", text, suffix=".jsonl")
    row = ask("raw", dataset_dir=str(folder), dataset="torn")["rows"][1]
    assert row["row"] is None and row["text"] == '{"instruction": "torn' and row["problem"]
    assert ask("check", path=str(path), entry={})["problems"][0]["row"] == 2


def test_check_counts_every_bad_row_and_shows_the_first(folder: Path) -> None:
    bad = [{"instruction": "x", "output": ""}] * 25 + [{"instruction": "", "output": "y"}] * 4
    write_dataset(folder, "mixed", [*alpaca(3), *bad, *alpaca(2)])
    told = ask("check", dataset_dir=str(folder), dataset="mixed", show=12)
    assert told["ok"] is False and len(told["problems"]) == 12
    assert told["counts"]["read"] == 34 and told["counts"]["bad"] == 29 and told["counts"]["used"] == 5
    assert sorted(told["counts"]["reasons"].values()) == [4, 25]
    assert told["problems"][0]["row"] == 4 and told["problems"][0]["column"] == "output"
    assert ask("check", dataset_dir=str(folder), dataset="rows")["ok"] is True


def test_check_finds_what_only_the_tokenizer_shows(folder: Path, model_folder: Path) -> None:
    write_dataset(folder, "long", [*alpaca(1), {"instruction": "Say it. " * 300, "output": "five"}])
    told = ask(
        "check", dataset_dir=str(folder), dataset="long", model_name_or_path=str(model_folder), cutoff_len=8
    )
    assert told["counts"]["truncated"] + told["counts"]["bad"] == 2


def test_check_takes_evaluation_sets_too(folder: Path) -> None:
    write_dataset(folder, "held", [{"instruction": "x", "output": ""}])
    told = ask("check", dataset_dir=str(folder), dataset="rows", eval_dataset="held")
    assert told["counts"]["read"] == 31 and told["counts"]["bad"] == 1


def test_stats_agree_with_the_rows(folder: Path, model_folder: Path) -> None:
    given = {
        "dataset_dir": str(folder),
        "dataset": "rows",
        "model_name_or_path": str(model_folder),
        "cutoff_len": 40,
    }
    told = ask("stats", **given, packing=True, per_device_train_batch_size=2, num_train_epochs=2)
    rows = ask("preview", **given, count=30)["rows"]
    lengths = sorted(row["length"] for row in rows)
    learnt = sum(token["learn"] and not token.get("cut") for row in rows for token in row["tokens"])
    kept = sum(row["kept"] for row in rows)
    assert told["tokens"] == kept and told["learnt_share"] == round(learnt / kept, 4)
    assert told["percentiles"]["50"] == lengths[14] and told["percentiles"]["max"] == lengths[-1]
    assert told["over_cutoff"] == told["truncated"] == sum(size > 40 for size in lengths)
    assert sum(one["rows"] for one in told["histogram"]) == 30
    assert told["packing_fill"] == round(kept / told["packed_rows"] / 40, 4)
    per_epoch = -(-told["packed_rows"] // 2)
    assert told["steps"] == {
        "rows": told["packed_rows"],
        "batch": 2,
        "per_epoch": per_epoch,
        "total": 2 * per_epoch,
        "estimated": False,
    }


def test_stats_of_a_sample(folder: Path, model_folder: Path) -> None:
    given = {"dataset_dir": str(folder), "dataset": "rows", "model_name_or_path": str(model_folder)}
    told = ask("stats", **given, sample=10, per_device_train_batch_size=1, num_train_epochs=1, val_size=5)
    assert told["read"] == told["sample"] == 10 and told["of"] == 30
    assert told["steps"]["total"] == 25 and told["steps"]["estimated"] is True
    assert ask("stats", **given, sample=100)["sample"] is None


def test_stats_without_a_tokenizer(folder: Path) -> None:
    told = ask("stats", dataset_dir=str(folder), dataset="rows")
    assert told["used"] == 30 and told["tokens"] is None and told["histogram"] is None


def test_stats_take_what_training_takes(folder: Path, model_folder: Path) -> None:
    given = {"dataset_dir": str(folder), "dataset": "rows", "model_name_or_path": str(model_folder)}
    assert ask("stats", **given, max_samples=7)["read"] == 7


def test_histogram_covers_every_length() -> None:
    for sizes in ([1], [1, 5000], [7] * 3, list(range(1, 3000, 7))):
        bins = histogram(np.array(sizes))
        assert sum(one["rows"] for one in bins) == len(sizes) and len(bins) <= 24
        assert bins[0]["from"] == 1 and bins[-1]["to"] >= max(sizes)
        assert all(a["to"] + 1 == b["from"] for a, b in pairwise(bins))


def test_map_shows_a_mapping_before_it_is_registered(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("q,a\nWho?,Me\nWhat?,\n")
    told = ask("map", path=str(path), entry={"columns": {"prompt": "q", "response": "a"}})
    assert told["examples"][0]["messages"] == [
        {"role": "user", "content": "Who?"},
        {"role": "assistant", "content": "Me"},
    ]
    assert told["problems"][0]["column"] == "a"
    wrong = ask("map", path=str(path), entry={"columns": {"prompt": "q", "response": "z"}})
    assert wrong["field"] == "columns.response" and 'no column "z"' in wrong["error"]


def test_upload_detect_map_preview_register_train_names(tmp_path: Path, model_folder: Path) -> None:
    """The way of the Data page, op by op."""
    (tmp_path / "data").mkdir()
    source = tmp_path / "my rows.csv"
    source.write_text("question,reply\nWho?,Me.\nWhat?,That.\n")
    found = ask("detect", path=str(source), dataset_dir=str(tmp_path / "data"))
    given = {"path": str(source), "entry": found["entry"]}
    assert len(ask("map", **given)["examples"]) == 2
    before = ask("preview", **given, model_name_or_path=str(model_folder))["rows"]
    done = ask(
        "register",
        dataset_dir=str(tmp_path / "data"),
        name=found["name"],
        entry=found["entry"],
        source_path=str(source),
    )
    assert Path(done["file"]).name == "my_rows.csv"
    after = ask(
        "preview",
        dataset_dir=str(tmp_path / "data"),
        dataset=found["name"],
        model_name_or_path=str(model_folder),
    )["rows"]
    assert [row["tokens"] for row in after] == [row["tokens"] for row in before] and before[0]["tokens"]


@pytest.mark.parametrize(
    ("op", "arguments", "said", "field"),
    [
        ("bogus", {}, "not an operation", None),
        (
            "preview",
            {"dataset": "rows", "model_name_or_path": "./nowhere"},
            "no folder",
            "model_name_or_path",
        ),
        ("preview", {"dataset": "rows", "template": "qwen33"}, "did you mean", "template"),
        ("preview", {"dataset": "rows", "cutoff_len": 1, "templte": "x"}, "2 problems", "cutoff_len"),
        ("preview", {"dataset": "nope"}, "not registered", None),
        ("preview", {}, "dataset: is missing", "dataset"),
        ("preview", {"dataset": "rows", "stage": "bogus"}, "not one of pt, sft", "stage"),
        (
            "stats",
            {"dataset": "rows", "mask_history": True, "train_on_prompt": True},
            "mask_history",
            "mask_history",
        ),
        ("register", {"name": "rows", "entry": {"file_name": "rows.json"}}, "already", "name"),
        ("render", {"conversation": []}, "template: is missing", "template"),
        ("render", {"conversation": [], "template": "qwen3"}, "expected an object", None),
        ("raw", {"dataset": "rows", "start": "x", "count": -1}, "2 problems", "start"),
        ("list", {"dataset_dir": "./nowhere"}, "not a folder", "dataset_dir"),
    ],
)
def test_mistakes(folder: Path, op: str, arguments: dict[str, Any], said: str, field: str | None) -> None:
    if op not in ("render", "bogus"):
        arguments = {"dataset_dir": str(folder), **arguments}
    told = ask(op, **arguments)
    assert re.search(said, told["error"]) and told["problems"] == []
    assert told.get("field") == field


def test_every_operation_is_known() -> None:
    assert list(OPS) == [
        "list", "raw", "preview", "stats", "check", "detect", "map", "register", "render", "templates",
    ]  # fmt: skip


CASES = [(name, case) for name, cases in EXAMPLES.items() for case in cases]
REASON = re.compile(r"reason\.(oneturn\.)?(cot|nocot)\.thinking=(\w+)(?:\.discard_history=(\w+))?")
TODAY = re.compile(r"Today Date: .*?\n")


def example(case: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(conversation, arguments) of a case."""
    said = [{"role": "user", "content": "U1"}, {"role": "assistant", "content": "A1"}]
    said += [{"role": "user", "content": "U2"}, {"role": "assistant", "content": "A2"}]
    if case == "system":
        return {"messages": said[:2], "system": "SYS-PROMPT"}, {}
    if case == "tools":
        function = {"name": "get_weather", "arguments": {"city": "Paris", "days": 2}}
        called = {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": function}],
        }
        said = [said[0], called, {"role": "tool", "content": '{"t": 20}'}, said[3]]
        return {"messages": said, "system": "SYS-PROMPT", "tools": [TOOL]}, {}
    match = REASON.fullmatch(case)
    if match is None:
        return {"messages": said}, {}
    one_turn, kind, thinking, discard = match.groups()
    if kind == "cot":
        said[1]["reasoning_content"], said[3]["reasoning_content"] = "T1", "T2"
    rules = {
        "enable_thinking": {"True": True, "False": False, "None": None}[thinking],
        "mask_history": bool(one_turn) or discard == "True",
    }
    return {"messages": said}, rules


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}-{case}" for name, case in CASES])
def test_render_writes_the_examples(name: str, case: str) -> None:
    """Every case of every family; what is learnt is each answer up to its stop."""
    conversation, rules = example(case)
    expected = EXAMPLES[name][case]
    spans = answer("render", {"conversation": conversation, "template": name, **rules})["spans"]
    got = "".join(span["text"] for span in spans)
    whole = TODAY.sub("", "".join(text for turn in expected for text in turn))
    ending = TODAY.sub("", got).removeprefix(whole)
    assert ending in ("", "<EOS>"), "only the end token of the whole conversation may follow"
    learnt = [span["text"].removesuffix(ending) for span in spans if span["learn"]]
    answers = [expected[1]] if case.startswith("reason.oneturn") else [said for _, said in expected]
    for text, said in zip(learnt, answers[-len(learnt) :], strict=True):
        assert said.startswith(text) and not said[len(text) :].strip()


def test_render_with_tools_calls_results_and_a_system_prompt() -> None:
    call = {"type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    conversation = {
        "system": "Be kind.",
        "tools": [{"type": "function", "function": {"name": "add", "description": "", "parameters": {}}}],
        "messages": [
            {"role": "user", "content": "1 + 1?"},
            {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "easy"},
            {"role": "tool", "content": "2"},
            {"role": "assistant", "content": "2."},
        ],
    }
    spans = ask("render", conversation=conversation, template="qwen3", enable_thinking=None)["spans"]
    text = "".join(span["text"] for span in spans)
    assert text.startswith("<|im_start|>system\nBe kind.") and "<tool_response>\n2" in text
    learnt = [span["text"] for span in spans if span["learn"]]
    assert '"name": "add"' in learnt[0] and "easy" in learnt[0] and learnt[1].endswith("2.<|im_end|>")


def test_render_of_an_open_question_is_the_prompt() -> None:
    conversation = {"messages": [{"role": "user", "content": "Hi"}]}
    spans = ask("render", conversation=conversation, template="chatml")["spans"]
    assert spans == [
        {"text": "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "learn": False},
    ]


def test_render_with_ids(model_folder: Path, tokenizer: Any) -> None:
    conversation = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "你好"}]}
    spans = ask("render", conversation=conversation, model_name_or_path=str(model_folder))["spans"]
    assert [tokenizer.decode(span["ids"]) for span in spans] == [span["text"] for span in spans]
    assert [span["text"] for span in spans if span["learn"]] == ["你好<|im_end|>"]
    open_end = {"messages": conversation["messages"][:1]}
    (asked,) = ask("render", conversation=open_end, model_name_or_path=str(model_folder))["spans"]
    assert tokenizer.decode(asked["ids"]) == asked["text"] and not asked["learn"]


@pytest.mark.parametrize(
    ("conversation", "said"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "x"}, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "message 1"),
        ({"messages": [{"role": "user", "content": "x"}], "tolls": []}, "unknown key 'tolls'"),
        ({"messages": [{"role": "user", "content": 7}]}, "message 1"),
    ],
)
def test_conversations_that_cannot_be_rendered(conversation: Any, said: str) -> None:
    assert said in ask("render", conversation=conversation, template="qwen3")["error"]
