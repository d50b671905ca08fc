"""What a question is, and how it is recognised on either side of the train/held-out split.

A question's `key` is what it asks. Where the wording does not matter it is left out: 23+45 is one key in
every phrasing, language and order. Where the fact itself must be taught the wording belongs to it: that
snow is white is seen in training, but not in the phrasing that is held out. Try: python data/tiny/corpus.py
--show 20
"""

from dataclasses import dataclass
from random import Random

TAUGHT = "taught:"  # a key that starts with this is never held out


@dataclass(frozen=True)
class Question:
    """One question with its only right answer. key: what the split goes by."""

    kind: str
    language: str
    key: str
    prompt: str
    answer: str


def pick_language(rng: Random) -> str:
    return "en" if rng.random() < 0.6 else "zh"


def bare(prompt: str) -> str:
    """A prompt without its capitals and its last punctuation, which a person may leave out."""
    return prompt.casefold().rstrip("?.!？。！ ")


def phrased(rng: Random, kind: str, language: str, prompts: tuple[str, ...], answer: str) -> Question:
    """A fact in one of several phrasings; the phrasing is the key, and the first one is always taught."""
    prompt = rng.choice(prompts)
    taught = TAUGHT if bare(prompt) == bare(prompts[0]) else ""
    return Question(kind, language, f"{taught}{kind}:{bare(prompt)}", prompt, answer)
