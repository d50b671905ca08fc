"""Which format a file has: guesses from its columns, each tried on its first rows by the format's own reader.

Nothing is registered or changed. Try: tunesmith data detect data/pairs_demo.json
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from engine.data.formats import load_reader
from engine.data.formats.kinds import kind_of
from engine.data.inspect.guess import Column, guess_tags, guess_texts, look_at, name_score
from engine.data.inspect.register import suggest_name
from engine.data.inspect.walk import count_rows, plain
from engine.data.registry.entry import COLUMNS, OPENAI_TAGS, TAGS, spec_of
from engine.data.report import RowError
from engine.data.sources import BadRow, Source, open_source
from engine.errors import DataError, UserError

NUM_ROWS = 50
NUM_SHOWN = 3
SHOWN_LENGTH = 500
LEAST = 0.05


@dataclass(frozen=True)
class Guess:
    """One entry, and how sure it is that the file is meant so: 0 to 1."""

    entry: dict[str, Any]
    confidence: float

    def to_json(self) -> dict[str, Any]:
        entry = self.entry
        formatting = entry.get("formatting", "alpaca")
        defaults = {} if entry.get("columns") else dict(COLUMNS[formatting])
        tags = OPENAI_TAGS if formatting == "openai" else TAGS
        return {
            "formatting": formatting,
            "columns": {**defaults, **entry.get("columns", {})},
            "tags": {**tags, **entry.get("tags", {})} if formatting in ("sharegpt", "openai") else {},
            "ranking": bool(entry.get("ranking")),
            "entry": entry,
            "confidence": round(self.confidence, 2),
        }


def detect(path: str, *, dataset_dir: str | None = None) -> dict[str, Any]:
    """The best guess with its alternatives: {"formatting", "columns", "tags", "ranking", "entry",
    "confidence", "name", "found", "sample", "rows", "problem", "alternatives"}.

    `entry` is ready to be registered. A file that cannot be read at all has `problem` and no format.
    """
    name = suggest_name(path, dataset_dir)
    answer: dict[str, Any] = {
        "name": name, "formatting": None, "columns": {}, "tags": {}, "ranking": False, "entry": {},
        "confidence": 0.0, "found": [], "sample": [], "rows": None, "alternatives": [],
    }  # fmt: skip
    try:
        source = _open(path)
        rows, problem = first_rows(source)
    except UserError as error:
        return {**answer, "problem": str(error)}
    found = list(dict.fromkeys(key for row in rows for key in row))
    answer |= {
        "found": found,
        "sample": [shorten(plain(row)) for row in rows[:NUM_SHOWN]],
        "rows": count_rows(source),
    }
    if not rows:
        return {**answer, "problem": problem or f"{path} holds no rows"}
    guesses = rank(path, rows)
    if not guesses:
        return {**answer, "problem": _why_none(path, rows)}
    best, *others = [guess.to_json() for guess in guesses]
    return {**answer, **best, "problem": None, "alternatives": others}


def _why_none(path: str, rows: Sequence[Mapping[str, Any]]) -> str:
    columns = look_at(rows)
    whole = [one.name for one in columns if one.kind == "messages" and name_score(one.name, "chosen")]
    if whole:
        return (
            f'{path}: "{whole[0]}" holds whole conversations; pairs have the conversation in one column and '
            "the two last answers alone in chosen and rejected"
        )
    names = ", ".join(f'"{column.name}"' for column in columns) or "none"
    return f"{path}: no column looks like a conversation, a question, an answer or a text; it has {names}"


def _open(path: str) -> Source:
    if not Path(path).expanduser().is_file():
        raise DataError(f"no such file {path}")
    return open_source(Path(path).expanduser())


def first_rows(source: Source) -> tuple[list[dict[str, Any]], str]:
    """The first rows that are objects, and what is wrong with the first that is none."""
    rows, problem = [], ""
    for number, row in islice(source.rows(), NUM_ROWS):
        if isinstance(row, dict):
            rows.append(row)
        elif not problem:
            reason = row.reason if isinstance(row, BadRow) else "is not an object with named columns"
            problem = f"{source.path}, row {number}: {reason}"
    return rows, problem


def shorten(value: Any) -> Any:
    """The same with long texts cut, for people to look at."""
    if isinstance(value, str):
        return value if len(value) <= SHOWN_LENGTH else value[:SHOWN_LENGTH] + "…"
    if isinstance(value, dict):
        return {key: shorten(item) for key, item in value.items()}
    return [shorten(item) for item in value[:20]] if isinstance(value, list) else value


def rank(path: str, rows: Sequence[Mapping[str, Any]]) -> list[Guess]:
    """Guesses that read at least some of the rows, the surest first."""
    columns = look_at(rows)
    tried: list[Guess] = []
    for guess in [*_as_messages(columns), *_as_texts(columns), *_as_plain(columns, path)]:
        if any(guess.entry == other.entry for other in tried):
            continue
        share = try_entry(path, guess.entry, rows)
        if guess.confidence * share >= LEAST:
            tried.append(Guess(guess.entry, guess.confidence * share))
    return sorted(tried, key=lambda guess: -guess.confidence)


def try_entry(path: str, entry: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> float:
    """The share of rows that the entry can read."""
    try:
        spec = spec_of(path, entry)
        read = load_reader(spec, kind_of(spec))
    except DataError:
        return 0.0
    good = 0
    for row in rows:
        try:
            read(row)
        except RowError:
            continue
        good += 1
    return good / len(rows)


def _as_messages(columns: Sequence[Column]) -> Iterator[Guess]:
    """sharegpt and openai: a column with lists of messages."""
    for column in columns:
        if (
            column.kind != "messages"
            or name_score(column.name, "chosen")
            or name_score(column.name, "rejected")
        ):
            continue
        tags, sure = guess_tags(column)
        openai = (tags["role_tag"], tags["content_tag"]) == ("role", "content")
        entry: dict[str, Any] = {"formatting": "openai" if openai else "sharegpt"}
        mapping = {
            "messages": column.name,
            **_extras(columns, ("system", "tools", "images", "videos", "audios")),
        }
        chosen, rejected = _best(columns, "chosen"), _best(columns, "rejected")
        ranking = chosen is not None and rejected is not None
        if chosen is not None and rejected is not None:
            entry["ranking"] = True
            mapping |= {"chosen": chosen.name, "rejected": rejected.name}
        elif label := _label(columns):
            mapping["kto_tag"] = label.name
        entry["columns"] = mapping
        defaults = OPENAI_TAGS if openai else TAGS
        if any(defaults[tag] != word for tag, word in tags.items()):
            entry["tags"] = {**{tag: defaults[tag] for tag in defaults if tag not in tags}, **tags}
        named = max(name_score(column.name, "messages"), 0.85)
        yield Guess(entry, sure * named * (1.0 if ranking or openai else 0.98))


def _as_texts(columns: Sequence[Column]) -> Iterator[Guess]:
    """alpaca: questions and answers in columns of their own; pairs, labels, and prompts alone."""
    prompt, response, sure = guess_texts(columns)
    chosen, rejected = _best(columns, "chosen", "text"), _best(columns, "rejected", "text")
    if chosen is not None and rejected is not None:
        left = [column for column in columns if column not in (chosen, rejected)]
        asked = guess_texts(left)[0]
        if asked is not None:
            mapping = {**_asked(left, asked), "chosen": chosen.name, "rejected": rejected.name}
            sure = name_score(asked.name, "prompt") or 0.5
            yield Guess({"formatting": "alpaca", "ranking": True, "columns": mapping}, 0.5 + 0.5 * sure)
        return
    if prompt is not None and response is not None:
        mapping = {**_asked(columns, prompt, response), "response": response.name}
        if label := _label(columns):
            yield Guess(_alpaca({**mapping, "kto_tag": label.name}), sure)
        yield Guess(_alpaca(mapping), sure * 0.5 if label else sure)
        if sure < 0.6:
            swapped = {**_asked(columns, response, prompt), "response": prompt.name}
            yield Guess(_alpaca(swapped), sure * 0.6)
    elif prompt is not None and name_score(prompt.name, "prompt"):
        yield Guess(_alpaca({**_asked(columns, prompt), "response": ""}), 0.6)


def _as_plain(columns: Sequence[Column], path: str) -> Iterator[Guess]:
    """Raw text: the column that is called so, or the longest."""
    texts = [column for column in columns if column.kind == "text"]
    if not texts:
        return
    best = max(texts, key=lambda column: (name_score(column.name, "text"), column.mean_length))
    named = name_score(best.name, "text")
    sure = 1.0 if len(texts) == 1 and named else 0.9 if len(texts) == 1 else 0.3 if named else 0.1
    if len(texts) == 1 and name_score(best.name, "prompt") > named:
        sure = 0.4
    if any(column.kind in ("messages", "message") for column in columns):
        sure = 0.1
    yield Guess({"formatting": "text", "columns": {"text": best.name}}, sure)


def _alpaca(mapping: dict[str, str]) -> dict[str, Any]:
    """The entry of a mapping; columns that are called as by default need no mention."""
    if (
        mapping == {role: column for role, column in COLUMNS["alpaca"].items() if role in mapping}
        and ("query" in mapping or "input" not in mapping.values())
        and "response" in mapping
    ):
        return {"formatting": "alpaca"}
    return {"formatting": "alpaca", "columns": mapping}


def _asked(columns: Sequence[Column], prompt: Column, *taken: Column) -> dict[str, str]:
    """The prompt, and what else a row says before it is answered. `query` is unset where its default name
    belongs to another role.
    """
    used = {prompt.name, *(column.name for column in taken)}
    left = [column for column in columns if column.name not in used]
    mapping = {"prompt": prompt.name}
    query = _best(left, "query", "text")
    if query is not None:
        mapping["query"] = query.name
    elif "input" in used:
        mapping["query"] = ""
    return mapping | _extras(left, ("system", "history", "tools", "images", "videos", "audios"))


def _extras(columns: Sequence[Column], roles: Sequence[str]) -> dict[str, str]:
    """Further columns that are called as their role is."""
    found = {}
    for role in roles:
        column = _best(columns, role)
        if column is not None and column.kind != "empty" and name_score(column.name, role) > 0.65:
            found[role] = column.name
    return found


def _best(columns: Sequence[Column], role: str, kind: str | None = None) -> Column | None:
    fitting = [
        column
        for column in columns
        if name_score(column.name, role) and (kind is None or column.kind == kind)
    ]
    return max(fitting, key=lambda column: name_score(column.name, role), default=None)


def _label(columns: Sequence[Column]) -> Column | None:
    """A column of true and false that says whether an answer is wanted."""
    return _best(columns, "kto_tag", "bool")
