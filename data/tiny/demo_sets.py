"""The data sets made from the corpus and from identity.json: demo_identity, tiny_skills and tiny_heldout.

identity.json keeps its {{name}} and {{author}} for people to fill; demo_identity.json has both filled and
old skills mixed in, so that a short fine-tune changes who the model says it is and little else.
Try: python data/tiny/demo_sets.py
"""

import json
from pathlib import Path
from random import Random

import corpus
from kinds import KINDS

DATA = Path(__file__).resolve().parent.parent
NAME, AUTHOR = "Melody", "Tunesmith"
REHEARSAL_PER_KIND = 24
SKILLS_PER_KIND = 100
HELD_OUT_PER_KIND = 50

Row = dict[str, str]


def fill(rows: list[Row], *, name: str, author: str) -> list[Row]:
    """The rows with {{name}} and {{author}} replaced in every field."""
    return [
        {field: text.replace("{{name}}", name).replace("{{author}}", author) for field, text in row.items()}
        for row in rows
    ]


def practice(rng: Random, per_kind: int, *, without: tuple[str, ...] = ()) -> list[Row]:
    """Questions from the training side, as alpaca rows, `per_kind` of each kind."""
    questions = [
        corpus.draw(rng, kind, held_out=False)
        for kind in KINDS
        if kind not in without
        for _ in range(per_kind)
    ]
    unique = {question.prompt: question.answer for question in questions}
    return [{"instruction": prompt, "input": "", "output": answer} for prompt, answer in unique.items()]


def demo_identity() -> list[Row]:
    rng = Random(f"demo {corpus.SEED}")
    rows = fill(json.loads((DATA / "identity.json").read_text(encoding="utf-8")), name=NAME, author=AUTHOR)
    rows += practice(rng, REHEARSAL_PER_KIND, without=("identity",))
    rng.shuffle(rows)
    return rows


def tiny_skills() -> list[Row]:
    rng = Random(f"skills {corpus.SEED}")
    rows = practice(rng, SKILLS_PER_KIND)
    rng.shuffle(rows)
    return rows


def tiny_heldout() -> list[Row]:
    """The held-out questions; `kind` is there for whoever counts right answers."""
    questions = corpus.held_out(HELD_OUT_PER_KIND)
    return [{"instruction": q.prompt, "input": "", "output": q.answer, "kind": q.kind} for q in questions]


def main() -> None:
    for make in (demo_identity, tiny_skills, tiny_heldout):
        rows, path = make(), DATA / f"{make.__name__}.json"
        path.write_text(json.dumps(rows, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        print(f"{path.name}: {len(rows)} rows")


if __name__ == "__main__":
    main()
