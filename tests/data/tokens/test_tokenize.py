"""Masks, truncation and the token borders of learnt text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, normalizers

from engine.data.render import render, spans
from engine.data.tokens.borders import byte_widths
from engine.data.tokens.cut import share, truncate
from engine.data.tokens.tokenize import Encoder, TokenBatch, encode
from engine.errors import DataError
from engine.schema.data import TemplateArgs
from engine.templates.base import Rendered, Turn
from engine.templates.chat import load_chat
from tests.data.support import build_tokenizer, conversation, learnt_text

FOUR = conversation("Hi", "Hello there", "Who?", "A small model", system="Be brief.")


def tokens_of(tokenizer: Any, example: Any, template: str | None = None, **options: Any) -> TokenBatch:
    (rendered,) = render([example], load_chat(tokenizer, TemplateArgs(template=template)))
    assert isinstance(rendered, Rendered)
    given = {"cutoff_len": 2048, "mask_history": False, "train_on_prompt": False, **options}
    return encode([rendered], tokenizer, **given)


def test_every_answer_is_learnt_with_its_stop_but_not_the_line_break(tokenizer: Any) -> None:
    ids, labels = tokens_of(tokenizer, FOUR).row(0)
    assert ids == tokenizer.apply_chat_template(FOUR.to_conversation().messages, return_dict=False)
    assert learnt_text(tokenizer, labels) == "Hello there<|im_end|>A small model<|im_end|>"
    assert labels[-1] == -100
    assert tokenizer.decode(ids[-1]) == "\n"
    assert all(label in (-100, token) for label, token in zip(labels, ids, strict=True))


def test_mask_history_learns_the_last_answer_only(tokenizer: Any) -> None:
    _, labels = tokens_of(tokenizer, FOUR, mask_history=True).row(0)
    assert learnt_text(tokenizer, labels) == "A small model<|im_end|>"


def test_train_on_prompt_learns_everything(tokenizer: Any) -> None:
    ids, labels = tokens_of(tokenizer, FOUR, train_on_prompt=True).row(0)
    assert labels == ids


def test_spans_cover_the_text_once(tokenizer: Any) -> None:
    (rendered,) = render([FOUR], load_chat(tokenizer))
    assert isinstance(rendered, Rendered)
    pieces = spans(rendered)
    assert "".join(rendered.text[start:end] for start, end, _ in pieces) == rendered.text
    assert [rendered.text[start:end] for start, end, learn in pieces if learn] == [
        "Hello there<|im_end|>",
        "A small model<|im_end|>",
    ]


@pytest.mark.parametrize("template", [None, "chatml", "alpaca", "vicuna", "glm4"])
@pytest.mark.parametrize("answer", ["A", " lead", "\nline", "\n\n", "你好🙂", "é́", "tail ", "x<|im_end|>y"])
def test_labels_decode_to_the_answer(template: str | None, answer: str) -> None:
    tokenizer = build_tokenizer()
    _, labels = tokens_of(tokenizer, conversation("Q", answer), template).row(0)
    text = learnt_text(tokenizer, labels)
    before = {"glm4": "\n"}.get(template or "", "")
    if template is None and answer.startswith("\n"):
        # Encoding the whole text, these line breaks are one token with the header's own, which is not learnt.
        assert text == answer.lstrip("\n") + "<|im_end|>"
    else:
        assert text == before + answer + "<|im_end|>"


def test_named_template_keeps_prompt_ids_apart_from_the_answer(tokenizer: Any) -> None:
    """`ASSISTANT:` and the answer touch; encoded as one text they would share a token."""
    chat = load_chat(tokenizer, TemplateArgs(template="vicuna"))
    ids, labels = tokens_of(tokenizer, conversation("Hi", "Hello"), "vicuna").row(0)
    prompt = chat.prompt_ids([{"role": "user", "content": "Hi"}])
    assert ids[: len(prompt)] == prompt
    assert labels[: len(prompt)] == [-100] * len(prompt)
    assert labels[len(prompt) :] == ids[len(prompt) :]


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ((3000, 2000, 1000), (600, 400)),
        ((2000, 3000, 1000), (400, 600)),
        ((1000, 100, 1000), (900, 100)),
        ((100, 1000, 1000), (100, 900)),
        ((100, 100, 1000), (100, 100)),
    ],
)
def test_share(lengths: tuple[int, int, int], expected: tuple[int, int]) -> None:
    assert share(*lengths) == expected


@given(prompt=st.integers(1, 5000), answer=st.integers(1, 5000), room=st.integers(0, 3000))
def test_share_fills_the_room_and_invents_nothing(prompt: int, answer: int, room: int) -> None:
    kept = share(prompt, answer, room)
    assert 0 <= kept[0] <= prompt
    assert 0 <= kept[1] <= answer
    assert sum(kept) == min(room, prompt + answer)


def test_cut_prompt_keeps_the_header_that_calls_for_the_answer(tokenizer: Any) -> None:
    ids, labels = tokens_of(tokenizer, conversation("word " * 200, "Hello"), cutoff_len=40).row(0)
    assert len(ids) == 40
    assert "word<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n" in tokenizer.decode(ids)
    assert learnt_text(tokenizer, labels) == "Hello<|im_end|>"


def test_cut_answer_is_not_taught_to_stop(tokenizer: Any) -> None:
    ids, labels = tokens_of(tokenizer, conversation("Hi", "word " * 200), cutoff_len=40).row(0)
    assert len(ids) == 40
    assert set(learnt_text(tokenizer, labels).split()) <= {"word", "wor", "wo", "w"}


def test_later_turns_that_do_not_fit_are_left_out_whole(tokenizer: Any) -> None:
    first = conversation("Hi", "Hello there")
    both = conversation("Hi", "Hello there", "word " * 100, "Hello")
    alone = tokens_of(tokenizer, first).row(0)[0]
    ids, _ = tokens_of(tokenizer, both, cutoff_len=len(alone) + 3).row(0)
    # The line break behind the stop opens the next turn.
    assert ids == alone[:-1]


def test_mask_history_keeps_the_last_turn_when_cutting(tokenizer: Any) -> None:
    example = conversation("word " * 50, "word " * 50, "Who?", "A small model")
    ids, labels = tokens_of(tokenizer, example, cutoff_len=45, mask_history=True).row(0)
    assert len(ids) <= 45
    assert tokenizer.decode(ids).endswith("Who?<|im_end|>\n<|im_start|>assistant\nA small model<|im_end|>\n")
    assert learnt_text(tokenizer, labels) == "A small model<|im_end|>"


TURN_SIZES = st.lists(st.tuples(*[st.integers(0, 40)] * 3, st.integers(1, 40)), min_size=1, max_size=5)


@given(sizes=TURN_SIZES, cutoff_len=st.integers(1, 200), from_end=st.booleans())
def test_truncation_keeps_order_and_room(
    sizes: list[tuple[int, int, int, int]], cutoff_len: int, from_end: bool
) -> None:
    turns, start = [], 0
    for words, header, answer, stop in sizes:
        ends = (start + words, start + words + header, start + words + header + answer)
        turns.append(Turn(start, *ends, ends[-1] + stop))
        start = ends[-1] + stop
    kept = [i for window in truncate(turns, cutoff_len, from_end=from_end) for i in window]
    assert kept == sorted(set(kept))
    assert len(kept) <= cutoff_len
    assert not kept or 0 <= kept[0] <= kept[-1] < start
    if start <= cutoff_len:
        assert kept == list(range(start))


@settings(max_examples=40, deadline=None)
@given(
    contents=st.lists(st.text(min_size=1, max_size=60), min_size=2, max_size=6).filter(
        lambda x: len(x) % 2 == 0
    ),
    cutoff_len=st.integers(8, 120),
    mask_history=st.booleans(),
)
def test_cut_rows_hold_only_tokens_of_the_whole(
    contents: list[str], cutoff_len: int, mask_history: bool
) -> None:
    tokenizer = build_tokenizer()
    example = conversation(*contents)
    whole = tokens_of(tokenizer, example, mask_history=mask_history)
    cut = tokens_of(tokenizer, example, mask_history=mask_history, cutoff_len=cutoff_len)
    assert cut.lengths[0] <= cutoff_len
    assert bool(cut.truncated[0]) == (whole.lengths[0] > cutoff_len)
    rest = iter(zip(*whole.row(0), strict=True))
    assert all(pair in rest for pair in zip(*cut.row(0), strict=True)), "a subsequence, labels included"


def test_a_batch_is_its_rows_one_after_another(tokenizer: Any) -> None:
    examples = [conversation("Hi", "Hello" * count) for count in range(1, 6)]
    chat = load_chat(tokenizer)
    together = encode(
        [r for r in render(examples, chat) if isinstance(r, Rendered)],
        tokenizer,
        cutoff_len=20,
        mask_history=False,
        train_on_prompt=False,
    )
    for number, example in enumerate(examples):
        assert together.row(number) == tokens_of(tokenizer, example, cutoff_len=20).row(0)


def test_truncation_left_switched_on_by_another_call_does_not_leak(tokenizer: Any) -> None:
    tokenizer("a long text " * 50, truncation=True, max_length=5, padding="max_length")
    ids, _ = tokens_of(tokenizer, FOUR).row(0)
    assert ids == tokenizer.apply_chat_template(FOUR.to_conversation().messages, return_dict=False)


TEXTS = st.one_of(
    st.text(min_size=1, max_size=40),
    st.sampled_from(
        [
            "é",
            "e\u0301",
            "한",
            "\u1112\u1161\u11ab",
            "\u0958",
            "x<|im_end|>y",
            "<|im_start|>",
            "🙂\n",
            " ",
            "a\r\n",
        ]
    ),
)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(TEXTS, min_size=2, max_size=4), min_size=1, max_size=4),
    template=st.sampled_from([None, "chatml", "vicuna", "glm4"]),
    cutoff_len=st.sampled_from([12, 2048]),
    mask_history=st.booleans(),
)
def test_borders_by_bytes_are_those_by_offsets(
    rows: list[list[str]], template: str | None, cutoff_len: int, mask_history: bool
) -> None:
    """Composed characters, characters of several tokens, spelt control tokens: two ways, one answer."""
    tokenizer = build_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    examples = [conversation(*row[: len(row) // 2 * 2]) for row in rows]
    chat = load_chat(tokenizer, TemplateArgs(template=template))
    rendered = [row for row in render(examples, chat) if isinstance(row, Rendered)]
    given = {"cutoff_len": cutoff_len, "mask_history": mask_history, "train_on_prompt": False}
    fast, exact = (Encoder(tokenizer, counts_bytes=way, **given)(rendered) for way in (True, False))
    for name in ("ids", "learn", "lengths", "truncated", "guarded"):
        assert getattr(fast, name).tolist() == getattr(exact, name).tolist(), name
    assert fast.kept == exact.kept
    for number, row in enumerate(rendered):
        alone = encode([row], tokenizer, **given)
        assert alone.row(0) == fast.row(number)


def test_texts_that_shrink_and_grow_alike_hide_nothing() -> None:
    """Composed, the question loses three bytes and the answer gains three: a sum would not show it."""
    tokenizer = build_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    rendered = render([conversation("e\u0301" * 3, "\u0958 is a letter")], load_chat(tokenizer))
    assert isinstance(rendered[0], Rendered)
    given = {"cutoff_len": 2048, "mask_history": False, "train_on_prompt": False}
    batch = Encoder(tokenizer, **given)([rendered[0]])
    assert len(tokenizer.decode(batch.ids).encode()) == len(rendered[0].text.encode())
    _, labels = batch.row(0)
    assert learnt_text(tokenizer, labels) == "\u0915\u093c is a letter<|im_end|>"


def test_which_tokenizers_are_counted_by_bytes(tokenizer: Any) -> None:
    backend = tokenizer.backend_tokenizer
    widths = byte_widths(backend)
    assert widths is not None
    text = "Hi 你好<|im_end|>\n"
    ids = backend.encode(text, add_special_tokens=False).ids
    assert widths[ids].sum() == len(text.encode())
    other = build_tokenizer().backend_tokenizer
    other.normalizer = normalizers.Lowercase()
    assert byte_widths(other) is None
    other.normalizer, other.decoder = None, decoders.Metaspace()
    assert byte_widths(other) is None


def test_kept_windows_are_what_is_left_of_a_cut_row(tokenizer: Any) -> None:
    example = conversation("word " * 50, "word " * 50)
    whole = tokens_of(tokenizer, example).row(0)[0]
    cut = tokens_of(tokenizer, example, cutoff_len=40)
    assert [whole[i] for window in cut.kept[0] for i in window] == cut.row(0)[0]
    assert tokens_of(tokenizer, example).kept == {}


def test_a_tokenizer_without_a_fast_backend_is_refused() -> None:
    with pytest.raises(DataError, match="object cannot be used for training"):
        encode([], object(), cutoff_len=8, mask_history=False, train_on_prompt=False)


def test_long_texts_are_encoded_in_groups(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held at once is bounded; the result is that of one go."""
    examples = [conversation("Hi", "word " * count) for count in (3, 90, 2, 1, 200, 4)]
    rendered = [row for row in render(examples, load_chat(tokenizer)) if isinstance(row, Rendered)]
    encoder = Encoder(tokenizer, cutoff_len=60, mask_history=False, train_on_prompt=False)
    whole = encoder(rendered)
    monkeypatch.setattr("engine.data.tokens.tokenize._AT_ONCE", 150)
    parts = encoder(rendered)
    assert [parts.row(n) for n in range(6)] == [whole.row(n) for n in range(6)]
    assert parts.kept == whole.kept and parts.kept.keys() == {1, 4}
    assert parts.lost.tolist() == whole.lost.tolist()
