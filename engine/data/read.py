"""Rows -> Examples by the dataset's format; every bad row is counted. Knows nothing of tokens.

`check_columns` once per dataset, `read_examples` per batch (it keeps nothing between calls), `stop_if_bad` at
the end. Try: tunesmith data preview identity --template qwen3
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from engine.data.example import Example
from engine.data.formats import load_reader
from engine.data.formats.cells import kind_name
from engine.data.formats.kinds import kind_for, misfit
from engine.data.registry.spec import DatasetSpec
from engine.data.report import MAX_SHOWN, DatasetReport, RowError, RowProblem
from engine.data.sources import BadRow, Source
from engine.errors import DataError

# How many rows have to be read before their bad ones say anything about those to come.
EARLY_ROWS = 1000
NO_ROW_LEFT = "no row is left: see whether formatting, columns and tags in dataset_info.json fit the file"


def check_columns(spec: DatasetSpec, sources: Sequence[Source], *, stage: str = "sft") -> None:
    """A mapping that fits no row at all, or data of another kind than the stage learns from, is one mistake,
    told once. Raises DataError with the columns that exist.
    """
    if reason := misfit(spec, stage):
        raise DataError(f"dataset {spec.name} {reason}")
    wanted = list(dict.fromkeys([*_required(spec, stage), *(spec.columns[role] for role in spec.named)]))
    for source in sources:
        present = source.columns()
        if not present or all(column in present for column in wanted):
            continue
        # A column may appear for the first time far down in the file.
        present = source.columns(limit=None)
        missing = [column for column in wanted if column not in present]
        if missing:
            raise DataError(_missing_text(spec, source, missing, present))


def _required(spec: DatasetSpec, stage: str) -> list[str]:
    """Columns without which no row can be read."""
    want = kind_for(stage)
    roles = {"alpaca": ["prompt"], "text": ["text"]}.get(spec.formatting, ["messages"])
    if spec.formatting == "alpaca" and "prompt" not in spec.columns:
        roles = ["query"]
    if want in ("chat", "label") and spec.formatting == "alpaca":
        roles.append("response")
    roles += {"pair": ["chosen", "rejected"], "label": ["kto_tag"]}.get(want, [])
    if unmapped := [role for role in roles if role not in spec.columns]:
        raise DataError(
            f"dataset {spec.name} maps no column {' and '.join(unmapped)}; set columns in dataset_info.json"
        )
    return [spec.columns[role] for role in roles]


def _missing_text(spec: DatasetSpec, source: Source, missing: Sequence[str], present: Sequence[str]) -> str:
    first = next((number for number, _ in source.rows()), 1)
    wanted = ", ".join(f'"{column}"' for column in missing)
    found = ", ".join(f'"{column}"' for column in present)
    near = difflib.get_close_matches(missing[0], present, 1, cutoff=0.75)
    hint = f' (did you mean "{near[0]}"?)' if near else ""
    text = (
        f"dataset {spec.name}: {source.path}, row {first}: no column {wanted}{hint}; "
        f"the columns that exist are {found}. Set columns in dataset_info.json"
    )
    # An entry for pre-training, as {"columns": {"prompt": "text"}}.
    lone = spec.formatting == "alpaca" and spec.named == {"prompt"} and spec.columns["prompt"] in present
    return f"{text}, or learn {spec.columns['prompt']} alone: stage pt" if lone else text


def read_examples(
    spec: DatasetSpec, rows: Iterable[tuple[str, int, Any]], account: DatasetReport, *, stage: str = "sft"
) -> Iterator[tuple[str, int, Example]]:
    """(file, row number, Example) of (file, row number, row); each row is counted as read in the account, and
    bad ones as dropped.
    """
    read = load_reader(spec, kind_for(stage))
    for file, number, row in rows:
        account.read += 1
        try:
            if not isinstance(row, dict):
                raise _not_a_row(row)
            example = read(row)
        except RowError as error:
            account.drop(RowProblem(file, number, error.column, error.reason))
        else:
            yield file, number, example


def _not_a_row(row: object) -> RowError:
    if isinstance(row, BadRow):
        return RowError("", row.reason)
    return RowError("", f"is {kind_name(row)}, expected an object with named columns")


def stop_if_bad(account: DatasetReport, max_bad_rows: float) -> None:
    """Raises DataError with the first ten reasons when no row is left, or more are bad than max_bad_rows (a
    share below 1, or a count) allows.
    """
    if account.read == 0:
        raise DataError(f"dataset {account.name}: {', '.join(account.files)} holds no rows")
    allowed = _allowed(max_bad_rows, account.read)
    if account.used and account.num_dropped <= allowed:
        return
    if account.used:
        ending = (
            f"max_bad_rows={max_bad_rows:g} allows {allowed}: mend these rows, "
            f"or set max_bad_rows={account.num_dropped} to go on without them"
        )
    else:
        ending = NO_ROW_LEFT
    raise DataError(_bad_text(account, ending))


def stop_early(
    account: DatasetReport, max_bad_rows: float, total: int | None = None, *, stream: bool = False
) -> None:
    """The same once it cannot end well any more: of `total` rows too many are bad already, or none of the
    first thousand can be used. Bad rows may stand close together in a file, so that a share says nothing
    before its end; a stream has none, and is judged by what was read of it, a thousand rows or more.
    """
    limit = _allowed(max_bad_rows, account.read if total is None else total)
    too_many = account.num_dropped > limit and (total is not None or stream or max_bad_rows >= 1)
    judged = max_bad_rows >= 1 or total is not None or account.read >= EARLY_ROWS
    if judged and too_many:
        ending = f"max_bad_rows={max_bad_rows:g} allows {limit}: mend these rows, or allow more"
    elif account.read >= EARLY_ROWS and not account.used:
        ending = NO_ROW_LEFT
    else:
        return
    raise DataError(_bad_text(account, ending, "so far" if total is None or account.read < total else ""))


def _allowed(max_bad_rows: float, rows: int) -> int:
    return int(max_bad_rows * rows + 1e-9) if max_bad_rows < 1 else int(max_bad_rows)


def _bad_text(account: DatasetReport, ending: str, when: str = "") -> str:
    dropped = account.num_dropped
    shown = "\n".join(f"  {problem}" for problem in account.problems)
    more = f"\n  ... and {dropped - MAX_SHOWN} more" if dropped > MAX_SHOWN else ""
    rows = f"{account.read} rows {when}".rstrip()
    return f"dataset {account.name}: {dropped} of {rows} cannot be used\n{shown}{more}\n{ending}"
