"""Machine facts without torch, and the environment variables we read."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from engine import env


def test_the_machine_is_what_the_system_says() -> None:
    machine = env.probe_machine()
    assert machine.memory_bytes == psutil.virtual_memory().total
    assert 1 <= machine.cpu_count <= (psutil.cpu_count() or 1)


def test_versions_name_what_is_installed_and_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "PACKAGES", ("psutil", "no-such-package"))
    found = env.versions()
    assert found["psutil"] == psutil.__version__ and found["no-such-package"] == "-"
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


def test_a_key_comes_from_a_file_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUNESMITH_API_KEY_FILE", raising=False)
    monkeypatch.delenv("TUNESMITH_API_KEY", raising=False)
    assert env.api_key() is None
    monkeypatch.setenv("TUNESMITH_API_KEY", "plain")
    assert env.api_key() == "plain"
    (tmp_path / "key").write_text("from file\n")
    monkeypatch.setenv("TUNESMITH_API_KEY_FILE", str(tmp_path / "key"))
    assert env.api_key() == "from file"


def test_a_childs_environment_is_ours_with_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setenv("GONE", "1")
    child = env.child_environment({"GONE": None, "NEW": "2"})
    assert child["KEPT"] == "1" and child["NEW"] == "2" and "GONE" not in child


def test_idle_threads_sleep_unless_a_person_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    env.wait_without_spinning()
    assert env.child_environment({})["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    env.wait_without_spinning()
    assert env.child_environment({})["OMP_WAIT_POLICY"] == "ACTIVE"


@pytest.mark.gpu
def test_a_gpu_is_described() -> None:
    gpu = env.probe_machine().gpus[0]
    assert gpu.uuid.startswith("GPU-") and gpu.memory_bytes > 2**30 and gpu.compute_capability >= (5, 0)
