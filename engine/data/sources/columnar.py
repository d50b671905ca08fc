"""Parquet and arrow (file and stream format, as `datasets` writes it), read batch by batch.

Rows are plain Python values; a key that a row's struct lacks is None in it, as the formats have it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.data.sources.text import refuse_stand_in, telling
from engine.errors import DataError

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

# Python objects of about this many bytes of data are held at a time.
BATCH_BYTES = 8 << 20
MAX_BATCH_ROWS = 4096
ARROW_FILE_MAGIC = b"ARROW1"


def read_rows(path: Path, start: int) -> Iterator[tuple[int, Any]]:
    batches = _parquet_batches(path, start) if _is_parquet(path) else _arrow_batches(path, start)
    number = start
    with _telling(path):
        for batch in batches:
            for row in batch.to_pylist(maps_as_pydicts="strict"):
                number += 1
                yield number, row


def find_columns(path: Path) -> list[str] | None:
    if _is_parquet(path):
        with _open_parquet(path) as file:
            return list(file.schema_arrow.names)
    with _open_arrow(path) as reader:
        return list(reader.schema.names)


def count_rows(path: Path) -> int:
    if _is_parquet(path):
        with _open_parquet(path) as file:
            return int(file.metadata.num_rows)
    with _open_arrow(path) as reader:
        return sum(batch.num_rows for batch in _all_batches(reader))


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


@contextlib.contextmanager
def _telling(path: Path) -> Iterator[None]:
    """What pyarrow makes of a damaged file, as a DataError. Its OSErrors stand for damage too."""
    import pyarrow

    kind = "parquet" if _is_parquet(path) else "arrow"
    try:
        yield
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError, KeyError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"{path}: not a readable {kind} file: {reason[0]}") from None


@contextlib.contextmanager
def _open_parquet(path: Path) -> Iterator[pyarrow.parquet.ParquetFile]:
    import pyarrow.parquet

    with telling(path), path.open("rb") as file, _telling(path):
        refuse_stand_in(path, file.read(64))
        file.seek(0)
        yield pyarrow.parquet.ParquetFile(file)


def _parquet_batches(path: Path, start: int) -> Iterator[pyarrow.RecordBatch]:
    with _open_parquet(path) as file:
        groups = [file.metadata.row_group(index) for index in range(file.num_row_groups)]
        first = 0
        while first < len(groups) and start >= groups[first].num_rows:
            start -= groups[first].num_rows
            first += 1
        wanted = groups[first:]
        num_rows = sum(group.num_rows for group in wanted)
        num_bytes = sum(group.total_byte_size for group in wanted)
        size = _batch_rows(num_bytes, num_rows)
        for batch in file.iter_batches(size, row_groups=list(range(first, len(groups)))):
            if start < batch.num_rows:
                yield batch.slice(start)
            start = max(start - batch.num_rows, 0)


@contextlib.contextmanager
def _open_arrow(path: Path) -> Iterator[Any]:
    """A reader of either format. Mapped, not read: a file may be one batch larger than memory."""
    import pyarrow
    import pyarrow.ipc

    with telling(path), path.open("rb") as file:
        head = file.read(64)
    refuse_stand_in(path, head)
    if not head:
        raise DataError(f"{path} is empty")
    with _telling(path), pyarrow.memory_map(str(path)) as source:
        is_file = head.startswith(ARROW_FILE_MAGIC)
        yield pyarrow.ipc.open_file(source) if is_file else pyarrow.ipc.open_stream(source)


def _all_batches(reader: Any) -> Iterator[pyarrow.RecordBatch]:
    if hasattr(reader, "num_record_batches"):
        return (reader.get_batch(index) for index in range(reader.num_record_batches))
    return iter(reader)


def _arrow_batches(path: Path, start: int) -> Iterator[pyarrow.RecordBatch]:
    with _open_arrow(path) as reader:
        for batch in _all_batches(reader):
            if start >= batch.num_rows:
                start -= batch.num_rows
                continue
            size = _batch_rows(batch.nbytes, batch.num_rows)
            for offset in range(start, batch.num_rows, size):
                yield batch.slice(offset, size)
            start = 0


def _batch_rows(num_bytes: int, num_rows: int) -> int:
    """Rows that make up about BATCH_BYTES."""
    if num_bytes <= 0:
        return MAX_BATCH_ROWS
    return max(1, min(MAX_BATCH_ROWS, BATCH_BYTES * num_rows // num_bytes))
