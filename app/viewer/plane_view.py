"""One section of a map: the canvas of the micrograph viewer with a cross-hair, and its slider below.

Which section, and what the other two show, is decided by volume_slices.py. Image positions are voxels.
"""

from __future__ import annotations

import math
from dataclasses import replace

from PySide6.QtCore import QLineF, QRect, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeySequence, QPainter, QPen, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QSlider, QSpinBox, QToolButton, QVBoxLayout, QWidget

from app.viewer.canvas import Canvas
from app.viewer.gestures import Gestures
from app.viewer.measure import MeasureTool
from app.viewer.scene import SingleScene
from app.viewer.schemes import ALT, CTRL, DEFAULT, LEFT, MIDDLE, PLAIN, RIGHT, SHIFT, Bind
from app.viewer.view_model import ViewModel
from app.widgets.labels import label
from core.images.pyramid import Pyramid
from core.volumes.slices import Plane

_INK = QColor(255, 225, 77, 200)
_SHADE = QColor(0, 0, 0, 110)
_HOLE = 7.0  # logical pixels about the place itself that stay free
SCHEME = replace(
    DEFAULT,
    name="Sections",
    buttons={
        (LEFT, PLAIN): Bind("add", "add"),
        (LEFT, SHIFT): Bind("", "pan"),
        (MIDDLE, PLAIN): Bind("", "pan"),
        (RIGHT, PLAIN): Bind("", "pan"),
    },
    wheel={PLAIN: "size", CTRL: "zoom", SHIFT: "zoom", ALT: "contrast"},
    double_click_fits=True,
    about="A click or drag moves the cross-hair, the wheel goes through the sections",
)


class PlaneView(QWidget):
    """Shows a picture; `placed(x, y)` when the user moves the cross-hair, `stepped(by)` for another section."""

    placed = Signal(float, float)
    stepped = Signal(int)
    chosen = Signal(int)  # a section, by slider or number
    hovered = Signal(float, float)  # nan outside

    def __init__(self, plane: Plane, measure_button: QToolButton, painter: str | None = None) -> None:
        super().__init__()
        self.plane = plane
        self.model = ViewModel()
        self.scene = SingleScene(self.model)
        self.canvas = Canvas(self.scene, self, painter)
        self.canvas.setAccessibleName(f"Section across {plane.name}")
        self.canvas.setMinimumHeight(self.fontMetrics().height() * 4)  # two of them, one above the other, on a laptop
        self.gestures = Gestures(self.canvas, self.canvas)
        self.gestures.set_scheme(SCHEME)
        self.gestures.set_picking(True)
        self.measure = MeasureTool(self.scene, self.gestures, measure_button, self.font())
        self.scene.overlays.insert(0, self._draw_cross)
        self._cross: tuple[float, float] | None = None
        self._cross_shown = True
        self._build()
        self.gestures.clicked.connect(lambda x, y, _keys: self.placed.emit(x, y))
        self.gestures.dragged.connect(self.placed)
        self.gestures.size_step.connect(self.stepped)
        self.gestures.hovered.connect(self.hovered)

    def _build(self) -> None:
        name = self.plane.name
        head = label(f"{name}", "heading")
        head.setToolTip(f"Section across {name}: {self.plane.words}")
        self.axes = label(self.plane.words, "muted")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(f"Section across {name}")
        self.slider.setToolTip(f"Section across {name}: drag, wheel over the picture, Page Up and Page Down")
        self.slider.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.slider.setMinimumWidth(self.fontMetrics().averageCharWidth() * 8)
        self.number = QSpinBox()
        self.number.setAccessibleName(f"Number of the section across {name}")
        self.number.setToolTip("Section, counted from 0; type a number and press Enter")
        self.number.setKeyboardTracking(False)
        self.number.lineEdit().setTextMargins(3, 0, 0, 0)
        self.slider.valueChanged.connect(self.chosen)
        self.number.valueChanged.connect(self.chosen)
        line = QHBoxLayout()
        line.setContentsMargins(6, 0, 4, 0)
        line.setSpacing(8)
        widgets: list[tuple[QLabel | QSlider | QSpinBox, int]] = [
            (head, 0),
            (self.slider, 1),
            (self.number, 0),
            (self.axes, 0),
        ]
        for widget, stretch in widgets:
            line.addWidget(widget, stretch)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        rows.addWidget(self.canvas, 1)
        rows.addLayout(line)
        for key, by in (("PgUp", 1), ("PgDown", -1), ("]", 1), ("[", -1)):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda by=by: self.stepped.emit(by))

    # -- what is shown ------------------------------------------------------------------------------------

    def set_picture(self, picture: Pyramid | None, caption: str) -> None:
        """Show a section or a projection; zoom and place stay while its size does."""
        pixel = picture.pixel_size_a if picture is not None else None
        self.measure.line.pixel_size_a = pixel
        self.scene.caption = caption
        self.scene.set_pyramid(picture, pixel)

    def set_sections(self, n: int, index: int, enabled: bool = True) -> None:
        """How many sections there are, and which is shown. No signal."""
        with QSignalBlocker(self.slider), QSignalBlocker(self.number):
            self.slider.setRange(0, max(0, n - 1))
            self.slider.setPageStep(max(1, n // 10))
            self.slider.setValue(index)
            self.number.setRange(0, max(0, n - 1))
            self.number.setValue(index)
        self.slider.setEnabled(enabled)
        self.number.setEnabled(enabled)

    def set_cross(self, place: tuple[float, float] | None) -> None:
        """Where the cross-hair is, image position; None takes it away."""
        if place != self._cross:
            self._cross = place
            self.scene.changed()

    def show_cross(self, on: bool) -> None:
        """Draw the cross-hair or not."""
        self._cross_shown = on
        self.scene.changed()

    def grab_picture(self) -> QImage:
        """What is seen, without the empty margins beside the picture and without its caption, as sharp as it gets.

        A caption over a small picture would be cut: whoever saves the picture writes it below (caption_strip.py).
        """
        caption, self.scene.caption = self.scene.caption, ""
        try:
            image = self.canvas.grab_sharp()
        finally:
            self.scene.caption = caption
        x0, y0, x1, y1 = self.model.visible_rect()
        left, top = self.model.to_screen(x0, y0)
        right, bottom = self.model.to_screen(x1, y1)
        part = QRect(round(left), round(top), round(right - left), round(bottom - top)).intersected(image.rect())
        return image if part.isEmpty() else image.copy(part)

    def _draw_cross(self, painter: QPainter, model: ViewModel, ratio: float) -> None:
        if self._cross is None or not self._cross_shown:
            return
        x, y = model.to_screen(*self._cross)
        if not (math.isfinite(x) and math.isfinite(y)):
            return
        x, y = math.floor(x) + 0.5, math.floor(y) + 0.5  # sharp lines
        width, height = model.viewport
        hole = _HOLE * ratio
        lines = [
            QLineF(0, y, x - hole, y),
            QLineF(x + hole, y, width, y),
            QLineF(x, 0, x, y - hole),
            QLineF(x, y + hole, x, height),
        ]
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        for colour, wide in ((_SHADE, 3.0), (_INK, 1.0)):
            painter.setPen(QPen(colour, wide * ratio))
            painter.drawLines(lines)
