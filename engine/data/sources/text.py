"""What the text kinds share: opening a file (gzipped or not), its encoding, errors that name the place."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from engine.errors import DataError

CHUNK = 1 << 20
BOM = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")
LFS_POINTER = b"version https://git-lfs"
HTML = (b"<!doctype html", b"<html")
# Kinds in which a data file cannot begin with "<".
NEVER_XML = frozenset((".json", ".jsonl", ".parquet", ".arrow"))
NUL_REASON = "holds NUL bytes: the file was torn by a crash, or is not text"


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read; stands in its place, so that it is counted and told."""

    number: int
    reason: str
    column: str = ""


@contextlib.contextmanager
def telling(path: Path) -> Iterator[None]:
    """Failures of the disk and of gzip become a DataError that names the file."""
    try:
        yield
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path}: not a whole gzip file: {error}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


@contextlib.contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """The text's bytes, after its byte-order mark. Raises DataError for UTF-16 and for unreadable files."""
    with telling(path), _open(path) as file:
        head = file.read(64)
        refuse_stand_in(path, head)
        if _is_utf16(head):
            command = f"iconv -f UTF-16 -t UTF-8 {path.name} > new_file"
            raise DataError(f"{path} is UTF-16, expected UTF-8; convert it: {command}")
        file.seek(len(BOM) if head.startswith(BOM) else 0)
        yield file


def refuse_stand_in(path: Path, head: bytes) -> None:
    """Raises DataError for what stands where the data should be: a Git LFS pointer, a web page."""
    if head.startswith(LFS_POINTER):
        raise DataError(
            f"{path} is a Git LFS pointer, not the data itself; run git lfs pull where it was cloned"
        )
    start = head.removeprefix(BOM).lstrip().lower()
    marked = start.startswith(b"<") and not NEVER_XML.isdisjoint(
        suffix.lower() for suffix in path.suffixes[-2:]
    )
    if marked or start.startswith(HTML):
        raise DataError(
            f"{path} is a web page or XML, not data; the download gave a page instead of the file"
        )


def _is_utf16(head: bytes) -> bool:
    """By its byte-order mark, or by NUL in every other byte (of Latin text)."""
    if head[:2] in UTF16:
        return True
    even, odd = head[::2].count(0), head[1::2].count(0)
    return min(even, odd) == 0 and max(even, odd) > len(head) // 4


def _open(path: Path) -> BinaryIO:
    if path.suffix.lower() == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb", buffering=CHUNK)


def not_utf8(path: Path) -> DataError:
    """Where the first byte stands that is not UTF-8. Reads the file again, line by line."""
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            reason = bad_byte(line)
            if reason:
                return DataError(f"{path}: line {number}, {reason}; save the file as UTF-8")
    raise AssertionError(f"{path} is UTF-8 after all")


def bad_byte(line: bytes) -> str:
    """Which byte of a line is not UTF-8; empty when all are."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return f"byte {error.start + 1} is not UTF-8 (0x{line[error.start]:02x})"
    return ""
