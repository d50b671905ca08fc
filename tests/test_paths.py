"""Files are written whole, with ordinary permissions, and never outside the roots."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from engine import paths
from engine.errors import UserError


def test_a_failed_write_leaves_the_old_file_and_no_debris(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.yaml"
    paths.write_whole(target, "old")

    def full_disk(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        paths.write_whole(target, "new")
    assert target.read_text() == "old" and [entry.name for entry in tmp_path.iterdir()] == ["a.yaml"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        paths.write_whole(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    paths.write_whole(tmp_path / "key", "x", mode=0o600)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_paths_stay_inside_the_roots(tmp_path: Path) -> None:
    root = tmp_path / "saves"
    root.mkdir()
    (root / "link").symlink_to("/etc")
    assert paths.confine(root / "x" / "..", root) == root
    for outside in (
        root / ".." / "other",
        Path("/etc/passwd"),
        root / "link" / "passwd",
        tmp_path / "saves2",
    ):
        with pytest.raises(UserError, match="outside the allowed folders"):
            paths.confine(outside, root)


def test_checkpoints_are_listed_by_step(tmp_path: Path) -> None:
    for name in ("checkpoint-10", "checkpoint-9", "checkpoint-x", ".staging", "checkpoint-100"):
        (tmp_path / name).mkdir()
    assert [step for step, _ in paths.RunPaths(tmp_path).checkpoints()] == [9, 10, 100]
