"""The bar below every job: Run, Stop, progress with time left, log drawer, output folder.

It shows one JobWorker at a time and knows nothing of what the job computes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QProgressBar, QToolButton, QVBoxLayout

from app import theme
from app.widgets.labels import ElidedLabel, button, counted, label, row
from core.jobs.train import MINUTES
from workers.job_worker import JobWorker

WORDS = {
    "": "Not started",
    "queued": "Starting",
    "running": "Running",
    "done": "Done",
    "failed": "Failed",
    "stopped": "Stopped",
    "lost": "Lost",
}


class Eta:
    """Time left, from the speed over the last reports (at most 30, at most 60 s old)."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque(maxlen=30)

    def add(self, t: float, fraction: float) -> None:
        """Note that `fraction` of the work was done at time `t` (s)."""
        if self._points and fraction < self._points[-1][1]:
            self._points.clear()
        self._points.append((t, fraction))
        while len(self._points) > 2 and t - self._points[0][0] > 60:
            self._points.popleft()

    def left(self, now: float) -> float | None:
        """Seconds left, or None while it cannot be told."""
        if len(self._points) < 2:
            return None
        (t0, f0), (t1, f1) = self._points[0], self._points[-1]
        if f1 <= f0 or t1 - t0 < 0.5:
            return None
        return max(0.0, (1 - f1) * (t1 - t0) / (f1 - f0) - (now - t1))


TRAINING = {"train": (0.0, 1.0), "demo": (0.10, 0.80)}  # the part of a job's progress that lasts `minutes`


def planned_minutes(job: str, params: Mapping[str, Any]) -> Any:
    """How long a training is to last: as given, or as its mode says."""
    given = params.get("minutes")
    return MINUTES.get(str(params.get("mode") or "quick")) if given is None and job == "train" else given


def planned_left(job: str, params: Mapping[str, Any], fraction: float) -> float | None:
    """Seconds left of a training that lasts a time; None outside of it and while it is set up."""
    first, last = TRAINING.get(job, (1.0, 1.0))
    minutes = planned_minutes(job, params)
    if params.get("epochs") or not isinstance(minutes, (int, float)) or not first < fraction < last:
        return None
    return 60 * minutes * (last - fraction) / (last - first)


def clock(seconds: float) -> str:
    """1:05 or 2:03:09."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


class RunBar(QFrame):
    """Run / Stop and the state of one run."""

    run_clicked = Signal()
    stop_clicked = Signal()
    warnings_clicked = Signal()  # show them again

    def __init__(self, run_text: str = "Run") -> None:
        super().__init__()
        self.setObjectName("runBar")
        self.worker: JobWorker | None = None
        self.output: Path | None = None
        self._eta = Eta()
        self._reported = 0.0  # time of the last progress report, s
        self._timer = QTimer(self, interval=1000)
        self._timer.timeout.connect(self._tick)
        self.run_button = button(run_text, "primary", "Start with the settings on the left (Ctrl+Return)")
        self.run_button.setShortcut("Ctrl+Return")
        self.run_button.clicked.connect(self.run_clicked)
        self.stop_button = button("Stop", tip="Stop at the next step; what is finished stays")
        self.stop_button.setEnabled(False)
        self.stop_button.clicked.connect(self._stop)
        self.state_label = label(WORDS[""], "heading")
        self.message = ElidedLabel()
        self.warnings = self._tool("", "Show what the job warned of")
        self.warnings.setObjectName("warnings")
        self.warnings.clicked.connect(self.warnings_clicked)
        self.warnings.hide()
        self.times = label("", "muted")
        self.log_button = self._tool("Log", "Show what the job writes")
        self.log_button.setCheckable(True)
        self.log_button.toggled.connect(self._show_log)
        self.open_button = self._tool("Open folder", "Open the output folder")
        self.open_button.clicked.connect(self._open_folder)
        self.open_button.setEnabled(False)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(max(8, self.fontMetrics().height() // 2))
        self.bar.setAccessibleName("Progress")
        self.log = QPlainTextEdit(readOnly=True)
        self.log.setMaximumBlockCount(3000)
        self.log.setPlaceholderText("The job has written nothing yet.")
        self.log.setFixedHeight(self.fontMetrics().height() * 9)
        self.log.setAccessibleName("Log of the job")
        self.log.hide()
        whole = QVBoxLayout(self)
        whole.setContentsMargins(14, 8, 14, 8)
        whole.setSpacing(6)
        line = row(self.run_button, self.stop_button, self.state_label, spacing=8)
        line.addWidget(self.message, 1)
        for widget in (self.warnings, self.times, self.log_button, self.open_button):
            line.addWidget(widget)
        whole.addLayout(line)
        whole.addWidget(self.bar)
        whole.addWidget(self.log)

    def _tool(self, text: str, tip: str) -> QToolButton:
        tool = QToolButton()
        tool.setText(text)
        tool.setToolTip(tip)
        return tool

    def follow(self, worker: JobWorker, output: Path | None) -> None:
        """Show a run from now on."""
        self.worker, self.output = worker, output
        self._eta = Eta()
        self.log.clear()
        self.message.setText("")
        self.set_warnings(0)
        self.bar.setValue(0)
        self.stop_button.setText("Stop")
        worker.progress.connect(self._on_progress)
        worker.log.connect(self._on_log)
        worker.changed.connect(self._on_changed)
        self._timer.start()
        self._on_changed()

    def unfollow(self) -> None:
        """Show the present run no longer."""
        if self.worker is not None:
            for signal, slot in (
                (self.worker.progress, self._on_progress),
                (self.worker.log, self._on_log),
                (self.worker.changed, self._on_changed),
            ):
                signal.disconnect(slot)
        self.worker = None
        self._timer.stop()

    def forget(self) -> None:
        """Show no run: as before the first one."""
        self.unfollow()
        self.output = None
        self.state_label.setText(WORDS[""])
        theme.set_state(self.state_label, "role", "heading")
        self.message.setText("")
        self.times.setText("")
        self.set_warnings(0)
        self.bar.setValue(0)
        self.log.clear()
        self.run_button.setEnabled(True)
        self.stop_button.setEnabled(False)
        self.open_button.setEnabled(False)

    def set_warnings(self, count: int) -> None:
        """How many things the job has warned of; they stay to be found until the next run."""
        self.warnings.setText(f"⚠ {counted(count, 'warning')}")
        self.warnings.setAccessibleName(counted(count, "warning"))
        self.warnings.setVisible(count > 0)

    def _on_progress(self, done: float, total: float, message: str, t: float) -> None:
        fraction = min(1.0, done / total) if total > 0 else 0.0
        self._eta.add(t, fraction)
        self._reported = t
        self.bar.setValue(round(fraction * 1000))
        self.message.setText(message)
        self._tick()

    def _on_log(self, text: str) -> None:
        bar = self.log.verticalScrollBar()
        follows = bar.value() >= bar.maximum() - 4
        self.log.appendPlainText(text.rstrip("\n"))
        if follows:
            bar.setValue(bar.maximum())

    def _on_changed(self) -> None:
        worker = self.worker
        if worker is None:
            return
        self.run_button.setEnabled(not worker.active)
        self.stop_button.setEnabled(worker.active)
        self.open_button.setEnabled(True)
        self.state_label.setText(WORDS[worker.state])
        role = {"failed": "error", "lost": "error", "stopped": "warning", "done": "good"}
        theme.set_state(self.state_label, "role", role.get(worker.state, "heading"))
        if not worker.active:
            self._timer.stop()
            self.bar.setValue(round(worker.fraction * 1000))
            self.message.setText("" if worker.state == "done" else self.message.text())
        self._tick()

    def _tick(self) -> None:
        worker = self.worker
        if worker is None or worker.began is None:
            self.times.setText("")
            return
        end = time.time() if worker.active else (worker.ended or time.time())
        text = clock(end - worker.began)
        left = self._left(worker) if worker.active else ""
        self.times.setText(f"{text}  ·  {left}" if left else text)

    def _left(self, worker: JobWorker) -> str:
        """Time left in words; nothing where a guess would be one."""
        planned = planned_left(worker.job, worker.params, worker.fraction)
        if planned is not None:
            planned -= time.time() - self._reported
            if planned < 1 and worker.job == "train":
                return "finishing"  # the time is over; what follows is measured, not trained
            planned = max(0.0, planned)
            return f"{clock(planned)} {'of training left' if worker.job == 'demo' else 'left'}"
        timed = worker.job in TRAINING and not worker.params.get("epochs")
        if timed and worker.fraction <= TRAINING[worker.job][0]:
            return ""
        left = self._eta.left(time.time())
        return "" if left is None else f"{clock(left)} left"

    def _stop(self) -> None:
        self.stop_button.setText("Stop now")  # a second click ends the process
        self.stop_button.setToolTip("End the process at once")
        self.state_label.setText("Stopping")
        self.stop_clicked.emit()
        if self.worker is not None:
            self.worker.request_stop()

    def _show_log(self, shown: bool) -> None:
        self.log.setVisible(shown)
        if shown:
            self.log.verticalScrollBar().setValue(self.log.verticalScrollBar().maximum())

    def _open_folder(self) -> None:
        folder = self.output
        if folder is not None and not folder.is_dir():
            folder = folder.parent
        if (folder is None or not folder.is_dir()) and self.worker is not None:
            folder = self.worker.run_dir
        if folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
