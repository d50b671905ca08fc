"""What the model sees: rows rendered and tokenised by the trainer's own functions, learnt parts marked. For
people.

Try: python -m engine.data.preview data/tiny-qwen3 identity --dataset_dir data --rows 2
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from engine.data.example import Example
from engine.data.mix import choose_rows
from engine.data.read import check_columns, read_examples
from engine.data.registry import find_datasets
from engine.data.render import render, spans
from engine.data.report import DatasetReport
from engine.data.sources import parse, read_bytes
from engine.data.tokenize import IGNORE, encode
from engine.errors import DataError
from engine.schema.data import DataArgs
from engine.templates.base import Rendered
from engine.templates.chat import ChatTemplate


def read_first(name: str, dataset_dir: str, num_rows: int) -> list[Example]:
    """The first usable rows of a registered dataset. Raises DataError with the reasons when there is none."""
    (spec,) = find_datasets([name], dataset_dir)
    rows = [parse(path, read_bytes(path)) for path in spec.files]
    check_columns(spec, rows)
    account = DatasetReport(name)
    chosen = choose_rows(sum(len(part.rows) for part in rows), spec, num_rows, 0)
    examples = [example for _, _, example in read_examples(spec, rows, chosen, account)]
    if not examples:
        raise DataError(
            "\n".join(str(problem) for problem in account.problems) or f"dataset {name} holds no rows"
        )
    return examples


def show(example: Example, chat: ChatTemplate, data: DataArgs) -> dict[str, Any]:
    """One row as spans of text and as tokens.

    Returns {"spans": [{"text", "learn"}], "tokens": [{"id", "text", "learn"}], "truncated": bool}. Raises
    DataError when the template cannot take the row.
    """
    (rendered,) = render([example], chat)
    if isinstance(rendered, str):
        raise DataError(rendered)
    batch = encode(
        [rendered],
        chat.tokenizer,
        cutoff_len=data.cutoff_len,
        mask_history=data.mask_history,
        train_on_prompt=data.train_on_prompt,
    )
    ids, labels = batch.row(0)
    tokens = [
        {"id": token, "text": chat.tokenizer.decode([token]), "learn": label != IGNORE}
        for token, label in zip(ids, labels, strict=True)
    ]
    return {"spans": _texts(rendered, data), "tokens": tokens, "truncated": bool(batch.truncated[0])}


def _texts(rendered: Rendered, data: DataArgs) -> list[dict[str, Any]]:
    pieces = spans(rendered, mask_history=data.mask_history, train_on_prompt=data.train_on_prompt)
    return [{"text": rendered.text[start:end], "learn": learn} for start, end, learn in pieces]


def main(argv: Sequence[str] | None = None) -> int:
    from transformers import AutoTokenizer

    from engine.templates.chat import load_chat

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokenizer")
    parser.add_argument("dataset")
    parser.add_argument("--dataset_dir", default="data")
    parser.add_argument("--template")
    parser.add_argument("--rows", type=int, default=2)
    given = parser.parse_args(argv)
    chat = load_chat(AutoTokenizer.from_pretrained(given.tokenizer), given.template)
    for example in read_first(given.dataset, given.dataset_dir, given.rows):
        shown = show(example, chat, DataArgs())
        for piece in shown["spans"]:
            print("learnt" if piece["learn"] else "      ", repr(piece["text"]))
        num_learnt = sum(token["learn"] for token in shown["tokens"])
        print(f"       {len(shown['tokens'])} tokens, {num_learnt} learnt\n")
    print(*chat.notes, sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
