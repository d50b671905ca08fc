"""Images, videos and audios of a row, and their placeholders in its texts. Opens no file.

A cell holds a list of paths or addresses (one alone may stand without its list). An object {"path", "bytes"},
as hub datasets have it, gives its path, or a data: address when it carries the bytes. Relative paths stay
relative; media_dir is put before them where they are opened.
Try: python -c "from engine.data.formats.media import read_media; print(read_media('a.png', 'images'))"
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.data.example import Message
from engine.data.formats.cells import kind_name, list_of, text_of
from engine.data.registry.spec import DatasetSpec
from engine.data.report import RowError

PLACEHOLDERS: Mapping[str, str] = {"images": "<image>", "videos": "<video>", "audios": "<audio>"}
Media = dict[str, tuple[str, ...]]


def build_media_reader(spec: DatasetSpec) -> Callable[[Mapping[str, Any]], Media]:
    """row -> the media of every kind that the entry maps, {} where it maps none."""
    columns = [(kind, spec.columns[kind]) for kind in PLACEHOLDERS if kind in spec.columns]

    def read(row: Mapping[str, Any]) -> Media:
        return {kind: read_media(row.get(column), column) for kind, column in columns}

    return read


def read_media(value: object, column: str) -> tuple[str, ...]:
    """The addresses in a cell."""
    if (isinstance(value, str) and not value.startswith("[")) or isinstance(value, dict | bytes):
        value = [value] if value else []
    items = list_of(value, column, "a list of paths")
    return tuple(address_of(item, column, f"value {number}") for number, item in enumerate(items, 1))


def address_of(item: object, column: str, what: str) -> str:
    """One medium as a path or address."""
    if isinstance(item, dict):
        item = item.get("bytes") or item.get("path")
    if isinstance(item, bytes):
        return "data:application/octet-stream;base64," + base64.b64encode(item).decode()
    if isinstance(item, list):
        raise RowError(
            column, f"{what} is a list; frames of a video are not supported, name the video's file"
        )
    if not isinstance(item, str | None):
        raise RowError(column, f"{what} is {kind_name(item)}, expected a path")
    if not item:
        raise RowError(column, f"{what} is empty, expected a path")
    return text_of(item, column, what)


def check_placeholders(
    media: Media, columns: Mapping[str, str], messages: Sequence[Message], answers: Sequence[Message] = ()
) -> None:
    """Each medium has its placeholder in a message. A pair's answers are counted one at a time. Raises
    RowError naming both counts.
    """
    for kind, items in media.items():
        word = PLACEHOLDERS[kind]
        spoken = sum(message.content.count(word) for message in messages)
        for count in {spoken + answer.content.count(word) for answer in answers} or {spoken}:
            if count != len(items):
                raise RowError(
                    columns[kind],
                    f"holds {_counted(len(items), kind.removesuffix('s'))}, but the messages hold "
                    f"{_counted(count, f'{word} placeholder')}; the counts must be equal",
                )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
