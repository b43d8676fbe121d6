"""The widget that draws surfaces of maps by OpenGL. Import it only where the probe said that it works (renderer.py).

It draws into memory of its own and paints that picture as any widget does: a QOpenGLWidget would make the window
composite everything by OpenGL from then on, which in software slows down all the other pictures, and would blank them
if the driver fails. pyqtgraph gives the camera and the buffers; light and transparency are here. At first one looks
along +z with x to the right and y down, as sections and projections are shown; the hand is true.
"""

from __future__ import annotations

import logging
import math
from typing import cast

import OpenGL

OpenGL.ERROR_CHECKING = False  # as for the pictures: the switches count for the whole process
OpenGL.ERROR_LOGGING = False

import pyqtgraph.opengl as gl  # noqa: E402 - the switches above must come first
from OpenGL import GL  # noqa: E402
from pyqtgraph.opengl.GLViewWidget import GLViewMixin  # noqa: E402
from pyqtgraph.opengl.shaders import FragmentShader, ShaderProgram, VertexShader  # noqa: E402
from PySide6.QtCore import QEvent, Qt, Signal  # noqa: E402
from PySide6.QtGui import (  # noqa: E402
    QColor,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QOffscreenSurface,
    QOpenGLContext,
    QPainter,
    QPaintEvent,
    QQuaternion,
    QResizeEvent,
    QSurfaceFormat,
    QVector3D,
    QWheelEvent,
)
from PySide6.QtOpenGL import QOpenGLFramebufferObject, QOpenGLFramebufferObjectFormat  # noqa: E402
from PySide6.QtWidgets import QWidget  # noqa: E402

from app import theme  # noqa: E402
from core.volumes.surface import Mesh  # noqa: E402

log = logging.getLogger(__name__)

VERSION = (3, 3)  # what the probe asked for
FIELD_DEG = 22.0  # of view, horizontally: little perspective
FRONT = QQuaternion.fromAxisAndAngle(1.0, 0.0, 0.0, 180.0)  # y down, z away from the viewer
_WHEEL_STEP = 1.15
_TURN_DEG = 5.0  # of an arrow key
_VERTEX = """#version 330 core
uniform mat4 u_mvp;
uniform mat3 u_normal;
in vec4 a_position;
in vec3 a_normal;
in vec4 a_color;
out vec3 v_normal;
out vec4 v_color;
void main() {
    v_normal = u_normal * a_normal;
    v_color = a_color;
    gl_Position = u_mvp * a_position;
}
"""
_FRAGMENT = """#version 330 core
in vec3 v_normal;
in vec4 v_color;
out vec4 colour;
void main() {
    vec3 n = normalize(v_normal);
    if (n.z < 0.0) n = -n;  // the inside is lit as well
    vec3 light = normalize(vec3(-0.4, 0.5, 0.8));
    float diffuse = max(dot(n, light), 0.0);
    float gloss = pow(max(dot(n, normalize(light + vec3(0.0, 0.0, 1.0))), 0.0), 30.0);
    vec3 rgb = v_color.rgb * (0.22 + 0.62 * diffuse + 0.16 * n.z) + vec3(0.14 * gloss);
    colour = vec4(rgb, v_color.a);
}
"""
_ARROWS = {
    Qt.Key.Key_Left: (0.0, -1.0),
    Qt.Key.Key_Right: (0.0, 1.0),
    Qt.Key.Key_Up: (-1.0, 0.0),
    Qt.Key.Key_Down: (1.0, 0.0),
}


class SurfaceItem(gl.GLMeshItem):
    """One mesh. A translucent one shows only its nearest layer: the depths are painted before the colours."""

    def __init__(self, mesh: Mesh, colour: QColor, opacity: float, shader: ShaderProgram) -> None:
        self.mesh, self._colour, self._translucent = mesh, QColor(colour), False
        data = gl.MeshData(vertexes=mesh.vertices, faces=mesh.faces)
        data._vertexNormals = mesh.normals  # made in a worker; pyqtgraph would make them in the window's thread
        if mesh.colours is not None:
            data.setVertexColors(mesh.colours)
        super().__init__(meshdata=data, smooth=True, shader=shader)
        self.set_opacity(opacity)

    def set_opacity(self, opacity: float) -> None:
        """0 .. 1; colours of a companion stay opaque. Opaque surfaces are painted first: they are to shine through."""
        self._translucent = opacity < 1.0 and self.mesh.colours is None
        self.setColor((self._colour.redF(), self._colour.greenF(), self._colour.blueF(), opacity))
        self.setGLOptions("translucent" if self._translucent else "opaque")
        self.setDepthValue(int(self._translucent))

    def paint(self) -> None:
        view = self.view()
        try:
            if self._translucent:
                GL.glColorMask(False, False, False, False)
                super().paint()
                GL.glColorMask(True, True, True, True)
                GL.glDepthFunc(GL.GL_LEQUAL)
            super().paint()
            GL.glDepthFunc(GL.GL_LESS)
        except Exception as err:  # whatever the driver throws: the window goes on without the surface
            if isinstance(view, SurfaceGL):
                view.give_up(err)


class SurfaceGL(GLViewMixin, QWidget):
    """Up to two surfaces, each coarse while something moves and fine at rest."""

    turned = Signal()  # the view changes
    broken = Signal(str)

    def __init__(self, parent: QWidget | None = None, samples: int = 0) -> None:
        """`samples`: of a pixel, for smooth edges; 0 where OpenGL is done in software."""
        super().__init__(parent, rotationMethod="quaternion")
        self._samples = samples
        self._context: QOpenGLContext | None = None
        self._place_to_draw: QOffscreenSurface | None = None
        self._frame: QOpenGLFramebufferObject | None = None
        self._meshes: dict[tuple[int, str], SurfaceItem] = {}
        self._shader = ShaderProgram("surface of a map", [VertexShader(_VERTEX), FragmentShader(_FRAGMENT)])
        self._coarse = False
        self._radius, self._zoom = 100.0, 1.0
        self._failed = False
        self.setCameraParams(fov=FIELD_DEG)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(self.fontMetrics().averageCharWidth() * 16, self.fontMetrics().height() * 4)
        self.setAccessibleName("Surface of the map")
        self._colour_ground()
        self.reset_view()

    # -- what is drawn ------------------------------------------------------------------------------------

    def set_mesh(self, place: int, quality: str, mesh: Mesh | None, colour: QColor, opacity: float = 1.0) -> None:
        """Mesh of the first (0) or second (1) surface; `quality`: coarse or fine. None takes it away."""
        old = self._meshes.pop((place, quality), None)
        if old is not None:
            self.removeItem(old)
        if mesh is not None and mesh.triangles:
            item = self._meshes[(place, quality)] = SurfaceItem(mesh, colour, opacity, self._shader)
            self.addItem(item)
        self._arrange()

    def set_opacity(self, place: int, opacity: float) -> None:
        """Of a surface, 0 .. 1."""
        for (where, _), item in self._meshes.items():
            if where == place:
                item.set_opacity(opacity)
        self.update()

    def drawn(self, place: int) -> Mesh | None:
        """The mesh that is seen now."""
        item = self._meshes.get((place, self._quality(place)))
        return item.mesh if item is not None else None

    def show_coarse(self, on: bool) -> None:
        """Draw the coarse meshes, where there are any, or the fine ones."""
        if on != self._coarse:
            self._coarse = on
            self._arrange()

    def _quality(self, place: int) -> str:
        order = ("coarse", "fine") if self._coarse else ("fine", "coarse")
        return next((quality for quality in order if (place, quality) in self._meshes), "fine")

    def _arrange(self) -> None:
        """Only one mesh of each surface is seen; the other one stays in the graphics memory."""
        for (place, quality), item in self._meshes.items():
            item.setVisible(quality == self._quality(place))
        self.update()

    # -- OpenGL -------------------------------------------------------------------------------------------

    def isValid(self) -> bool:
        """Whether there is a context; pyqtgraph asks."""
        return self._context is not None

    def context(self) -> QOpenGLContext | None:
        """The context; pyqtgraph asks."""
        return self._context

    def _start(self) -> None:
        """Make the context; items are initialised in it."""
        wanted = QSurfaceFormat()
        wanted.setVersion(*VERSION)
        wanted.setProfile(QSurfaceFormat.OpenGLContextProfile.CoreProfile)
        context, place = QOpenGLContext(self), QOffscreenSurface(None, self)
        context.setFormat(wanted)
        place.setFormat(wanted)
        place.create()
        if not context.create() or not context.makeCurrent(place):
            raise RuntimeError("no OpenGL context")
        self._context, self._place_to_draw = context, place
        self.initializeGL()

    def grab_frame(self) -> QImage:
        """Draw now: RGB32 in device pixels. Raises what the driver throws."""
        if self._context is None or self._place_to_draw is None:
            self._start()
        elif not self._context.makeCurrent(self._place_to_draw):
            raise RuntimeError("the OpenGL context was lost")
        try:
            width, height = max(1, self.deviceWidth()), max(1, self.deviceHeight())
            if self._frame is None or (self._frame.width(), self._frame.height()) != (width, height):
                form = QOpenGLFramebufferObjectFormat()
                form.setAttachment(QOpenGLFramebufferObject.Attachment.CombinedDepthStencil)
                form.setSamples(self._samples)
                self._frame = QOpenGLFramebufferObject(width, height, form)
            if not self._frame.bind():
                raise RuntimeError("OpenGL has no memory for the picture")
            GL.glViewport(0, 0, width, height)
            region = self.getViewport()
            self.paint(region=region, viewport=region)
            return self._frame.toImage().convertToFormat(QImage.Format.Format_RGB32)
        finally:
            if self._frame is not None:
                self._frame.release()
            if self._context is not None:
                self._context.doneCurrent()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        try:
            if self._failed or not self.width() or not self.height():
                raise RuntimeError("nothing to draw on")
            painter.drawImage(self.rect(), self.grab_frame())
        except Exception as err:  # whatever the driver throws: the window goes on without the surface
            painter.fillRect(self.rect(), theme.stage())
            self.give_up(err)
        finally:
            painter.end()

    def give_up(self, err: Exception) -> None:
        """OpenGL failed: say so once."""
        if not self._failed:
            self._failed = True
            log.warning("the surface cannot be drawn: %s", err)
            self.broken.emit(str(err))

    # -- camera -------------------------------------------------------------------------------------------

    def reset_view(self, radius_a: float | None = None) -> None:
        """From the front, all of a sphere of this radius in sight."""
        self._radius = radius_a or self._radius
        self._zoom = 1.0
        self.setCameraParams(center=QVector3D(0.0, 0.0, 0.0), rotation=FRONT)
        self._place()

    def _place(self) -> None:
        across = math.tan(math.radians(FIELD_DEG / 2))
        angle = math.atan(across * min(1.0, self.height() / max(1, self.width())))
        self.setCameraParams(distance=1.05 * self._radius / math.sin(angle) / self._zoom)

    @property
    def rotation(self) -> QQuaternion:
        """From the map's axes to the screen's: x right, y up, z towards the viewer."""
        return cast(QQuaternion, self.cameraParams()["rotation"])

    def turn(self, about_x_deg: float, about_y_deg: float) -> None:
        """Turn the map about the horizontal and the vertical axis of the screen."""
        turn = QQuaternion.fromEulerAngles(about_x_deg, about_y_deg, 0.0)
        self.setCameraParams(rotation=(turn * self.rotation).normalized())
        self.turned.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place()

    def mouseMoveEvent(self, ev: QMouseEvent) -> None:
        buttons = ev.buttons()
        moved = ev.position() - getattr(self, "mousePos", ev.position())
        self.mousePos = ev.position()
        shift = bool(ev.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if buttons == Qt.MouseButton.LeftButton and not shift:
            self.turn(moved.y() * 0.5, moved.x() * 0.5)
        elif buttons:
            self.pan(moved.x(), moved.y(), 0, relative="view")
            self.turned.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.reset_view()
        self.turned.emit()

    def wheelEvent(self, ev: QWheelEvent) -> None:
        delta = ev.angleDelta().y() or ev.angleDelta().x()
        self._zoom = min(max(self._zoom * _WHEEL_STEP ** (delta / 120), 0.1), 50.0)
        self._place()
        self.turned.emit()
        ev.accept()

    def keyPressEvent(self, ev: QKeyEvent) -> None:
        key = Qt.Key(ev.key())
        if key in _ARROWS:
            about_x, about_y = _ARROWS[key]
            self.turn(about_x * _TURN_DEG, about_y * _TURN_DEG)
        elif key in (Qt.Key.Key_F, Qt.Key.Key_0):
            self.reset_view()
        else:
            QWidget.keyPressEvent(self, ev)

    def keyReleaseEvent(self, ev: QKeyEvent) -> None:
        QWidget.keyReleaseEvent(self, ev)

    # -- colours of the theme -----------------------------------------------------------------------------

    def _colour_ground(self) -> None:
        self.setBackgroundColor(theme.stage())

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._colour_ground()
