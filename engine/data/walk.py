"""Every row of a dataset with its place, good or bad, in the order of its files. For people who look at data;
training has its own way through the same readers (read.py).

Try: python -c "from engine.data.walk import *; ..." or tunesmith data check identity
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data.example import Example
from engine.data.read import check_columns, read_examples
from engine.data.registry import DatasetSpec
from engine.data.report import DatasetReport, RowProblem
from engine.data.sources import parse, read_bytes


@dataclass(frozen=True)
class Row:
    """One row as it stands in its file. `number`: what a person calls it. `reason`: why it is no row."""

    file: str
    number: int
    row: Any


@dataclass(frozen=True)
class Walked:
    """One row as its format reads it: an example, or a problem."""

    file: str
    number: int
    example: Example | None
    problem: RowProblem | None


def raw_rows(spec: DatasetSpec) -> Iterator[Row]:
    for path in spec.files:
        part = parse(path, read_bytes(path))
        for number, row in zip(part.numbers, part.rows, strict=True):
            yield Row(str(path), number, row)


def walk(spec: DatasetSpec) -> Iterator[Walked]:
    rows = [parse(path, read_bytes(path)) for path in spec.files]
    check_columns(spec, rows)
    for index in range(sum(len(part.rows) for part in rows)):
        account = DatasetReport(spec.name)
        found = list(read_examples(spec, rows, np.array([index]), account))
        if found:
            yield Walked(found[0][0], found[0][1], found[0][2], None)
        else:
            problem = account.problems[0]
            yield Walked(problem.file, problem.row, None, problem)


def walk_all(specs: Iterable[DatasetSpec]) -> Iterator[Walked]:
    for spec in specs:
        yield from walk(spec)
