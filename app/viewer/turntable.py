"""A movie of the surface that turns once about the vertical: numbered PNG pictures and a GIF in a folder.

Frames are drawn one at a time in the window's thread, which stays alive between them, and written in a task.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QQuaternion
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.viewer.caption_strip import with_strip
from app.viewer.export_paint import pixels_of
from app.widgets.inputs import PathBox
from app.widgets.labels import label
from app.widgets.number_boxes import IntBox
from core.errors import AppError
from workers.task import run_task

if TYPE_CHECKING:
    from app.viewer.surface_view import SurfaceView

FRAMES = 36
LEAST, MOST = 4, 360
PER_SECOND = 12.0


class TurnTable(QObject):
    """`start`; then progressed(done, all) and done(folder), failed(AppError), or nothing after `stop`."""

    progressed = Signal(int, int)
    done = Signal(object)
    failed = Signal(object)

    def __init__(self, surface: SurfaceView, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._surface = surface
        self._frames: list[np.ndarray] = []
        self._count = 0
        self._folder, self._stem = Path(), "turn"
        self._first = QQuaternion()
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._take)

    def start(self, folder: Path, stem: str, count: int) -> None:
        """Turn the surface once in `count` steps and write `<stem>_000.png` ... and `<stem>.gif` into the folder."""
        if self._surface.gl is None:
            self.failed.emit(AppError("There is no surface to turn."))
            return
        self._frames, self._count, self._folder, self._stem = [], count, folder, stem
        self._first = self._surface.gl.rotation
        self._timer.start()

    def stop(self) -> None:
        """Give up; nothing was written yet."""
        if self._timer.isActive():
            self._timer.stop()
            self._restore()

    def _restore(self) -> None:
        if self._surface.gl is not None:
            self._surface.gl.setCameraParams(rotation=self._first)

    def _take(self) -> None:
        gl = self._surface.gl
        if gl is None:
            self._timer.stop()
            self.failed.emit(AppError("The surface went away."))
            return
        about = QQuaternion.fromAxisAndAngle(0.0, 1.0, 0.0, 360.0 * len(self._frames) / self._count)
        gl.setCameraParams(rotation=about * self._first)
        image = self._surface.grab_with_bar()
        if image is not None:
            image = with_strip(image, self._surface.labels(), QApplication.font())
            self._frames.append(pixels_of(image))
        self.progressed.emit(len(self._frames), self._count)
        if image is None or len(self._frames) == self._count:
            self._timer.stop()
            self._restore()
            self._write()

    def _write(self) -> None:
        frames, folder, stem = self._frames, self._folder, self._stem
        self._frames = []

        def work() -> Path:
            from core.io.gif import write_gif
            from core.io.png import write_png

            folder.mkdir(parents=True, exist_ok=True)
            for number, frame in enumerate(frames):
                write_png(folder / f"{stem}_{number:03d}.png", frame.shape, [frame])
            write_gif(folder / f"{stem}.gif", frames, PER_SECOND)
            return folder

        run_task(work, self.done.emit, self.failed.emit, self)


class TurnDialog(QDialog):
    """Asks for the number of pictures and the folder, and shows how far they are."""

    saved = Signal(object)  # the folder

    def __init__(self, surface: SurfaceView, folder: Path, stem: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Turn-table movie")
        self._stem = stem
        self.table = TurnTable(surface, self)
        self.count = IntBox(LEAST, MOST)
        self.count.set_value(FRAMES)
        self.count.setToolTip("Pictures of one whole turn")
        self.folder = PathBox("folder")
        self.folder.set_value(str(folder))
        self.words = label("Numbered PNG pictures, and a GIF that slides and browsers play.", "muted", wrap=True)
        self.bar = QProgressBar()
        self.bar.hide()
        self.problem = label("", "error", wrap=True)
        self.problem.hide()
        form = QFormLayout()
        form.addRow("&Pictures", self.count)
        form.addRow("&Folder", self.folder)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.go = QPushButton("Make the movie")
        self.go.setDefault(True)
        buttons.addButton(self.go, QDialogButtonBox.ButtonRole.ActionRole)
        self.go.clicked.connect(self._start)
        buttons.rejected.connect(self.reject)
        rows = QVBoxLayout(self)
        rows.addLayout(form)
        for widget in (self.words, self.bar, self.problem, buttons):
            rows.addWidget(widget)
        self.resize(self.fontMetrics().averageCharWidth() * 70, self.sizeHint().height())
        self.table.progressed.connect(self._on_progress)
        self.table.done.connect(self._on_done)
        self.table.failed.connect(self._on_failed)

    def _start(self) -> None:
        self.go.setEnabled(False)
        self.problem.hide()
        self.bar.show()
        self.table.start(Path(str(self.folder.value())), self._stem, self.count.value())

    def _on_progress(self, done: int, total: int) -> None:
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        if done == total:
            self.words.setText("Writing…")

    def _on_done(self, folder: Path) -> None:
        self.saved.emit(folder)
        self.accept()

    def _on_failed(self, err: AppError) -> None:
        self.go.setEnabled(True)
        self.bar.hide()
        self.problem.setText(str(err))
        self.problem.show()

    def reject(self) -> None:
        self.table.stop()
        super().reject()
