"""Raw text: one column, learnt whole (pt).

Try: {"text": "A document."}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.data.example import Example, Kind
from engine.data.formats import Reader
from engine.data.formats.cells import text_of
from engine.data.registry.spec import DatasetSpec
from engine.data.report import RowError


def build_reader(spec: DatasetSpec, want: Kind) -> Reader:
    """The one column of the role "text"."""
    column = spec.columns["text"]

    def read(row: Mapping[str, Any]) -> Example:
        text = text_of(row.get(column), column)
        if not text:
            raise RowError(column, "is empty: there would be nothing to learn")
        return Example(text=text)

    return read
