"""The newest of several computations of one widget: older ones are cancelled and never answered.

Pictures of a panel must not be late ones. The thread is workers/task.py's; what is computed lives in core.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Signal

from core.errors import AppError, ResourceError
from workers.task import run_task


class LatestTask(QObject):
    """`start(work)` runs `work(cancelled)` in a task; `done(result)` or `failed(AppError)` follows, if still wanted."""

    done = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._given_up = threading.Event()
        self._busy = False

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return self._busy

    def start(self, work: Callable[[Callable[[], bool]], Any]) -> None:
        """Give up what runs and run this. `work` must not touch widgets; it may raise `Cancelled`."""
        self.cancel()
        given_up = self._given_up
        self._busy = True
        run_task(lambda: (given_up, _answer(work, given_up)), self._on_done, self._on_failed, self)

    def cancel(self) -> None:
        """Nothing is wanted any more."""
        self._given_up.set()
        self._given_up = threading.Event()
        self._busy = False

    def _on_done(self, answer: tuple[threading.Event, object]) -> None:
        given_up, result = answer
        if given_up.is_set():
            return
        self._busy = False
        (self.failed if isinstance(result, AppError) else self.done).emit(result)

    def _on_failed(self, error: AppError) -> None:
        """A bug in `work` (everything else is an answer): whose it was is not known, so only the newest may tell."""
        if self._busy:
            self._busy = False
            self.failed.emit(error)


def _answer(work: Callable[[Callable[[], bool]], Any], given_up: threading.Event) -> object:
    from core.images.pyramid import Cancelled

    try:
        return work(given_up.is_set)
    except Cancelled:
        return None  # given_up is set, nobody hears of it
    except AppError as error:
        return error
    except MemoryError:
        return ResourceError("There is not enough memory for this.", "Close other programs, or look at a part of it.")
