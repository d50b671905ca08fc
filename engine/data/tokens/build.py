"""One dataset -> a store of tokens in the cache: from its files where there is none yet, by workers where
there is much to do, and by one process at a time.

The cache's key is made of everything the tokens depend on: the files' content, the mapping, the rows chosen,
the template, the tokenizer and the arguments. Try: python benchmarks/preprocess.py --rows 2000
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.mix import choose_rows, stream_rows
from engine.data.read import check_columns, stop_early, stop_if_bad
from engine.data.registry import DatasetSpec, hub
from engine.data.report import DatasetReport
from engine.data.sources import Source, open_source
from engine.data.tokens.alone import one_at_a_time
from engine.data.tokens.prepare import Preparer, RawRow, Tokens
from engine.data.tokens.store import Store, StoreWriter, open_store
from engine.data.tokens.workers import can_fork, ordered_map
from engine.env import probe_machine, world_size
from engine.schema.data import DataArgs
from engine.templates.chat import ChatTemplate

# Part of every cache key: raise it when the same input gives other tokens than before.
CACHE_VERSION = 4
# Below this, workers cost more than they save; the tokenizer has threads of its own.
_WORTH_WORKERS_BYTES = 16 << 20
_MAX_WORKERS = 8
# Rows that are looked at for their size, and how much of raw rows a batch may hold, however long they are.
_SAMPLED_ROWS = 100
_BATCH_BYTES = 8 << 20
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Setting:
    """What tokenising a dataset depends on, besides the dataset."""

    chat: ChatTemplate
    data: DataArgs
    stage: str
    seed: int
    cache_dir: Path
    progress: Progress


def build_store(spec: DatasetSpec, setting: Setting) -> tuple[Store, DatasetReport]:
    """The dataset's tokens and the account of its rows, from the cache where it has them.

    Raises DataError with all that is wrong with the files or too many of the rows; nothing half-written stays
    behind.
    """
    files = hub.fetch(spec)
    sources = [open_source(path) for path in files]
    path = setting.cache_dir / "tokens" / cache_key(spec, sources, setting)
    store = None if setting.data.overwrite_cache else open_store(path)
    if store is None:
        with one_at_a_time(path, shared=setting.data.data_shared_file_system) as came_first:
            # Whoever waited finds what the first one wrote.
            store = None if setting.data.overwrite_cache and came_first else open_store(path)
            if store is None:
                return _write(path, spec, sources, setting)
    # The same content may be registered under another name or path than the one that filled the cache.
    account = DatasetReport.from_cache_of(store.meta["report"]).renamed(
        spec.name, [str(file) for file in files]
    )
    # How many bad rows are too many is this run's to say.
    stop_if_bad(account, setting.data.max_bad_rows)
    _take_notes(setting.chat, store.meta["notes"])
    setting.progress("tokenizing", account.read, account.read)
    return store, account


def _write(
    path: Path, spec: DatasetSpec, sources: Sequence[Source], setting: Setting
) -> tuple[Store, DatasetReport]:
    account = DatasetReport(spec.name, [str(source.path) for source in sources])
    check_columns(spec, sources, stage=setting.stage)
    choice = _choose(spec, sources, setting)
    origins: list[np.ndarray] = []
    with StoreWriter(path, replace=setting.data.overwrite_cache) as out:
        for tokens, base in tokenize_rows(choice.rows, spec, sources, setting, account):
            out.add(tokens.ids, tokens.learn, tokens.lengths)
            if choice.drawn is not None:
                origins.append(tokens.origin + base)
        stop_if_bad(account, setting.data.max_bad_rows)
        setting.progress("tokenizing", account.read, account.read)
        order = choice.order(np.concatenate(origins)) if choice.drawn is not None else None
        out.finish({"report": account.to_json(), "notes": list(setting.chat.notes)}, order=order)
    return Store(path), account


def tokenize_rows(
    rows: Iterable[RawRow],
    spec: DatasetSpec,
    sources: Sequence[Source],
    setting: Setting,
    account: DatasetReport,
    *,
    streaming: bool = False,
) -> Iterator[tuple[Tokens, int]]:
    """(tokens of a batch, how many rows came before it), in the order of the rows. Fills the account.

    streaming: too many bad rows are told as they come, since nobody may ever see the end.
    """
    rows = iter(rows)
    first = list(itertools.islice(rows, _SAMPLED_ROWS))
    mean = sum(_written_size(row) for _, _, row in first) / max(len(first), 1)
    total = _estimate_rows(sources, len(first), mean)
    setting.progress("tokenizing", 0, total)
    batch_size = min(setting.data.preprocessing_batch_size, max(1, int(_BATCH_BYTES / max(mean, 1))))
    num_workers = choose_workers(setting.data, sources) if batch_size < total else 1
    prepare = Preparer(spec, setting.chat, setting.data, stage=setting.stage)
    work = batched(itertools.chain(first, rows), batch_size)
    with closing(ordered_map(prepare, work, num_workers=num_workers)) as results:
        for tokens in results:
            base = account.read
            account.merge(tokens.account)
            _take_notes(setting.chat, tokens.notes)
            yield tokens, base
            stop_early(account, setting.data.max_bad_rows, stream=streaming)
            setting.progress("tokenizing", account.read, max(total, account.read))


@dataclass(frozen=True)
class _Choice:
    """The rows of a dataset that are used, as they stand in its files. drawn: their numbers in the order they
    are wanted in, where that is another one.
    """

    rows: Iterator[RawRow]
    drawn: np.ndarray | None = None
    distinct: np.ndarray | None = None

    def order(self, origins: np.ndarray) -> np.ndarray:
        """Rows of the store, as drawn. origins: the position among the given rows that each one had; rows
        that were dropped have none.
        """
        assert self.drawn is not None and self.distinct is not None
        place = np.full(len(self.distinct), -1, np.int64)
        place[origins] = np.arange(len(origins))
        order = place[np.searchsorted(self.distinct, self.drawn)]
        return order[order >= 0]


def _choose(spec: DatasetSpec, sources: Sequence[Source], setting: Setting) -> _Choice:
    max_samples = setting.data.max_samples
    if spec.num_samples is None:
        return _Choice(open_rows(spec, sources, max_samples, setting.seed))
    drawn = choose_rows(count_rows(sources), spec, max_samples, setting.seed)
    distinct = np.unique(drawn)
    wanted = iter(distinct.tolist())

    def rows() -> Iterator[RawRow]:
        number = next(wanted, None)
        for index, row in enumerate(rows_from(sources, 0)):
            if number is None:
                return
            if index == number:
                yield row
                number = next(wanted, None)

    return _Choice(rows(), drawn, distinct)


def open_rows(
    spec: DatasetSpec, sources: Sequence[Source], max_samples: int | None, seed: int
) -> Iterator[RawRow]:
    """The chosen rows as a stream; the files are counted only where the choice needs it."""
    return stream_rows(
        lambda start: rows_from(sources, start), spec, max_samples, seed, count=lambda: count_rows(sources)
    )


def rows_from(sources: Sequence[Source], start: int) -> Iterator[RawRow]:
    """(file, number, row) of all files in turn, from the start-th row on."""
    for number, source in enumerate(sources):
        if start and number < len(sources) - 1:
            here = source.count()
            if start >= here:
                start -= here
                continue
        file = str(source.path)
        for place, row in source.rows(start):
            yield file, place, row
        start = 0


def count_rows(sources: Sequence[Source]) -> int:
    return sum(source.count() for source in sources)


def choose_workers(data: DataArgs, sources: Sequence[Source]) -> int:
    """As many as asked for; otherwise the cores this process may count on, where there is much to do."""
    if not can_fork():
        return 1
    if data.preprocessing_num_workers is not None:
        return data.preprocessing_num_workers
    size = sum(source.path.stat().st_size for source in sources)
    if size < _WORTH_WORKERS_BYTES:
        return 1
    return max(1, min(probe_machine().cpu_count // world_size(), _MAX_WORKERS))


def cache_key(spec: DatasetSpec, sources: Sequence[Source], setting: Setting) -> str:
    data = setting.data
    facts = {
        "version": CACHE_VERSION,
        "files": [("".join(source.path.suffixes), source.digest()) for source in sources],
        "mapping": spec.mapping(),
        "template": setting.chat.fingerprint,
        "tokenizer": tokenizer_digest(setting.chat.tokenizer),
        "seed": setting.seed if spec.num_samples else None,
        "stage": setting.stage,
        "arguments": [
            None if setting.stage == "pt" else data.cutoff_len,
            data.max_samples,
            data.mask_history,
            data.train_on_prompt,
        ],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def tokenizer_digest(tokenizer: Any) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return ""
    # Truncation and padding are state left by earlier calls; neither is used here.
    backend.no_truncation()
    backend.no_padding()
    return hashlib.sha256(backend.to_str().encode()).hexdigest()


def batched(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    items = iter(items)
    while batch := list(itertools.islice(items, size)):
        yield batch


def _estimate_rows(sources: Sequence[Source], at_least: int, mean: float) -> int:
    """Rows in all, told from the mean size of the first ones; columnar files say it themselves."""
    if all(source.path.suffix in (".parquet", ".arrow") for source in sources):
        return max(at_least, count_rows(sources))
    size = sum(source.path.stat().st_size for source in sources)
    return max(at_least, round(size / mean) if mean else 0)


def _written_size(row: Any) -> int:
    """Bytes of the row as JSON, roughly: it may be no proper row at all."""
    try:
        return len(json.dumps(row, ensure_ascii=False, default=str).encode(errors="replace"))
    except RecursionError:
        return 1


def _take_notes(chat: ChatTemplate, notes: Iterable[str]) -> None:
    chat.notes.extend(note for note in notes if note not in chat.notes)
