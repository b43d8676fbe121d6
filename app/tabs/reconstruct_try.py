"""Try it: simulated particles by all methods beside the truth, as a table, sections and curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.session import Session
from app.tabs.job_tab import JobTab
from app.tabs.last_run import show_last_run
from app.tabs.reconstruct_result import METHOD_WORDS, cards
from app.widgets.fsc_plot import FscPlot
from app.widgets.image_strip import ImageStrip
from app.widgets.labels import button, card_title, column, label, row
from app.widgets.metric_plot import library

COLUMNS = ("Method", "CC, masked", "CC, uncentred", "FSC 0.5", "Time")
TIPS = (
    "Backprojection, Wiener filter and positive density use images alone",
    "Pearson's correlation with the truth inside a soft mask around it",
    "Cosine over the whole box, as EquiCryo reports it: it flatters positive maps",
    "Where the Fourier shell correlation with the truth falls below 0.5",
    "Without the counting of the images, which the methods share",
)
TRUTH_NOTE = "Agreement with what was simulated: known here only, never for real particles."


class TryTab(JobTab):
    """Job `try-reconstruct`. `back_clicked`, and `show_clicked(folder, words)` to see a method's maps in the viewer."""

    back_clicked = Signal()
    show_clicked = Signal(Path, str)

    job = "try-reconstruct"
    title = "Try it, simulated"
    sentence = "Simulated views of a small protein, reconstructed by all methods with the truth beside them."
    run_text = "Try it"
    side_chars = 58

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(session, parent)
        self.form.set_values({"output": str(session.work_root / "try-reconstruct")})
        self.form.hide_row("output")
        if self.worker is None:
            show_last_run(self)

    def form_header(self) -> QWidget:
        link = button("← Your own particles", "flat")
        link.clicked.connect(self.back_clicked)
        whole = QWidget()
        whole.setLayout(column(link))
        return whole

    def build_view(self) -> QWidget:
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setHorizontalHeaderLabels(list(COLUMNS))
        for at, tip in enumerate(TIPS):
            head = self.table.horizontalHeaderItem(at)
            if head is not None:
                head.setToolTip(f"<qt>{tip}</qt>")
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setAccessibleName("Methods against the truth")
        self.table.setWordWrap(False)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.itemSelectionChanged.connect(self._show_button)
        self.table.doubleClicked.connect(lambda _: self._show_maps())
        self.show_button = button("Show this map →", tip="The maps of the chosen method in the viewer")
        self.show_button.clicked.connect(self._show_maps)
        self.note = label("", "muted", wrap=True)
        card = QFrame()
        card.setObjectName("card")
        body = QVBoxLayout(card)
        body.setContentsMargins(12, 8, 12, 10)
        line = row(card_title("Methods against the truth (simulated)"), self.show_button)
        line.setStretch(0, 1)
        body.addLayout(line)
        body.addWidget(self.table, 1)
        body.addWidget(self.note)
        self.truth = FscPlot("Agreement with the truth (simulated)", TRUTH_NOTE, told=())
        self.truth.plot.set_words("The curves appear with the first map.")
        self.strip = ImageStrip("Sections through the middle (simulated)", "The truth and the map of each method.")
        library().ask()
        self._rows: list[Mapping[str, Any]] = []
        self.clear_view()
        top = cards(Qt.Orientation.Horizontal, (3000, 2200), card, self.truth)
        return cards(Qt.Orientation.Vertical, (3000, 2400), top, self.strip)

    # ---- the run -----------------------------------------------------------------------------------------

    def on_edited(self, key: str) -> None:
        if key in ("specimen", "views", "snr"):
            self.touched = True

    def clear_view(self) -> None:
        self._sections: tuple[np.ndarray, list[str]] | None = None
        self.strip.clear()
        self.truth.set_curves({}, 1.0)
        self._fill([])
        self.note.setText("")

    def on_preview(self, name: str, array: np.ndarray, info: dict[str, Any]) -> None:
        labels = [str(text) for text in info.get("labels", ())]
        if name == "sections" and array.ndim == 3:
            self._sections = (array, labels)
            self.strip.set_images(array, labels)
        elif name == "map" and array.ndim == 3 and self._sections is not None:
            done, words = self._sections
            if array.shape[1:] == done.shape[1:]:
                self.strip.set_images(np.concatenate([done, array[:1]]), [*words, "so far"])
        elif name == "fsc-truth" and array.ndim == 2 and info.get("pixel_size_a"):
            self.truth.set_curves(dict(zip(labels, array, strict=False)), float(info["pixel_size_a"]))

    def on_result(self, result: dict[str, Any]) -> None:
        self._fill([entry for entry in result.get("table") or [] if isinstance(entry, dict)])
        self.note.setText(str(result.get("prior", "")))
        if self._sections is not None:  # without the map that was on its way
            self.strip.set_images(*self._sections)

    def summary(self, result: Mapping[str, Any]) -> str:
        if not result.get("table"):
            return str(result.get("summary") or "Done.")
        best = max(result["table"], key=lambda entry: entry["cc_masked"])
        return (
            f"Simulated: {result['views']} views of {result['specimen']} at SNR {result['snr']:g}. "
            f"Closest to the truth: {best['words']}, CC {best['cc_masked']:.3f}."
        )

    def _fill(self, rows: list[Any]) -> None:
        self._rows = rows
        self.table.setRowCount(len(rows))
        for at, entry in enumerate(rows):
            found = entry["resolution_a"]
            resolution = f"{found:.1f} Å" if found else "Nyquist"
            name = METHOD_WORDS.get(entry["method"], str(entry["words"]))
            numbers = (f"{entry['cc_masked']:.3f}", f"{entry['cc_uncentred']:.3f}", resolution)
            for place, text in enumerate((name, *numbers, f"{entry['seconds']:.0f} s")):
                item = QTableWidgetItem(text)
                if place:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(at, place, item)
        if rows:
            best = max(range(len(rows)), key=lambda k: rows[k]["cc_masked"])
            self.table.selectRow(best)
        self._show_button()

    def _show_button(self) -> None:
        self.show_button.setEnabled(0 <= self.table.currentRow() < len(self._rows))

    def _show_maps(self) -> None:
        at = self.table.currentRow()
        if 0 <= at < len(self._rows):
            entry = self._rows[at]
            words = f"Simulated {self.result.get('specimen', 'particles')}: {entry['words']}."
            self.show_clicked.emit(Path(str(entry["map"])).parent, words)
