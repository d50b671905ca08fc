"""What became of every row: read, used, dropped and why. A plain record; the pipeline fills it, a run writes
it as data_report.json.

Try: python -c "from engine.data.report import *; print(RowProblem('a.json', 3, 'output', 'is empty'))"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_SHOWN = 10
HISTOGRAM_EDGES = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)


class RowError(Exception):
    """Raised by a format's reader for one row. `column` may be empty when the row as a whole is at fault."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason


@dataclass(frozen=True)
class RowProblem:
    """One row that cannot be used. `row` counts from 1 (for JSON lines it is the line)."""

    file: str
    row: int
    column: str
    reason: str

    def __str__(self) -> str:
        column = f', column "{self.column}"' if self.column else ""
        return f"{self.file}, row {self.row}{column}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        return {"file": self.file, "row": self.row, "column": self.column, "reason": self.reason}


@dataclass
class DatasetReport:
    """The account of one dataset. `dropped` counts rows by reason and read = used + sum(dropped)."""

    name: str
    files: list[str] = field(default_factory=list)
    read: int = 0
    used: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    problems: list[RowProblem] = field(default_factory=list)
    truncated: int = 0
    tokens: int = 0
    learnt_tokens: int = 0
    from_cache: bool = False

    def drop(self, problem: RowProblem) -> None:
        """Count a row that is not used; the first ten are kept word for word."""
        reason = f"{problem.column}: {problem.reason}" if problem.column else problem.reason
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        if len(self.problems) < MAX_SHOWN:
            self.problems.append(problem)

    @property
    def num_dropped(self) -> int:
        return sum(self.dropped.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "files": self.files,
            "read": self.read,
            "used": self.used,
            "dropped": self.dropped,
            "problems": [problem.to_json() for problem in self.problems],
            "truncated": self.truncated,
            "tokens": self.tokens,
            "learnt_tokens": self.learnt_tokens,
            "from_cache": self.from_cache,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> DatasetReport:
        problems = [RowProblem(**problem) for problem in record["problems"]]
        return cls(**{**record, "problems": problems})


@dataclass
class DataReport:
    """The account of a whole run. `notes` are one-line remarks a person should read once."""

    datasets: list[DatasetReport] = field(default_factory=list)
    eval_datasets: list[DatasetReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    train_rows: int = 0
    eval_rows: int = 0
    packed_rows: int | None = None
    packing_fill: float | None = None
    histogram: list[dict[str, int | None]] = field(default_factory=list)
    seconds: float = 0.0

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def to_json(self) -> dict[str, Any]:
        tokens = sum(dataset.tokens for dataset in self.datasets)
        learnt = sum(dataset.learnt_tokens for dataset in self.datasets)
        return {
            "datasets": [dataset.to_json() for dataset in self.datasets],
            "eval_datasets": [dataset.to_json() for dataset in self.eval_datasets],
            "train_rows": self.train_rows,
            "eval_rows": self.eval_rows,
            "tokens": tokens,
            "learnt_tokens": learnt,
            "labelled_share": round(learnt / tokens, 4) if tokens else None,
            "packed_rows": self.packed_rows,
            "packing_fill": self.packing_fill,
            "length_histogram": self.histogram,
            "notes": self.notes,
            "seconds": round(self.seconds, 3),
        }

    def lines(self) -> list[str]:
        """The report as a few sentences for the log."""
        lines = []
        for role, datasets in (("dataset", self.datasets), ("eval_dataset", self.eval_datasets)):
            for dataset in datasets:
                share = dataset.learnt_tokens / dataset.tokens if dataset.tokens else 0.0
                line = (
                    f"{role} {dataset.name}: {dataset.used} of {dataset.read} rows, {dataset.tokens} tokens, "
                )
                line += f"{share:.0%} of them learnt"
                line += f", {dataset.truncated} rows cut to cutoff_len" if dataset.truncated else ""
                line += " (from the token cache)" if dataset.from_cache else ""
                lines.append(line)
                lines.extend(f"  {count} dropped: {reason}" for reason, count in dataset.dropped.items())
        if self.packed_rows is not None:
            lines.append(f"packing: {self.packed_rows} rows, {self.packing_fill:.1%} full")
        return lines + self.notes


def histogram(lengths: Iterable[int]) -> list[dict[str, int | None]]:
    """Counts of rows by token length, in doubling bins: [{"up_to": 32, "rows": 5}, ..., {"up_to": None,
    ...}].
    """
    counts = [0] * (len(HISTOGRAM_EDGES) + 1)
    for length in lengths:
        counts[next((i for i, edge in enumerate(HISTOGRAM_EDGES) if length <= edge), -1)] += 1
    edges: list[int | None] = [*HISTOGRAM_EDGES, None]
    return [{"up_to": edge, "rows": count} for edge, count in zip(edges, counts, strict=True) if count]
