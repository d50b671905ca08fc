"""Rows -> Examples by the dataset's format; every bad row is counted. Knows nothing of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from engine.data.example import Example
from engine.data.formats import load_reader
from engine.data.registry import COLUMNS, DatasetSpec
from engine.data.report import MAX_SHOWN, DatasetReport, RowError, RowProblem
from engine.data.sources import Rows
from engine.errors import DataError

MAX_BAD_SHARE = 0.01


def check_columns(spec: DatasetSpec, rows: Sequence[Rows]) -> None:
    """A mapping that fits no row at all is one mistake, told once. Raises DataError with the columns that
    exist.
    """
    for part in rows:
        present = part.columns()
        if not part.rows:
            continue
        required = [
            spec.columns[role]
            for role in COLUMNS[spec.formatting]
            if role in spec.columns and role != "query"
        ]
        named = [spec.columns[role] for role in spec.columns if role in spec.named]
        missing = [column for column in dict.fromkeys([*required, *named]) if column not in present]
        if missing:
            first = part.numbers[0]
            wanted = ", ".join(f'"{column}"' for column in missing)
            found = ", ".join(f'"{column}"' for column in present) or "none"
            raise DataError(
                f"dataset {spec.name}: {part.path}, row {first}: no column {wanted}; "
                f"the columns that exist are {found}. Set columns in dataset_info.json"
            )


def read_examples(
    spec: DatasetSpec, rows: Sequence[Rows], chosen: np.ndarray, account: DatasetReport
) -> Iterator[tuple[str, int, Example]]:
    """(file, row number, Example) of the chosen rows; bad rows go to the account."""
    read = load_reader(spec)
    bounds = np.cumsum([0, *(len(part.rows) for part in rows)])
    which = np.searchsorted(bounds, chosen, side="right") - 1
    for index, part_number in zip(chosen.tolist(), which.tolist(), strict=True):
        part = rows[part_number]
        local = index - int(bounds[part_number])
        row, file, number = part.rows[local], str(part.path), part.numbers[local]
        try:
            if not isinstance(row, dict):
                raise RowError("", "is not an object with named columns")
            yield file, number, read(row)
        except RowError as error:
            account.drop(RowProblem(file, number, error.column, error.reason))


def stop_if_bad(account: DatasetReport) -> None:
    """Raises DataError with the first ten reasons when no row is left, or over one in a hundred is bad."""
    if account.read == 0:
        raise DataError(f"dataset {account.name}: {', '.join(account.files)} holds no rows")
    dropped = account.num_dropped
    if account.used and dropped <= account.read * MAX_BAD_SHARE:
        return
    shown = "\n".join(f"  {problem}" for problem in account.problems)
    more = f"\n  ... and {dropped - MAX_SHOWN} more" if dropped > MAX_SHOWN else ""
    raise DataError(f"dataset {account.name}: {dropped} of {account.read} rows cannot be used\n{shown}{more}")
