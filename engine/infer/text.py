"""From token ids to text while the tokens are still coming. Knows no model and no torch.

A byte-level tokenizer cuts characters anywhere: one Chinese character or emoji is often two or three tokens.
Nothing is handed out until it is a whole character, so that every piece is valid text and the pieces joined
are exactly what decoding all ids at once gives.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

REPLACEMENT = "\ufffd"
LONGEST_CHARACTER = 4
"""bytes of UTF-8 in one character, hence at most as many byte-level tokens"""


class Detokenizer:
    """Feed ids with `push`, end with `flush`; both return the text that became certain."""

    def __init__(self, tokenizer: Any, *, skip_special_tokens: bool = True) -> None:
        self._tokenizer = tokenizer
        self._skip = skip_special_tokens
        self._ids: list[int] = []
        self._start = 0  # decoding starts here: the tokens before it no longer influence the text
        self._done = 0  # text of ids[:done] has been handed out

    def push(self, token_id: int) -> str:
        """Take one more id; return the new text, empty while a character is incomplete."""
        self._ids.append(token_id)
        before, after = self._decode(self._start, self._done), self._decode(self._start, len(self._ids))
        waiting = len(self._ids) - self._done
        if after.endswith(REPLACEMENT) and waiting < LONGEST_CHARACTER:
            return ""
        if len(after) <= len(before):
            return ""
        self._start, self._done = self._done, len(self._ids)
        return after[len(before) :]

    def flush(self) -> str:
        """The rest, without a character that was cut off in the middle."""
        before, after = self._decode(self._start, self._done), self._decode(self._start, len(self._ids))
        self._start = self._done = len(self._ids)
        return after[len(before) :].rstrip(REPLACEMENT)

    def _decode(self, start: int, end: int) -> str:
        text: str = self._tokenizer.decode(
            self._ids[start:end], skip_special_tokens=self._skip, clean_up_tokenization_spaces=False
        )
        return text


class StopText:
    """Cuts a stream of text before the first of some stop strings, even one spread over several pieces."""

    def __init__(self, stops: Iterable[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.found = False

    def push(self, piece: str) -> str:
        """Take a piece; return what can be shown. Once `found`, nothing more is."""
        if self.found or not self._stops:
            return "" if self.found else piece
        text = self._held + piece
        cuts = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        if cuts:
            self.found, self._held = True, ""
            return text[: min(cuts)]
        keep = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """What was held back in case a stop string followed."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    for size in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
