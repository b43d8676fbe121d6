"""One denoised micrograph put together anew for every place of the slider, off the window's thread.

One computation at a time, and the newest wish is the next: a slider that is dragged shows each result on the way.
The mathematics is core/denoising/recompose.py; what is shown is predict.py's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from core.errors import AppError, ResourceError
from core.images.pyramid import Cancelled, Pyramid
from workers.task import run_task

if TYPE_CHECKING:
    from core.denoising.recompose import GateMap, Recomposer


@dataclass(frozen=True, eq=False)
class Wish:
    """What is to be shown: `keep` of None asks for the gate alone. `like`: the file's picture, for its levels."""

    source: Path
    pieces: Path
    raw: Pyramid
    like: Pyramid
    keep: float | None


@dataclass(frozen=True, eq=False)
class Answer:
    """The picture of a wish (None when it asked for the gate alone), and the gate."""

    wish: Wish
    picture: Pyramid | None
    gate: GateMap


class LivePicture(QObject):
    """Ask with `ask`; `came(Answer)` follows, or `failed(Wish, AppError)`."""

    came = Signal(object)
    failed = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._wish: Wish | None = None
        self._busy = self._closed = False
        self._held: tuple[Any, Recomposer, GateMap] | None = None  # of the last micrograph; only the task uses it

    @property
    def busy(self) -> bool:
        """Whether something is still to come."""
        return self._wish is not None

    def ask(self, wish: Wish) -> None:
        """Compute this next; an earlier wish that has not begun is forgotten."""
        self._wish = wish
        if not self._busy:
            self._begin(wish)

    def drop(self) -> None:
        """Nothing is wanted any more."""
        self._wish = None

    def forget(self) -> None:
        """The same, for good: give back the memory."""
        self._closed = True
        self.drop()
        if not self._busy:
            self._held = None

    def _begin(self, wish: Wish) -> None:
        self._busy = True

        def check() -> None:
            now = self._wish
            if now is None or now.source != wish.source:
                raise Cancelled

        run_task(lambda: self._work(wish, check), lambda got: self._end(wish, got), lambda e: self._end(wish, e), self)

    def _end(self, wish: Wish, got: Answer | AppError | None) -> None:
        self._busy = False
        now = self._wish
        if now is None:
            self._held = None if self._closed else self._held
            return
        if now is wish:
            self._wish = None
        if now.source == wish.source:
            if isinstance(got, AppError):
                self._wish = None
                self.failed.emit(wish, got)
            elif got is not None:
                self.came.emit(got)
        if self._wish is not None and not self._busy:
            self._begin(self._wish)

    def _work(self, wish: Wish, check: Callable[[], None]) -> Answer | AppError | None:
        """In the task."""
        try:
            return self._answer(wish, check)
        except Cancelled:
            return None
        except AppError as err:
            return err
        except MemoryError:
            return ResourceError("There is not enough memory for this.", "Close other programs.")

    def _answer(self, wish: Wish, check: Callable[[], None]) -> Answer:
        from core.denoising.recompose import open_pieces
        from core.images.pyramid import build_pyramid

        stamp = wish.pieces.stat().st_mtime_ns if wish.pieces.exists() else 0
        key = (wish.source, wish.pieces, stamp, id(wish.raw))  # the pyramid is held below: its id stays its own
        if self._held is None or self._held[0] != key:
            self._held = None
            opened = open_pieces(wish.pieces, wish.source, wish.raw.levels[0], check)
            self._held = (key, opened, opened.gate())
        _, opened, gate = self._held
        if wish.keep is None:
            return Answer(wish, None, gate)
        check()
        image = opened.picture(wish.keep)
        check()
        built = build_pyramid(image, wish.like.pixel_size_a, wish.like.name)
        same = len(built.levels) == len(wish.like.grey_ranges)
        picture = Pyramid(
            built.levels, built.pixel_size_a, built.name, grey_ranges=wish.like.grey_ranges if same else ()
        )
        return Answer(wish, picture, gate)
