"""The sheet of keys and gestures: sections side by side, with a box that leaves only what is looked for.

The texts stand in dialogs.py, those of the mouse buttons in viewer/schemes.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app import theme
from app.widgets.labels import label

Section = tuple[str, Sequence[tuple[str, str]]]  # title, (keys, what they do)
_COLUMNS = 3
_GAP = 8  # between sections
_LETTERS = 66  # width of a column


class KeySheet(QDialog):
    """Open with `open()`; `search` takes words, `text()` is all that is shown."""

    def __init__(self, sections: Sequence[Section], foot: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Keys and gestures")
        self._sections = list(sections)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Find a key or what it does")
        self.search.setAccessibleName("Find a key or what it does")
        self.search.setToolTip("Only lines with these words are shown")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(lambda _: self._fill())
        self._labels = [_section_label(title) for title, _ in self._sections]
        self._nothing = label("No key does that.", "muted")
        self._page = QWidget()
        self._page.setObjectName("formBody")
        self._lay_out()
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(self._page)
        area.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        area.setAccessibleName("Keys and gestures")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        copy = buttons.addButton("Copy", QDialogButtonBox.ButtonRole.ActionRole)
        copy.setToolTip("Copy what is shown as text")
        copy.clicked.connect(lambda: QApplication.clipboard().setText(self.text()))
        for button in (copy, buttons.button(QDialogButtonBox.StandardButton.Close)):
            button.setAutoDefault(False)
        buttons.rejected.connect(self.reject)
        body = QVBoxLayout(self)
        body.addWidget(self.search)
        body.addWidget(area, 1)
        body.addWidget(label(foot, "muted", wrap=True))
        body.addWidget(buttons)
        self._fill()
        self.ensurePolished()
        self.resize(self.sizeHint())  # otherwise Qt takes two thirds of the screen at most

    def sizeHint(self) -> QSize:
        """As large as the sheet needs, in what the screen has."""
        room = self.screen().availableSize()
        width = min(self.fontMetrics().averageCharWidth() * _LETTERS * _COLUMNS, room.width() - 40)
        each = width // _COLUMNS - self.fontMetrics().averageCharWidth() * 6
        high = max(sum(self._labels[place].heightForWidth(each) + _GAP for place in part) for part in self._columns)
        rest = self.fontMetrics().height() * 11  # the box, the line below, the buttons
        return QSize(width, min(high + rest, room.height() - 60))

    def _lay_out(self) -> None:
        """Sections in their order into columns of about the same height."""
        self._columns = _parts([2 + len(rows) for _, rows in self._sections], _COLUMNS)
        row = QHBoxLayout(self._page)
        row.setSpacing(self.fontMetrics().averageCharWidth() * 3)
        columns = [QVBoxLayout() for _ in range(_COLUMNS)]
        for column, names in zip(columns, self._columns, strict=True):
            column.setSpacing(_GAP)
            for place in names:
                column.addWidget(self._labels[place])
            column.addStretch(1)
            row.addLayout(column, 1)
        columns[0].insertWidget(0, self._nothing)

    def _found(self) -> list[Section]:
        words = self.search.text().lower().split()

        def fits(title: str, how: str, what: str) -> bool:
            line = f"{title} {how} {what}".lower()
            return all(word in line for word in words)

        return [(title, [r for r in rows if fits(title, *r)]) for title, rows in self._sections]

    def _fill(self) -> None:
        found = self._found()
        for widget, (title, rows) in zip(self._labels, found, strict=True):
            widget.setText(_html(title, rows))
            widget.setVisible(bool(rows))
        self._nothing.setVisible(not any(rows for _, rows in found))

    def text(self) -> str:
        """What is shown, as plain text."""
        return as_text([(title, rows) for title, rows in self._found() if rows])


def as_text(sections: Sequence[Section]) -> str:
    """Sections as lines of fixed-width text."""
    width = max((len(how) for _, rows in sections for how, _ in rows), default=0) + 3
    lines: list[str] = []
    for title, rows in sections:
        lines += [title, *(f"  {how:{width}}{what}" for how, what in rows), ""]
    return "\n".join(lines)


def _section_label(title: str) -> QLabel:
    result = label("", wrap=True)
    result.setTextFormat(Qt.TextFormat.RichText)
    result.setAlignment(Qt.AlignmentFlag.AlignTop)
    result.setAccessibleName(title)
    result.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return result


def _html(title: str, rows: Sequence[tuple[str, str]]) -> str:
    muted = theme.colour("muted").name()
    lines = [
        f'<tr><td width="46%" style="padding-right:10px">{escape(how)}</td>'
        f'<td style="color:{muted}">{escape(what)}</td></tr>'
        for how, what in rows
    ]
    return f'<p style="margin-bottom:3px"><b>{escape(title)}</b></p><table width="100%">{"".join(lines)}</table>'


def _parts(heights: Sequence[int], n: int) -> list[list[int]]:
    """Indices 0, 1, ... cut into `n` runs so that the highest one is as low as can be."""
    for limit in range(max(heights), sum(heights) + 1):
        parts: list[list[int]] = [[]]
        filled = 0
        for place, height in enumerate(heights):
            if filled + height > limit:
                parts.append([])
                filled = 0
            parts[-1].append(place)
            filled += height
        if len(parts) <= n:
            return parts + [[] for _ in range(n - len(parts))]
    return [list(range(len(heights))), *([] for _ in range(n - 1))]
