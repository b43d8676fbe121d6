"""How the panel of the power spectrum shares its height: the picture is square, the curve has the rest.

Who drags the handle decides the share for all such panels until the window closes.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSplitter, QWidget

_share: dict[str, float] = {}  # part of the height that the user gave to the picture


class SpectrumSplit(QSplitter):
    """A picture above, a curve below. The curve keeps its smallest height before the picture gets more."""

    def __init__(self, picture: QWidget, curve: QWidget) -> None:
        super().__init__(Qt.Orientation.Vertical)
        self.setChildrenCollapsible(False)
        self.setHandleWidth(7)  # with a hairline alone nobody finds it
        self.setObjectName("cards")
        self._curve = curve
        self.addWidget(picture)
        self.addWidget(curve)
        handle = self.handle(1)
        handle.setToolTip("Drag: more room for the picture or the curve. Double click: the picture square again")
        handle.installEventFilter(self)
        self.splitterMoved.connect(self._on_moved)

    def share(self) -> None:
        """Give both their height: as the user chose, otherwise the picture as high as it is wide."""
        room = self.height() - self.handleWidth()
        least = self._curve.minimumSizeHint().height()
        high = round(_share["picture"] * room) if _share else min(self.width(), room - least)
        self.setSizes([max(1, high), max(1, room - high)])

    def _on_moved(self) -> None:
        high, low = self.sizes()
        _share["picture"] = high / max(1, high + low)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.share()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A double click on the handle forgets the user's share."""
        if event.type() == QEvent.Type.MouseButtonDblClick and watched is self.handle(1):
            _share.clear()
            self.share()
            return True
        return super().eventFilter(watched, event)
