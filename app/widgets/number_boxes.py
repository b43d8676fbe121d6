"""Number boxes of the forms: bounds are told and marked, not forced; a number may be "not given".

Each has `value()`, `set_value(value)` and the signal `edited`. Paths are inputs.py.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QValidator, QWheelEvent
from PySide6.QtWidgets import QDoubleSpinBox, QSpinBox, QToolTip

from app import theme

HUGE = 2_000_000_000


class Bounded:
    """What both number boxes share: bounds that are told, not forced, and a first state "not given".

    A number outside the bounds stays as it was typed and is marked; `value()` is then the last good one.
    """

    edited: Signal
    _good: Any
    _unset = False

    def _bound(self, low: float | None, high: float | None, unit: str, unset: str) -> None:
        box: Any = self
        self.low, self.high, self._unit, self._unset = low, high, unit, bool(unset)
        if unset:
            box.setSpecialValueText(unset)
        box.setSuffix(f" {unit}" if unit else "")
        box.setAccelerated(True)
        box.lineEdit().setTextMargins(3, 0, 0, 0)
        self._good = self._raw()
        box.valueChanged.connect(lambda _: self._on_value())

    def _raw(self) -> Any:
        raise NotImplementedError

    def is_unset(self) -> bool:
        """Is the box in its state "not given"?"""
        box: Any = self
        return self._unset and self._raw() == box.minimum()

    def problem(self) -> str:
        """Why the number cannot be used, with the bounds; empty when it can."""
        value = self._raw()
        if self.is_unset() or ((self.low is None or value >= self.low) and (self.high is None or value <= self.high)):
            return ""
        unit = f" {self._unit}" if self._unit else ""
        if self.high is None or self.high >= HUGE:
            return f"At least {self.low:g}{unit}."
        return f"At most {self.high:g}{unit}." if self.low is None else f"{self.low:g} to {self.high:g}{unit}."

    def _on_value(self) -> None:
        box: Any = self
        problem = self.problem()
        theme.set_state(box, "state", "error" if problem else "")
        if not problem:
            self._good = self._raw()
        elif box.hasFocus():
            QToolTip.showText(box.mapToGlobal(box.rect().bottomLeft()), problem, box)
        box.edited.emit()

    def value_or_none(self) -> Any:
        """The number as it is written, in bounds or not; None when unset."""
        return None if self.is_unset() else self._raw()

    def _step_from(self, steps: int) -> float | None:
        """Where a step leads that meets a bound or leaves "not given"; None: an ordinary step."""
        if self.is_unset():
            return max(self.low if self.low is not None else 0, 0) if steps > 0 else self._raw()
        return None

    def _into_bounds(self) -> None:
        box: Any = self
        value = self._raw()
        if self.low is not None and value < self.low:
            box.setValue(box.minimum() if self._unset else type(value)(self.low))
        elif self.high is not None and value > self.high:
            box.setValue(type(value)(self.high))

    def _hint(self, height: int) -> QSize:
        box: Any = self
        texts = [box.textFromValue(type(self._raw())(b)) for b in (self.low, self.high) if b is not None and b < HUGE]
        longest = max((len(t) for t in (*texts, "0.00001")), default=6) + len(box.suffix())
        letters = max(longest, len(box.specialValueText())) + 5
        return QSize(box.fontMetrics().averageCharWidth() * letters, height)


class IntBox(Bounded, QSpinBox):
    """Whole number with bounds; `unset` adds a first state that means "not given" (value None)."""

    edited = Signal()

    def __init__(self, low: float | None, high: float | None, unit: str = "", unset: str = "") -> None:
        QSpinBox.__init__(self)
        self.setRange(-HUGE, HUGE)
        self.setKeyboardTracking(True)
        self._bound(low, high, unit, unset)
        self.set_value(None if unset else int(low or 0))

    def _raw(self) -> int:
        return QSpinBox.value(self)

    def value(self) -> int:
        """The number, or the last one within the bounds."""
        return self._good

    def set_value(self, value: int | None) -> None:
        """Show a number, or "not given"."""
        self.setValue(self.minimum() if value is None else int(value))

    def stepBy(self, steps: int) -> None:
        """Up and down, within the bounds."""
        start = self._step_from(steps)
        if start is not None:
            self.setValue(int(start))
            return
        super().stepBy(steps)
        self._into_bounds()

    def sizeHint(self) -> QSize:
        return self._hint(super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return self._hint(super().minimumSizeHint().height())

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll the page, not the number, unless the box has the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class FloatBox(Bounded, QDoubleSpinBox):
    """Real number written as short as it is (0.002, not 0.002000); bounds and `unset` as in IntBox."""

    edited = Signal()

    def __init__(self, low: float | None, high: float | None, unit: str = "", unset: str = "") -> None:
        QDoubleSpinBox.__init__(self)
        self.setDecimals(10)
        self.setRange(-1e12, 1e12)
        self.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        self._bound(low, high, unit, unset)
        self.set_value(None if unset else float(low or 0))

    def _raw(self) -> float:
        return QDoubleSpinBox.value(self)

    def value(self) -> float:
        """The number, or the last one within the bounds."""
        return self._good

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
        """Up and down, within the bounds."""
        start = self._step_from(steps)
        if start is not None:
            self.setValue(float(start))
            return
        super().stepBy(steps)
        self._into_bounds()

    def set_value(self, value: float | None) -> None:
        """Show a number, or "not given"."""
        self.setValue(self.minimum() if value is None else float(value))

    def sizeHint(self) -> QSize:
        return self._hint(super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return self._hint(super().minimumSizeHint().height())

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll the page, not the number, unless the box has the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()
