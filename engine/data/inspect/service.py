"""What can be asked about data, one function per operation: plain JSON in, plain JSON out.

The command line prints these answers with --json, the worker (serve.py) hands them to the studio. Errors a
person can mend are UserErrors; `answer` turns them into {"error", "problems", "fields"}. What an operation
stands on is imported when it is asked for: a named template is rendered without any tokenizer library.
Try: python -c "from engine.data.inspect.service import OPS; print(OPS['list'](dataset_dir='data'))"
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from engine.errors import ArgError, Problem, UserError

NUMBERS = ("start", "count", "show", "sample", "number")
COUNTING_S = 0.5
"""how long `list` counts rows before it leaves the rest uncounted"""


def answer(op: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The result of one operation, or what is wrong as {"error", "problems", "fields", "field"}."""
    if op not in OPS:
        return {"error": f"{op!r} is not an operation. Known: {', '.join(OPS)}.", "problems": []}
    try:
        check_numbers(arguments)
        return OPS[op](**arguments)
    except UserError as error:
        told: dict[str, Any] = {"error": str(error), "problems": []}
        fields = error.problems if isinstance(error, ArgError) else find_fields(str(error), arguments)
        if fields:
            told["fields"] = [{"field": one.field, "message": one.message} for one in fields]
            told["field"] = fields[0].field
        return told


def check_numbers(arguments: Mapping[str, Any]) -> None:
    """Raises ArgError for a window of rows that is none."""
    problems = []
    for name in NUMBERS:
        value = arguments.get(name)
        if value is not None and (type(value) is not int or not 0 <= value < 1 << 53):
            problems.append(Problem(name, f"{value!r} is not a whole number of at least 0."))
    if problems:
        raise ArgError(problems)


def find_fields(message: str, arguments: Mapping[str, Any]) -> list[Problem]:
    """The fields an error is about, told from its words: an argument that it begins with, or the roles of a
    mapping that is being tried whose columns it misses ("columns.ROLE").
    """
    from engine.schema.arg import specs
    from engine.schema.commands import TrainArgs

    name, colon, rest = message.partition(": ")
    if colon and name in specs(TrainArgs):
        return [Problem(name, rest)]
    entry = arguments.get("entry")
    columns = entry.get("columns") if isinstance(entry, dict) else None
    missing = re.search(r"no column (.*?);", message)
    if not missing or not isinstance(columns, dict):
        return []
    return [
        Problem(f"columns.{role}", f'the file has no column "{column}"')
        for role, column in columns.items()
        if f'"{column}"' in missing.group(1)
    ]


def list_all(*, dataset_dir: Any = "data", search: str = "") -> dict[str, Any]:
    """Every registered dataset whose name, format or files hold all words of `search`. "rows" is None where
    counting them would take long.
    """
    from engine.data.inspect.walk import count_rows
    from engine.data.registry import list_datasets
    from engine.data.sources import open_source

    words = search.lower().split()
    until = time.monotonic() + COUNTING_S
    found = []
    for info in list_datasets(json.dumps(dataset_dir) if isinstance(dataset_dir, dict) else dataset_dir):
        haystack = " ".join((info.name, info.formatting, info.repo, *info.files)).lower()
        if not all(word in haystack for word in words):
            continue
        counts = [count_rows(open_source(file), until=until) for file in info.files]
        known = [count for count in counts if count is not None]
        found.append(
            {
                "name": info.name,
                "formatting": info.formatting,
                "ranking": info.ranking,
                "files": list(info.files),
                "size_bytes": info.size_bytes,
                "rows": sum(known) if counts and len(known) == len(counts) else None,
                "origin": info.origin,
                "repo": info.repo,
                "problem": info.problem,
            }
        )
    return {"datasets": found}


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
    from engine.data.inspect.view import check_arguments, find_specs
    from engine.data.inspect.walk import count_rows, describe, raw_rows, sources_of

    args, _, _ = check_arguments(given)
    specs = find_specs(args.data, given.get("path"), given.get("entry"))
    sources = [source for spec in specs for source in sources_of(spec)]
    total = None
    if number is not None:
        rows = (row for row in raw_rows(sources) if row[1] == number and file in (None, row[0]))
        shown = list(islice(rows, 1))
    elif search:
        rows = (row for row in raw_rows(sources) if search.lower() in str(row[2]).lower())
        shown = list(islice(rows, start, start + count))
    else:
        shown = list(islice(raw_rows(sources, start), count))
        counts = [count_rows(source) for source in sources]
        total = None if None in counts else sum(filter(None, counts))
    columns = dict.fromkeys(key for _, _, row in shown if isinstance(row, dict) for key in row)
    return {"columns": list(columns), "rows": [describe(row) for row in shown], "total": total}


def preview(*, start: int = 0, count: int = 5, **given: Any) -> dict[str, Any]:
    """Rows as the model sees them; see preview.py."""
    from engine.data.inspect import preview as previewing
    from engine.data.inspect.view import open_view

    return previewing.preview(open_view(given), start=start, count=count)


def stats(*, sample: int | None = None, show: int = 10, **given: Any) -> dict[str, Any]:
    """Figures over all rows or the first `sample`; see stats.py."""
    from engine.data.inspect import stats as counting
    from engine.data.inspect.view import open_view

    return counting.stats(open_view(given), sample=sample, show=show)


def check(*, show: int = 100, **given: Any) -> dict[str, Any]:
    """Every bad row; see stats.py."""
    from engine.data.inspect import stats as counting
    from engine.data.inspect.view import open_view

    return counting.check(open_view(given), show=show)


def detect(*, path: str, dataset_dir: str | None = None) -> dict[str, Any]:
    """Which format a file has; see detect.py."""
    from engine.data.inspect import detect as detecting

    return detecting.detect(path, dataset_dir=dataset_dir)


def map_rows(*, path: str, entry: Mapping[str, Any], start: int = 0, count: int = 3) -> dict[str, Any]:
    """The first rows of a file as an entry reads them, without a template: a mapping that is being made.

    {"examples": [{"kind", "system", "tools", "messages", ...}], "problems": [...]}
    """
    from engine.data.inspect.preview import describe_example
    from engine.data.inspect.walk import walk
    from engine.data.registry.entry import spec_of

    walked = list(islice(walk(spec_of(path, entry)), start, start + count))
    return {
        "examples": [describe_example(one.example) for one in walked if one.example is not None],
        "problems": [one.problem.to_json() for one in walked if one.problem is not None],
    }


def register(
    *,
    dataset_dir: str,
    name: str,
    entry: Mapping[str, Any],
    source_path: str | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Add a dataset to dataset_info.json; see register.py."""
    from engine.data.inspect import register as registering

    return registering.register(dataset_dir, name, entry, source_path=source_path, overwrite=overwrite)


def render(*, conversation: Any, **given: Any) -> dict[str, Any]:
    """The spans of one conversation; see conversation.py."""
    from engine.data.inspect.conversation import render_conversation
    from engine.data.inspect.view import open_template

    return {"spans": render_conversation(open_template(given), conversation)}


def templates() -> dict[str, Any]:
    """Names that `template` takes."""
    from engine.templates.base import list_templates

    return {"templates": list_templates()}


OPS: dict[str, Callable[..., dict[str, Any]]] = {
    "list": list_all,
    "raw": raw,
    "preview": preview,
    "stats": stats,
    "check": check,
    "detect": detect,
    "map": map_rows,
    "register": register,
    "render": render,
    "templates": templates,
}
