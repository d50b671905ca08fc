"""Questions whose answer is worked out: arithmetic, and sequences to copy, to reverse or to abridge.

Each function draws one Question from a random stream and knows nothing of the split.
Try: python data/tiny/corpus.py --show 20
"""

from random import Random

import words
from question import TAUGHT, Question, pick_language

SUM_PROMPTS = {
    "en": ("What is {a} + {b}?", "{a} + {b} = ?", "Add {a} and {b}."),
    "zh": ("{a} + {b} 等于多少？", "{a} 加 {b} 等于几？", "计算 {a} + {b}。"),
}
DIFFERENCE_PROMPTS = {
    "en": ("What is {a} - {b}?", "{a} - {b} = ?", "What is {a} minus {b}?"),
    "zh": ("{a} - {b} 等于多少？", "{a} 减 {b} 等于几？", "计算 {a} - {b}。"),
}


def _operands(rng: Random) -> tuple[int, int]:
    """Two numbers below 100; at times both below 20, which would else be rare, and which people try first."""
    top = 20 if rng.random() < 0.15 else 100
    return rng.randrange(top), rng.randrange(top)


def sums(rng: Random) -> Question:
    """Two numbers below 100; 23+45 and 45+23 share a key."""
    (a, b), language = _operands(rng), pick_language(rng)
    prompt = rng.choice(SUM_PROMPTS[language]).format(a=a, b=b)
    return Question("sums", language, f"sums:{min(a, b)}+{max(a, b)}", prompt, str(a + b))


def differences(rng: Random) -> Question:
    """Two numbers below 100, the larger first, so that no answer is negative."""
    (a, b), language = sorted(_operands(rng), reverse=True), pick_language(rng)
    prompt = rng.choice(DIFFERENCE_PROMPTS[language]).format(a=a, b=b)
    return Question("differences", language, f"differences:{a}-{b}", prompt, str(a - b))


COPY_PROMPTS = {
    "en": ("Repeat: {items}", "Copy this: {items}"),
    "zh": ("请重复: {items}", "照着写: {items}"),
}
REVERSE_PROMPTS = {
    "en": ("Reverse: {items}", "Say this backwards: {items}"),
    "zh": ("请倒着写: {items}", "倒过来: {items}"),
}
FIRST_PROMPTS = {
    "en": ("First letters: {items}", "Give the first letters of {items}"),
    "zh": ("每个词的第一个字: {items}", "取第一个字: {items}"),
}


def _items(rng: Random, language: str) -> list[str]:
    pools: dict[str, tuple[list[str], ...]] = {
        "en": (words.WORDS, list(words.LETTERS), list("0123456789")),
        "zh": (words.WORDS_ZH, list(words.CHARS_ZH), list("0123456789")),
    }
    pool = rng.choice(pools[language])
    return [rng.choice(pool) for _ in range(rng.randint(2, 5))]


def copying(rng: Random) -> Question:
    """Two to five words, letters, digits or Chinese characters, said again."""
    language = pick_language(rng)
    text = " ".join(_items(rng, language))
    return Question(
        "copying", language, f"copying:{text}", rng.choice(COPY_PROMPTS[language]).format(items=text), text
    )


def reversing(rng: Random) -> Question:
    """The same items, last one first."""
    language = pick_language(rng)
    items = _items(rng, language)
    text = " ".join(items)
    prompt = rng.choice(REVERSE_PROMPTS[language]).format(items=text)
    return Question("reversing", language, f"reversing:{text}", prompt, " ".join(reversed(items)))


def first_letters(rng: Random) -> Question:
    """The first letter (first character in Chinese) of each of one to four known words."""
    language = pick_language(rng)
    pool = words.WORDS if language == "en" else words.WORDS_ZH
    items = [rng.choice(pool) for _ in range(rng.randint(1, 4))]
    text = " ".join(items)
    # The first letter of one word is a fact that must be seen once; only combinations are held out.
    key = f"first_letters:{text}" if len(items) > 1 else f"{TAUGHT}first_letters:{text}"
    prompt = rng.choice(FIRST_PROMPTS[language]).format(items=text)
    return Question("first_letters", language, key, prompt, " ".join(item[0] for item in items))
