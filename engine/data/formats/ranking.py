"""Pairs: a better and a worse answer to the same prompt (dpo, rm)."""

from __future__ import annotations

from engine.data.example import Message
from engine.data.report import RowError


def check_pair(chosen: Message, rejected: Message, *, columns: tuple[str, str]) -> None:
    """Both say something, and not the same: equal answers teach nothing. columns: of chosen, of rejected."""
    for answer, column in zip((chosen, rejected), columns, strict=True):
        if not answer.content and not answer.tool_calls:
            raise RowError(column, "is empty: there would be nothing to compare")
    if chosen == rejected:
        raise RowError(columns[1], f'is the same as "{columns[0]}": there would be nothing to prefer')
