"""Input widgets of the parameter form: numbers that can be unset, paths with Browse and drag and drop.

Each has `value()`, `set_value(value)` and the signal `edited`. Which field gets which one is params_form.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QValidator, QWheelEvent
from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QWidget,
)

HUGE = 2_000_000_000


class IntBox(QSpinBox):
    """Whole number within bounds; `unset` adds a first state that means "not given" (value None)."""

    edited = Signal()

    def __init__(self, low: float | None, high: float | None, unit: str = "", unset: str = "") -> None:
        super().__init__()
        self._low = int(low) if low is not None else (0 if unset else -HUGE)
        self._unset = bool(unset)
        self.setRange(self._low - 1 if unset else self._low, int(min(high, HUGE)) if high is not None else HUGE)
        if unset:
            self.setSpecialValueText(unset)
        self.setSuffix(f" {unit}" if unit else "")
        self.setAccelerated(True)
        self.lineEdit().setTextMargins(3, 0, 0, 0)
        self.setKeyboardTracking(True)
        self.valueChanged.connect(lambda _: self.edited.emit())

    def value_or_none(self) -> int | None:
        """The number, or None when unset."""
        return None if self._unset and self.value() == self.minimum() else self.value()

    def set_value(self, value: int | None) -> None:
        """Show a number, or "not given"."""
        self.setValue(self.minimum() if value is None else int(value))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll the page, not the number, unless the box has the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class FloatBox(QDoubleSpinBox):
    """Real number written as short as it is (0.002, not 0.002000); `unset` as in IntBox."""

    edited = Signal()

    def __init__(self, low: float | None, high: float | None, unit: str = "", unset: str = "") -> None:
        super().__init__()
        self._unset = bool(unset)
        low = low if low is not None else (0.0 if unset else -1e12)
        self._low = low
        self.setDecimals(10)
        self.setRange(low - 1 if unset else low, high if high is not None else 1e12)
        if unset:
            self.setSpecialValueText(unset)
        self.setSuffix(f" {unit}" if unit else "")
        self.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        self.setAccelerated(True)
        self.lineEdit().setTextMargins(3, 0, 0, 0)
        self.valueChanged.connect(lambda _: self.edited.emit())

    def textFromValue(self, value: float) -> str:
        return f"{value:.8g}"

    def valueFromText(self, text: str) -> float:
        try:
            return float(self._bare(text))
        except ValueError:
            return self.minimum()

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Accept what float() accepts, both decimal marks, and 2e-3."""
        bare = self._bare(text)
        if self._unset and text == self.specialValueText():
            return QValidator.State.Acceptable, text, position
        try:
            inside = self.minimum() <= float(bare) <= self.maximum()
        except ValueError:
            partial = all(c in "0123456789.,eE+-" for c in bare)
            return (QValidator.State.Intermediate if partial else QValidator.State.Invalid), text, position
        return (QValidator.State.Acceptable if inside else QValidator.State.Intermediate), text, position

    def _bare(self, text: str) -> str:
        return text.removesuffix(self.suffix()).strip().replace(",", ".")

    def stepBy(self, steps: int) -> None:
        if self._unset and self.value() == self.minimum() and steps > 0:
            self.setValue(max(self._low, 0.0))
            return
        super().stepBy(steps)

    def value_or_none(self) -> float | None:
        """The number, or None when unset."""
        return None if self._unset and self.value() == self.minimum() else self.value()

    def set_value(self, value: float | None) -> None:
        """Show a number, or "not given"."""
        self.setValue(self.minimum() if value is None else float(value))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll the page, not the number, unless the box has the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class PathBox(QWidget):
    """A path: text, Browse button, drop target. `many` allows several files (value: list of texts)."""

    edited = Signal()

    def __init__(self, dialog: str, pattern: str = "", many: bool = False, placeholder: str = "") -> None:
        super().__init__()
        self._dialog, self._pattern, self._many = dialog or "open", pattern, many
        self._paths: list[str] = []
        self.start_dir = ""
        self.line = QLineEdit()
        self.line.setPlaceholderText(placeholder)
        self.line.setClearButtonEnabled(True)
        self.line.textEdited.connect(self._typed)
        self.line.textChanged.connect(self._cleared)
        self.button = QToolButton()
        self.button.setObjectName("browse")
        self.button.setText("…")
        self.button.setToolTip("Browse")
        self.button.setAccessibleName("Browse")
        if many:
            menu = QMenu(self.button)
            menu.addAction("Choose a folder…", self._browse_folder)
            menu.addAction("Choose files…", self._browse_files)
            self.button.setMenu(menu)
            self.button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        else:
            self.button.clicked.connect(self._browse_one)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        self.setFocusProxy(self.line)
        self.setAcceptDrops(True)
        self.line.setAcceptDrops(False)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def value(self) -> Any:
        """Text of the path; with `many` a list of texts."""
        return list(self._paths) if self._many else self.line.text().strip()

    def set_value(self, value: Any) -> None:
        """Show a path, a list of paths, or nothing."""
        if value is None:
            paths = []
        elif isinstance(value, (list, tuple)):
            paths = [str(v) for v in value]
        else:
            paths = [str(value)] if str(value) else []
        self._paths = paths
        self._show()
        self.edited.emit()

    def _show(self) -> None:
        summary = self._many and len(self._paths) > 2
        text = f"{len(self._paths)} files in {Path(self._paths[0]).parent}" if summary else "; ".join(self._paths)
        self.line.blockSignals(True)
        self.line.setText(text)
        self.line.blockSignals(False)
        self.line.setReadOnly(summary)
        self.line.setToolTip("\n".join(self._paths[:20]))
        self.line.setCursorPosition(0 if summary else len(text))

    def _typed(self, text: str) -> None:
        self._paths = [p.strip() for p in text.split(";") if p.strip()] if self._many else [text.strip()]
        self.edited.emit()

    def _cleared(self, text: str) -> None:
        if not text:  # the clear button of a summary that cannot be typed over
            self._paths = []
            self.line.setReadOnly(False)
            self.edited.emit()

    def _start(self) -> str:
        return self._paths[0] if self._paths and self._paths[0] else self.start_dir

    def _browse_one(self) -> None:
        if self._dialog == "folder":
            self._browse_folder()
            return
        pattern = f"{self._pattern};;All files (*)" if self._pattern else "All files (*)"
        if self._dialog == "save":
            chosen, _ = QFileDialog.getSaveFileName(self, "Save as", self._start(), pattern)
        else:
            chosen, _ = QFileDialog.getOpenFileName(self, "Choose a file", self._start(), pattern)
        if chosen:
            self.set_value(chosen)

    def _browse_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Choose a folder", self._start())
        if chosen:
            self.set_value([chosen] if self._many else chosen)

    def _browse_files(self) -> None:
        pattern = f"{self._pattern};;All files (*)" if self._pattern else ""
        chosen, _ = QFileDialog.getOpenFileNames(self, "Choose files", self._start(), pattern)
        if chosen:
            self.set_value(chosen)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [u.toLocalFile() for u in event.mimeData().urls() if u.isLocalFile()]
        if paths:
            self.set_value(paths if self._many else paths[0])
            event.acceptProposedAction()
