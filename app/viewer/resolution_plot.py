"""Curves over resolution: a plot whose abscissa is frequency and reads in Angstrom. For the panels of the viewer.

pyqtgraph comes through app/widgets/metric_plot.py's loader, when the first curve is there. What the curves mean is
decided by the panels.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QFontMetricsF, QMouseEvent
from PySide6.QtWidgets import QFrame, QSizePolicy, QVBoxLayout

from app import theme
from app.widgets.labels import label
from app.widgets.metric_plot import library

# Å (or px) that are written below the axis, coarsest first.
_ROUND = tuple(
    value * scale
    for scale in (1000, 100, 10, 1, 0.1)
    for value in (8, 6, 5, 4, 3, 2.5, 2, 1.5, 1.2, 1)
    if value * scale >= 0.2
)


@dataclass(frozen=True, eq=False)
class Curve:
    """`y` over frequency `x` (1/Å or 1/px); `token` names a colour of the theme."""

    name: str
    x: np.ndarray
    y: np.ndarray
    token: str = "curve1"
    dashed: bool = False


@dataclass(frozen=True)
class Mark:
    """A vertical line at frequency `x` with a text; `y` adds a dot there."""

    x: float
    text: str
    y: float | None = None
    token: str = "muted"


class ResolutionPlot(QFrame):
    """Shows curves, marks and one line that follows the mouse; `pointed(frequency)`, nan when the mouse leaves."""

    pointed = Signal(float)

    def __init__(self, y_label: str, legend: bool = False) -> None:
        """`legend`: the names of the curves stand at the top right."""
        super().__init__()
        self._legend = legend
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._y_label, self._unit = y_label, "Å"
        self._curves: tuple[Curve, ...] = ()
        self._marks: tuple[Mark, ...] = ()
        self._levels: tuple[tuple[float, str], ...] = ()
        self._limits: tuple[float, float] | None = None
        self._y_range: tuple[float, float] | None = None
        self._pointer = float("nan")
        self._plot: Any = None
        self._line: Any = None
        self.words = label("", "muted", wrap=True)
        self.words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.addWidget(self.words, 1)
        library().ready.connect(self._draw)

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().averageCharWidth() * 40, self.fontMetrics().height() * 11)

    def minimumSizeHint(self) -> QSize:
        return QSize(self.fontMetrics().averageCharWidth() * 20, self.fontMetrics().height() * 7)

    def set_words(self, text: str) -> None:
        """What stands here while there is no curve."""
        self.words.setText(text)

    def set_curves(
        self,
        curves: Sequence[Curve],
        marks: Sequence[Mark] = (),
        levels: Sequence[tuple[float, str]] = (),
        unit: str = "Å",
        y_label: str | None = None,
    ) -> None:
        """Show these, with vertical `marks` and horizontal `levels` (y, text). No curves: the words."""
        self._curves, self._marks, self._levels, self._unit = tuple(curves), tuple(marks), tuple(levels), unit
        self._y_label = self._y_label if y_label is None else y_label
        self._draw()

    def set_limits(self, x: tuple[float, float] | None, y: tuple[float, float] | None = None) -> None:
        """Frequencies (and values) from edge to edge; None: all there is."""
        self._limits, self._y_range = x, y
        self._apply_limits()

    def set_pointer(self, frequency: float) -> None:
        """Put the line that follows the mouse somewhere; nan hides it."""
        self._pointer = frequency
        if self._line is not None:
            self._line.setVisible(bool(np.isfinite(frequency)))
            if np.isfinite(frequency):
                self._line.setValue(frequency)

    def csv_text(self) -> str:
        """All points: curve, frequency, resolution, value."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["curve", f"frequency 1/{self._unit}", f"resolution {self._unit}", "value"])
        for curve in self._curves:
            for x, y in zip(curve.x.tolist(), curve.y.tolist(), strict=True):
                writer.writerow([curve.name, f"{x:.8g}", f"{1 / x:.6g}" if x else "inf", f"{y:.8g}"])
        return out.getvalue()

    # -- drawing ------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        if not self._curves:
            self.words.show()
            if self._plot is not None:
                self._plot.hide()
            return
        if not library().loaded:
            library().ask()
            return  # library().ready draws what came meanwhile
        import pyqtgraph as pg

        plot = self._plot = self._plot or self._make(pg)
        self.words.hide()
        plot.show()
        item = plot.plotItem
        item.clear()
        self._style()
        for curve in self._curves:
            style = Qt.PenStyle.DashLine if curve.dashed else Qt.PenStyle.SolidLine
            pen = pg.mkPen(theme.colour(curve.token), width=1 if curve.dashed else 2, style=style)
            item.plot(curve.x, curve.y, pen=pen, name=curve.name)
        if item.legend is not None:
            item.legend.setLabelTextColor(theme.colour("text"))
            for _, text in item.legend.items:
                text.setText(text.text)  # takes the colour
        for y, text in self._levels:
            item.addItem(self._horizontal(pg, y, text))
        for place, mark in enumerate(self._marks):
            item.addItem(self._vertical(pg, mark, 0.95 - 0.13 * (place % 3)))
            if mark.y is not None:
                brush = theme.colour(mark.token)
                item.plot([mark.x], [mark.y], pen=None, symbol="o", symbolSize=8, symbolBrush=brush, symbolPen=None)
        self._line = pg.InfiniteLine(0, angle=90, pen=pg.mkPen(theme.colour("warning"), width=1.2))
        item.addItem(self._line, ignoreBounds=True)
        self.set_pointer(self._pointer)
        self._apply_limits()

    def _make(self, pg: Any) -> Any:
        pg.setConfigOptions(antialias=True)
        plot = pg.PlotWidget(axisItems={"bottom": _resolution_axis(pg)("bottom")})
        plot.setMenuEnabled(False)
        plot.hideButtons()
        if self._legend:
            plot.addLegend(offset=(-10, 10), labelTextSize="9pt")
        plot.setMouseEnabled(x=False, y=False)
        plot.setFrameShape(QFrame.Shape.NoFrame)
        plot.setMinimumSize(0, 0)
        plot.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        plot.viewport().installEventFilter(self)
        layout = self.layout()
        if layout is not None:
            layout.addWidget(plot)
        return plot

    def _horizontal(self, pg: Any, y: float, text: str) -> Any:
        pen = pg.mkPen(theme.colour("strong_border"), width=1, style=Qt.PenStyle.DotLine)
        options = {"color": theme.colour("muted"), "position": 0.99, "anchors": [(1, 1), (1, 1)]}
        return pg.InfiniteLine(y, angle=0, pen=pen, label=text, labelOpts=options)

    def _vertical(self, pg: Any, mark: Mark, height: float) -> Any:
        pen = pg.mkPen(theme.colour(mark.token), width=1, style=Qt.PenStyle.DashLine)
        # Towards the middle of the plot: a text at the right edge would be cut.
        side = 1 if self._limits is not None and mark.x > 0.7 * self._limits[1] else 0
        options = {"color": theme.colour("text"), "position": height, "anchors": [(side, 0), (side, 0)]}
        return pg.InfiniteLine(mark.x, angle=90, pen=pen, label=mark.text, labelOpts=options)

    def _style(self) -> None:
        self._plot.setBackground(theme.colour("field"))
        for side, text in (("bottom", f"resolution, {self._unit}"), ("left", self._y_label)):
            axis = self._plot.getAxis(side)
            axis.setPen(theme.colour("strong_border"))
            axis.setTextPen(theme.colour("muted"))
            # No factors of a thousand: without a range they never apply, whatever else asks for them.
            axis.setLabel(text, siPrefixEnableRanges=(), color=theme.colour("muted").name())
        self._plot.showGrid(x=False, y=True, alpha=0.12)

    def _apply_limits(self) -> None:
        if self._plot is None or not self._curves:
            return
        view = self._plot.plotItem.vb
        low, high = self._limits or (0.0, max(float(curve.x[-1]) for curve in self._curves))
        view.setXRange(low, high, padding=0)
        values = [curve.y[(curve.x >= low) & (curve.x <= high)] for curve in self._curves if not curve.dashed]
        seen = np.concatenate(values) if values else np.zeros(0)
        seen = seen[np.isfinite(seen)]
        if self._y_range is not None:
            view.setYRange(*self._y_range, padding=0)
        elif seen.size:
            view.setYRange(float(seen.min()), float(seen.max()), padding=0.08)

    # -- events -------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The mouse over the plot. pyqtgraph's own signal drops moves, the last one too."""
        if event.type() == QEvent.Type.MouseMove and isinstance(event, QMouseEvent) and self._plot is not None:
            view, place = self._plot.plotItem.vb, self._plot.mapToScene(event.position().toPoint())
            inside = view.sceneBoundingRect().contains(place)
            self.pointed.emit(float(view.mapSceneToView(place).x()) if inside else float("nan"))
        elif event.type() == QEvent.Type.Leave:
            self.pointed.emit(float("nan"))
        return super().eventFilter(watched, event)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.PaletteChange and self._plot is not None:
            self._draw()
        super().changeEvent(event)


def _resolution_axis(pg: Any) -> Any:
    """A class of axis with ticks at round resolutions: pyqtgraph may only be imported now."""

    class ResolutionAxis(pg.AxisItem):
        def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:
            room = self.fontMetrics_width() * (maxVal - minVal) / max(size, 1)
            chosen: list[float] = []
            for value in sorted(_ROUND):  # finest first: they have the room
                place = 1.0 / value
                if minVal < place <= maxVal and (not chosen or chosen[-1] - place >= room):
                    chosen.append(place)
            return [(maxVal - minVal, chosen)]

        def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
            return [f"{1.0 / value:.4g}" for value in values]

        def fontMetrics_width(self) -> float:
            return QFontMetricsF(self.style["tickFont"] or self.font()).horizontalAdvance("1000")

    return ResolutionAxis
