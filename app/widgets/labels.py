"""Small text widgets: a label that shortens its text, headings, and the banner that tells how a run ended."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app import theme


class ElidedLabel(QLabel):
    """One line that takes the room there is and shows the whole text as a tooltip."""

    def __init__(self, text: str = "", mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight) -> None:
        super().__init__(text)
        self._mode = mode
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def setText(self, text: str) -> None:
        """Show a text (line breaks become spaces)."""
        super().setText(text.replace("\n", " "))
        self.setToolTip(text)

    def minimumSizeHint(self) -> QSize:
        return QSize(40, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        text = self.fontMetrics().elidedText(self.text(), self._mode, self.contentsRect().width())
        self.style().drawItemText(
            painter,
            self.contentsRect(),
            int(self.alignment()),
            self.palette(),
            self.isEnabled(),
            text,
            self.foregroundRole(),
        )


def label(text: str, role: str = "", wrap: bool = False) -> QLabel:
    """A label with a role of the style sheet: title, heading, muted, error, warning, good."""
    result = QLabel(text)
    result.setWordWrap(wrap)
    if role:
        theme.set_state(result, "role", role)
    return result


def button(text: str, role: str = "", tip: str = "") -> QPushButton:
    """A push button: role primary for the one main action of a page, flat for links."""
    result = QPushButton(text)
    if role:
        theme.set_state(result, "role", role)
    result.setToolTip(tip)
    return result


def card_title(text: str) -> ElidedLabel:
    """The heading of a card: it gives way when the window is small."""
    result = ElidedLabel(text)
    result.setToolTip(text)
    theme.set_state(result, "role", "heading")
    return result


class Banner(QFrame):
    """How a run ended: a sentence, a hint, and at most two buttons (a detail and the next step)."""

    dismissed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("banner")
        self.text = label("", "heading", wrap=True)
        self.hint = label("", "muted", wrap=True)
        for part in (self.text, self.hint):
            part.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.detail = button("")
        self.next = button("", "primary")
        self.close_button = QToolButton()
        self.close_button.setText("✕")
        self.close_button.setToolTip("Hide this message")
        self.close_button.setAccessibleName("Hide this message")
        self.close_button.clicked.connect(self.dismiss)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self.text)
        words.addWidget(self.hint)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 8, 10, 8)
        row.addLayout(words, 1)
        row.addWidget(self.detail)
        row.addWidget(self.next)
        row.addWidget(self.close_button)
        self.hide()

    def dismiss(self) -> None:
        """Hide, and say so."""
        self.hide()
        self.dismissed.emit()

    def show_text(self, state: str, text: str, hint: str = "", detail: str = "", next_step: str = "") -> None:
        """Show; `state` is done, failed, stopped or warning. Empty button texts hide the buttons."""
        theme.set_state(self, "state", state)
        self.text.setText(text)
        self.hint.setText(hint)
        self.hint.setVisible(bool(hint))
        for widget, words in ((self.detail, detail), (self.next, next_step)):
            widget.setText(words)
            widget.setVisible(bool(words))
        self.show()


def column(*widgets: QWidget, spacing: int = 6, margins: tuple[int, int, int, int] = (0, 0, 0, 0)) -> QVBoxLayout:
    """A vertical layout of widgets."""
    layout = QVBoxLayout()
    layout.setSpacing(spacing)
    layout.setContentsMargins(*margins)
    for widget in widgets:
        layout.addWidget(widget)
    return layout


def row(*widgets: QWidget | None, spacing: int = 6) -> QHBoxLayout:
    """A horizontal layout of widgets; None is a stretch."""
    layout = QHBoxLayout()
    layout.setSpacing(spacing)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        if widget is None:
            layout.addStretch(1)
        else:
            layout.addWidget(widget)
    return layout


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 micrograph`, `3 micrographs`, `2 boxes`."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
