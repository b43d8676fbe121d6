"""Live curves of a job's metrics. pyqtgraph is imported in a task when a tab with curves is built, not before.

Numbers come in as they are; nothing is smoothed or left out. Export CSV writes every point.
"""

from __future__ import annotations

import csv
import functools
import importlib
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QCheckBox, QFileDialog, QFrame, QSizePolicy, QToolButton, QVBoxLayout

from app import theme
from app.errors import show_error
from app.widgets.labels import card_title, label, row
from core.errors import AppError
from workers.task import Task, run_task

logger = logging.getLogger(__name__)

STYLES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)


class MetricPlot(QFrame):
    """Curves by name. `curves`: metric name -> legend text, in the order of their colours and dashes."""

    def __init__(
        self,
        title: str,
        x_label: str,
        y_label: str,
        curves: Mapping[str, str],
        empty: str = "",
        log_y: bool = False,
        falling: bool = False,  # the curves fall: the room for the legend is at the lower left
    ) -> None:
        super().__init__()
        self.setObjectName("card")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._axes = (x_label, y_label)
        self._names = dict(curves)
        self._points: dict[str, list[tuple[float, float]]] = {name: [] for name in curves}
        self._items: dict[str, Any] = {}
        self._bands: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        self._band_items: dict[str, tuple[Any, Any, Any]] = {}
        self._plot: Any = None
        self._line: tuple[float, str] | None = None
        self._line_item: Any = None
        self._log_x = False
        self._legend_at = (10, -10) if falling else (-10, 10)
        self.log_y = QCheckBox("Log scale")
        self.log_y.setChecked(log_y)
        self.log_y.toggled.connect(lambda _: self._apply_log())
        self.export = QToolButton()
        self.export.setText("Export CSV")
        self.export.setToolTip("Write every point of these curves to a file")
        self.export.clicked.connect(self._export)
        self.empty = label(empty or "The curve appears when the job runs.", "muted", wrap=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._body = QVBoxLayout(self)
        self._body.setContentsMargins(12, 8, 12, 10)
        self._body.setSpacing(4)
        head = row(card_title(title), self.log_y, self.export, spacing=10)
        head.setStretch(0, 1)
        self._body.addLayout(head)
        self._body.addWidget(self.empty, 1)
        self.log_y.setEnabled(False)
        self.export.setEnabled(False)
        library().ready.connect(self._on_library)

    def add_points(self, points: list[tuple[str, float, float]]) -> None:
        """Add (name, value, step) points; names that are not shown here are passed over."""
        touched = set()
        for name, value, step in points:
            if name in self._points:
                self._points[name].append((step, value))
                touched.add(name)
        if touched:
            self._draw(touched)

    def set_curve(self, name: str, x: np.ndarray, y: np.ndarray) -> None:
        """Replace a curve."""
        self._points[name] = list(zip(x.tolist(), y.tolist(), strict=True))
        self._draw({name})

    def set_band(self, name: str, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        """Shade the range from `low` to `high` about a curve, in its colour."""
        self._bands[name] = (x, low, high)
        self._draw({name})

    def set_line(self, y: float | None, text: str = "") -> None:
        """A horizontal line with a text (a bound), or none."""
        self._line = None if y is None else (y, text)
        if self._plot is not None:
            self._draw_line()

    def set_log_x(self, log_x: bool) -> None:
        """Logarithmic abscissa (spectra)."""
        self._log_x = log_x
        self._apply_log()

    def clear(self) -> None:
        """Forget all points."""
        self._points = {name: [] for name in self._names}
        self._bands = {}
        if self._plot is not None:
            self._draw(set(self._points))

    def points(self, name: str) -> list[tuple[float, float]]:
        """(step, value) points of a curve."""
        return list(self._points[name])

    def csv_text(self) -> str:
        """All points as CSV: curve, x, y."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["curve", self._axes[0], self._axes[1]])
        for name, points in self._points.items():
            writer.writerows([name, f"{x:.10g}", f"{y:.10g}"] for x, y in points)
        for name, (x, *sides) in self._bands.items():
            for side, values in zip(("low", "high"), sides, strict=True):
                points = zip(x.tolist(), values.tolist(), strict=True)
                writer.writerows([f"{name} {side}", f"{a:.10g}", f"{b:.10g}"] for a, b in points)
        return out.getvalue()

    def _on_library(self) -> None:
        if any(self._points.values()):
            self._draw(set(self._points))

    def _make_plot(self) -> None:
        import pyqtgraph as pg

        pg.setConfigOptions(antialias=True)
        self._plot = pg.PlotWidget()
        self._plot.setMenuEnabled(False)
        self._plot.setFrameShape(QFrame.Shape.NoFrame)
        self._plot.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._plot.addLegend(offset=self._legend_at, labelTextSize="9pt") if len(self._names) > 1 else None
        for name, text in self._names.items():
            self._items[name] = self._plot.plot([], [], name=text)
        self.empty.hide()
        self._body.addWidget(self._plot, 1)
        self.log_y.setEnabled(True)
        self.export.setEnabled(True)
        self._colour()
        self._draw_line()
        self._apply_log()

    def _draw(self, names: set[str]) -> None:
        if not library().loaded:
            library().ask()
            return  # _on_library draws what came meanwhile
        if self._plot is None:
            self._make_plot()
        for name in names:
            data = np.array(self._points[name], dtype=float).reshape(-1, 2)
            if self.log_y.isChecked():
                data = data[data[:, 1] > 0]  # a logarithm cannot show the rest
            symbol = "o" if len(data) < 40 else None
            self._items[name].setData(data[:, 0], data[:, 1], symbol=symbol)
            self._draw_band(name)

    def _draw_band(self, name: str) -> None:
        import pyqtgraph as pg

        if name not in self._bands:
            for item in self._band_items.pop(name, ()):
                self._plot.removeItem(item)
            return
        if name not in self._band_items:
            unseen = pg.mkPen(0, 0, 0, 0)  # without a pen there would be no path to fill between
            sides = [self._plot.plot([], [], pen=unseen) for _ in range(2)]
            fill = pg.FillBetweenItem(*sides)
            fill.setZValue(-10)
            self._plot.addItem(fill)
            self._band_items[name] = (*sides, fill)
            self._colour()
        x, *values = self._bands[name]
        for item, y in zip(self._band_items[name], values, strict=False):
            shown = y > 0 if self.log_y.isChecked() else np.ones(len(y), bool)
            item.setLogMode(self._log_x, self.log_y.isChecked())
            item.setData(x[shown], y[shown])

    def _apply_log(self) -> None:
        if self._plot is not None:
            self._plot.setLogMode(x=self._log_x, y=self.log_y.isChecked())
            self._draw(set(self._points))
            self._draw_line()

    def _draw_line(self) -> None:
        import pyqtgraph as pg

        if self._line_item is not None:
            self._plot.removeItem(self._line_item)
            self._line_item = None
        if self._line is None or (self.log_y.isChecked() and self._line[0] <= 0):
            return
        y, text = self._line
        pen = pg.mkPen(theme.colour("danger"), width=1.4, style=Qt.PenStyle.DashLine)
        shown = float(np.log10(y)) if self.log_y.isChecked() else y
        options = {"color": theme.colour("danger"), "position": 0.06, "anchors": [(0, 1), (0, 1)]}
        self._line_item = pg.InfiniteLine(shown, angle=0, pen=pen, label=text, labelOpts=options)
        self._plot.addItem(self._line_item)

    def _colour(self) -> None:
        import pyqtgraph as pg

        self._plot.setBackground(theme.colour("panel"))
        for side, text in zip(("bottom", "left"), self._axes, strict=True):
            colour_axis(self._plot.getAxis(side), text)
        self._plot.showGrid(x=True, y=True, alpha=0.15)
        legend = self._plot.plotItem.legend
        if legend is not None:
            legend.setLabelTextColor(theme.colour("text"))
        for index, item in enumerate(self._items.values()):
            colour = theme.colour(f"curve{index % 4 + 1}")
            item.setPen(pg.mkPen(colour, width=2, style=STYLES[index % 4]))
            item.setSymbolBrush(colour)
            item.setSymbolPen(None)
            item.setSymbolSize(6)
        for index, name in enumerate(self._items):
            if name in self._band_items:
                shade = theme.colour(f"curve{index % 4 + 1}")
                shade.setAlpha(60)
                self._band_items[name][2].setBrush(pg.mkBrush(shade))
        if legend is not None:
            for _, text in legend.items:
                text.setText(text.text)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.PaletteChange and self._plot is not None:
            self._colour()
            self._draw_line()
        super().changeEvent(event)

    def _export(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Export the curves", "curves.csv", "CSV (*.csv)")
        if not chosen:
            return
        from core.io.atomic import write_text

        try:
            write_text(Path(chosen), self.csv_text())
        except AppError as err:
            show_error(self, err)


def colour_axis(axis: Any, text: str) -> None:
    """Colours and label of an axis of pyqtgraph. Its numbers stay as they are, without prefixes or factors."""
    axis.setPen(theme.colour("strong_border"))
    axis.setTextPen(theme.colour("muted"))
    axis.setLabel(text, color=theme.colour("muted").name())
    axis.showLabel(False)  # with a label in sight, forbidding prefixes would first apply the one of this range
    axis.enableAutoSIPrefix(False)
    axis.showLabel(True)


class _Library(QObject):
    """pyqtgraph, imported once in a task: its 0.7 s of importing must not stop the window."""

    ready = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.loaded = False
        self._task: Task | None = None

    def ask(self) -> None:
        """Import it if that has not begun, or was dropped; `ready` follows."""
        if not self.loaded and (self._task is None or self._task.isFinished()):
            self._task = run_task(lambda: importlib.import_module("pyqtgraph"), self._on_loaded, self._on_failed)

    def _on_loaded(self, _: object) -> None:
        self.loaded = True
        QTimer.singleShot(0, self._warm)

    def _warm(self) -> None:
        """The first plot costs more than all others: make it while nobody waits for one."""
        import pyqtgraph as pg

        plot = pg.PlotWidget()
        plot.addLegend()
        plot.plot([0, 1], [1, 2], name="x")
        plot.grab()
        plot.deleteLater()
        self.ready.emit()

    def _on_failed(self, err: AppError) -> None:
        logger.error("curves cannot be shown: %s", err)


@functools.cache
def library() -> _Library:
    """The one loader of pyqtgraph."""
    return _Library()
