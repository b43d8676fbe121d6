"""Dragging the line of the swipe comparison."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QMouseEvent

from app.viewer.canvas import Canvas
from app.viewer.compare_scene import CompareScene

_GRIP = 7  # logical pixels on either side of the line that take hold of it


class DividerGrip(QObject):
    """Install after the gestures: filters installed last are asked first."""

    def __init__(self, canvas: Canvas, scene: CompareScene) -> None:
        super().__init__(canvas)
        self._canvas, self._scene = canvas, scene
        self._held = False
        canvas.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        canvas, scene = self._canvas, self._scene
        if not isinstance(event, QMouseEvent) or scene.mode != "swipe":
            self._held = False
            return False
        x = event.position().x()
        near = abs(x - scene.divider_x(canvas.device_rect()) / canvas.ratio) <= _GRIP
        kind = event.type()
        if kind == QEvent.Type.MouseButtonPress and event.button() == Qt.MouseButton.LeftButton and near:
            self._held = True
            return True
        if kind == QEvent.Type.MouseMove:
            if self._held:
                scene.set_divider(x / max(1, canvas.width()))
                return True
            if not event.buttons():
                canvas.setCursor(Qt.CursorShape.SplitHCursor if near else Qt.CursorShape.ArrowCursor)
        if kind == QEvent.Type.MouseButtonRelease and self._held:
            self._held = False
            return True
        return False
