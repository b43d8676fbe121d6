"""Loads the two pictures of a comparison, each in its own thread: quick previews first, the latest wish wins."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from core.errors import AppError
from core.images.cache import ImageCache
from core.images.pyramid import Pyramid
from workers.image_loader import ImageLoader

Wish = tuple[Path, int]
_TOGETHER_MS = 120  # pictures that come within this time are shown at once: no half-empty view in between


class PairLoader(QObject):
    """`pictures` are what is there now; sides are 0 and 1."""

    changed = Signal()  # pictures came, first as previews and then whole
    failed = Signal(int, object)  # side, AppError; it stays in `errors` until something else is asked for

    def __init__(self, cache: ImageCache, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.pictures: list[Pyramid | None] = [None, None]
        self.errors: list[AppError | None] = [None, None]
        self._wishes: list[Wish | None] = [None, None]
        self._tickets = [-1, -1]
        self._wait = QTimer(self, interval=_TOGETHER_MS, singleShot=True)
        self._wait.timeout.connect(self.changed)
        self._loaders = [ImageLoader(cache, self), ImageLoader(cache, self)]
        for side, loader in enumerate(self._loaders):
            loader.previewed.connect(lambda ticket, picture, s=side: self._on_picture(s, ticket, picture))
            loader.loaded.connect(lambda ticket, picture, s=side: self._on_picture(s, ticket, picture))
            loader.failed.connect(lambda ticket, err, s=side: self._on_failed(s, ticket, err))

    def request(self, side: int, path: Path, index: int = 0) -> None:
        """Load image `index` of a file. Until it comes there is none, or the one before of the same file."""
        before, self._wishes[side] = self._wishes[side], (path, index)
        if before is None or before[0] != path:
            self.pictures[side] = None
        self.errors[side] = None
        self._tickets[side] = self._loaders[side].request(path, index)

    def drop(self, side: int) -> None:
        """Nothing is wanted there."""
        self._wishes[side], self.pictures[side], self.errors[side], self._tickets[side] = None, None, None, -1
        self._loaders[side].cancel()

    def loading(self, side: int) -> bool:
        """Whether the picture that was asked for is still to come (a preview is not it)."""
        return self._tickets[side] != -1

    def swap(self) -> None:
        """Exchange the sides."""
        self._wishes.reverse()
        if self.loading(0) or self.loading(1):
            for side, wish in enumerate(self._wishes):
                self.drop(side)
                if wish is not None:
                    self.request(side, *wish)
        else:
            self.pictures.reverse()
            self.errors.reverse()

    def words(self) -> str:
        """What went wrong, for people."""
        return "\n".join(f"{err.message} {err.hint}".strip() for err in self.errors if err is not None)

    def prefetch(self, side: int, paths: Iterable[Path]) -> None:
        """Load these in advance when there is nothing else to do."""
        self._loaders[side].prefetch(paths)

    def prefetch_frames(self, side: int, path: Path, indices: Iterable[int]) -> None:
        """The same for images of a stack."""
        self._loaders[side].prefetch_frames(path, indices)

    def stop(self) -> None:
        """End the threads."""
        for loader in self._loaders:
            loader.stop()

    def _on_picture(self, side: int, ticket: int, picture: Pyramid) -> None:
        if ticket != self._tickets[side]:
            return
        self.pictures[side] = picture
        if not picture.preview:
            self._tickets[side] = -1
        other = 1 - side
        if self.pictures[other] is None and self.loading(other):
            self._wait.start()
        else:
            self._wait.stop()
            self.changed.emit()

    def _on_failed(self, side: int, ticket: int, err: AppError) -> None:
        if ticket == self._tickets[side]:
            self._tickets[side], self.pictures[side], self.errors[side] = -1, None, err
            self._wait.stop()
            self.failed.emit(side, err)
