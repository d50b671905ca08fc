"""What became of every row: read, used, dropped and why. A plain record; the pipeline fills it, a run writes
it as data_report.json.

Try: python -c "from engine.data.report import *; print(RowProblem('a.json', 3, 'output', 'is empty'))"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

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
    """The account of one dataset. `dropped` counts rows by reason and read = used + sum(dropped).

    guarded: rows whose text spelt a control token, which was taken as ordinary characters. lost_answers:
    answers of truncated rows for which no room was left. drawn: rows of the mix that come from it, before
    any are held out; more than `used` where rows come again. None for rows that are evaluated.
    """

    name: str
    files: list[str] = field(default_factory=list)
    read: int = 0
    used: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    problems: list[RowProblem] = field(default_factory=list)
    truncated: int = 0
    tokens: int = 0
    learnt_tokens: int = 0
    guarded: int = 0
    lost_answers: int = 0
    drawn: int | None = None
    from_cache: bool = False

    def merge(self, later: DatasetReport) -> None:
        """Add the account of rows that come after these."""
        for name in ("read", "used", "truncated", "tokens", "learnt_tokens", "guarded", "lost_answers"):
            setattr(self, name, getattr(self, name) + getattr(later, name))
        for reason, count in later.dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + count
        self.problems += later.problems[: MAX_SHOWN - len(self.problems)]

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
            "guarded": self.guarded,
            "lost_answers": self.lost_answers,
            "drawn": self.drawn,
            "from_cache": self.from_cache,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> DatasetReport:
        problems = [RowProblem(**problem) for problem in record["problems"]]
        return cls(**{**record, "problems": problems})

    @classmethod
    def from_cache_of(cls, record: Mapping[str, Any]) -> DatasetReport:
        """The account of the run that read the rows."""
        return cls.from_json({**record, "from_cache": True})

    def renamed(self, name: str, files: Sequence[str]) -> DatasetReport:
        """The same rows under another name, in files of other names."""
        now = dict(zip(self.files, files, strict=True))
        problems = [replace(problem, file=now.get(problem.file, problem.file)) for problem in self.problems]
        return replace(self, name=name, files=list(files), problems=problems)

    def lines(self, role: str) -> list[str]:
        """The account as sentences for the log. role: the argument that named it."""
        share = self.learnt_tokens / self.tokens if self.tokens else 0.0
        line = f"{role} {self.name}: {self.used:,} of {self.read:,} rows, {self.tokens:,} tokens, "
        line += f"{share:.0%} of them learnt"
        line += f", {self.truncated:,} rows cut to cutoff_len" if self.truncated else ""
        line += " (from the token cache)" if self.from_cache else ""
        lines = [line, *(f"  {count:,} dropped: {reason}" for reason, count in self.dropped.items())]
        if self.lost_answers:
            lines.append(
                f"  {self.lost_answers:,} later answers left out: no room for them within cutoff_len"
            )
        if self.guarded:
            lines.append(
                f"  {self.guarded:,} rows spell a control token of the tokenizer: taken as ordinary "
                "characters (allow_control_tokens=false)"
            )
        return lines


@dataclass
class Estimate:
    """What a run will take: its optimiser steps, and their seconds once the first ones were timed."""

    steps: int
    seconds: float | None = None


@dataclass
class DataReport:
    """The account of a whole run. `notes` are one-line remarks a person should read once.

    held_out: rows that val_size took. streaming: rows are read while the run goes on, so that every count
    grows with it.
    """

    datasets: list[DatasetReport] = field(default_factory=list)
    eval_datasets: list[DatasetReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    train_rows: int = 0
    eval_rows: int = 0
    packed_rows: int | None = None
    packing_fill: float | None = None
    histogram: list[dict[str, int | None]] = field(default_factory=list)
    seconds: float = 0.0
    mix_strategy: str = "concat"
    held_out: int = 0
    streaming: bool = False
    estimate: Estimate | None = None

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
            "held_out": self.held_out,
            "mix_strategy": self.mix_strategy,
            "tokens": tokens,
            "learnt_tokens": learnt,
            "labelled_share": round(learnt / tokens, 4) if tokens else None,
            "packed_rows": self.packed_rows,
            "packing_fill": self.packing_fill,
            "length_histogram": self.histogram,
            "guarded_rows": sum(dataset.guarded for dataset in (*self.datasets, *self.eval_datasets)),
            "streaming": self.streaming,
            "estimated_steps": self.estimate.steps if self.estimate else None,
            "estimated_seconds": self.estimate.seconds if self.estimate else None,
            "notes": self.notes,
            "seconds": round(self.seconds, 3),
        }

    def lines(self) -> list[str]:
        """The report as a few sentences for the log."""
        lines = []
        for role, datasets in (("dataset", self.datasets), ("eval_dataset", self.eval_datasets)):
            for dataset in datasets:
                if self.streaming and not dataset.read:
                    lines.append(f"{role} {dataset.name}: streamed from {', '.join(dataset.files)}")
                else:
                    lines += dataset.lines(role)
        drawn = [dataset.drawn for dataset in self.datasets if dataset.drawn is not None]
        if drawn != [dataset.used for dataset in self.datasets] and drawn:
            parts = f" ({', '.join(f'{count:,}' for count in drawn)})" if len(drawn) > 1 else ""
            lines.append(f"mix {self.mix_strategy}: {sum(drawn):,} rows{parts}")
        if self.held_out:
            lines.append(f"{self.train_rows:,} rows to train on, {self.held_out:,} held out")
        if self.packed_rows:
            lines.append(f"packing: {self.packed_rows:,} rows, {self.packing_fill:.1%} full")
        return lines + self.notes


def histogram(lengths: np.ndarray) -> list[dict[str, int | None]]:
    """Counts of rows by token length, in doubling bins: [{"up_to": 32, "rows": 5}, ..., {"up_to": None,
    ...}].
    """
    counts = np.bincount(np.searchsorted(HISTOGRAM_EDGES, lengths), minlength=len(HISTOGRAM_EDGES) + 1)
    edges: list[int | None] = [*HISTOGRAM_EDGES, None]
    return [
        {"up_to": edge, "rows": count} for edge, count in zip(edges, counts.tolist(), strict=True) if count
    ]


def add_histograms(
    one: list[dict[str, int | None]], other: list[dict[str, int | None]]
) -> list[dict[str, int | None]]:
    """Both counted together."""
    counts: dict[int | None, int] = {}
    for entry in (*one, *other):
        counts[entry["up_to"]] = counts.get(entry["up_to"], 0) + (entry["rows"] or 0)
    order: list[int | None] = [*HISTOGRAM_EDGES, None]
    return [{"up_to": edge, "rows": counts[edge]} for edge in order if edge in counts]
