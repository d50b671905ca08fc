"""Where in a row's tokens a character begins. Two ways with the same answer: from the offsets the tokenizer
keeps (any tokenizer), and by counting the bytes each token stands for (byte-level ones, a whole batch at
once, without the cost of offsets).

Try: pytest tests/data/test_tokenize.py -k borders
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


class OffsetBorders:
    """Character position -> index of the first token that begins there or later, for one row.

    starts: where each encoded piece of the text begins; the pieces cover the text of `length` characters.
    """

    def __init__(self, starts: Sequence[int], length: int, encodings: Sequence[Any]) -> None:
        self._ranges = list(zip(starts, (*starts[1:], length), strict=True))
        self._encodings = encodings

    def at(self, position: int) -> int:
        index = 0
        for (start, end), encoding in zip(self._ranges, self._encodings, strict=True):
            if position < end:
                return index + (
                    _first_token(encoding, position - start, end - start) if position > start else 0
                )
            index += len(encoding)
        return index


def _first_token(encoding: Any, position: int, length: int) -> int:
    """Some characters have no token (dropped blanks), some have several: walk on until a token begins at or
    after.
    """
    token = None
    while token is None and position < length:
        token = encoding.char_to_token(position)
        position += token is None
    if token is None:
        return len(encoding)
    while token < len(encoding):
        offsets = encoding.token_to_chars(token)
        if offsets is None or offsets[0] >= position:
            break
        token += 1
    return int(token)


class ByteBorders:
    """The same for all rows of a batch, found in the running sum of bytes. Build it with `count`."""

    def __init__(self, token_starts: np.ndarray, row_starts: np.ndarray) -> None:
        self._token_starts = token_starts
        self._row_starts = row_starts

    @staticmethod
    def count(
        texts: Sequence[str], ids: np.ndarray, row_ends: np.ndarray, widths: np.ndarray, *, normalizes: bool
    ) -> tuple[ByteBorders, list[int]]:
        """texts: one a row. ids: all tokens. row_ends: int64 (rows + 1,), token counts. widths: bytes of each
        token. normalizes: the tokenizer composes characters (NFC) first.

        Second result: the rows whose tokens are not byte for byte their text; offsets have to serve those.
        """
        ends = np.concatenate(([0], np.cumsum(widths[ids], dtype=np.int64)))
        row_starts = ends[row_ends]
        covered = np.diff(row_starts).tolist()
        odd = [
            row
            for row, (text, size) in enumerate(zip(texts, covered, strict=True))
            if not (len(text) == size if text.isascii() else _covers(text, size, normalizes))
        ]
        return ByteBorders(ends[:-1], row_starts), odd

    def at(self, rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """rows, positions: int64 (N,), positions in bytes of the row's text. Token indices in the batch."""
        return np.asarray(np.searchsorted(self._token_starts, self._row_starts[rows] + positions))


class Places:
    """Borders of a whole batch, each row's found the way that serves it."""

    def __init__(
        self,
        texts: Sequence[str],
        row_ends: np.ndarray,
        counted: ByteBorders | None,
        exact: Mapping[int, OffsetBorders],
    ) -> None:
        self._texts, self._row_ends, self._counted, self._exact = texts, row_ends, counted, exact

    def find(self, edges: Mapping[int, Sequence[int]]) -> np.ndarray:
        """edges: ascending character positions per row. Their tokens' indices in the batch, int64, one after
        another.
        """
        if self._counted is None:
            return np.array([index for row in edges for index in self._exactly(row, edges[row])], np.int64)
        rows = np.repeat(np.fromiter(edges, np.int64, len(edges)), [len(found) for found in edges.values()])
        positions = [
            position
            for row, found in edges.items()
            for position in (found if row in self._exact else byte_positions(self._texts[row], found))
        ]
        indices = self._counted.at(rows, np.array(positions, np.int64))
        for row in self._exact.keys() & edges.keys():
            indices[rows == row] = self._exactly(row, edges[row])
        return indices

    def _exactly(self, row: int, found: Sequence[int]) -> list[int]:
        base, borders = int(self._row_ends[row]), self._exact[row]
        return [base + borders.at(position) for position in found]


def _covers(text: str, size: int, normalizes: bool) -> bool:
    """Composition shortens some texts and lengthens others: two could hide one another in a sum."""
    return len(text.encode()) == size and (not normalizes or unicodedata.is_normalized("NFC", text))


def byte_positions(text: str, positions: Sequence[int]) -> Sequence[int]:
    """Ascending character positions as byte positions of the UTF-8 text."""
    if text.isascii():
        return positions
    found, last, total = [], 0, 0
    for position in positions:
        total += len(text[last:position].encode())
        found.append(total)
        last = position
    return found


def byte_widths(backend: Any) -> np.ndarray | None:
    """Bytes that each token id stands for, int32 (ids,). None where the tokenizer's tokens are not bytes."""
    kind = type(backend.normalizer).__name__
    is_plain = type(backend.model).__name__ == "BPE" and type(backend.decoder).__name__ == "ByteLevel"
    if not is_plain or kind not in ("NoneType", "NFC"):
        return None
    vocabulary = backend.get_vocab(with_added_tokens=False)
    added = backend.get_added_tokens_decoder()
    size = 1 + max((*vocabulary.values(), *added), default=0)
    widths = np.zeros(size, np.int32)
    for token, number in vocabulary.items():
        widths[number] = len(token)
    for number, token in added.items():
        widths[number] = len(token.content.encode())
    return widths


def composes(backend: Any) -> bool:
    return backend.normalizer is not None
