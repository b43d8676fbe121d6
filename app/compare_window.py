"""The window that compares any two images: two choosers, the comparison, and how far they agree (FRC).

Not modal: the main window goes on. It keeps its place on the screen and nothing else.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QEvent, QObject, Qt
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QKeySequence,
    QShortcut,
    QShowEvent,
)
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.session import Session
from app.viewer.compare_view import CompareView
from app.viewer.pair_loader import PairLoader
from app.widgets.image_chooser import ImageChooser, short_names
from app.widgets.labels import button, label, row
from core.images.pyramid import Pyramid
from workers.task import run_task

NOTHING = "Choose two images above, or drop them here."
DROP_WHERE = "Drop on the left half for A, on the right half for B; two files at once are A and B."
_GEOMETRY = "compare_window"  # in the settings
_LABEL = "for seeing and picking"  # what Predict writes into the header of a denoised micrograph


class CompareWindow(QWidget):
    """`open_pair(a, b)` shows two images; `known()` are the files that can be chosen without a dialog."""

    def __init__(
        self,
        session: Session,
        parent: QWidget | None = None,
        known: Callable[[], Sequence[Path]] = tuple,
        painter: str | None = None,
    ) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAcceptDrops(True)
        self._session, self._known = session, known
        self._denoised: dict[Path, bool] = {}  # what the headers say
        self._opened = False
        self.choosers = (ImageChooser("A"), ImageChooser("B"))
        self.compare = CompareView(painter=painter)
        self.compare.canvas.setAccessibleName("Images A and B")
        self.compare.with_frames = False  # each chooser has its own number
        self.compare.scene.difference_means = ""
        self.notice = label("", "warning", wrap=True)
        self.notice.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.notice.setAccessibleName("What keeps the two images from being compared")
        self.pair = PairLoader(session.cache, self)
        self._build()
        for side, chooser in enumerate(self.choosers):
            chooser.chosen.connect(lambda path, index, side=side: self._load(side, path, index))
        self.pair.changed.connect(self._show_pair)
        self.pair.failed.connect(lambda _side, _err: self._show_pair())
        self.compare.said.connect(lambda text: session.message.emit(text, 6000))
        if parent is not None:
            parent.installEventFilter(self)
        self._restore_geometry()
        self._show_pair()

    def _build(self) -> None:
        self.swap_button = button("⇄", tip="Exchange A and B (X)")
        self.swap_button.setAccessibleName("Exchange A and B")
        self.swap_button.clicked.connect(self.swap)
        head = row(self.choosers[0], self.swap_button, self.choosers[1], spacing=10)
        head.setStretch(0, 1)
        head.setStretch(2, 1)
        body = QVBoxLayout(self)
        body.setContentsMargins(10, 10, 10, 6)
        body.setSpacing(6)
        body.addLayout(head)
        body.addWidget(self.notice)
        body.addWidget(self.compare, 1)
        for key, slot in (("X", self.swap), ("Ctrl+W", self.close)):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.activated.connect(slot)

    # -- choosing -----------------------------------------------------------------------------------------

    def open_pair(self, path_a: Path | str | None, path_b: Path | str | None) -> None:
        """Show these two (None: to be chosen)."""
        for side, path in enumerate((path_a, path_b)):
            if path is not None:
                self.choosers[side].choose(Path(path))

    def refresh_known(self) -> None:
        """Other files may be open by now."""
        files = list(self._known())
        for chooser in self.choosers:
            chooser.set_known(files)

    def swap(self) -> None:
        """A becomes B and B becomes A."""
        states = [(c.path, c.frame.maximum(), c.index) for c in self.choosers]
        for chooser, state in zip(self.choosers, reversed(states), strict=True):
            chooser.set_path(*state)
        self.pair.swap()
        self._show_pair()

    def _load(self, side: int, path: Path, index: int) -> None:
        self.pair.request(side, path, index)
        if path not in self._denoised:
            self._denoised[path] = False

            def tell(denoised: bool) -> None:
                self._denoised[path] = denoised
                self._show_labels()

            run_task(lambda: is_denoised(path), tell, lambda _err: None, self)
        if not any(self.compare.pair):
            self.compare.set_message(f"Loading {path.name} …")
        self._show_labels()

    # -- showing ------------------------------------------------------------------------------------------

    def _show_pair(self) -> None:
        first, second = self.pair.pictures
        for chooser, picture in zip(self.choosers, (first, second), strict=True):
            if picture is not None and (picture.n, picture.index) != (chooser.frame.maximum(), chooser.index):
                chooser.set_frames(picture.n, picture.index)
        self.compare.set_pair(first, second, "", paths=(self.choosers[0].path, self.choosers[1].path))
        self._show_labels()
        words = [self.pair.words(), *differences(first, second)]
        self.notice.setText("\n".join(text for text in words if text))
        self.notice.setVisible(bool(self.notice.text()))
        nothing = first is None and second is None and not self.pair.words()
        self.compare.set_message(NOTHING if nothing else "")  # the notice tells the rest

    def _show_labels(self) -> None:
        paths = [chooser.path for chooser in self.choosers]
        there = [path for path in paths if path is not None]
        names = dict(zip(there, short_names(list(dict.fromkeys(there))), strict=False))
        texts = []
        for letter, path, picture in zip("AB", paths, self.pair.pictures, strict=True):
            parts = [names.get(path, "") if path is not None else "nothing chosen"]
            if picture is not None and picture.n > 1:
                parts.append(f"image {picture.index + 1} of {picture.n}")
            if path is not None and self._denoised.get(path):
                parts.append(f"denoised, {_LABEL}")
            texts.append(f"{letter}: {', '.join(parts)}")
        waiting = "Loading …" if self.pair.loading(1) else "Choose image B above, or drop it here."
        self.compare.set_labels(texts[0], texts[1], waiting)
        self.setWindowTitle(" | ".join(path.name for path in there) or "Compare two images")

    # -- drag and drop ------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()
            self.compare.set_message(DROP_WHERE)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        event.acceptProposedAction()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self._show_pair()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        self._show_pair()
        if len(paths) == 1:
            self.choosers[int(event.position().x() >= self.width() / 2)].choose(paths[0])
        elif paths:
            self.open_pair(*paths[:2])
        if paths:
            event.acceptProposedAction()

    # -- window -------------------------------------------------------------------------------------------

    def _restore_geometry(self) -> None:
        saved = self._session.settings.home.get(_GEOMETRY, "")
        if isinstance(saved, str) and saved and self.restoreGeometry(QByteArray(base64.b64decode(saved))):
            return
        room = self.screen().availableGeometry()
        self.resize(min(1400, int(room.width() * 0.8)), min(900, int(room.height() * 0.8)))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh_known()
        if not self._opened:
            self._opened = True
            self.compare.toolbar.panels["frc"].setChecked(True)
            self.compare.setFocus()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange and self.isActiveWindow():
            self.refresh_known()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The main window has closed: so does this one, and its threads end."""
        if watched is self.parent() and event.type() == QEvent.Type.Hide and not event.spontaneous():
            self.close()
        return False

    def closeEvent(self, event: QCloseEvent) -> None:
        self._session.settings.home[_GEOMETRY] = base64.b64encode(self.saveGeometry().data()).decode()
        self.pair.stop()
        event.accept()


def open_for(window: Any) -> CompareWindow:
    """The comparison of a main window, in front. At first: Home's micrograph, and what Predict made of it."""
    from app.tabs.predict import PredictTab

    found = next((w for w in window.findChildren(CompareWindow) if w.isVisible()), None)
    predict = window.findChild(PredictTab)

    def known() -> list[Path]:
        made = list(predict.outputs.values()) if predict is not None else []
        inputs = list(predict.list.files) if predict is not None else []
        return [*window.home.files.files, *inputs, *made]

    if found is None:
        found = CompareWindow(window.session, window, known)
        shown = window.home.panel.list.current()
        if shown is None and predict is not None:
            shown = predict.list.current()
        if shown is not None:
            found.open_pair(shown, predict.outputs.get(shown) if predict is not None else None)
    found.show()
    found.raise_()
    found.activateWindow()
    return found


def differences(first: Pyramid | None, second: Pyramid | None) -> list[str]:
    """What two images differ in that a comparison minds, in sentences."""
    if first is None or second is None:
        return []
    found = []
    if first.shape != second.shape:
        sizes = [f"{picture.shape[1]} × {picture.shape[0]}" for picture in (first, second)]
        found.append(f"A has {sizes[0]} px, B {sizes[1]} px: they lie on each other by their top left corners.")
    pixels = [picture.pixel_size_a for picture in (first, second)]
    if None in pixels and any(pixels):
        known = "A" if pixels[0] else "B"
        found.append(f"Only of {known} the pixel size is known ({(pixels[0] or pixels[1]):.4g} Å).")
    elif pixels[0] and pixels[1] and abs(pixels[0] / pixels[1] - 1) > 1e-3:
        found.append(f"Pixel sizes differ: A {pixels[0]:.4g} Å, B {pixels[1]:.4g} Å. Lengths are given in pixels.")
    return found


def is_denoised(path: Path) -> bool:
    """Whether the header of a micrograph says that it was denoised; reads the file."""
    from core.io.mrc_header import read_header
    from core.io.tiff import is_tiff

    if is_tiff(path):
        return False
    return any(_LABEL in text for text in read_header(path).labels)
