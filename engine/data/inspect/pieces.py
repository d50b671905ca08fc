"""Token ids as text a person can read: one text per token that together are the whole text, and what a token
holds where it is only a part of a character.

Try: python -c "from transformers import AutoTokenizer as A; from engine.data.inspect.pieces import *; t =
A.from_pretrained('data/tiny-qwen3'); print(token_texts(t('你好').input_ids, t))"
"""

from __future__ import annotations

import codecs
import functools
import json
import re
from collections.abc import Sequence
from typing import Any

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_BLANK = "\u2581"


def token_texts(ids: Sequence[int], tokenizer: Any) -> list[tuple[str, str]]:
    """(text, piece) of each token. A character that several tokens share stands whole on the last of them;
    `piece` is then what the token itself holds, as `\\xe4\\xbd`; else "".
    """
    words = tokenizer.convert_ids_to_tokens(list(ids))
    kind = _kind(tokenizer)
    added = tokenizer.added_tokens_decoder
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    shown: list[tuple[str, str]] = []
    for number, (token, word) in enumerate(zip(ids, words, strict=True)):
        blob = added[token].content.encode() if token in added else _bytes_of(str(word), kind)
        text = decoder.decode(blob, final=number == len(ids) - 1)
        shown.append((text, _spell(blob)))
    return shown


def _spell(blob: bytes) -> str:
    """The bytes of something that is no text by itself; "" for what is."""
    try:
        blob.decode()
    except UnicodeDecodeError:
        return "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in blob)
    return ""


def _bytes_of(word: str, kind: str) -> bytes:
    if kind == "bytes":
        table = _byte_of_letter()
        if all(letter in table for letter in word):
            return bytes(table[letter] for letter in word)
        return word.encode(errors="replace")
    if match := _BYTE.fullmatch(word):
        return bytes([int(match.group(1), 16)])
    if kind == "pieces":
        return word.replace(_BLANK, " ").encode(errors="replace")
    return word.removeprefix("##").encode(errors="replace")


def _kind(tokenizer: Any) -> str:
    """How tokens are spelt: bytes (byte-level BPE), pieces (a sign for a blank), words."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    decoder = getattr(backend, "decoder", None)
    if decoder is None:
        return "words"
    names = json.dumps(json.loads(decoder.__getstate__()))
    if '"ByteLevel"' in names:
        return "bytes"
    return "pieces" if '"Metaspace"' in names or _BLANK in names or "\\u2581" in names else "words"


@functools.cache
def _byte_of_letter() -> dict[str, int]:
    """Byte-level BPE spells each byte as one printable letter: the printable ones as themselves, the others,
    in order, from U+0100 on.
    """
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(others)}
