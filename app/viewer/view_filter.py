"""The view filter: low- and high-pass for looking, computed in a task, over one or two pictures.

A filtered picture is shown with a label; values under the cursor stay those of the unfiltered one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from app.viewer.latest_task import LatestTask
from core.images.pyramid import Pyramid


@dataclass(frozen=True)
class Band:
    """What passes: periods from `low` to `high`, in Angstrom (pixels when the pixel size is unknown); None: no end."""

    low: float | None = None
    high: float | None = None

    @property
    def open(self) -> bool:
        """Everything passes."""
        return self.low is None and self.high is None

    def text(self, pixel_size_a: float | None) -> str:
        """For the label on the picture: "low-pass 20 Å, high-pass 500 Å"."""
        unit = "Å" if pixel_size_a else "px"
        parts = [
            f"{name} {value:g} {unit}" for name, value in (("low-pass", self.low), ("high-pass", self.high)) if value
        ]
        return ", ".join(parts)


class ViewFilter(QObject):
    """Ask with `apply`; `ready(pictures)` brings the filtered ones unless something newer was asked for."""

    ready = Signal(object)
    failed = Signal(object)  # AppError

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.band = Band()
        self._task = LatestTask(self)
        self._task.done.connect(self.ready)
        self._task.failed.connect(self.failed)

    def apply(self, pictures: Sequence[Pyramid | None]) -> None:
        """Filter these (None stays None); with an open band nothing is computed and nothing is answered."""
        self._task.cancel()
        band = self.band
        if band.open or not any(pictures):
            return

        def work(cancelled: Callable[[], bool]) -> list[Pyramid | None]:
            from core.images.lowpass import low_pass

            return [p and low_pass(p, band.low, cancelled, band.high) for p in pictures]

        self._task.start(work)

    def cancel(self) -> None:
        """Nothing is wanted any more."""
        self._task.cancel()
