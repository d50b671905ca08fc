"""A real studio process in a folder of its own, and a browser that must find nothing to complain of."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api")

BROWSER_NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip
PATIENCE_MS = 90_000  # a busy machine takes a minute to import the trainer


class StudioProcess:
    """`tunesmith webui` on one port, which can be killed and started again."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.arguments = arguments
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.process: subprocess.Popen | None = None
        self.was_ended = False
        self.output = folder / "studio.txt"

    def start(self) -> float:
        """Start and wait until the page answers. Returns the seconds that took."""
        began = time.monotonic()
        command = [sys.executable, "-m", "engine.cli", "webui", "--port", str(self.port), *self.arguments]
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=output, stderr=output)
        wait_until(self._answers, 60, f"the studio does not answer:\n{self.output.read_text()}")
        return time.monotonic() - began

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output.read_text()
        try:
            with urllib.request.urlopen(self.url, timeout=5) as reply:
                return reply.status == 200
        except OSError:
            return False

    @property
    def job_id(self) -> str:
        """The job that `--start` has put on screen, from the address the studio has printed."""
        return self.output.read_text().split("?job=")[1].split()[0]

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def interrupt(self) -> int:
        """Ctrl-C. Returns the exit code."""
        return self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.was_ended = True
        self.process.send_signal(how)
        return self.process.wait(20)


def wait_until(condition: Callable[[], bool], seconds: float, complaint: str) -> None:
    """Look ten times a second until `condition` holds; fail with `complaint` when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.1)


@pytest.fixture(scope="module")
def chromium() -> Iterator:
    """One browser for the tests of a file. Its driver holds an event loop, which must not outlive them."""
    path = next((found for name in BROWSER_NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=BROWSER_ARGS)
        yield browser
        browser.close()


@pytest.fixture
def studio_process(tmp_path: Path, repo: Path) -> Iterator[StudioProcess]:
    """A running studio in an empty folder that sees the demo data. Ended, with every job it started,
    afterwards.
    """
    (tmp_path / "data").symlink_to(repo / "data")
    studio = StudioProcess(tmp_path)
    studio.start()
    yield studio
    if studio.process is not None and studio.process.poll() is None:
        studio.interrupt()
    stop_all_jobs(tmp_path)


def stop_all_jobs(folder: Path) -> None:
    """No job outlives its test."""
    from engine.jobs import client

    before = os.getcwd()
    os.chdir(folder)
    try:
        for job in client.list_jobs():
            if job.state in ("queued", "starting", "running"):
                for _ in client.stop(job.id, now=True):
                    pass
    finally:
        os.chdir(before)


@pytest.fixture
def open_page(chromium, studio_process: StudioProcess) -> Iterator[Callable]:
    """open_page(path="", **context options) -> page. At the end: no console error, no request to another
    host.

    A request that a test cuts off by ending the studio fails in one of several ways (refused, reset, or a
    body shorter than promised); in such a test what the browser says about the network is expected, in any
    other it is not.
    """
    contexts = []
    complaints: list[str] = []

    def listen(message) -> None:
        cut_off = studio_process.was_ended and "net::ERR_" in message.text
        if message.type == "error" and not cut_off:
            complaints.append(f"console: {message.text}")

    def watch(request) -> None:
        if not request.url.startswith((studio_process.url, "data:", "blob:")):
            complaints.append(f"request to {request.url}")

    def open_one(path: str = "", **options):
        context = chromium.new_context(
            **{"viewport": {"width": 1440, "height": 1000}, "locale": "en-US", **options}
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
        page.on("request", watch)
        page.goto(studio_process.url + path)
        page.wait_for_selector("#ts-nav [role=tab][data-tab-id=train]")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []
