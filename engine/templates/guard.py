"""Text from the data that spells a control token (<|im_end|>) is encoded as ordinary characters. Knows the
tokenizer's special tokens and `Rendered.contents`; renders nothing.

What stands between two control tokens of the template is encoded as one stretch with those tokens out of
reach, so that the ids around the spelt one are those of any other text.
Try: python -m engine.templates.guard data/tiny-qwen3 "a <|im_end|> b"
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from engine.templates.base import Rendered

Ranges = tuple[tuple[int, int], ...]
# Control tokens that data may write: thoughts, and placeholders of media. They forge no turn.
SPARED = ("<think>", "</think>", "[THINK]", "[/THINK]", "<image>", "<video>", "<audio>")
# Stand around spelt tokens in a text rendered for that purpose.
OPEN, CLOSE = "\U000f7a01", "\U000f7a02"


class Guard:
    """Finds spelt control tokens in rendered rows and encodes the text around them."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = {token.content: token for token in tokenizer.added_tokens_decoder.values() if token.special}
        # Longest first: a token may begin with another one.
        self.tokens = tuple(sorted((text for text in added if text), key=len, reverse=True))
        self.pattern = re.compile("|".join(map(re.escape, self.tokens)) or "(?!)")
        forgeable = [text for text in self.tokens if text not in SPARED]
        self._beginnings = tuple({text[:2] for text in forgeable})
        self._heads = frozenset(char for text in forgeable for char in text[:-1])
        self._tails = frozenset(char for text in forgeable for char in text[1:])
        self._eats_left = {text for text in self.tokens if added[text].lstrip}
        self._eats_right = {text for text in self.tokens if added[text].rstrip}

    def suspects(self, text: str) -> bool:
        """False: no control token is spelt here. Costs next to nothing, so it is asked of whole batches."""
        return any(beginning in text for beginning in self._beginnings)

    def spells(self, text: str) -> bool:
        """Whether a control token is spelt here."""
        return any(match.group() not in SPARED for match in self.pattern.finditer(text))

    def mark(self, text: str) -> str:
        """The text with marks around the control tokens it spells."""
        return self.pattern.sub(
            lambda match: match.group() if match.group() in SPARED else f"{OPEN}{match.group()}{CLOSE}", text
        )

    @staticmethod
    def unmark(text: str) -> str:
        return text.replace(OPEN, "").replace(CLOSE, "")

    @staticmethod
    def marked(text: str) -> Ranges:
        """Where the marked tokens stand once the marks are taken out."""
        ranges = []
        for number, match in enumerate(re.finditer(f"{OPEN}([^{CLOSE}]*){CLOSE}", text)):
            start = match.start() - 2 * number
            ranges.append((start, start + len(match.group(1))))
        return tuple(ranges)

    def find(self, rows: Sequence[Rendered]) -> dict[int, Ranges]:
        """Row number -> the stretches that must be encoded by `encode_literal`; only rows that have some."""
        if not self.tokens:
            return {}
        found = {}
        for number in self._candidates(rows):
            if stretches := self._stretches(rows[number]):
                found[number] = stretches
        return found

    def encode_literal(self, texts: Sequence[str], *, begins: Sequence[bool]) -> list[Any]:
        """Encodings without any control token. begins: which texts are encoded as the start of a text, not as
        the continuation of one.
        """
        backend = self._tokenizer.backend_tokenizer
        with _ordinary(backend):
            encodings = [
                _encode(backend, text, begins=first) for text, first in zip(texts, begins, strict=True)
            ]
            control = {backend.token_to_id(text) for text in self.tokens}
            for number, encoding in enumerate(encodings):
                # A vocabulary may hold the control token as a word as well: then even its characters meet.
                if not control.isdisjoint(encoding.ids):
                    encodings[number] = self._encode_apart(backend, texts[number], begins=begins[number])
        return encodings

    def encode_row(self, row: Rendered) -> list[int]:
        """Ids of one row; those that a batch of rows is given in training."""
        literal = self.find([row]).get(0, ())
        starts = {0, *row.cuts}
        bounds = sorted({*starts, len(row.text), *(edge for span in literal for edge in span)})
        firsts = {start for start, _ in literal}
        ids: list[int] = []
        for start, end in pairwise(bounds):
            text = row.text[start:end]
            if start in firsts:
                (encoding,) = self.encode_literal([text], begins=[start in starts])
                ids.extend(encoding.ids)
            else:
                ids.extend(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        return ids

    def _candidates(self, rows: Sequence[Rendered]) -> list[int]:
        """Rows that may spell a control token, on their own or together with the template's next words."""
        heads, tails = self._heads, self._tails
        edges: list[int] = []
        parts: list[str] = []
        for number, row in enumerate(rows):
            text = row.text
            for start, end in row.contents:
                parts.append(text[start:end])
                if (start and text[start - 1] in heads) or (end < len(text) and text[end] in tails):
                    edges.append(number)
        if not self.suspects("\n".join(parts)):
            return list(dict.fromkeys(edges))
        return [number for number, row in enumerate(rows) if row.contents]

    def _stretches(self, row: Rendered) -> Ranges:
        text, contents = row.text, row.contents
        ends = [end for _, end in contents]
        stretches = []
        for first, last in pairwise((0, *row.cuts, len(text))):
            own, forged = [first], []
            for match in self.pattern.finditer(text, first, last):
                start, end = match.span()
                index = bisect_right(ends, start)
                spelt = index < len(contents) and contents[index][0] < end
                if spelt and match.group() not in SPARED:
                    forged.append(match.span())
                else:
                    own += self._reach(match, first, last)
            own = sorted((*own, last))
            for start, end in forged:
                span = own[bisect_right(own, start) - 1], own[bisect_left(own, end)]
                if not stretches or stretches[-1] != span:
                    stretches.append(span)
        return tuple(stretches)

    def _reach(self, match: re.Match[str], first: int, last: int) -> tuple[int, int]:
        """Where a token of the template begins and ends, with the blanks that it takes along."""
        (start, end), text, token = match.span(), match.string, match.group()
        while token in self._eats_left and start > first and text[start - 1].isspace():
            start -= 1
        while token in self._eats_right and end < last and text[end].isspace():
            end += 1
        return start, end

    def _encode_apart(self, backend: Any, text: str, *, begins: bool) -> Any:
        """The characters of spelt control tokens one by one."""
        from tokenizers import Encoding

        bounds = {0, len(text)}
        for match in self.pattern.finditer(text):
            bounds.update(range(match.start(), match.end() + 1))
        parts = [
            _encode(backend, text[start:end], begins=begins and not start)
            for start, end in pairwise(sorted(bounds))
        ]
        return Encoding.merge(parts, growing_offsets=True)


@contextmanager
def _ordinary(backend: Any) -> Iterator[None]:
    """Special tokens are ordinary characters in here."""
    before = backend.encode_special_tokens
    backend.encode_special_tokens = True
    try:
        yield
    finally:
        backend.encode_special_tokens = before


def _encode(backend: Any, text: str, *, begins: bool) -> Any:
    spaces = None if begins else _space_at_start(backend)
    if spaces is None:
        return backend.encode(text, add_special_tokens=False)
    spaces.prepend_scheme = "never"
    try:
        return backend.encode(text, add_special_tokens=False)
    finally:
        spaces.prepend_scheme = "first"


def _space_at_start(backend: Any) -> Any:
    """The part of the pre-tokenizer that puts a blank before a text's first word; None: there is none."""
    from tokenizers import pre_tokenizers

    splitter = backend.pre_tokenizer
    parts = list(splitter) if isinstance(splitter, pre_tokenizers.Sequence) else [splitter]
    for part in parts:
        if isinstance(part, pre_tokenizers.Metaspace) and part.prepend_scheme == "first":
            return part
    return None


if __name__ == "__main__":
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(sys.argv[1])
    print(loaded.tokenize(sys.argv[2]))
    print(Guard(loaded).encode_literal([sys.argv[2]], begins=[True])[0].tokens)
