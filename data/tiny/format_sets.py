"""A small data set in each format that the data path reads: tools, messages, pairs, labels, prompts, text.

The questions are the tiny model's own, from the training side of its split, so each set also suits it. Try:
python data/tiny/format_sets.py
"""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import corpus
from kinds import KINDS
from question import Question

DATA = Path(__file__).resolve().parent.parent
ROWS = 120
CHECKABLE = tuple(kind for kind in KINDS if kind not in ("greetings", "identity"))
LINES = 400
CALCULATOR = {
    "name": "calculate",
    "description": "Work out a sum or a difference of two whole numbers.",
    "parameters": {
        "type": "object",
        "properties": {
            "first": {"type": "integer", "description": "the first number"},
            "operation": {"type": "string", "enum": ["add", "subtract"]},
            "second": {"type": "integer", "description": "the second number"},
        },
        "required": ["first", "operation", "second"],
    },
}
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a place on a day.",
    "parameters": {
        "type": "object",
        "properties": {
            "place": {"type": "string", "description": "name of a town"},
            "day": {"type": "string", "description": "a day of the week"},
        },
        "required": ["place"],
    },
}
SKIES = {"en": ("sunny", "cloudy", "rainy", "windy"), "zh": ("晴", "多云", "有雨", "有风")}
TOWNS = {"en": ("Lisbon", "Oslo", "Cairo", "Lima"), "zh": ("北京", "上海", "成都", "昆明")}
ASKED = {"en": "What is the weather in {place}?", "zh": "{place}的天气怎么样？"}
TOLD = {"en": "It is {sky} in {place}, {degrees} degrees.", "zh": "{place}{sky}，{degrees}度。"}

Row = dict[str, Any]
Call = tuple[str, dict[str, Any], dict[str, Any]]
"""Name of the function, its arguments, and what it gives back."""


def distinct(rng: Random, count: int, kinds: tuple[str, ...]) -> Iterator[Question]:
    """`count` questions of the training side, no prompt twice."""
    seen: set[str] = set()
    while len(seen) < count:
        question = corpus.draw(rng, rng.choice(kinds), held_out=False)
        if question.prompt not in seen:
            seen.add(question.prompt)
            yield question


def wrong_answer(rng: Random, question: Question) -> str:
    """Another answer to the same kind of question, in the same language."""
    while True:
        other = corpus.draw(rng, question.kind, held_out=False)
        if other.language == question.language and other.answer != question.answer:
            return other.answer


def arithmetic_call(question: Question) -> Call:
    """The call that works the question out."""
    operation, sign = ("add", "+") if question.kind == "sums" else ("subtract", "-")
    first, _, second = question.key.partition(":")[2].partition(sign)
    arguments = {"first": int(first), "operation": operation, "second": int(second)}
    return "calculate", arguments, {"result": int(question.answer)}


def weather_question(rng: Random, language: str) -> tuple[str, str, Call]:
    """A question, its answer, and the call in between."""
    place, sky = rng.choice(TOWNS[language]), rng.choice(SKIES[language])
    degrees = rng.randrange(5, 35)
    answer = TOLD[language].format(place=place, sky=sky, degrees=degrees)
    result = {"sky": sky, "degrees": degrees}
    return ASKED[language].format(place=place), answer, ("get_weather", {"place": place}, result)


def tools_demo() -> list[Row]:
    """ShareGPT rows with tools: a call, its result, the answer; a few that need no tool."""
    rng = Random(f"tools {corpus.SEED}")
    tools = json.dumps([CALCULATOR, WEATHER], ensure_ascii=False)
    rows = []
    for number, question in enumerate(distinct(rng, ROWS, ("sums", "differences"))):
        if number % 4 == 3:
            question = corpus.draw(rng, "greetings", held_out=False)
        prompt, answer = question.prompt, question.answer
        call_of = arithmetic_call(question) if question.kind != "greetings" else None
        if number % 4 == 2:
            prompt, answer, call_of = weather_question(rng, question.language)
        turns = [{"from": "human", "value": prompt}]
        if call_of:
            name, arguments, result = call_of
            call = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
            turns.append({"from": "function_call", "value": call})
            turns.append({"from": "observation", "value": json.dumps(result, ensure_ascii=False)})
        turns.append({"from": "gpt", "value": answer})
        rows.append({"conversations": turns, "tools": tools})
    return rows


def messages_demo() -> list[Row]:
    """Rows in the OpenAI form: messages, every fourth with a system message, every fifth with a tool call."""
    rng = Random(f"messages {corpus.SEED}")
    rows: list[Row] = []
    for number, question in enumerate(distinct(rng, ROWS, ("sums", "facts", "colours", "copying"))):
        messages: list[Row] = [{"role": "user", "content": question.prompt}]
        row: Row = {"messages": messages}
        if question.kind == "sums" and number % 5 < 2:
            name, arguments, result = arithmetic_call(question)
            call = {"name": name, "arguments": json.dumps(arguments)}
            identity = f"call_{number}"
            calls = [{"id": identity, "type": "function", "function": call}]
            messages.append({"role": "assistant", "content": "", "tool_calls": calls})
            messages.append({"role": "tool", "tool_call_id": identity, "content": json.dumps(result)})
            row["tools"] = [{"type": "function", "function": CALCULATOR}]
        messages.append({"role": "assistant", "content": question.answer})
        if number % 4 == 0:
            messages.insert(0, {"role": "system", "content": "Answer briefly."})
        rows.append(row)
    return rows


def pairs_demo() -> list[Row]:
    """Preference pairs: the right answer chosen, another one rejected."""
    rng = Random(f"pairs {corpus.SEED}")
    return [
        {
            "instruction": question.prompt,
            "input": "",
            "chosen": question.answer,
            "rejected": wrong_answer(rng, question),
        }
        for question in distinct(rng, ROWS, CHECKABLE)
    ]


def labels_demo() -> list[Row]:
    """Single answers, each marked as wanted or not (KTO)."""
    rng = Random(f"labels {corpus.SEED}")
    rows = []
    for number, question in enumerate(distinct(rng, ROWS, CHECKABLE)):
        good = number % 2 == 0
        answer = question.answer if good else wrong_answer(rng, question)
        rows.append({"instruction": question.prompt, "input": "", "output": answer, "label": good})
    return rows


def text_demo() -> list[str]:
    """Lines of plain text to learn whole."""
    rng = Random(f"text {corpus.SEED}")
    return [f"{q.prompt} {q.answer}" for q in distinct(rng, LINES, ("facts", "colours", "sums", "greetings"))]


def main() -> None:
    for make in (tools_demo, pairs_demo, labels_demo):
        text = json.dumps(make(), ensure_ascii=False, indent=1)
        (DATA / f"{make.__name__}.json").write_text(text + "\n", encoding="utf-8")
    lines = [json.dumps(row, ensure_ascii=False) for row in messages_demo()]
    (DATA / "messages_demo.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (DATA / "text_demo.txt").write_text("\n".join(text_demo()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
