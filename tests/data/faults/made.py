"""Broken inputs that do not fit in a file of their own: too big, binary, or not a file at all."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow
import pyarrow.feather
import pyarrow.parquet

from tests.data.support import alpaca

GOOD = json.dumps(alpaca(1)[0])
BAD = {"instruction": "Say a", "output": ""}


def parquet() -> bytes:
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(alpaca(50)), out)
    return out.getvalue()


def arrow() -> bytes:
    out = io.BytesIO()
    table = pyarrow.Table.from_pylist(alpaca(50))
    with pyarrow.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def folder(path: Path, *files: str) -> None:
    path.mkdir()
    for name in files:
        (path / name).write_text("")


def lines(rows: list[dict[str, str]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


# Name of the file -> what writes it.
MAKERS: Mapping[str, Callable[[Path], object]] = {
    "deep_list.json": lambda path: path.write_text("[" * 10_000),
    "deep_row.json": lambda path: path.write_text(
        '[{"instruction": ' + "[" * 10_000 + "]" * 10_000 + ', "output": "It is a."}]'
    ),
    "deep_line.jsonl": lambda path: path.write_text(
        f'{GOOD}\n{{"instruction": {"[" * 10_000}{"]" * 10_000}, "output": "It is a."}}\n'
    ),
    "cut.parquet": lambda path: path.write_bytes(parquet()[:-100]),
    "text.parquet": lambda path: path.write_text('{"instruction": "Say a"}\n'),
    "cut.arrow": lambda path: path.write_bytes(arrow()[:-100]),
    "cut.jsonl.gz": lambda path: path.write_bytes(gzip.compress(lines(alpaca(200)))[:-100]),
    "not_gzip.jsonl.gz": lambda path: path.write_text(GOOD),
    "long_torn.json": lambda path: path.write_text(
        '[\n{"instruction": "Say a", "output": "' + "a" * 5_000_000
    ),
    "two_in_a_hundred.jsonl": lambda path: path.write_bytes(lines([*alpaca(98), BAD, BAD])),
    "all_bad.jsonl": lambda path: path.write_bytes(lines([BAD] * 25)),
    "a_folder.json": lambda path: folder(path),
    "notes": lambda path: folder(path, "README.md", "loader.py"),
    "program.exe": lambda path: path.write_bytes(b"MZ\0\0"),
    "nothing.json": lambda path: None,
    "nothing-*.jsonl": lambda path: None,
    # Reading the start of one's own memory is refused by the system, whoever asks.
    "disk_error.json": lambda path: path.symlink_to("/proc/self/mem"),
}
