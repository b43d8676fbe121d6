"""Work side by side on the cores: whole pieces on threads of their own, each with one-threaded operations.

One barrier per piece instead of one per operation: on a shared machine, where a core is often taken away, this is
several times faster than letting every convolution wait for all cores. Results do not depend on timing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def core_count() -> int:
    """Cores this process may use; OMP_NUM_THREADS lowers it."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Windows and macOS
        cores = os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, int(limit))) if limit.isdigit() else max(1, cores)


class Workers:
    """A pool whose threads each run one-threaded torch operations. One worker on a GPU, which queues anyway."""

    def __init__(self, device: torch.device, count: int | None = None) -> None:
        self.count = 1 if device.type != "cpu" else count or core_count()
        if device.type == "cpu":
            torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(self.count, "compute")

    def map(self, function: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
        """Results in the order of the pieces; only a few pieces are in memory at a time."""
        waiting: list[Future[Result]] = []
        try:
            for piece in pieces:
                waiting.append(self._pool.submit(function, piece))
                if len(waiting) > self.count:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()

    def submit(self, function: Callable[..., Result], *arguments: object) -> Future[Result]:
        """One piece; the caller asks for its result."""
        return self._pool.submit(function, *arguments)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
