"""Raw beside denoised, with one zoom and place for both: canvas, modes, contrast, line with both values."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.viewer.boxes import BoxLayer
from app.viewer.canvas import Canvas
from app.viewer.compare_scene import MODES, CompareScene, Mode
from app.viewer.divider_grip import DividerGrip
from app.viewer.gestures import Gestures
from app.viewer.view_model import ViewModel
from core.images.pyramid import Pyramid

_BUTTONS = {
    "side": ("Side by side", "Two pictures, one zoom (S)"),
    "swipe": ("Swipe", "Drag the line across the picture (W)"),
    "blink": ("Blink", "Denoised; hold B for raw (B)"),
    "difference": ("Difference", "Raw minus denoised: what was removed (D)"),
}
_KEYS: dict[int, Mode] = {
    Qt.Key.Key_S: "side",
    Qt.Key.Key_W: "swipe",
    Qt.Key.Key_B: "blink",
    Qt.Key.Key_D: "difference",
}
DENOISED_LABEL = "denoised: for seeing and picking"


class CompareView(QWidget):
    """Give it a pair of pyramids; it links, labels and compares them."""

    view_changed = Signal()
    mode_changed = Signal(str)
    cursor_moved = Signal(float, float)

    def __init__(self, parent: QWidget | None = None, painter: str | None = None) -> None:
        """`painter`: raster or gl; None: what was chosen for this display."""
        super().__init__(parent)
        self.model = ViewModel()
        self.scene = CompareScene(self.model)
        self.canvas = Canvas(self.scene, self, painter)
        self.canvas.setAccessibleName("Raw and denoised micrograph")
        self.scene.labels = ("raw", DENOISED_LABEL)
        self.gestures = Gestures(self.canvas, self.canvas)
        self._grip = DividerGrip(self.canvas, self.scene)
        self.canvas.installEventFilter(self)
        self._name = ""
        self._buttons: dict[Mode, QToolButton] = {}
        self._status = QLabel(self)
        self._status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._build()
        self.gestures.hovered.connect(self._on_hover)
        self.gestures.invert.connect(self._invert.click)
        self.gestures.auto_contrast.connect(lambda: self._contrast.setValue(0))
        self.model.subscribe(self._on_view_changed)
        self.setFocusProxy(self.canvas)

    def _build(self) -> None:
        bar = QHBoxLayout()
        bar.setContentsMargins(4, 2, 4, 0)
        bar.setSpacing(4)
        group = QButtonGroup(self)
        for mode in MODES:
            text, tip = _BUTTONS[mode]
            button = self._button(bar, text, tip, checkable=True)
            button.clicked.connect(lambda _checked=False, mode=mode: self.set_mode(mode))
            group.addButton(button)
            self._buttons[mode] = button
        self._buttons["side"].setChecked(True)
        self._raw = self._button(bar, "Show raw", "Raw instead of denoised (hold B)", checkable=True)
        self._raw.toggled.connect(self._set_show_raw)
        self._raw.setEnabled(False)
        bar.addStretch(1)
        self._button(bar, "Fit", "Show the whole picture (F, double click)").clicked.connect(self.fit)
        self._button(bar, "1:1", "One screen pixel per image pixel (1)").clicked.connect(self.one_to_one)
        bar.addWidget(QLabel("Contrast", self))
        self._contrast = self._make_contrast()
        bar.addWidget(self._contrast)
        self._invert = self._button(bar, "Invert", "Exchange black and white (I)", checkable=True)
        self._invert.toggled.connect(self._on_look)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        rows.addLayout(bar)
        rows.addWidget(self.canvas, 1)
        line = QHBoxLayout()
        line.setContentsMargins(4, 0, 4, 0)
        line.addWidget(self._status)
        rows.addLayout(line)

    def _button(self, row: QHBoxLayout, text: str, tip: str, checkable: bool = False) -> QToolButton:
        button = QToolButton(self)
        button.setText(text)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setAutoRaise(True)
        button.setCheckable(checkable)
        row.addWidget(button)
        return button

    def _make_contrast(self) -> QSlider:
        slider = QSlider(Qt.Orientation.Horizontal, self)
        slider.setRange(-100, 100)
        slider.setFixedWidth(self.fontMetrics().averageCharWidth() * 14)
        slider.setAccessibleName("Contrast")
        slider.setToolTip("Contrast of both pictures, about the automatic one (A)")
        slider.valueChanged.connect(self._on_look)
        return slider

    # -- what is shown ------------------------------------------------------------------------------------

    @property
    def mode(self) -> str:
        """side, swipe, blink or difference."""
        return self.scene.mode

    def set_pair(
        self,
        raw: Pyramid | None,
        denoised: Pyramid | None,
        name: str = "",
        pixel_size_a: float | None = None,
    ) -> None:
        """Show a pair; either may be None while it loads. The view stays when the size is the same."""
        first = raw or denoised
        if first is not None:
            name = name or first.name
            pixel_size_a = first.pixel_size_a if pixel_size_a is None else pixel_size_a
            self.scene.message = ""
        if raw is not None and denoised is not None and raw.shape != denoised.shape:
            self.scene.message = "The two pictures have different sizes"
        self._name = name
        self.scene.set_pair(raw, denoised, pixel_size_a)
        self._on_hover(math.nan, math.nan)

    def set_labels(self, raw: str, denoised: str, nothing: str = "") -> None:
        """What is written in the corners, and in place of a second picture that is not there."""
        self.scene.set_labels(raw, denoised, nothing)

    def set_mode(self, mode: str) -> None:
        """side, swipe, blink or difference."""
        if mode not in MODES:
            raise ValueError(f"unknown mode {mode}")
        changed = mode != self.scene.mode
        self.scene.set_mode(mode)
        self._buttons[mode].setChecked(True)
        self._raw.setChecked(False)
        self._raw.setEnabled(mode == "blink")
        if changed:
            self.mode_changed.emit(mode)

    def set_message(self, text: str) -> None:
        """Words over the pictures; "" hides them, and so does the next pair."""
        self.scene.set_message(text)

    def set_layers(self, layers: Sequence[BoxLayer]) -> None:
        """Marks on both pictures."""
        self.scene.set_layers(layers)

    def fit(self) -> None:
        """Show the whole picture."""
        self.model.fit()

    def one_to_one(self) -> None:
        """One device pixel per image pixel."""
        self.model.set_zoom(1.0)

    # -- inside -------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.canvas and isinstance(event, QKeyEvent) and not event.isAutoRepeat():
            mode = _KEYS.get(event.key())
            pressed = event.type() == QEvent.Type.KeyPress
            if mode == "blink" and self.mode == "blink":
                self._raw.setChecked(pressed)
                return True
            plain = event.modifiers() == Qt.KeyboardModifier.NoModifier
            if mode is not None and pressed and plain:
                self.set_mode(mode)
                return True
        return super().eventFilter(watched, event)

    def _set_show_raw(self, on: bool) -> None:
        self.scene.set_show_raw(on)

    def _on_look(self) -> None:
        self.model.set_contrast(spread=4.0 ** (-self._contrast.value() / 100), invert=self._invert.isChecked())

    def _on_view_changed(self) -> None:
        self._on_hover(math.nan, math.nan)
        self.view_changed.emit()

    def _on_hover(self, x: float, y: float) -> None:
        pixel = self.scene.pixel_size_a
        parts = [self._name] if self._name else []
        if self.model.contains(x, y):
            parts.append(f"x {round(x)}, y {round(y)} px")
            if pixel:
                parts.append(f"{x * pixel:.1f}, {y * pixel:.1f} Å")
            for label, pyramid in zip(self.scene.labels, self.scene.pyramids, strict=True):
                value = pyramid.value(x, y) if pyramid is not None else math.nan
                if not math.isnan(value):
                    parts.append(f"{label.split(':')[0]} {value:.6g}")
            self.cursor_moved.emit(x, y)
        if any(self.scene.pyramids):
            parts.append(f"zoom {self.model.zoom * 100:.3g} %")
        self._status.setText("   |   ".join(parts))
