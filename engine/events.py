"""The metric log: append one JSON object a line, tail it by byte offset.

Not a logger: what a run says in words goes to log.txt. A reader may meet a torn last line (the writer was
killed or is mid-write); it is left for the next read. Try: python -m engine.events saves/x/trainer_log.jsonl
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append_event(path: Path, event: Mapping[str, Any]) -> None:
    """Append `event` as one line. One write call, so that concurrent appenders never interleave.

    A previous line torn by a killed writer is closed first, so that it costs one line and not two.
    """
    line = json.dumps(finite(dict(event)), ensure_ascii=False, allow_nan=False) + "\n"
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            line = "\n" + line
        os.write(fd, line.encode())
    finally:
        os.close(fd)


def read_events(path: Path, offset: int = 0, *, limit: int | None = None) -> tuple[list[dict[str, Any]], int]:
    """Read complete lines from byte `offset`, at most `limit` bytes. Returns the events and the offset to go
    on from.

    The result of reading a file in pieces is the same wherever it is cut. Lines that are not JSON objects are
    skipped.
    """
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            blob = file.read(-1 if limit is None else limit)
    except FileNotFoundError:
        return [], offset
    end = blob.rfind(b"\n") + 1
    events = []
    for line in blob[:end].split(b"\n"):
        event = _parse(line)
        if event is not None:
            events.append(event)
    return events, offset + end


def _parse(line: bytes) -> dict[str, Any] | None:
    if not line.strip():
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def finite(value: Any) -> Any:
    """JSON has no NaN: a diverged loss is written as null and shown as a gap."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


if __name__ == "__main__":
    import sys

    for event in read_events(Path(sys.argv[1]))[0]:
        print(event)
