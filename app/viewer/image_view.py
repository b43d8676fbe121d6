"""A micrograph with its controls: canvas, slim toolbar, line with position and value. For one picture.

Loading happens in workers/image_loader.py, picks live in picks.py: this widget shows and reports.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from app.viewer.boxes import BoxLayer
from app.viewer.canvas import Canvas
from app.viewer.gestures import Gestures
from app.viewer.scene import SingleScene
from app.viewer.view_model import ViewModel
from app.viewer.view_toolbar import ViewToolbar
from core.images.contrast import histogram
from core.images.pyramid import Pyramid


class ImageView(QWidget):
    """See the signals and the public methods; coordinates are image pixels (x = column, y = row)."""

    clicked = Signal(float, float, object)  # x, y, modifiers; only while picking, inside the image
    erase_requested = Signal(float, float)
    drag_started = Signal(float, float)
    dragged = Signal(float, float)
    drag_finished = Signal(float, float)
    cursor_moved = Signal(float, float, float)  # x, y, value; all nan outside
    view_changed = Signal()
    size_step = Signal(int)  # Ctrl + wheel while picking: +1 or -1

    def __init__(self, parent: QWidget | None = None, painter: str | None = None) -> None:
        """`painter`: raster or gl; None: what was chosen for this display."""
        super().__init__(parent)
        self.model = ViewModel()
        self.scene = SingleScene(self.model)
        self.canvas = Canvas(self.scene, self, painter)
        self.canvas.setAccessibleName("Micrograph")
        self.gestures = Gestures(self.canvas, self.canvas)
        self.toolbar = ViewToolbar(self)
        self._status = QLabel(self)
        self._status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._name = ""
        self._shown_look: object = None
        self._cursor = (math.nan, math.nan)
        self._histogram_of: tuple[int, int] | None = None
        self._build()
        self._connect()
        self._refresh()

    def _build(self) -> None:
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        rows.addWidget(self.toolbar)
        rows.addWidget(self.canvas, 1)
        line = QHBoxLayout()
        line.setContentsMargins(4, 0, 4, 0)
        line.addWidget(self._status)
        rows.addLayout(line)
        self.setFocusProxy(self.canvas)

    def _connect(self) -> None:
        gestures, toolbar = self.gestures, self.toolbar
        for name in ("clicked", "erase_requested", "drag_started", "dragged", "drag_finished", "size_step"):
            getattr(gestures, name).connect(getattr(self, name))
        gestures.hovered.connect(self._on_hover)
        gestures.auto_contrast.connect(self.auto_contrast)
        gestures.invert.connect(lambda: self.set_inverted(not self.model.contrast.invert))
        toolbar.fit_requested.connect(self.fit)
        toolbar.one_to_one_requested.connect(self.one_to_one)
        toolbar.auto_requested.connect(self.auto_contrast)
        toolbar.reset_requested.connect(self.reset)
        toolbar.levels_edited.connect(self._on_levels_edited)
        toolbar.look_edited.connect(self._on_look_edited)
        self.model.subscribe(self._on_view_changed)

    # -- what is shown ------------------------------------------------------------------------------------

    @property
    def pyramid(self) -> Pyramid | None:
        """The picture shown."""
        return self.scene.pyramid

    @property
    def layers(self) -> list[BoxLayer]:
        """The marks shown."""
        return self.scene.layers

    @property
    def picking(self) -> bool:
        """Whether a left click picks."""
        return self.gestures.picking

    @property
    def automatic(self) -> bool:
        """Whether the contrast follows the picture; False after the user moved a handle."""
        return self.model.contrast.automatic

    def set_pyramid(self, pyramid: Pyramid | None, name: str | None = None, pixel_size_a: float | None = None) -> None:
        """Show a picture, or none. Zoom and place stay when the size is the same.

        `name` and `pixel_size_a` None: those of the pyramid.
        """
        if pyramid is not None:
            name = pyramid.name if name is None else name
            pixel_size_a = pyramid.pixel_size_a if pixel_size_a is None else pixel_size_a
            self.scene.message = ""
        self._name, self._histogram_of = name or "", None
        self.scene.set_pyramid(pyramid, pixel_size_a)
        self._refresh()

    def set_message(self, text: str) -> None:
        """Words over the canvas, such as "Loading ..."; "" hides them, and so does the next picture."""
        self.scene.set_message(text)

    def set_layers(self, layers: Sequence[BoxLayer]) -> None:
        """Marks over the picture."""
        self.scene.set_layers(layers)

    def set_picking(self, on: bool) -> None:
        """Left click picks instead of panning; the middle button and Space + drag still pan."""
        self.gestures.set_picking(on)

    def set_toolbar_visible(self, on: bool) -> None:
        """Show or hide the controls above the picture."""
        self.toolbar.setVisible(on)

    def add_tool(self, widget: QWidget) -> None:
        """Put a tab's own control at the right end of the toolbar."""
        self.toolbar.add_tool(widget)

    def grab_image(self) -> QImage:
        """What the canvas shows, with marks and scale bar, as sharp as it gets."""
        return self.canvas.grab_sharp()

    # -- view and contrast --------------------------------------------------------------------------------

    def fit(self) -> None:
        """Show the whole picture."""
        self.model.fit()

    def one_to_one(self) -> None:
        """One device pixel per image pixel."""
        self.model.set_zoom(1.0)

    def centre_on(self, x: float, y: float, zoom: float | None = None) -> None:
        """Bring an image position to the middle."""
        self.model.centre_on(x, y, zoom)

    def auto_contrast(self) -> None:
        """Let the contrast follow the picture and the zoom."""
        self.model.set_contrast(automatic=True, spread=1.0)

    def set_inverted(self, on: bool) -> None:
        """White on black or black on white."""
        self.model.set_contrast(invert=on)

    def reset(self) -> None:
        """Fitted, automatic contrast, gamma 1, not inverted, grey."""
        self.model.set_contrast(automatic=True, spread=1.0, gamma=1.0, invert=False, lut="grey")
        self.fit()

    # -- inside -------------------------------------------------------------------------------------------

    def _on_view_changed(self) -> None:
        self._show_contrast()
        self._show_status()
        self.view_changed.emit()

    def _on_levels_edited(self, black: float, white: float) -> None:
        self.model.set_contrast(automatic=False, black=black, white=white)

    def _on_look_edited(self) -> None:
        self.model.set_contrast(gamma=self.toolbar.gamma, invert=self.toolbar.inverted)

    def _refresh(self) -> None:
        self._shown_look = None
        self._show_contrast()
        self._show_status()
        self.toolbar.set_picture(self.pyramid is not None)

    def _show_contrast(self) -> None:
        """Move the handles to what is seen; nothing happens in a pan."""
        look = self.scene.look()
        if look == self._shown_look:
            return
        self._shown_look = look
        self.toolbar.set_look(look.gamma, look.invert)
        pyramid = self.pyramid
        if pyramid is not None:
            self._refresh_histogram(pyramid)
            self.toolbar.bar.set_levels(look.black, look.white)

    def _refresh_histogram(self, pyramid: Pyramid) -> None:
        """The histogram is of the level that is seen; its ends leave room beyond the automatic levels."""
        level = pyramid.seen_level(self.model.contrast_zoom)
        if self._histogram_of == (id(pyramid), level):
            return
        self._histogram_of = (id(pyramid), level)
        black, white = pyramid.grey_ranges[level - pyramid.finest]
        room = 0.6 * (white - black)
        counts = histogram(pyramid.level(level), black - room, white + room)
        self.toolbar.bar.set_histogram(counts, black - room, white + room)

    def _on_hover(self, x: float, y: float) -> None:
        pyramid = self.pyramid
        value = math.nan
        if pyramid is not None and self.model.contains(x, y):
            value = pyramid.value(x, y)
        else:
            x = y = math.nan
        self._cursor = (x, y)
        self._show_status(value)
        self.cursor_moved.emit(x, y, value)

    def _show_status(self, value: float = math.nan) -> None:
        pyramid, (x, y) = self.pyramid, self._cursor
        if pyramid is None:
            self._status.setText("")
            return
        pixel = self.scene.pixel_size_a
        parts = [self._name] if self._name else []
        if pyramid.n > 1:
            parts.append(f"image {pyramid.index + 1} of {pyramid.n}")
        if not math.isnan(value):
            parts.append(f"x {round(x)}, y {round(y)} px")
            if pixel:
                parts.append(f"{x * pixel:.1f}, {y * pixel:.1f} Å")
            parts.append(f"value {value:.6g}")
        ny, nx = pyramid.shape
        size = f"{nx} x {ny} px" + (f", {pixel:.4g} Å/px" if pixel else "")
        parts += [size, f"zoom {self.model.zoom * 100:.3g} %"]
        self._status.setText("   |   ".join(parts))
