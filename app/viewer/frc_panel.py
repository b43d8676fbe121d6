"""The panel that compares two images ring by ring: how far they agree, and to which resolution.

Computing is core/metrics/frc.py, in a task; the newest choice wins. It never calls agreement a resolution by itself:
a raw image and its denoised copy share their noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QComboBox, QFileDialog, QFormLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from app.errors import show_error
from app.viewer.latest_task import LatestTask
from app.viewer.resolution_plot import Curve, Mark, ResolutionPlot
from app.widgets.labels import card_title, label, row
from core.errors import AppError
from core.images.pyramid import Pyramid
from core.metrics.frc import HALF, ONE_SEVENTH, Region, RingCorrelation, compare

_EMPTY = "Two pictures of one size are needed: open another, or denoise this one."
_SAME = "Choose two different pictures: this one agrees with itself everywhere."
_NOTE = (
    "This is agreement. It is a resolution only when the noise of the two is independent, as in half-sets; "
    "a raw image and its denoised copy share their noise."
)
_REST_MS = 250  # the view must rest this long before its part is compared


class FrcPanel(QWidget):
    """`set_images([(name, pyramid or path), ...])` and `set_visible_rect(rect)` are all it needs."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.result: RingCorrelation | None = None
        self._images: list[tuple[str, Pyramid | Path]] = []
        self._rect: Region | None = None
        self._due = False
        self._task = LatestTask(self)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(self._on_failed)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._compute)
        self._build()
        self._clear(_EMPTY)

    def _build(self) -> None:
        self.first = self._choice("First picture", [])
        self.second = self._choice("Second picture", [])
        self.where = self._choice("Part that is compared", ["Whole image", "Visible part"])
        self.where.setToolTip("Compare the whole images, or the part that the view shows")
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("A", self.first)
        form.addRow("B", self.second)
        form.addRow("Of", self.where)
        self.plot = ResolutionPlot("correlation")
        self.plot.setAccessibleName("Ring correlation over resolution")
        self.plot.pointed.connect(self._on_pointed)
        self.reading = label("", "muted")
        self.reading.setAccessibleName("Correlation under the mouse")
        self.text = label("", wrap=True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setAccessibleName("Where the agreement ends")
        self.note = label(_NOTE, "muted", wrap=True)
        self.export = QPushButton("Export CSV")
        self.export.setToolTip("Write the curve to a file: frequency, resolution, correlation")
        self.export.clicked.connect(self._export)
        body = QVBoxLayout(self)
        body.setContentsMargins(8, 8, 8, 8)
        body.setSpacing(6)
        body.addWidget(card_title("Agreement of two images (FRC)"))
        body.addLayout(form)
        body.addWidget(self.plot, 1)
        body.addWidget(self.reading)
        body.addWidget(self.text)
        body.addWidget(self.note)
        body.addLayout(row(None, self.export))

    def _choice(self, name: str, items: list[str]) -> QComboBox:
        box = QComboBox()
        box.addItems(items)
        box.setAccessibleName(name)
        box.setToolTip(name)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(8)
        box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        box.currentIndexChanged.connect(lambda _: self._compute())
        return box

    # -- what it is told ----------------------------------------------------------------------------------

    def set_images(self, images: Sequence[tuple[str, Pyramid | Path | str]]) -> None:
        """The pictures there are: (name, picture or file). Choices stay by name; at first the first two."""
        self._images = [(name, Path(image) if isinstance(image, str) else image) for name, image in images]
        names = [name for name, _ in self._images]
        for place, box in enumerate((self.first, self.second)):
            chosen = box.currentText()
            box.blockSignals(True)
            box.clear()
            box.addItems(names)
            for index, name in enumerate(names):
                box.setItemData(index, name, Qt.ItemDataRole.ToolTipRole)
            box.setCurrentIndex(names.index(chosen) if chosen in names else min(place, len(names) - 1))
            box.setEnabled(bool(names))
            box.blockSignals(False)
        self._compute()

    def set_visible_rect(self, visible_rect: Region | None) -> None:
        """The view moved (x0, y0, x1, y1 in pixels). Counts only while the panel is set to the visible part."""
        if visible_rect == self._rect:
            return
        self._rect = visible_rect
        if self.where.currentIndex() == 1 and self._images:
            self._rest.start()

    # -- computing ----------------------------------------------------------------------------------------

    def _compute(self) -> None:
        self._rest.stop()
        places = (self.first.currentIndex(), self.second.currentIndex())
        problem = _EMPTY if len(self._images) < 2 or min(places) < 0 else _SAME if places[0] == places[1] else ""
        if problem:
            self._due = False
            self._task.cancel()
            self._clear(problem)
            return
        if not self.isVisible():
            self._due = True
            self._task.cancel()
            return
        self._due = False
        pair = [self._images[place][1] for place in places]
        region = self._rect if self.where.currentIndex() == 1 else None

        def work(cancelled: Callable[[], bool]) -> RingCorrelation:
            first, second = (_picture(image, cancelled) for image in pair)
            return compare(first, second, region, cancelled)

        if self.result is None:
            self.plot.set_words("Comparing …")
        self._task.start(work)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._due:
            self._compute()

    def _on_failed(self, error: AppError) -> None:
        self._clear(f"{error.message}\n{error.hint}".strip())

    def _clear(self, words: str) -> None:
        self.result = None
        self.plot.set_curves([])
        self.plot.set_words(words)
        self.text.setText("")
        self.reading.setText("")
        self.note.hide()
        self.export.setEnabled(False)

    # -- showing ------------------------------------------------------------------------------------------

    def _on_done(self, result: RingCorrelation) -> None:
        self.result = result
        ring = slice(1, None)
        sigma = result.sigma(3)
        curves = [
            Curve("correlation", result.frequency[ring], result.correlation[ring], "curve1"),
            Curve("3 sigma of noise", result.frequency[ring], sigma[ring], "curve2", dashed=True),
        ]
        marks = []
        for threshold in (HALF, ONE_SEVENTH):
            place = result.crossing(threshold)
            if place is not None:
                marks.append(Mark(place, f"{1 / place:.3g} {result.unit}", threshold))
        low = min(-0.1, float(result.correlation[ring].min()) - 0.05)
        self.plot.set_limits((0.0, float(result.frequency[-1])), (low, 1.05))
        self.plot.set_curves(curves, marks, [(HALF, "0.5"), (ONE_SEVENTH, "1/7")], result.unit)
        self.text.setText(summary(result))
        self.note.show()
        self.export.setEnabled(True)
        self._on_pointed(float("nan"))

    def _on_pointed(self, frequency: float) -> None:
        result = self.result
        self.plot.set_pointer(frequency)
        if result is None or not 0 < frequency <= result.frequency[-1]:
            self.reading.setText("Point at the curve to read it." if result is not None else "")
            return
        value = float(np.interp(frequency, result.frequency, result.correlation))
        self.reading.setText(f"{1 / frequency:.3g} {result.unit}: correlation {value:.2f}")

    def _export(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Export the curve", "ring_correlation.csv", "CSV (*.csv)")
        if not chosen:
            return
        from core.io.atomic import write_text

        try:
            write_text(Path(chosen), self.plot.csv_text())
        except AppError as err:
            show_error(self, err)


def summary(result: RingCorrelation) -> str:
    """Where the agreement ends, in sentences."""
    lines = []
    for threshold, name in ((HALF, "0.5"), (ONE_SEVENTH, "1/7"), (result.sigma(3), "3 σ of noise")):
        place = result.resolution(threshold)
        if place is not None:
            lines.append(f"Falls below {name} at {place:.3g} {result.unit}.")
        elif result.holds_to_the_end(threshold):
            lines.append(f"Above {name} as far as the pixels go ({result.finest:.3g} {result.unit}).")
        else:
            lines.append(f"Never above {name}.")
    if result.halvings:
        lines.append(
            f"Large images are compared as means of {2**result.halvings} × {2**result.halvings} pixels: nothing finer "
            f"than {result.finest:.3g} {result.unit}. The visible part has it all when it is small enough."
        )
    return "\n".join(lines)


def _picture(image: Pyramid | Path, cancelled: Callable[[], bool]) -> Pyramid:
    """A file's first image, without the levels that nobody looks at here."""
    if isinstance(image, Pyramid):
        return image
    from core.images.pyramid import Cancelled
    from core.images.source import open_source

    source = open_source(image)
    pixels = source.read(0, cancelled)
    if cancelled():
        raise Cancelled
    return Pyramid((pixels,), source.pixel_size_a, image.name)
