"""Loads micrographs off the window's thread: file -> quick preview -> pyramid, through the shared image cache.

One thread per loader; the latest request wins. Showing what was loaded is app/viewer's business.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QObject, QThread, QTimer, Signal

from core.errors import AppError, InputError, ResourceError
from core.images.cache import ImageCache
from core.images.pyramid import Cancelled, Pyramid
from workers import stuck

if TYPE_CHECKING:
    from core.images.source import ImageSource

log = logging.getLogger(__name__)

STUCK_MS = 3000  # a request waits so long behind a read that does not return
PAUSE_S = 0.015  # after a preview: both threads share one interpreter
_PYRAMID_FACTOR = 4 / 3  # all levels over level 0
_PREFETCH_PART = 0.5  # of the cache: neighbours never push out what the user looks at


class _LoadThread(QThread):
    """Waits for work; answers through the loader's signals (queued to the loader's thread)."""

    seen = Signal(int, object)
    done = Signal(int, object)
    broken = Signal(int, object)

    def __init__(self, cache: ImageCache) -> None:
        super().__init__()
        self._cache = cache
        self._wake = threading.Condition()
        self._request: tuple[int, Path, int] | None = None
        self._neighbours: deque[tuple[Path, int]] = deque()
        self._working_on: tuple[Path, int] | None = None
        self._generation = 0  # grows with everything that makes present work pointless
        self._stopping = False
        self._source: tuple[object, ImageSource] | None = None  # the last file: its frames need no new header

    def ask(self, ticket: int, path: Path, index: int) -> None:
        with self._wake:
            self._request = (ticket, path, index)
            self._neighbours.clear()
            if self._working_on != (path, index):  # else the wish is nearly fulfilled: it will be in the cache
                self._generation += 1
            self._wake.notify()

    def ask_neighbours(self, images: Iterable[tuple[Path, int]]) -> None:
        with self._wake:
            self._neighbours = deque(images)
            self._wake.notify()

    def waits(self) -> Path | None:
        """The file whose reading keeps the newest request waiting; None when it does not wait."""
        with self._wake:
            return self._working_on[0] if self._request is not None and self._working_on is not None else None

    def drop(self, stop: bool = False) -> None:
        with self._wake:
            self._request = None
            self._neighbours.clear()
            self._generation += 1
            self._stopping = self._stopping or stop
            self._wake.notify()

    def run(self) -> None:
        import core.images.preview  # noqa: F401  the first image must not wait for these

        while True:
            with self._wake:
                while not (self._stopping or self._request or self._neighbours):
                    self._wake.wait()
                if self._stopping:
                    return
                request, self._request = self._request, None
                path, index = request[1:] if request else self._neighbours.popleft()
                self._working_on = (path, index)
                generation = self._generation
            if request:
                self._answer(*request, generation)
            else:
                self._prefetch(path, index, generation)
            with self._wake:
                self._working_on = None

    def _answer(self, ticket: int, path: Path, index: int, generation: int) -> None:
        try:
            self.done.emit(ticket, self._load(path, index, generation, ticket))
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

    def _prefetch(self, path: Path, index: int, generation: int) -> None:
        try:
            source = self._open(path)
            if _pyramid_bytes(source) <= _PREFETCH_PART * self._cache.stats().budget_bytes / 2:
                self._load(path, index, generation)
        except (Cancelled, AppError, MemoryError) as error:
            log.debug("Not prefetched: %s (%r)", path, error)  # the user hears of it when asking for this one
        except Exception:
            log.exception("Prefetching %s failed", path)

    def _open(self, path: Path) -> ImageSource:
        from core.images.source import file_key, open_source  # here: the window starts faster without

        key = file_key(path)
        if self._source is None or self._source[0] != key:
            self._source = None
            self._source = (key, open_source(path))
        return self._source[1]

    def _load(self, path: Path, index: int, generation: int, ticket: int | None = None) -> Pyramid:
        """The pyramid, from the cache or from the file; a `ticket` is answered with a preview before."""
        from core.images.preview import preview_pyramid
        from core.images.source import file_key
        from core.images.streamed import load_pyramid

        def cancelled() -> bool:
            return self._generation != generation

        key = ("pyramid", *file_key(path, index))
        pyramid = self._cache.get(key)
        if pyramid is not None:
            return pyramid
        source = self._open(path)
        # Room first: while the new image is read, the old ones must not add up to budget + image.
        self._cache.make_room(_pyramid_bytes(source))
        if ticket is not None:
            preview = preview_pyramid(source, index, cancelled)
            if preview is not None and not cancelled():
                self.seen.emit(ticket, preview)
                with self._wake:  # the window paints it first; a newer request ends the pause
                    self._wake.wait_for(cancelled, PAUSE_S)
            del preview
        pyramid = load_pyramid(source, index, cancelled)
        self._cache.put(key, pyramid)
        return pyramid


def _pyramid_bytes(source: ImageSource) -> int:
    return int(source.shape[0] * source.shape[1] * 4 * _PYRAMID_FACTOR)


def _no_answer(path: Path) -> AppError:
    return ResourceError(
        f"{path.name} does not answer: reading it has hung for seconds.", f"Is the disk of {path.parent} connected?"
    )


class ImageLoader(QObject):
    """Ask with `request`, hear `previewed` (perhaps), then `loaded` or `failed`; only for the latest ticket."""

    previewed = Signal(int, object)  # ticket, Pyramid without its finest levels: of large plain files not in the cache
    loaded = Signal(int, object)  # ticket, Pyramid
    failed = Signal(int, object)  # ticket, AppError

    def __init__(self, cache: ImageCache, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cache = cache
        self._thread = self._new_thread()
        self._stuck: dict[Path, QThread] = {}  # files that threads hang on
        self._last: tuple[Path, int] | None = None
        self._watch = QTimer(self, interval=STUCK_MS, singleShot=True)
        self._watch.timeout.connect(self._replace_stuck)
        self._ticket = 0
        self._stopped = False
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.stop)  # a thread that outlives its QThread ends the process

    def _new_thread(self) -> _LoadThread:
        thread = _LoadThread(self._cache)
        thread.seen.connect(self._on_seen)
        thread.done.connect(self._on_done)
        thread.broken.connect(self._on_broken)
        return thread

    def warm_up(self) -> None:
        """Start the thread before it is needed: the first image then comes as fast as the others."""
        if not self._stopped:
            self._start()

    def request(self, path: Path | str, index: int = 0) -> int:
        """Load image `index` of a file; the ticket comes back with the answer. Cancels what is in flight."""
        self._ticket += 1
        ticket, path = self._ticket, Path(path)
        if self._stopped:
            return ticket
        if self._hangs(path):
            self._thread.drop()
            QTimer.singleShot(0, self, lambda: self._on_broken(ticket, _no_answer(path)))
            return ticket
        self._last = (path, index)
        self._start()
        self._thread.ask(ticket, path, index)
        self._watch.start()
        return ticket

    def prefetch(self, paths: Iterable[Path | str]) -> None:
        """Fill the cache with these files when the thread has nothing else to do; replaces earlier wishes."""
        if not self._stopped:
            self._start()
            self._thread.ask_neighbours([(p, 0) for p in map(Path, paths) if not self._hangs(p)])

    def prefetch_frames(self, path: Path | str, indices: Iterable[int]) -> None:
        """The same for frames of one stack: those next to the one that a slider shows."""
        if not self._stopped and not self._hangs(Path(path)):
            self._start()
            self._thread.ask_neighbours([(Path(path), index) for index in indices])

    def cancel(self) -> None:
        """Forget the request in flight and the prefetches."""
        self._ticket += 1
        self._watch.stop()
        self._thread.drop()

    def stop(self) -> None:
        """End the thread and wait for it, two seconds at most. Later requests are ignored."""
        self._stopped = True
        self.cancel()
        if self._thread.isRunning():
            self._thread.drop(stop=True)
            if not stuck.end(self._thread):
                self._disconnect(self._thread)
                self._thread = self._new_thread()  # never started

    def _hangs(self, path: Path) -> bool:
        thread = self._stuck.get(path)
        return thread is not None and thread.isRunning()

    def _replace_stuck(self) -> None:
        """Go on in another thread when the newest request waits for a read that does not return."""
        path = self._thread.waits()
        if path is None or self._last is None or self._stopped or path == self._last[0]:
            return  # also when it waits for a part of the same file, which may just be long
        log.warning("%s does not answer; going on without it", path)
        hanging = self._thread
        hanging.drop(stop=True)
        self._disconnect(hanging)
        stuck.leave(hanging)
        self._stuck[path] = hanging
        self._thread = self._new_thread()
        self._start()
        self._thread.ask(self._ticket, *self._last)

    def _disconnect(self, thread: _LoadThread) -> None:
        thread.seen.disconnect(self._on_seen)
        thread.done.disconnect(self._on_done)
        thread.broken.disconnect(self._on_broken)

    def _start(self) -> None:
        if not self._thread.isRunning():
            self._thread.start(QThread.Priority.LowPriority)

    def _on_seen(self, ticket: int, pyramid: Pyramid) -> None:
        if ticket == self._ticket:
            self.previewed.emit(ticket, pyramid)

    def _on_done(self, ticket: int, pyramid: Pyramid) -> None:
        if ticket == self._ticket:
            self.loaded.emit(ticket, pyramid)

    def _on_broken(self, ticket: int, error: AppError) -> None:
        if ticket == self._ticket:
            self.failed.emit(ticket, error)
