"""One callable in one QThread: for file reading and listing that would make the window wait.

Long computations are jobs (child processes), not tasks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QThread, Signal

from core.errors import AppError

logger = logging.getLogger(__name__)

_running: set[Task] = set()  # keeps threads alive until they end: destroying a running QThread aborts Qt


class Task(QThread):
    """Runs `work()` once. Answers done(result) or failed(AppError); a bug becomes an AppError too."""

    done = Signal(object)
    failed = Signal(object)

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self._work = work
        self._dropped = False

    def drop(self) -> None:
        """The answer is no longer wanted: nothing is emitted any more."""
        self._dropped = True

    def run(self) -> None:
        """The thread."""
        try:
            result = self._work()
        except AppError as err:
            self._emit(self.failed, err)
        except Exception as err:
            logger.exception("task failed")
            self._emit(self.failed, AppError(f"{type(err).__name__}: {err}", "Details are in the terminal."))
        else:
            self._emit(self.done, result)

    def _emit(self, signal: Any, value: object) -> None:
        if not self._dropped:
            signal.emit(value)


def run_task(
    work: Callable[[], Any],
    done: Callable[[Any], None],
    failed: Callable[[AppError], None],
    owner: QObject | None = None,
) -> Task:
    """Start a task; `done` and `failed` (methods of QObjects) are called in the GUI thread.

    When `owner` is destroyed first, the answer is dropped.
    """
    task = Task(work)
    task.done.connect(done)
    task.failed.connect(failed)
    _running.add(task)
    task.finished.connect(lambda: _forget(task))
    if owner is not None:
        owner.destroyed.connect(task.drop)
    task.start()
    return task


def _forget(task: Task) -> None:
    task.wait()
    _running.discard(task)


def wait_for_all(timeout_ms: int = 5000) -> None:
    """Join every task that still runs (at the end of the program)."""
    for task in list(_running):
        task.drop()
        task.wait(timeout_ms)
