"""Forty and more broken inputs, each with the exact message a person gets. `files` holds those that fit in a
file, made.py makes the others; broken_files, broken_rows and broken_registry say what is to be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILES = Path(__file__).parent / "files"


@dataclass(frozen=True)
class Fault:
    """One broken input. file: its name in `files`, or what made.py writes under that name. message: the whole
    text, the folder written as DIR. entry: what dataset_info.json says beside the file's name.
    """

    file: str
    message: str
    entry: Mapping[str, Any] = field(default_factory=dict)
    stage: str = "sft"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def id(self) -> str:
        return self.name or self.file.replace(".", "_")


def bad_rows(file: str, read: int, *problems: str, used: int = 0) -> str:
    """The report of rows that cannot be used; each problem is PLACE: REASON behind the file's name."""
    told = "".join(f"  DIR/{file}, {problem}\n" for problem in problems)
    ending = (
        "max_bad_rows=0.01 allows 0: mend these rows, "
        f"or set max_bad_rows={len(problems)} to go on without them"
        if used
        else "no row is left: see whether formatting, columns and tags in dataset_info.json fit the file"
    )
    return f"dataset d: {len(problems)} of {read} rows cannot be used\n{told}{ending}"
