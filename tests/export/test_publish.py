"""Where an export may go, and that it appears whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import ArgError
from engine.export.publish import check_space, check_target, make_staging, publish, set_aside


def model_folder(path: Path, name: str = "model.safetensors") -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    (path / name).write_text("weights")
    return path


def test_a_new_or_empty_folder_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty", "deep/in/new"):
        assert check_target(str(tmp_path / name), overwrite=False, sources=[]) == tmp_path / name


def test_what_is_in_the_way_is_told_with_the_way_out(tmp_path: Path) -> None:
    taken = model_folder(tmp_path / "taken")
    with pytest.raises(ArgError, match="overwrite_output_dir=true"):
        check_target(str(taken), overwrite=False, sources=[])
    assert check_target(str(taken), overwrite=True, sources=[]) == taken
    with pytest.raises(ArgError, match="not set"):
        check_target(None, overwrite=False, sources=[])
    with pytest.raises(ArgError, match="is a file"):
        check_target(str(taken / "config.json"), overwrite=True, sources=[])


def test_a_folder_that_holds_no_model_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ArgError, match="other than a model"):
        check_target(str(tmp_path), overwrite=True, sources=[])


@pytest.mark.parametrize("target", ["base", "base/.", "link", ""])
def test_the_folder_that_is_read_is_never_written(tmp_path: Path, target: str) -> None:
    base = model_folder(tmp_path / "base")
    (tmp_path / "link").symlink_to(base)
    with pytest.raises(ArgError, match="this export reads"):
        check_target(str(tmp_path / target), overwrite=True, sources=["org/on-the-hub", str(base)])


def test_a_disk_that_is_too_small_is_told_before_writing(tmp_path: Path) -> None:
    check_space(tmp_path / "new", needed=1)
    with pytest.raises(ArgError, match="MB left"):
        check_space(tmp_path / "new", needed=1 << 62)


@pytest.mark.parametrize("name", ["checkpoint-5/", ".git/", "job.json"])
def test_a_folder_that_holds_more_than_a_model_is_never_replaced(tmp_path: Path, name: str) -> None:
    run = model_folder(tmp_path / "run")
    (run / name).mkdir() if name.endswith("/") else (run / name).touch()
    with pytest.raises(ArgError, match=f"holds {name.strip('/')} beside a model"):
        check_target(str(run), overwrite=True, sources=[])


def test_publishing_replaces_the_old_model_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = model_folder(tmp_path / "out", name="old.safetensors")
    staging = make_staging(target)
    assert staging.parent == target.parent
    (staging / "config.json").write_text("{}")
    (staging / "new.safetensors").write_text("weights")
    publish(staging, target)
    assert sorted(path.name for path in target.iterdir()) == ["config.json", "new.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_published_files_have_ordinary_modes(tmp_path: Path) -> None:
    target = tmp_path / "out"
    staging = make_staging(target)
    (staging / "sub").mkdir()
    for name in ("model.safetensors", "sub/more.bin"):
        (staging / name).write_text("weights")
        (staging / name).chmod(0o600)
    before = os.umask(0o027)
    try:
        publish(staging, target)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in [target, *target.rglob("*")]}
    assert modes == {"out": 0o750, "sub": 0o750, "model.safetensors": 0o640, "more.bin": 0o640}


def test_what_failed_is_kept_under_another_name_each_time(tmp_path: Path) -> None:
    target = tmp_path / "out"
    names = [set_aside(make_staging(target), target).name for _ in range(2)]
    assert names == ["out.failed-1", "out.failed-2"]
    assert not target.exists()
