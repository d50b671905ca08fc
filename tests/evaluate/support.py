"""A run that is only a folder and a stop flag, and arguments made the way the command line makes them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from engine.events import read_events
from engine.paths import RunPaths
from engine.schema.load import load_mapping


@dataclass
class FakeRun:
    """`stops` decides each time whether a stop was asked for."""

    paths: RunPaths
    stops: Callable[[], bool] = lambda: False

    def stop_requested(self) -> bool:
        return self.stops()

    @contextlib.contextmanager
    def cooperative(self) -> Iterator[None]:
        yield

    def phases(self) -> list[str]:
        """The phases reported, in order, each once."""
        return list(dict.fromkeys(event["phase"] for event in read_events(self.paths.trainer_log)[0]))


def make_run(root: Path, stops: Callable[[], bool] = lambda: False) -> FakeRun:
    root.mkdir(parents=True, exist_ok=True)
    return FakeRun(RunPaths(root), stops)


def call(main: Callable[..., int], command: str, values: dict[str, Any], run: FakeRun) -> int:
    """The command's main with checked arguments."""
    loaded = load_mapping(command, values)
    return main(loaded, SimpleNamespace(args=loaded.args), run)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
