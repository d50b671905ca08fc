"""TokenStream: rows read, tokenised, shuffled and packed while a run goes on, in bounded memory. The order is
decided by the seed, the epoch and the buffer alone, so a second pass gives the very same rows.

Not for random access (table.py), and it tokenises in the process that iterates it.
Try: python benchmarks/preprocess.py --rows 2000 --streamed 10000
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.data.interleave import interleave_stream, read_probs
from engine.data.read import check_columns, stop_if_bad
from engine.data.registry import DatasetSpec, hub
from engine.data.report import DataReport, DatasetReport, add_histograms, histogram
from engine.data.sources import Source, open_source
from engine.data.tokens.build import Setting, open_rows, tokenize_rows
from engine.data.tokens.pack import pack
from engine.data.tokens.store import StoreWriter, open_store
from engine.data.tokens.table import TokenTable
from engine.data.tokens.tokenize import IGNORE
from engine.errors import DataError

# (ids int32, learn uint8) of one row
TokenRow = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class _Feed:
    """One dataset of the stream."""

    spec: DatasetSpec
    sources: tuple[Source, ...]


class TokenStream:
    """An endless iterable of {"input_ids", "labels"}, packed rows with "lengths"; epoch follows epoch.

    `report` grows with the rows of the first epoch.
    """

    def __init__(self, feeds: Sequence[_Feed], setting: Setting, report: DataReport) -> None:
        self.report = report
        self._feeds, self._setting, self._data = feeds, setting, setting.data
        self._packs = bool(self._data.packing or self._data.neat_packing)
        self._held_out = 0
        self._begin_report()

    def __iter__(self) -> Iterator[dict[str, list[int]]]:
        return self.rows(seed=self._setting.seed)

    def rows(self, *, seed: int, shuffle: bool = True) -> Iterator[dict[str, list[int]]]:
        """From the first row on, for ever. Raises DataError when there is none, or too many are bad."""
        self._begin_report()
        for epoch in itertools.count():
            buffers = _chunks(
                itertools.islice(self._mixed(epoch), self._held_out, None), self._data.buffer_size
            )
            rest: list[TokenRow] = []
            for number, buffer in enumerate(buffers):
                if epoch == 0:
                    self._count(buffer)
                rng = np.random.default_rng([seed, epoch, number])
                order = rng.permutation(len(buffer)) if shuffle else np.arange(len(buffer))
                if self._setting.stage == "pt":
                    blocks, rest = _blocks([*rest, *(buffer[i] for i in order)], self._data.cutoff_len)
                    yield from map(_item, blocks)
                elif self._packs:
                    yield from self._packed(buffer, rng, shuffle=shuffle)
                else:
                    yield from (_item(buffer[i]) for i in order)
            yield from map(_item, rest)
            if epoch == 0 and not self.report.train_rows:
                raise DataError("streaming: no row is left to train on; every one was read and left out")

    def hold_out(self, count: int, cache_dir: Path) -> TokenTable:
        """The first `count` usable rows, which the stream leaves out from now on."""
        head = list(itertools.islice(self._mixed(0), count + 1))
        self._begin_report()
        if len(head) <= count:
            raise DataError(
                f"val_size={count} takes {count} of {len(head)} rows and leaves none to train on; "
                "lower it or add rows"
            )
        self._held_out = count
        ids, learn = (np.concatenate([row[part] for row in head[:count]]) for part in (0, 1))
        lengths = np.array([len(row[0]) for row in head[:count]], np.int64)
        digest = hashlib.sha256()
        for values in (ids, learn, lengths):
            digest.update(np.ascontiguousarray(values).tobytes())
        path = cache_dir / "tokens" / f"held-{digest.hexdigest()[:27]}"
        if open_store(path) is None:
            with StoreWriter(path, replace=True) as out:
                out.add(ids, learn, lengths)
                out.finish({"report": DatasetReport("held out").to_json(), "notes": []})
        store = open_store(path)
        assert store is not None, "a store is whole once it was written"
        return TokenTable([store])

    def _begin_report(self) -> None:
        report = self.report
        report.datasets = [
            DatasetReport(feed.spec.name, [str(source.path) for source in feed.sources])
            for feed in self._feeds
        ]
        report.train_rows, report.histogram = 0, []
        report.packed_rows, report.packing_fill = (0, 0.0) if self._packs else (None, None)

    def _count(self, buffer: Sequence[TokenRow]) -> None:
        for note in self._setting.chat.notes:
            self.report.note(note)
        self.report.train_rows += len(buffer)
        lengths = np.array([len(row[0]) for row in buffer])
        self.report.histogram = add_histograms(self.report.histogram, histogram(lengths))

    def _packed(
        self, buffer: Sequence[TokenRow], rng: np.random.Generator, *, shuffle: bool
    ) -> Iterator[dict[str, list[int]]]:
        report, cutoff_len = self.report, self._data.cutoff_len
        lengths = np.array([len(row[0]) for row in buffer])
        groups = pack(lengths, cutoff_len)
        if report.packed_rows is not None and report.packing_fill is not None:
            full = report.packing_fill * report.packed_rows + lengths.sum() / cutoff_len
            report.packed_rows += len(groups)
            report.packing_fill = round(full / report.packed_rows, 4)
        for which in rng.permutation(len(groups)) if shuffle else range(len(groups)):
            rows = [buffer[i] for i in groups[which]]
            item = _item(_join(rows))
            whole = [len(item["input_ids"])]
            item["lengths"] = whole if self._data.contaminated_packing else [len(row[0]) for row in rows]
            yield item

    def _mixed(self, epoch: int) -> Iterator[TokenRow]:
        """The rows of all datasets as the mixing strategy draws them."""
        accounts = self.report.datasets if epoch == 0 else [DatasetReport(f.spec.name) for f in self._feeds]
        openers = [self._opener(feed, account) for feed, account in zip(self._feeds, accounts, strict=True)]
        probs = read_probs(self._data.interleave_probs, len(openers))
        seed = self._setting.seed
        return (row for _, row in interleave_stream(openers, self._data.mix_strategy, probs, seed))

    def _opener(self, feed: _Feed, account: DatasetReport) -> Callable[[], Iterator[TokenRow]]:
        """Each call reads the dataset from its beginning; only the first time its rows are counted."""
        accounts = itertools.chain([account], iter(lambda: DatasetReport(feed.spec.name), None))
        return lambda: self._rows_of(feed, next(accounts))

    def _rows_of(self, feed: _Feed, account: DatasetReport) -> Iterator[TokenRow]:
        spec = feed.spec
        rows = open_rows(spec, feed.sources, self._data.max_samples, self._setting.seed)
        setting = replace(self._setting, data=replace(self._data, preprocessing_num_workers=1))
        for tokens, _ in tokenize_rows(rows, spec, feed.sources, setting, account, streaming=True):
            ends = np.cumsum(tokens.lengths)
            for start, end in zip((ends - tokens.lengths).tolist(), ends.tolist(), strict=True):
                yield tokens.ids[start:end], tokens.learn[start:end]
        stop_if_bad(account, self._data.max_bad_rows)


def open_stream(specs: Sequence[DatasetSpec], setting: Setting, report: DataReport) -> TokenStream:
    """Find the files and look at their columns; no row is tokenised yet."""
    feeds = []
    for spec in specs:
        sources = tuple(open_source(path) for path in hub.fetch(spec))
        check_columns(spec, sources, stage=setting.stage)
        feeds.append(_Feed(spec, sources))
    if (setting.data.preprocessing_num_workers or 1) > 1:
        report.note(
            "preprocessing_num_workers has no effect with streaming=true: rows are tokenised as they come"
        )
    return TokenStream(feeds, replace(setting, progress=lambda phase, current, total: None), report)


def _item(row: TokenRow) -> dict[str, list[int]]:
    ids, learn = row
    return {"input_ids": ids.tolist(), "labels": np.where(learn, ids, IGNORE).tolist()}


def _join(rows: Sequence[TokenRow]) -> TokenRow:
    return np.concatenate([row[0] for row in rows]), np.concatenate([row[1] for row in rows])


def _blocks(rows: Sequence[TokenRow], size: int) -> tuple[list[TokenRow], list[TokenRow]]:
    """(full blocks, the rest as one row or none)."""
    ids, learn = _join(rows)
    starts = range(0, len(ids), size)
    blocks = [(ids[start : start + size], learn[start : start + size]) for start in starts]
    return (blocks, []) if len(ids) % size == 0 else (blocks[:-1], blocks[-1:])


def _chunks(rows: Iterator[TokenRow], size: int) -> Iterator[list[TokenRow]]:
    while chunk := list(itertools.islice(rows, size)):
        yield chunk
