"""Two pictures of one field with one view: side by side, swipe, blink, difference.

Paints; compare_view.py has the controls. Each picture has its own grey levels, because denoising narrows the
range. Labels say which is which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from PySide6.QtCore import QEvent, QObject, QPointF, QRect, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QMouseEvent, QPainter
from PySide6.QtWidgets import QWidget

from app.viewer.boxes import BoxLayer, draw_layers
from app.viewer.decorations import device_font, draw_caption, draw_message, draw_scale_bar
from app.viewer.raster_canvas import PaintedCanvas
from app.viewer.tile_painter import PAINT_SECONDS, DifferencePainter, TilePainter
from app.viewer.view_model import GreyLevels, ViewModel
from core.images.pyramid import Pyramid

Mode = Literal["side", "swipe", "blink", "difference"]
MODES: tuple[Mode, ...] = ("side", "swipe", "blink", "difference")
_GAP = 2  # logical pixels between the panels
_GRIP = 7  # logical pixels on either side of the divider that take hold of it
_LINE = QColor("#ffd24a")


class CompareCanvas(PaintedCanvas):
    """Paints the pair; `divider` is the swipe position, 0 (left) to 1."""

    divider_moved = Signal(float)

    def __init__(self, model: ViewModel, parent: QWidget | None = None) -> None:
        super().__init__(model, parent)
        self.mode: Mode = "side"
        self.divider = 0.5
        self.show_raw = False  # in blink mode
        self.labels: tuple[str, str] = ("raw", "denoised")
        self.nothing = ""  # in place of a second picture that is not there
        self.layers: list[BoxLayer] = []
        self.pixel_size_a: float | None = None
        self.invert = False
        self.spread = 1.0  # grey range relative to the automatic one
        self._painters = (TilePainter(), TilePainter())
        self._difference = DifferencePainter()

    @property
    def pyramids(self) -> tuple[Pyramid | None, Pyramid | None]:
        """(raw, denoised)."""
        return (self._painters[0].pyramid, self._painters[1].pyramid)

    @property
    def same_size(self) -> bool:
        """Whether both are there and can be subtracted."""
        raw, denoised = self.pyramids
        return raw is not None and denoised is not None and raw.shape == denoised.shape

    def set_pair(self, raw: Pyramid | None, denoised: Pyramid | None, pixel_size_a: float | None) -> None:
        """Show another pair; either may be missing."""
        self._painters[0].pyramid, self._painters[1].pyramid = raw, denoised
        self._difference.set_pair(*((raw, denoised) if self.same_size else (None, None)))
        self.pixel_size_a = pixel_size_a
        first = raw or denoised
        self.layout_panels()
        self.model.set_image_shape(first.shape if first else None)
        self.update()

    def set_layers(self, layers: Sequence[BoxLayer]) -> None:
        """Marks on both pictures."""
        self.layers = list(layers)
        self.update()

    def set_mode(self, mode: Mode) -> None:
        """Change the way of comparing; the view stays on the same place."""
        self.mode, self.show_raw = mode, False
        self.layout_panels()
        self.update()

    # -- geometry -----------------------------------------------------------------------------------------

    def panels(self) -> list[QRect]:
        """The panels in device pixels: two of equal size side by side, else one."""
        device = self.device_rect()
        if self.mode != "side":
            return [device]
        gap = max(1, round(_GAP * self.ratio))
        width = max(1, (device.width() - gap) // 2)
        return [QRect(0, 0, width, device.height()), QRect(width + gap, 0, width, device.height())]

    def layout_panels(self) -> None:
        self.model.set_viewport(self.panels()[0].width(), self.panels()[0].height())

    def to_view(self, position: QPointF) -> QPointF:
        device = position * self.ratio
        second = self.panels()[-1]
        return device - QPointF(second.topLeft()) if device.x() >= second.left() else device

    def divider_x(self) -> int:
        """Position of the swipe line in device pixels."""
        return round(self.divider * self.device_rect().width())

    def set_divider(self, place: float) -> None:
        """Move the swipe line; 0 is the left edge, 1 the right."""
        self.divider = min(max(place, 0.0), 1.0)
        self.update()

    # -- painting -----------------------------------------------------------------------------------------

    def levels_of(self, which: int) -> GreyLevels:
        """Automatic levels of raw (0) or denoised (1) at the present zoom."""
        pyramid = self.pyramids[which]
        low, high = pyramid.grey_range(self.model.zoom) if pyramid else (0.0, 1.0)
        return self._spread(low, high)

    def _spread(self, low: float, high: float) -> GreyLevels:
        middle, half = (low + high) / 2, (high - low) / 2 * self.spread
        return GreyLevels(middle - half, middle + half, 1.0, self.invert)

    def paint_content(self, painter: QPainter, device: QRect) -> bool:
        font = device_font(self.font(), self.ratio)
        panels = self.panels()
        if self.mode == "side":
            complete = True
            for which, panel in enumerate(panels):
                complete = self._panel(painter, which, panel, font) and complete
        elif self.mode == "swipe":
            complete = self._swipe(painter, device, font)
        elif self.mode == "blink":
            complete = self._panel(painter, 0 if self.show_raw else 1, device, font)
        else:
            complete = self._paint_difference(painter, device, font)
        if self.message:
            big = device_font(self.font(), self.ratio, 1.3)
            draw_message(painter, self.message, device, big, self.palette(), any(self.pyramids))
        return complete

    def _panel(self, painter: QPainter, which: int, panel: QRect, font: QFont, clip: QRect | None = None) -> bool:
        """One picture in `panel`, visible in `clip` (both device pixels of the canvas)."""
        clip = clip or panel
        painter.save()
        painter.setClipRect(clip)
        painter.translate(panel.topLeft())
        exposed = clip.translated(-panel.topLeft())
        there = self.pyramids[which] is not None
        complete = self._painters[which].paint(painter, self.model, self.levels_of(which), exposed, PAINT_SECONDS / 2)
        if there:
            draw_layers(painter, self.model, self.layers, self.ratio)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        local = panel.translated(-panel.topLeft())
        if there:
            draw_scale_bar(painter, self.model, self.pixel_size_a, local, font, self.ratio)
        elif any(self.pyramids) and not self.message:
            text = (which == 1 and self.nothing) or f"No {self.labels[which]} picture"
            draw_message(painter, text, exposed, font, self.palette(), False)
        painter.restore()
        self._label(painter, self.labels[which], clip, font, right=which == 1 and self.mode == "swipe")
        return complete

    def _label(self, painter: QPainter, text: str, clip: QRect, font: QFont, right: bool = False) -> None:
        painter.save()
        painter.setClipRect(clip)
        margin = 8 * self.ratio
        x = clip.left() + margin
        if right:
            x = clip.right() - 2.5 * margin - QFontMetricsF(font).horizontalAdvance(text)
        draw_caption(painter, text, QPointF(x, clip.top() + margin), font, self.ratio)
        painter.restore()

    def _swipe(self, painter: QPainter, device: QRect, font: QFont) -> bool:
        x = self.divider_x()
        left, right = QRect(device), QRect(device)
        left.setRight(x - 1)
        right.setLeft(x)
        complete = True
        for which, clip in enumerate((left, right)):
            if clip.width() > 0:
                complete = self._panel(painter, which, device, font, clip) and complete
        width = max(1, round(2 * self.ratio))
        painter.fillRect(QRect(x - width // 2, 0, width, device.height()), _LINE)
        grip = max(2, round(5 * self.ratio))
        painter.fillRect(QRect(x - grip, device.height() // 2 - 4 * grip, 2 * grip, 8 * grip), _LINE)
        return complete

    def _paint_difference(self, painter: QPainter, device: QRect, font: QFont) -> bool:
        if not self.same_size:
            if not self.message:
                text = "The difference needs both pictures, of the same size"
                draw_message(painter, text, device, font, self.palette(), False)
            return True
        levels = self._spread(*self._difference.grey_range(self.model.zoom))
        complete = self._difference.paint(painter, self.model, levels, device)
        draw_layers(painter, self.model, self.layers, self.ratio)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        draw_scale_bar(painter, self.model, self.pixel_size_a, device, font, self.ratio)
        raw, denoised = (label.split(":")[0] for label in self.labels)
        self._label(painter, f"{raw} minus {denoised}: what was removed", device, font)
        return complete


class DividerGrip(QObject):
    """Dragging the swipe line. Install after the gestures: filters installed last are asked first."""

    def __init__(self, canvas: CompareCanvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._held = False
        canvas.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        canvas = self._canvas
        if not isinstance(event, QMouseEvent) or canvas.mode != "swipe":
            self._held = False
            return False
        x = event.position().x()
        near = abs(x - canvas.divider_x() / canvas.ratio) <= _GRIP
        kind = event.type()
        if kind == QEvent.Type.MouseButtonPress and event.button() == Qt.MouseButton.LeftButton and near:
            self._held = True
            return True
        if kind == QEvent.Type.MouseMove:
            if self._held:
                canvas.set_divider(x / max(1, canvas.width()))
                canvas.divider_moved.emit(canvas.divider)
                return True
            if not event.buttons():
                canvas.setCursor(Qt.CursorShape.SplitHCursor if near else Qt.CursorShape.ArrowCursor)
        if kind == QEvent.Type.MouseButtonRelease and self._held:
            self._held = False
            return True
        return False
