"""Makes small pictures of micrographs off the window's thread, in the order in which they are wished for.

One slow thread of low priority: what the user looks at (image_loader.py) must not wait for thumbnails.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PySide6.QtCore import QCoreApplication, QObject, QThread, QTimer, Signal

from core.errors import AppError
from core.images.cache import ImageCache
from core.images.pyramid import Cancelled
from workers import stuck

log = logging.getLogger(__name__)

STUCK_MS = 15_000  # no thumbnail takes so long, except of a file that does not answer
SIDE = 160  # px, the longer side


class _ThumbnailThread(QThread):
    """Works through the list of wishes; answers through the loader's signals."""

    done = Signal(object, object)
    broken = Signal(object, str)

    def __init__(self, cache: ImageCache, side: int) -> None:
        super().__init__()
        self._cache, self._side = cache, side
        self._wake = threading.Condition()
        self._wishes: list[Path] = []
        self._present: Path | None = None  # what is being made
        self._unwanted = False  # what is being made
        self._stopping = False

    def ask(self, paths: list[Path]) -> None:
        with self._wake:
            # What is nearly made stays in the making when it is still wished for.
            self._unwanted = self._present not in paths
            self._wishes = [path for path in paths if self._unwanted or path != self._present]
            self._wake.notify()

    def present(self) -> Path | None:
        """The file that is being read."""
        with self._wake:
            return self._present

    def stop(self) -> None:
        with self._wake:
            self._wishes, self._unwanted, self._stopping = [], True, True
            self._wake.notify()

    def run(self) -> None:
        while True:
            with self._wake:
                while not (self._stopping or self._wishes):
                    self._wake.wait()
                if self._stopping:
                    return
                path = self._present = self._wishes.pop(0)
                self._unwanted = False
            self._answer(path)
            with self._wake:
                self._present = None

    def _answer(self, path: Path) -> None:
        try:
            self.done.emit(path, self._make(path))
        except Cancelled:
            pass
        except AppError as error:
            self.broken.emit(path, error.message)
        except MemoryError:
            self.broken.emit(path, f"{path.name} does not fit into memory.")
        except Exception as error:  # a bug, but the strip must not wait for ever
            log.exception("No thumbnail of %s", path)
            self.broken.emit(path, f"{path.name} could not be loaded: {error}.")

    def _make(self, path: Path) -> np.ndarray:
        from core.images.contrast import to_8bit
        from core.images.preview import thumbnail
        from core.images.source import file_key

        key = ("thumbnail", self._side, *file_key(path))
        picture = self._cache.get(key)
        if picture is None:
            image, (black, white) = thumbnail(path, self._side, lambda: self._unwanted)
            picture = to_8bit(image, black, white)
            picture.flags.writeable = False
            self._cache.put(key, picture)
        return picture


def _no_answer(path: Path) -> str:
    return f"{path.name} does not answer: reading it has hung for seconds."


class ThumbnailLoader(QObject):
    """`ask` for thumbnails, hear `made` or `failed` for each of them: pictures of at most `side` px, rows first."""

    made = Signal(object, object)  # Path, uint8 (h, w), not to be written to
    failed = Signal(object, str)  # Path, one sentence

    def __init__(self, cache: ImageCache, side: int = SIDE, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cache, self._side = cache, side
        self._thread = self._new_thread()
        self._wanted: set[Path] = set()
        self._order: list[Path] = []
        self._seen_reading: Path | None = None  # when the watch looked last
        self._hanging: set[Path] = set()
        self._stopped = False
        self._watch = QTimer(self, interval=STUCK_MS)
        self._watch.timeout.connect(self._replace_stuck)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.stop)  # a thread that outlives its QThread ends the process

    def _new_thread(self) -> _ThumbnailThread:
        thread = _ThumbnailThread(self._cache, self._side)
        thread.done.connect(self._on_done)
        thread.broken.connect(self._on_broken)
        return thread

    def ask(self, paths: Iterable[Path | str]) -> None:
        """Make these, the first first; wishes that are not repeated here are dropped. [] drops all."""
        if self._stopped:
            return
        wishes = list(dict.fromkeys(Path(path) for path in paths))
        hanging = [path for path in wishes if path in self._hanging]
        self._wanted, self._order = set(wishes), [path for path in wishes if path not in self._hanging]
        for path in hanging:
            QTimer.singleShot(0, self, lambda path=path: self._on_broken(path, _no_answer(path)))
        if not self._thread.isRunning():
            if not self._order:
                return
            self._thread.start(QThread.Priority.LowestPriority)
        self._thread.ask(self._order)
        self._seen_reading = None
        self._watch.start()

    def stop(self) -> None:
        """End the thread and wait for it, two seconds at most. Later wishes are ignored."""
        self._stopped = True
        self._wanted.clear()
        self._watch.stop()
        self._thread.stop()
        if self._thread.isRunning() and not stuck.end(self._thread):
            self._disconnect(self._thread)
            self._thread = self._new_thread()  # never started

    def _replace_stuck(self) -> None:
        """Go on in another thread when the present file has been read since the watch looked last."""
        path = self._thread.present()
        if path is None and not self._wanted:
            self._watch.stop()
        stays, self._seen_reading = path is not None and path == self._seen_reading, path
        if not stays or path is None:
            return
        hanging = self._thread
        hanging.stop()
        self._disconnect(hanging)
        stuck.leave(hanging)
        self._hanging.add(path)
        self._thread = self._new_thread()
        self._on_broken(path, _no_answer(path))
        self.ask([path for path in self._order if path in self._wanted])

    def _disconnect(self, thread: _ThumbnailThread) -> None:
        thread.done.disconnect(self._on_done)
        thread.broken.disconnect(self._on_broken)

    def _on_done(self, path: Path, picture: np.ndarray) -> None:
        if path in self._wanted:
            self._wanted.discard(path)
            self.made.emit(path, picture)

    def _on_broken(self, path: Path, message: str) -> None:
        if path in self._wanted:
            self._wanted.discard(path)
            self.failed.emit(path, message)
