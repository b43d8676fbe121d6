"""Python's cycles are collected in the thread of the window, and in no other.

Python collects them in whichever thread makes the object that is one too many. Were that a worker, widgets that are
garbage would be destroyed beside the event loop, which now and then ends the program.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

LOOK_MS = 1000


class Collector(QObject):
    """Takes the collection over from Python for as long as it lives; make it in the thread of the window."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self, interval=LOOK_MS)
        self._timer.timeout.connect(collect)
        self._timer.start()


def collect() -> None:
    """Collect what Python would have collected by now: the young often, the old seldom."""
    for generation, (count, limit) in reversed(list(enumerate(zip(gc.get_count(), gc.get_threshold(), strict=True)))):
        if count > limit:
            gc.collect(generation)
            return
