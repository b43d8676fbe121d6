"""The canvas that needs no OpenGL: paints the visible part of one pyramid, its marks and scale bar.

It shows; gestures.py moves the view, image_view.py adds the controls.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRect, Qt, QTimer
from PySide6.QtGui import QImage, QPainter, QPaintEvent, QPalette, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.viewer.boxes import BoxLayer, draw_layers
from app.viewer.decorations import device_font, draw_message, draw_scale_bar
from app.viewer.tile_painter import TilePainter
from app.viewer.view_model import GreyLevels, ViewModel
from core.images.pyramid import Pyramid

log = logging.getLogger(__name__)


class PaintedCanvas(QWidget):
    """A widget that paints in device pixels and survives an exception while painting.

    Subclasses override `paint_content` and `layout_panels`.
    """

    def __init__(self, model: ViewModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = model
        self.message = ""
        self._failed = False
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(self.fontMetrics().averageCharWidth() * 16, self.fontMetrics().height() * 8)
        self._unsubscribe = model.subscribe(self.update)

    @property
    def ratio(self) -> float:
        """Device pixels per logical pixel."""
        return self.devicePixelRatioF()

    def device_rect(self) -> QRect:
        """The whole canvas in device pixels; a fraction counts, or its last column would never be painted."""
        return QRect(0, 0, math.ceil(self.width() * self.ratio), math.ceil(self.height() * self.ratio))

    def to_view(self, position: QPointF) -> QPointF:
        """Widget position -> device pixels of the panel below it."""
        return position * self.ratio

    def set_message(self, text: str) -> None:
        """Words over the canvas; "" hides them."""
        self.message = text
        self.update()

    def layout_panels(self) -> None:
        """Tell the model the size of a panel."""
        self.model.set_viewport(self.device_rect().width(), self.device_rect().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.layout_panels()

    def paintEvent(self, event: QPaintEvent) -> None:
        # An exception that leaves a painter open ends the interpreter: close it first, then log, once.
        painter = QPainter(self)
        try:
            self.layout_panels()  # the window may have moved to a screen with another ratio
            painter.scale(1 / self.ratio, 1 / self.ratio)
            device = self.device_rect()
            painter.fillRect(device, self.palette().color(QPalette.ColorRole.Base))
            if not self.paint_content(painter, device):
                QTimer.singleShot(0, self.update)
            self._failed = False
        except Exception:
            if not self._failed:
                log.exception("The viewer could not paint")
            self._failed = True
        finally:
            painter.end()

    def grab_sharp(self) -> QImage:
        """A picture of the canvas with every tile sharp, however long it takes."""
        device = self.device_rect()
        image = QImage(device.size(), QImage.Format.Format_RGB32)
        complete = False
        while not complete:
            painter = QPainter(image)
            try:
                painter.fillRect(device, self.palette().color(QPalette.ColorRole.Base))
                complete = self.paint_content(painter, device)
            finally:
                painter.end()
        return image

    def paint_content(self, painter: QPainter, device: QRect) -> bool:
        """Paint everything; False asks for another paint soon."""
        raise NotImplementedError


class RasterCanvas(PaintedCanvas):
    """One picture."""

    def __init__(self, model: ViewModel, parent: QWidget | None = None) -> None:
        super().__init__(model, parent)
        self._tiles = TilePainter()
        self.levels = GreyLevels()
        self.layers: list[BoxLayer] = []
        self.pixel_size_a: float | None = None

    @property
    def pyramid(self) -> Pyramid | None:
        """What is shown."""
        return self._tiles.pyramid

    def set_pyramid(self, pyramid: Pyramid | None, pixel_size_a: float | None) -> None:
        """Show another picture; the view stays when its size is the same."""
        self._tiles.pyramid, self.pixel_size_a = pyramid, pixel_size_a
        self.layout_panels()
        self.model.set_image_shape(pyramid.shape if pyramid else None)
        self.update()

    def set_levels(self, levels: GreyLevels) -> None:
        """Repaint with other grey levels (once per turn of the event loop, however often this is called)."""
        if levels != self.levels:
            self.levels = levels
            self.update()

    def set_layers(self, layers: Sequence[BoxLayer]) -> None:
        """Marks to draw, the last on top."""
        self.layers = list(layers)
        self.update()

    def paint_content(self, painter: QPainter, device: QRect) -> bool:
        font = device_font(self.font(), self.ratio)
        complete = self._tiles.paint(painter, self.model, self.levels, device)
        if self.pyramid is not None:
            draw_layers(painter, self.model, self.layers, self.ratio)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            draw_scale_bar(painter, self.model, self.pixel_size_a, device, font, self.ratio)
        if self.message:
            big = device_font(self.font(), self.ratio, 1.3)
            draw_message(painter, self.message, device, big, self.palette(), self.pyramid is not None)
        return complete
