"""Images, videos and audios, and their placeholders."""

# ruff: noqa: E501 - messages stand as a person sees them
from __future__ import annotations

import pytest

from tests.data.formats import (
    gpt,
    human,
    read,
    reason,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a.png", ("a.png",)),
        (["a.png"], ("a.png",)),
        ('["a.png"]', ("a.png",)),
        ({"path": "a.png", "bytes": None}, ("a.png",)),
        ([{"path": "a.png", "bytes": b"A"}], ("data:application/octet-stream;base64,QQ==",)),
        (b"A", ("data:application/octet-stream;base64,QQ==",)),
    ],
)
def test_media(value: object, expected: tuple[str, ...]) -> None:
    row = {"conversations": [human("<image>"), gpt("b")], "pics": value}
    assert read(row, "sharegpt", columns={"images": "pics"}).images == expected


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("<image>", [], "holds 0 images, but the messages hold 1 <image> placeholder; the counts must be equal"),
        ("a", ["a.png"], "holds 1 image, but the messages hold 0 <image> placeholders; the counts must be equal"),
        ("<image>", ["a.png", 3], "value 2 is a number, expected a path"),
        ("<image>", [""], "value 1 is empty, expected a path"),
        ("<image>", 3, "is a number, expected a list of paths"),
        ("<image>", [["1.png", "2.png"]], "value 1 is a list; frames of a video are not supported, name the video's file"),
    ],
)  # fmt: skip
def test_bad_media(text: str, value: object, expected: str) -> None:
    row = {"conversations": [human(text), gpt("b")], "pics": value}
    assert reason(row, "sharegpt", columns={"images": "pics"}) == f"pics: {expected}"


def test_placeholder_words_are_text_where_no_column_is_mapped() -> None:
    row = {"conversations": [human("What is <image> in HTML?"), gpt("b")]}
    assert read(row, "sharegpt").images == ()


def test_placeholders_of_a_pair_count_with_each_answer() -> None:
    row = {"conversations": [human("<image>")], "chosen": "<image>", "rejected": "b", "images": ["a", "b"]}
    assert reason(row, "sharegpt", "pair", ranking=True, columns={"images": "images"}) == (
        "images: holds 2 images, but the messages hold 1 <image> placeholder; the counts must be equal"
    )
