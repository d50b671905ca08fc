"""Alpaca rows: an instruction, perhaps an input below it, an output, perhaps earlier [question, answer]
pairs.

Try: {"instruction": "Add.", "input": "2 and 3", "output": "5", "history": [["Hi", "Hello"]]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.data.example import ASSISTANT, USER, Example, Message
from engine.data.formats import Reader, text_of
from engine.data.registry import DatasetSpec
from engine.data.report import RowError


def build_reader(spec: DatasetSpec) -> Reader:
    """Instruction and input are joined by a newline, as LLaMA-Factory does."""
    prompt, query, response = (spec.columns.get(role, "") for role in ("prompt", "query", "response"))
    system, history = spec.columns.get("system", ""), spec.columns.get("history", "")

    def read(row: Mapping[str, Any]) -> Example:
        question = text_of(row.get(prompt), prompt)
        extra = text_of(row.get(query), query) if query else ""
        answer = text_of(row.get(response), response)
        if question and extra:
            question = f"{question}\n{extra}"
        question = question or extra
        if not question:
            raise RowError(prompt, "is empty")
        if not answer:
            raise RowError(response, "is empty: there would be nothing to learn")
        turns = [
            *_read_history(row.get(history), history),
            Message(USER, question),
            Message(ASSISTANT, answer),
        ]
        return Example(tuple(turns), text_of(row.get(system), system) if system else "")

    return read


def _read_history(value: object, column: str) -> list[Message]:
    if not value:
        return []
    if not isinstance(value, list):
        raise RowError(column, "is not a list of [question, answer] pairs")
    messages = []
    for number, pair in enumerate(value, 1):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise RowError(column, f"pair {number} is not [question, answer]")
        messages.append(Message(USER, text_of(pair[0], column)))
        messages.append(Message(ASSISTANT, text_of(pair[1], column)))
    return messages
