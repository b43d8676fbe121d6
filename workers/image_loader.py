"""Loads micrographs off the window's thread: file -> pyramid, through the shared image cache.

One thread per loader; the latest request wins. Showing what was loaded is app/viewer's business.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QObject, QThread, Signal

from core.errors import AppError, InputError, ResourceError
from core.images.cache import ImageCache
from core.images.pyramid import Cancelled, Pyramid, build_pyramid

log = logging.getLogger(__name__)

_PYRAMID_FACTOR = 4 / 3  # all levels over level 0
_PREFETCH_PART = 0.5  # of the cache: neighbours never push out what the user looks at


class _LoadThread(QThread):
    """Waits for work; answers through the loader's signals (queued to the loader's thread)."""

    done = Signal(int, object)
    broken = Signal(int, object)

    def __init__(self, cache: ImageCache) -> None:
        super().__init__()
        self._cache = cache
        self._wake = threading.Condition()
        self._request: tuple[int, Path, int] | None = None
        self._neighbours: deque[Path] = deque()
        self._generation = 0  # grows with everything that makes present work pointless
        self._stopping = False

    def ask(self, ticket: int, path: Path, index: int) -> None:
        with self._wake:
            self._request = (ticket, path, index)
            self._neighbours.clear()
            self._generation += 1
            self._wake.notify()

    def ask_neighbours(self, paths: Iterable[Path]) -> None:
        with self._wake:
            self._neighbours = deque(paths)
            self._wake.notify()

    def drop(self, stop: bool = False) -> None:
        with self._wake:
            self._request = None
            self._neighbours.clear()
            self._generation += 1
            self._stopping = self._stopping or stop
            self._wake.notify()

    def run(self) -> None:
        while True:
            with self._wake:
                while not (self._stopping or self._request or self._neighbours):
                    self._wake.wait()
                if self._stopping:
                    return
                request, self._request = self._request, None
                neighbour = None if request else self._neighbours.popleft()
                generation = self._generation
            if request:
                self._answer(*request, generation)
            elif neighbour is not None:
                self._prefetch(neighbour, generation)

    def _answer(self, ticket: int, path: Path, index: int, generation: int) -> None:
        try:
            self.done.emit(ticket, self._load(path, index, generation))
        except Cancelled:
            pass
        except AppError as error:
            self.broken.emit(ticket, error)
        except MemoryError:
            hint = "Close other programs, or look at it binned."
            self.broken.emit(ticket, ResourceError(f"{path.name} does not fit into memory.", hint))
        except Exception as error:  # a bug, but the window must hear that nothing will come
            log.exception("Loading %s failed", path)
            self.broken.emit(ticket, InputError(f"{path.name} could not be loaded: {error}.", "See the log.", path))

    def _prefetch(self, path: Path, generation: int) -> None:
        from core.images.source import open_source

        try:
            source = open_source(path)
            needed = source.shape[0] * source.shape[1] * 4 * _PYRAMID_FACTOR
            if needed <= _PREFETCH_PART * self._cache.stats().budget_bytes / 2:
                self._load(path, 0, generation)
        except (Cancelled, AppError, MemoryError) as error:
            log.debug("Not prefetched: %s (%r)", path, error)  # the user hears of it when asking for this one

    def _load(self, path: Path, index: int, generation: int) -> Pyramid:
        from core.images.source import file_key, open_source  # here: the window starts faster without

        def cancelled() -> bool:
            return self._generation != generation

        key = ("pyramid", *file_key(path, index))
        pyramid = self._cache.get(key)
        if pyramid is not None:
            return pyramid
        source = open_source(path)
        # Room first: while the new image is read, the old ones must not add up to budget + image.
        self._cache.make_room(int(source.shape[0] * source.shape[1] * 4 * _PYRAMID_FACTOR))
        image = source.read(index, cancelled)
        if cancelled():
            raise Cancelled
        pyramid = build_pyramid(image, source.pixel_size_a, path.name, source.n, index, cancelled)
        self._cache.put(key, pyramid)
        return pyramid


class ImageLoader(QObject):
    """Ask with `request`, hear `loaded` or `failed`; only the latest ticket is ever answered."""

    loaded = Signal(int, object)  # ticket, Pyramid
    failed = Signal(int, object)  # ticket, AppError

    def __init__(self, cache: ImageCache, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread = _LoadThread(cache)
        self._ticket = 0
        self._stopped = False
        self._thread.done.connect(self._on_done)
        self._thread.broken.connect(self._on_broken)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.stop)  # a thread that outlives its QThread ends the process

    def request(self, path: Path | str, index: int = 0) -> int:
        """Load image `index` of a file; the ticket comes back with the answer. Cancels what is in flight."""
        self._ticket += 1
        if not self._stopped:
            self._start()
            self._thread.ask(self._ticket, Path(path), index)
        return self._ticket

    def prefetch(self, paths: Iterable[Path | str]) -> None:
        """Fill the cache with these files when the thread has nothing else to do; replaces earlier wishes."""
        if not self._stopped:
            self._start()
            self._thread.ask_neighbours([Path(path) for path in paths])

    def cancel(self) -> None:
        """Forget the request in flight and the prefetches."""
        self._ticket += 1
        self._thread.drop()

    def stop(self) -> None:
        """End the thread and wait for it: at most one block of work. Later requests are ignored."""
        self._stopped = True
        self.cancel()
        if self._thread.isRunning():
            self._thread.drop(stop=True)
            self._thread.wait()

    def _start(self) -> None:
        if not self._thread.isRunning():
            self._thread.start(QThread.Priority.LowPriority)

    def _on_done(self, ticket: int, pyramid: Pyramid) -> None:
        if ticket == self._ticket:
            self.loaded.emit(ticket, pyramid)

    def _on_broken(self, ticket: int, error: AppError) -> None:
        if ticket == self._ticket:
            self.failed.emit(ticket, error)
