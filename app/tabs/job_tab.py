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
from app.tabs.job_output import OutputFolder
from app.widgets.form_check import in_words
from app.widgets.inputs import PathBox
from app.widgets.labels import Banner, column, label
from app.widgets.params_form import ParamsForm, reasons
from app.widgets.run_bar import RunBar
from core.errors import AppError, ParamError
from core.jobs.table import job_params
from workers.job_worker import JobWorker


class JobTab(OutputFolder, QWidget):
    """One job: subclasses set the texts and override the methods marked as theirs."""

    job = ""
    title = ""
    sentence = ""
    run_text = "Run"
    next_text = ""  # "Use in Train ->"
    most_warnings = 4  # in the banner
    side_chars = 54  # average characters that the form is wide at first
    least_side_chars = 40
    touched = False  # the form was filled in here: an earlier run is not put in its place
    warnings_first = False  # what the job warned of stands above the result, not below it

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.worker: JobWorker | None = None
        self.result: dict[str, Any] = {}
        self._warnings: list[str] = []
        self._stale = False  # the view still shows the run before
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
        self.run_bar.warnings_clicked.connect(self._show_warnings)
        self.banner.next.clicked.connect(self._on_next)
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

    def on_metrics(self, points: list[tuple[str, float, float]]) -> None: ...

    def on_preview(self, name: str, array: np.ndarray, info: dict[str, Any]) -> None: ...

    def on_progress(self, done: float, total: float, message: str, t: float) -> None:
        """Progress was made."""

    def on_result(self, result: dict[str, Any]) -> None:
        """The run is done."""

    def on_no_result(self) -> None:
        """The run has failed, was stopped or is lost."""

    def on_edited(self, key: str) -> None:
        """A field of the form changed."""

    def summary(self, result: Mapping[str, Any]) -> str:
        """One sentence about a result."""
        return str(result.get("summary") or "Done.")

    def judge(self, result: Mapping[str, Any]) -> str:
        """What is to be minded about a result; empty when it is good."""
        return ""

    # ---- common ----------------------------------------------------------------------------------------

    def _build_side(self) -> None:
        side = QFrame(self.splitter)
        side.setObjectName("side")
        side.setMinimumWidth(self.fontMetrics().averageCharWidth() * self.least_side_chars)
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
            side = unit * self.side_chars
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
        if self.worker is None or not self.worker.active:
            self.banner.hide()  # what it says belongs to other files
        self.suggest_output()

    def start(self) -> JobWorker | None:
        """Run with what the form says, or mark what is wrong."""
        self._offered = ""
        params = self.form.params()
        if params is None:
            self.banner.show_text("failed", "Some settings are missing or wrong.", "They are marked on the left.")
            return None
        reason = self.taken(params)
        if reason:
            self.form.mark({"output": reason})
            self._offer_folder("The output folder is taken.", reason)
            return None
        self.release()
        try:
            return self.session.start(self.job, params)
        except AppError as err:
            show_error(self, err)
            return None

    def _remember_paths(self) -> None:
        """The paths of a run that was started here and went well are shown the next time."""
        for key, row in self.form.rows.items():
            if self.worker is not None and self.worker.starts and isinstance(row.editor, PathBox):
                self.session.remember_field(self.job, key, self.worker.params.get(key))
        self.session.save()

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
            (worker.metrics, self._on_metrics),
            (worker.preview, self._on_preview),
            (worker.progress, self._on_progress),
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
        self._warnings = []
        self._offered = ""
        self.banner.hide()
        self._stale = True
        if not worker.starts:
            self._fresh_view()
        if worker.params:
            self.form.set_values(worker.params)
        for signal, slot in self._connections(worker):
            signal.connect(slot)
        output = worker.params.get("output")
        self.run_bar.follow(worker, Path(output) if output else None)

    def _fresh_view(self) -> None:
        """The run has something to show: only now what the earlier one left goes."""
        if self._stale:
            self._stale = False
            self.clear_view()

    def _on_metrics(self, points: list[tuple[str, float, float]]) -> None:
        self._fresh_view()
        self.on_metrics(points)

    def _on_preview(self, name: str, array: np.ndarray, info: dict[str, Any]) -> None:
        self._fresh_view()
        self.on_preview(name, array, info)

    def _on_progress(self, done: float, total: float, message: str, t: float) -> None:
        if done > 0:  # a job that only looks at its inputs may still refuse them
            self._fresh_view()
        self.on_progress(done, total, message, t)

    def _on_warning(self, text: str) -> None:
        text = in_words(text, self.form.model)
        if text in self._warnings:
            return
        self._warnings.append(text)
        self.run_bar.set_warnings(len(self._warnings))
        self.session.message.emit(text, 8000)
        self._show_warnings()

    def _show_warnings(self) -> None:
        """Say at once, and as long as nobody closes it, what the running job warns of."""
        first, *more = self._warnings
        if self.result and self.worker is not None and self.worker.state == "done":
            self._on_done(self.result)
        else:
            self.banner.show_text("warning", first, "\n".join(self._shortened(more)))

    def _on_done(self, result: dict[str, Any]) -> None:
        self.result = result
        warning = self.judge(result)
        state = "warning" if warning or self._warnings else "done"
        texts = [self.summary(result), warning, *self._shortened(self._warnings)]
        if self.warnings_first and self._warnings:
            texts = [*texts[2:], *texts[:2]]
        hint = "\n".join(t for t in texts[1:] if t)
        self.banner.show_text(state, texts[0], hint, next_step=self.next_text)
        self._remember_paths()
        self.on_result(result)

    def _on_failed(self, message: str, hint: str, fields: list[str]) -> None:
        bug = self.worker is not None and bool(self.worker.trace)
        model = self.form.model
        text, hint = (message, hint) if bug else (in_words(message, model), in_words(hint, model))
        marks = reasons(ParamError(message, fields=tuple(fields)))
        self.form.mark({key: in_words(reason, model) for key, reason in marks.items() if key in self.form.rows})
        if "output" in fields and not bug:
            self._offer_folder(text, hint)
        else:
            text = f"This is a bug: {text}" if bug else text
            self.banner.show_text("failed", text, hint, detail="Details" if bug else "Show log")
        self.on_no_result()

    def _on_stopped(self) -> None:
        hint = "\n".join(("What was finished stays.", *self._shortened(self._warnings)))
        self.banner.show_text("stopped", "Stopped.", hint, detail="Continue this run")
        self.on_no_result()

    def _on_lost(self, tail: str) -> None:
        self.banner.show_text(
            "failed",
            "The run ended without saying why: its process is gone.",
            f"The end of its log:\n{tail}" if tail else "Its log is empty. Run it again.",
            detail="Continue this run",
        )
        self.on_no_result()

    def _show_detail(self) -> None:
        if self.worker is not None and self.worker.trace:
            show_bug(self, self.worker.message, self.worker.trace)
        elif self.worker is not None and self.worker.state in ("stopped", "lost"):
            self.session.resume(self.worker)
        else:
            self.run_bar.log_button.setChecked(True)

    def _shortened(self, warnings: list[str]) -> list[str]:
        """The first few; all of them are in the log."""
        rest, most = len(warnings) - self.most_warnings, self.most_warnings
        return warnings[:most] + ([f"… and {rest} more in the log."] if rest > 0 else [])
