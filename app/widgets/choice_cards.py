"""A choice between a few ways as cards below each other: a name, a number at the right, a line that says what for.

One is chosen by click or arrow keys. What the choice means is the owner's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QButtonGroup, QFrame, QHBoxLayout, QRadioButton, QVBoxLayout, QWidget

from app import theme
from app.widgets.labels import label


@dataclass(frozen=True)
class Choice:
    """One card. With a `reason` it cannot be chosen, and says why instead of what for. `picture` makes a widget
    that is shown before the words; a card keeps the first it gets."""

    name: str
    title: str
    side: str
    text: str
    reason: str = ""
    picture: Callable[[], QWidget] | None = None


class _Card(QFrame):
    """A radio button with its words; a click anywhere on it chooses."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("choice")
        self.radio = QRadioButton()
        self.side = label("", "muted")
        self.text = label("", "muted", wrap=True)
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self.radio, 1)
        head.addWidget(self.side)
        self.picture: QWidget | None = None
        self._room = QHBoxLayout()
        self._room.setSpacing(12)
        self._room.addWidget(self.text, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(10, 7, 10, 8)
        whole.setSpacing(2)
        whole.addLayout(head)
        whole.addLayout(self._room)
        self.radio.toggled.connect(lambda on: theme.set_state(self, "state", "chosen" if on else ""))

    def show_choice(self, choice: Choice) -> None:
        """Other words."""
        if choice.picture is not None and self.picture is None:
            self.picture = choice.picture()
            self._room.insertWidget(0, self.picture)
            self.text.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.radio.setText(choice.title)
        self.side.setText(choice.side)
        self.text.setText(choice.reason or choice.text)
        self.setEnabled(not choice.reason)
        words = f"{choice.title}, {choice.side}" if choice.side else choice.title
        self.radio.setAccessibleName(words)
        self.radio.setAccessibleDescription(self.text.text())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.radio.setFocus()
            self.radio.click()


class ChoiceCards(QWidget):
    """`chosen(name)` when the user has chosen another card."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._choices: list[Choice] = []
        self.cards: list[_Card] = []
        self._group = QButtonGroup(self)
        self._room = QVBoxLayout(self)
        self._room.setContentsMargins(0, 0, 0, 0)
        self._room.setSpacing(6)

    def set_choices(self, choices: Sequence[Choice]) -> None:
        """Offer these; the one that is chosen stays chosen when it is still there."""
        before = self.current()
        self._choices = list(choices)
        while len(self.cards) < len(choices):
            card = _Card()
            self._room.addWidget(card)
            self._group.addButton(card.radio)
            card.radio.clicked.connect(lambda _=False: self.chosen.emit(self.current()))
            self.cards.append(card)
        for at, card in enumerate(self.cards):
            card.setVisible(at < len(choices))
            if at < len(choices):
                card.show_choice(choices[at])
        self.set_current(before)

    def current(self) -> str:
        """Name of the chosen card; "" when there is none."""
        pairs = zip(self._choices, self.cards, strict=False)
        return next((choice.name for choice, card in pairs if card.radio.isChecked()), "")

    def set_current(self, name: str) -> None:
        """Choose without a signal; an unknown name chooses none."""
        self._group.setExclusive(False)
        for choice, card in zip(self._choices, self.cards, strict=False):
            card.radio.setChecked(choice.name == name)
        for card in self.cards[len(self._choices) :]:
            card.radio.setChecked(False)
        self._group.setExclusive(True)
