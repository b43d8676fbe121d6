"""One callable in one QThread: for file reading and listing that would make the window wait.

Long computations are jobs (child processes), not tasks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, QThread, QTimer, Signal

from core.errors import AppError

logger = logging.getLogger(__name__)

_running: set[Task] = set()  # keeps threads alive until they end: destroying a running QThread aborts Qt


class Task(QThread):
    """Runs `work()` once. Answers done(result) or failed(AppError); a bug becomes an AppError too."""

    done = Signal(object)
    failed = Signal(object)

    def __init__(
        self, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[AppError], None]
    ) -> None:
        super().__init__()
        self._work: Callable[[], Any] | None = work
        self._on_done: Callable[[Any], None] | None = done
        self._on_failed: Callable[[AppError], None] | None = failed
        self._dropped = False
        # Methods of this object, which lives in the GUI thread: an answer that waits there can still be dropped.
        self.done.connect(self._deliver)
        self.failed.connect(self._deliver_failure)
        # Not a lambda: Qt would keep it, it would keep this object, and so on for ever, with all the work holds.
        self.finished.connect(self._end)

    def drop(self) -> None:
        """The answer is no longer wanted: nothing is delivered any more."""
        self._dropped = True

    def run(self) -> None:
        """The thread."""
        work, self._work = self._work, None
        try:
            result = work() if work is not None else None
            del work
        except AppError as err:
            self.failed.emit(err)
        except Exception as err:
            logger.exception("task failed")
            self.failed.emit(AppError(f"{type(err).__name__}: {err}", "Details are in the terminal."))
        else:
            self.done.emit(result)

    def _deliver(self, result: object) -> None:
        if not self._dropped and self._on_done is not None:
            self._on_done(result)

    def _deliver_failure(self, err: AppError) -> None:
        if not self._dropped and self._on_failed is not None:
            self._on_failed(err)

    def _end(self) -> None:
        """The thread is over and its answer delivered: let go of everything."""
        self.wait()
        self._on_done = self._on_failed = None
        QTimer.singleShot(0, partial(_running.discard, self))  # later: nothing is destroyed in its own event


def run_task(
    work: Callable[[], Any],
    done: Callable[[Any], None],
    failed: Callable[[AppError], None],
    owner: QObject | None = None,
) -> Task:
    """Start a task; `done` or `failed` is called in the GUI thread.

    When `owner` is destroyed first, the answer is dropped.
    """
    task = Task(work, done, failed)
    _running.add(task)
    if owner is not None:
        owner.destroyed.connect(task.drop)
    task.start()
    return task


def wait_for_all(timeout_ms: int = 5000) -> None:
    """Join every task that still runs (at the end of the program), in `timeout_ms` all together."""
    end = time.monotonic() + timeout_ms / 1000
    for task in list(_running):
        task.drop()
        task.wait(max(0, round(1000 * (end - time.monotonic()))))


def any_running() -> bool:
    """Whether a task still runs."""
    return any(task.isRunning() for task in _running)
