"""One conversation in OpenAI's shape, rendered: `tunesmith data render`, and the preview of a mapping.

{"messages": [...], "system": "...", "tools": [...]} -> [{"text", "learn"}, ...]. The conversation is read by
the reader of openai datasets and rendered as in training. Without a tokenizer nothing heavy is imported.
Try: echo '{"messages":[{"role":"user","content":"Hi"}]}' | tunesmith data render --template qwen3
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.data.example import ASSISTANT, Example
from engine.data.formats import load_reader
from engine.data.inspect.view import View
from engine.data.registry.entry import OPENAI_TAGS
from engine.data.registry.spec import DatasetSpec
from engine.data.render import render, spans
from engine.data.report import RowError
from engine.errors import ArgError, DataError, Problem
from engine.templates.base import Rendered

KEYS = ("messages", "system", "tools")


def render_conversation(view: View, conversation: object) -> list[dict[str, Any]]:
    """The spans of a conversation. With a tokenizer each span has its token "ids".

    One that ends with the user or a tool is rendered up to where the answer would begin; nothing of it is
    learnt. Raises DataError for a conversation that cannot be read or rendered.
    """
    if view.chat is None:
        message = "is missing. Name a chat template, or give a tokenizer that has one."
        raise ArgError([Problem("template", message)])
    example = read_conversation(conversation)
    if example.messages[-1].role != ASSISTANT:
        return _prompt(view, example)
    (rendered,) = render([example], view.chat)
    if isinstance(rendered, str):
        raise DataError(rendered)
    return _spans(view, rendered)


def read_conversation(conversation: object) -> Example:
    """As a row of an openai dataset. Raises DataError."""
    if not isinstance(conversation, dict):
        raise DataError('expected an object {"messages": [...], "system": "...", "tools": [...]}')
    unknown = [key for key in conversation if key not in KEYS]
    if unknown:
        raise DataError(f"unknown key {unknown[0]!r}; known keys are {', '.join(KEYS)}")
    messages = conversation.get("messages")
    answered = isinstance(messages, list) and messages and _role(messages[-1]) == ASSISTANT
    try:
        return load_reader(_spec(), "chat" if answered else "prompt")(conversation)
    except RowError as error:
        # There is no dataset_info.json here whose tags could be set.
        reason = error.reason.partition(". Set tags in ")[0]
        raise DataError(f"{error.column}: {reason}" if error.column else reason) from None


def _role(message: object) -> object:
    return message.get("role") if isinstance(message, dict) else None


def _spec() -> DatasetSpec:
    columns = {key: key for key in KEYS}
    return DatasetSpec("standard input", (), "openai", columns, OPENAI_TAGS, frozenset(KEYS))


def _prompt(view: View, example: Example) -> list[dict[str, Any]]:
    assert view.chat is not None
    conversation = example.to_conversation()
    span: dict[str, Any] = {
        "text": view.chat.prompt_text(conversation.messages, conversation.tools),
        "learn": False,
    }
    if view.tokenizer is not None:
        span["ids"] = view.chat.prompt_ids(conversation.messages, conversation.tools)
    return [span]


def _spans(view: View, rendered: Rendered) -> list[dict[str, Any]]:
    data = view.args.data
    pieces = spans(rendered, mask_history=data.mask_history, train_on_prompt=data.train_on_prompt)
    texts = [{"text": rendered.text[start:end], "learn": learn} for start, end, learn in pieces]
    if view.tokenizer is None:
        return texts
    from engine.data.inspect.preview import WHOLE, show_tokens

    return with_ids(texts, show_tokens(rendered, view, cutoff_len=WHOLE, most=None)["tokens"])


def with_ids(texts: list[dict[str, Any]], tokens: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The spans with the ids of their tokens. A token that reaches over the border of an answer is not
    learnt and counts to its neighbour; where spans and tokens do not match up, the spans are the tokens'.
    """
    runs: list[dict[str, Any]] = []
    for token in tokens:
        if not runs or runs[-1]["learn"] != token["learn"]:
            runs.append({"text": "", "learn": token["learn"], "ids": []})
        runs[-1]["text"] += token["text"]
        runs[-1]["ids"].append(token["id"])
    if [run["learn"] for run in runs] == [span["learn"] for span in texts]:
        return [{**span, "ids": run["ids"]} for span, run in zip(texts, runs, strict=True)]
    return runs
