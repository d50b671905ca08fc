"""One file per dataset format, and one per thing that several formats share (answers in pairs, labels, tools,
media). A format offers `build_reader(spec, want) -> (row dict -> Example)`, raising RowError for a bad row.

Nothing is added that the data does not say, and nothing is mended in silence.
Try: load_reader(find_datasets(["identity"], "data")[0])({"instruction": "Hi", "output": "Hello"})
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from engine.data.example import Example, Kind
from engine.data.registry.spec import DatasetSpec

Reader = Callable[[Mapping[str, Any]], Example]


def load_reader(spec: DatasetSpec, want: Kind = "chat") -> Reader:
    """The reader of the format that the spec names; a format's name is its file's name. `want`: the kind of
    Example that the stage learns from (see kinds.py).
    """
    module = importlib.import_module(f"engine.data.formats.{spec.formatting}")
    reader: Reader = module.build_reader(spec, want)
    return reader
