"""Counts of particles: over the viewing directions as an image, over the defocus as a histogram.

pyqtgraph comes in late, through metric_plot.library(); what is counted is the job's business.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import QFrame, QSizePolicy, QVBoxLayout

from app import theme
from app.widgets.labels import card_title, label
from app.widgets.metric_plot import colour_axis, library

COLOUR_TABLE = "viridis"


class CountPlot(QFrame):
    """A card with a title and, when there are counts, a plot; otherwise a sentence that says why there is none."""

    title = ""
    axes = ("", "")
    empty_text = ""
    note = ""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.counts: np.ndarray | None = None
        self._plot: Any = None
        self._body = QVBoxLayout(self)
        self._body.setContentsMargins(12, 8, 12, 10)
        self._body.setSpacing(4)
        self._body.addWidget(card_title(self.title))
        self.empty = label(self.empty_text, "muted", wrap=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._body.addWidget(self.empty, 1)
        self._note = label(self.note, "muted", wrap=True)
        self._note.hide()
        self._body.addWidget(self._note)
        library().ready.connect(self._draw)

    def show_nothing(self, text: str = "") -> None:
        """A sentence in place of the plot."""
        self.counts = None
        self.empty.setText(text or self.empty_text)
        self._arrange()

    def _show(self, counts: np.ndarray) -> None:
        self.counts = counts
        if library().loaded:
            self._draw()
        else:
            library().ask()  # _draw follows

    def _draw(self) -> None:
        if self.counts is None:
            return
        if self._plot is None:
            import pyqtgraph as pg

            self._plot = pg.PlotWidget()
            self._plot.setMenuEnabled(False)
            self._plot.hideButtons()
            self._plot.setMouseEnabled(False, False)
            self._plot.setFrameShape(QFrame.Shape.NoFrame)
            self._plot.setAccessibleName(self.title)
            self._body.insertWidget(2, self._plot, 1)
            self._make_items()
            self._colour()
        self._fill()
        self._arrange()

    def _arrange(self) -> None:
        drawn = self.counts is not None and self._plot is not None
        if self._plot is not None:
            self._plot.setVisible(drawn)
        self.empty.setVisible(not drawn)
        self._note.setVisible(drawn and bool(self.note))

    def _make_items(self) -> None:
        """Put the items into the new plot."""
        raise NotImplementedError

    def _fill(self) -> None:
        """Show the counts."""
        raise NotImplementedError

    def _colour(self) -> None:
        self._plot.setBackground(theme.colour("panel"))
        for side, text in zip(("bottom", "left"), self.axes, strict=True):
            colour_axis(self._plot.getAxis(side), text)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.PaletteChange and self._plot is not None:
            self._colour()
        super().changeEvent(event)


class ViewsPlot(CountPlot):
    """Counts (tilt, rot) over tilt 0 ... 180 and rot -180 ... 180 degrees."""

    title = "Viewing directions"
    axes = ("rot (degrees)", "tilt (degrees)")
    empty_text = "From where the particles are seen: appears when the conversion has run."
    note = "Bins cover less of the sphere towards tilt 0 and 180: even views look sparse there."

    def set_counts(self, counts: np.ndarray) -> None:
        """Show counts (n tilts, m rots)."""
        self._show(np.asarray(counts, np.float32))

    def _make_items(self) -> None:
        import pyqtgraph as pg

        self._image = pg.ImageItem(axisOrder="row-major")
        self._plot.addItem(self._image)
        self._bar = pg.ColorBarItem(
            colorMap=pg.colormap.get(COLOUR_TABLE), interactive=False, width=self.fontMetrics().averageCharWidth() * 2
        )
        text = self.fontMetrics()
        self._bar.getAxis("right").setWidth(round(text.horizontalAdvance("10000") + 1.7 * text.height()))
        self._bar.setImageItem(self._image, insert_in=self._plot.getPlotItem())
        self._plot.getAxis("bottom").setTickSpacing(90, 30)
        self._plot.getAxis("left").setTickSpacing(90, 30)
        self._plot.invertY(True)

    def _fill(self) -> None:
        from PySide6.QtCore import QRectF

        if self.counts is None:
            return
        self._image.setImage(self.counts, autoLevels=False)
        self._image.setRect(QRectF(-180, 0, 360, 180))
        self._bar.setLevels((0, max(1.0, float(self.counts.max()))))
        self._plot.setRange(xRange=(-180, 180), yRange=(0, 180), padding=0.03)

    def _colour(self) -> None:
        super()._colour()
        colour_axis(self._bar.getAxis("right"), "particles per bin")


class DefocusPlot(CountPlot):
    """Counts between edges of the mean defocus in µm."""

    title = "Defocus"
    axes = ("mean of defocus U and V (µm)", "particles")
    empty_text = "How the defocus is spread: appears when the conversion has run."

    def set_counts(self, counts: np.ndarray, edges_um: np.ndarray) -> None:
        """Show counts (n,) between edges (n + 1,)."""
        self.edges_um = np.asarray(edges_um, float)
        self._show(np.asarray(counts, float))

    def _make_items(self) -> None:
        import pyqtgraph as pg

        self._bars = pg.BarGraphItem(x0=[], x1=[], height=[], y0=0)
        self._plot.addItem(self._bars)

    def _fill(self) -> None:
        self._bars.setOpts(x0=self.edges_um[:-1], x1=self.edges_um[1:], height=self.counts)
        self._plot.enableAutoRange()

    def _colour(self) -> None:
        super()._colour()
        self._bars.setOpts(brush=theme.colour("curve1"), pen=theme.colour("panel"))
        self._plot.showGrid(y=True, alpha=0.15)
