"""Text out of a stream of byte tokens: whole characters only, and all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.infer.text import REPLACEMENT, Detokenizer, StopText


@pytest.fixture(scope="module")
def tokenizer(tiny_random: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_random)


def stream(tokenizer: Any, ids: list[int]) -> list[str]:
    detokenizer = Detokenizer(tokenizer)
    return [detokenizer.push(token_id) for token_id in ids] + [detokenizer.flush()]


@pytest.mark.parametrize("text", ["plain", "né à Zürich", "你好，世界", "👩‍👩‍👧 ok 🙂", "a\nb\t c", "   "])
def test_pieces_are_whole_characters_and_join_to_the_text(tokenizer: Any, text: str) -> None:
    pieces = stream(tokenizer, tokenizer.encode(text))
    assert "".join(pieces) == text
    assert not any(REPLACEMENT in piece for piece in pieces)


@settings(max_examples=60, deadline=None)
@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_survives(tokenizer: Any, text: str) -> None:
    assume(not any(token in text for token in tokenizer.all_special_tokens))  # those are left out on purpose
    assert "".join(stream(tokenizer, tokenizer.encode(text))) == text


def test_a_character_appears_with_its_last_byte_only(tokenizer: Any) -> None:
    ids = tokenizer.encode("你")
    assert len(ids) == 3
    assert stream(tokenizer, ids) == ["", "", "你", ""]


def test_an_answer_cut_inside_a_character_drops_the_half(tokenizer: Any) -> None:
    ids = tokenizer.encode("ab你")[:-1]
    assert "".join(stream(tokenizer, ids)) == "ab"


def test_bytes_that_are_no_text_do_not_hold_back_what_follows(tokenizer: Any) -> None:
    bad = tokenizer.encode("你")[1:2] * 9  # continuation bytes without a beginning
    pieces = stream(tokenizer, bad + tokenizer.encode("fine"))
    assert "".join(pieces[:9]), "invalid bytes must not be collected for ever"
    assert "".join(pieces).endswith("fine")


def test_special_tokens_are_left_out_unless_asked_for(tokenizer: Any) -> None:
    ids = [*tokenizer.encode("hi"), tokenizer.eos_token_id]
    assert "".join(stream(tokenizer, ids)) == "hi"
    shown = Detokenizer(tokenizer, skip_special_tokens=False)
    assert "".join([shown.push(token_id) for token_id in ids] + [shown.flush()]) == "hi<|im_end|>"


def cut(pieces: list[str], *stops: str) -> tuple[str, bool]:
    stop_text = StopText(stops)
    shown = "".join(stop_text.push(piece) for piece in pieces) + stop_text.flush()
    return shown, stop_text.found


@pytest.mark.parametrize(
    ("pieces", "stops", "expected"),
    [
        (["one END two"], ("END",), ("one ", True)),
        (["one E", "N", "D two", " more"], ("END",), ("one ", True)),
        (["one E", "N", "!"], ("END",), ("one EN!", False)),
        (["ends in E"], ("END",), ("ends in E", False)),
        (["a##b"], ("###", "#"), ("a", True)),
        (["anything"], (), ("anything", False)),
        (["aaab"], ("aab",), ("a", True)),
    ],
)
def test_stop_strings_cut_even_across_pieces(
    pieces: list[str], stops: tuple[str, ...], expected: tuple[str, bool]
) -> None:
    assert cut(pieces, *stops) == expected


def test_text_that_may_begin_a_stop_is_held_back() -> None:
    stop_text = StopText(["END"])
    assert stop_text.push("go E") == "go "
    assert stop_text.push("xit") == "Exit"
