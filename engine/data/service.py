"""What can be asked about data, one function per operation: plain JSON in, plain JSON out.

The command line prints these answers with --json, the worker (serve.py) hands them to the studio. Errors a
person can mend are UserErrors; `answer` turns them into {"error", "problems", "fields"}.
Try: python -c "from engine.data.service import OPS; print(OPS['list'](dataset_dir='data'))"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from engine.data.registry import list_datasets
from engine.errors import ArgError, UserError


def answer(op: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The result of one operation, or what is wrong as {"error", "problems", "fields", "field"}."""
    if op not in OPS:
        return {"error": f"{op!r} is not an operation. Known: {', '.join(OPS)}.", "problems": []}
    try:
        return OPS[op](**arguments)
    except UserError as error:
        fields = error.problems if isinstance(error, ArgError) else ()
        told: dict[str, Any] = {"error": str(error), "problems": []}
        if fields:
            told["fields"] = [{"field": one.field, "message": one.message} for one in fields]
            told["field"] = fields[0].field
        return told


def list_all(dataset_dir: Any = "data", search: str = "") -> dict[str, Any]:
    """Every registered dataset whose name or files hold the words of `search`."""
    words = search.lower().split()
    found = []
    for info in list_datasets(dataset_dir):
        haystack = " ".join((info.name, info.formatting, *info.files)).lower()
        if all(word in haystack for word in words):
            found.append(
                {
                    "name": info.name,
                    "formatting": info.formatting,
                    "files": list(info.files),
                    "size_bytes": info.size_bytes,
                    "rows": None,
                    "origin": getattr(info, "origin", "local"),
                    "problem": info.problem,
                }
            )
    return {"datasets": found}


def preview(*, start: int = 0, count: int = 5, **given: Any) -> dict[str, Any]:
    """Rows as the model sees them; see preview.py."""
    from engine.data import preview as previewing
    from engine.data.view import open_view

    return previewing.preview(open_view(given), start=start, count=count)


def raw(
    *,
    start: int = 0,
    count: int = 20,
    search: str = "",
    file: str | None = None,
    number: int | None = None,
    **given: Any,
) -> dict[str, Any]:
    """Rows as they stand in their files: a window of those that hold `search`, or the one at file, number."""
    from engine.data.view import check_arguments, find_specs
    from engine.data.walk import raw_rows

    args, _ = check_arguments({name: given[name] for name in given if name not in ("path", "entry")})
    specs = find_specs(args.data, given.get("path"), given.get("entry"))
    rows = (row for spec in specs for row in raw_rows(spec))
    if number is not None:
        rows = (row for row in rows if row.number == number and file in (None, row.file))
    if search:
        rows = (row for row in rows if search.lower() in str(row.row).lower())
    shown = list(islice(rows, start, start + count))
    columns = dict.fromkeys(key for row in shown if isinstance(row.row, dict) for key in row.row)
    return {
        "columns": list(columns),
        "rows": [{"file": row.file, "number": row.number, "row": row.row} for row in shown],
        "total": None,
    }


def templates() -> dict[str, Any]:
    """Names that `template` takes."""
    from engine.templates.base import list_templates

    return {"templates": list_templates()}


OPS: dict[str, Callable[..., dict[str, Any]]] = {
    "list": list_all,
    "raw": raw,
    "preview": preview,
    "templates": templates,
}
