"""Asking for a preview of the conversion: a little after the last change, in a task, and only the newest answer."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from core.cryosparc import preview as previewing
from core.cryosparc.preview import Preview
from core.cryosparc.tables import Options
from core.errors import AppError, JobStopped
from workers.task import Task, run_task

WAIT_MS = 300  # after the last change: not for every letter that is typed


def look(values: Mapping[str, Any], cancelled: threading.Event) -> Preview | None:
    """The preview for validated parameters of the job; None when it is no longer wanted."""
    options = Options(values["y_value"], values["micrographs_are"] == "motioncor", values["keep_uid"])
    try:
        return previewing.preview(
            values["project"],
            values["passthrough"],
            options,
            values["drop_unmatched"],
            cancelled.is_set,
            values["relion"],
            values["jobs"],
        )
    except JobStopped:
        return None


class Looker(QObject):
    """`reading(name)` when a look begins, then `ready(Preview)` or `failed(AppError)` unless a newer one was asked."""

    reading = Signal(str)
    ready = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._values: Mapping[str, Any] = {}
        self._task: Task | None = None
        self._cancelled = threading.Event()
        self._timer = QTimer(self, interval=WAIT_MS, singleShot=True)
        self._timer.timeout.connect(self._begin)

    def ask(self, values: Mapping[str, Any]) -> None:
        """Look with these values soon; whatever is on its way is no longer wanted."""
        self.forget()
        self._values = values
        self._timer.start()

    def forget(self) -> None:
        """Nothing is wanted any more."""
        self._timer.stop()
        self._cancelled.set()
        if self._task is not None:
            self._task.drop()
            self._task = None

    @property
    def busy(self) -> bool:
        """Is an answer awaited?"""
        return self._timer.isActive() or self._task is not None

    def _begin(self) -> None:
        values, cancelled = self._values, threading.Event()
        self._cancelled = cancelled
        self.reading.emit(Path(values["project"]).name)

        def done(preview: Preview | None) -> None:
            self._task = None
            if preview is not None:
                self.ready.emit(preview)

        def failed(err: AppError) -> None:
            self._task = None
            self.failed.emit(err)

        self._task = run_task(lambda: look(values, cancelled), done, failed, self)
