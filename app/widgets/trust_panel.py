"""The trust panel: what can be believed of a model on the user's own micrographs, from the folder of a `trust` job.

`show_folder(path)` is all it needs; it emits `asked` when the user wants the check to run. Running the job, and knowing
whether a result is of the present model (`set_stale`), is the tab's business; measuring is core/denoising/trust.py's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QComboBox, QFrame, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from app import theme
from app.viewer.resolution_plot import Curve, ResolutionPlot
from app.widgets.labels import button, column, counted, label, row
from app.widgets.trust_views import ROLES, SIGNS, CheckRow, PictureRow
from core.denoising.trust_files import CURVE_WORDS, LIGHT_WORDS, TrustFolder, read_trust
from core.errors import AppError
from workers.task import Task, run_task

ADVICE = "For seeing and picking; extract from raw."
EMPTY = (
    "The check denoises up to three of your micrographs about ten times each: as they are, with known particles added, "
    "with more noise, and with no particle at all."
)
STATES = {"green": "good", "amber": "warning", "red": "failed", "info": "info"}
GROUPS = {
    "micrograph": "Raw, denoised, residual",
    "residual": "Raw and residual, smoothed",
    "particles": "Mean particle: raw, denoised, residual",
    "spread": "Spread when the noise changes",
    "blank": "Blank micrograph, before and after",
}
WIDE = 130  # letters: from here on checks and evidence lie side by side


class TrustPanel(QWidget):
    """Light, checks, pictures and curves of one trust folder."""

    asked = Signal()  # the user wants the check to run
    shown = Signal(object)  # the folder that is on show now (Path), after show_folder

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.result: TrustFolder | None = None
        self.rows: list[CheckRow] = []
        self._task: Task | None = None
        self._wanted: Path | None = None
        self._stale = ""
        self._busy = False
        self._nothing = EMPTY
        self._build_head()
        self._build_evidence()
        self.checks = QFrame()
        self.checks.setObjectName("card")
        self._checks = QVBoxLayout(self.checks)
        self._checks.setContentsMargins(12, 8, 12, 8)
        self._checks.setSpacing(0)
        self.body = QWidget()
        self.body.setObjectName("formBody")
        self._split = QBoxLayout(QBoxLayout.Direction.LeftToRight, self.body)
        self._split.setContentsMargins(0, 0, 0, 0)
        self._split.setSpacing(10)
        top = Qt.AlignmentFlag.AlignTop
        self._split.addWidget(self.checks, 1, top)
        self._split.addWidget(self.evidence, 1)  # in a tall window the curves grow
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(self.body)
        whole = column(self.head, self.area, spacing=10, margins=(0, 0, 0, 0))
        whole.setStretch(1, 1)
        self.setLayout(whole)
        self.show_nothing()

    def _build_head(self) -> None:
        self.head = QFrame()
        self.head.setObjectName("banner")
        self.light = label("")
        font = self.light.font()
        font.setPointSizeF(font.pointSizeF() * 1.3)
        font.setBold(True)
        self.light.setFont(font)
        self.reason = label("", wrap=True)
        self.about = label("", "muted", wrap=True)
        self.inputs = label("", "muted", wrap=True)
        self.inputs.hide()
        self.ask_button = button("Check this model", "primary", "Run the checks on a few of these micrographs")
        self.ask_button.clicked.connect(self.asked)
        self.report_button = button("Open report", tip="The whole result as a page to read, keep or print")
        self.report_button.clicked.connect(self._open_report)
        first = row(self.light, None, self.report_button, self.ask_button, spacing=8)
        inside = QVBoxLayout(self.head)
        inside.setContentsMargins(14, 10, 12, 10)
        inside.setSpacing(4)
        inside.addLayout(first)
        inside.addWidget(self.reason)
        inside.addWidget(self.about)
        inside.addWidget(self.inputs)

    def _build_evidence(self) -> None:
        self.picture_choice, self.curve_choice = QComboBox(), QComboBox()
        self.picture_choice.setAccessibleName("Which pictures are shown")
        self.curve_choice.setAccessibleName("Which curves are shown")
        self.picture_choice.currentIndexChanged.connect(lambda _: self._show_pictures())
        self.curve_choice.currentIndexChanged.connect(lambda _: self._show_curves())
        self.pictures = PictureRow()
        self.plot = ResolutionPlot("")
        self.plot.setMinimumHeight(self.fontMetrics().height() * 13)
        self.legend = label("", "muted", wrap=True)
        self.evidence = QWidget()
        inside = column(spacing=10)
        for choice in (self.picture_choice, self.curve_choice):  # long entries leave room for the title
            choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            choice.setMinimumContentsLength(20)
            choice.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for title, choice, widgets in (
            ("Pictures", self.picture_choice, (self.pictures,)),
            ("Curves", self.curve_choice, (self.plot, self.legend)),
        ):
            card = QFrame()
            card.setObjectName("card")
            within = QVBoxLayout(card)
            within.setContentsMargins(12, 8, 12, 10)
            head = row(label(title, "heading"), choice, spacing=16)
            head.setStretch(1, 1)
            within.addLayout(head)
            for widget in widgets:
                within.addWidget(widget)
            inside.addWidget(card, 1 if choice is self.curve_choice else 0)
        self.evidence.setLayout(inside)

    # ---- what the tab calls ----------------------------------------------------------------------------

    def show_folder(self, folder: Path | None) -> None:
        """Read a trust folder in a task and show it; None or an unreadable one shows words instead."""
        self._wanted = folder
        if self._task is not None:
            self._task.drop()
            self._task = None
        if folder is None:
            self.show_nothing()
            return
        self._task = run_task(lambda: read_trust(folder), self._on_read, self._on_failed, self)

    def show_nothing(self, words: str = EMPTY) -> None:
        """No result: the words say why."""
        self.result, self._nothing = None, words
        self._show_head()
        self.report_button.setEnabled(False)
        self.body.hide()
        self.area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)  # else it stays, for nothing

    def set_busy(self, busy: bool, words: str = "") -> None:
        """While the job runs the button rests; the words (progress) stand below the light."""
        self._busy = busy
        self._show_head()
        if words:
            self.about.setText(words)

    def set_stale(self, words: str) -> None:
        """Why the result on show is not about what would be checked now; empty when it is."""
        if words != self._stale:
            self._stale = words
            self._show_head()

    def close_tasks(self) -> None:
        """Wait for what is being read; it is not shown any more."""
        if self._task is not None:
            self._task.drop()
            self._task.wait()
            self._task = None

    def set_inputs(self, words: str) -> None:
        """With which picks and noise boxes a check would run."""
        self.inputs.setText(words)
        self.inputs.setVisible(bool(words))

    # ---- showing ---------------------------------------------------------------------------------------

    def _on_read(self, result: TrustFolder) -> None:
        self._task = None
        self.result = result
        facts = result.facts
        self._show_head()
        self.report_button.setEnabled(result.report.is_file())
        self._fill_checks(facts)
        groups = {p.group for p in result.pictures}
        _fill(self.picture_choice, {g: t for g, t in GROUPS.items() if g in groups})
        _fill(self.curve_choice, {g: CURVE_WORDS.get(g, (g, ""))[0] for g in result.curves()})
        self._show_pictures()
        self._show_curves()
        self.body.show()
        self.area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.shown.emit(result.folder)

    def _on_failed(self, err: AppError) -> None:
        self._task = None
        self.show_nothing(f"{err.message} {err.hint}")

    def _show_head(self) -> None:
        light = "Checking …" if self._busy else "Not checked"
        verdict, light, reason, about = "info", f"{SIGNS['info']} {light}", self._nothing, ADVICE
        if self.result is not None:
            facts = self.result.facts
            verdict = str(facts["verdict"])
            many = counted(len(facts["micrographs"]), "micrograph")
            light, reason = f"{SIGNS[verdict]} {LIGHT_WORDS[verdict]}", str(facts["reason"])
            about = f"{facts['method']}, on {many}. {facts['advice']}"
            if self._stale:
                reason = f"{self._stale} What was found then: {light}. {reason}"
                verdict, light = "info", f"{SIGNS['info']} Out of date"
        theme.set_state(self.head, "state", STATES[verdict])
        theme.set_state(self.light, "role", ROLES[verdict])
        self.light.setText(light)
        self.reason.setText(reason)
        self.about.setText(about)
        self.ask_button.setEnabled(not self._busy)
        again = "Check this model" if self.result is None else "Check again"
        self.ask_button.setText("Checking …" if self._busy else again)

    def _fill_checks(self, facts: Any) -> None:
        while self._checks.count():
            item = self._checks.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.rows = [CheckRow(c) for c in facts["checks"]]
        for check in self.rows:
            self._checks.addWidget(check)
        for text in facts["missing"]:
            self._checks.addWidget(label(f"○ {text}", "muted", wrap=True))

    def _show_pictures(self) -> None:
        if self.result is not None:
            group = self.picture_choice.currentData()
            self.pictures.set_pictures([p for p in self.result.pictures if p.group == group])

    def _show_curves(self) -> None:
        if self.result is None:
            return
        group = self.curve_choice.currentData()
        listed = self.result.curves().get(group, [])
        curves = [
            Curve(str(c["name"]), np.array(c["x"], float), np.array(c["y"], float), f"curve{i % 4 + 1}", i == 2)
            for i, c in enumerate(listed)
        ]
        levels = ((1.0, "empty places, raw"),) if group == "residual" else ((0.0, ""),)
        self.plot.set_curves(curves, (), levels, str(self.result.facts["unit"]), CURVE_WORDS.get(group, ("", ""))[1])
        words = [f'<span style="color:{theme.colour(c.token).name()}">━</span> {c.name}' for c in curves]
        self.legend.setText("&nbsp;&nbsp;&nbsp;".join(words))

    def _open_report(self) -> None:
        if self.result is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.result.report)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        wide = self.width() >= WIDE * self.fontMetrics().averageCharWidth()
        way = QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom
        if way != self._split.direction():
            self._split.setDirection(way)
        super().resizeEvent(event)


def _fill(choice: QComboBox, items: dict[str, str]) -> None:
    """New entries; the one that was chosen stays where it still exists."""
    before = choice.currentData()
    choice.blockSignals(True)
    choice.clear()
    for key, text in items.items():
        choice.addItem(text, key)
    choice.setCurrentIndex(max(0, choice.findData(before)))
    choice.setEnabled(choice.count() > 1)
    choice.blockSignals(False)
