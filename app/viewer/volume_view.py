"""A map with its companions: three linked sections or projections, the surface, and ways out of the window.

Made for the Reconstruct tab and the window of maps (app/volume_window.py). `set_maps` shows a result, `set_live` the
sections that a running job sends. Reading files is core/volumes/reading.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import QProcess, Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.errors import show_error
from app.viewer.export import Exportable
from app.viewer.saving import Saving, pictures_folder
from app.viewer.surface_view import SurfaceView
from app.viewer.turntable import TurnDialog
from app.viewer.view_toolbar import tool_button
from app.viewer.volume_slices import VolumeSlices
from app.widgets.labels import ElidedLabel, label, row
from core.errors import AppError
from core.volumes.chimerax import find_program, write_commands
from core.volumes.volume import Volume, VolumeSet

_SCRIPT = "_view.cxc"


class VolumeView(QWidget):
    """See the methods; `said(text)` is a short message for the status line."""

    said = Signal(str)
    position_changed = Signal(int, int, int)  # z, y, x of the cross-hair

    def __init__(self, parent: QWidget | None = None, painter: str | None = None) -> None:
        super().__init__(parent)
        self.volumes: VolumeSet | None = None
        self.slices = VolumeSlices(self, painter)
        self.surface = SurfaceView(self)
        self.slices.set_corner(self.surface)
        self.title = ElidedLabel()
        self.provenance = label("", "warning")
        self.provenance.setAccessibleName("How this map was made")
        self.notes = label("", "muted", wrap=True)
        self.notes.setContentsMargins(6, 0, 6, 0)
        self.notes.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.large = tool_button(self, "Large surface", "The surface alone, or beside the sections (S)", checkable=True)
        self.chimerax = tool_button(self, "Open in ChimeraX", "Maps, levels and colours as a file for ChimeraX")
        self._save_surface = Saving(self, self._surface_picture)
        self._save_all = Saving(self, self._three_pictures)
        self._build()

    def _build(self) -> None:
        head = row(self.title, self.provenance, self.large, self.chimerax, spacing=10)
        head.setContentsMargins(6, 0, 4, 0)
        head.setStretch(0, 1)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        rows.addLayout(head)
        rows.addWidget(self.notes)
        rows.addWidget(self.slices, 1)
        menu = self.slices.toolbar.save.menu()
        menu.addAction("Save the three pictures…", self._save_all.save)
        self._surface_actions = [
            menu.addAction("Save the surface…", self._save_surface.save),
            menu.addAction("Turn-table movie…", self.ask_movie),
        ]
        menu.aboutToShow.connect(self._on_menu)
        self.large.toggled.connect(self.slices.set_corner_alone)
        self.chimerax.clicked.connect(self.open_in_chimerax)
        self.slices.position_changed.connect(self.position_changed)
        for part in (self.slices, self.surface, self._save_all, self._save_surface):
            part.said.connect(self.said)
        for key, slot in (("X", self.slices.cross.toggle), ("S", self.large.toggle)):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(slot)
        self._show_head(None)

    # -- what is shown ------------------------------------------------------------------------------------

    def set_maps(self, main: Volume, companions: Sequence[Volume] = ()) -> None:
        """Show a map and what belongs to it; `InputError` when the boxes differ.

        Level, colours, place, zoom and contrast stay while the box is the same, so a job may send map after map.
        """
        self.set_volumes(VolumeSet((main, *companions)))

    def set_volumes(self, volumes: VolumeSet | None) -> None:
        """The same as one value; None shows nothing."""
        self.volumes = volumes
        self._show_head(volumes.main if volumes is not None else None)
        notes = dict.fromkeys(note for volume in (volumes.volumes if volumes else ()) for note in volume.notes)
        self.notes.setText(" ".join(notes))
        self.notes.setVisible(bool(notes))
        self.slices.set_volumes(volumes)
        self.surface.set_volumes(volumes)

    def add_companion(self, volume: Volume) -> None:
        """Put a half map, standard deviation, data weight or second map beside the map that is shown."""
        if self.volumes is None:
            self.set_maps(volume)
        else:
            self.set_volumes(self.volumes.with_volume(volume))

    def set_live(
        self, pictures: Mapping[str, np.ndarray], pixel_size_a: float | None, title: str, provenance: str = ""
    ) -> None:
        """Show sections {"z", "y", "x": float32 (ny, nx)} through the middle of a map that is still being made.

        z: x right, y down; y: x right, z down; x: z right, y down (core/volumes/slices.py). The surface waits.
        """
        self.volumes = None
        stand_in = Volume(np.zeros((1, 1, 1), np.float32), pixel_size_a, title, provenance)
        self._show_head(stand_in)
        self.chimerax.setEnabled(False)
        self.notes.hide()
        self.surface.set_volumes(None)
        self.slices.set_live(pictures, stand_in)

    def clear(self, message: str = "") -> None:
        """Show nothing, and say why."""
        self.set_volumes(None)
        self.set_message(message)

    def set_message(self, text: str) -> None:
        """Words over the pictures, such as "Reading …"; "" hides them."""
        self.slices.set_message(text)

    def _show_head(self, volume: Volume | None) -> None:
        self.title.setText(volume.title if volume is not None else "")
        self.provenance.setText(volume.provenance if volume is not None else "")
        self.provenance.setVisible(bool(self.provenance.text()))
        self.notes.setVisible(False)
        self.chimerax.setEnabled(volume is not None)

    # -- ways out -----------------------------------------------------------------------------------------

    @property
    def _stem(self) -> str:
        name = self.title.text() or "map"
        return re.sub(r"[^\w.+-]+", "-", re.sub(r"\.(mrc|map)(\.gz|\.bz2)?$", "", name)).strip("-") or "map"

    def _on_menu(self) -> None:
        surface = self.surface
        there = surface.gl is not None and surface.volume is not None and surface.gl.drawn(0) is not None
        for action in self._surface_actions:
            action.setEnabled(there)

    def _surface_picture(self) -> Exportable | None:
        if self.volumes is None or self.surface.grab_surface() is None:
            return None
        volume = self.surface.volume or self.volumes.main
        words = f"surface at {self.surface.sigma:.3g} σ (level {self.surface.level:.4g})"
        return Exportable(
            name=f"{self._stem}_surface",
            picture=lambda: self.surface.grab_with_bar() or self.slices.grab_all(),
            labels=(*self.surface.labels(), words),
            strip=True,
            source=volume.path,
        )

    def _three_pictures(self) -> Exportable | None:
        if self.slices.shown is None:
            return None
        return Exportable(
            name=f"{self._stem}_sections",
            picture=self.slices.grab_all,
            ratio=self.slices.planes["z"].canvas.ratio,
            labels=self.slices.labels(),
            strip=True,
            source=self.slices.shown.path,
        )

    def ask_movie(self) -> None:
        """Ask for number and folder, then turn the surface once and write the pictures."""
        if self.surface.gl is None or self.volumes is None:
            self.said.emit("There is no surface to turn.")
            return
        folder = pictures_folder() / f"{self._stem}_turn"
        dialog = TurnDialog(self.surface, folder, self._stem, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.saved.connect(lambda place: self.said.emit(f"The movie is in {place}."))
        dialog.open()

    def open_in_chimerax(self) -> None:
        """Write the command file beside the map and start ChimeraX, or say where the file is."""
        try:
            script = self.write_chimerax()
        except AppError as err:
            show_error(self, err)
            return
        program = find_program()
        if program is not None and QProcess.startDetached(str(program), [str(script)])[0]:
            self.said.emit(f"ChimeraX was started with {script}.")
        else:
            self.said.emit(f"ChimeraX was not found here. Open this file with it: {script}")

    def write_chimerax(self, folder: Path | None = None) -> Path:
        """Write `<map>_view.cxc`: files, levels, colours as they are seen. `folder` None: beside the map.

        Where that may not be written, it goes to the user's folder for pictures. `AppError` for maps without a file.
        """
        shown = self.surface.shown_maps()
        if self.volumes is None or not shown:
            raise AppError("This map is not in a file yet.", "Save it first, then open it in ChimeraX.")
        companion = self.surface.controls.companion
        by = companion.path if companion is not None else None
        texts = (self.title.text(), self.provenance.text())
        title = ", ".join(text for text in texts if text)
        name = f"{self._stem}{_SCRIPT}"
        places = [folder] if folder is not None else [shown[0].path.parent, pictures_folder()]
        for number, place in enumerate(places):
            try:
                return write_commands(place / name, shown, by, self.surface.colour_limits if by else None, title)
            except AppError:
                if number == len(places) - 1:
                    raise
        raise AppError("There is no folder to write to.")

    def close_view(self) -> None:
        """Nothing is computed any more."""
        self.surface.close_view()
        self.slices.close_view()
