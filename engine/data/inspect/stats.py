"""A whole dataset in figures: how long its rows are in tokens, how much of them is learnt, how full they
pack, how many steps that makes; and every bad row by its place. Read, rendered and encoded as in training.

Try: tunesmith data stats identity --model_name_or_path data/tiny-qwen3
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

import numpy as np

from engine.data.example import Example
from engine.data.inspect.preview import WHOLE, render_for_stage
from engine.data.inspect.view import View
from engine.data.inspect.walk import Walked, count_rows, sources_of, walk_chosen
from engine.data.report import RowProblem
from engine.data.tokens.pack import pack
from engine.data.tokens.prepare import nothing_learnt
from engine.data.tokens.tokenize import Encoder, TokenBatch
from engine.templates.base import Rendered
from engine.templates.chat import ChatTemplate

BATCH = 500
NUM_BINS = 24
PERCENTILES = (50, 90, 95, 99)


@dataclass
class Account:
    """What became of the rows. `reasons` counts the bad ones, `problems` keeps the first `max_shown`."""

    max_shown: int
    read: int = 0
    used: int = 0
    truncated: int = 0
    guarded: int = 0
    num_bad: int = 0
    tokens: int = 0
    learnt: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    problems: list[RowProblem] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    whole: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)

    def drop(self, problem: RowProblem) -> None:
        self.num_bad += 1
        self.reasons[f"{problem.column}: {problem.reason}" if problem.column else problem.reason] += 1
        if len(self.problems) < self.max_shown:
            self.problems.append(problem)


def check(view: View, *, show: int = 100) -> dict[str, Any]:
    """Every row, as far as the arguments allow: read by its format, rendered where a template is known,
    encoded where a tokenizer is. Returns {"ok", "problems", "notes", "counts"}.
    """
    account = take_account(view, walk_chosen(view, evals=True), max_shown=show)
    return {
        "ok": account.num_bad == 0 and account.read > 0,
        "problems": [problem.to_json() for problem in account.problems],
        "notes": notes_of(view, account),
        "counts": {
            "read": account.read,
            "used": account.used,
            "bad": account.num_bad,
            "truncated": account.truncated,
            "reasons": dict(account.reasons.most_common()),
            "kinds": dict(account.kinds),
        },
    }


def stats(view: View, *, sample: int | None = None, show: int = 10) -> dict[str, Any]:
    """Figures over the rows that training would take, or over the first `sample` of them; "of" is then how
    many there are, where that is cheap to say. Lengths are whole, before anything is cut.

    Without a tokenizer there are no lengths: "tokens" and what follows from it are None.
    """
    account = take_account(view, islice(walk_chosen(view), sample), max_shown=show)
    partial = sample is not None and account.read == sample
    of = count_all(view) if partial else account.read
    figures: dict[str, Any] = {
        "read": account.read,
        "of": of,
        "sample": sample if partial else None,
        "used": account.used,
        "dropped": dict(account.reasons.most_common()),
        "problems": [problem.to_json() for problem in account.problems],
        "kinds": dict(account.kinds),
        "notes": notes_of(view, account),
        "cutoff_len": view.args.data.cutoff_len,
    }
    return figures | _lengths(view, account, scale=of / account.read if of and account.read else None)


def count_all(view: View) -> int | None:
    """Rows of all files, whatever part of them is used; None where counting takes long."""
    counts = [count_rows(source) for spec in view.specs for source in sources_of(spec)]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def take_account(view: View, rows: Iterable[Walked], *, max_shown: int) -> Account:
    account = Account(max_shown)
    encoders: dict[str, _Encoders] = {}
    for stage, group in groupby(rows, key=lambda walked: walked.stage):
        if view.tokenizer is not None and stage not in encoders:
            encoders[stage] = _Encoders(view, stage)
        for batch in _batched(group):
            account.read += len(batch)
            examples = []
            for walked in batch:
                if walked.problem is not None:
                    account.drop(walked.problem)
                elif walked.example is not None:
                    account.kinds[walked.example.kind] += 1
                    examples.append((walked, walked.example))
            if view.chat is None:
                account.used += len(examples)
            else:
                _render(view.chat, stage, encoders.get(stage), examples, account)
    return account


def notes_of(view: View, account: Account) -> list[str]:
    notes = [*view.notes, *(view.chat.notes if view.chat is not None else ())]
    if account.guarded:
        notes.append(
            f"{account.guarded} rows spell a control token of the tokenizer: taken as ordinary characters "
            "(allow_control_tokens=false)"
        )
    return list(dict.fromkeys(notes))


@dataclass(frozen=True)
class _Figures:
    """One row in tokens: its whole length, what the cut leaves of it, and how many of those are learnt."""

    whole: int
    kept: int
    learnt: int
    guarded: bool


class _Encoders:
    """Lengths before the cut, and what the cut leaves of those rows that it concerns."""

    def __init__(self, view: View, stage: str) -> None:
        data = view.args.data
        masks = data.mask_history and stage != "pt"
        options = {"mask_history": masks, "train_on_prompt": data.train_on_prompt}
        # Text is cut into blocks later, and nothing of it is lost.
        self._cutoff_len = WHOLE if stage == "pt" else data.cutoff_len
        self._whole = Encoder(view.tokenizer, cutoff_len=WHOLE, **options)
        self._cut = Encoder(view.tokenizer, cutoff_len=self._cutoff_len, **options)

    def __call__(self, rows: Sequence[Rendered]) -> list[_Figures]:
        batch = self._whole(rows)
        sizes, learnt, guarded = batch.lengths.tolist(), _learnt(batch), batch.guarded.tolist()
        figures = [_Figures(*row) for row in zip(sizes, sizes, learnt, guarded, strict=True)]
        long = [number for number, row in enumerate(rows) if sizes[number] > self._cutoff_len and row.turns]
        if long:
            cut = self._cut([rows[number] for number in long])
            for number, size, count in zip(long, cut.lengths.tolist(), _learnt(cut), strict=True):
                figures[number] = _Figures(sizes[number], size, count, guarded[number])
        return figures


def _render(
    chat: ChatTemplate,
    stage: str,
    encoder: _Encoders | None,
    examples: Sequence[tuple[Walked, Example]],
    account: Account,
) -> None:
    texts = render_for_stage([example for _, example in examples], chat, stage)
    good: list[tuple[Walked, Rendered]] = []
    for (walked, _), text in zip(examples, texts, strict=True):
        if isinstance(text, str):
            account.drop(RowProblem(walked.file, walked.number, "", text))
        else:
            good.append((walked, text))
    if encoder is None:
        account.used += len(good)
        return
    for (walked, text), row in zip(good, encoder([text for _, text in good]), strict=True):
        account.whole.append(row.whole)
        truncated = row.kept < row.whole
        # A prompt alone has no answer whose tokens could be learnt.
        if row.learnt == 0 and text.turns:
            account.drop(RowProblem(walked.file, walked.number, "", nothing_learnt(truncated)))
            continue
        account.used += 1
        account.truncated += truncated
        account.guarded += row.guarded
        account.kept.append(row.kept)
        account.tokens += row.kept
        account.learnt += row.learnt


def _learnt(batch: TokenBatch) -> list[int]:
    sums = np.concatenate(([0], np.cumsum(batch.learn, dtype=np.int64)))
    ends = np.concatenate(([0], np.cumsum(batch.lengths)))
    counts: list[int] = np.diff(sums[ends]).tolist()
    return counts


def _lengths(view: View, account: Account, *, scale: float | None) -> dict[str, Any]:
    """Everything that needs token counts. scale: rows in all for each one looked at, None if unknown."""
    names = (
        "truncated", "tokens", "learnt_share", "histogram", "percentiles", "over_cutoff", "packing",
        "packed_rows", "packing_fill", "steps",
    )  # fmt: skip
    if not account.whole:
        return dict.fromkeys(names)
    data = view.args.data
    sizes, kept = np.array(account.whole, np.int64), np.array(account.kept, np.int64)
    is_text = set(account.kinds) == {"text"} or view.stage == "pt"
    packs = bool(data.packing or data.neat_packing) or is_text
    num_packed = -(-account.tokens // data.cutoff_len) if is_text else len(pack(kept, data.cutoff_len))
    fill = account.tokens / (num_packed * data.cutoff_len) if num_packed else None
    return {
        "truncated": account.truncated,
        "tokens": account.tokens,
        "learnt_share": round(account.learnt / account.tokens, 4) if account.tokens else None,
        "histogram": histogram(sizes),
        "percentiles": {
            **{str(p): int(np.percentile(sizes, p, method="inverted_cdf")) for p in PERCENTILES},
            "max": int(sizes.max()),
        },
        "over_cutoff": int((sizes > data.cutoff_len).sum()),
        "packing": packs,
        "packed_rows": num_packed,
        "packing_fill": round(fill, 4) if fill is not None else None,
        "steps": estimate_steps(view, num_packed if packs else account.used, scale),
    }


def histogram(sizes: np.ndarray) -> list[dict[str, int]]:
    """At most NUM_BINS equal, round bins that cover all lengths: [{"from", "to" (inclusive), "rows"}]."""
    width = _round_up(max(1, math.ceil(int(sizes.max()) / NUM_BINS)))
    counts = np.bincount((sizes - 1) // width)
    return [
        {"from": number * width + 1, "to": (number + 1) * width, "rows": int(rows)}
        for number, rows in enumerate(counts)
    ]


def _round_up(width: int) -> int:
    """To 1, 2 or 5 times a power of ten, or to a power of two."""
    tens = [factor * 10**power for power in range(8) for factor in (1, 2, 5)]
    twos = [2**power for power in range(24)]
    return next((step for step in sorted({*tens, *twos}) if step >= width), width)


def estimate_steps(view: View, rows: int, scale: float | None) -> dict[str, Any] | None:
    """Steps on one device with the batch sizes of the arguments: {"rows", "batch", "per_epoch", "total",
    "estimated": whether rows were only sampled}. None without rows.
    """
    optimization, held_out = view.args.optimization, view.args.data.val_size
    if not rows or scale is None:
        return None
    rows = round(rows * scale)
    if held_out:
        rows -= max(1, round(rows * held_out) if held_out < 1 else int(held_out))
    batches = math.ceil(max(rows, 0) / optimization.per_device_train_batch_size)
    per_epoch = math.ceil(batches / optimization.gradient_accumulation_steps)
    total = math.ceil(per_epoch * optimization.num_train_epochs)
    return {
        "rows": rows,
        "batch": optimization.per_device_train_batch_size * optimization.gradient_accumulation_steps,
        "per_epoch": per_epoch,
        "total": optimization.max_steps if optimization.max_steps > 0 else total,
        "estimated": scale != 1,
    }


def _batched(rows: Iterable[Walked]) -> Iterator[list[Walked]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch
