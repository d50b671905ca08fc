"""BLEU and ROUGE against values worked out by hand."""

from __future__ import annotations

import importlib.util
import math
import sys

import pytest

from engine.errors import UserError
from engine.evaluate.score import TextScores, check_packages, score_pair


def test_equal_texts_score_full_marks_in_both_languages() -> None:
    for text in ("the cat sat down", "我喜欢北京的秋天"):
        scores = score_pair(text, text)
        assert scores["predict_exact_match"] == 100
        assert all(value == pytest.approx(100, abs=0.001) for value in scores.values()), scores


def test_a_shorter_answer_worked_out_by_hand() -> None:
    scores = score_pair("the cat sat", "the cat sat down")
    assert scores["predict_exact_match"] == 0
    # All 11 characters are in order in the 16 of the answer: precision 1, brevity penalty exp(1 - 16/11).
    assert scores["predict_bleu-4"] == pytest.approx(100 * math.exp(1 - 16 / 11), abs=0.001)
    assert scores["predict_rouge-1"] == pytest.approx(100 * 6 / 7, abs=0.001)  # precision 1, recall 3/4
    assert scores["predict_rouge-2"] == pytest.approx(80, abs=0.001)  # precision 1, recall 2/3
    assert scores["predict_rouge-l"] == pytest.approx(100 * 6 / 7, abs=0.001)


def test_chinese_is_cut_into_words() -> None:
    scores = score_pair("我喜欢上海", "我喜欢北京")  # words: 我 喜欢 上海 / 北京
    assert scores["predict_rouge-1"] == pytest.approx(100 * 2 / 3, abs=0.001)
    assert scores["predict_rouge-2"] == pytest.approx(50, abs=0.001)


@pytest.mark.parametrize(("predict", "label"), [("", "yes"), ("yes", ""), ("  \n", "yes"), ("", "")])
def test_an_empty_answer_scores_nothing_and_does_not_fail(predict: str, label: str) -> None:
    scores = score_pair(predict, label)
    assert scores["predict_rouge-l"] == 0
    assert scores["predict_bleu-4"] == 0


def test_long_texts_do_not_exhaust_the_stack() -> None:
    limit = sys.getrecursionlimit()
    text = " ".join(f"w{number}" for number in range(700))
    assert score_pair(text, text + " more")["predict_rouge-l"] > 99
    assert sys.getrecursionlimit() == limit


def test_means_are_over_answers() -> None:
    scores = TextScores()
    assert scores.means() == {}
    scores.add("same", "same")
    scores.add("x", "other")
    assert scores.means()["predict_exact_match"] == 50


def test_a_missing_package_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "jieba" else find(name))
    with pytest.raises(UserError, match=r'jieba.*pip install -e "\.\[eval\]"'):
        check_packages()
