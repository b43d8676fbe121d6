"""Reading the next item and writing the one before while the present one is computed.

Three items are in memory at most: one read ahead, one in work, one being written. The order is that of the items; an
exception belongs to its item and does not end the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Waiting
from dataclasses import dataclass
from typing import Generic, TypeVar

POLL_S = 0.1

Item = TypeVar("Item")
Read = TypeVar("Read")
Computed = TypeVar("Computed")
Written = TypeVar("Written")


@dataclass(frozen=True)
class Outcome(Generic[Item, Written]):
    """What became of one item: what `write` returned, or the exception of whichever step failed."""

    item: Item
    value: Written | None = None
    error: Exception | None = None


def overlapped(
    items: Iterable[Item],
    read: Callable[[Item], Read],
    compute: Callable[[Item, Read], Computed],
    write: Callable[[Item, Computed], Written],
    tick: Callable[[], None] = lambda: None,
) -> Iterator[Outcome[Item, Written]]:
    """Outcomes in the order of the items. `read` and `write` run in a thread each, `compute` where this is iterated.

    tick: called while there is nothing but waiting, ten times a second; what it raises ends everything at once, as does
    a `BaseException` or closing the iterator: what is being written is then still completed, reading is not waited for.
    """
    reader, writer = ThreadPoolExecutor(1, "read-ahead"), ThreadPoolExecutor(1, "write-behind")
    source = iter(items)
    ahead: tuple[Item, Future[Read]] | None = None
    behind: tuple[Item, Future[Written]] | None = None

    def begin() -> tuple[Item, Future[Read]] | None:
        for item in source:
            return item, reader.submit(read, item)
        return None

    try:
        ahead = begin()
        while ahead is not None:
            item, future = ahead
            computed: Computed | None = None
            error: Exception | None = _waited(future, tick)
            got = None if error else future.result()
            del future
            ahead = begin()
            if error is None:
                try:
                    computed = compute(item, got)  # type: ignore[arg-type]
                except Exception as caught:
                    error = caught
            got = None
            if behind is not None:
                yield _outcome(*behind, tick)
                behind = None
            if error is not None:
                yield Outcome(item, error=error)
            else:
                behind = item, writer.submit(write, item, computed)  # type: ignore[arg-type]
        if behind is not None:
            last, behind = behind, None
            yield _outcome(*last, tick)
    finally:
        reader.shutdown(wait=False, cancel_futures=True)
        writer.shutdown(wait=True, cancel_futures=True)


def _outcome(item: Item, future: Future[Written], tick: Callable[[], None]) -> Outcome[Item, Written]:
    error = _waited(future, tick)
    return Outcome(item, error=error) if error else Outcome(item, future.result())


def _waited(future: Future, tick: Callable[[], None]) -> Exception | None:
    """Wait; return the exception of the thread, if there was one. What `tick` raises comes through."""
    while True:
        try:
            error = future.exception(timeout=POLL_S)
        except Waiting:
            tick()
            continue
        if error is not None and not isinstance(error, Exception):
            raise error
        return error
