"""Work spread over processes, its results in the order of the work. Knows nothing of data.

A worker is a fork of this process: it begins at once, with everything loaded. It holds one item at a time,
touches no torch, and ends with the process that started it, however that ends: nothing but the two ends of
its pipe keeps it waiting.
Try: python -m engine.data.tokens.workers
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

from engine import env
from engine.errors import DataError

# Items a worker may be ahead of the one whose result is due; what is finished early waits in memory.
_AHEAD = 4
_END = object()


def can_fork() -> bool:
    """Elsewhere a forked process is not sound once libraries have started threads of their own."""
    return sys.platform == "linux"


def ordered_map(
    work: Callable[[Any], Any], items: Iterable[Any], *, num_workers: int
) -> Generator[Any, None, None]:
    """work(item) of each item, in order. One worker, or a system that cannot fork: in this process.

    What `work` raises is raised here. Raises DataError where a worker was killed. Closing the iterator ends
    the workers.
    """
    if num_workers <= 1 or not can_fork():
        yield from _in_this_process(work, iter(items))
        return
    crew: list[_Worker] = []
    try:
        with _past_garbage_left_alone():
            for _ in range(num_workers):
                crew.append(_Worker(work, [other.pipe for other in crew]))
            yield from _drive(crew, enumerate(items))
    finally:
        for worker in crew:
            worker.end()


def _in_this_process(work: Callable[[Any], Any], items: Iterator[Any]) -> Iterator[Any]:
    # Released between two items: whoever takes the results may do so for the whole of a training run.
    while True:
        with _past_garbage_left_alone():
            item = next(items, _END)
            if item is _END:
                return
            result = work(item)
        yield result


@contextlib.contextmanager
def _past_garbage_left_alone() -> Iterator[None]:
    """The collector looks only at what is made in here. Rows make objects enough for it to walk, again and
    again, all that the libraries have loaded: a fifth of the time.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _drive(crew: list[_Worker], numbered: Iterator[tuple[int, Any]]) -> Iterator[Any]:
    """Hand out items, collect results, give them on in order."""
    idle = list(crew)
    busy: dict[object, _Worker] = {}
    done: dict[int, Any] = {}
    due = 0
    # One item is read ahead, so that a worker that comes back finds it.
    following = next(numbered, None)
    while following is not None or busy or done:
        while idle and following is not None and following[0] < due + _AHEAD * len(crew):
            worker = idle.pop()
            worker.give(following)
            busy[worker.pipe] = worker
            following = next(numbered, None)
        while due in done:
            yield done.pop(due)
            due += 1
        for pipe in wait([worker.pipe for worker in busy.values()]) if busy else ():
            worker = busy.pop(pipe)
            number, result = worker.take()
            done[number] = result
            idle.append(worker)


class _Worker:
    """One process and this side of its pipe."""

    def __init__(self, work: Callable[[Any], Any], others: list[Connection]) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        # A daemon: an interpreter that ends in the ordinary way takes it along.
        self.process = context.Process(
            target=_serve, args=(work, theirs, [self.pipe, *others]), name="preprocessing", daemon=True
        )
        self.process.start()
        theirs.close()

    def give(self, numbered: tuple[int, Any]) -> None:
        try:
            self.pipe.send(numbered)
        except OSError as error:
            raise self._died() from error

    def take(self) -> tuple[int, Any]:
        try:
            number, result, error = self.pipe.recv()
        except (EOFError, OSError) as lost:
            raise self._died() from lost
        if error is not None:
            raise error
        return number, result

    def end(self) -> None:
        """It holds nothing that could be lost."""
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def _died(self) -> DataError:
        self.process.join(5)
        return DataError(
            f"a preprocessing process ended early (exit code {self.process.exitcode}); the machine may be "
            "out of memory. Lower preprocessing_num_workers or preprocessing_batch_size"
        )


def _serve(work: Callable[[Any], Any], pipe: Connection, inherited: list[Connection]) -> None:
    """The worker's life: until the other end of the pipe is gone."""
    # With a copy of that end open here, it would never be.
    for other in inherited:
        other.close()
    env.one_thread_for_tokenizers()
    # What was loaded before is shared with the parent as long as nobody touches it.
    gc.freeze()
    try:
        while True:
            number, item = pipe.recv()
            pipe.send(_attempt(work, number, item))
    except (EOFError, OSError, KeyboardInterrupt):
        pass
    finally:
        # Not by way of the interpreter: locks of the parent's threads may be held here for ever.
        os._exit(0)


def _attempt(work: Callable[[Any], Any], number: int, item: Any) -> tuple[int, Any, Exception | None]:
    try:
        return number, work(item), None
    except Exception as error:  # noqa: BLE001  It is raised again where the results are taken.
        return number, None, error


if __name__ == "__main__":
    print(list(ordered_map(lambda number: number * number, range(10), num_workers=3)))
