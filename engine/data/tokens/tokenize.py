"""Rendered text -> token ids and a mask of what is learnt, a batch at a time. Never changes an id to fit a
span.

The whole text is encoded at once (for named templates: from cut to cut) and answers are found by position,
so the ids are those of the plain text. A token that reaches over the border of an answer is not learnt. Text
from the data that spells a control token is encoded as ordinary characters (engine/templates/guard.py).
Try: tunesmith data preview identity --model_name_or_path data/tiny-qwen3
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np

from engine.data.render import learnt_spans
from engine.data.tokens.borders import ByteBorders, OffsetBorders, Places, byte_widths, composes
from engine.data.tokens.cut import truncate
from engine.errors import DataError
from engine.templates.base import Rendered, Turn
from engine.templates.guard import Guard

IGNORE = -100
_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class TokenBatch:
    """Rows one after another. ids: int32, learn: uint8 (0 or 1), lengths: int64 per row, truncated and
    guarded: bool per row (guarded: its data spelt a control token, which was encoded as ordinary characters).

    kept: for each truncated row, which tokens of the whole row stay. lost: int64 per row, answers to be
    learnt of which no token stays.
    """

    ids: np.ndarray
    learn: np.ndarray
    lengths: np.ndarray
    truncated: np.ndarray
    guarded: np.ndarray
    kept: Mapping[int, tuple[range, ...]]
    lost: np.ndarray

    def row(self, number: int) -> tuple[list[int], list[int]]:
        """input_ids and labels of one row."""
        start = int(self.lengths[:number].sum())
        window = slice(start, start + int(self.lengths[number]))
        labels = np.where(self.learn[window], self.ids[window], IGNORE)
        return self.ids[window].tolist(), labels.tolist()


@dataclass(frozen=True)
class _Pieces:
    """The parts of a batch that are encoded each on its own. starts: per row, where its parts begin; texts:
    all parts; literal: which of them are ordinary characters whatever they spell, and whether they are the
    start of a text.
    """

    starts: list[tuple[int, ...]]
    texts: list[str]
    literal: dict[int, bool]
    guarded: np.ndarray


class Encoder:
    """Tokenises rows and cuts the long ones to `cutoff_len`, turn by turn. Built once, used for many batches.

    Raises DataError for a tokenizer without a fast backend.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        cutoff_len: int,
        mask_history: bool,
        train_on_prompt: bool,
        counts_bytes: bool = True,
    ) -> None:
        self.cutoff_len, self.mask_history, self.train_on_prompt = cutoff_len, mask_history, train_on_prompt
        self._backend = _backend(tokenizer)
        self._widths = byte_widths(self._backend) if counts_bytes else None
        self._guard = Guard(tokenizer)

    def __call__(self, rendered: Sequence[Rendered]) -> TokenBatch:
        """A row may come out with nothing learnt."""
        parts = list(_by_size([len(row.text) for row in rendered]))
        if len(parts) > 1:
            return _joined([self._encode_rows(rendered[part.start : part.stop]) for part in parts], parts)
        return self._encode_rows(rendered)

    def _encode_rows(self, rendered: Sequence[Rendered]) -> TokenBatch:
        pieces = self._split(rendered)
        encodings = self._encode(pieces)
        counts = np.fromiter(map(len, encodings), np.int64, len(encodings))
        ids = np.fromiter(chain.from_iterable(part.ids for part in encodings), np.int32, int(counts.sum()))
        piece_ends = np.concatenate(([0], np.cumsum(counts)))
        row_ends = piece_ends[np.cumsum([0, *map(len, pieces.starts)])]
        places = self._places(rendered, pieces, encodings, ids, row_ends)
        learn = self._learn(rendered, places, len(ids))
        sizes = np.diff(row_ends)
        truncated = sizes > self.cutoff_len
        kept = self._kept(rendered, places, row_ends, np.flatnonzero(truncated))
        lost = np.zeros(len(rendered), np.int64)
        if kept:
            for row in kept:
                lost[row] = self._count_lost(rendered[row], row, places, row_ends, kept[row])
            stays = np.ones(len(ids), bool)
            for row, windows in kept.items():
                base = row_ends[row]
                stays[base : row_ends[row + 1]] = False
                for window in windows:
                    stays[base + window.start : base + window.stop] = True
            ids, learn = ids[stays], learn[stays]
            sizes = np.diff(np.concatenate(([0], np.cumsum(stays)))[row_ends])
        return TokenBatch(ids, learn, sizes, truncated, pieces.guarded, kept, lost)

    def _split(self, rendered: Sequence[Rendered]) -> _Pieces:
        forged = self._guard.find(rendered)
        starts: list[tuple[int, ...]] = []
        texts: list[str] = []
        literal: dict[int, bool] = {}
        for number, row in enumerate(rendered):
            if number not in forged:
                bounds = (0, *row.cuts)
                texts += [row.text[start:end] for start, end in pairwise((*bounds, len(row.text)))]
            else:
                whole = {0, *row.cuts}
                edges = {edge for span in forged[number] for edge in span}
                bounds = tuple(sorted({*whole, *edges} - {len(row.text)}))
                firsts = {start for start, _ in forged[number]}
                for start, end in pairwise((*bounds, len(row.text))):
                    if start in firsts:
                        literal[len(texts)] = start in whole
                    texts.append(row.text[start:end])
            starts.append(bounds)
        guarded = np.zeros(len(rendered), bool)
        guarded[list(forged)] = True
        return _Pieces(starts, texts, literal, guarded)

    def _encode(self, pieces: _Pieces) -> list[Any]:
        """One encoding a piece. Offsets cost a fifth of the time and are made only where they are needed."""
        by_bytes = self._widths is not None
        encode_batch = self._backend.encode_batch_fast if by_bytes else self._backend.encode_batch
        encodings: list[Any] = encode_batch(pieces.texts, add_special_tokens=False)
        if pieces.literal:
            numbers = list(pieces.literal)
            words = self._guard.encode_literal(
                [pieces.texts[number] for number in numbers], begins=list(pieces.literal.values())
            )
            for number, encoding in zip(numbers, words, strict=True):
                encodings[number] = encoding
        return encodings

    def _places(
        self,
        rendered: Sequence[Rendered],
        pieces: _Pieces,
        encodings: Sequence[Any],
        ids: np.ndarray,
        row_ends: np.ndarray,
    ) -> Places:
        texts = [row.text for row in rendered]
        first = np.cumsum([0, *map(len, pieces.starts)]).tolist()
        counted: ByteBorders | None = None
        rows: Sequence[int] = range(len(texts))
        if self._widths is not None:
            counted, rows = ByteBorders.count(
                texts, ids, row_ends, self._widths, normalizes=composes(self._backend)
            )
        exact = {}
        for row in rows:
            numbers = range(first[row], first[row + 1])
            parts = [encodings[n] if counted is None else self._encode_exactly(pieces, n) for n in numbers]
            exact[row] = OffsetBorders(pieces.starts[row], len(texts[row]), parts)
        return Places(texts, row_ends, counted, exact)

    def _encode_exactly(self, pieces: _Pieces, number: int) -> Any:
        text = pieces.texts[number]
        if number in pieces.literal:
            return self._guard.encode_literal([text], begins=[pieces.literal[number]])[0]
        return self._backend.encode(text, add_special_tokens=False)

    def _learn(self, rendered: Sequence[Rendered], places: Places, size: int) -> np.ndarray:
        borders = places.find({number: self._learnt_edges(row) for number, row in enumerate(rendered)})
        steps = np.zeros(size + 1, np.int8)
        np.add.at(steps, borders[0::2], 1)
        np.add.at(steps, borders[1::2], -1)
        return np.cumsum(steps[:-1], dtype=np.int8).view(np.uint8)

    def _learnt_edges(self, row: Rendered) -> list[int]:
        spans = learnt_spans(row, mask_history=self.mask_history, train_on_prompt=self.train_on_prompt)
        return [edge for span in spans for edge in span]

    def _count_lost(
        self, row: Rendered, number: int, places: Places, row_ends: np.ndarray, windows: Sequence[range]
    ) -> int:
        borders = (places.find({number: self._learnt_edges(row)}) - row_ends[number]).tolist()
        spans = zip(borders[0::2], borders[1::2], strict=True)
        return sum(
            not any(max(begin, window.start) < min(end, window.stop) for window in windows)
            for begin, end in spans
        )

    def _kept(
        self, rendered: Sequence[Rendered], places: Places, row_ends: np.ndarray, rows: np.ndarray
    ) -> dict[int, tuple[range, ...]]:
        kept = {}
        for row in rows.tolist():
            edges = [
                edge
                for turn in rendered[row].turns
                for edge in (turn.start, turn.header, turn.answer, turn.stop, turn.end)
            ]
            found = (places.find({row: edges}) - row_ends[row]).reshape(-1, 5).tolist()
            windows = truncate([Turn(*turn) for turn in found], self.cutoff_len, from_end=self.mask_history)
            kept[row] = tuple(windows)
        return kept


def encode(
    rendered: Sequence[Rendered],
    tokenizer: Any,
    *,
    cutoff_len: int,
    mask_history: bool,
    train_on_prompt: bool,
) -> TokenBatch:
    """A few rows at once, without the preparation that pays for many. The ids and masks of `Encoder`."""
    encoder = Encoder(
        tokenizer,
        cutoff_len=cutoff_len,
        mask_history=mask_history,
        train_on_prompt=train_on_prompt,
        counts_bytes=False,
    )
    return encoder(rendered)


def _by_size(sizes: Sequence[int]) -> Iterator[range]:
    """Rows in groups of about _AT_ONCE characters: the tokenizer holds fifty times as much of them."""
    start, held = 0, 0
    for number, size in enumerate(sizes):
        if held and held + size > _AT_ONCE:
            yield range(start, number)
            start, held = number, 0
        held += size
    yield range(start, len(sizes))


def _joined(batches: Sequence[TokenBatch], parts: Sequence[range]) -> TokenBatch:
    arrays = ("ids", "learn", "lengths", "truncated", "guarded", "lost")
    kept = {
        row + part.start: windows
        for batch, part in zip(batches, parts, strict=True)
        for row, windows in batch.kept.items()
    }
    return TokenBatch(
        **{name: np.concatenate([getattr(batch, name) for batch in batches]) for name in arrays}, kept=kept
    )


def _backend(tokenizer: Any) -> Any:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise DataError(
            f"{type(tokenizer).__name__} cannot be used for training: it has no fast (tokenizers) backend"
        )
    # A call of the tokenizer may have left truncation or padding switched on in the shared backend.
    backend.no_truncation()
    backend.no_padding()
    return backend
