"""The painter for hardware OpenGL: a scene through the texture arrays of gl_tiles.py, words and marks by QPainter.

Made only after the probe said yes (renderer.py). If OpenGL fails all the same, `broken` is emitted and the canvas
goes on without it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable
from typing import TYPE_CHECKING

import OpenGL

OpenGL.ERROR_CHECKING = False  # one question after each frame instead of one per call
OpenGL.ERROR_LOGGING = False

from OpenGL import GL  # noqa: E402 - the switches above must come first
from PySide6.QtCore import QRect, QTimer, Signal  # noqa: E402
from PySide6.QtGui import QPainter, QSurfaceFormat  # noqa: E402
from PySide6.QtOpenGLWidgets import QOpenGLWidget  # noqa: E402

from app import theme  # noqa: E402
from app.viewer.gl_tiles import (  # noqa: E402
    GUTTER,
    Layers,
    Program,
    level_layers,
    level_unit,
    level_values,
    screen_layers,
)
from app.viewer.scene import Picture  # noqa: E402
from app.viewer.tiles import LEVEL_TILE, SCREEN_TILE, Box, TileSource, boxes_in  # noqa: E402

if TYPE_CHECKING:
    from app.viewer.canvas import Canvas

log = logging.getLogger(__name__)

UPLOADS = 12  # tiles to the graphics card per frame, once the time is up
VERSION = (3, 3)


class GLCanvas(QOpenGLWidget):
    """Paints the scene of a Canvas with OpenGL."""

    painted = Signal(bool)
    broken = Signal(str)
    name = "gl"

    def __init__(self, canvas: Canvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._program: Program | None = None
        self._screen: Layers | None = None
        self._levels: Layers | None = None
        self._failed = False
        wanted = QSurfaceFormat()
        wanted.setVersion(*VERSION)
        wanted.setProfile(QSurfaceFormat.OpenGLContextProfile.CoreProfile)
        wanted.setStencilBufferSize(8)  # QPainter clips with it
        self.setFormat(wanted)

    def refresh(self) -> None:
        """Paint in the next turn of the event loop."""
        self.update()

    def pan_by(self, dx: int, dy: int) -> None:
        """All of it is drawn anew: that is what the graphics card is for."""
        self.update()

    def forget(self) -> None:
        """Nothing to do: old layers are taken first, and their memory is fixed."""

    # -- OpenGL -------------------------------------------------------------------------------------------

    def initializeGL(self) -> None:
        try:
            self._program = Program()
            self._levels = level_layers()
            self._screen = None
            self.context().aboutToBeDestroyed.connect(self._forget)
        except Exception as err:  # whatever the driver throws: the raster painter takes over
            self._give_up(err)

    def _forget(self) -> None:
        """The context goes (another window, another screen): its objects go with it."""
        self._program = self._screen = self._levels = None

    def paintGL(self) -> None:
        if self._failed or self._program is None:
            return
        exact = True
        try:
            self._canvas.layout_panels()
            exact = self._paint(self._program)
            self._paint_over()
            error = GL.glGetError()
            if error == GL.GL_OUT_OF_MEMORY:
                raise MemoryError("the graphics card has no memory left")
        except Exception as err:
            self._give_up(err)
            return
        if not exact and not self._canvas.moving:
            QTimer.singleShot(0, self.update)
        self.painted.emit(exact)

    def _give_up(self, err: Exception) -> None:
        if not self._failed:
            self._failed = True
            log.warning("OpenGL failed", exc_info=err)
            QTimer.singleShot(0, lambda: self.broken.emit(str(err)))

    def _paint(self, program: Program) -> bool:
        canvas = self._canvas
        device = canvas.device_rect()
        ground = theme.stage()
        GL.glDisable(GL.GL_BLEND)
        GL.glDisable(GL.GL_DEPTH_TEST)
        GL.glDisable(GL.GL_SCISSOR_TEST)
        GL.glViewport(0, 0, device.width(), device.height())
        GL.glClearColor(ground.redF(), ground.greenF(), ground.blueF(), 1.0)
        GL.glClear(GL.GL_COLOR_BUFFER_BIT)
        deadline = canvas.deadline()
        exact = True
        program.begin(device.width(), device.height())
        GL.glEnable(GL.GL_SCISSOR_TEST)
        for picture in canvas.scene.pictures(device):
            clip = picture.clip
            GL.glScissor(clip.left(), device.height() - clip.bottom() - 1, clip.width(), clip.height())
            source = canvas.source(picture.pyramid, picture.minus)
            exact = self._paint_picture(program, picture, source, deadline) and exact
        GL.glDisable(GL.GL_SCISSOR_TEST)
        program.end()
        return exact

    def _paint_over(self) -> None:
        canvas = self._canvas
        painter = QPainter(self)
        try:
            painter.scale(1 / canvas.ratio, 1 / canvas.ratio)
            device = canvas.device_rect()
            painter.setClipRect(device)
            canvas.scene.draw_over(painter, device, canvas.style_now())
        finally:
            painter.end()

    def _paint_picture(self, program: Program, picture: Picture, source: TileSource, deadline: float) -> bool:
        """Level tiles below whatever is not exact yet; False while there is such a part."""
        model = self._canvas.model
        left, top = model.origin
        left, top = left + picture.panel.left(), top + picture.panel.top()
        height, width = source.zoomed_size(model.zoom)
        seen = picture.clip.translated(-left, -top).intersected(QRect(0, 0, width, height))
        if seen.isEmpty():
            return True
        area = (seen.left(), seen.top(), seen.right() + 1, seen.bottom() + 1)
        # Of a preview nothing is made exact: in a moment there is something better.
        quick = self._canvas.moving or picture.pyramid.preview
        boxes = boxes_in(area, width, height, SCREEN_TILE)
        exact, complete = self._exact_tiles(source, model.zoom, boxes, deadline, quick)
        if not complete:
            self._draw_levels(program, picture, source, area, (left, top), deadline)
        instances = [
            [left + x0, top + y0, left + x1, top + y1, 0.0, 0.0, x1 - x0, y1 - y0, layer]
            for (x0, y0, x1, y1), layer in exact
        ]
        if self._screen is not None:
            program.draw(self._screen, picture.look, instances, (1.0, 0.0), smoothly=False)
        return complete or picture.pyramid.preview

    def _exact_tiles(
        self, source: TileSource, zoom: float, boxes: list[Box], deadline: float, quick: bool
    ) -> tuple[list[tuple[Box, int]], bool]:
        if self._screen is None:
            device = self._canvas.device_rect()
            self._screen = screen_layers(device.width() * device.height())
        keys: dict[Hashable, Box] = {(source.serial, zoom, box): box for box in boxes}
        wanted = set(keys)
        found, complete = [], True
        for key, box in keys.items():
            layer = self._screen.get(key)
            if layer is None and not quick and time.perf_counter() < deadline:
                layer = self._screen.put(key, source.screen(zoom, box), wanted)
            if layer is None:
                complete = False
            else:
                found.append((box, layer))
        return found, complete

    def _draw_levels(
        self,
        program: Program,
        picture: Picture,
        source: TileSource,
        area: Box,
        origin: tuple[int, int],
        deadline: float,
    ) -> None:
        zoom = self._canvas.model.zoom
        number = source.quick_level(zoom)
        unit = level_unit(source)
        draft = source.draft_level()
        for level in (draft, number) if draft > number else (number,):
            scale = zoom * 2**level
            instances = []
            for box, layer in self._level_tiles(source, level, area, scale, unit, deadline, level == draft):
                x0, y0, x1, y1 = box
                target = [
                    origin[0] + x0 * scale,
                    origin[1] + y0 * scale,
                    origin[0] + x1 * scale,
                    origin[1] + y1 * scale,
                ]
                part = [GUTTER, GUTTER, GUTTER + x1 - x0, GUTTER + y1 - y0]
                instances.append([*target, *part, layer])
            if self._levels is not None:
                smoothly = level > 0 or zoom < 1
                program.draw(self._levels, picture.look, instances, unit, smoothly)

    def _level_tiles(
        self,
        source: TileSource,
        number: int,
        area: Box,
        scale: float,
        unit: tuple[float, float],
        deadline: float,
        always: bool,
    ) -> list[tuple[Box, int]]:
        """Tiles of a level under `area` (pixels of the zoomed picture), with their layers."""
        ny, nx = source.level_shape(number)
        part = (
            max(0, int(area[0] / scale)),
            max(0, int(area[1] / scale)),
            min(nx, int(area[2] / scale) + 1),
            min(ny, int(area[3] / scale) + 1),
        )
        found, uploads = [], 0
        keys: dict[Hashable, Box] = {
            (source.serial, "level", number, box): box for box in boxes_in(part, nx, ny, LEVEL_TILE)
        }
        wanted = set(keys)
        if self._levels is None:
            return []
        for key, box in keys.items():
            layer = self._levels.get(key)
            if layer is None and (always or uploads < UPLOADS or time.perf_counter() < deadline):
                layer = self._levels.put(key, level_values(source, number, box, unit), wanted)
                uploads += 1
            if layer is not None:
                found.append((box, layer))
        return found
