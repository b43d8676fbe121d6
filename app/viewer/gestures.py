"""Mouse, wheel and keys on a canvas -> changes of the view model and signals. What a press means: schemes.py.

An event filter, so that every canvas behaves the same. Positions are handed out in image pixels. What a click
does to the picks is decided by the tabs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget

from app.viewer.gesture_keys import Keys
from app.viewer.polygon_tool import PolygonTool
from app.viewer.schemes import DEFAULT, LEFT, MIDDLE, MODIFIERS, RIGHT, TOOLS, Bind, Scheme
from app.viewer.view_model import WHEEL_STEP, ViewModel

_PAN = Bind("", "pan")
_CLOSE_PX = 8  # logical pixels around a polygon's first corner that close it
_CURSORS = {
    "hand": Qt.CursorShape.OpenHandCursor,
    "measure": Qt.CursorShape.CrossCursor,
    "polygon": Qt.CursorShape.CrossCursor,
    "select": Qt.CursorShape.ArrowCursor,
}


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
    """Install with `Gestures(canvas_widget, canvas)`; connect its signals.

    Whoever picks sets `hit` (is there a box at x, y?) and `has_selection` (do arrows move boxes?).
    """

    clicked = Signal(float, float, object)  # add here: x, y, modifiers
    select_requested = Signal(float, float, object)  # a box was clicked, or empty ground: x, y, modifiers
    erase_started = Signal()  # then erase_requested once or more, then erase_finished: one stroke
    erase_requested = Signal(float, float)
    erase_finished = Signal()
    drag_started = Signal(float, float)
    dragged = Signal(float, float)
    drag_finished = Signal(float, float)
    band_changed = Signal(float, float, float, float)  # frame of the selection: x0, y0, x1, y1
    band_finished = Signal(float, float, float, float, object)  # ... and modifiers
    measured = Signal(float, float, float, float)  # x0, y0, x1, y1, while dragging and at its end
    measure_cleared = Signal()
    menu_requested = Signal(float, float, QPoint)  # x, y, place on the screen
    hovered = Signal(float, float)  # also outside the image; nan, nan when the pointer leaves
    size_step = Signal(int)
    contrast_step = Signal(int)  # +1: more contrast
    nudged = Signal(int, int)  # selected boxes by dx, dy px
    delete_requested = Signal()  # what is selected
    deselect_requested = Signal()
    tool_changed = Signal(str)
    auto_contrast = Signal()
    invert = Signal()

    def __init__(self, widget: QWidget, canvas: Canvas) -> None:
        super().__init__(widget)
        self._widget, self._canvas = widget, canvas
        self.picking = False
        self.tool = "pick"
        self.scheme: Scheme = DEFAULT
        self.polygon = PolygonTool(self)
        self.hit: Callable[[float, float], bool] | None = None
        self.has_selection: Callable[[], bool] = lambda: False
        self.space = False
        self.keys = Keys(self)
        self._bind = Bind()
        self._button = Qt.MouseButton.NoButton
        self._action = ""  # "", wait, or a drag of schemes.Bind
        self._press = QPointF()
        self._panned = QPoint()
        self._pointer = (math.nan, math.nan)
        widget.setMouseTracking(True)
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(self)

    @property
    def model(self) -> ViewModel:
        """The view these gestures move."""
        return self._canvas.model

    def set_picking(self, on: bool) -> None:
        """Whether the buttons pick (and only then); otherwise the left one pans."""
        self.picking = on
        self.show_cursor()

    def set_scheme(self, scheme: Scheme) -> None:
        """What the buttons do while picking."""
        self.scheme = scheme

    def set_tool(self, tool: str) -> None:
        """pick, select, polygon, hand or measure: what the left button does."""
        if tool not in TOOLS:
            raise ValueError(f"tool must be one of {', '.join(TOOLS)}, not {tool}")
        if tool == self.tool:
            return
        self.polygon.cancel()
        self.tool = tool
        self.show_cursor()
        self.tool_changed.emit(tool)

    # -- events -------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is not self._widget:
            return False
        if isinstance(event, QWheelEvent):
            return self._wheel(event)
        if isinstance(event, QMouseEvent):
            return self._mouse(event)
        if isinstance(event, QKeyEvent):
            return self.keys.handle(event)
        if isinstance(event, QContextMenuEvent):
            return self._context(event)
        if event.type() == QEvent.Type.Leave:
            self._pointer = (math.nan, math.nan)
            self.hovered.emit(math.nan, math.nan)
        elif event.type() == QEvent.Type.FocusOut:
            self.space = False
            self.show_cursor()
        return False

    def _image_position(self, position: QPointF) -> tuple[float, float]:
        view = self._canvas.to_view(position)
        return self.model.to_image(view.x(), view.y())

    def _wheel(self, event: QWheelEvent) -> bool:
        delta = event.angleDelta().y() or event.angleDelta().x() or event.pixelDelta().y()  # Alt turns the wheel
        if not delta:
            return True
        what = self.scheme.wheel.get(event.modifiers() & MODIFIERS, "zoom")
        if what == "size" and self.picking:
            self.size_step.emit(1 if delta > 0 else -1)
        elif what == "contrast":
            self.contrast_step.emit(1 if delta > 0 else -1)
        else:
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
            return self._double_clicked(event)
        return False

    def binding(self, button: Qt.MouseButton, modifiers: Qt.KeyboardModifier, x: float, y: float) -> Bind:
        """What a press at an image position does."""
        left = button == LEFT
        if left and self.space:
            return _PAN
        # Without `hit` nobody knows where boxes are: a click is on empty ground, a drag is on a box.
        on_box = self.hit is not None and self.hit(x, y)
        tool = TOOLS[self.tool] if left else None
        if tool is not None:
            return tool.on_box if on_box and tool.on_box is not None else tool
        if not self.picking:
            return _PAN if left or button == MIDDLE else Bind("menu") if button == RIGHT else Bind()
        bind = self.scheme.bind(button, modifiers, on_box)
        if self.hit is None and bind.on_box is not None:
            return Bind(bind.click, bind.on_box.drag)
        return bind

    def _pressed(self, event: QMouseEvent) -> bool:
        if self._action:
            return True
        self._press, self._panned, self._button = event.position(), QPoint(), event.button()
        self._bind = self.binding(event.button(), event.modifiers(), *self._image_position(self._press))
        if not self._bind.click and not self._bind.drag:
            return False
        self._action = "wait"
        if self._bind.drag == "erase" or (not self._bind.click and self._bind.drag == "pan"):
            self._begin(event)
        self.show_cursor()
        return True

    def _begin(self, event: QMouseEvent) -> None:
        """The press becomes a drag."""
        action = self._action = self._bind.drag
        if action == "erase":
            self.erase_started.emit()
            self._emit_inside(self.erase_requested, self._press)
        elif action == "add":
            x, y = self._image_position(self._press)
            if self.model.contains(x, y):
                self.clicked.emit(x, y, event.modifiers())
            self._action = "move"
        if self._action == "move":
            self._emit_inside(self.drag_started, self._press)

    def _moved(self, event: QMouseEvent) -> bool:
        position = event.position()
        if self._action == "wait":
            far = (position - self._press).manhattanLength() >= QApplication.startDragDistance()
            if far and self._bind.drag:
                self._begin(event)
                self.show_cursor()
        x, y = self._image_position(position)
        if self._action == "pan":
            # From the press on, in whole device pixels: fractions neither add up nor get lost.
            whole = ((position - self._press) * self._canvas.ratio).toPoint()
            step, self._panned = whole - self._panned, whole
            if not step.isNull():
                self.model.pan(step.x(), step.y())
        elif self._action == "erase":
            self._emit_inside(self.erase_requested, position)
        elif self._action == "move":
            self.dragged.emit(x, y)
        elif self._action == "band":
            self.band_changed.emit(*self._image_position(self._press), x, y)
        elif self._action == "measure":
            self.measured.emit(*self._image_position(self._press), x, y)
        elif self.tool == "polygon":
            self.polygon.hover(x, y)
        self._hover(position)
        return True

    def _released(self, event: QMouseEvent) -> bool:
        if event.button() != self._button:
            return True
        action, self._action = self._action, ""
        self._button = Qt.MouseButton.NoButton
        x, y = self._image_position(event.position())
        if action == "wait":
            self._click(self._bind.click, x, y, event)
        elif action == "move":
            self.drag_finished.emit(x, y)
        elif action == "erase":
            self.erase_finished.emit()
        elif action == "band":
            self.band_finished.emit(*self._image_position(self._press), x, y, event.modifiers())
        elif action == "measure":
            self.measured.emit(*self._image_position(self._press), x, y)
        self.show_cursor()
        return True

    def _click(self, action: str, x: float, y: float, event: QMouseEvent) -> None:
        if action == "menu":
            self.menu_requested.emit(x, y, event.globalPosition().toPoint())
        elif action == "clear":
            self.measure_cleared.emit()
        elif action == "vertex":
            self.polygon.add(x, y, _CLOSE_PX * self._canvas.ratio / self.model.zoom)
        elif action == "select":
            self.select_requested.emit(x, y, event.modifiers())
        elif action == "add" and self.model.contains(x, y):
            self.clicked.emit(x, y, event.modifiers())
        elif action == "erase":
            self.erase_started.emit()
            self._emit_inside(self.erase_requested, event.position())
            self.erase_finished.emit()

    def _double_clicked(self, event: QMouseEvent) -> bool:
        """Its first click did what a click does; the second one must not add or delete once more."""
        if event.button() == LEFT:
            self._action = ""
            if self.tool == "polygon":
                self.polygon.close()
            elif self.tool == "hand" or not self.picking or (self.tool == "pick" and self.scheme.double_click_fits):
                self.model.fit()
        return True

    def _context(self, event: QContextMenuEvent) -> bool:
        """The menu key; right clicks come as presses."""
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            x, y = self._pointer
            if math.isnan(x):
                x, y = self.model.centre
            self.menu_requested.emit(x, y, event.globalPos())
        return True

    def _emit_inside(self, signal: object, position: QPointF) -> None:
        x, y = self._image_position(position)
        if self.model.contains(x, y):
            signal.emit(x, y)  # type: ignore[attr-defined]

    def _hover(self, position: QPointF) -> None:
        self._pointer = self._image_position(position)
        if not self._action:
            self.show_cursor()
        self.hovered.emit(*self._pointer)

    def show_cursor(self) -> None:
        """The pointer says what a press would do."""
        if self._action == "pan":
            shape = Qt.CursorShape.ClosedHandCursor
        elif self.space:
            shape = Qt.CursorShape.OpenHandCursor
        elif self.tool in _CURSORS:
            shape = _CURSORS[self.tool]
        elif not self.picking:
            shape = Qt.CursorShape.ArrowCursor
        elif self._action == "move" or (self.hit is not None and self.hit(*self._pointer)):
            shape = Qt.CursorShape.SizeAllCursor
        else:
            shape = Qt.CursorShape.CrossCursor
        if self._widget.cursor().shape() != shape:
            self._widget.setCursor(shape)
