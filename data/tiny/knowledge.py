"""Colours and simple facts, each taught in some phrasings and asked in another.

Each function draws one Question from a random stream. Try: python data/tiny/corpus.py --show 20
"""

from random import Random

import words
from question import Question, phrased, pick_language


def colours(rng: Random) -> Question:
    """The colour of a thing, or of two paints mixed."""
    language = pick_language(rng)
    if rng.random() < 0.2:
        first, second, mixed, first_zh, second_zh, mixed_zh = rng.choice(words.MIXES)
        if language == "en":
            prompts = tuple(
                form.format(a=a, b=b)
                for a, b in ((first, second), (second, first))
                for form in (
                    "What do {a} and {b} make?",
                    "Mix {a} and {b}.",
                    "What colour do I get from {a} and {b}?",
                )
            )
            return phrased(rng, "colours", "en", prompts, f"{first.capitalize()} and {second} make {mixed}.")
        prompts = tuple(
            form.format(a=a, b=b)
            for a, b in ((first_zh, second_zh), (second_zh, first_zh))
            for form in ("{a}和{b}混合是什么颜色？", "把{a}和{b}混在一起。", "{a}加{b}是什么颜色？")
        )
        return phrased(rng, "colours", "zh", prompts, f"{first_zh}和{second_zh}混合是{mixed_zh}。")
    thing, colour, thing_zh, colour_zh = rng.choice(words.COLOURS)
    if language == "en":
        prompts = (
            f"What colour is {thing}?",
            f"What is the colour of {thing}?",
            f"Which colour is {thing}?",
            f"Tell me the colour of {thing}.",
            f"Do you know what colour {thing} is?",
        )
        return phrased(rng, "colours", "en", prompts, f"{thing[0].upper()}{thing[1:]} is {colour}.")
    prompts = (
        f"{thing_zh}是什么颜色？",
        f"{thing_zh}的颜色是什么？",
        f"告诉我{thing_zh}的颜色。",
        f"你知道{thing_zh}是什么颜色吗？",
    )
    return phrased(rng, "colours", "zh", prompts, f"{thing_zh}是{colour_zh}的。")


def facts(rng: Random) -> Question:
    """Capitals, opposites, legs, days, months and how many of one thing are in another."""
    language = pick_language(rng)
    draw = rng.choice((_capital, _capital, _opposite, _opposite, _legs, _day, _month, _count))
    prompts, answer = draw(rng, language)
    return phrased(rng, "facts", language, prompts, answer)


Fact = tuple[tuple[str, ...], str]  # phrasings, answer


def _capital(rng: Random, language: str) -> Fact:
    country, city, country_zh, city_zh = rng.choice(words.CAPITALS)
    if language == "en":
        prompts = (
            f"What is the capital of {country}?",
            f"Which city is the capital of {country}?",
            f"Tell me the capital of {country}.",
            f"Name the capital of {country}.",
            f"{country}: what is its capital?",
        )
        return prompts, f"The capital of {country} is {city}."
    prompts = (
        f"{country_zh}的首都是哪里？",
        f"{country_zh}的首都是什么？",
        f"告诉我{country_zh}的首都。",
        f"你知道{country_zh}的首都吗？",
    )
    return prompts, f"{country_zh}的首都是{city_zh}。"


def _opposite(rng: Random, language: str) -> Fact:
    one, other, one_zh, other_zh = rng.choice(words.OPPOSITES)
    if rng.random() < 0.5:
        one, other, one_zh, other_zh = other, one, other_zh, one_zh
    if language == "en":
        prompts = (
            f"What is the opposite of {one}?",
            f"Tell me the opposite of {one}.",
            f"Give the opposite of {one}.",
            f"What word is the opposite of {one}?",
        )
        return prompts, f"The opposite of {one} is {other}."
    prompts = (
        f"“{one_zh}”的反义词是什么？",
        f"告诉我“{one_zh}”的反义词。",
        f"写出“{one_zh}”的反义词。",
        f"什么是“{one_zh}”的反义词？",
    )
    return prompts, f"“{one_zh}”的反义词是“{other_zh}”。"


def _legs(rng: Random, language: str) -> Fact:
    animal, legs, animal_zh = rng.choice(words.LEGS)
    if language == "en":
        article = "An" if animal[0] in "aeiou" else "A"
        prompts = (
            f"How many legs does {article.lower()} {animal} have?",
            f"Tell me how many legs {article.lower()} {animal} has.",
            f"{article} {animal} has how many legs?",
            f"Count the legs of {article.lower()} {animal}.",
        )
        return prompts, f"{article} {animal} has {legs or 'no'} legs."
    prompts = (
        f"{animal_zh}有几条腿？",
        f"{animal_zh}有多少条腿？",
        f"告诉我{animal_zh}有几条腿。",
        f"你知道{animal_zh}有几条腿吗？",
    )
    return prompts, f"{animal_zh}有{legs}条腿。" if legs else f"{animal_zh}没有腿。"


def _next(rng: Random, language: str, what: str, what_zh: str, cycle: list[str], cycle_zh: list[str]) -> Fact:
    """What follows, or comes before, a member of a cycle (days, months)."""
    index, step = rng.randrange(len(cycle)), rng.choice((1, -1))
    other = (index + step) % len(cycle)
    word, word_zh = ("after", "后面") if step == 1 else ("before", "前面")
    if language == "en":
        here, there = cycle[index], cycle[other]
        prompts = (
            f"What {what} comes {word} {here}?",
            f"Which {what} is {word} {here}?",
            f"Tell me the {what} {word} {here}.",
            f"What is the {what} {word} {here}?",
        )
        return prompts, f"{there} comes {word} {here}."
    here, there = cycle_zh[index], cycle_zh[other]
    prompts = (
        f"{here}{word_zh}是{what_zh}？",
        f"{here}的{word_zh}是{what_zh}？",
        f"告诉我{here}{word_zh}是{what_zh}。",
        f"你知道{here}{word_zh}是{what_zh}吗？",
    )
    return prompts, f"{here}{word_zh}是{there}。"


def _day(rng: Random, language: str) -> Fact:
    return _next(rng, language, "day", "星期几", [d for d, _ in words.DAYS], [d for _, d in words.DAYS])


def _month(rng: Random, language: str) -> Fact:
    return _next(rng, language, "month", "几月", words.MONTHS, words.MONTHS_ZH)


def _count(rng: Random, language: str) -> Fact:
    part, whole, number, question_zh, answer_zh = rng.choice(words.COUNTS)
    if language == "en":
        verb = "does" if whole == "one hand" or (whole.startswith("a ") and part == "sides") else "are in"
        ask = f"{verb} {whole} have" if verb == "does" else f"{verb} {whole}"
        prompts = (
            f"How many {part} {ask}?",
            f"Tell me how many {part} {whole} has.",
            f"{whole[0].upper()}{whole[1:]} has how many {part}?",
        )
        return prompts, f"{whole[0].upper()}{whole[1:]} has {number} {part}."
    prompts = (question_zh + "？", f"告诉我{question_zh}。", f"你知道{question_zh}吗？")
    return prompts, answer_zh
