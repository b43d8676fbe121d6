"""The canvas that users touch: shows a scene, by a RasterCanvas or a GLCanvas inside it.

The painting widget is transparent for the mouse, so gestures (gestures.py) are the same for both and survive
a change of painter, when a preference changes or OpenGL fails.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPointF, QRect, Qt, QTimer, Signal
from PySide6.QtGui import QImage, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from app.viewer import renderer
from app.viewer.raster_canvas import RasterCanvas, paint_scene
from app.viewer.scene import Scene, Style
from app.viewer.tiles import PAINT_SECONDS, TileSource
from app.viewer.view_model import ViewModel
from core.images.pyramid import Pyramid

if TYPE_CHECKING:
    from app.viewer.gl_canvas import GLCanvas

log = logging.getLogger(__name__)

SETTLE_MS = 90  # without a change of zoom: then the picture is made exact
BUDGET_VIEWS = 3  # tiles are kept for so many full views
LEAST_BUDGET, MOST_BUDGET = 16 << 20, 256 << 20


class Canvas(QWidget):
    """A scene on the screen; `painted(exact)` after each frame."""

    painted = Signal(bool)

    def __init__(self, scene: Scene, parent: QWidget | None = None, painter: str | None = None) -> None:
        """`painter`: raster or gl; None: what was chosen for this display."""
        super().__init__(parent)
        self.scene = scene
        self._sources: dict[tuple[int, int], TileSource] = {}
        self._seen: tuple[object, ...] = ()
        self._origin = (0, 0)
        self.moving = False  # the zoom changes: quick tiles only
        self._fresh = True  # other pictures than in the last paint
        self._shown: list[tuple[int, int]] = []
        self._settle = QTimer(self, interval=SETTLE_MS, singleShot=True)
        self._settle.timeout.connect(self._settled)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(self.fontMetrics().averageCharWidth() * 16, self.fontMetrics().height() * 8)
        self._room = QVBoxLayout(self)
        self._room.setContentsMargins(0, 0, 0, 0)
        self.surface: RasterCanvas | GLCanvas = self._make(painter or renderer.current().name)
        scene.subscribe(self._on_scene)
        scene.model.subscribe(self._on_view)

    # -- geometry -----------------------------------------------------------------------------------------

    @property
    def model(self) -> ViewModel:
        """The view."""
        return self.scene.model

    @property
    def ratio(self) -> float:
        """Device pixels per logical pixel."""
        return self.devicePixelRatioF()

    def device_rect(self) -> QRect:
        """The whole canvas in device pixels; a fraction counts, or its last column would never be painted."""
        return QRect(0, 0, math.ceil(self.width() * self.ratio), math.ceil(self.height() * self.ratio))

    def style_now(self) -> Style:
        """Font, colours and ratio at this moment."""
        return Style(self.font(), self.palette(), self.ratio)

    def to_view(self, position: QPointF) -> QPointF:
        """Widget position -> device pixels of the panel below it."""
        device = position * self.ratio
        return device - QPointF(self.scene.panel_at(device.x(), self.device_rect()).topLeft())

    def layout_panels(self) -> None:
        """Tell the model the size of a panel."""
        panel = self.scene.panels(self.device_rect())[0]
        self.model.set_viewport(panel.width(), panel.height())

    def budget(self) -> int:
        """Bytes for tiles: a few full views."""
        device = self.device_rect()
        return min(max(BUDGET_VIEWS * 8 * device.width() * device.height(), LEAST_BUDGET), MOST_BUDGET)

    def source(self, pyramid: Pyramid, minus: Pyramid | None) -> TileSource:
        """The tiles of a picture; those of pictures that went are forgotten."""
        key = (id(pyramid), id(minus))
        if key not in self._sources:
            kept = {(id(first), id(second)) for first, second in self.scene.sources()}
            self._sources = {k: source for k, source in self._sources.items() if k in kept}
            if not self._sources:
                self.surface.forget()
            self._sources[key] = TileSource(pyramid, minus)  # holds both: their ids stay theirs
        return self._sources[key]

    def deadline(self) -> float:
        """Until when (time.perf_counter) a paint may compute exact tiles; a new picture comes quickly first."""
        fresh, self._fresh = self._fresh, False
        return time.perf_counter() + (0.0 if fresh else PAINT_SECONDS)

    # -- what happens -------------------------------------------------------------------------------------

    def _on_scene(self) -> None:
        shown = [(id(first), id(second)) for first, second in self.scene.sources()]
        if shown != self._shown:
            self._shown, self._fresh = shown, True
        if not shown:
            self._sources.clear()
        self.layout_panels()
        self.surface.refresh()

    def _on_view(self) -> None:
        """Pans move pixels; everything else paints anew, and a change of zoom does it quickly first."""
        model = self.model
        seen = (model.zoom, model.viewport, model.image_shape, model.contrast, model.contrast_zoom)
        (left, top), (old_left, old_top) = model.origin, self._origin
        if self._seen and model.zoom != self._seen[0] and model.image_shape == self._seen[2]:
            self.moving = True
            self._settle.start()
        same = seen == self._seen
        self._seen, self._origin = seen, model.origin
        if same and self.scene.scrolls():
            self.surface.pan_by(left - old_left, top - old_top)
        else:
            self.surface.refresh()

    def _settled(self) -> None:
        self.moving = False
        self.model.come_to_rest()
        self.surface.refresh()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.layout_panels()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.DevicePixelRatioChange:
            self.layout_panels()
            self.surface.refresh()
        return super().event(event)

    # -- painters -----------------------------------------------------------------------------------------

    def _make(self, name: str) -> RasterCanvas | GLCanvas:
        """Both painters have `painted`, `name`, `refresh`, `pan_by(dx, dy)` in device pixels, and `forget`."""
        if name == "gl":
            from app.viewer.gl_canvas import GLCanvas

            surface = GLCanvas(self)
            surface.broken.connect(self._on_broken)
        else:
            surface = RasterCanvas(self)
        surface.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        surface.painted.connect(self.painted)
        self._room.addWidget(surface)
        return surface

    def set_painter(self, name: str) -> None:
        """Paint by `raster` or `gl` from now on."""
        if name == self.surface.name:
            return
        old, self.surface = self.surface, self._make(name)
        self._room.removeWidget(old)
        old.hide()
        old.deleteLater()

    def _on_broken(self, why: str) -> None:
        """OpenGL failed here, so it is given up everywhere before it fails there too."""
        log.warning("OpenGL gave up, painting without it: %s", why)
        renderer.use(renderer.Choice("raster", f"OpenGL failed: {why}"))
        for canvas in self.window().findChildren(Canvas):
            canvas.set_painter("raster")
        self.set_painter("raster")

    def grab_sharp(self) -> QImage:
        """A picture of the canvas with every tile exact, however long it takes."""
        device = self.device_rect()
        image = QImage(device.size(), QImage.Format.Format_RGB32)
        paint_scene(self, image, device)
        return image
