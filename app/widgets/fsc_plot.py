"""Fourier shell correlations over resolution: several curves by name, thresholds, a line that follows the mouse.

The abscissa is spatial frequency in 1/Å and reads in Å; drawing it is app/viewer/resolution_plot.py. Whether a curve
is a resolution (independent half maps) or only agreement is for the owner to say: `note`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QFrame, QSizePolicy, QToolButton, QVBoxLayout

from app.errors import show_error
from app.viewer.resolution_plot import Curve, Mark, ResolutionPlot
from app.widgets.labels import card_title, label, row
from core.errors import AppError
from core.metrics.frc import first_crossing

THRESHOLDS = (0.143, 0.5)
_TOKENS = ("curve1", "curve2", "curve3", "curve4")


class FscPlot(QFrame):
    """`set_curves({"unmasked": fsc, ...}, pixel_size_a)`: fsc (m,) on shells 0 .. Nyquist, evenly spaced."""

    def __init__(self, title: str = "Fourier shell correlation", note: str = "") -> None:
        super().__init__()
        self.setObjectName("card")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._curves: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.plot = ResolutionPlot("FSC", legend=True)
        self.plot.setAccessibleName(title)
        self.plot.set_words("The curve appears with two half maps.")
        self.plot.pointed.connect(self._on_pointed)
        self.text = label("", wrap=True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setAccessibleName("Where the curves cross the thresholds")
        self.reading = label("", "muted")
        self.note = label(note, "muted", wrap=True)
        self.note.setVisible(bool(note))
        self.export = QToolButton()
        self.export.setText("Export CSV")
        self.export.setToolTip("Write the curves to a file: frequency, resolution, correlation")
        self.export.clicked.connect(self._export)
        self.export.setEnabled(False)
        head = row(card_title(title), self.export, spacing=10)
        head.setStretch(0, 1)
        body = QVBoxLayout(self)
        body.setContentsMargins(12, 8, 12, 10)
        body.setSpacing(4)
        body.addLayout(head)
        body.addWidget(self.plot, 1)
        for widget in (self.reading, self.text, self.note):
            body.addWidget(widget)

    def set_curves(self, curves: Mapping[str, np.ndarray], pixel_size_a: float) -> None:
        """Show these (no curves: the words). The last shell of each is the Nyquist frequency, 1 / (2 pixel sizes).

        Only the first four have a colour of their own.
        """
        nyquist = 1.0 / (2.0 * pixel_size_a)
        self._curves = {
            name: (np.linspace(0.0, nyquist, len(fsc)), np.asarray(fsc, float)) for name, fsc in curves.items()
        }
        marks, drawn, lines = [], [], []
        for place, (name, (frequency, fsc)) in enumerate(self._curves.items()):
            token = _TOKENS[place % len(_TOKENS)]
            drawn.append(Curve(name, frequency[1:], fsc[1:], token))
            crossing = first_crossing(frequency, fsc, THRESHOLDS[0])
            if crossing is not None and crossing > 0:
                marks.append(Mark(crossing, f"{1 / crossing:.3g} Å", THRESHOLDS[0], token))
            lines.append(f"{name}: {crossing_words(frequency, fsc)}")
        low = min([-0.05, *(float(curve.y.min()) - 0.05 for curve in drawn)])
        self.plot.set_limits((0.0, nyquist), (low, 1.05))
        self.plot.set_curves(drawn, marks, [(threshold, f"{threshold:g}") for threshold in THRESHOLDS])
        self.text.setText("\n".join(lines))
        self.export.setEnabled(bool(drawn))
        self._on_pointed(float("nan"))

    def _on_pointed(self, frequency: float) -> None:
        """Read all curves under the mouse."""
        self.plot.set_pointer(frequency)
        known = [(name, x, y) for name, (x, y) in self._curves.items() if 0 < frequency <= x[-1]]
        if not known:
            self.reading.setText("Point at the curves to read them." if self._curves else "")
            return
        values = ", ".join(f"{name} {float(np.interp(frequency, x, y)):.3f}" for name, x, y in known)
        self.reading.setText(f"{1 / frequency:.3g} Å ({frequency:.4f} 1/Å): {values}")

    def csv_text(self) -> str:
        """All points: curve, frequency, resolution, value."""
        return self.plot.csv_text()

    def _export(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Export the curves", "fsc.csv", "CSV (*.csv)")
        if not chosen:
            return
        from core.io.atomic import write_text

        try:
            write_text(Path(chosen), self.csv_text())
        except AppError as err:
            show_error(self, err)


def crossing_words(frequency: np.ndarray, fsc: np.ndarray) -> str:
    """Where a curve first falls below the thresholds, in words."""
    parts = []
    for threshold in THRESHOLDS:
        place = first_crossing(frequency, fsc, threshold)
        if place is not None and place > 0:
            parts.append(f"{threshold:g} at {1 / place:.3g} Å")
        elif (fsc[1:] >= threshold).all():
            parts.append(f"above {threshold:g} to the end ({1 / frequency[-1]:.3g} Å)")
        else:
            parts.append(f"never above {threshold:g}")
    return ", ".join(parts)
