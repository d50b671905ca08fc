"""`tunesmith train`: one path for every stage. Says something at once, then imports what the stage needs.

Try: tunesmith train --model_name_or_path data/tiny-qwen3 --dataset identity --max_steps 20
"""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from engine.models.quiet import hush_libraries
from engine.train.console import phase_reporter, say

if TYPE_CHECKING:
    from engine.paths import RunPaths
    from engine.schema.resolve import Resolved


class Run(Protocol):
    """The run a command was started as: its files, and whether it was asked to stop."""

    paths: RunPaths

    def stop_requested(self) -> bool: ...

    def cooperative(self) -> AbstractContextManager[Any]: ...


def main(loaded: object, resolved: Resolved, run: Run) -> int:
    """Train as the resolved arguments say. Returns the exit code: 0, or 130 where a person stopped it."""
    args = resolved.args
    adapter = args.adapter
    say(
        f"{adapter.stage} ({adapter.finetuning_type}) of {args.model.model_name_or_path} "
        f"into {run.paths.root}"
    )
    phase_reporter(run.paths)("loading", 0, 1)
    hush_libraries()
    stage = importlib.import_module(f"engine.stages.{adapter.stage}")
    return int(stage.run(args, run))
