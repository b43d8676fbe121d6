"""All images of a particle stack in a grid, with its controls. Only what is on the screen is read.

The grid is gallery_grid.py, reading gallery_loader.py. Which stack, and what a selection means, is decided elsewhere.
"""

from __future__ import annotations

from pathlib import PurePath

import numpy as np
from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QSizePolicy, QSlider, QVBoxLayout, QWidget

from app.viewer.gallery_grid import SIZES, GalleryGrid
from app.viewer.gallery_loader import GalleryLoader, Read, Stack
from app.widgets.labels import ElidedLabel, label
from core.errors import AppError
from core.images.cache import ImageCache


class GalleryView(QWidget):
    """`opened(index)`: show this image large; `selection_changed(count)`, see `selected()`. Indexes are 0-based."""

    opened = Signal(int)
    selection_changed = Signal(int)

    def __init__(self, cache: ImageCache | None = None, parent: QWidget | None = None) -> None:
        """`cache`: the session's; None makes a small one."""
        super().__init__(parent)
        self.loader = GalleryLoader(cache, self)
        self.grid = GalleryGrid(self.loader, self)
        self._name = ""
        self._chosen = 0
        self._build()
        self._connect()
        self._refresh()

    def _build(self) -> None:
        self.size_slider = QSlider(Qt.Orientation.Horizontal)
        self.size_slider.setRange(*SIZES)
        self.size_slider.setValue(self.grid.lines)
        self.size_slider.setAccessibleName("Size of the images")
        self.size_slider.setToolTip("Size of the images (Ctrl+wheel)")
        self.size_slider.setFixedWidth(self.fontMetrics().averageCharWidth() * 16)
        self.smooth = QCheckBox("S&mooth")
        self.common = QCheckBox("&Common contrast")
        self.common.setToolTip("One grey scale for all images; otherwise each has its own")
        self.numbers = QCheckBox("Num&bers")
        self.numbers.setToolTip("Number of each image in the stack")
        self.numbers.setChecked(True)
        self.title = ElidedLabel("")
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.chosen = QLabel("")
        self.error = label("", "error", wrap=True)
        self.error.hide()
        caption = QLabel("Si&ze")
        caption.setBuddy(self.size_slider)
        line = self._line = QHBoxLayout()
        line.setContentsMargins(6, 4, 6, 2)
        line.setSpacing(10)
        for widget in (caption, self.size_slider, self.smooth, self.common, self.numbers):
            line.addWidget(widget)
        line.addWidget(self.title, 1)
        line.addWidget(self.chosen)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        rows.addLayout(line)
        rows.addWidget(self.error)
        rows.addWidget(self.grid, 1)
        self.setFocusProxy(self.grid)

    def _connect(self) -> None:
        self.size_slider.valueChanged.connect(self._on_cells)
        self.smooth.toggled.connect(self._refresh)
        self.common.toggled.connect(self._refresh)
        self.numbers.toggled.connect(self._on_cells)
        self.grid.opened.connect(self.opened)
        self.grid.size_step.connect(lambda by: self.size_slider.setValue(self.size_slider.value() + by))
        self.grid.selection_changed.connect(self._on_selection)
        self.grid.current_changed.connect(lambda _: self._show_words())
        self.loader.failed.connect(self._on_failed)

    # -- what is shown ------------------------------------------------------------------------------------

    def set_stack(
        self, n: int, shape: tuple[int, int], read: Read, name: str = "", pixel_size_a: float | None = None
    ) -> None:
        """Show `n` images of `shape` (h, w); `read(first, count)` -> float32 (count, h, w), called in tasks."""
        self.error.hide()
        self._name = PurePath(name).name
        self.loader.set_stack(Stack(n, shape, read, pixel_size_a))
        self._refresh()
        self.grid.reset(n, shape)

    def clear(self, message: str = "No images") -> None:
        """Show nothing but a sentence."""
        self.error.hide()
        self._name, self.grid.message = "", message
        self.loader.set_stack(None)
        self.grid.reset(0, (1, 1))

    def add_tool(self, widget: QWidget) -> None:
        """Put a control of the owner at the right end of the line above the images."""
        self._line.addWidget(widget)

    def selected(self) -> np.ndarray:
        """Indexes of the chosen images, in order."""
        return self.grid.selected()

    def select(self, indexes: np.ndarray | list[int]) -> None:
        """Choose these images and no others."""
        self.grid.select(indexes)

    # -- inside -------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """The way the images are made has changed."""
        side = round(self.grid.side * self.devicePixelRatioF())
        self.loader.set_style(side, self.smooth.isChecked(), self.common.isChecked())
        self._show_words()
        self.grid.relayout()

    def _show_words(self) -> None:
        stack, factor = self.loader.stack, self.loader.factor
        unit = f" ({factor * stack.pixel_size_a:.3g} Å)" if stack and stack.pixel_size_a else ""
        self.smooth.setToolTip(
            f"Means over more pixels: particles stand out of the noise. Now {factor} × {factor} px{unit}"
        )
        if stack is None:
            self.title.setText("")
            self.chosen.setText("")
            return
        h, w = stack.shape
        size = f"{w * stack.pixel_size_a:.4g} × {h * stack.pixel_size_a:.4g} Å" if stack.pixel_size_a else ""
        words = (self._name, f"{stack.n:,} images of {w} × {h} px" + (f", {size}" if size else ""))
        self.title.setText("   ".join(word for word in words if word))
        if self._chosen:
            self.chosen.setText(f"{self._chosen:,} of {stack.n:,} selected")
        else:
            self.chosen.setText(f"image {self.grid.current + 1:,} of {stack.n:,}")

    def _on_cells(self) -> None:
        self.grid.set_cells(self.size_slider.value(), self.numbers.isChecked())
        self._refresh()

    def _on_selection(self, count: int) -> None:
        self._chosen = count
        self._show_words()
        self.selection_changed.emit(count)

    def _on_failed(self, err: AppError) -> None:
        self.error.setText(str(err))
        self.error.show()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        kinds = (QEvent.Type.FontChange, QEvent.Type.DevicePixelRatioChange, QEvent.Type.PaletteChange)
        if event.type() in kinds and hasattr(self, "numbers"):
            self._refresh()
