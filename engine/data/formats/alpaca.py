"""Alpaca rows: an instruction, perhaps an input below it, an output, perhaps earlier [question, answer]
pairs, a system prompt, tools, media. Pairs have `chosen` and `rejected` texts in place of the output.

Try: {"instruction": "Add.", "input": "2 and 3", "output": "5", "history": [["Hi", "Hello"]]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.data.example import ASSISTANT, USER, Example, Kind, Message
from engine.data.formats import Reader
from engine.data.formats.cells import cell, list_of, text_of
from engine.data.formats.kto import read_label
from engine.data.formats.media import build_media_reader, check_placeholders
from engine.data.formats.ranking import check_pair
from engine.data.formats.tools import read_tools
from engine.data.registry.spec import DatasetSpec
from engine.data.report import RowError

NOTHING = "is empty: there would be nothing to learn"


def build_reader(spec: DatasetSpec, want: Kind) -> Reader:
    """Instruction and input are joined by a newline, as LLaMA-Factory does. want "text": a row without an
    answer is text. want "prompt": the answer, if any, is the reference.
    """
    columns = spec.columns
    prompt, query, response = (columns.get(role, "") for role in ("prompt", "query", "response"))
    system, history, tools = (columns.get(role, "") for role in ("system", "history", "tools"))
    chosen, rejected, label = (columns.get(role, "") for role in ("chosen", "rejected", "kto_tag"))
    read_row_media = build_media_reader(spec)

    def read(row: Mapping[str, Any]) -> Example:
        question = _join(cell(row, prompt), cell(row, query))
        if not question:
            raise RowError(prompt or query, "is empty")
        earlier = _read_history(row.get(history), history) if history else []
        turns = [*earlier, Message(USER, question)]
        system_text, answer = cell(row, system), cell(row, response) if want != "pair" else ""
        if want == "text" and not (answer or earlier or system_text):
            return Example(text=question)
        if want in ("chat", "label", "text"):
            if not answer:
                raise RowError(response, NOTHING)
            turns.append(Message(ASSISTANT, answer))
        media = read_row_media(row)
        facts: dict[str, Any] = dict(media)
        answers: tuple[Message, ...] = ()
        if want == "pair":
            answers = tuple(Message(ASSISTANT, cell(row, column)) for column in (chosen, rejected))
            check_pair(*answers, columns=(chosen, rejected))
            facts.update(chosen=answers[0], rejected=answers[1])
        elif want == "label":
            facts["desirable"] = read_label(row.get(label), label)
        elif want == "prompt":
            facts["reference"] = answer
        if media:
            check_placeholders(media, columns, turns, answers)
        if tools:
            facts["tools"] = read_tools(row.get(tools), tools)
        return Example(tuple(turns), system_text, **facts)

    return read


def _join(question: str, extra: str) -> str:
    return f"{question}\n{extra}" if question and extra else question or extra


def _read_history(value: object, column: str) -> list[Message]:
    if not value:
        return []
    messages = []
    for number, pair in enumerate(list_of(value, column, "a list of [question, answer] pairs"), 1):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise RowError(column, f"pair {number} is not [question, answer]")
        for role, part, name in zip((USER, ASSISTANT), pair, ("question", "answer"), strict=True):
            what = f"the {name} of pair {number}"
            text = text_of(part, column, what)
            if not text:
                raise RowError(column, f"{what} is empty")
            messages.append(Message(role, text))
    return messages
