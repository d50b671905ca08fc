"""The data path from names to tables: registry -> rows -> examples -> text -> tokens (cached) -> mixed,
split, packed.

Each dataset is tokenised on its own and cached under a key made of everything its tokens depend on: the
files' content, the mapping, the rows chosen, the template, the tokenizer and the arguments. Try: python -m
engine.data.preview data/tiny-qwen3 identity
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.example import Example
from engine.data.mix import choose_rows, split_validation
from engine.data.pack import pack
from engine.data.read import check_columns, read_examples, stop_if_bad
from engine.data.registry import DatasetSpec, find_datasets
from engine.data.render import render
from engine.data.report import DataReport, DatasetReport, RowProblem, histogram
from engine.data.sources import parse, read_bytes
from engine.data.table import Store, StoreWriter, TokenTable, open_store
from engine.data.tokenize import encode
from engine.errors import DataError
from engine.schema.data import DataArgs, TemplateArgs
from engine.templates.base import Rendered
from engine.templates.chat import ChatTemplate, load_chat

# Part of every cache key: raise it when the same input gives other tokens than before.
CACHE_VERSION = 2
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Prepared:
    """What a run needs. `train` is None when no dataset was named; `evals` is empty or has the one key
    "eval".
    """

    train: TokenTable | None
    evals: dict[str, TokenTable]
    report: DataReport
    chat: ChatTemplate


@dataclass(frozen=True)
class _Job:
    """What tokenising one dataset depends on, besides its rows."""

    chat: ChatTemplate
    data: DataArgs
    seed: int
    cache_dir: Path
    progress: Progress


def load_datasets(
    data: DataArgs,
    template: TemplateArgs,
    tokenizer: Any,
    *,
    seed: int,
    progress: Progress | None = None,
    cache_dir: Path,
) -> Prepared:
    """Every named dataset, tokenised and ready to batch.

    progress is called as progress("tokenizing", rows done, rows in all). Raises DataError with all that is
    wrong with the names, the files or too many of the rows; nothing half-written stays behind.
    """
    began = time.monotonic()
    _check_combination(data)
    chat = load_chat(
        tokenizer,
        template.template,
        default_system=template.default_system,
        discard_history=data.mask_history,
    )
    names = (*data.dataset, *data.eval_dataset)
    specs = find_datasets(names, data.dataset_dir)
    job = _Job(chat, data, seed, cache_dir, progress or (lambda phase, current, total: None))
    report = DataReport()
    stores = []
    for number, spec in enumerate(specs):
        store, account = _load_one(spec, job)
        stores.append(store)
        (report.datasets if number < len(data.dataset) else report.eval_datasets).append(account)
    train, evals = _arrange(stores[: len(data.dataset)], stores[len(data.dataset) :], data, seed, report)
    for note in chat.notes:
        report.note(note)
    if data.preprocessing_num_workers is not None:
        report.note(
            "preprocessing_num_workers has no effect: the tokenizer uses the machine's cores by itself"
        )
    report.seconds = time.monotonic() - began
    return Prepared(train, evals, report, chat)


def _check_combination(data: DataArgs) -> None:
    if data.mask_history and data.train_on_prompt:
        raise DataError("mask_history=true and train_on_prompt=true contradict each other; set only one")
    if data.eval_dataset and data.val_size:
        raise DataError("val_size and eval_dataset exclude each other; set only one")
    if data.val_size and not data.dataset:
        raise DataError("val_size needs a dataset to hold rows out of; set dataset")


def _arrange(
    train_stores: Sequence[Store], eval_stores: Sequence[Store], data: DataArgs, seed: int, report: DataReport
) -> tuple[TokenTable | None, dict[str, TokenTable]]:
    """Join the stores, hold rows out, pack. The evaluation set is never packed: its loss is per token all the
    same.
    """
    train = TokenTable(train_stores) if train_stores else None
    evals = {"eval": TokenTable(eval_stores)} if eval_stores else {}
    if train is not None and data.val_size:
        kept, held_out = split_validation(len(train), data.val_size, seed=seed)
        train, evals = train.select(kept), {"eval": train.select(held_out)}
    if train is not None:
        report.train_rows = len(train)
        report.histogram = histogram(train.lengths.tolist())
        if data.packing or data.neat_packing:
            train = train.group(pack(train.lengths, data.cutoff_len))
            report.packed_rows = len(train)
            report.packing_fill = round(float(train.lengths.sum()) / (len(train) * data.cutoff_len), 4)
    report.eval_rows = sum(len(table) for table in evals.values())
    return train, evals


def _load_one(spec: DatasetSpec, job: _Job) -> tuple[Store, DatasetReport]:
    """One dataset's tokens: from the cache when its key is there, else made now."""
    contents = [(path, read_bytes(path)) for path in spec.files]
    path = job.cache_dir / "tokens" / _cache_key(spec, contents, job)
    if not job.data.overwrite_cache and (store := open_store(path)):
        account = DatasetReport.from_json(store.meta["report"])
        account.from_cache = True
        job.progress("tokenizing", account.read, account.read)
    else:
        account = DatasetReport(spec.name, [str(path) for path in spec.files])
        with StoreWriter(path, replace=job.data.overwrite_cache) as out:
            notes = _tokenize(spec, contents, job, account, out)
            out.finish({"report": account.to_json(), "notes": notes})
        store = Store(path)
    for note in store.meta["notes"]:
        if note not in job.chat.notes:
            job.chat.notes.append(note)
    # The same content may be registered under another name or path than the one that filled the cache.
    account.name, account.files = spec.name, [str(path) for path in spec.files]
    return store, account


def _cache_key(spec: DatasetSpec, contents: Sequence[tuple[Path, bytes]], job: _Job) -> str:
    tokenizer = job.chat.tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        # Truncation and padding are state left by earlier calls; neither is used here.
        backend.no_truncation()
        backend.no_padding()
    facts = {
        "version": CACHE_VERSION,
        "files": [(path.suffix, hashlib.sha256(content).hexdigest()) for path, content in contents],
        "mapping": spec.mapping(),
        "template": job.chat.fingerprint,
        "tokenizer": hashlib.sha256(backend.to_str().encode()).hexdigest() if backend is not None else "",
        "seed": job.seed if spec.num_samples else None,
        "arguments": [
            job.data.cutoff_len,
            job.data.max_samples,
            job.data.mask_history,
            job.data.train_on_prompt,
        ],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _tokenize(
    spec: DatasetSpec,
    contents: Sequence[tuple[Path, bytes]],
    job: _Job,
    account: DatasetReport,
    out: StoreWriter,
) -> list[str]:
    """Rows -> store. Fills the account; returns the template's notes. Raises DataError when too many rows are
    bad.
    """
    rows = [parse(path, content) for path, content in contents]
    check_columns(spec, rows)
    chosen = choose_rows(sum(len(part.rows) for part in rows), spec, job.data.max_samples, job.seed)
    account.read = len(chosen)
    done = 0
    job.progress("tokenizing", 0, len(chosen))
    for examples in _batched(read_examples(spec, rows, chosen, account), job.data.preprocessing_batch_size):
        _tokenize_batch(examples, job, account, out)
        done += len(examples)
        job.progress("tokenizing", min(done + account.num_dropped, len(chosen)), len(chosen))
    stop_if_bad(account)
    return list(job.chat.notes)


def _tokenize_batch(
    examples: Sequence[tuple[str, int, Example]], job: _Job, account: DatasetReport, out: StoreWriter
) -> None:
    places: list[tuple[str, int]] = []
    texts: list[Rendered] = []
    for (file, number, _), result in zip(
        examples, render([item[2] for item in examples], job.chat), strict=True
    ):
        if isinstance(result, str):
            account.drop(RowProblem(file, number, "", result))
        else:
            places.append((file, number))
            texts.append(result)
    batch = encode(
        texts,
        job.chat.tokenizer,
        cutoff_len=job.data.cutoff_len,
        mask_history=job.data.mask_history,
        train_on_prompt=job.data.train_on_prompt,
    )
    ends = np.concatenate(([0], np.cumsum(batch.lengths)))
    learnt = np.diff(np.concatenate(([0], np.cumsum(batch.learn, dtype=np.int64)))[ends])
    keep = learnt > 0
    for row in np.flatnonzero(~keep):
        reason = (
            "nothing of an answer is left within cutoff_len"
            if batch.truncated[row]
            else "holds nothing to learn"
        )
        account.drop(RowProblem(*places[row], "", reason))
    tokens = np.repeat(keep, batch.lengths)
    out.add(batch.ids[tokens], batch.learn[tokens], batch.lengths[keep])
    account.used += int(keep.sum())
    account.truncated += int((batch.truncated & keep).sum())
    account.tokens += int(batch.lengths[keep].sum())
    account.learnt_tokens += int(learnt.sum())


def _batched(
    items: Iterator[tuple[str, int, Example]], size: int
) -> Iterator[list[tuple[str, int, Example]]]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
