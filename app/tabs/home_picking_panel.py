"""The panel "Pick particles" at the right of Home: settings, scores with a threshold, what to do with the picks.

Widgets and values only; home_picking.py does what the signals say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout

from app.widgets.labels import button, card_title, label, row
from app.widgets.number_boxes import FloatBox
from app.widgets.params_form import ParamsForm
from app.widgets.score_histogram import ScoreHistogram
from core.jobs.table import job_params

HIDDEN = ("micrographs", "diameter", "output", "threshold", "exclude", "overwrite")
ABOUT = (
    "Particles are looked for on all micrographs that are open. Denoised pixels are for seeing and picking: the "
    "positions are those of the raw micrographs, and particles are extracted from raw."
)
NOTHING = "The scores appear here when the search is done."


class PickingPanel(QFrame):
    """Signals say what the user wants."""

    pick = Signal()
    threshold_changed = Signal(float)
    save = Signal()
    forward = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("side")
        self.form = ParamsForm(job_params("pick-particles"), hidden=HIDDEN)
        self.close_button = button("Close", "flat", "Close the panel; the picks stay as they are")
        self.close_button.clicked.connect(self.hide)
        self.size_label = label("", "muted")
        self.pick_button = button(
            "Pick particles", "primary", "Search all open micrographs (rejected ones are left out)"
        )
        self.pick_button.clicked.connect(self.pick)
        self.histogram = ScoreHistogram()
        self.threshold = FloatBox(0, 1000, "sigma")
        self.threshold.setAccessibleName("Threshold")
        self.threshold.setToolTip("Lowest score of a pick, in robust sigmas of the background's scores")
        self.threshold.setSingleStep(0.1)
        self.automatic = button("Automatic", tip="Back to the threshold that the scores suggest")
        self.counts = label("", "", wrap=True)
        self.figures = label(NOTHING, "muted", wrap=True)
        self.save_button = button("Save picks…", tip="Write the picks as a STAR file that RELION reads")
        self.forward_button = button("Use in Forward →", "primary", "Save the picks and carry them on as the particles")
        self.histogram.threshold_changed.connect(self._on_dragged)
        self.threshold.edited.connect(self._on_typed)
        self.automatic.clicked.connect(self._on_automatic)
        self.save_button.clicked.connect(self.save)
        self.forward_button.clicked.connect(self.forward)
        self._suggested = 0.0
        self._build()
        self.forget()

    def _build(self) -> None:
        whole = QVBoxLayout(self)
        whole.setContentsMargins(14, 12, 14, 12)
        whole.setSpacing(8)
        whole.addLayout(row(label("Pick particles", "heading"), None, self.close_button))
        whole.addWidget(label(ABOUT, "muted", wrap=True))
        whole.addWidget(self.size_label)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(self.form)
        whole.addWidget(area, 3)
        whole.addLayout(row(None, self.pick_button))
        whole.addWidget(card_title("Scores"))
        whole.addWidget(self.histogram, 2)
        whole.addLayout(row(label("Threshold"), self.threshold, self.automatic, None))
        whole.addWidget(self.counts)
        whole.addWidget(self.figures)
        whole.addLayout(row(None, self.save_button, self.forward_button))
        self.setMinimumWidth(self.fontMetrics().averageCharWidth() * 44)

    # -- showing ------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """There are no scores."""
        self.histogram.set_histogram(np.array([0.0, 8.0]), np.zeros(1))
        self.histogram.set_threshold(None)
        self.counts.setText("")
        self.figures.setText(NOTHING)
        self._enable(False)

    def show_scores(self, edges: Sequence[float], counts: Sequence[int], threshold: float, words: str) -> None:
        """Show a finished search, its threshold and how it was found."""
        self._suggested = threshold
        self.histogram.set_histogram(np.array(edges), np.array(counts))
        self.show_threshold(threshold)
        self.automatic.setToolTip(f"Back to {words}")
        self._enable(True)

    def show_threshold(self, value: float) -> None:
        """Move line and number, silently."""
        self.histogram.set_threshold(value)
        self.threshold.set_value(value)

    def show_counts(self, here: int | None, total: int, micrographs: int, figures: str) -> None:
        """How many picks there are on this micrograph (None: none is shown), on all, and what the reference says."""
        on = f" on {micrographs} micrograph{'s' * (micrographs != 1)}"
        self.counts.setText(f"{total} picks{on}" + ("" if here is None else f", {here} on this one"))
        self.figures.setText(figures)
        self.save_button.setEnabled(total > 0)
        self.forward_button.setEnabled(total > 0)

    def show_diameter(self, pixels: float, pixel_size_a: float | None) -> None:
        """The particle diameter, which is set on Home."""
        angstrom = f" = {pixels * pixel_size_a:.0f} Å" if pixel_size_a else ""
        self.size_label.setText(f"Particle diameter {pixels:g} px{angstrom}, as set on Home.")

    def set_busy(self, busy: bool) -> None:
        """A job of Home runs: another cannot be started."""
        self.pick_button.setEnabled(not busy)

    def _enable(self, on: bool) -> None:
        for widget in (self.threshold, self.automatic, self.save_button, self.forward_button):
            widget.setEnabled(on)

    # -- the threshold ------------------------------------------------------------------------------------

    def _on_dragged(self, value: float) -> None:
        self.threshold.set_value(value)
        self.threshold_changed.emit(value)

    def _on_typed(self) -> None:
        if not self.threshold.problem():
            self.histogram.set_threshold(self.threshold.value())
            self.threshold_changed.emit(self.threshold.value())

    def _on_automatic(self) -> None:
        self.show_threshold(self._suggested)
        self.threshold_changed.emit(self._suggested)
