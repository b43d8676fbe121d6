"""A micrograph with its controls: canvas, toolbar, panels beside it, frame slider, line with position and value.

Loading happens in workers/image_loader.py, picks live in picks.py: this widget shows and reports.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, Qt, Signal
from PySide6.QtGui import QImage, QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QSplitter, QVBoxLayout, QWidget

from app.viewer import pixel_size
from app.viewer.boxes import BoxLayer
from app.viewer.canvas import Canvas
from app.viewer.frame_bar import FrameBar
from app.viewer.gesture_keys import LOOKS
from app.viewer.gestures import Gestures
from app.viewer.look_control import LookControl
from app.viewer.measure import MeasureTool
from app.viewer.saving import Saving
from app.viewer.scene import SingleScene
from app.viewer.side_panels import SidePanels
from app.viewer.view_model import ViewModel
from app.viewer.view_toolbar import ViewToolbar
from app.viewer.wiring import wire
from core.images.pyramid import Pyramid

if TYPE_CHECKING:
    from app.viewer.export import Exportable


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
    frame_chosen = Signal(int)  # another image of the stack
    said = Signal(str)  # a short message for the status line
    pixel_size_changed = Signal(object)  # Å per pixel, or None

    def __init__(self, parent: QWidget | None = None, painter: str | None = None) -> None:
        """`painter`: raster or gl; None: what was chosen for this display."""
        super().__init__(parent)
        self.model = ViewModel()
        self.scene = SingleScene(self.model)
        self.canvas = Canvas(self.scene, self, painter)
        self.canvas.setAccessibleName("Micrograph")
        self.gestures = Gestures(self.canvas, self.canvas)
        self.toolbar = ViewToolbar(self)
        self.panels = SidePanels(self)
        self.frames = FrameBar(self)
        self.look = LookControl(self.model, self)
        self.saving = Saving(self, self._exportable)
        self.measure = MeasureTool(self.scene, self.gestures, self.toolbar.measure, self.font())
        self._status = QLabel(self)
        self._status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._raw: Pyramid | None = None
        self._file: Pyramid | None = None  # as loaded: the user may have given another pixel size
        self._path: Path | None = None
        self._name = ""
        self._cursor = (math.nan, math.nan)
        self._build()
        self._connect()
        self._refresh()

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
        gestures, toolbar = self.gestures, self.toolbar
        for name in ("clicked", "erase_requested", "drag_started", "dragged", "drag_finished", "size_step"):
            getattr(gestures, name).connect(getattr(self, name))
        toolbar.auto_requested.connect(self.auto_contrast)
        toolbar.levels_edited.connect(self._on_levels_edited)
        wire(self)

    def setFocus(self, *reason: Qt.FocusReason) -> None:
        """The keyboard goes to the picture. A focus proxy would keep Tab from ever reaching the toolbar."""
        self.canvas.setFocus(*reason)

    def add_keys(self, host: QWidget) -> None:
        """Let the keys of the view work wherever the focus is on `host`, except where letters are typed."""
        actions = [(text, lambda key=key: self.gestures.keys.look(key)) for text, key in LOOKS.items()]
        for key, action in (
            *actions,
            ("M", self.toolbar.measure.toggle),
            ("T", self.toolbar.panels["spectrum"].toggle),
            ("H", self.toolbar.panels["info"].toggle),
            ("L", self.look.toggle_filter),
            ("V", self.look.next_colours),
            ("Ctrl+E", self.saving.save),
            ("Ctrl+C", self.saving.copy),
        ):
            shortcut = QShortcut(QKeySequence(key), host)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(action)
        self.frames.add_keys(host)

    # -- what is shown ------------------------------------------------------------------------------------

    @property
    def pyramid(self) -> Pyramid | None:
        """The picture, unfiltered."""
        return self._raw

    @property
    def path(self) -> Path | None:
        """The file of the picture."""
        return self._path

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

    def set_pyramid(
        self,
        pyramid: Pyramid | None,
        name: str | None = None,
        pixel_size_a: float | None = None,
        path: Path | None = None,
    ) -> None:
        """Show a picture, or none. Zoom, place, contrast and filter stay; a picture of another size is fitted.

        `name` and `pixel_size_a` None: those of the pyramid. `path`: its file, for header and saving;
        without a picture it says that one of its images is missing, and the others can still be chosen.
        """
        self._file = pyramid
        said = pixel_size.given_for(path)
        if pyramid is not None and said is not None:
            pyramid, pixel_size_a = replace(pyramid, pixel_size_a=said), said
        if pyramid is not None:
            name = pyramid.name if name is None else name
            pixel_size_a = pyramid.pixel_size_a if pixel_size_a is None else pixel_size_a
            self.scene.message = ""
        if path != self._path or pyramid is None:
            self.measure.set_ends(None)
        self._raw, self._path = pyramid, path
        self._name = name or ""
        self.measure.line.pixel_size_a = pixel_size_a
        self._show(pyramid, "", pixel_size_a)
        if pyramid is not None or path is None:
            self.frames.set_frames(pyramid.n if pyramid else 1, pyramid.index if pyramid else 0, path)
        self.look.set_pictures([pyramid], pixel_size_a)
        if pyramid is None or pyramid.finest == 0:  # not for previews
            self.frames.frame_shown(pyramid.index if pyramid else 0)
            self.panels.set_picture(pyramid, path, self.model.visible_rect())

    def _show(self, pyramid: Pyramid | None, caption: str, pixel_size_a: float | None) -> None:
        what = self._raw.label if self._raw is not None and pyramid is not None else ""
        self.scene.caption = ", ".join(text for text in (what, caption) if text)
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

    def grab_picture(self) -> QImage:
        """The same without the empty margins beside the picture."""
        x0, y0, x1, y1 = self.model.visible_rect()
        left, top = self.model.to_screen(x0, y0)
        right, bottom = self.model.to_screen(x1, y1)
        image = self.canvas.grab_sharp()
        part = QRect(round(left), round(top), round(right - left), round(bottom - top)).intersected(image.rect())
        return image if part.isEmpty() else image.copy(part)

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
        """Fitted, automatic contrast, gamma 1, not inverted, grey, no filter."""
        self.look.reset_all()

    def _on_filtered(self, pictures: list[Pyramid | None], label: str) -> None:
        self._show(pictures[0] if pictures else None, label, self.scene.pixel_size_a)

    # -- tools --------------------------------------------------------------------------------------------

    def ask_pixel_size(self) -> None:
        """Let the user give the pixel size of the files of this folder, for looking."""
        path, pyramid = self._path, self._file
        if path is None or pyramid is None:
            self.said.emit("Open a micrograph first.")
            return

        def done(value: float | None) -> None:
            pixel_size.remember(path, value)
            if self._path == path:
                self.set_pyramid(self._file, path=path)
                self.pixel_size_changed.emit(self.scene.pixel_size_a)

        pixel_size.PixelSizeDialog(path, self.scene.pixel_size_a, done, self).open()

    def _exportable(self) -> Exportable | None:
        from app.viewer.export import Exportable

        scene = self.scene
        if scene.pyramid is None:
            return None
        return Exportable(
            name=self._name,
            picture=self.grab_picture,
            zoom=self.model.zoom,
            ratio=self.canvas.ratio,
            pyramid=scene.pyramid,
            look=scene.look(),
            automatic=self.automatic,
            pixel_size_a=scene.pixel_size_a,
            labels=(scene.caption,) if scene.caption else (),
            labelled=True,  # the caption is in the picture
            layers=scene.layers,
            source=self._path,
        )

    # -- inside -------------------------------------------------------------------------------------------

    def _on_view_changed(self) -> None:
        self._show_contrast()
        self._show_status()
        self.panels.set_visible_part(self.model.visible_rect())
        self.view_changed.emit()

    def _on_levels_edited(self, black: float, white: float) -> None:
        self.model.set_contrast(automatic=False, black=black, white=white)

    def _refresh(self) -> None:
        self._show_contrast()
        self._show_status()
        self.toolbar.set_picture(self._raw is not None)

    def _show_contrast(self) -> None:
        if self.scene.pyramid is not None:
            self.toolbar.show_contrast(self.scene.look(), self.scene.pyramid, self.model.contrast_zoom)

    def _on_hover(self, x: float, y: float) -> None:
        if self._raw is None or not self.model.contains(x, y):
            x = y = math.nan
        self._cursor = (x, y)
        self._show_status()
        self.cursor_moved.emit(x, y, self._value())

    def _value(self) -> float:
        """The pixel's own value under the cursor; nan outside and in a preview."""
        x, y = self._cursor
        return math.nan if self._raw is None or math.isnan(x) else self._raw.value(x, y)

    def _show_status(self) -> None:
        pyramid, (x, y) = self._raw, self._cursor
        if pyramid is None:
            self._status.setText("")
            return
        pixel = self.scene.pixel_size_a
        parts = [self._name] if self._name else []
        if pyramid.n > 1:
            parts.append(f"image {pyramid.index + 1} of {pyramid.n}")
        if not math.isnan(x):
            parts.append(f"x {round(x)}, y {round(y)} px")
            if pixel:
                parts.append(f"{x * pixel:.1f}, {y * pixel:.1f} Å")
            value = self._value()
            if not math.isnan(value):
                parts.append(f"value {value:.6g}")
        ny, nx = pyramid.shape
        size = f"{nx} x {ny} px" + (f", {pixel:.4g} Å/px" if pixel else "")
        parts += [size, f"zoom {self.model.zoom * 100:.3g} %"]
        self._status.setText("   |   ".join(parts))
