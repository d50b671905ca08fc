"""Errors that are meant for people: one screen, no traceback, exit code 2.

Anything that is our own fault stays an ordinary exception and shows its traceback.
Try: python -c "from engine.errors import ArgError, Problem; raise ArgError([Problem('stage', 'bogus')])"
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one argument. `field` is the argument's name, `message` a sentence with the way
    out.
    """

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class UserError(Exception):
    """A mistake a person can mend. The message says what is wrong and what to do."""

    exit_code = 2


class ArgError(UserError):
    """Every problem with a set of arguments, in one report. `problems` keeps each tied to its field."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        assert problems, "an ArgError carries at least one problem"
        self.problems = tuple(problems)
        super().__init__(self._text())

    def _text(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        return f"{len(self.problems)} problems:\n{lines}"


class DataError(UserError):
    """A dataset that cannot be used as it stands: file, row, column and reason are in the message."""


class JobError(UserError):
    """A job that cannot be moved as asked: unknown, still running, already finished."""
