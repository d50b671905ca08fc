"""The guide's rows and entries are ones that can be used, and it names every key and command there is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from engine.data.inspect.commands import build_parser
from engine.data.inspect.service import answer
from engine.data.registry.entry import COLUMNS, KNOWN_KEYS, REFUSED, TAGS
from engine.schema.arg import group_specs
from engine.schema.data import DataArgs

GUIDE = Path(__file__).parents[2] / "docs" / "datasets.md"
TEXT = GUIDE.read_text(encoding="utf-8")
PAIRS = re.findall(r"```jsonl\n(.*?)```\n\n```json\n(.*?)```", TEXT, re.DOTALL)
# Switches of the machinery, for which docs/arguments.md is enough.
NOT_TOLD = {"preprocessing_batch_size", "ignore_pad_token_for_loss"}


@pytest.mark.parametrize("number", range(len(PAIRS)))
def test_its_examples_can_be_used(tmp_path: Path, number: int) -> None:
    rows, entry = PAIRS[number]
    path = tmp_path / "rows.jsonl"
    path.write_text(rows, encoding="utf-8")
    told = answer("check", {"path": str(path), "entry": json.loads(entry), "template": "chatml"})
    assert told.get("ok") is True and told["counts"]["read"] == rows.count("\n"), told


def test_it_has_an_example_of_each_kind(tmp_path: Path) -> None:
    kinds = set()
    for rows, entry in PAIRS:
        (tmp_path / "rows.jsonl").write_text(rows, encoding="utf-8")
        given = {"path": str(tmp_path / "rows.jsonl"), "entry": json.loads(entry)}
        kinds |= set(answer("check", given)["counts"]["kinds"])
    assert kinds == {"chat", "text", "pair", "label", "prompt"}


@pytest.mark.parametrize(
    "names",
    [
        [key for key in KNOWN_KEYS if key not in REFUSED],
        list(COLUMNS),
        list(TAGS),
        [name for name in group_specs(DataArgs, "data") if name not in NOT_TOLD],
    ],
)
def test_it_names_everything(names: list[str]) -> None:
    assert [name for name in names if not re.search(rf"\b{name}\b", TEXT)] == []


def test_it_names_every_command() -> None:
    usage = build_parser().format_help()
    verbs = re.findall(r"^    (\w+) +\w", usage, re.MULTILINE)
    assert len(verbs) == 7 and [verb for verb in verbs if f"`data {verb}" not in TEXT] == []
