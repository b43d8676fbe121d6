"""Saving and copying the picture of a view: what both views hand to the dialog (export_dialog.py)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QStandardPaths, Signal
from PySide6.QtWidgets import QWidget

if TYPE_CHECKING:
    from app.viewer.export import Exportable

memory: dict[str, Any] = {}  # choices of the dialog, for all views; the session keeps them


def pictures_folder() -> Path:
    """Where pictures go the first time: never among the raw data. The user's own folder for pictures, or home."""
    place = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
    return Path(place) if place and Path(place).is_dir() else Path.home()


class Saving(QObject):
    """`make()` says what can be saved now, None when there is nothing."""

    said = Signal(str)

    def __init__(self, owner: QWidget, make: Callable[[], Exportable | None]) -> None:
        super().__init__(owner)
        self._owner, self._make = owner, make

    def save(self) -> None:
        """Ask where the picture goes."""
        exportable = self._make()
        if exportable is None:
            return
        from app.viewer.export_dialog import ExportDialog

        dialog = ExportDialog(exportable, pictures_folder(), memory, self._owner)
        dialog.saved.connect(lambda path: self.said.emit(f"Saved {path}."))
        dialog.open()

    def copy(self) -> None:
        """Put what is seen on the clipboard."""
        exportable = self._make()
        if exportable is None or exportable.picture is None:
            return
        from app.viewer.export import copy_to_clipboard

        labels = () if exportable.labelled else exportable.labels
        copy_to_clipboard(exportable.picture(), labels, exportable.ratio, exportable.strip)
        self.said.emit("The picture is on the clipboard.")
