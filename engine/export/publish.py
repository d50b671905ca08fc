"""Where an export is written and how it appears: staged beside its place, renamed into it. Knows no model.

The folder a person asked for is either as it was or complete; what failed its check never gets that name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from engine.errors import ArgError, Problem
from engine.paths import fsync_dir, fsync_tree, ordinary_mode


def check_target(export_dir: str | None, *, overwrite: bool, sources: Iterable[str]) -> Path:
    """The folder to export into. Raises ArgError where it is unset, taken, one of the sources, or no model's.

    `sources` are the folders read from; names that are no folder are skipped.
    """
    if not export_dir:
        raise _problem("is not set. Give the folder to write the merged model into.")
    target = Path(export_dir).expanduser().absolute()
    for source in (Path(name).expanduser().resolve() for name in sources if Path(name).expanduser().is_dir()):
        if source.is_relative_to(target.resolve()):
            raise _problem(f"{target} is or holds {source}, which this export reads. Choose another folder.")
    if target.exists() and not target.is_dir():
        raise _problem(f"{target} is a file. Choose a folder.")
    if target.is_dir() and any(target.iterdir()):
        if not overwrite:
            raise _problem(f"{target} is not empty. Choose another folder, or set overwrite_output_dir=true.")
        if not (target / "config.json").is_file():
            raise _problem(
                f"{target} holds something other than a model, so it will not be replaced. Choose another."
            )
        beside = [one.name for one in target.iterdir() if one.is_dir() or one.name == "job.json"]
        if beside:
            # A run's own folder, or a model under version control: replacing it would delete these too.
            raise _problem(f"{target} holds {min(beside)} beside a model, so it will not be replaced.")
    _check_writable(target)
    return target


def check_space(target: Path, *, needed: int) -> None:
    """Raises ArgError when the disk has fewer than `needed` bytes left."""
    free = shutil.disk_usage(_existing(target)).free
    if free < needed:
        raise _problem(f"{target} needs {needed / 1e6:,.0f} MB and its disk has {free / 1e6:,.0f} MB left.")


def make_staging(target: Path) -> Path:
    """A new empty folder beside `target`, on the same disk, so that one rename makes it the target."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.parent / f".{target.name}.staging-{os.getpid()}"
    if staging.exists():
        shutil.rmtree(staging)
    staging.mkdir()
    return staging


def publish(staging: Path, target: Path) -> None:
    """Make `staging` the target, durably; what was there before goes only once the new one is in place."""
    _open_to_umask(staging)
    fsync_tree(staging)
    before = target.parent / f".{target.name}.before-{os.getpid()}"
    if target.exists():
        target.rename(before)
    staging.rename(target)
    fsync_dir(target.parent)
    if before.exists():
        shutil.rmtree(before)


def set_aside(staging: Path, target: Path) -> Path:
    """Keep what failed its check where it can be looked at, under a name nobody takes for the export."""
    number = 1
    while (aside := target.parent / f"{target.name}.failed-{number}").exists():
        number += 1
    staging.rename(aside)
    return aside


def _existing(path: Path) -> Path:
    """The nearest folder on the way up that exists."""
    while not path.exists():
        path = path.parent
    return path


def _check_writable(target: Path) -> None:
    parent = _existing(target.parent)
    if not os.access(parent, os.W_OK | os.X_OK):
        raise _problem(f"{parent} cannot be written to. Choose another folder.")


def _open_to_umask(directory: Path) -> None:
    """Ordinary modes: libraries leave weights readable by their owner only, of no use to a container."""
    mode = ordinary_mode()
    for path in [directory, *directory.rglob("*")]:
        path.chmod(mode | (mode & 0o444) >> 2 if path.is_dir() else mode)


def _problem(message: str) -> ArgError:
    return ArgError([Problem("export_dir", message)])
