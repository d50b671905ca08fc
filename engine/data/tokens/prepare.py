"""One batch of raw rows -> tokens, with an account of every row. What a preprocessing worker does, what the
stream does, and nothing else: it opens no file and writes none.

Try: tunesmith data preview identity --model_name_or_path data/tiny-qwen3
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data.example import Example
from engine.data.read import read_examples
from engine.data.registry import DatasetSpec
from engine.data.render import render
from engine.data.report import DatasetReport, RowProblem
from engine.data.tokens.tokenize import Encoder
from engine.errors import DataError
from engine.schema.data import DataArgs, TemplateArgs
from engine.templates.base import Answer, Conversation, Rendered, Turn
from engine.templates.chat import ChatTemplate, load_chat

# (file, number as a person counts, row as its file holds it)
RawRow = tuple[str, int, Any]
# Longer than any text: blocks are cut later, and nothing is lost before.
_NO_CUTOFF = 1 << 62


@dataclass(frozen=True)
class Tokens:
    """The usable rows of a batch, one after another. ids: int32, learn: uint8, lengths: int64 per row.

    origin: int64 per row, its position in the batch that was given. notes: what the template remarked so far.
    """

    ids: np.ndarray
    learn: np.ndarray
    lengths: np.ndarray
    origin: np.ndarray
    account: DatasetReport
    notes: tuple[str, ...]


class Preparer:
    """Turns batches of one dataset's rows into tokens. Built once; forks carry it into the workers."""

    def __init__(self, spec: DatasetSpec, chat: ChatTemplate, data: DataArgs, *, stage: str) -> None:
        self.spec, self.chat, self.stage = spec, chat, stage
        self._encoder = Encoder(
            chat.tokenizer,
            cutoff_len=_NO_CUTOFF if stage == "pt" else data.cutoff_len,
            mask_history=data.mask_history and stage != "pt",
            train_on_prompt=data.train_on_prompt,
        )

    def __call__(self, rows: Sequence[RawRow]) -> Tokens:
        account = DatasetReport(self.spec.name)
        position = {(file, number): index for index, (file, number, _) in enumerate(rows)}
        found = list(read_examples(self.spec, rows, account, stage=self.stage))
        places: list[tuple[str, int]] = []
        texts: list[Rendered] = []
        rendered = render_examples([row[2] for row in found], self.chat, stage=self.stage)
        for (file, number, _), result in zip(found, rendered, strict=True):
            if isinstance(result, str):
                account.drop(RowProblem(file, number, "", result))
            else:
                places.append((file, number))
                texts.append(result)
        batch = self._encoder(texts)
        ends = np.concatenate(([0], np.cumsum(batch.lengths)))
        learnt = np.diff(np.concatenate(([0], np.cumsum(batch.learn, dtype=np.int64)))[ends])
        keep = learnt > 0
        if not keep.all():
            for row in np.flatnonzero(~keep):
                account.drop(RowProblem(*places[row], "", nothing_learnt(bool(batch.truncated[row]))))
            stays = np.repeat(keep, batch.lengths)
            ids, learn, lengths = batch.ids[stays], batch.learn[stays], batch.lengths[keep]
            places = [place for place, kept in zip(places, keep, strict=True) if kept]
        else:
            ids, learn, lengths = batch.ids, batch.learn, batch.lengths
        account.used += len(lengths)
        account.truncated += int((batch.truncated & keep).sum())
        account.guarded += int((batch.guarded & keep).sum())
        account.lost_answers += int(batch.lost[keep].sum())
        account.tokens += len(ids)
        account.learnt_tokens += int(learnt.sum())
        origin = np.fromiter((position[place] for place in places), np.int64, len(places))
        return Tokens(ids, learn, lengths, origin, account, tuple(self.chat.notes))


def open_chat(
    tokenizer: Any, template: TemplateArgs, *, stage: str, mask_history: bool = False
) -> ChatTemplate:
    """The template a stage renders with. Pre-training needs none: a base model's tokenizer often has none.

    Raises what load_chat raises.
    """
    if stage == "pt" and template.template is None and not tokenizer.chat_template:
        return ChatTemplate(None, TextOnly(), tokenizer, template, "text")
    return load_chat(tokenizer, template, mask_history=mask_history)


class TextOnly:
    """The renderer of a tokenizer without a chat template: it renders no conversation."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def render(self, conversations: Sequence[Conversation]) -> list[Rendered | str]:
        return ["is a conversation, and the tokenizer has no chat template"] * len(conversations)

    def render_prompt(self, conversation: Conversation) -> Rendered:
        raise DataError("template: this tokenizer has no chat template of its own; name one")

    def stop_strings(self) -> list[str]:
        return []

    def parse_answer(self, text: str, tools: Sequence[Mapping[str, Any]]) -> Answer:
        return Answer(text)


def render_examples(examples: Sequence[Example], chat: ChatTemplate, *, stage: str) -> list[Rendered | str]:
    """Text and turns of each, or why it cannot be used. Rows with media are refused: no model here sees
    them.
    """
    reasons = [_media_reason(example) for example in examples]
    fit = [example for example, reason in zip(examples, reasons, strict=True) if not reason]
    if stage == "pt":
        eos = chat.tokenizer.eos_token or ""
        guards = not chat.args.allow_control_tokens
        rendered: list[Rendered | str] = [_as_text(example, eos, guards=guards) for example in fit]
    else:
        rendered = render(fit, chat)
    following = iter(rendered)
    return [reason or next(following) for reason in reasons]


def nothing_learnt(truncated: bool) -> str:
    """Why a row without a learnt token is left out."""
    return "nothing of an answer is left within cutoff_len" if truncated else "holds nothing to learn"


def _media_reason(example: Example) -> str:
    if not (example.images or example.videos or example.audios):
        return ""
    kinds = [name for name in ("images", "videos", "audios") if getattr(example, name)]
    return (
        f"holds {' and '.join(kinds)}, which a text model cannot read; train a model that takes them, or "
        f"take the {' and '.join(kinds)} column out of dataset_info.json and the placeholders out of the text"
    )


def _as_text(example: Example, eos: str, *, guards: bool) -> Rendered:
    """All of it is learnt, its end included. A conversation is what was said, one message a line."""
    text = example.text
    if text is None:
        said = [message.content for message in example.messages]
        text = "\n".join(part for part in (example.system, *said) if part)
    whole = text + eos
    end = len(whole)
    # The end token is encoded apart: no word of the text may merge with it.
    cuts = (len(text),) if eos and text else ()
    return Rendered(whole, (Turn(0, 0, 0, end, end),), cuts, ((0, len(text)),) if guards else ())
