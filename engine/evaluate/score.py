"""BLEU and ROUGE between an answer and the dataset's, from their packages, under LLaMA-Factory's keys.

A key means what it means there, so that figures can be compared: BLEU-4 over characters (NLTK, smoothing
method 3), ROUGE over words as jieba cuts them, which serves Chinese and English alike; per answer, in
percent, then averaged. predict_exact_match is ours: the share of answers that equal the dataset's but for
white space around them.
Try: python -m engine.evaluate.score "the cat sat" "the cat sat down"
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import sys
import warnings
from collections.abc import Iterator

from engine.errors import UserError

PACKAGES = ("nltk", "jieba", "rouge_chinese")
KEYS = ("predict_exact_match", "predict_bleu-4", "predict_rouge-1", "predict_rouge-2", "predict_rouge-l")


def check_packages() -> None:
    """Raises UserError with the install command when a scoring package is absent."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"predictions are scored with {', '.join(missing)}, which is not installed. "
            'Run: pip install -e ".[eval]"   or evaluate without predictions: predict=false'
        )


class TextScores:
    """Collects the scores of answers; `means` gives their averages."""

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []

    def add(self, predict: str, label: str) -> None:
        self._rows.append(score_pair(predict, label))

    def means(self) -> dict[str, float]:
        """Averages in percent, rounded to 4 digits; empty when nothing was added."""
        if not self._rows:
            return {}
        return {key: round(sum(row[key] for row in self._rows) / len(self._rows), 4) for key in KEYS}


def score_pair(predict: str, label: str) -> dict[str, float]:
    """The scores of one answer, in percent."""
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    rouge = _rouge(_words(predict), _words(label))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an answer without a shared 4-gram: smoothing is the answer to it
        bleu = sentence_bleu([list(label)], list(predict), smoothing_function=SmoothingFunction().method3)
    return {
        "predict_exact_match": 100.0 * (predict.strip() == label.strip()),
        "predict_bleu-4": round(100 * float(bleu), 4),
    } | {f"predict_{name}": round(100 * rouge[name], 4) for name in ("rouge-1", "rouge-2", "rouge-l")}


def _words(text: str) -> str:
    import jieba

    jieba.setLogLevel(logging.WARNING)
    return " ".join(jieba.cut(text))


def _rouge(predict: str, label: str) -> dict[str, float]:
    from rouge_chinese import Rouge

    if not predict.split() or not label.split():
        return {"rouge-1": 0.0, "rouge-2": 0.0, "rouge-l": 0.0}
    with _recursion(len(predict.split()) + len(label.split())):
        scores = Rouge().get_scores(predict, label)[0]
    return {name: scores[name]["f"] for name in scores}


@contextlib.contextmanager
def _recursion(depth: int) -> Iterator[None]:
    """Room for calls `depth` deep: the package walks the two texts recursively and fails on long ones."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, depth + 1000))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


if __name__ == "__main__":
    print(score_pair(sys.argv[1], sys.argv[2]))
