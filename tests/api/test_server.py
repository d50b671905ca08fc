"""`tunesmith api` as a process: it says where it is, answers, is gone when told; and addresses it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.api.server import bind, is_loopback, read_key
from engine.errors import ArgError, UserError

DEADLINE_S = 60


@contextlib.contextmanager
def process(workdir: Path, repo: Path, *flags: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """`tunesmith api --flags` in workdir; killed on the way out if it still runs."""
    child = subprocess.Popen(
        [sys.executable, "-m", "engine.cli", "api", *flags],
        cwd=workdir,
        env={**os.environ, "PYTHONPATH": str(repo), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def endpoint(run_dir: Path, child: subprocess.Popen[str]) -> dict[str, Any]:
    """What the server writes once it serves."""
    end = time.monotonic() + DEADLINE_S
    while not (run_dir / "endpoint.json").exists():
        assert child.poll() is None, child.communicate()[0]
        assert time.monotonic() < end, "the server did not begin to serve"
        time.sleep(0.05)
    return json.loads((run_dir / "endpoint.json").read_text())


def test_a_server_serves_until_it_is_told_to_stop(workdir: Path, repo: Path, tiny_random: Path) -> None:
    flags = ["--model_name_or_path", str(tiny_random), "--port", "0", "--output_dir", "run"]
    with process(workdir, repo, *flags, TUNESMITH_API_KEY="sesame") as child:
        found = endpoint(workdir / "run", child)
        assert (found["model"], found["pid"]) == ("tiny-random", child.pid)
        assert httpx.get(f"{found['url']}/models").status_code == 401
        headers = {"Authorization": "Bearer sesame"}
        body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 900, "stream": True}
        with httpx.stream("POST", f"{found['url']}/chat/completions", json=body, headers=headers) as response:
            next(lines := response.iter_lines())
            child.send_signal(signal.SIGINT)  # in the middle of an answer
            for _ in lines:
                pass
        assert child.wait(DEADLINE_S) == 130
    assert not (workdir / "run" / "endpoint.json").exists()
    events = (workdir / "run" / "trainer_log.jsonl").read_text().splitlines()
    assert json.loads(events[-1])["phase"] == "serving"
    log = (workdir / "run" / "log.txt").read_text()
    assert found["url"] in log and "Traceback" not in log and "sesame" not in log


def test_a_taken_port_is_told_before_anything_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ArgError, match=r"cannot listen on .* 0 for any free one"):
            bind("127.0.0.1", port, has_key=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.invalid"])
def test_without_a_key_only_this_machine_is_listened_to(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ArgError, match=r"host: .*TUNESMITH_API_KEY"):
        bind(host, 0, has_key=False)


def test_a_key_that_guards_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty key would open the server to every machine, to whoever sends `Bearer ` and nothing more."""
    file = tmp_path / "key"
    monkeypatch.setenv("TUNESMITH_API_KEY_FILE", str(file))
    with pytest.raises(UserError, match="cannot be read"):
        read_key()
    file.write_text("\n")
    with pytest.raises(UserError, match="is empty"):
        read_key()
    file.write_text("sesame\n")
    assert read_key() == "sesame"


def test_with_a_key_other_machines_may_be_listened_to() -> None:
    with bind("0.0.0.0", 0, has_key=True) as listener:
        assert listener.getsockname()[0] == "0.0.0.0"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_addresses_are_known(host: str) -> None:
    assert is_loopback(host)


def test_a_host_that_is_not_ours_is_told_by_name() -> None:
    with pytest.raises(ArgError, match="host: no-such-host"):
        bind("no-such-host.invalid", 0, has_key=True)
