"""Makes small pictures of micrographs off the window's thread, in the order in which they are wished for.

One slow thread of low priority: what the user looks at (image_loader.py) must not wait for thumbnails.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PySide6.QtCore import QCoreApplication, QObject, QThread, Signal

from core.errors import AppError
from core.images.cache import ImageCache
from core.images.pyramid import Cancelled

log = logging.getLogger(__name__)

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


class ThumbnailLoader(QObject):
    """`ask` for thumbnails, hear `made` or `failed` for each of them: pictures of at most `side` px, rows first."""

    made = Signal(object, object)  # Path, uint8 (h, w), not to be written to
    failed = Signal(object, str)  # Path, one sentence

    def __init__(self, cache: ImageCache, side: int = SIDE, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thread = _ThumbnailThread(cache, side)
        self._wanted: set[Path] = set()
        self._stopped = False
        self._thread.done.connect(self._on_done)
        self._thread.broken.connect(self._on_broken)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.stop)  # a thread that outlives its QThread ends the process

    def ask(self, paths: Iterable[Path | str]) -> None:
        """Make these, the first first; wishes that are not repeated here are dropped. [] drops all."""
        if self._stopped:
            return
        wishes = list(dict.fromkeys(Path(path) for path in paths))
        self._wanted = set(wishes)
        if not self._thread.isRunning():
            if not wishes:
                return
            self._thread.start(QThread.Priority.LowestPriority)
        self._thread.ask(wishes)

    def stop(self) -> None:
        """End the thread and wait for it: at most one block of work. Later wishes are ignored."""
        self._stopped = True
        self._wanted.clear()
        self._thread.stop()
        self._thread.wait()

    def _on_done(self, path: Path, picture: np.ndarray) -> None:
        if path in self._wanted:
            self._wanted.discard(path)
            self.made.emit(path, picture)

    def _on_broken(self, path: Path, message: str) -> None:
        if path in self._wanted:
            self._wanted.discard(path)
            self.failed.emit(path, message)
