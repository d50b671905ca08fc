"""Files that a person uploads, kept aside until they are registered: saves/.studio/uploads/ID/NAME.

Nothing here is named by the browser but the last part of the name, and that is cleaned. A file is there whole
or not at all. Knows nothing of what the files hold.
Try: python -c "from webui.uploads import clean_name; print(clean_name('../../etc/my data?.csv', 'en'))"
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import anyio

from engine import paths
from engine.errors import UserError
from webui import text

SUFFIXES = (
    ".json", ".jsonl", ".csv", ".tsv", ".txt", ".parquet", ".arrow",
    ".json.gz", ".jsonl.gz", ".csv.gz", ".tsv.gz", ".txt.gz",
)  # fmt: skip
MAX_BYTES = 8 * 2**30
KEPT_FREE_BYTES = 2**30
"""An upload is refused where it would leave less than this on the disk: runs need room too."""
KEPT_S = 24 * 3600.0
PIECE_BYTES = 2**20
MAX_NAME = 80

_ID = re.compile(r"[0-9a-f]{16}")
_UNFIT = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Upload:
    """One uploaded file. The browser knows it by `id` alone."""

    id: str
    path: Path
    size: int

    def to_json(self) -> dict[str, str | int]:
        return {"upload": self.id, "name": self.path.name, "size": self.size}


def clean_name(name: str, language: str) -> str:
    """The last part of `name` in letters, digits, dots and dashes.

    Raises UserError for a kind of file that no dataset is read from.
    """
    last = re.split(r"[\\/]", name)[-1]
    cleaned = _UNFIT.sub("_", last)
    endings = [end for end in SUFFIXES if cleaned.lower().endswith(end)]
    if not endings:
        kinds = ", ".join(end for end in SUFFIXES if not end.endswith(".gz"))
        raise UserError(text.t("say.data.kind", language, name=last[-MAX_NAME:], kinds=kinds))
    suffix = max(endings, key=len)
    stem = cleaned[: -len(suffix)].strip("._-")[:MAX_NAME]
    return f"{stem or 'upload'}{suffix.lower()}"


async def receive(name: str, announced: int | None, stream: AsyncIterator[bytes], language: str) -> Upload:
    """Write what `stream` brings into a folder of its own. Raises UserError where it is too large or the disk
    too full; whatever goes wrong, no part of a file stays behind.
    """
    cleaned = clean_name(name, language)
    root = uploads_dir()
    sweep(root)
    upload_id = secrets.token_hex(8)
    folder = root / upload_id
    folder.mkdir(mode=0o700, parents=True)
    try:
        free = shutil.disk_usage(folder).free - KEPT_FREE_BYTES
        limit = min(MAX_BYTES, max(0, free))
        if announced is not None and announced > limit:
            raise _too_large(limit, language)
        part = folder / ".part"
        with open(part, "wb") as file:
            size = await _write(file, stream, limit, language)
        part.rename(folder / cleaned)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Upload(upload_id, folder / cleaned, size)


async def _write(file: BinaryIO, stream: AsyncIterator[bytes], limit: int, language: str) -> int:
    """Write in large pieces beside the event loop. Returns the number of bytes."""
    size = 0
    waiting = bytearray()
    async for piece in stream:
        size += len(piece)
        if size > limit:
            raise _too_large(limit, language)
        waiting += piece
        if len(waiting) >= PIECE_BYTES:
            await anyio.to_thread.run_sync(file.write, bytes(waiting))
            waiting.clear()
    file.write(waiting)
    if not size:
        raise UserError(text.t("say.data.empty_file", language))
    return size


def find(upload_id: str) -> Path | None:
    """The file of an upload; None where there is none (any more), whatever the text says."""
    if not _ID.fullmatch(upload_id):
        return None
    folder = uploads_dir() / upload_id
    found = [path for path in folder.glob("[!.]*") if path.is_file()] if folder.is_dir() else []
    return paths.confine(found[0], uploads_dir()) if found else None


def discard(upload_id: str) -> None:
    """Forget an upload. One that is not there is no error."""
    if _ID.fullmatch(upload_id):
        shutil.rmtree(uploads_dir() / upload_id, ignore_errors=True)


def sweep(root: Path) -> None:
    """Remove what was uploaded long ago and never registered."""
    if not root.is_dir():
        return
    for folder in root.iterdir():
        try:
            old = time.time() - folder.stat().st_mtime > KEPT_S
        except FileNotFoundError:
            continue  # discarded meanwhile: another file was chosen in its place
        if old and _ID.fullmatch(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def uploads_dir() -> Path:
    return paths.studio_dir() / "uploads"


def _too_large(limit: int, language: str) -> UserError:
    return UserError(text.t("say.data.too_large", language, limit=f"{limit / 2**30:.1f}"))
