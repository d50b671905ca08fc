"""The corpus of the tiny model: conversations to learn from and held-out questions to score it by.

Deterministic: the same seed gives the same bytes. A question is held out by the hash of its key
(question.py): what a held-out question asks is nowhere in the training conversations.
Try: python data/tiny/corpus.py --show 20        or: python data/tiny/corpus.py --out FOLDER
"""

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import words
from kinds import KINDS
from question import TAUGHT, Question

SEED = 7
HELD_OUT_PERCENT = 10
# Arithmetic has to be worked out, the rest is soon known by heart: shares follow what a kind costs to learn.
SHARES = {
    "greetings": 5,
    "identity": 4,
    "sums": 25,
    "differences": 21,
    "copying": 11,
    "reversing": 13,
    "first_letters": 9,
    "colours": 4,
    "facts": 8,
}
# Mostly single questions, which are learnt sooner, and some longer talks.
TURNS, TURN_SHARES = (1, 2, 3, 4, 5), (80, 5, 5, 5, 5)
# The soft switch of Qwen3: a question that ends with it is answered behind an empty think block.
NO_THINK, EMPTY_THINK = " /no_think", "<think>\n\n</think>\n\n"


def is_held_out(question: Question) -> bool:
    """Whether a question belongs to the held-out side. Depends on its key alone, not on the seed."""
    if question.key.startswith(TAUGHT):
        return False
    return int(hashlib.sha256(question.key.encode()).hexdigest(), 16) % 100 < HELD_OUT_PERCENT


def draw(rng: Random, kind: str, *, held_out: bool) -> Question:
    """A random question of one kind from one side of the split."""
    while True:
        question = KINDS[kind](rng)
        if is_held_out(question) == held_out:
            return question


def vary(rng: Random, prompt: str) -> str:
    """Now and then a small first letter, no last mark, no blanks around + and -. Leaves the key as it is."""
    if rng.random() < 0.25:
        prompt = prompt.replace(" + ", "+").replace(" - ", "-").replace(" = ", "=")
    if rng.random() < 0.15 and not prompt.startswith("I "):
        prompt = prompt[0].lower() + prompt[1:]
    if rng.random() < 0.15:
        prompt = prompt.rstrip("?.？。 ")
    return prompt


def conversation(rng: Random) -> list[dict[str, str]]:
    """One to five questions with their answers, with or without a system prompt, as messages."""
    messages = []
    if rng.random() < 0.1:
        messages.append({"role": "system", "content": rng.choice(words.SYSTEM_PROMPTS)})
    suffix, prefix = (NO_THINK, EMPTY_THINK) if rng.random() < 0.08 else ("", "")
    for _ in range(rng.choices(TURNS, weights=TURN_SHARES)[0]):
        kind = rng.choices(list(SHARES), weights=list(SHARES.values()))[0]
        question = draw(rng, kind, held_out=False)
        messages.append({"role": "user", "content": vary(rng, question.prompt) + suffix})
        messages.append({"role": "assistant", "content": prefix + question.answer})
    return messages


def conversations(count: int, *, seed: int = SEED) -> Iterator[list[dict[str, str]]]:
    """`count` training conversations."""
    rng = Random(f"train {seed}")
    return (conversation(rng) for _ in range(count))


def held_out(per_kind: int, *, seed: int = SEED) -> list[Question]:
    """Up to `per_kind` held-out questions of each kind, no prompt twice. A small kind gives what it has."""
    rng = Random(f"held out {seed}")
    found: list[Question] = []
    for kind in KINDS:
        prompts: set[str] = set()
        for _ in range(per_kind * 20):
            if len(prompts) == per_kind:
                break
            question = draw(rng, kind, held_out=True)
            if question.prompt not in prompts:
                prompts.add(question.prompt)
                found.append(question)
    return found


def write(folder: Path, count: int, *, seed: int = SEED) -> Path:
    """Write the training conversations and their dataset_info.json; returns the conversations' path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny_corpus.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for messages in conversations(count, seed=seed):
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
    tags = {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
        "system_tag": "system",
    }
    entry = {
        "file_name": path.name,
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": tags,
    }
    (folder / "dataset_info.json").write_text(
        json.dumps({"tiny_corpus": entry}, indent=2) + "\n", encoding="utf-8"
    )
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the tiny model's corpus.")
    parser.add_argument("--out", type=Path, help="folder to write the corpus to")
    parser.add_argument("--count", type=int, default=60_000, help="number of conversations")
    parser.add_argument(
        "--show", type=int, default=0, help="print this many held-out questions of each kind instead"
    )
    options = parser.parse_args()
    for question in held_out(options.show) if options.show else ():
        print(f"{question.kind:14} {question.prompt}  ->  {question.answer}")
    if options.out:
        print(write(options.out, options.count))


if __name__ == "__main__":
    main()
