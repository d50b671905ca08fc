"""A whole dataset in figures: how long its rows are in tokens, how much of them is learnt, how full they
pack, how many steps that makes; and every bad row by its place. Read, rendered and encoded as in training.

Try: tunesmith data stats identity --model_name_or_path data/tiny-qwen3
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from engine.data.example import Example
from engine.data.pack import pack
from engine.data.preview import WHOLE, answered
from engine.data.render import render
from engine.data.report import RowProblem
from engine.data.tokenize import Encoder, TokenBatch
from engine.data.view import View
from engine.data.walk import Walked, walk_all
from engine.templates.base import Rendered

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
    account = take_account(view, walk_all(view.specs, stage=view.stage), max_shown=show)
    return {
        "ok": account.num_bad == 0 and account.read > 0,
        "problems": [problem.to_json() for problem in account.problems],
        "notes": notes_of(view),
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
    """Figures over all rows, or over the first `sample`. Lengths are whole, before anything is cut.

    Without a tokenizer there are no lengths: "tokens" and what follows from it are None.
    """
    account = take_account(view, islice(walk_all(view.specs, stage=view.stage), sample), max_shown=show)
    figures: dict[str, Any] = {
        "read": account.read,
        "used": account.used,
        "dropped": dict(account.reasons.most_common()),
        "problems": [problem.to_json() for problem in account.problems],
        "kinds": dict(account.kinds),
        "notes": notes_of(view),
        "cutoff_len": view.args.data.cutoff_len,
        "sample": sample if sample is not None and account.read == sample else None,
    }
    return figures | _lengths(view, account)


def take_account(view: View, rows: Iterable[Walked], *, max_shown: int) -> Account:
    account = Account(max_shown)
    encoder = _Encoders(view) if view.tokenizer is not None else None
    for batch in _batched(rows):
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
            _render(view, encoder, examples, account)
    return account


def notes_of(view: View) -> list[str]:
    return list(dict.fromkeys([*view.notes, *(view.chat.notes if view.chat is not None else ())]))


class _Encoders:
    """Lengths before the cut, and what the cut leaves of those rows that it concerns."""

    def __init__(self, view: View) -> None:
        data = view.args.data
        options = {"mask_history": data.mask_history, "train_on_prompt": data.train_on_prompt}
        self._cutoff_len = data.cutoff_len
        self._whole = Encoder(view.tokenizer, cutoff_len=WHOLE, **options)
        self._cut = Encoder(view.tokenizer, cutoff_len=data.cutoff_len, **options)

    def __call__(self, rows: list[Rendered]) -> list[tuple[int, int, int]]:
        """(whole length, length that stays, learnt tokens that stay) of each row."""
        batch = self._whole(rows)
        sizes, learnt = batch.lengths.tolist(), _learnt(batch)
        figures = [(size, size, count) for size, count in zip(sizes, learnt, strict=True)]
        long = [number for number, size in enumerate(sizes) if size > self._cutoff_len]
        if long:
            cut = self._cut([rows[number] for number in long])
            for number, size, count in zip(long, cut.lengths.tolist(), _learnt(cut), strict=True):
                figures[number] = (sizes[number], size, count)
        return figures


def _render(
    view: View, encoder: _Encoders | None, examples: list[tuple[Walked, Example]], account: Account
) -> None:
    assert view.chat is not None
    texts = render([training_example(example) for _, example in examples], view.chat)
    good: list[tuple[Walked, Rendered]] = []
    for (walked, _), text in zip(examples, texts, strict=True):
        if isinstance(text, str):
            account.drop(RowProblem(walked.file, walked.number, "", text))
        else:
            good.append((walked, text))
    if encoder is None:
        account.used += len(good)
        return
    for (walked, _), (whole, kept, learnt) in zip(good, encoder([text for _, text in good]), strict=True):
        account.whole.append(whole)
        if learnt == 0:
            reason = (
                "nothing of an answer is left within cutoff_len" if kept < whole else "holds nothing to learn"
            )
            account.drop(RowProblem(walked.file, walked.number, "", reason))
            continue
        account.used += 1
        account.truncated += kept < whole
        account.kept.append(kept)
        account.tokens += kept
        account.learnt += learnt


def training_example(example: Example) -> Example:
    """What is rendered of a row: of a pair, the prompt with its better answer."""
    return answered(example, example.chosen) if example.chosen is not None else example


def _learnt(batch: TokenBatch) -> list[int]:
    sums = np.concatenate(([0], np.cumsum(batch.learn, dtype=np.int64)))
    ends = np.concatenate(([0], np.cumsum(batch.lengths)))
    return np.diff(sums[ends]).tolist()


def _lengths(view: View, account: Account) -> dict[str, Any]:
    """Everything that needs token counts."""
    names = (
        "truncated", "tokens", "learnt_share", "histogram", "percentiles", "over_cutoff", "packed_rows",
        "packing_fill", "steps",
    )  # fmt: skip
    if not account.whole:
        return dict.fromkeys(names)
    data = view.args.data
    sizes = np.array(account.whole, np.int64)
    packed = pack(np.array(account.kept, np.int64), data.cutoff_len) if account.kept else []
    fill = account.tokens / (len(packed) * data.cutoff_len) if packed else None
    packs = bool(data.packing or data.neat_packing)
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
        "packed_rows": len(packed),
        "packing_fill": round(fill, 4) if fill is not None else None,
        "steps": estimate_steps(view, len(packed) if packs else account.used),
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
    return next(step for step in sorted({*tens, *(2**power for power in range(24))}) if step >= width)


def estimate_steps(view: View, rows: int) -> dict[str, Any] | None:
    """Steps on one device with the batch sizes of the arguments. None without rows."""
    optimization = view.args.optimization
    batch = optimization.per_device_train_batch_size * optimization.gradient_accumulation_steps
    if not rows:
        return None
    per_epoch = math.ceil(
        math.ceil(rows / optimization.per_device_train_batch_size)
        / max(1, optimization.gradient_accumulation_steps)
    )
    total = (
        optimization.max_steps
        if optimization.max_steps > 0
        else math.ceil(per_epoch * optimization.num_train_epochs)
    )
    return {"rows": rows, "batch": batch, "per_epoch": per_epoch, "total": total}


def _batched(rows: Iterable[Walked]) -> Iterator[list[Walked]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch
