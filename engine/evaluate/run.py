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
# The rows of datasets that are not told apart (see engine/data/pipeline.py).
ALL = "eval"
Figures = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is measured: a model, its tokenizer and chat template, and the rows by the name of their dataset
    ("eval" where datasets are not told apart).
    """

    model: Any
    tokenizer: Any
    chat: Any
    tables: Mapping[str, Any]

    @property
    def num_rows(self) -> int:
        return sum(len(table) for table in self.tables.values())


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
    # Rows are measured one by one; how a training run would read and join them makes no difference.
    as_is = {
        "packing": False,
        "neat_packing": False,
        "contaminated_packing": False,
        "train_on_prompt": False,
        "streaming": False,
        "tokenized_path": None,
    }
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
    record = json.dumps(prepared.report.to_json(), indent=2, ensure_ascii=False)
    write_whole(run.paths.data_report, record + "\n")
    if not sum(len(table) for table in prepared.evals.values()):
        raise DataError("no row of the dataset can be evaluated: every one was left out (see above)")
    model, tokenizer = load_for_inference(args.model, device="cpu" if args.evaluation.use_cpu else None)
    report("loading", 1, 1)
    return Subject(model, tokenizer, prepared.chat, prepared.evals)


def _measure(args: Any, subject: Subject, run: Any) -> dict[str, Figures] | None:
    """{"eval": figures, "predict": figures}, or None when stopped."""
    from engine.infer.transformers_backend import find_stop_ids, prepare_for_generation

    stop_ids = find_stop_ids(subject.model, subject.chat)
    prepare_for_generation(subject.model)
    passes = 2 if args.evaluation.predict else 1
    progress = Progress(
        run.paths.trainer_log, phase="evaluating", unit="rows", total=passes * subject.num_rows
    )
    figures = _losses(args, subject, run, progress)
    if figures is None:
        return None
    if not args.evaluation.predict:
        return {"eval": figures}
    predicted = _predictions(args, subject, run, progress, stop_ids)
    return None if predicted is None else {"eval": figures, "predict": predicted}


def _losses(args: Any, subject: Subject, run: Any, progress: Progress) -> Figures | None:
    """eval_loss and its like over all rows, and eval_NAME_loss over each dataset that is told apart."""
    from engine.evaluate.loss import TokenScores, score_rows

    began, overall, named = time.monotonic(), TokenScores(), {}
    padding = subject.tokenizer.pad_token_id
    batch_size = args.evaluation.batch_size
    for name, table in subject.tables.items():
        scores = TokenScores()
        for batch in score_rows(subject.model, table, batch_size=batch_size, pad_token_id=padding):
            scores += batch
            progress.advance(batch.rows)
            if run.stop_requested():
                return None
        overall += scores
        named |= {} if name == ALL else _loss_figures(f"eval_{name}", scores)
    return _loss_figures("eval", overall) | named | _speed("eval", overall.rows, time.monotonic() - began)


def _loss_figures(prefix: str, scores: Any) -> Figures:
    return {
        f"{prefix}_loss": scores.loss,
        f"{prefix}_perplexity": scores.perplexity,
        f"{prefix}_accuracy": scores.accuracy,
        f"{prefix}_tokens": scores.tokens,
        f"{prefix}_samples": scores.rows,
    }


def _predictions(
    args: Any, subject: Subject, run: Any, progress: Progress, stop_ids: tuple[int, ...]
) -> Figures | None:
    """Answers to the rows of every dataset in turn, in one file; scored together, and by name."""
    import torch

    torch.manual_seed(args.evaluation.seed)
    began, overall, named, written = time.monotonic(), score.TextScores(), {}, 0
    with open(run.paths.predictions, "w", encoding="utf-8") as file:
        for name in subject.tables:
            scores = score.TextScores()
            for prediction in _answers(args, subject, name, run, progress, stop_ids):
                file.write(json.dumps(dataclasses.asdict(prediction), ensure_ascii=False) + "\n")
                file.flush()
                overall.add(prediction.predict, prediction.label)
                if name != ALL:
                    scores.add(prediction.predict, prediction.label)
                written += 1
            if name != ALL:
                named |= {
                    key.replace("predict", f"predict_{name}", 1): v for key, v in scores.means().items()
                }
    if run.stop_requested():
        print(
            f"stopped: {written} of {subject.num_rows} predictions are in {run.paths.predictions}", flush=True
        )
        return None
    counts = {"predict_samples": written}
    return overall.means() | named | counts | _speed("predict", written, time.monotonic() - began)


def _answers(
    args: Any, subject: Subject, name: str, run: Any, progress: Progress, stop_ids: tuple[int, ...]
) -> Iterator[Any]:
    from engine.evaluate.predict import find_question, predict
    from engine.infer.engine import Sampling

    table = subject.tables[name]
    found = [find_question(table[index]) for index in range(len(table))]
    questions = [question for question in found if question is not None]
    skipped = len(found) - len(questions)
    if skipped:
        print(f"{skipped} of {len(found)} rows keep no answer under cutoff_len; not predicted", flush=True)
        progress.advance(skipped)
    batches = predict(
        subject.model,
        subject.tokenizer,
        questions,
        batch_size=args.evaluation.batch_size,
        sampling=Sampling.from_args(args.generation),
        stop_ids=stop_ids,
        should_stop=run.stop_requested,
    )
    for batch in batches:
        yield from batch
        progress.advance(len(batch))


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
