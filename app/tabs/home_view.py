"""What Home shows of a file: the picture, the gallery of a stack, and the strip of thumbnails below, with flags.

Loads in workers; which file is shown and what is marked on it is decided by the tab.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from app.session import Session
from app.viewer.image_view import ImageView
from app.viewer.view_toolbar import tool_button
from app.widgets.flag_file import FlagFile
from core.errors import AppError
from workers.image_loader import ImageLoader

if TYPE_CHECKING:
    from app.viewer.gallery import GalleryView
    from app.widgets.thumbnail_strip import ThumbnailStrip
    from workers.thumbnail_loader import ThumbnailLoader

FLAGS_NAME = "micrograph_flags.json"
ROOMY = 900  # logical px of the screen's height: from there on the strip is shown unless it was closed
_NO_STACK: tuple[int, tuple[int, int], float | None] = (1, (1, 1), None)


class HomeView(QWidget):
    """`loaded(pyramid)` when a whole image is shown; `chosen(path)` from the strip; `said(text)`."""

    loaded = Signal(object)
    chosen = Signal(object)
    said = Signal(str)
    failed = Signal(object)  # AppError of the flags' file

    def __init__(self, session: Session, count: Callable[[Path], int]) -> None:
        """`count(path)`: boxes on a micrograph."""
        super().__init__()
        self._session, self._count = session, count
        self.loader = ImageLoader(session.cache, self)
        self.view = ImageView()
        self.flags = FlagFile(self)
        self.gallery: GalleryView | None = None
        self.strip: ThumbnailStrip | None = None
        self._thumbnails: ThumbnailLoader | None = None
        self._files: tuple[list[Path], Mapping[Path, str]] = ([], {})
        self._path: Path | None = None
        self._ticket = -1
        self._stack = _NO_STACK  # images in the file that is shown, their shape and pixel size
        self._of_stack = False  # the last request was for another image of the same stack
        self._build()
        self._connect()
        roomy = self.screen().availableGeometry().height() >= ROOMY
        if session.settings.home.get("strip", roomy):
            self.strip_button.setChecked(True)

    def _build(self) -> None:
        self.gallery_button = tool_button(self, "Gallery", "All images of this stack (Y)", checkable=True)
        self.strip_button = tool_button(self, "Strip", "Thumbnails with flags (Ctrl+T)", checkable=True)
        self.gallery_button.hide()
        for button in (self.gallery_button, self.strip_button):
            self.view.add_tool(button)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.view)
        self._rows = QVBoxLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setSpacing(0)
        self._rows.addWidget(self.pages, 1)

    def _connect(self) -> None:
        self.loader.previewed.connect(self._on_previewed)
        self.loader.loaded.connect(self._on_loaded)
        self.loader.failed.connect(self._on_failed)
        self.view.frame_chosen.connect(self._show_frame)
        self.view.pixel_size_changed.connect(lambda _size: self.loaded.emit(self.view.pyramid))
        self.view.said.connect(self.said)
        self.flags.failed.connect(self.failed)
        self.gallery_button.toggled.connect(self._toggle_gallery)
        self.strip_button.toggled.connect(self._toggle_strip)
        for keys, button in (("Ctrl+T", self.strip_button), ("Y", self.gallery_button)):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(button.click)

    # -- picture ------------------------------------------------------------------------------------------

    def set_files(self, files: Sequence[Path], keys: Mapping[Path, str], project: Path) -> None:
        """Other micrographs are open; their flags are kept in the project folder."""
        self._files = (list(files), keys)
        self._path = None
        self.flags.open(project / FLAGS_NAME)
        if self.strip is not None:
            self.strip.set_files(files, keys)
        elif self.strip_button.isChecked():
            self._make_strip()

    def show_file(self, path: Path, neighbours: Sequence[Path]) -> None:
        """Load and show a file; then those around it are loaded in advance."""
        self._path, self._of_stack, self._stack = path, False, _NO_STACK
        self.gallery_button.setChecked(False)
        self.view.frames.stop()
        self.view.set_message(f"Loading {path.name} …")
        if self.strip is not None:
            self.strip.set_current(path)
        self._ticket = self.loader.request(path)
        self.loader.prefetch(neighbours)

    def _show_frame(self, index: int) -> None:
        if self._path is not None and self.view.frames.stack == self._path:  # else the bar is of the file before
            self._of_stack = True
            self._ticket = self.loader.request(self._path, index)
            self.loader.prefetch_frames(self._path, (index + 1, index + 2, index - 1))

    def _on_previewed(self, ticket: int, pyramid: Any) -> None:
        if ticket == self._ticket:
            self.view.set_pyramid(pyramid, path=self._path)

    def _on_loaded(self, ticket: int, pyramid: Any) -> None:
        if ticket == self._ticket:
            self.view.set_pyramid(pyramid, path=self._path)
            self._stack = (pyramid.n, pyramid.shape, pyramid.pixel_size_a)
            self.gallery_button.setVisible(pyramid.n > 1)
            self.loaded.emit(self.view.pyramid)

    def _on_failed(self, ticket: int, err: AppError) -> None:
        if ticket == self._ticket:
            frames = self.view.frames
            frames.stop()
            others = self._of_stack and frames.frames > 1 and frames.stack == self._path
            self.view.set_pyramid(None, path=self._path if others else None)
            self.gallery_button.setVisible(others)
            self.view.set_message(f"{err.message}\n{err.hint}")

    # -- gallery ------------------------------------------------------------------------------------------

    def _toggle_gallery(self, on: bool) -> None:
        path, (n, shape, pixel_size_a) = self._path, self._stack
        if not on or path is None or n < 2:
            self.pages.setCurrentWidget(self.view)
            self.gallery_button.setChecked(False)
            self.view.setFocus()
            return
        if self.gallery is None:
            from app.viewer.gallery import GalleryView

            self.gallery = GalleryView(self._session.cache)
            self.gallery.opened.connect(self._open_from_gallery)
            close = tool_button(self.gallery, "One image", "Back to a single image (Y, Enter or double click)")
            close.clicked.connect(lambda _=False: self.gallery_button.setChecked(False))
            self.gallery.add_tool(close)
            self.pages.addWidget(self.gallery)

        def read(first: int, count: int) -> Any:
            from core.images.gallery import montage_frames

            return montage_frames(path, first, count)

        shown = self.view.pyramid  # whose pixel size may have been given by hand
        pixel_size_a = shown.pixel_size_a if shown is not None else pixel_size_a
        self.gallery.set_stack(n, shape, read, path.name, pixel_size_a)
        self.pages.setCurrentWidget(self.gallery)
        self.gallery.setFocus()

    def _open_from_gallery(self, index: int) -> None:
        self.gallery_button.setChecked(False)
        self._show_frame(index)

    # -- strip --------------------------------------------------------------------------------------------

    def _toggle_strip(self, on: bool) -> None:
        self._session.settings.home["strip"] = on
        if on and self.strip is None and self._files[0]:
            self._make_strip()
        if self.strip is not None:
            self.strip.setVisible(on)

    def _make_strip(self) -> None:
        from app.widgets.thumbnail_strip import ThumbnailStrip
        from workers.thumbnail_loader import ThumbnailLoader

        strip = self.strip = ThumbnailStrip(self.flags.flags, self._count, self)
        loader = self._thumbnails = ThumbnailLoader(self._session.cache, parent=self)
        strip.wanted.connect(loader.ask)
        loader.made.connect(strip.set_thumbnail)
        loader.failed.connect(strip.set_failed)
        strip.chosen.connect(self.chosen)
        strip.add_keys(self.view.canvas)
        self._rows.addWidget(strip)
        files, keys = self._files
        if files:
            strip.set_files(files, keys, self._path)

    def rejected(self) -> list[Path]:
        """Micrographs that the user flagged so."""
        files, keys = self._files
        return [path for path in files if self.flags.flags.get(keys.get(path, path.name)) == "reject"]

    def step(self, by: int) -> bool:
        """Go to the next in the strip when it shows some micrographs only, or another order; else False."""
        strip = self.strip
        arranged = strip is not None and strip.isVisible() and strip.arranged
        if strip is not None and arranged:
            strip.step(by)
        return arranged

    def refresh_counts(self, path: Path | None) -> None:
        """The number of boxes of a micrograph (None: of any) has changed."""
        if self.strip is not None:
            self.strip.refresh_counts(path)

    def close_view(self) -> None:
        """Save the flags and end the threads."""
        self.flags.flush()
        self.loader.stop()
        if self._thumbnails is not None:
            self._thumbnails.stop()
