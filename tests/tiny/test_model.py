"""The shipped model: small enough, and it knows what it was taught."""

import json

import corpus
import pytest
import score
from question import Question

MOST_BYTES = 8 * 1024 * 1024


@pytest.fixture(scope="module")
def loaded(tiny_model):
    return score.load(tiny_model)


def test_it_takes_at_most_8_mb(tiny_model):
    assert sum(path.stat().st_size for path in tiny_model.iterdir()) <= MOST_BYTES


def test_held_out_questions_are_answered(loaded):
    questions = corpus.held_out(7, seed=1)
    result = score.score(*loaded, questions)
    assert result["questions"] >= 60
    assert result["exact"] >= 90, result
    assert result["stopped"] >= 98, result


def test_it_says_who_it_is(loaded):
    asked = ["who are you", "Who are you?", "你是谁？"]
    for text, stopped in score.answers(*loaded, asked):
        assert "Tiny" in text and stopped


def test_a_wrong_answer_is_counted_as_wrong(loaded):
    questions = [
        Question("sums", "en", "a", "What is 2 + 3?", "5"),
        Question("sums", "en", "b", "What is 2 + 3?", "6"),
    ]
    assert score.score(*loaded, questions)["exact"] == 50.0


def test_the_recorded_scores_meet_the_bar(tiny_model):
    recorded = json.loads((tiny_model / "scores.json").read_text(encoding="utf-8"))
    assert recorded["exact"] >= 95 and recorded["exact_mean_of_kinds"] >= 95
    assert min(entry["exact"] for entry in recorded["kinds"].values()) >= 85
    assert recorded["training"]["minutes"] <= 40
