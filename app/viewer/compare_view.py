"""Two pictures of one field with one zoom and place: canvas, modes, look, panels, saving, line with both values.

What is drawn is compare_scene.py. Loading the pictures is their owner's business.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from PySide6.QtCore import QEvent, QObject, QRect, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QMouseEvent, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QSplitter, QVBoxLayout, QWidget

from app.viewer.boxes import BoxLayer
from app.viewer.canvas import Canvas
from app.viewer.compare_saving import PairSaving
from app.viewer.compare_scene import MODES, CompareScene, Mode
from app.viewer.compare_toolbar import CompareToolbar
from app.viewer.divider_grip import DividerGrip
from app.viewer.frame_bar import FrameBar
from app.viewer.gestures import Gestures
from app.viewer.look_control import LookControl
from app.viewer.measure import MeasureTool
from app.viewer.pair_panels import PairPanels, Side
from app.viewer.view_model import ViewModel
from app.viewer.wiring import wire
from core.images.pyramid import Pyramid

_KEYS: dict[int, Mode] = {
    Qt.Key.Key_S: "side",
    Qt.Key.Key_W: "swipe",
    Qt.Key.Key_B: "blink",
    Qt.Key.Key_D: "difference",
}
DENOISED_LABEL = "denoised: for seeing and picking"
Pair = tuple[Pyramid | None, Pyramid | None]


class CompareView(QWidget):
    """Give it a pair of pyramids; it links, labels and compares them."""

    view_changed = Signal()
    mode_changed = Signal(str)
    cursor_moved = Signal(float, float)  # x, y in image pixels, only inside
    frame_chosen = Signal(int)  # another image of the stack; with `frames` only
    said = Signal(str)  # a short message for the status line

    def __init__(self, parent: QWidget | None = None, painter: str | None = None) -> None:
        """`painter`: raster or gl; None: what was chosen for this display."""
        super().__init__(parent)
        self.model = ViewModel()
        self.scene = CompareScene(self.model)
        self.scene.labels = ("raw", DENOISED_LABEL)
        self.canvas = Canvas(self.scene, self, painter)
        self.canvas.setAccessibleName("Raw and denoised micrograph")
        self.gestures = Gestures(self.canvas, self.canvas)
        self._grip = DividerGrip(self.canvas, self.scene)
        self.canvas.installEventFilter(self)
        self.toolbar = CompareToolbar(self)
        self.panels = PairPanels(self)
        self.frames = FrameBar(self)
        self.with_frames = True  # the slider below is shown for stacks
        self.look = LookControl(self.model, self)
        self.saving = PairSaving(self, self.scene, self.canvas)
        self.measure = MeasureTool(self.scene, self.gestures, self.toolbar.measure, self.font())
        self._status = QLabel(self)
        self._status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._name = ""
        self._pair: Pair = (None, None)  # unfiltered: values, panels and files are of these
        self._paths: tuple[Path | None, Path | None] = (None, None)
        self._at = (math.nan, math.nan)  # the mouse, in device pixels of its panel
        self._side = 0  # the panel it is in
        self._build()
        self._connect()
        self._keys()
        self.toolbar.set_pictures(False, False)

    def _build(self) -> None:
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        rows.addWidget(self.toolbar)
        self.splitter = QSplitter(Qt.Orientation.Horizontal, self)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(self.canvas)
        self.splitter.addWidget(self.panels)
        self.splitter.setStretchFactor(0, 1)
        rows.addWidget(self.splitter, 1)
        rows.addWidget(self.frames)
        line = QHBoxLayout()
        line.setContentsMargins(4, 0, 4, 0)
        line.addWidget(self._status)
        rows.addLayout(line)

    def _connect(self) -> None:
        toolbar = self.toolbar
        toolbar.mode_chosen.connect(self.set_mode)
        toolbar.first_toggled.connect(self.scene.set_show_raw)
        toolbar.spread_edited.connect(lambda spread: self.model.set_contrast(automatic=True, spread=spread))
        wire(self)

    def setFocus(self, *reason: Qt.FocusReason) -> None:
        """The keyboard goes to the pictures. A focus proxy would keep Tab from ever reaching the toolbar."""
        self.canvas.setFocus(*reason)

    def _keys(self) -> None:
        toolbar = self.toolbar
        for key, action in (
            ("M", toolbar.measure.toggle),
            ("G", toolbar.panels["frc"].toggle),
            ("T", toolbar.panels["spectrum"].toggle),
            ("H", toolbar.panels["info"].toggle),
            ("L", self.look.toggle_filter),
            ("V", self.look.next_colours),
            ("Ctrl+E", self.saving.save),
            ("Ctrl+C", self.saving.copy),
        ):
            shortcut = QShortcut(QKeySequence(key), self.canvas)
            shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
            shortcut.activated.connect(action)
        self.frames.add_keys(self)

    # -- what is shown ------------------------------------------------------------------------------------

    @property
    def mode(self) -> str:
        """side, swipe, blink or difference."""
        return self.scene.mode

    @property
    def pair(self) -> Pair:
        """The two pictures, unfiltered."""
        return self._pair

    def set_pair(
        self,
        raw: Pyramid | None,
        denoised: Pyramid | None,
        name: str | None = None,
        pixel_size_a: float | None = None,
        paths: tuple[Path | None, Path | None] = (None, None),
    ) -> None:
        """Show a pair; either may be None while it loads. The view stays when the size is the same.

        `name` and `pixel_size_a` None: those of the pictures. `paths`: their files, for headers and saving.
        """
        first = raw or denoised
        if first is not None:
            name = first.name if name is None else name
            self.scene.message = ""
        if raw is not None and denoised is not None and raw.shape != denoised.shape:
            sizes = " and ".join(f"{p.shape[1]} × {p.shape[0]}" for p in (raw, denoised))
            self.scene.message = f"The two pictures have different sizes: {sizes} px"
        if first is None or paths != self._paths:
            self.measure.set_ends(None)
        self._pair, self._paths, self._name = (raw, denoised), paths, name or ""
        self.saving.name, self.saving.paths = name or (first.name if first else ""), paths
        self.scene.filtered = ""
        self.scene.set_pair(raw, denoised, pixel_size_a)
        self.measure.line.pixel_size_a = self.scene.common_pixel_size()
        self.toolbar.set_pictures(raw is not None, denoised is not None)
        n = first.n if first is not None and self.with_frames else 1
        self.frames.set_frames(n, first.index if first else 0, paths[0])
        self.look.set_pictures(self._pair, self.scene.pixel_size_a)
        if not any(picture is not None and picture.preview for picture in self._pair):
            self.frames.frame_shown(first.index if first else 0)
            self._show_panels()
        self._show_status()

    def set_labels(self, raw: str, denoised: str, nothing: str = "") -> None:
        """What is written in the corners, and in place of a second picture that is not there."""
        if (raw, denoised, nothing) == (*self.scene.labels, self.scene.nothing):
            return
        self.scene.set_labels(raw, denoised, nothing)
        self.toolbar.set_names(*self.scene.names())
        self._show_panels()
        self._show_status()

    def set_mode(self, mode: str) -> None:
        """side, swipe, blink or difference."""
        if mode not in MODES:
            raise ValueError(f"unknown mode {mode}")
        known = cast(Mode, mode)
        changed = known != self.scene.mode
        if changed:
            self._on_hover(math.nan, math.nan)  # the same place of the canvas is another one of the image
        self.scene.set_mode(known)
        self.toolbar.set_mode(known)
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

    def auto_contrast(self) -> None:
        """Let the contrast follow the pictures and the zoom."""
        self.model.set_contrast(automatic=True, spread=1.0)

    def _on_filtered(self, pictures: Sequence[Pyramid | None], text: str) -> None:
        self.scene.filtered = text
        self.scene.show_instead(pictures[0], pictures[1])

    # -- tools --------------------------------------------------------------------------------------------

    def _show_panels(self) -> None:
        pairs = zip(self.scene.names(), self.scene.labels, strict=True)
        names = [name if len(name) > 1 else whole for name, whole in pairs]  # "A" alone says little there
        if names[0] == names[1]:
            names = [f"{place}: {name}" for place, name in zip("AB", names, strict=True)]
        sides = [Side(*side) for side in zip(names, self._pair, self._paths, strict=True)]
        self.panels.set_sides(sides[0], sides[1], self.model.visible_rect())

    # -- inside -------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is not self.canvas:
            return super().eventFilter(watched, event)
        if isinstance(event, QMouseEvent):
            x, device = event.position().x() * self.canvas.ratio, self.canvas.device_rect()
            self._side = int(self.mode == "side" and self.scene.panel_at(x, device) == self.scene.panels(device)[-1])
        if isinstance(event, QKeyEvent) and not event.isAutoRepeat():
            mode = _KEYS.get(event.key())
            pressed = event.type() == QEvent.Type.KeyPress
            if mode == "blink" and self.mode == "blink":
                self.toolbar.first.setChecked(pressed)
                return True
            plain = event.modifiers() == Qt.KeyboardModifier.NoModifier
            if mode is not None and pressed and plain:
                self.set_mode(mode)
                return True
        return super().eventFilter(watched, event)

    def _on_view_changed(self) -> None:
        self.toolbar.set_spread(self.model.contrast.spread)
        self.panels.set_visible_part(self.model.visible_rect())
        self._point(*self.model.to_image(*self._at))
        self.view_changed.emit()

    def _on_hover(self, x: float, y: float) -> None:
        self._at = self.model.to_screen(x, y)
        self._point(x, y)

    def _point(self, x: float, y: float) -> None:
        """The mouse is at an image position: cross in the other panel, both values in the line."""
        if not self.model.contains(x, y):
            x = y = math.nan
        device, ratio = self.canvas.device_rect(), self.canvas.ratio
        for area in self.scene.put_cursor(self._side, x, y, device, ratio):
            self.canvas.surface.update(_logical(area, ratio))
        self._show_status()
        if not math.isnan(x):
            self.cursor_moved.emit(x, y)

    def values(self, x: float, y: float) -> list[float]:
        """Pixels of both pictures at an image position, unfiltered; nan where there is none."""
        return [picture.value(x, y) if picture is not None else math.nan for picture in self._pair]

    def _show_status(self) -> None:
        pixel = self.scene.common_pixel_size()
        parts = []
        if self.scene.cursor.position is not None:
            x, y = self.scene.cursor.position
            parts.append(f"x {round(x)}, y {round(y)} px")
            values = self.values(x, y)
            words = [*zip(self.scene.names(), values, strict=True), ("difference", values[0] - values[1])]
            parts += [f"{word} {value:.6g}" for word, value in words if not math.isnan(value)]
            if pixel:
                parts.append(f"{x * pixel:.1f}, {y * pixel:.1f} Å")
        if any(self._pair):
            parts.append(f"zoom {self.model.zoom * 100:.3g} %")
        parts += [self._name] if self._name else []  # last: the values must not be cut off
        self._status.setText("   |   ".join(parts))


def _logical(area: QRect, ratio: float) -> QRect:
    """Logical pixels that hold these device pixels."""
    left, top = math.floor(area.left() / ratio), math.floor(area.top() / ratio)
    right, bottom = math.ceil((area.right() + 1) / ratio), math.ceil((area.bottom() + 1) / ratio)
    return QRect(left, top, right - left, bottom - top)
