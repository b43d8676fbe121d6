"""What a canvas shows: pictures in panels, and what is drawn over them. Knows nothing of how pixels are painted.

All rectangles are device pixels of the canvas. The canvases (raster_canvas.py, gl_canvas.py) paint a scene.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRect, Qt
from PySide6.QtGui import QFont, QPainter, QPalette

from app.viewer.boxes import BoxLayer, draw_layers
from app.viewer.decorations import device_font, draw_caption, draw_message, draw_scale_bar, seen_part
from app.viewer.view_model import ViewModel
from core.images.colour import Look
from core.images.pyramid import Pyramid

Overlay = Callable[[QPainter, ViewModel, float], None]  # draws in the device pixels of one panel; ratio


@dataclass(frozen=True, eq=False)
class Picture:
    """A pyramid (minus another one) seen through `panel`, of which only `clip` is painted."""

    pyramid: Pyramid
    look: Look
    panel: QRect
    clip: QRect
    minus: Pyramid | None = None


@dataclass(frozen=True)
class Style:
    """Font and colours of the widget, and its device pixels per logical pixel."""

    font: QFont
    palette: QPalette
    ratio: float

    def scaled(self, factor: float = 1.0) -> QFont:
        """The font in device pixels."""
        return device_font(self.font, self.ratio, factor)


class Scene:
    """Base of the two scenes: one picture below, a pair in compare_scene.py."""

    def __init__(self, model: ViewModel) -> None:
        self.model = model
        self.message = ""
        self.layers: list[BoxLayer] = []
        self.overlays: list[Overlay] = []  # tools draw themselves: measure line, polygon
        self.pixel_size_a: float | None = None
        self._listeners: list[Callable[[], None]] = []

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call `callback()` after each change of what is shown (changes of the view are the model's)."""
        self._listeners.append(callback)

    def changed(self) -> None:
        """Something else is to be painted."""
        for listener in tuple(self._listeners):
            listener()

    def set_layers(self, layers: Sequence[BoxLayer]) -> None:
        """Marks to draw, the last on top."""
        self.layers = list(layers)
        self.changed()

    def set_message(self, text: str) -> None:
        """Words over everything; "" hides them."""
        if text != self.message:
            self.message = text
            self.changed()

    def panels(self, device: QRect) -> list[QRect]:
        """Where pictures are: panels of one size that share the view."""
        return [device]

    def panel_at(self, x: float, device: QRect) -> QRect:
        """The panel below a position."""
        return next((p for p in reversed(self.panels(device)) if x >= p.left()), device)

    def scrolls(self) -> bool:
        """Whether a pan may move the painted pixels of each panel."""
        return True

    def pictures(self, device: QRect) -> list[Picture]:
        """What to paint now."""
        raise NotImplementedError

    def sources(self) -> list[tuple[Pyramid, Pyramid | None]]:
        """All that may be painted without a change of the pictures: their tiles are kept."""
        raise NotImplementedError

    def draw_over(self, painter: QPainter, device: QRect, style: Style) -> list[QRect]:
        """Draw marks, scale bar and words; returns what does not move with the picture."""
        raise NotImplementedError

    # -- shared pieces ------------------------------------------------------------------------------------

    def draw_marks(self, painter: QPainter, panel: QRect, clip: QRect, style: Style) -> None:
        """Marks and tools of one panel."""
        painter.save()
        painter.setClipRect(clip, Qt.ClipOperation.IntersectClip)
        painter.translate(panel.topLeft())
        draw_layers(painter, self.model, self.layers, style.ratio)
        for overlay in self.overlays:
            overlay(painter, self.model, style.ratio)
        painter.restore()

    def draw_bar(self, painter: QPainter, panel: QRect, style: Style) -> QRect:
        """The scale bar of one panel."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        return draw_scale_bar(painter, self.model, self.pixel_size_a, panel, style.scaled(), style.ratio)

    def draw_words(self, painter: QPainter, device: QRect, style: Style, over: bool) -> list[QRect]:
        """The message, if there is one."""
        if not self.message:
            return []
        return [draw_message(painter, self.message, device, style.scaled(1.3), over)]


class SingleScene(Scene):
    """One picture."""

    def __init__(self, model: ViewModel) -> None:
        super().__init__(model)
        self.pyramid: Pyramid | None = None
        self.caption = ""  # what the picture is when it is not the raw data: "low-pass 20 Å"

    def set_pyramid(self, pyramid: Pyramid | None, pixel_size_a: float | None) -> None:
        """Show another picture; the view stays when its size is the same."""
        self.pyramid, self.pixel_size_a = pyramid, pixel_size_a
        self.model.set_image_shape(pyramid.shape if pyramid else None)
        self.changed()

    def look(self) -> Look:
        """The colours at the present zoom."""
        low, high = self.pyramid.grey_range(self.model.contrast_zoom) if self.pyramid else (0.0, 1.0)
        return self.model.contrast.look(low, high)

    def pictures(self, device: QRect) -> list[Picture]:
        return [Picture(self.pyramid, self.look(), device, device)] if self.pyramid else []

    def sources(self) -> list[tuple[Pyramid, Pyramid | None]]:
        return [(self.pyramid, None)] if self.pyramid else []

    def draw_over(self, painter: QPainter, device: QRect, style: Style) -> list[QRect]:
        fixed = []
        if self.pyramid is not None:
            self.draw_marks(painter, device, device, style)
            fixed.append(self.draw_bar(painter, device, style))
            if self.caption:
                margin, part = 8 * style.ratio, seen_part(self.model, device)  # on the picture: it is copied with it
                corner = QPointF(part.left() + margin, part.top() + margin)
                room = device.right() - corner.x() - margin
                fixed.append(draw_caption(painter, self.caption, corner, style.scaled(), style.ratio, room))
        return fixed + self.draw_words(painter, device, style, self.pyramid is not None)
