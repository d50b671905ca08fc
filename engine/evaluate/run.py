"""`tunesmith eval`: loss, perplexity and token accuracy on a dataset, and the model's own answers scored.

Writes all_results.json and eval_results.json; with predict=true generated_predictions.jsonl and
predict_results.json too.
Try: tunesmith eval --model_name_or_path data/tiny-qwen3 --eval_dataset identity --predict false
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.errors import ArgError, DataError, Problem
from engine.evaluate import score
from engine.evaluate.progress import Progress
from engine.events import append_event
from engine.models.quiet import hush_libraries
from engine.paths import cache_dir, write_whole

STOPPED = 130
Figures = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is measured: a model, its tokenizer and chat template, and the rows."""

    model: Any
    tokenizer: Any
    chat: Any
    table: Any


def main(loaded: Any, resolved: Any, run: Any) -> int:
    """Measure, print and write the results. 0, or 130 when stopped (the predictions so far are kept)."""
    args = resolved.args
    hush_libraries()
    data = evaluation_data(args.data)
    if args.evaluation.predict:
        score.check_packages()
    subject = _load(args, data, run)
    with run.cooperative():
        results = _measure(args, subject, run)
    if results is None:
        print("stopped: no results written", flush=True)
        return STOPPED
    _write(results, run.paths)
    return 0


def evaluation_data(data: Any) -> Any:
    """The data group as evaluation reads it. Raises ArgError when it names no dataset.

    eval_dataset is evaluated whole; dataset with val_size, its held-out part; dataset alone, whole.
    """
    if not data.eval_dataset and not data.dataset:
        raise ArgError([Problem("eval_dataset", "names no dataset. Give one that dataset_info.json lists.")])
    as_is = {"packing": False, "neat_packing": False, "train_on_prompt": False}
    if not data.eval_dataset and data.val_size > 0:
        return dataclasses.replace(data, **as_is)
    names = data.eval_dataset or data.dataset
    return dataclasses.replace(data, eval_dataset=names, dataset=(), val_size=0.0, **as_is)


def _load(args: Any, data: Any, run: Any) -> Subject:
    """The rows first: what is wrong with them is told before the weights are read."""

    def report(phase: str, current: int, total: int) -> None:
        append_event(run.paths.trainer_log, {"phase": phase, "current": current, "total": total})

    report("loading", 0, 1)
    names = ", ".join(data.eval_dataset or data.dataset)
    print(f"evaluating {args.model.model_name_or_path} on {names}", flush=True)
    from engine.data.pipeline import load_datasets
    from engine.models.load import load_for_inference
    from engine.models.tokenizer import load_tokenizer

    prepared = load_datasets(
        data,
        args.template,
        load_tokenizer(args.model),
        seed=args.evaluation.seed,
        progress=report,
        cache_dir=cache_dir(),
    )
    for line in prepared.report.lines():
        print(line, flush=True)
    write_whole(run.paths.data_report, json.dumps(prepared.report.to_json(), indent=2, ensure_ascii=False))
    table = prepared.evals.get("eval", ())
    if not len(table):
        raise DataError("no row of the dataset can be evaluated: every one was left out (see above)")
    model, tokenizer = load_for_inference(args.model, device="cpu" if args.evaluation.use_cpu else None)
    report("loading", 1, 1)
    return Subject(model, tokenizer, prepared.chat, table)


def _measure(args: Any, subject: Subject, run: Any) -> dict[str, Figures] | None:
    """{"eval": figures, "predict": figures}, or None when stopped."""
    from engine.infer.transformers_backend import find_stop_ids, prepare_for_generation

    stop_ids = find_stop_ids(subject.model, subject.chat)
    prepare_for_generation(subject.model)
    passes = 2 if args.evaluation.predict else 1
    progress = Progress(
        run.paths.trainer_log, phase="evaluating", unit="rows", total=passes * len(subject.table)
    )
    figures = _losses(args, subject, run, progress)
    if figures is None:
        return None
    if not args.evaluation.predict:
        return {"eval": figures}
    predicted = _predictions(args, subject, run, progress, stop_ids)
    return None if predicted is None else {"eval": figures, "predict": predicted}


def _losses(args: Any, subject: Subject, run: Any, progress: Progress) -> Figures | None:
    from engine.evaluate.loss import TokenScores, score_rows

    began, scores = time.monotonic(), TokenScores()
    padding = subject.tokenizer.pad_token_id
    batch_size = args.evaluation.batch_size
    for batch in score_rows(subject.model, subject.table, batch_size=batch_size, pad_token_id=padding):
        scores += batch
        progress.advance(batch.rows)
        if run.stop_requested():
            return None
    return {
        "eval_loss": scores.loss,
        "eval_perplexity": scores.perplexity,
        "eval_accuracy": scores.accuracy,
        "eval_tokens": scores.tokens,
        "eval_samples": scores.rows,
    } | _speed("eval", scores.rows, time.monotonic() - began)


def _predictions(
    args: Any, subject: Subject, run: Any, progress: Progress, stop_ids: tuple[int, ...]
) -> Figures | None:
    import torch

    from engine.evaluate.predict import find_question, predict
    from engine.infer.engine import Sampling

    torch.manual_seed(args.evaluation.seed)
    found = [find_question(subject.table[index]) for index in range(len(subject.table))]
    questions = [question for question in found if question is not None]
    skipped = len(found) - len(questions)
    if skipped:
        print(f"{skipped} of {len(found)} rows keep no answer under cutoff_len; not predicted", flush=True)
        progress.advance(skipped)
    began, scores, written = time.monotonic(), score.TextScores(), 0
    batches = predict(
        subject.model,
        subject.tokenizer,
        questions,
        batch_size=args.evaluation.batch_size,
        sampling=Sampling.from_args(args.generation),
        stop_ids=stop_ids,
        should_stop=run.stop_requested,
    )
    with open(run.paths.predictions, "w", encoding="utf-8") as file:
        for batch in batches:
            for prediction in batch:
                file.write(json.dumps(dataclasses.asdict(prediction), ensure_ascii=False) + "\n")
                scores.add(prediction.predict, prediction.label)
            file.flush()
            written += len(batch)
            progress.advance(len(batch))
    if run.stop_requested():
        print(
            f"stopped: {written} of {len(questions)} predictions are in {run.paths.predictions}", flush=True
        )
        return None
    counts = {"predict_samples": written}
    return scores.means() | counts | _speed("predict", written, time.monotonic() - began)


def _speed(prefix: str, rows: int, seconds: float) -> Figures:
    return {
        f"{prefix}_runtime": round(seconds, 4),
        f"{prefix}_samples_per_second": round(rows / max(seconds, 1e-6), 4),
    }


def _write(results: Mapping[str, Figures], paths: Any) -> None:
    everything: Figures = {}
    files = {"eval": paths.eval_results, "predict": paths.predict_results}
    for kind, figures in results.items():
        everything |= figures
        _write_json(files[kind], figures)
    _write_json(paths.all_results, everything)
    for line in _lines(everything):
        print(line, flush=True)


def _write_json(path: Path, figures: Figures) -> None:
    # JSON has no infinity: a perplexity beyond floats is written as null.
    finite = {key: value if math.isfinite(value) else None for key, value in figures.items()}
    write_whole(path, json.dumps(finite, indent=4) + "\n")


def _lines(figures: Figures) -> Iterator[str]:
    width = max(len(name) for name in figures)
    for name, value in figures.items():
        yield f"{name:<{width}} = {value if isinstance(value, int) else format(value, '.4f')}"
