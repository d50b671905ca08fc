"""One process at a time makes a thing; the others wait and find it made. By a lock that its holder's death
frees, or, where processes on several machines share the folder, by waiting for the first of them.

Try: pytest tests/data/test_tokenized_path.py -k process
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from engine import env
from engine.errors import DataError

_LOOK_S = 0.2
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
# The first process shows that it lives by what it writes; silent for this long, it does not.
PATIENCE_S = 900.0


@contextlib.contextmanager
def one_at_a_time(path: Path, *, shared: bool, patience_s: float = PATIENCE_S) -> Iterator[bool]:
    """Enter alone among the processes that make `path`. True for the one that did not have to wait.

    shared: processes of other machines make the same one, where locks do not reach; all but the first
    (env.process_rank) wait for `path` to appear. Raises DataError when the first one fails or falls silent.
    """
    if shared and env.process_rank() > 0:
        _wait_for(path, patience_s)
        yield False
        return
    failed = _failure_file(path)
    with _locked(path) as came_first:
        if shared:
            failed.unlink(missing_ok=True)
        try:
            yield came_first
        except BaseException as error:
            if shared and env.world_size() > 1:
                failed.write_text(str(error) or type(error).__name__, encoding="utf-8")
            raise


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    try:
        import fcntl
    except ImportError:
        # Windows: two that make the same thing waste time, and the rename decides.
        yield True
        return
    lock = path.with_name(f".{path.name}.lock")
    came_first = True
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the folder {lock.parent} cannot be written: {error.strerror}") from None
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            came_first = False
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            # A file system without locks: as on Windows.
            break
        # Whoever held it before took the file away: then this lock guards nothing.
        if _is_current(lock, handle):
            break
        os.close(handle)
    try:
        yield came_first
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def _is_current(lock: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(lock), os.fstat(handle))
    except FileNotFoundError:
        return False


def _failure_file(path: Path) -> Path:
    return path.with_name(f".{path.name}.failed")


def _wait_for(path: Path, patience_s: float) -> None:
    failed, began = _failure_file(path), time.time()
    alive = began
    while not path.exists():
        if failed.exists() and failed.stat().st_mtime >= began - _LOOK_S:
            raise DataError(f"the first process could not prepare the data: {failed.read_text()}")
        alive = max([alive, *(_changed(staged) for staged in path.parent.glob(f".{path.name}-*.tmp/*"))])
        if time.time() - alive > patience_s:
            raise DataError(
                f"the first process has written nothing of {path} for {patience_s:.0f} s; is it running, and "
                "is this folder on the shared file system? Otherwise set data_shared_file_system=false"
            )
        time.sleep(_LOOK_S)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
