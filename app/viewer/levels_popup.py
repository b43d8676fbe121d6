"""Exact black and white levels: two number boxes in a small window that closes on a click elsewhere."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFormLayout, QFrame, QPushButton, QWidget

from app.widgets.labels import label
from app.widgets.number_boxes import FloatBox


class LevelsPopup(QFrame):
    """Emits `edited(black, white)` while numbers are typed that make sense, `automatic` for its button."""

    edited = Signal(float, float)
    automatic = Signal()

    def __init__(self, black: float, white: float, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setObjectName("card")
        self.setAccessibleName("Black and white level")
        self.black, self.white = FloatBox(None, None), FloatBox(None, None)
        for box, value, name in ((self.black, black, "Black"), (self.white, white, "White")):
            box.set_value(float(f"{value:.8g}"))
            box.setMinimumWidth(self.fontMetrics().averageCharWidth() * 20)  # -1.2345678e-05 and the arrows
            box.setAccessibleName(f"{name} level, pixel value")
            box.setToolTip(f"Pixel value that is shown as {name.lower()}")
            box.edited.connect(self._on_edit)
        self.problem = label("White must be above black.", "error")
        self.problem.hide()
        auto = QPushButton("Automatic")
        auto.setToolTip("Contrast from what is seen (A)")
        auto.clicked.connect(self._on_automatic)
        form = QFormLayout(self)
        form.addRow("Black", self.black)
        form.addRow("White", self.white)
        form.addRow(self.problem)
        form.addRow(auto)

    def open_at(self, corner: QPoint) -> None:
        """Show with the top left corner there (or as near as the screen allows); the keyboard is in Black."""
        self.adjustSize()
        room = self.screen().availableGeometry()
        x = min(max(corner.x(), room.left()), room.right() - self.width())
        y = min(max(corner.y(), room.top()), room.bottom() - self.height())
        self.move(x, y)
        self.show()
        self.black.setFocus()
        self.black.selectAll()

    def _on_edit(self) -> None:
        black, white = self.black.value(), self.white.value()
        self.problem.setVisible(not black < white)
        self.adjustSize()
        if black < white:
            self.edited.emit(black, white)

    def _on_automatic(self) -> None:
        self.automatic.emit()
        self.close()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.close()
        else:
            super().keyPressEvent(event)
