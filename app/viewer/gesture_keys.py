"""The keys of a canvas: part of gestures.py. N, P, Ctrl+Z and the like are shortcuts of the tabs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent

from app.viewer.view_model import WHEEL_STEP

if TYPE_CHECKING:
    from app.viewer.gestures import Gestures

Key = Qt.Key
ARROWS = {Key.Key_Left: (-1, 0), Key.Key_Right: (1, 0), Key.Key_Up: (0, -1), Key.Key_Down: (0, 1)}
COMMAS = {Key.Key_Comma: -1, Key.Key_Period: 1, Key.Key_Less: -1, Key.Key_Greater: 1}
LOOKS = {  # keys that change the view alone
    "F": Key.Key_F,
    "1": Key.Key_1,
    "A": Key.Key_A,
    "I": Key.Key_I,
    "+": Key.Key_Plus,
    "=": Key.Key_Equal,
    "-": Key.Key_Minus,
    ",": Key.Key_Comma,
    ".": Key.Key_Period,
}
FAR = 10  # px that Shift + arrow moves


class Keys:
    """Turns key events into calls and signals of the gestures they belong to."""

    def __init__(self, gestures: Gestures) -> None:
        self._gestures = gestures

    def handle(self, event: QKeyEvent) -> bool:
        """Whether the event was used."""
        gestures = self._gestures
        pressed = event.type() == QEvent.Type.KeyPress
        if event.key() == Key.Key_Space and event.type() in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            if not event.isAutoRepeat():
                gestures.space = pressed
                gestures.show_cursor()
            return True
        plain = event.modifiers() & ~(Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.KeypadModifier)
        if not pressed or plain != Qt.KeyboardModifier.NoModifier:
            return False
        key = Key(event.key())
        if key in ARROWS:
            self._arrow(*ARROWS[key], bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
            return True
        return self._edit(key) or self.look(key)

    def _arrow(self, dx: int, dy: int, shift: bool) -> None:
        gestures = self._gestures
        if gestures.picking and gestures.has_selection():
            far = FAR if shift else 1
            gestures.nudged.emit(dx * far, dy * far)
            return
        model = gestures.model
        step = max(1, min(model.viewport) // 10)
        model.pan(-dx * step, -dy * step)

    def _edit(self, key: Qt.Key) -> bool:
        gestures = self._gestures
        drawing = gestures.tool == "polygon" and bool(gestures.polygon.corners)
        if key == Key.Key_Escape:
            if drawing:
                gestures.polygon.cancel()
            elif gestures.tool != "pick":
                gestures.measure_cleared.emit()
                gestures.set_tool("pick")
            else:
                gestures.measure_cleared.emit()
                gestures.deselect_requested.emit()
                return gestures.picking
        elif drawing and key in (Key.Key_Return, Key.Key_Enter):
            gestures.polygon.close()
        elif drawing and key == Key.Key_Backspace:
            gestures.polygon.back()
        elif gestures.picking and key in (Key.Key_Delete, Key.Key_Backspace):
            gestures.delete_requested.emit()
        else:
            return False
        return True

    def look(self, key: Qt.Key) -> bool:
        """Change the view: one of LOOKS. Whether the key is one of them."""
        gestures = self._gestures
        model = gestures.model
        if key == Key.Key_F:
            model.fit()
        elif key == Key.Key_1:
            model.set_zoom(1.0)
        elif key in (Key.Key_Plus, Key.Key_Equal):
            model.set_zoom(model.zoom * WHEEL_STEP)
        elif key in (Key.Key_Minus, Key.Key_Underscore):
            model.set_zoom(model.zoom / WHEEL_STEP)
        elif key == Key.Key_A:
            gestures.auto_contrast.emit()
        elif key == Key.Key_I:
            gestures.invert.emit()
        elif key in COMMAS:
            size = gestures.picking and gestures.scheme.comma == "size"
            (gestures.size_step if size else gestures.contrast_step).emit(COMMAS[key])
        else:
            return False
        return True
