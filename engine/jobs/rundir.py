"""Taking a directory for a run: who may have it, what overwriting clears, and how a failed start leaves no
trace.

Only what a run writes is ever touched, and only in a directory that holds a run. What overwriting replaces is
set aside first and deleted once the new run does real work. Starts nothing.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from engine import paths
from engine.errors import UserError
from engine.paths import RunPaths

# What the engine and the libraries under it write into an output directory. A README.md is left to its owner.
WRITTEN = (
    "job.json", "args.yaml", "resolved.yaml", "command.sh", "log.txt", "trainer_log.jsonl",
    "data_report.json", "endpoint.json", "generated_predictions.jsonl", "*_results.json",
    "trainer_state.json", "training_args.bin", "training_*.png", "checkpoint-*", ".staging*",
    "adapter_config.json", "adapter_model*", "model*.safetensors", "model.safetensors.index.json",
    "config.json", "generation_config.json", "tokenizer*", "special_tokens_map.json",
    "chat_template.jinja", "vocab.json", "merges.txt", "added_tokens.json", "runs",
)  # fmt: skip
# The facts about a run, as opposed to what it made.
_FACTS = (
    "job.json", "args.yaml", "resolved.yaml", "command.sh", "log.txt", "trainer_log.jsonl",
    "data_report.json",
)  # fmt: skip
_SET_ASIDE = ".replaced"


@dataclass(frozen=True)
class TakenDir:
    """A run directory made ready.

    made: the directories that did not exist before, deepest first. before: the names that stay whatever
    happens. resumes: it holds an earlier attempt, whose facts are not to be taken away.
    """

    root: Path
    made: tuple[Path, ...]
    before: frozenset[str]
    resumes: bool

    @property
    def set_aside(self) -> Path:
        return self.root / _SET_ASIDE

    def commit(self) -> None:
        """The new run stands: the files it replaced are deleted."""
        shutil.rmtree(self.set_aside, ignore_errors=True)

    def undo(self) -> bool:
        """Leave the directory as it was found. False where the run made something, which stays."""
        if self.resumes:
            return False
        names = {one.name for one in self.root.iterdir()}
        if names - self.before - {*_FACTS, _SET_ASIDE}:
            return False
        for name in _FACTS:
            (self.root / name).unlink(missing_ok=True)
        if self.set_aside.exists():
            for entry in self.set_aside.iterdir():
                os.replace(entry, self.root / entry.name)
            self.set_aside.rmdir()
        for directory in self.made:
            directory.rmdir()
        return True


def is_run(root: Path) -> bool:
    """Whether a directory holds a run of ours or of the tools whose output we read."""
    run = RunPaths(root)
    return any(file.exists() for file in (run.job_json, run.trainer_log, run.trainer_state)) or bool(
        run.checkpoints()
    )


def check_run_dir(root: Path, *, overwrite: bool, resume: bool) -> None:
    """Raise a UserError, having touched nothing, where a run may not use this directory."""
    if root == Path(os.path.abspath(paths.saves_root())):
        raise UserError(f"output_dir: {root} is the folder of all runs. Choose a folder inside it.")
    if not root.exists():
        return
    if not root.is_dir():
        raise UserError(f"output_dir: {root} is a file. Choose a folder.")
    try:
        empty = not any(root.iterdir())
    except OSError as error:
        raise UserError(f"output_dir: cannot read {root}: {error.strerror}.") from None
    if empty:
        return
    if overwrite or resume:
        if not is_run(root):
            raise UserError(
                f"output_dir: {root} holds files, but no run: it is neither overwritten nor resumed."
                " Choose another output_dir, or empty it yourself."
            )
        return
    raise UserError(
        f"output_dir: {root} already holds files. Set resume_from_checkpoint=true to go on with its run,"
        " overwrite_output_dir=true to start it over, or choose another output_dir."
    )


def take_run_dir(root: Path, *, overwrite: bool, resume: bool) -> TakenDir:
    """Check, create, prove that it can be written, and set aside what overwriting replaces. UserError changes
    nothing.
    """
    check_run_dir(root, overwrite=overwrite, resume=resume)
    missing = [path for path in (root, *root.parents) if not path.exists()]
    made: list[Path] = []
    try:
        for path in reversed(missing):
            path.mkdir()
            made.insert(0, path)
        probe = root / f".probe-{uuid.uuid4().hex}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        for path in made:
            path.rmdir()
        raise UserError(
            f"output_dir: cannot write to {root}: {error.strerror}. Choose a folder you may write to."
        ) from None
    if overwrite and not resume:
        _set_aside(root)
    return TakenDir(root, tuple(made), frozenset(one.name for one in root.iterdir()), resume)


def _set_aside(root: Path) -> None:
    replaced = [one for one in root.iterdir() if is_written_by_run(one.name)]
    if not replaced:
        return
    aside = root / _SET_ASIDE
    shutil.rmtree(aside, ignore_errors=True)  # What an earlier overwrite left behind.
    aside.mkdir()
    for entry in replaced:
        os.replace(entry, aside / entry.name)


def is_written_by_run(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in WRITTEN)
