"""A checkpoint is complete or absent.

Written into `.staging`, flushed to the disk, renamed into sight, and only then are old ones removed. Found
again by what it holds, not by its name: the newest one whose every file is whole. Knows nothing of how a
model is saved. Try: python -m engine.train.checkpoint saves/x
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from engine.errors import ArgError, Problem
from engine.models.save import config_file, open_to_umask, weight_files
from engine.paths import RunPaths, fsync_dir, fsync_tree

STATE = "trainer_state.json"
# What only an exact resume needs; absent from a checkpoint written with save_only_model.
TRAINING_FILES = ("optimizer.pt", "scheduler.pt", "rng_state.pth")
# A disk with less room than this when a save fails was full.
_FULL_BYTES = 1 << 20


@contextlib.contextmanager
def staging(paths: RunPaths, step: int) -> Iterator[Path]:
    """An empty folder to write the checkpoint of `step` into. What a killed or failed save left is removed.

    Raises OSError (ENOSPC) where a save fails on a full disk, whatever the library that wrote calls it.
    """
    shutil.rmtree(paths.staging, ignore_errors=True)
    staged = paths.staging / f"checkpoint-{step}"
    staged.mkdir(parents=True)
    try:
        yield staged
    except Exception as error:
        is_full = shutil.disk_usage(paths.root).free < _FULL_BYTES
        # This makes the room in which the run can tell that there was none.
        shutil.rmtree(paths.staging, ignore_errors=True)
        if is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(staged)) from error
        raise


def publish(paths: RunPaths, staged: Path, step: int) -> Path:
    """Make a staged checkpoint durable and visible, in that order. Replaces one of the same step."""
    open_to_umask(staged)
    fsync_tree(staged)
    final = paths.checkpoint(step)
    if final.exists():
        # Both names cannot move at once; a kill between the two lines costs this checkpoint, never an older
        # one.
        os.rename(final, paths.staging / f"replaced-{step}")
    os.rename(staged, final)
    fsync_dir(paths.root)
    shutil.rmtree(paths.staging, ignore_errors=True)
    return final


def move_files(staged: Path, target: Path) -> None:
    """Make every file of a staged folder durable, then move each into `target` in one step, and remove the
    folder.
    """
    open_to_umask(staged)
    fsync_tree(staged)
    for file in sorted(staged.iterdir()):
        os.replace(file, target / file.name)
    fsync_dir(target)
    shutil.rmtree(staged.parent, ignore_errors=True)


def rotate(paths: RunPaths, *, keep: int | None, best: Path | None) -> list[Path]:
    """Remove the oldest checkpoints beyond `keep`, sparing the best and the newest. Returns what was removed.

    keep=1 with a best that is not the newest keeps two: one to end with and one to go on from.
    """
    if keep is None:
        return []
    present = [path for _, path in paths.checkpoints()]
    spared = {path for path in present[-1:] if path} | ({Path(best)} if best else set())
    excess = len(present) - max(keep, len(spared))
    removed = [path for path in present if path not in spared][: max(excess, 0)]
    for path in removed:
        # Renamed first: a half-deleted folder must not look like a checkpoint.
        paths.staging.mkdir(exist_ok=True)
        doomed = paths.staging / f"removed-{path.name}"
        os.rename(path, doomed)
        shutil.rmtree(doomed, ignore_errors=True)
    shutil.rmtree(paths.staging, ignore_errors=True)
    return removed


def find_resumable(paths: RunPaths) -> tuple[Path | None, list[tuple[Path, str]]]:
    """The newest complete checkpoint with its training state, and the newer ones passed over with the
    reason.
    """
    passed: list[tuple[Path, str]] = []
    for _, path in reversed(paths.checkpoints()):
        reason = why_incomplete(path)
        if reason is None:
            return path, passed
        passed.append((path, reason))
    return None, passed


def resume_point(paths: RunPaths, asked: str | None) -> tuple[Path | None, list[str]]:
    """What `resume_from_checkpoint` means here: the checkpoint, and lines to tell the person.

    What a killed save left in the staging folder is removed. Raises UserError where a checkpoint is named
    that cannot be gone on from.
    """
    shutil.rmtree(paths.staging, ignore_errors=True)
    if asked is None or asked.lower() in ("false", "none", ""):
        return None, []
    if asked.lower() == "true":
        found, passed = find_resumable(paths)
        lines = [f"passing over {path.name}: {reason}" for path, reason in passed]
        lines.append(
            f"resuming from {found}" if found else f"no complete checkpoint in {paths.root}: from the start"
        )
        return found, lines
    path = Path(asked)
    reason = why_incomplete(path) if path.is_dir() else "there is no such folder"
    if reason is not None:
        raise ArgError([Problem("resume_from_checkpoint", f"{path} cannot be gone on from: {reason}.")])
    return path, [f"resuming from {path}"]


def why_incomplete(path: Path) -> str | None:
    """None for a checkpoint an exact resume can start from, else what is missing or torn. Opens no pickle."""
    if not _is_json(path / STATE):
        return f"{STATE} is missing or torn"
    if not _is_json(config_file(path)):
        return f"{config_file(path).name} is missing or torn"
    try:
        files = weight_files(path)
    except (ValueError, KeyError):
        return "the index of the weights is torn"
    for file in files:
        if not is_whole_safetensors(file):
            return f"{file.name} is missing or torn"
    for name in TRAINING_FILES:
        # torch.save writes a zip archive, whose directory comes last: a torn one has none.
        if not zipfile.is_zipfile(path / name):
            return f"{name} is missing or torn"
    return None


def is_whole_safetensors(file: Path) -> bool:
    """Whether the file is exactly as long as its header says."""
    try:
        size = file.stat().st_size
        with open(file, "rb") as handle:
            header_size = int.from_bytes(handle.read(8), "little")
            if header_size <= 0 or 8 + header_size > size:
                return False
            header = json.loads(handle.read(header_size))
    except (OSError, ValueError):
        return False
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return size == 8 + header_size + max(ends, default=0)


def _is_json(file: Path) -> bool:
    try:
        return isinstance(json.loads(file.read_text()), dict)
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    import sys

    for _, checkpoint in RunPaths(Path(sys.argv[1])).checkpoints():
        print(checkpoint, why_incomplete(checkpoint) or "complete")
