"""What dataset_info.json says of one dataset, checked: DatasetSpec, and DatasetInfo for lists of them.

Try: python -c "from engine.data.registry.spec import Split; print(Split(start='10%', stop='-5').bounds(100))"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Origin = Literal["local", "hf", "ms"]


@dataclass(frozen=True)
class Split:
    """Which part of a dataset: its named splits (several only as a whole), then rows start:stop of them, each
    a number or a share such as "10%", negative ones counted from the end.
    """

    names: tuple[str, ...] = ("train",)
    start: str | None = None
    stop: str | None = None

    @property
    def is_whole(self) -> bool:
        return self.start is None and self.stop is None

    @property
    def needs_count(self) -> bool:
        """Whether the rows can be told only once the number of all rows is known."""
        return any(bound is not None and ("%" in bound or "-" in bound) for bound in (self.start, self.stop))

    def bounds(self, num_rows: int) -> tuple[int, int]:
        """(start, stop) within 0..num_rows; empty ranges have stop == start."""
        start = 0 if self.start is None else _position(self.start, num_rows)
        stop = num_rows if self.stop is None else _position(self.stop, num_rows)
        return start, max(start, stop)

    def __str__(self) -> str:
        part = "" if self.is_whole else f"[{self.start or ''}:{self.stop or ''}]"
        return "+".join(self.names) + part


def _position(bound: str, num_rows: int) -> int:
    number = int(bound.rstrip("%"))
    distance = round(num_rows * abs(number) / 100) if bound.endswith("%") else abs(number)
    return max(num_rows - distance, 0) if bound.startswith("-") else min(distance, num_rows)


@dataclass(frozen=True)
class DatasetSpec:
    """One usable entry. `named` holds the roles of the columns that the entry itself maps (the rest are
    defaults). A local dataset has its `files`; a hub's has the `repo` to fetch them from (see hub.fetch), by
    `patterns` where the entry names files.
    """

    name: str
    files: tuple[Path, ...]
    formatting: str
    columns: Mapping[str, str]
    tags: Mapping[str, str]
    named: frozenset[str] = frozenset()
    num_samples: int | None = None
    split: Split = field(default_factory=Split)
    ranking: bool = False
    origin: Origin = "local"
    repo: str = ""
    subset: str | None = None
    folder: str | None = None
    revision: str | None = None
    patterns: tuple[str, ...] = ()
    media_dir: Path = Path(".")

    def mapping(self) -> dict[str, Any]:
        """Everything but the files that decides which rows there are and what they mean; part of the token
        cache's key.
        """
        return {
            "formatting": self.formatting,
            "ranking": self.ranking,
            "columns": dict(self.columns),
            "named": sorted(self.named),
            "tags": dict(self.tags),
            "num_samples": self.num_samples,
            "split": [self.split.start, self.split.stop],
        }


@dataclass(frozen=True)
class DatasetInfo:
    """One entry as a list shows it. `problem` says why it cannot be used; empty when it can. `files` is empty
    and `repo` set for a dataset on a hub.
    """

    name: str
    formatting: str
    files: tuple[str, ...]
    size_bytes: int
    problem: str = ""
    origin: Origin = "local"
    repo: str = ""
    ranking: bool = False
