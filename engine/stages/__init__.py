"""Training objectives. One file per `stage`, named like it, read top to bottom; listed without importing
it.
"""

from __future__ import annotations

from pathlib import Path


def names() -> tuple[str, ...]:
    return tuple(
        sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))
    )
