"""Every row of a dataset with its place, good or bad, in the order of its files. For people who look at data;
training has its own way through the same readers (read.py).

Try: tunesmith data preview identity
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.data.example import Example
from engine.data.formats.kinds import STAGES, kind_of
from engine.data.read import check_columns, read_examples
from engine.data.registry import DatasetSpec
from engine.data.registry.hub import fetch
from engine.data.report import DatasetReport, RowProblem
from engine.data.sources import BadRow, Source, open_source
from engine.data.sources import kind_of as kind_of_file
from engine.errors import DataError

if TYPE_CHECKING:
    from engine.data.inspect.view import View

RawRow = tuple[str, int, Any]
"""(file, what a person calls the row, the row or a BadRow)"""
CHUNK = 256
COUNT_BELOW_BYTES = 64 << 20
"""rows of larger files are not counted: that reads the whole file"""
LINE_KINDS = (".jsonl", ".csv", ".tsv", ".txt")
MAX_LINE = 2000
MAX_TEXT = 100_000


@dataclass(frozen=True)
class Walked:
    """One row as its format reads it for a stage: an example, or a problem."""

    file: str
    number: int
    stage: str
    example: Example | None
    problem: RowProblem | None = None


def sources_of(spec: DatasetSpec) -> list[Source]:
    """The files of a dataset; one on a hub is fetched first."""
    return [open_source(path) for path in fetch(spec)]


def count_rows(source: Source, *, until: float | None = None) -> int | None:
    """How many rows a file has; None where that takes long (or, with `until`, where time is up). Remembered
    while the file stays as it is.
    """
    try:
        facts = source.path.stat()
    except OSError:
        return None
    slow = kind_of_file(source.path) not in (".parquet", ".arrow")
    if slow and (facts.st_size > COUNT_BELOW_BYTES or (until is not None and time.monotonic() > until)):
        return None
    return _count_rows(source.path, facts.st_mtime_ns, facts.st_size)


@functools.lru_cache(maxsize=1024)
def _count_rows(path: Path, _changed: int, _size: int) -> int | None:
    try:
        return open_source(path).count()
    except DataError:  # A file that breaks further down: the check says where.
        return None


def describe(row: RawRow) -> dict[str, Any]:
    """A raw row as JSON. One that is none has its line and what is wrong with it."""
    file, number, content = row
    if isinstance(content, BadRow):
        text = line_at(Path(file), number)
        return {"file": file, "number": number, "row": None, "problem": content.reason, "text": text}
    return {"file": file, "number": number, "row": plain(content)}


def line_at(path: Path, number: int) -> str:
    """The line that a bad row stands on, cut; "" where rows are no lines."""
    if kind_of_file(path) not in LINE_KINDS:
        return ""
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opener(path, "rb") as file:
            line: bytes = next(islice(file, number - 1, None), b"")
    except OSError:
        return ""
    return line[:MAX_LINE].decode(errors="replace").rstrip("\r\n")


def plain(value: Any) -> Any:
    """The same in JSON's types, huge texts cut. Parquet holds dates and bytes, JSON half characters."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, str):
        more = len(value) - MAX_TEXT
        text = value if more <= 0 else f"{value[:MAX_TEXT]}... ({more:,} more characters)"
        return text.encode(errors="replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, bool | int | float | None) else str(value)


def natural_stage(spec: DatasetSpec) -> str:
    """The first stage that learns from such rows."""
    return STAGES[kind_of(spec)][0]


def raw_rows(sources: Sequence[Source], start: int = 0) -> Iterator[RawRow]:
    """Rows as they stand in the files, from the start-th on, counted from 0 over all files."""
    for number, source in enumerate(sources):
        if start and number < len(sources) - 1:
            size = source.count()
            if size <= start:
                start -= size
                continue
        for place, row in source.rows(start):
            yield str(source.path), place, row
        start = 0


def walk(spec: DatasetSpec, *, stage: str | None = None) -> Iterator[Walked]:
    """Rows as the stage reads them (None: the first stage that fits), in the order of the files; of an entry
    with a part such as train[:100], that part. Raises DataError where the entry does not fit the files.
    """
    return _walk(dataclasses.replace(spec, num_samples=None), stage, max_samples=None, seed=0)


def walk_all(view: View) -> Iterator[Walked]:
    """The rows of every dataset in turn."""
    return chain.from_iterable(walk(spec, stage=view.stage) for spec in view.specs)


def walk_chosen(view: View, *, evals: bool = False) -> Iterator[Walked]:
    """The rows that training would take of every dataset: parts, num_samples and max_samples applied."""
    for spec in (*view.specs, *(view.eval_specs if evals else ())):
        seed, most = view.args.optimization.seed, view.args.data.max_samples
        yield from _walk(spec, view.stage, max_samples=most, seed=seed)


def _walk(spec: DatasetSpec, stage: str | None, *, max_samples: int | None, seed: int) -> Iterator[Walked]:
    from engine.data.tokens.build import open_rows

    stage = stage or natural_stage(spec)
    sources = sources_of(spec)
    check_columns(spec, sources, stage=stage)
    rows = open_rows(spec, sources, max_samples, seed)
    while chunk := list(islice(rows, CHUNK)):
        yield from _read(spec, chunk, stage)


def _read(spec: DatasetSpec, rows: Sequence[RawRow], stage: str) -> Iterator[Walked]:
    """Some rows in their order."""
    account = DatasetReport(spec.name)
    waiting: list[RowProblem] = []

    def collect() -> None:
        # An account keeps the first few problems alone: they are taken out as they come.
        waiting.extend(account.problems)
        account.problems.clear()

    def fed() -> Iterator[RawRow]:
        for row in rows:
            collect()
            yield row

    def told() -> Iterator[Walked]:
        collect()
        yield from (Walked(problem.file, problem.row, stage, None, problem) for problem in waiting)
        waiting.clear()

    for file, number, example in read_examples(spec, fed(), account, stage=stage):
        yield from told()
        yield Walked(file, number, stage, example)
    yield from told()
