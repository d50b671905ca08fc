"""The data path on datasets in a folder of the test's own: written, loaded, looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.data.pipeline import Prepared, load_datasets
from engine.data.tokens.table import TokenTable
from engine.schema.data import DataArgs, TemplateArgs
from tests.data.support import write_dataset


class Bench:
    """A dataset folder, a cache and a tokenizer; `load` runs the data path and notes the progress calls."""

    def __init__(self, root: Path, tokenizer: Any) -> None:
        self.data, self.cache, self.tokenizer = root / "data", root / "cache", tokenizer
        self.calls: list[tuple[str, int, int]] = []

    def add(self, name: str, content: object, **entry: Any) -> Path:
        return write_dataset(self.data, name, content, **entry)

    def register(self, name: str, **entry: Any) -> None:
        """An entry whose files the test writes itself."""
        path = self.data / "dataset_info.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), name: entry}))

    def load(
        self,
        *,
        template: str | None = None,
        system: str | None = None,
        seed: int = 42,
        stage: str = "sft",
        **options: Any,
    ) -> Prepared:
        options.setdefault("dataset", ("rows",))
        self.calls.clear()
        return load_datasets(
            DataArgs(dataset_dir=str(self.data), **options),
            TemplateArgs(template=template, default_system=system),
            self.tokenizer,
            seed=seed,
            progress=lambda *call: self.calls.append(call),
            cache_dir=self.cache,
            stage=stage,
        )

    def stores(self) -> list[str]:
        return sorted(path.name for path in (self.cache / "tokens").iterdir())


def rows_of(prepared: Prepared) -> list[dict[str, list[int]]]:
    assert isinstance(prepared.train, TokenTable)
    return list(prepared.train)
