"""The worker for questions about data, as a real process: it answers, dies, is started anew, and never
outlives whoever started it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.jobs import process
from engine.jobs.ask import Asker
from tests.jobs.conftest import eventually

# Answers like engine.data.inspect.serve, with operations that misbehave.
SCRIPT = """
import json, os, sys, threading, queue, time
asked = queue.SimpleQueue()
def read():
    for line in sys.stdin: asked.put(line)
    os._exit(0)
threading.Thread(target=read, daemon=True).start()
while True:
    try: request = json.loads(asked.get(timeout=IDLE))
    except queue.Empty: sys.exit(0)
    op, given = request["op"], request["arguments"]
    if "flag" in given: open(given["flag"], "w").close()
    if op == "sleep": threading.Event().wait(given["seconds"])
    if op == "die": print("out of patience", file=sys.stderr, flush=True); os._exit(3)
    if op == "babble": print("hello", flush=True); continue
    print(json.dumps({"id": request["id"], "result": {"pid": os.getpid(), **given}}), flush=True)
"""


def script(idle_s: float = 60) -> tuple[str, ...]:
    return (sys.executable, "-c", SCRIPT.replace("IDLE", str(idle_s)))


@pytest.fixture
def asker() -> Iterator[Asker]:
    asker = Asker(script())
    yield asker
    asker.close()
    assert asker.worker() is None


def pid_of(asker: Asker) -> int:
    worker = asker.worker()
    assert worker is not None
    return worker.pid


def test_one_worker_answers_many_questions(asker: Asker) -> None:
    first, second = asker.ask("echo", {"a": 1}), asker.ask("echo", {"a": "ü\n\u2028"})
    assert first == {"pid": pid_of(asker), "a": 1} and second == {"pid": pid_of(asker), "a": "ü\n\u2028"}


def test_a_killed_worker_is_told_and_replaced(asker: Asker, tmp_path: Path) -> None:
    asker.ask("echo", {})
    worker = asker.worker()
    assert worker is not None
    answers: list[dict[str, object]] = []
    question = {"seconds": 60, "flag": str(tmp_path / "asked")}
    thread = threading.Thread(target=lambda: answers.append(asker.ask("sleep", question)))
    thread.start()
    eventually((tmp_path / "asked").exists, what="the question to arrive")
    process.send(worker, signal.SIGKILL)
    thread.join(20)
    error = str(answers[0]["error"])
    assert "ended by SIGKILL" in error and "short of memory" in error and "Try again" in error
    assert asker.ask("echo", {})["pid"] != worker.pid


def test_the_last_words_of_a_worker_are_told(asker: Asker) -> None:
    assert "(exit code 3). It last said: out of patience" in asker.ask("die", {})["error"]
    assert "pid" in asker.ask("echo", {})


def test_a_slow_question_is_ended(asker: Asker) -> None:
    asker.ask("echo", {})
    worker = asker.worker()
    answer = asker.ask("sleep", {"seconds": 60}, timeout_s=0.2)
    assert answer == {
        "error": "sleep took longer than 0.2 s and was ended. Ask for fewer rows.",
        "problems": [],
    }
    assert not process.is_alive(worker) and "pid" in asker.ask("echo", {})


def test_what_is_no_answer_is_an_error(asker: Asker) -> None:
    assert "answered babble with something else: b'hello" in asker.ask("babble", {})["error"]
    assert "pid" in asker.ask("echo", {})


def test_several_threads_take_turns(asker: Asker) -> None:
    answers: list[dict[str, object]] = []
    threads = [
        threading.Thread(target=lambda number=number: answers.append(asker.ask("echo", {"n": number})))
        for number in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(int(str(answer["n"])) for answer in answers) == list(range(12))
    assert len({answer["pid"] for answer in answers}) == 1


def test_who_waits_too_long_for_a_turn_is_told_and_kills_nobody(asker: Asker) -> None:
    asker.ask("echo", {})
    answers: list[dict[str, object]] = []
    slow = threading.Thread(target=lambda: answers.append(asker.ask("sleep", {"seconds": 1.5, "slow": True})))
    slow.start()
    eventually(asker._turn.locked, what="the slow question's turn")
    assert "kept the worker busy" in asker.ask("echo", {}, timeout_s=0.05)["error"]
    slow.join(20)
    assert answers[0]["slow"] is True


def test_whoever_waits_is_told_when_the_studio_stops(asker: Asker, tmp_path: Path) -> None:
    flag, answers = tmp_path / "asked", []
    slow = {"seconds": 600, "flag": str(flag)}
    waiting = [threading.Thread(target=lambda: answers.append(asker.ask("sleep", slow))) for _ in range(2)]
    for thread in waiting:
        thread.start()
    eventually(flag.exists)
    worker = asker.worker()
    asker.abandon()
    for thread in waiting:
        thread.join(timeout=20)
    assert ["the studio is stopping" in answer["error"] for answer in answers] == [True, True]
    assert worker is not None and not process.is_alive(worker)
    assert "the studio is stopping" in asker.ask("echo", {})["error"]
    assert asker.worker() is None


def test_an_idle_worker_leaves_and_the_next_question_starts_another() -> None:
    asker = Asker(script(idle_s=0.05))
    first = asker.ask("echo", {})["pid"]
    eventually(lambda: asker.worker() is None, what="the end of the idle worker")
    assert asker.ask("echo", {})["pid"] != first
    asker.close()


def test_a_worker_that_leaves_at_once_is_not_started_for_ever() -> None:
    assert "leaves as soon as" in Asker((sys.executable, "-c", "")).ask("echo", {})["error"]


def test_a_command_that_is_not_there() -> None:
    assert "cannot be started" in Asker(("/no/such/python",)).ask("echo", {})["error"]


def test_no_zombie_and_no_job_variables(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TUNESMITH_JOB_ID", "TUNESMITH_API_KEY", "TUNESMITH_API_KEY_FILE"):
        monkeypatch.setenv(name, "secret")
    pid = asker.ask("echo", {})["pid"]
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"secret" not in environment and process.MARKER_VARIABLE.encode() in environment
    asker.close()
    assert process.read_stat(int(pid)) is None


def test_the_worker_ends_with_a_killed_studio(child: Callable[..., subprocess.Popen[bytes]]) -> None:
    """kill -9 of whoever asked, in the middle of a question."""
    program = f"""
import threading
from engine.jobs.ask import Asker
asker = Asker({script()!r})
print("ready", flush=True)
print(asker.ask("echo", {{}})["pid"], flush=True)
asker.ask("sleep", {{"seconds": 60}})
"""
    studio = child(program, marker="test-ask-studio")
    assert studio.stdout is not None
    worker = process.identify(int(studio.stdout.readline()))
    assert process.is_alive(worker)
    studio.send_signal(signal.SIGKILL)
    studio.wait()
    eventually(lambda: not process.is_alive(worker), what="the end of the worker")


def test_the_real_worker(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    asker = Asker()
    names = [one["name"] for one in asker.ask("list", {"dataset_dir": "data"})["datasets"]]
    assert "identity" in names
    assert "is not a folder" in asker.ask("list", {"dataset_dir": "nowhere"})["error"]
    assert "is not an operation" in asker.ask("bogus", {})["error"]
    assert "unexpected keyword" in asker.ask("list", {"bogus": 1})["error"]
    assert len({pid_of(asker)}) == 1
    asker.close()


def test_the_real_worker_ends_when_its_input_closes(repo: Path) -> None:
    command = [sys.executable, "-P", "-m", "engine.data.inspect.serve"]
    worker = subprocess.Popen(command, cwd=repo, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(b'{"id": 7, "op": "templates", "arguments": {}}\n')
    worker.stdin.flush()
    reply = json.loads(worker.stdout.readline())
    assert reply["id"] == 7 and "qwen3" in reply["result"]["templates"]
    worker.stdin.close()
    assert worker.wait(20) == 0
    worker.stdout.close()


def test_the_real_worker_leaves_when_nobody_asks(repo: Path) -> None:
    program = "from engine.data.inspect.serve import main; main(idle_s=0.05)"
    worker = subprocess.Popen([sys.executable, "-c", program], cwd=repo, stdin=subprocess.PIPE)
    assert worker.wait(20) == 0
    assert worker.stdin is not None
    worker.stdin.close()
