"""Rendered text -> token ids and a mask of what is learnt, a batch at a time. Never changes an id to fit a
span.

The whole text is encoded at once (for named templates: from cut to cut) and answers are found by character
offsets, so the ids are those of the plain text. A token that reaches over the border of an answer is not
learnt.
Try: python -m engine.data.preview data/tiny-qwen3 identity
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from engine.data.render import learnt_spans
from engine.errors import DataError
from engine.templates.base import Rendered, Turn

IGNORE = -100


@dataclass(frozen=True)
class TokenBatch:
    """Rows one after another. ids: int32, learn: uint8 (0 or 1), lengths: int64 per row, truncated: bool per
    row.
    """

    ids: np.ndarray
    learn: np.ndarray
    lengths: np.ndarray
    truncated: np.ndarray

    def row(self, number: int) -> tuple[list[int], list[int]]:
        """input_ids and labels of one row."""
        start = int(self.lengths[:number].sum())
        window = slice(start, start + int(self.lengths[number]))
        labels = np.where(self.learn[window], self.ids[window], IGNORE)
        return self.ids[window].tolist(), labels.tolist()


def encode(
    rendered: Sequence[Rendered],
    tokenizer: Any,
    *,
    cutoff_len: int,
    mask_history: bool,
    train_on_prompt: bool,
) -> TokenBatch:
    """Tokenise rows and cut the long ones to `cutoff_len` turn by turn. A row may come out with nothing
    learnt.
    """
    flat: list[int] = []
    marks: list[tuple[int, int]] = []
    lengths, truncated = [], []
    for row, encodings in zip(rendered, _encode_texts(rendered, tokenizer), strict=True):
        base = len(flat)
        size = sum(len(part) for part in encodings)
        learnt = learnt_spans(row, mask_history=mask_history, train_on_prompt=train_on_prompt)
        index = _TokenIndex(row, encodings)
        if size <= cutoff_len:
            for part in encodings:
                flat.extend(part.ids)
            marks.extend((base + index.at(start), base + index.at(end)) for start, end in learnt)
        else:
            ids = [token for part in encodings for token in part.ids]
            wanted = [False] * size
            for start, end in learnt:
                wanted[index.at(start) : index.at(end)] = [True] * (index.at(end) - index.at(start))
            kept = truncate(
                [_token_turn(turn, index) for turn in row.turns], cutoff_len, from_end=mask_history
            )
            for position in (position for window in kept for position in window):
                if wanted[position]:
                    marks.append((len(flat), len(flat) + 1))
                flat.append(ids[position])
        lengths.append(len(flat) - base)
        truncated.append(size > cutoff_len)
    learn = np.zeros(len(flat), np.uint8)
    for start, end in marks:
        learn[start:end] = 1
    return TokenBatch(np.array(flat, np.int32), learn, np.array(lengths, np.int64), np.array(truncated, bool))


def truncate(turns: Sequence[Turn], cutoff_len: int, *, from_end: bool = False) -> list[range]:
    """Which token positions of the turns stay. Turns are served in order (from the last with `from_end`)
    while there is room.

    A turn that does not fit shares its room between prompt and answer (see `share`); the prompt loses the end
    of the user's words, never the header that calls for the answer. A later turn whose answer would vanish is
    left out whole.
    """
    left = cutoff_len
    kept: list[list[range]] = []
    for turn in reversed(turns) if from_end else turns:
        prompt_len, answer_len = turn.answer - turn.start, turn.end - turn.answer
        prompt_room, answer_room = share(prompt_len, answer_len, left)
        if kept and (answer_room == 0 or prompt_room < min(prompt_len, turn.answer - turn.header)):
            break
        header_start = max(turn.header, turn.answer - prompt_room)
        words = prompt_room - (turn.answer - header_start)
        windows = [
            range(turn.start, turn.start + words),
            range(header_start, turn.answer),
            range(turn.answer, turn.answer + answer_room),
        ]
        kept.append(windows)
        left -= prompt_room + answer_room
        if left <= 0:
            break
    return [window for windows in (reversed(kept) if from_end else kept) for window in windows]


def share(prompt_len: int, answer_len: int, room: int) -> tuple[int, int]:
    """Tokens of prompt and answer that fit into `room`: the part below half the room stays whole, else both
    shrink alike.
    """
    if prompt_len + answer_len <= room:
        return prompt_len, answer_len
    if answer_len * 2 < room:
        kept = answer_len
    elif prompt_len * 2 < room:
        kept = room - prompt_len
    else:
        kept = room * answer_len // (prompt_len + answer_len)
    kept = min(kept, answer_len)
    return min(prompt_len, room - kept), kept


def _encode_texts(rendered: Sequence[Rendered], tokenizer: Any) -> list[list[Any]]:
    """Per row its encodings, one from cut to cut."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise DataError(
            f"{type(tokenizer).__name__} cannot be used for training: it has no fast (tokenizers) backend"
        )
    # A call of the tokenizer may have left truncation or padding switched on in the shared backend.
    backend.no_truncation()
    backend.no_padding()
    texts: list[str] = []
    for row in rendered:
        bounds = (0, *row.cuts, len(row.text))
        texts.extend(row.text[start:end] for start, end in pairwise(bounds))
    encodings = iter(backend.encode_batch(texts, add_special_tokens=False))
    return [[next(encodings) for _ in range(len(row.cuts) + 1)] for row in rendered]


class _TokenIndex:
    """Character position -> index of the first token that begins there or later."""

    def __init__(self, row: Rendered, encodings: Sequence[Any]) -> None:
        self._length = len(row.text)
        self._starts = (0, *row.cuts)
        self._encodings = encodings

    def at(self, position: int) -> int:
        index = 0
        ends = (*self._starts[1:], self._length)
        for start, end, encoding in zip(self._starts, ends, self._encodings, strict=True):
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
    offsets = None
    while token < len(encoding):
        offsets = encoding.token_to_chars(token)
        if offsets is None or offsets[0] >= position:
            break
        token += 1
    return int(token)


def _token_turn(turn: Turn, index: _TokenIndex) -> Turn:
    """The same borders counted in tokens."""
    start, header, answer = index.at(turn.start), index.at(turn.header), index.at(turn.answer)
    return Turn(start, header, answer, index.at(turn.stop), index.at(turn.end))
