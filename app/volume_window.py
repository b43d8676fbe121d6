"""The window that shows a map from a file, with half maps, standard deviation, data weight or a second map beside it.

Not modal: the main window goes on. Reading happens in tasks; the viewer itself is app/viewer/volume_view.py.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QFileDialog, QMenu, QMessageBox, QProgressBar, QVBoxLayout, QWidget

from app.errors import show_error
from app.session import Session
from app.viewer.view_toolbar import tool_button
from app.viewer.volume_view import VolumeView
from app.widgets.labels import ElidedLabel, row
from core.errors import AppError
from core.images.pyramid import Cancelled
from core.volumes.reading import MapInfo, look_at, read_map
from core.volumes.volume import KINDS, Volume, VolumeSet, kind_of_name, size_text
from workers.task import run_task

MAPS = "Maps (*.mrc *.map *.mrc.gz *.map.gz *.mrc.bz2 *.map.bz2 *.rec *.ccp4)"
NOTHING = "Open a map, or drop it here."
_ONE_EACH = "One map of a kind is shown at a time; left out: {}."
_GEOMETRY = "volume_window"  # in the settings
_FOLDER = "map"  # the map opened last
_POLL_MS = 100


class VolumeWindow(QWidget):
    """`open_maps(paths)` shows the first and puts the others beside it; what they are is guessed from their names."""

    def __init__(self, session: Session, parent: QWidget | None = None, painter: str | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAcceptDrops(True)
        self._session = session
        self._queue: list[tuple[Path, str, bool | None]] = []  # path, kind, halved (None: ask when large)
        self._reading: Path | None = None
        self._alone = False  # what is being read is shown instead of what is there
        self._part = (0, 1)
        self._stop = threading.Event()
        self.view = VolumeView(painter=painter)
        self.status = ElidedLabel()
        self.progress = QProgressBar()
        self.progress.setMaximumWidth(self.fontMetrics().averageCharWidth() * 24)
        self.progress.hide()
        self.cancel = tool_button(self, "Cancel", "Stop reading")
        self.cancel.hide()
        self.cancel.clicked.connect(self.stop_reading)
        self.open = tool_button(self, "Open…", "Open a map (Ctrl+O)")
        self.open.clicked.connect(self.ask_map)
        self.add = tool_button(self, "Add…", "Put another map beside it: half map, standard deviation, data weight")
        menu = QMenu(self.add)
        for kind, text in KINDS.items():
            if kind != "map":
                menu.addAction(f"{text}…", lambda kind=kind: self.ask_map(kind))
        self.add.setMenu(menu)
        self.add.setPopupMode(self.add.ToolButtonPopupMode.InstantPopup)
        self._poll = QTimer(self, interval=_POLL_MS)
        self._poll.timeout.connect(self._show_progress)
        self._build()
        self.view.said.connect(self.status.setText)
        if parent is not None:
            parent.installEventFilter(self)
        self._restore_geometry()
        self._show_state()

    def _build(self) -> None:
        foot = row(self.open, self.add, self.status, self.progress, self.cancel, spacing=8)
        foot.setStretch(2, 1)
        body = QVBoxLayout(self)
        body.setContentsMargins(8, 8, 8, 6)
        body.setSpacing(4)
        body.addWidget(self.view, 1)
        body.addLayout(foot)
        for key, slot in (("Ctrl+O", self.ask_map), ("Ctrl+W", self.close)):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.activated.connect(slot)

    # -- opening ------------------------------------------------------------------------------------------

    def ask_map(self, kind: str = "map") -> None:
        """Let the user choose a map, or one to put beside it."""
        folder = self._session.settings.home.get(_FOLDER, "")
        start = str(Path(folder).parent) if isinstance(folder, str) and folder else ""
        chosen, _ = QFileDialog.getOpenFileName(self, f"Open: {KINDS[kind].lower()}", start, f"{MAPS};;All files (*)")
        if chosen:
            self.open_map(Path(chosen), kind)

    def open_maps(self, paths: Sequence[Path]) -> None:
        """Open the first that is no companion by its name as the map, and the others beside it."""
        kinds = [kind_of_name(path.name) for path in paths]
        first = kinds.index("map") if "map" in kinds else 0
        has_map = self.view.volumes is not None and len(paths) == 1 and kinds[0] != "map"
        if not has_map:
            kinds[first] = "map"
        kinds = ["other" if kind == "map" and k != first else kind for k, kind in enumerate(kinds)]
        order = sorted(range(len(paths)), key=lambda k: k != first)
        shown = [k for k in order if k == next(j for j in order if kinds[j] == kinds[k])]
        for place in shown:
            self.open_map(paths[place], kinds[place])
        left = [paths[k].name for k in order if k not in shown]
        if left:
            show_error(self, AppError(_ONE_EACH.format(", ".join(left)), "Open them alone, or in place of the others."))

    def open_map(self, path: Path, kind: str = "map", halved: bool | None = None) -> None:
        """Read a map in a task and show it; `halved` None asks when it is large."""
        self._queue.append((path, kind, halved))
        if self._reading is None:
            self._next()

    def _next(self) -> None:
        if not self._queue:
            self._show_state()
            return
        path, kind, halved = self._queue.pop(0)
        self._reading = path
        self._show_state()

        def looked(info: MapInfo) -> None:
            if halved is None and info.large:
                self._ask_halved(info, kind)
            else:
                self._read(path, kind, bool(halved))

        run_task(lambda: look_at(path), looked, self._on_failed, self)

    def _ask_halved(self, info: MapInfo, kind: str) -> None:
        path = info.header.path
        box = QMessageBox(QMessageBox.Icon.Question, "Large map", "", parent=self)
        box.setText(f"{path.name} has {size_text(info.shape)} voxels: {info.nbytes / 2**20:.0f} MB of memory.")
        box.setInformativeText("Means of 2 × 2 × 2 voxels take an eighth of it and keep half of the resolution.")
        whole = box.addButton("Open all of it", QMessageBox.ButtonRole.AcceptRole)
        half = box.addButton("Open at half size", QMessageBox.ButtonRole.AcceptRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(half)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.question = box

        def answered(_code: int) -> None:
            if box.clickedButton() in (whole, half):
                self._read(path, kind, box.clickedButton() is half)
            else:
                self._end()

        box.finished.connect(answered)
        box.open()

    def _read(self, path: Path, kind: str, halved: bool) -> None:
        self._stop = stop = threading.Event()
        self._part = (0, 1)
        self._alone = kind == "map"

        def report(done: int, total: int) -> None:
            self._part = (done, total)

        def work() -> Volume | None:
            try:
                return read_map(path, halved, report, stop.is_set, kind)
            except Cancelled:
                return None

        self._poll.start()
        self._show_state()
        self.destroyed.connect(stop.set)
        run_task(work, self._on_read, self._on_failed, self)

    def stop_reading(self) -> None:
        """Give up what is being read and what waits."""
        self._queue.clear()
        self._stop.set()

    def _on_read(self, volume: Volume | None) -> None:
        if volume is not None:
            try:
                self._show_volume(volume)
            except AppError as err:
                show_error(self, err)
        self._end()

    def _show_volume(self, volume: Volume) -> None:
        if self._alone:
            self.view.set_volumes(VolumeSet((volume,)))
            self._session.settings.home[_FOLDER] = str(volume.path)
        else:
            self.view.add_companion(volume)
        self.status.setText(f"{KINDS[volume.kind]}: {volume.path}")

    def _on_failed(self, err: AppError) -> None:
        show_error(self, err)
        self._end()

    def _end(self) -> None:
        self._reading = None
        self._poll.stop()
        self._next()

    # -- state --------------------------------------------------------------------------------------------

    def _show_state(self) -> None:
        reading = self._reading
        for widget in (self.progress, self.cancel):
            widget.setVisible(reading is not None)
        volumes = self.view.volumes
        self.add.setEnabled(volumes is not None)
        self.view.set_message(f"Reading {reading.name} …" if reading else "" if volumes is not None else NOTHING)
        self.setWindowTitle(volumes.main.title if volumes is not None else "Map")
        self._show_progress()

    def _show_progress(self) -> None:
        done, total = self._part
        self.progress.setRange(0, total)
        self.progress.setValue(done)

    # -- drag and drop ------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            self.open_maps(paths)
            event.acceptProposedAction()

    # -- window -------------------------------------------------------------------------------------------

    def _restore_geometry(self) -> None:
        saved = self._session.settings.home.get(_GEOMETRY, "")
        if isinstance(saved, str) and saved and self.restoreGeometry(QByteArray(base64.b64decode(saved))):
            return
        room = self.screen().availableGeometry()
        self.resize(min(1400, int(room.width() * 0.85)), min(1000, int(room.height() * 0.85)))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The main window has closed: so does this one, and its tasks end."""
        if watched is self.parent() and event.type() == QEvent.Type.Hide and not event.spontaneous():
            self.close()
        return False

    def closeEvent(self, event: QCloseEvent) -> None:
        self._session.settings.home[_GEOMETRY] = base64.b64encode(self.saveGeometry().data()).decode()
        self.stop_reading()
        self.view.close_view()
        event.accept()


def open_for(window: Any, paths: Sequence[Path] = ()) -> VolumeWindow:
    """The window of maps of a main window, in front. Without paths it asks for a map when it shows none."""
    found = next((w for w in window.findChildren(VolumeWindow) if w.isVisible()), None)
    fresh = found is None
    if found is None:
        found = VolumeWindow(window.session, window)
    found.show()
    found.raise_()
    found.activateWindow()
    if paths:
        found.open_maps(paths)
    elif fresh:
        found.ask_map()
    return found


def sort_out_maps(window: Any, paths: Sequence[Path], others: Callable[[list[Path]], None]) -> None:
    """Look at headers in a task: 3D maps go to the window of maps, `others` gets the rest."""
    from core.volumes.reading import is_map

    def look() -> list[Path]:
        return [path for path in paths if path.is_file() and is_map(path)]

    def done(maps: list[Path]) -> None:
        rest = [path for path in paths if path not in maps]
        if maps:
            open_for(window, maps)
            words = f"{maps[0].name} is a 3D map" if len(maps) == 1 else f"{len(maps)} files are 3D maps"
            window.session.message.emit(f"{words}: shown in a window of its own.", 8000)
        if rest or not maps:
            others(rest)

    run_task(look, done, lambda err: show_error(window, err), window)
