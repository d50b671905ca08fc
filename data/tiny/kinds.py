"""The nine kinds of question the tiny model is taught, by name. Try: python data/tiny/corpus.py --show 20"""

from collections.abc import Callable
from random import Random

from drills import copying, differences, first_letters, reversing, sums
from knowledge import colours, facts
from question import Question
from talk import greetings, identity

KINDS: dict[str, Callable[[Random], Question]] = {
    "greetings": greetings,
    "identity": identity,
    "sums": sums,
    "differences": differences,
    "copying": copying,
    "reversing": reversing,
    "first_letters": first_letters,
    "colours": colours,
    "facts": facts,
}
