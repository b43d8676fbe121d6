"""What a finished conversion shows: the report of each job with its folder, and counts of angles and defocus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QFontDatabase
from PySide6.QtWidgets import QComboBox, QPlainTextEdit, QSplitter, QVBoxLayout, QWidget

from app.widgets.count_plots import DefocusPlot, ViewsPlot
from app.widgets.labels import ElidedLabel, button, label, row

NO_VIEWS = "No viewing directions: these particles have no 3D alignment."
NO_DEFOCUS = "No defocus: the dataset has no CTF."
EMPTY = "The report appears here when the conversion has run: files, what each is for, what could not be written."


class JobChooser(QComboBox):
    """The jobs of one conversion by name; hidden where there is only one."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Job to show")
        self.setToolTip("Job to show")
        self.hide()

    def set_jobs(self, names: Sequence[str]) -> None:
        """Offer these."""
        self.blockSignals(True)
        self.clear()
        self.addItems(list(names))
        self.blockSignals(False)
        self.setVisible(len(names) > 1)


class FilesPane(QWidget):
    """The report of a job, and a button that opens the folder of its files."""

    def __init__(self) -> None:
        super().__init__()
        self._jobs: Sequence[Mapping[str, Any]] = ()
        self.chooser = JobChooser()
        self.chooser.currentIndexChanged.connect(self._show)
        self.folder = ElidedLabel(mode=Qt.TextElideMode.ElideMiddle)
        self.open_button = button("Open folder", tip="Open the folder of these STAR files")
        self.open_button.clicked.connect(self._open)
        self.report = QPlainTextEdit(readOnly=True)
        self.report.setAcceptDrops(False)
        self.report.setTabChangesFocus(True)
        self.report.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.report.setPlaceholderText(EMPTY)
        self.report.setAccessibleName("Report of the conversion")
        self.mark = label("", "warning")
        head = row(self.chooser, self.folder, self.open_button, spacing=8)
        head.setStretch(1, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 10, 0, 0)
        whole.addWidget(self.mark)
        whole.addLayout(head)
        whole.addWidget(self.report, 1)
        self.clear()

    def set_jobs(self, jobs: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
        """Show what the result says about each job."""
        self._jobs = jobs
        self.mark.hide()
        self.source = Path(str(jobs[0].get("source", ""))).name if jobs else ""
        self.chooser.set_jobs(names)
        self._show(0)

    def clear(self) -> None:
        """Nothing has run."""
        self.set_jobs((), ())

    def _show(self, at: int) -> None:
        job = self._jobs[at] if 0 <= at < len(self._jobs) else {}
        files = job.get("files") or [""]
        self.star = str(files[0])  # particles_relion.star of this job
        self.why_not = str(job.get("why_not", ""))  # these particles cannot be reconstructed; empty when they can
        self.report.setPlainText(str(job.get("report", "")))
        self.folder.setText(str(Path(files[0]).parent) if files[0] else "")
        self.open_button.setEnabled(bool(files[0]))

    def _open(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(self.folder.text()))


class PlotsPane(QWidget):
    """Viewing directions and defocus of a job."""

    def __init__(self) -> None:
        super().__init__()
        self.views, self.defocus = ViewsPlot(), DefocusPlot()
        self._views: dict[int, np.ndarray] = {}
        self._defocus: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._finished = False
        self.mark = label("", "warning")
        self.chooser = JobChooser()
        self.chooser.currentIndexChanged.connect(self._show)
        plots = QSplitter(Qt.Orientation.Horizontal)
        plots.addWidget(self.views)
        plots.addWidget(self.defocus)
        plots.setSizes([3000, 2200])
        plots.setChildrenCollapsible(False)
        plots.setHandleWidth(10)
        plots.setObjectName("cards")
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 10, 0, 0)
        whole.addWidget(self.mark)
        whole.addLayout(row(self.chooser, None))
        whole.addWidget(plots, 1)

    def add_counts(self, name: str, counts: np.ndarray, info: Mapping[str, Any]) -> None:
        """Take a preview of the job: `views` and `defocus` of the first, `views-2` ... of the next jobs."""
        kind, _, number = name.partition("-")
        job = int(number) - 1 if number.isdecimal() else 0
        if kind == "views" and counts.ndim == 2:
            self._views[job] = counts
        elif kind == "defocus" and len(info.get("edges_um", ())) == len(counts) + 1:
            self._defocus[job] = (counts, np.asarray(info["edges_um"], float))
        if job == max(self.chooser.currentIndex(), 0):
            self._show(job)

    def set_jobs(self, names: Sequence[str]) -> None:
        """The conversion is done: what has not come will not come."""
        self._finished = True
        self.mark.hide()
        self.chooser.set_jobs(names)
        self._show(0)

    def clear(self) -> None:
        """Nothing has run."""
        self._views, self._defocus, self._finished = {}, {}, False
        self.mark.hide()
        self.chooser.set_jobs(())
        self._show(0)

    def _show(self, job: int) -> None:
        if job in self._views:
            self.views.set_counts(self._views[job])
        else:
            self.views.show_nothing(NO_VIEWS if self._finished else "")
        if job in self._defocus:
            self.defocus.set_counts(*self._defocus[job])
        else:
            self.defocus.show_nothing(NO_DEFOCUS if self._finished else "")
