"""What a reconstruction shows: the map in the viewer with its numbers; resolution, views and data weight; progress.

Reading the files is core/reconstruction/results.py; the viewer itself is app/viewer/volume_view.py.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QSplitter, QVBoxLayout, QWidget

from app.viewer.volume_view import VolumeView
from app.widgets.count_plots import ViewsPlot
from app.widgets.fsc_plot import FscPlot
from app.widgets.image_strip import ImageStrip
from app.widgets.labels import label
from app.widgets.metric_plot import MetricPlot
from core.errors import AppError
from core.images.pyramid import Cancelled
from core.reconstruction.results import CURVES, Outcome, provenance, read_outcome
from workers.task import Task, run_task

EMPTY = "The map appears here: its sections while it is made, then all of it with half maps and resolution."
FSC_NOTE = "Half maps from images alone, whatever the method: the corrected curve is the resolution to report."
VIEWS_EMPTY = "From where the particles are seen: appears when they have been read."
RISES = "The residual rises at the end, because the noise in the images is no longer fitted: as expected with a prior."
WEIGHT_EMPTY = "What share of each Fourier coefficient comes from the images: appears with the result."
METHOD_WORDS = {
    "backproject": "Backprojection",
    "wiener": "Wiener filter",
    "positive": "Positive density",
    "dps": "Learned prior (DPS)",
}


class NumbersCard(QFrame):
    """Resolution, Nyquist and data share as large numbers, and why this method."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.values = [label("–", "title") for _ in range(4)]
        texts = ("FSC 0.143", "FSC 0.5", "Nyquist", "known to ½ Nyquist")
        tips = (
            "Resolution of the half maps from images alone, corrected for the mask",
            "Where the corrected curve of the half maps falls below 0.5",
            "The finest detail that this pixel size can hold",
            "Share of the map up to half of Nyquist that the images know, whatever the method: "
            "the rest is left out, or the prior's where a learned prior takes part",
        )
        grid = QGridLayout(self)
        grid.setContentsMargins(12, 6, 12, 8)
        grid.setHorizontalSpacing(22)
        grid.setVerticalSpacing(0)
        for at, (value, text, tip) in enumerate(zip(self.values, texts, tips, strict=True)):
            small = label(text, "muted")
            for widget in (value, small):
                widget.setToolTip(f"<qt>{tip}</qt>")
            value.setAccessibleName(text)
            grid.addWidget(value, 0, at)
            grid.addWidget(small, 1, at)
        self.method = label("", "heading")
        self.why = label("", "muted", wrap=True)
        grid.addWidget(self.method, 0, 4)
        grid.addWidget(self.why, 1, 4)
        grid.setColumnStretch(4, 1)

    def show_facts(self, facts: Mapping[str, Any]) -> None:
        """Show result.json; an empty one shows dashes."""
        nyquist, share = facts.get("nyquist_a"), facts.get("data_share_half_nyquist")
        limit = isinstance(nyquist, (int, float))
        for value, key in zip(self.values, ("resolution_a_0.143", "resolution_a_0.5"), strict=False):
            found = facts.get(key)
            if isinstance(found, (int, float)):
                value.setText(f"{found:.3g} Å")
            else:
                nothing = bool(facts.get("nothing_resolved"))
                value.setText("none" if nothing else f"≤ {nyquist:.3g} Å" if facts and limit else "–")
        self.values[2].setText(f"{nyquist:.3g} Å" if limit else "–")
        self.values[3].setText(f"{share:.0%}" if isinstance(share, (int, float)) else "–")
        method = str(facts.get("method", ""))
        particles = facts.get("particles")
        count = f", {particles:,} particles" if isinstance(particles, int) else ""
        self.method.setText(METHOD_WORDS.get(method, method) + count if method else "")
        why = str(facts.get("why", ""))
        self.why.setText(f"{why[:1].upper()}{why[1:]}." if why else "")


class MapPane(QWidget):
    """The viewer, its numbers, and ways out. `loaded(Outcome)` when a result is on show; `said(text)` to be told."""

    loaded = Signal(object)
    said = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._stop = threading.Event()
        self._task: Task | None = None
        self.outcome: Outcome | None = None
        self._live = False
        self.pixel_size_a: float | None = None
        self.view = VolumeView()
        self.view.said.connect(self.said)
        self.numbers = NumbersCard()
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 10, 0, 0)
        whole.setSpacing(8)
        whole.addWidget(self.view, 1)
        whole.addWidget(self.numbers)
        self.clear()

    def clear(self, message: str = EMPTY) -> None:
        """Show nothing, and say why."""
        self.forget()
        self.outcome, self._live = None, False
        self.view.clear(message)
        self._show_facts({})

    def end_wait(self, message: str) -> None:
        """No map will come: say so, unless there is something to see."""
        if self.outcome is None and not self._live:
            self.clear(message)

    def forget(self) -> None:
        """Whatever is being read is no longer wanted."""
        self._stop.set()
        if self._task is not None:
            self._task.drop()
            self._task = None

    def set_live(self, slices: np.ndarray, method: str) -> None:
        """Three sections (3, L, L), across z, y and x, of a map that is being made."""
        pictures = {"z": slices[0], "y": slices[1], "x": np.ascontiguousarray(slices[2].T)}
        words = METHOD_WORDS.get(method, method)
        self._live = True
        self.view.set_message("")
        self.view.set_live(pictures, self.pixel_size_a, f"{words}: so far", provenance(method))

    def read(self, folder: Path) -> None:
        """Read a result in a task and show it."""
        self.forget()
        self._stop = stop = threading.Event()
        self.view.set_message("Reading the maps …")

        def work() -> Outcome | None:
            try:
                return read_outcome(folder, stop.is_set)
            except Cancelled:
                return None

        self._task = run_task(work, self._on_read, self._on_failed, self)

    def _on_read(self, outcome: Outcome | None) -> None:
        self._task = None
        if outcome is None:
            return
        self.outcome = outcome
        self.view.set_volumes(outcome.volumes)
        self.view.set_message("")
        self._show_facts(outcome.facts)
        self.loaded.emit(outcome)

    def _on_failed(self, err: AppError) -> None:
        self.clear(f"{err.message}\n{err.hint}")

    def _show_facts(self, facts: Mapping[str, Any]) -> None:
        self.numbers.show_facts(facts)
        self.numbers.setVisible(bool(facts))

    def close_pane(self) -> None:
        """The window closes."""
        self.forget()
        self.view.close_view()


class EvidencePane(QWidget):
    """What the images say: FSC of the half maps, viewing directions, share of the data in Fourier space."""

    def __init__(self) -> None:
        super().__init__()
        self.fsc = FscPlot("Resolution of the half maps", FSC_NOTE, told=("corrected",))
        self.views = ViewsPlot()
        self.weight = ImageStrip("What the images know, Fourier space", WEIGHT_EMPTY)
        self.views.show_nothing(VIEWS_EMPTY)
        self.weight.title.setToolTip("Share of each Fourier coefficient that comes from the images: black 0, white 1")
        self.weight.common.hide()
        right = cards(Qt.Orientation.Vertical, (3000, 2000), self.views, self.weight)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 10, 0, 0)
        whole.addWidget(cards(Qt.Orientation.Horizontal, (3000, 2400), self.fsc, right))

    def clear(self) -> None:
        """A new run begins."""
        self.fsc.set_curves({}, 1.0)
        self.views.show_nothing(VIEWS_EMPTY)
        self.weight.clear()

    def set_curves(self, curves: Mapping[str, np.ndarray], pixel_size_a: float) -> None:
        """FSC by name; corrected first, which has the first colour."""
        self.fsc.set_curves({name: curves[name] for name in CURVES if name in curves}, pixel_size_a)

    def set_weight(self, sections: np.ndarray | None) -> None:
        """Sections (3, L, L) through the origin of Fourier space, 0 ... 1."""
        if sections is None:
            self.weight.clear()
        else:
            self.weight.set_images(sections, ["across z", "across y", "across x"], limits=(0.0, 1.0))


class ProgressPane(QWidget):
    """Residual and noise level while the map is made."""

    def __init__(self) -> None:
        super().__init__()
        self.residual = MetricPlot(
            "Residual",
            "iteration",
            "|b − H v| / |b|",
            {"residual": "residual"},
            "How far the map so far is from explaining the images. Backprojection has no iterations.",
            falling=True,
        )
        self.noise = MetricPlot(
            "Noise level of the sampler",
            "level",
            "sigma, units of the prior",
            {"noise level": "noise level"},
            "The learned prior (DPS) works at falling noise levels. Other methods have none.",
            log_y=True,
            falling=True,
        )
        self.expected = label(RISES, "muted", wrap=True)
        self.expected.hide()
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 10, 0, 0)
        whole.addWidget(cards(Qt.Orientation.Horizontal, (2000, 2000), self.residual, self.noise), 1)
        whole.addWidget(self.expected)

    def clear(self) -> None:
        """A new run begins."""
        self.residual.clear()
        self.noise.clear()
        self.expected.hide()

    def add_points(self, points: list[tuple[str, float, float]]) -> None:
        """Metrics of the job; noise levels come from the sampler of dps alone."""
        if any(name == "noise level" for name, *_ in points):
            self.expected.show()
        self.residual.add_points(points)
        self.noise.add_points(points)


def cards(orientation: Qt.Orientation, sizes: tuple[int, int], *parts: QWidget) -> QSplitter:
    """Cards beside or below each other with a handle between."""
    splitter = QSplitter(orientation)
    for part in parts:
        splitter.addWidget(part)
    splitter.setChildrenCollapsible(False)
    splitter.setHandleWidth(10)
    splitter.setObjectName("cards")
    splitter.setSizes(list(sizes))
    return splitter
