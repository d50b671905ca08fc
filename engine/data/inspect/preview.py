"""What the model sees: rows rendered, tokenised, cut and packed by the trainer's own functions. For people.

Nothing here decides anything: text and spans are render's, ids and learnt tokens encode's, rows pack's.
Try: tunesmith data preview identity --model_name_or_path data/tiny-qwen3
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from engine.data.example import ASSISTANT, Example, Message
from engine.data.inspect.pieces import token_texts
from engine.data.inspect.view import View
from engine.data.inspect.walk import Walked, walk_all
from engine.data.render import spans
from engine.data.tokens.pack import pack
from engine.data.tokens.prepare import render_examples
from engine.data.tokens.tokenize import encode
from engine.errors import DataError
from engine.templates.base import Rendered
from engine.templates.chat import ChatTemplate

WHOLE = 2**31 - 1
"""a cutoff that cuts nothing"""
MAX_TOKENS = 10_000
MAX_TEXT = 200_000
"""of a row that is larger, nobody looks at the rest in a preview"""
MAX_ENCODED = 10_000_000
"""characters; to encode more takes longer than anybody waits for a preview"""


def preview(view: View, *, start: int = 0, count: int = 5) -> dict[str, Any]:
    """Rows start..start + count of the datasets, in the order of their files; bad rows with their reason."""
    rows = [show_row(walked, view) for walked in islice(walk_all(view), start, start + count)]
    data, notes = view.args.data, list(view.notes)
    shown: dict[str, Any] = {
        "rows": rows,
        "template": view.args.template.template,
        "cutoff_len": data.cutoff_len,
    }
    if view.chat is None:
        notes.append("the words alone: name a model or a template to see what the model sees")
    else:
        notes += view.chat.notes
    if view.tokenizer is not None and any(row["spans"] and row["length"] is None for row in rows):
        notes.append(f"a row of over {MAX_ENCODED:,} characters is shown without its tokens")
    if view.tokenizer is not None and any(row.get("stage") == "pt" for row in rows):
        mark_blocks(rows, data.cutoff_len)
    elif (data.packing or data.neat_packing) and view.tokenizer is not None:
        shown["packs"] = pack_rows(rows, data.cutoff_len)
    return {**shown, "notes": notes}


def pack_rows(rows: Iterable[Mapping[str, Any]], cutoff_len: int) -> list[list[int]]:
    """Which of the rows shown would share a row of cutoff_len. Over the whole set others may join them."""
    places = [(number, row["kept"]) for number, row in enumerate(rows) if row.get("kept")]
    packed = pack(np.array([size for _, size in places], np.int64), cutoff_len)
    return [[places[index][0] for index in group.tolist()] for group in packed]


def mark_blocks(rows: Iterable[dict[str, Any]], cutoff_len: int) -> None:
    """Give each text the token positions at which a block begins ("block_starts"), as if the first text shown
    were the first of all.
    """
    before = 0
    for row in rows:
        length = row.get("length") or 0
        first = -before % cutoff_len
        row["block_starts"] = list(range(first, length, cutoff_len))
        before += length


def show_row(walked: Walked, view: View) -> dict[str, Any]:
    """One row: its place, "stage", "problem", "kind", what `_nothing` lists, and "tools", "desirable",
    "reference" and "rejected" where it has them.
    """
    row: dict[str, Any] = {"file": walked.file, "number": walked.number, "stage": walked.stage}
    example = walked.example
    if example is None:
        problem = walked.problem
        assert problem is not None, "a row is an example or a problem"
        return {**row, **_nothing(), "problem": problem.reason, "column": problem.column}
    row["kind"] = example.kind
    if example.tools:
        row["tools"] = [dict(tool) for tool in example.tools]
    if example.desirable is not None:
        row["desirable"] = example.desirable
    if example.reference:
        row["reference"] = example.reference
    row |= show_example(example, view, walked.stage)
    if example.rejected is not None:
        row["rejected"] = show_example(answered(example, example.rejected), view, walked.stage)
    return row


def show_example(example: Example, view: View, stage: str) -> dict[str, Any]:
    """One conversation or text as spans and tokens; "problem" says why a template cannot take it."""
    if view.chat is None:
        return {**_contents(example), "problem": None}
    (rendered,) = render_for_stage([example], view.chat, stage)
    if isinstance(rendered, str):
        return {**_nothing(), "problem": rendered}
    data = view.args.data
    masks = stage != "pt" and data.mask_history
    pieces = spans(rendered, mask_history=masks, train_on_prompt=data.train_on_prompt)
    shown = {
        **_nothing(),
        **show_spans((rendered.text[start:end], learn) for start, end, learn in pieces),
        "problem": None,
    }
    if view.tokenizer is None or len(rendered.text) > MAX_ENCODED:
        return shown
    cuts = bool(rendered.turns) and stage != "pt"
    return shown | show_tokens(rendered, view, cutoff_len=data.cutoff_len if cuts else WHOLE)


def render_for_stage(examples: Sequence[Example], chat: ChatTemplate, stage: str) -> list[Rendered | str]:
    """Text and turns of each, or why it cannot be used. Of a pair, the prompt with its better answer; of a
    prompt alone, what asks for the answer.
    """
    asked = [example.kind == "prompt" and stage != "pt" for example in examples]
    whole = [
        example if example.chosen is None else answered(example, example.chosen)
        for example, prompt in zip(examples, asked, strict=True)
        if not prompt
    ]
    rendered = iter(render_examples(whole, chat, stage=stage))
    return [
        _render_prompt(example, chat) if prompt else next(rendered)
        for example, prompt in zip(examples, asked, strict=True)
    ]


def _render_prompt(example: Example, chat: ChatTemplate) -> Rendered | str:
    conversation = example.to_conversation()
    try:
        return chat.render_prompt(conversation.messages, conversation.tools)
    except DataError as error:
        return str(error)


def show_tokens(
    rendered: Rendered, view: View, *, cutoff_len: int, most: int | None = MAX_TOKENS
) -> dict[str, Any]:
    """All tokens of a text, those that truncation leaves out marked; of a huge one the first `most`, and
    "hidden_tokens" says how many more there are.
    """
    data = view.args.data
    options = {"mask_history": data.mask_history, "train_on_prompt": data.train_on_prompt}
    batch = encode([rendered], view.tokenizer, cutoff_len=WHOLE, **options)
    size = len(batch.ids)
    windows: tuple[range, ...] = (range(size),)
    if size > cutoff_len:
        windows = encode([rendered], view.tokenizer, cutoff_len=cutoff_len, **options).kept[0]
    stays = np.zeros(size, bool)
    for window in windows:
        stays[window.start : window.stop] = True
    shown = slice(0, most)
    ids, learn = batch.ids[shown].tolist(), batch.learn[shown].astype(bool).tolist()
    texts = token_texts(ids, view.tokenizer)
    return {
        "tokens": [_token(*one) for one in zip(ids, texts, learn, stays[shown].tolist(), strict=True)],
        "hidden_tokens": size - len(ids),
        "length": size,
        "kept": int(stays.sum()),
        "learnt": int(batch.learn[stays].sum()),
        "truncated": not stays.all(),
        "cut_at": None if stays.all() else int(stays.argmin()),
        "guarded": bool(batch.guarded[0]),
    }


def _token(token: int, text: tuple[str, str], learn: bool, stays: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": token, "text": text[0], "learn": learn}
    if text[1]:
        shown["piece"] = text[1]
    if not stays:
        shown["cut"] = True
    return shown


def show_spans(pieces: Iterable[tuple[str, bool]]) -> dict[str, Any]:
    """{"spans": [{"text", "learn"}], "hidden_text": how many characters of a huge text are left out}."""
    room, hidden = MAX_TEXT, 0
    shown: list[dict[str, Any]] = []
    for text, learn in pieces:
        if room and text:
            shown.append({"text": text[:room], "learn": learn})
        hidden += max(len(text) - room, 0)
        room = max(room - len(text), 0)
    return {"spans": shown, "hidden_text": hidden}


def describe_example(example: Example) -> dict[str, Any]:
    """A row as its format reads it, in OpenAI's shape, before any template."""
    told: dict[str, Any] = {
        "kind": example.kind,
        "system": example.system,
        "tools": [dict(tool) for tool in example.tools],
        "messages": [message.to_json() for message in example.messages],
    }
    if example.chosen is not None and example.rejected is not None:
        told |= {"chosen": example.chosen.to_json(), "rejected": example.rejected.to_json()}
    facts = {"desirable": example.desirable, "reference": example.reference or None, "text": example.text}
    media = {"images": example.images, "videos": example.videos, "audios": example.audios}
    told |= {name: value for name, value in facts.items() if value is not None}
    return told | {name: list(value) for name, value in media.items() if value}


def answered(example: Example, answer: Message | None) -> Example:
    """A pair's prompt with one of its answers, as the stages that learn pairs tokenise it."""
    assert answer is not None, "a pair has both answers"
    return dataclasses.replace(example, messages=(*example.messages, answer), chosen=None, rejected=None)


def _contents(example: Example) -> dict[str, Any]:
    """The words alone, where no template is chosen: what is learnt is the assistant's."""
    pieces = [(example.system, False)] if example.system else []
    pieces += [(message.content, message.role == ASSISTANT) for message in example.messages]
    pieces += [(example.chosen.content, True)] if example.chosen is not None else []
    if example.text is not None:
        pieces.append((example.text, True))
    return {**_nothing(), **show_spans(pieces)}


def _nothing() -> dict[str, Any]:
    return {
        "spans": [],
        "hidden_text": 0,
        "tokens": [],
        "hidden_tokens": 0,
        "length": None,
        "kept": None,
        "learnt": None,
        "truncated": False,
        "cut_at": None,
        "guarded": False,
    }
