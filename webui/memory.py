"""What the studio remembers of its forms, so that a reload or a restart finds every field as it was.

One small file per tab under saves/.studio; the last edit wins. Holds field values only.
Try: python -c "from webui.memory import recall; print(recall('train'))"
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.paths import studio_dir, write_whole


@dataclass(frozen=True)
class Remembered:
    """The field values of a tab by name, and the job that was on screen when they were last edited."""

    job: str
    values: dict[str, Any]


def remember(tab: str, job: str, values: Mapping[str, Any]) -> None:
    """Keep a tab's field values. Writes nothing where they are what is kept already."""
    text = json.dumps({"job": job, "values": dict(values)}, ensure_ascii=False, indent=1)
    path = _file(tab)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_whole(path, text, mode=0o600)


def recall(tab: str) -> Remembered | None:
    """What was kept of a tab, or None. A file that cannot be read counts as none: it holds only comfort."""
    try:
        kept = json.loads(_file(tab).read_text(encoding="utf-8"))
        return Remembered(str(kept["job"]), dict(kept["values"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file(tab: str) -> Path:
    return studio_dir() / f"form-{tab}.json"
