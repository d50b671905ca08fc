"""Every file name a run has, in one place; and the two rules for touching files: whole, and inside the roots.

Knows nothing of what the files hold. Try: python -c "from engine.paths import RunPaths;
print(RunPaths('saves/x').log)"
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from engine import env
from engine.errors import UserError

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True)
class RunPaths:
    """The files of one run directory. See README, "The run directory"."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    @property
    def args_yaml(self) -> Path:
        return self.root / "args.yaml"

    @property
    def resolved_yaml(self) -> Path:
        return self.root / "resolved.yaml"

    @property
    def command_sh(self) -> Path:
        return self.root / "command.sh"

    @property
    def job_json(self) -> Path:
        return self.root / "job.json"

    @property
    def log(self) -> Path:
        return self.root / "log.txt"

    @property
    def trainer_log(self) -> Path:
        return self.root / "trainer_log.jsonl"

    @property
    def data_report(self) -> Path:
        return self.root / "data_report.json"

    @property
    def predictions(self) -> Path:
        return self.root / "generated_predictions.jsonl"

    @property
    def all_results(self) -> Path:
        return self.root / "all_results.json"

    @property
    def eval_results(self) -> Path:
        return self.root / "eval_results.json"

    @property
    def predict_results(self) -> Path:
        return self.root / "predict_results.json"

    @property
    def trainer_state(self) -> Path:
        return self.root / "trainer_state.json"

    @property
    def endpoint_json(self) -> Path:
        return self.root / "endpoint.json"

    @property
    def staging(self) -> Path:
        """Where a checkpoint is written before it is renamed into sight."""
        return self.root / ".staging"

    def checkpoint(self, step: int) -> Path:
        return self.root / f"checkpoint-{step}"

    def checkpoints(self) -> list[tuple[int, Path]]:
        """(step, directory) of every checkpoint by name, oldest first. Completeness is not judged here."""
        if not self.root.is_dir():
            return []
        found = []
        for entry in self.root.iterdir():
            match = _CHECKPOINT.fullmatch(entry.name)
            if match and entry.is_dir():
                found.append((int(match.group(1)), entry))
        return sorted(found)


def saves_root() -> Path:
    """Where runs and the job database live: $TUNESMITH_SAVES, else ./saves."""
    return Path(env.saves_dir() or "saves")


def jobs_db() -> Path:
    return saves_root() / "jobs.db"


def keys_dir() -> Path:
    """API keys, one file per job, readable by the owner only. Never inside a run directory."""
    return saves_root() / ".keys"


def cache_dir() -> Path:
    """Tokenised datasets, keyed by content. Safe to delete at any time."""
    return saves_root() / ".cache"


def studio_dir() -> Path:
    """What the studio remembers between starts: form values, language."""
    return saves_root() / ".studio"


def saved_args_dir() -> Path:
    """Argument files saved from the studio."""
    return saves_root() / "configs"


def write_whole(path: Path, content: str | bytes, *, mode: int | None = None) -> None:
    """Write a file so that a reader sees the old content or the new, never a part: temporary, fsync, rename,
    fsync.

    `mode` defaults to what the umask gives an ordinary file (a temporary file alone would be 0600).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    blob = content.encode() if isinstance(content, str) else content
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        os.fchmod(fd, ordinary_mode() if mode is None else mode)
        with os.fdopen(fd, "wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    fsync_dir(path.parent)


def fsync_dir(directory: Path) -> None:
    """Make a rename inside `directory` survive a power cut."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def fsync_tree(root: Path) -> None:
    """Flush every file and folder under `root` to the disk."""
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                os.fsync(file.fileno())
        fsync_dir(Path(folder))


def ordinary_mode() -> int:
    """The permission bits an ordinary new file gets under the process's umask."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("Umask:"):
                return 0o666 & ~int(line.split()[1], 8)
    return 0o644


def confine(path: Path | str, *roots: Path | str) -> Path:
    """The real path of `path` (links followed), or a UserError where it leaves every one of `roots`."""
    real = Path(path).resolve()
    for root in roots:
        if real.is_relative_to(Path(root).resolve()):
            return real
    allowed = ", ".join(str(root) for root in roots)
    raise UserError(f"{path} is outside the allowed folders ({allowed}). Choose a path inside one of them.")
