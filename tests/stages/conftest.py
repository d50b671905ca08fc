"""A dataset to train on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def folder(workdir: Path) -> Path:
    rows = [
        {"instruction": f"say {word}", "input": "", "output": f"{word} " * (1 + index % 4)}
        for index, word in enumerate(
            ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"] * 3
        )
    ]
    (workdir / "data").mkdir()
    (workdir / "data" / "rows.json").write_text(json.dumps(rows))
    (workdir / "data" / "dataset_info.json").write_text(json.dumps({"words": {"file_name": "rows.json"}}))
    return workdir
