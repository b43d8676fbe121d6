"""Mouse, wheel and keys on a canvas -> changes of the view model and picking signals.

An event filter, so that every canvas (raster now, OpenGL later) behaves the same. Positions are handed out in
image pixels. What a click means for the picks is decided by the tabs.
"""

from __future__ import annotations

from typing import Protocol

from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget

from app.viewer.view_model import WHEEL_STEP, ViewModel

_ARROWS = {
    Qt.Key.Key_Left: (1, 0),
    Qt.Key.Key_Right: (-1, 0),
    Qt.Key.Key_Up: (0, 1),
    Qt.Key.Key_Down: (0, -1),
}
_ERASERS = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier


class Canvas(Protocol):
    """What gestures need to know of a canvas."""

    @property
    def model(self) -> ViewModel:
        """The shared view."""
        ...

    @property
    def ratio(self) -> float:
        """Device pixels per logical pixel."""
        ...

    def to_view(self, position: QPointF) -> QPointF:
        """Widget position (logical) -> device pixels of the panel below it."""
        ...


class Gestures(QObject):
    """Install with `Gestures(canvas_widget)`; connect its signals."""

    clicked = Signal(float, float, object)  # x, y, modifiers
    erase_requested = Signal(float, float)
    drag_started = Signal(float, float)
    dragged = Signal(float, float)
    drag_finished = Signal(float, float)
    hovered = Signal(float, float)  # also outside the image; nan, nan when the pointer leaves
    size_step = Signal(int)
    auto_contrast = Signal()
    invert = Signal()

    def __init__(self, widget: QWidget, canvas: Canvas) -> None:
        super().__init__(widget)
        self._widget, self._canvas = widget, canvas
        self.picking = False
        self._space = False
        self._action = ""  # "", pan, click, drag, erase
        self._press = QPointF()
        self._panned = QPoint()
        widget.setMouseTracking(True)
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(self)

    @property
    def model(self) -> ViewModel:
        """The view these gestures move."""
        return self._canvas.model

    def set_picking(self, on: bool) -> None:
        """Whether a plain left click picks (and only then)."""
        self.picking = on
        self._show_cursor()

    # -- events -------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is not self._widget:
            return False
        if isinstance(event, QWheelEvent):
            return self._wheel(event)
        if isinstance(event, QMouseEvent):
            return self._mouse(event)
        if isinstance(event, QKeyEvent):
            return self._key(event)
        if event.type() == QEvent.Type.Leave:
            self.hovered.emit(float("nan"), float("nan"))
        elif event.type() == QEvent.Type.FocusOut:
            self._space = False
            self._show_cursor()
        return False

    def _image_position(self, position: QPointF) -> tuple[float, float]:
        view = self._canvas.to_view(position)
        return self.model.to_image(view.x(), view.y())

    def _wheel(self, event: QWheelEvent) -> bool:
        delta = event.angleDelta().y() or event.pixelDelta().y()
        if not delta:
            return True
        if self.picking and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.size_step.emit(1 if delta > 0 else -1)
            return True
        view = self._canvas.to_view(event.position())
        self.model.zoom_at(WHEEL_STEP ** (delta / 120), view.x(), view.y())
        self._hover(event.position())
        return True

    def _mouse(self, event: QMouseEvent) -> bool:
        kind = event.type()
        if kind == QEvent.Type.MouseButtonPress:
            return self._pressed(event)
        if kind == QEvent.Type.MouseMove:
            return self._moved(event)
        if kind == QEvent.Type.MouseButtonRelease:
            return self._released(event)
        if kind == QEvent.Type.MouseButtonDblClick:
            if event.button() == Qt.MouseButton.LeftButton and not self.picking:
                self._action = ""
                self.model.fit()
            return True  # while picking, the second click of a double click must not add a second box
        return False

    def _pressed(self, event: QMouseEvent) -> bool:
        if self._action:
            return True
        left = event.button() == Qt.MouseButton.LeftButton
        self._press, self._panned = event.position(), QPoint()
        if event.button() == Qt.MouseButton.MiddleButton or (left and (self._space or not self.picking)):
            self._action = "pan"
        elif left and event.modifiers() & _ERASERS:
            self._action = "erase"
            self._erase(event.position())
        elif left:
            self._action = "click"
        else:
            return False
        self._show_cursor()
        return True

    def _moved(self, event: QMouseEvent) -> bool:
        position = event.position()
        if self._action == "pan":
            # From the press on, in whole device pixels: fractions neither add up nor get lost.
            whole = ((position - self._press) * self._canvas.ratio).toPoint()
            step, self._panned = whole - self._panned, whole
            if not step.isNull():
                self.model.pan(step.x(), step.y())
        elif self._action == "erase":
            self._erase(position)
        elif self._action == "click":
            if (position - self._press).manhattanLength() >= QApplication.startDragDistance():
                self._action = "drag"
                self._emit_inside(self.drag_started, self._press)
                self.dragged.emit(*self._image_position(position))
        elif self._action == "drag":
            self.dragged.emit(*self._image_position(position))
        self._hover(position)
        return True

    def _released(self, event: QMouseEvent) -> bool:
        action, self._action = self._action, ""
        if action == "click":
            x, y = self._image_position(event.position())
            if self.model.contains(x, y):
                self.clicked.emit(x, y, event.modifiers())
        elif action == "drag":
            self.drag_finished.emit(*self._image_position(event.position()))
        self._show_cursor()
        return True

    def _erase(self, position: QPointF) -> None:
        self._emit_inside(self.erase_requested, position)

    def _emit_inside(self, signal: object, position: QPointF) -> None:
        x, y = self._image_position(position)
        if self.model.contains(x, y):
            signal.emit(x, y)  # type: ignore[attr-defined]

    def _hover(self, position: QPointF) -> None:
        self.hovered.emit(*self._image_position(position))

    # -- keys ---------------------------------------------------------------------------------------------

    def _key(self, event: QKeyEvent) -> bool:
        pressed = event.type() == QEvent.Type.KeyPress
        if event.key() == Qt.Key.Key_Space and event.type() in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            if not event.isAutoRepeat():
                self._space = pressed
                self._show_cursor()
            return True
        plain = event.modifiers() & ~(Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.KeypadModifier)
        if not pressed or plain != Qt.KeyboardModifier.NoModifier:
            return False
        return self._act(Qt.Key(event.key()))

    def _act(self, key: Qt.Key) -> bool:
        model = self.model
        if key in _ARROWS:
            dx, dy = _ARROWS[key]
            step = max(1, min(model.viewport) // 10)
            model.pan(dx * step, dy * step)
        elif key == Qt.Key.Key_F:
            model.fit()
        elif key == Qt.Key.Key_1:
            model.set_zoom(1.0)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            model.set_zoom(model.zoom * WHEEL_STEP)
        elif key in (Qt.Key.Key_Minus, Qt.Key.Key_Underscore):
            model.set_zoom(model.zoom / WHEEL_STEP)
        elif key == Qt.Key.Key_A:
            self.auto_contrast.emit()
        elif key == Qt.Key.Key_I:
            self.invert.emit()
        else:
            return False
        return True

    def _show_cursor(self) -> None:
        if self._action == "pan":
            shape = Qt.CursorShape.ClosedHandCursor
        elif self._space:
            shape = Qt.CursorShape.OpenHandCursor
        elif self.picking:
            shape = Qt.CursorShape.CrossCursor
        else:
            shape = Qt.CursorShape.ArrowCursor
        self._widget.setCursor(shape)
