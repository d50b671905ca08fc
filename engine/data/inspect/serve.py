"""The worker behind `engine.jobs.client.ask`: one JSON request per line in, one JSON answer per line out.

{"id": 1, "op": "list", "arguments": {"dataset_dir": "data"}} -> {"id": 1, "result": {...}}. Ends at once when
its standard input closes, whatever it is doing, and by itself after five idle minutes. Knows no operation
itself (service.py does).
Try: (echo '{"id":1,"op":"templates","arguments":{}}'; sleep 3) | python -m engine.data.inspect.serve
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from typing import IO, Any, NoReturn

from engine import env
from engine.data.inspect import service

IDLE_S = 300.0


def main(*, idle_s: float = IDLE_S) -> NoReturn:
    """Answer until nobody asks any more."""
    env.wait_without_spinning()
    answers = _take_stdout()
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    while True:
        try:
            line = requests.get(timeout=idle_s)
        except queue.Empty:
            leave()
        try:
            answers.write(json.dumps(reply(line), ensure_ascii=True).encode() + b"\n")
            answers.flush()
        except BrokenPipeError:
            leave()


def reply(line: bytes) -> dict[str, Any]:
    """The answer to one line. A fault of ours is told in the answer, with the traceback on standard error."""
    number = None
    try:
        request = json.loads(line)
        number = request["id"]
        return {"id": number, "result": service.answer(request["op"], request["arguments"])}
    except Exception as error:  # noqa: BLE001  one request that fails must not cost the next its warm worker
        traceback.print_exc()
        message = f"the worker failed at this question: {type(error).__name__}: {error}"
        return {"id": number, "result": {"error": message, "problems": []}}


def _take_stdout() -> IO[bytes]:
    """Keep the real standard output for answers; what libraries print goes to standard error."""
    sys.stdout.flush()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _read(requests: queue.SimpleQueue[bytes]) -> None:
    """In a thread of its own, so that the end of the asker is seen in the middle of a long answer."""
    for line in sys.stdin.buffer:
        requests.put(line)
    leave()


def leave() -> NoReturn:
    """At once: a thread that sits in a read, or in a tokenizer, is not to be waited for."""
    os._exit(0)


if __name__ == "__main__":
    main()
