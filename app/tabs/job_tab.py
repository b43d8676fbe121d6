"""The common room of the job tabs: form left, view right, run bar below, banner when a run has ended.

A tab adds its view and says what its events, its result and its next step mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QSplitter, QVBoxLayout, QWidget

from app.errors import show_bug, show_error
from app.session import Session
from app.widgets.inputs import PathBox
from app.widgets.labels import Banner, column, label
from app.widgets.params_form import ParamsForm
from app.widgets.run_bar import RunBar
from core.errors import AppError
from core.jobs.table import job_params
from workers.job_worker import JobWorker


class JobTab(QWidget):
    """One job: subclasses set the texts and override the methods marked as theirs."""

    job = ""
    title = ""
    sentence = ""
    run_text = "Run"
    next_text = ""  # "Use in Train ->"
    output_name = ""  # folder name suggested below the project folder

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.worker: JobWorker | None = None
        self.result: dict[str, Any] = {}
        self._suggested = ""
        self.banner = Banner()
        # Parents first, then what goes into them: with a style sheet, moving a finished subtree into its
        # parent styles every widget of it again.
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setChildrenCollapsible(False)
        whole.addWidget(self.splitter, 1)
        self.run_bar = RunBar(self.run_text)
        whole.addWidget(self.run_bar)
        self._build_side()
        right = QWidget(self.splitter)
        room = QVBoxLayout(right)
        room.setContentsMargins(14, 14, 14, 14)
        room.setSpacing(10)
        room.addWidget(self.banner)
        self.view = self.build_view()
        room.addWidget(self.view, 1)
        self.splitter.setStretchFactor(1, 1)
        self._arranged = False
        self.splitter.splitterMoved.connect(lambda *_: self._keep_splitter())
        self.run_bar.run_clicked.connect(self.start)
        self.banner.next.clicked.connect(self.go_next)
        self.banner.detail.clicked.connect(self._show_detail)
        self.form.edited.connect(self.on_edited)
        session.run_started.connect(self._on_run_started)
        self._restore_paths()
        for worker in reversed(session.active()):
            if worker.job == self.job:
                session.replay(worker)
                break

    # ---- what a tab adds -------------------------------------------------------------------------------

    def build_view(self) -> QWidget:
        """The right side."""
        raise NotImplementedError

    def form_header(self) -> QWidget | None:
        """Something above the form, or None."""
        return None

    def clear_view(self) -> None:
        """A new run begins."""

    def on_metrics(self, points: list[tuple[str, float, float]]) -> None:
        """New points of curves."""

    def on_preview(self, name: str, array: np.ndarray, info: dict[str, Any]) -> None:
        """A new preview."""

    def on_progress(self, done: float, total: float, message: str, t: float) -> None:
        """Progress was made."""

    def on_result(self, result: dict[str, Any]) -> None:
        """The run is done."""

    def on_edited(self, key: str) -> None:
        """A field of the form changed."""

    def summary(self, result: Mapping[str, Any]) -> str:
        """One sentence about a result."""
        return str(result.get("summary") or "Done.")

    def go_next(self) -> None:
        """The button of the next step."""

    # ---- common ----------------------------------------------------------------------------------------

    def _build_side(self) -> None:
        side = QFrame(self.splitter)
        side.setObjectName("side")
        side.setMinimumWidth(self.fontMetrics().averageCharWidth() * 40)
        whole = QVBoxLayout(side)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        texts = (label(self.title, "title"), label(self.sentence, "muted", wrap=True))
        whole.addLayout(column(*texts, margins=(16, 14, 14, 6)))
        scroll = QScrollArea()
        whole.addWidget(scroll, 1)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        body = QWidget()
        body.setObjectName("formBody")
        scroll.setWidget(body)
        inner = QVBoxLayout(body)
        inner.setSpacing(10)
        inner.setContentsMargins(16, 4, 12, 14)
        header = self.form_header()
        if header is not None:
            inner.addWidget(header)
        self.form = ParamsForm(job_params(self.job), parent=body)
        inner.addWidget(self.form, 1)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self._arranged:  # sizes set before the first layout would be shares of nothing
            self._arranged = True
            unit = self.fontMetrics().averageCharWidth()
            side = unit * 54
            given = self.session.settings.splitters.get(self.job)
            self.splitter.setSizes(given or [side, max(side, self.width() - side)])

    def _keep_splitter(self) -> None:
        self.session.settings.splitters[self.job] = self.splitter.sizes()

    def _restore_paths(self) -> None:
        for key, row in self.form.rows.items():
            if isinstance(row.editor, PathBox):
                last = self.session.field(self.job, key)
                if last:
                    self.form.set_values({key: last})

    def receive(self, values: Mapping[str, Any]) -> None:
        """Take values from an earlier tab and suggest an output folder that fits them."""
        self.form.set_values({k: v for k, v in values.items() if v not in (None, "", [])})
        self.suggest_output()

    def suggest_output(self, name: str = "") -> None:
        """Suggest the output folder, unless the user has chosen one."""
        project = self.session.carried.get("project")
        shown = self.form.raw("output") if "output" in self.form.rows else None
        if not project or shown is None or shown not in ("", self._suggested, self.session.field(self.job, "output")):
            return
        self._suggested = str(Path(project) / (name or self.output_name))
        self.form.set_values({"output": self._suggested})

    def start(self) -> JobWorker | None:
        """Run with what the form says, or mark what is wrong."""
        params = self.form.params()
        if params is None:
            self.banner.show_text("failed", "Some settings are missing or wrong.", "They are marked on the left.")
            return None
        for key, row in self.form.rows.items():
            if isinstance(row.editor, PathBox):
                self.session.remember_field(self.job, key, row.editor.value())
        self.session.save()
        self.release()
        try:
            return self.session.start(self.job, params)
        except AppError as err:
            show_error(self, err)
            return None

    def _on_run_started(self, worker: JobWorker) -> None:
        mine = worker.job == self.job
        same = self.worker is not None and self.worker.run_dir == worker.run_dir
        if mine and (same or self.worker is None or not self.worker.active):
            self.follow(worker)

    def release(self) -> None:
        """Show the present run no longer; it goes on."""
        if self.worker is not None:
            for signal, slot in self._connections(self.worker):
                signal.disconnect(slot)
            self.run_bar.unfollow()
        self.worker = None

    def _connections(self, worker: JobWorker) -> list[tuple[Any, Any]]:
        return [
            (worker.metrics, self.on_metrics),
            (worker.preview, self.on_preview),
            (worker.progress, self.on_progress),
            (worker.warning, self._on_warning),
            (worker.done, self._on_done),
            (worker.failed, self._on_failed),
            (worker.stopped, self._on_stopped),
            (worker.lost, self._on_lost),
        ]

    def follow(self, worker: JobWorker) -> None:
        """Show this run from now on."""
        self.release()
        self.worker, self.result = worker, {}
        self._warnings: list[str] = []
        self.banner.hide()
        self.clear_view()
        if worker.params:
            self.form.set_values(worker.params)
        for signal, slot in self._connections(worker):
            signal.connect(slot)
        output = worker.params.get("output")
        self.run_bar.follow(worker, Path(output) if output else None)

    def _on_warning(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.append(text)
        self.session.message.emit(text, 8000)

    def _on_done(self, result: dict[str, Any]) -> None:
        self.result = result
        hint = "\n".join(self._warnings[:5])
        self.banner.show_text("done", self.summary(result), hint, next_step=self.next_text)
        self.on_result(result)

    def _on_failed(self, message: str, hint: str, fields: list[str]) -> None:
        bug = self.worker is not None and bool(self.worker.trace)
        text = f"This is a bug: {message}" if bug else message
        self.banner.show_text("failed", text, hint, detail="Details" if bug else "Show log")
        self.form.mark({key: message for key in fields if key in self.form.rows})

    def _on_stopped(self) -> None:
        self.banner.show_text("stopped", "Stopped.", "What was finished stays.", detail="Continue this run")

    def _on_lost(self, tail: str) -> None:
        self.banner.show_text(
            "failed",
            "The run ended without saying why: its process is gone.",
            f"The end of its log:\n{tail}" if tail else "Its log is empty. Run it again.",
            detail="Continue this run",
        )

    def _show_detail(self) -> None:
        if self.worker is not None and self.worker.trace:
            show_bug(self, self.worker.message, self.worker.trace)
        elif self.worker is not None and self.worker.state in ("stopped", "lost"):
            self.session.resume(self.worker)
        else:
            self.run_bar.log_button.setChecked(True)
