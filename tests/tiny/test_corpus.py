"""The corpus: the same every time, right, and with its held-out questions truly held out."""

import re
from random import Random

import corpus
import pytest
from kinds import KINDS
from question import bare

NUMBERS = re.compile(r"\d+")


@pytest.fixture(scope="module")
def learnt():
    """Question and answer of 20,000 training conversations."""
    pairs = []
    for messages in corpus.conversations(20_000):
        turns = [message for message in messages if message["role"] != "system"]
        pairs += [
            (ask["content"], answer["content"]) for ask, answer in zip(turns[::2], turns[1::2], strict=True)
        ]
    return pairs


@pytest.fixture(scope="module")
def kept_back():
    return corpus.held_out(200)


def test_the_same_seed_gives_the_same_corpus(tmp_path):
    first = corpus.write(tmp_path / "one", 300).read_bytes()
    assert first == corpus.write(tmp_path / "two", 300).read_bytes()
    assert first != corpus.write(tmp_path / "three", 300, seed=8).read_bytes()


def test_every_kind_and_both_languages_are_held_out(kept_back):
    assert {(question.kind, question.language) for question in kept_back} == {
        (kind, language) for kind in KINDS for language in ("en", "zh")
    }


def test_no_held_out_question_is_learnt(learnt, kept_back):
    prompts = {bare(prompt.removesuffix(corpus.NO_THINK)) for prompt, _ in learnt}
    assert not prompts & {bare(question.prompt) for question in kept_back}


def test_a_held_out_sum_is_learnt_in_no_wording_and_no_order(learnt, kept_back):
    def operands(prompt):
        found = [int(number) for number in NUMBERS.findall(prompt)]
        return frozenset(found) if len(found) == 2 else None

    asked = {operands(q.prompt) for q in kept_back if q.kind == "sums"}
    adding = re.compile(r"\+|add|plus|加", re.IGNORECASE)
    seen = {
        operands(prompt)
        for prompt, _ in learnt
        if adding.search(prompt) and len(NUMBERS.findall(prompt)) == 2
    }
    assert len(seen) > 1_000
    assert not asked & seen


def test_every_fact_is_learnt_in_some_wording(kept_back):
    rng = Random(3)
    for kind in ("identity", "colours", "facts"):
        learnt = {corpus.draw(rng, kind, held_out=False).answer for _ in range(15_000)}
        assert {question.answer for question in kept_back if question.kind == kind} <= learnt


@pytest.mark.parametrize("kind", ["sums", "differences"])
def test_arithmetic_is_right(kept_back, kind):
    for question in (q for q in kept_back if q.kind == kind):
        first, second = (int(number) for number in NUMBERS.findall(question.prompt))
        assert int(question.answer) == (first + second if kind == "sums" else first - second), question
        assert min(first, second) >= 0 and max(first, second) < 100


@pytest.mark.parametrize("kind", ["copying", "reversing", "first_letters"])
def test_drills_are_right(kept_back, kind):
    for question in (q for q in kept_back if q.kind == kind):
        text = re.split(r": | of ", question.prompt)[-1]
        expected = {
            "copying": text,
            "reversing": " ".join(text.split()[::-1]),
            "first_letters": " ".join(item[0] for item in text.split()),
        }
        assert question.answer == expected[kind], question


def test_facts_are_right(learnt):
    """A few of each table, asked as a person would check them."""
    known = {bare(prompt): answer for prompt, answer in learnt}
    assert known["what is the capital of france"] == "The capital of France is Paris."
    assert known["what day comes after sunday"] == "Monday comes after Sunday."
    assert "December comes before January." in known.values()
    assert known["how many legs does a spider have"] == "A spider has 8 legs."
    assert known["what colour is snow"] == "Snow is white."
    assert known["一个星期有几天"] == "一个星期有七天。"


def test_conversations_start_with_the_user_and_take_turns():
    lengths = set()
    for messages in corpus.conversations(500):
        roles = [message["role"] for message in messages]
        turns = roles[1:] if roles[0] == "system" else roles
        assert turns == ["user", "assistant"] * (len(turns) // 2)
        lengths.add(len(turns))
    assert min(lengths) == 2 and max(lengths) >= 8
