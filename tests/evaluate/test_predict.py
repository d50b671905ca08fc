"""Questions out of labelled rows, and batched answers equal to answers one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.evaluate.predict import Prediction, Question, find_question, predict
from engine.infer.engine import Sampling
from engine.infer.transformers_backend import prepare_for_generation

GREEDY = Sampling(do_sample=False, max_new_tokens=6)


@pytest.fixture(scope="module")
def parts(tiny_random: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_random)
    return prepare_for_generation(model), AutoTokenizer.from_pretrained(tiny_random)


def row(ids: str, learn: str) -> dict[str, list[int]]:
    """Letters as ids; `learn` marks learnt ones with +."""
    numbers = [ord(letter) for letter in ids]
    return {
        "input_ids": numbers,
        "labels": [number if mark == "+" else -100 for number, mark in zip(numbers, learn, strict=True)],
    }


@pytest.mark.parametrize(
    ("ids", "learn", "expected"),
    [
        ("qqaa", "--++", ("qq", "aa")),
        ("qqaaqqaa", "--++--++", ("qqaaqq", "aa")),
        ("qqaan", "--++-", ("qq", "aa")),
        ("qqqq", "----", None),
        ("aaaa", "++++", None),
    ],
)
def test_the_last_learnt_answer_is_asked_for(ids: str, learn: str, expected: tuple[str, str] | None) -> None:
    found = find_question(row(ids, learn))
    if expected is None:
        assert found is None
    else:
        assert found == Question(*([ord(letter) for letter in part] for part in expected))


def answers(
    parts: tuple[Any, Any], questions: list[Question], batch_size: int, stop_ids: tuple[int, ...]
) -> list[Prediction]:
    model, tokenizer = parts
    batches = predict(
        model,
        tokenizer,
        questions,
        batch_size=batch_size,
        sampling=GREEDY,
        stop_ids=stop_ids,
        should_stop=lambda: False,
    )
    return [prediction for batch in batches for prediction in batch]


def test_batched_answers_equal_single_ones_in_the_order_of_the_rows(parts: tuple[Any, Any]) -> None:
    tokenizer = parts[1]
    questions = [
        Question(tokenizer.encode("q" * size), tokenizer.encode("label")) for size in (3, 40, 11, 7, 1)
    ]
    stops = (tokenizer.eos_token_id,)
    together, alone = answers(parts, questions, 4, stops), answers(parts, questions, 1, stops)
    assert together == alone
    assert [len(prediction.prompt) for prediction in together] == [3, 40, 11, 7, 1]
    assert {prediction.label for prediction in together} == {"label"}


def test_answer_and_label_end_before_the_stop_token(parts: tuple[Any, Any]) -> None:
    tokenizer = parts[1]
    end = tokenizer.eos_token_id
    question = Question(tokenizer.encode("qq"), [*tokenizer.encode("yes"), end])
    free = answers(parts, [question], 1, (end,))[0]
    assert free.label == "yes"
    ids = tokenizer.encode(free.predict) or [end]
    assert answers(parts, [question], 1, (ids[0],))[0].predict == ""


def test_a_prompt_that_fills_the_context_gets_an_empty_answer(parts: tuple[Any, Any]) -> None:
    question = Question([65] * 1024, [66])
    assert answers(parts, [question], 1, (0,))[0].predict == ""


def test_a_stop_ends_between_batches_and_drops_the_one_in_hand(parts: tuple[Any, Any]) -> None:
    model, tokenizer = parts
    done: list[Prediction] = []
    batches = predict(
        model,
        tokenizer,
        [Question([65], [66])] * 5,
        batch_size=2,
        sampling=GREEDY,
        stop_ids=(tokenizer.eos_token_id,),
        should_stop=lambda: len(done) >= 2,
    )
    for batch in batches:
        done.extend(batch)
    assert len(done) == 2
