"""The data path from names to what a run trains on: datasets -> stores of tokens (build.py) -> mixed, split,
packed; or the same as a stream (stream.py), or from a folder that an earlier run wrote (tokenized.py).

Try: tunesmith data stats identity --model_name_or_path data/tiny-qwen3
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.interleave import interleave, read_probs
from engine.data.mix import split_validation
from engine.data.registry import DatasetSpec, find_datasets
from engine.data.report import DataReport, histogram
from engine.data.tokens import tokenized
from engine.data.tokens.build import Progress, Setting, build_store
from engine.data.tokens.pack import pack
from engine.data.tokens.prepare import open_chat
from engine.data.tokens.store import Store
from engine.data.tokens.stream import TokenStream, open_stream
from engine.data.tokens.table import TokenTable
from engine.data.tokens.workers import can_fork
from engine.errors import DataError
from engine.schema.data import DataArgs, TemplateArgs
from engine.templates.chat import ChatTemplate

EVAL = "eval"


@dataclass(frozen=True)
class Prepared:
    """What a run needs. `train` is None when no dataset was named; `evals` is empty, has the one key "eval",
    or with eval_on_each_dataset one key a dataset.
    """

    train: TokenTable | TokenStream | None
    evals: dict[str, TokenTable]
    report: DataReport
    chat: ChatTemplate


def load_datasets(
    data: DataArgs,
    template: TemplateArgs,
    tokenizer: Any,
    *,
    seed: int,
    progress: Progress | None = None,
    cache_dir: Path,
    stage: str = "sft",
) -> Prepared:
    """Every named dataset, tokenised and ready to batch.

    progress is called as progress("tokenizing", rows done, rows in all, as far as it is known). Raises
    DataError with all that is wrong with the names, the files or too many of the rows; nothing half-written
    stays behind.
    """
    began = time.monotonic()
    _check_combination(data)
    chat = open_chat(tokenizer, template, stage=stage, mask_history=data.mask_history)
    setting = Setting(chat, data, stage, seed, cache_dir, progress or (lambda phase, current, total: None))
    train: TokenTable | TokenStream | None
    if data.tokenized_path:
        train, evals, report = tokenized.load_or_write(setting, lambda: _load_tables(setting))
    elif data.streaming:
        train, evals, report = _load_stream(setting)
    else:
        train, evals, report = _load_tables(setting)
    held_out = sum(len(table) for table in evals.values()) if data.val_size else 0
    if isinstance(train, TokenTable):
        report.train_rows = len(train)
        report.histogram = histogram(train.lengths)
        train = _pack(train, setting, report)
    if stage == "pt":
        evals = {name: table.blocks(data.cutoff_len) for name, table in evals.items()}
    report.eval_rows = sum(len(table) for table in evals.values())
    report.mix_strategy = data.mix_strategy
    report.held_out = held_out
    for note in chat.notes:
        report.note(note)
    if (data.preprocessing_num_workers or 1) > 1 and not can_fork():
        report.note("preprocessing_num_workers has no effect on this system: one process tokenises")
    report.seconds = time.monotonic() - began
    return Prepared(train, evals, report, chat)


def _check_combination(data: DataArgs) -> None:
    if data.mask_history and data.train_on_prompt:
        raise DataError("mask_history=true and train_on_prompt=true contradict each other; set only one")
    if data.eval_dataset and data.val_size:
        raise DataError("val_size and eval_dataset exclude each other; set only one")
    if data.val_size and not data.dataset:
        raise DataError("val_size needs a dataset to hold rows out of; set dataset")


def _find(data: DataArgs) -> tuple[list[DatasetSpec], list[DatasetSpec]]:
    """Those to train on and those to evaluate on; what is wrong with any is told at once."""
    specs = find_datasets((*data.dataset, *data.eval_dataset), data)
    return specs[: len(data.dataset)], specs[len(data.dataset) :]


def _load_tables(setting: Setting) -> tuple[TokenTable | None, dict[str, TokenTable], DataReport]:
    """Every dataset as a table, mixed and split; not packed yet."""
    train_specs, eval_specs = _find(setting.data)
    report = DataReport()
    stores: list[Store] = []
    for spec in train_specs:
        store, account = build_store(spec, setting)
        stores.append(store)
        report.datasets.append(account)
    evals = _load_evals(eval_specs, setting, report)
    train = _mix(stores, setting, report) if stores else None
    if train is not None and setting.data.val_size:
        kept, held_out = split_validation(len(train), setting.data.val_size, seed=setting.seed)
        train, evals = train.select(kept), {EVAL: train.select(held_out)}
    return train, evals, report


def _load_evals(specs: Sequence[DatasetSpec], setting: Setting, report: DataReport) -> dict[str, TokenTable]:
    """Never packed: an evaluation's loss is per token all the same."""
    stores: list[Store] = []
    for spec in specs:
        store, account = build_store(spec, setting)
        stores.append(store)
        report.eval_datasets.append(account)
    if setting.data.eval_on_each_dataset:
        return {spec.name: TokenTable([store]) for spec, store in zip(specs, stores, strict=True)}
    return {EVAL: TokenTable(stores)} if stores else {}


def _mix(stores: Sequence[Store], setting: Setting, report: DataReport) -> TokenTable:
    whole, data = TokenTable(stores), setting.data
    sizes = [len(store.order) for store in stores]
    if data.mix_strategy == "concat" or len(stores) == 1:
        _count_drawn(report, sizes)
        return whole
    probs = read_probs(data.interleave_probs, len(stores))
    pairs = interleave(sizes, data.mix_strategy, probs, setting.seed)
    _count_drawn(report, np.bincount(pairs[:, 0], minlength=len(stores)).tolist())
    return whole.select(np.concatenate(([0], np.cumsum(sizes)))[pairs[:, 0]] + pairs[:, 1])


def _count_drawn(report: DataReport, counts: Sequence[int]) -> None:
    for account, count in zip(report.datasets, counts, strict=True):
        account.drawn = count


def _load_stream(setting: Setting) -> tuple[TokenStream | None, dict[str, TokenTable], DataReport]:
    train_specs, eval_specs = _find(setting.data)
    report = DataReport(streaming=True)
    evals = _load_evals(eval_specs, setting, report)
    stream = open_stream(train_specs, setting, report) if train_specs else None
    if stream is not None and setting.data.val_size:
        evals = {EVAL: stream.hold_out(int(setting.data.val_size), setting.cache_dir)}
    return stream, evals, report


def _pack(train: TokenTable, setting: Setting, report: DataReport) -> TokenTable:
    """Rows of cutoff_len tokens: for pt one text, cut wherever a row is full; else whole sequences."""
    data = setting.data
    if setting.stage == "pt":
        train = train.blocks(data.cutoff_len)
    elif data.packing or data.neat_packing:
        train = train.group(pack(train.lengths, data.cutoff_len), joined=data.contaminated_packing)
    else:
        return train
    report.packed_rows = len(train)
    filled = int(train.sizes.sum()) / (len(train) * data.cutoff_len) if len(train) else 0.0
    report.packing_fill = round(filled, 4)
    return train
