"""Three linked sections of a map, or its projections: one cross-hair, one contrast, one zoom.

Every picture goes through the canvas, tools and look of the micrograph viewer. What is cut and projected is
core/volumes/slices.py; the surface in the fourth corner is surface_view.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QComboBox, QGridLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from app.viewer.latest_task import LatestTask
from app.viewer.look_control import LookControl
from app.viewer.plane_group import PlaneGroup
from app.viewer.plane_view import PlaneView
from app.viewer.saving import Saving
from app.viewer.view_toolbar import ViewToolbar, tool_button
from app.viewer.volume_words import caption, flat_words, labels_of, side_by_side, voxel_words
from core.images.contrast import auto_levels
from core.images.pyramid import Pyramid
from core.volumes.slices import PLANES, SliceSource, grey_range, project, pyramid_of, sample
from core.volumes.volume import KINDS, Volume, VolumeSet, size_text

if TYPE_CHECKING:
    from app.viewer.export import Exportable

MODES = {"section": "Sections", "sum": "Projections: sum", "max": "Projections: maximum"}
_PLACES = {"z": (0, 0), "x": (0, 1), "y": (1, 0)}  # neighbours share an axis


class VolumeSlices(QWidget):
    """`set_volumes` shows a map with its companions, `set_live` three pictures that a job sends."""

    said = Signal(str)
    position_changed = Signal(int, int, int)  # z, y, x

    def __init__(self, parent: QWidget | None = None, painter: str | None = None) -> None:
        super().__init__(parent)
        self._volumes: VolumeSet | None = None
        self._shown: Volume | None = None
        self._live: dict[str, np.ndarray] = {}
        self._range = (0.0, 1.0)
        self._reference: Pyramid | None = None  # whose histogram stands in the contrast bar
        self._projections: dict[str, np.ndarray] = {}
        self._filter_words = dict.fromkeys(PLANES, "")  # of the filter for looking
        self._pictures: dict[str, Pyramid | None] = dict.fromkeys(PLANES)
        self._hovered: tuple[str, float, float] = ("z", math.nan, math.nan)
        self.position = (0, 0, 0)
        self.mode = "section"
        self.toolbar = ViewToolbar(self)
        self.planes = {name: PlaneView(plane, self.toolbar.measure, painter) for name, plane in PLANES.items()}
        self.group = PlaneGroup(list(self.planes.values()), self)
        self.group.changed.connect(self._on_view)
        self.look = LookControl(self.planes["z"].model, self)
        self.saving = Saving(self, self._exportable)
        self._task = LatestTask(self)
        self._task.done.connect(self._on_projected)
        self._task.failed.connect(lambda err: self.said.emit(str(err)))
        self._build()
        self._connect()
        self._refresh()

    def _build(self) -> None:
        self.what = QComboBox()
        self.what.setToolTip("Which map the pictures show")
        self.what.setAccessibleName("Which map the pictures show")
        self.what.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.modes = QComboBox()
        for name, text in MODES.items():
            self.modes.addItem(text, name)
        self.modes.setToolTip("Sections through the cross-hair, or sum or maximum along each axis")
        self.modes.setAccessibleName("Sections or projections")
        self.cross = tool_button(self, "Cross", "Show the cross-hair (X)", checkable=True)
        self.cross.setChecked(True)
        for button in self.toolbar.panels.values():
            button.hide()
        for widget in (self.cross, self.modes, self.what):
            self.toolbar.add_tool(widget)
        self.grid = QGridLayout()
        self.grid.setContentsMargins(0, 0, 0, 0)
        self.grid.setSpacing(6)
        for name, place in _PLACES.items():
            self.grid.addWidget(self.planes[name], *place)
        for place in (0, 1):
            self.grid.setRowStretch(place, 1)
            self.grid.setColumnStretch(place, 1)
        self.status = QLabel()
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.status.setContentsMargins(6, 0, 6, 0)
        self.status.setAccessibleName("Voxel under the mouse")
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        rows.addWidget(self.toolbar)
        rows.addLayout(self.grid, 1)
        rows.addWidget(self.status)

    def _connect(self) -> None:
        toolbar = self.toolbar
        toolbar.fit_requested.connect(self.fit)
        toolbar.one_to_one_requested.connect(lambda: self.planes["z"].model.set_zoom(1.0))
        toolbar.auto_requested.connect(self.auto_contrast)
        toolbar.levels_edited.connect(
            lambda black, white: self.group.set_contrast(automatic=False, black=black, white=white)
        )
        toolbar.look_requested.connect(self.look.open_popup)
        toolbar.save_requested.connect(self.saving.save)
        toolbar.copy_requested.connect(self.saving.copy)
        self.look.filtered.connect(self._on_filtered)
        self.look.reset.connect(self.fit)
        self.modes.currentIndexChanged.connect(lambda _: self.set_mode(str(self.modes.currentData())))
        self.what.currentIndexChanged.connect(self._on_what)
        self.cross.toggled.connect(lambda on: [plane.show_cross(on) for plane in self.planes.values()])
        for part in (self.look, self.saving):
            part.said.connect(self.said)
        for name, plane in self.planes.items():
            toolbar.measure_toggled.connect(plane.measure.toggle)
            plane.placed.connect(lambda x, y, name=name: self._on_placed(name, x, y))
            plane.stepped.connect(lambda by, name=name: self.step(name, by))
            plane.chosen.connect(lambda index, name=name: self.go_to_section(name, index))
            plane.hovered.connect(lambda x, y, name=name: self._on_hovered(name, x, y))

    def set_corner(self, widget: QWidget) -> None:
        """What stands in the fourth corner."""
        self.grid.addWidget(widget, 1, 1)

    def set_corner_alone(self, on: bool) -> None:
        """Give the corner all the room, or a quarter again."""
        for plane in self.planes.values():
            plane.setVisible(not on)
        self.grid.setRowStretch(0, 0 if on else 1)
        self.grid.setColumnStretch(0, 0 if on else 1)

    def set_message(self, text: str) -> None:
        """Words over the first picture; "" hides them."""
        self.planes["z"].scene.set_message(text)

    def close_view(self) -> None:
        """Nothing is computed any more."""
        self._task.cancel()

    # -- what is shown ------------------------------------------------------------------------------------

    @property
    def shown(self) -> Volume | None:
        """The map that the pictures show."""
        return self._shown

    def set_volumes(self, volumes: VolumeSet | None) -> None:
        """Show a map, or none. The cross-hair stays while the box does, otherwise it goes to the middle."""
        before = self._volumes.main.shape if self._volumes is not None else None
        kind = self._shown.kind if self._shown is not None else "map"
        self._volumes, self._live = volumes, {}
        if volumes is not None and volumes.main.shape != before:
            self.position = volumes.main.centre
        self.what.blockSignals(True)
        self.what.clear()
        found = volumes.volumes if volumes is not None else ()
        for volume in found:
            self.what.addItem(KINDS[volume.kind])
        place = next((k for k, volume in enumerate(found) if volume.kind == kind), 0)
        self.what.setCurrentIndex(place if found else -1)
        self.what.blockSignals(False)
        self.what.setVisible(len(found) > 1)
        self.modes.setEnabled(volumes is not None)
        self._show_volume(found[place] if found else None)

    def set_live(self, pictures: Mapping[str, np.ndarray], shown: Volume) -> None:
        """Show pictures {"z", "y", "x": float32 (ny, nx)} of a map that is still being made; see PLANES for their axes.

        `shown` lends title, provenance and pixel size; its values are not looked at.
        """
        self._volumes, self._shown, self._live = None, shown, dict(pictures)
        self._task.cancel()
        self.what.hide()
        self.modes.setEnabled(False)
        levels = [auto_levels(picture) for picture in pictures.values()]
        self._range = (min(low for low, _ in levels), max(high for _, high in levels))
        self._set_reference(np.concatenate([picture.ravel() for picture in pictures.values()])[None])
        self._refresh()

    def _show_volume(self, volume: Volume | None) -> None:
        self._shown, self._projections = volume, {}
        self._task.cancel()
        if volume is not None:
            self._set_levels()
        self._refresh()

    def _on_what(self, index: int) -> None:
        if self._volumes is not None and index >= 0:
            self._show_volume(self._volumes.volumes[index])

    def set_mode(self, mode: str) -> None:
        """`section`, `sum` or `max`."""
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode}")
        self.mode, self._projections = mode, {}
        self.modes.setCurrentIndex(list(MODES).index(mode))
        self._task.cancel()
        self._set_levels()
        self._refresh()

    def _set_levels(self) -> None:
        """Automatic levels of the sections; those of projections come with them."""
        if self._shown is not None and not self._live and self.mode == "section":
            self._range = grey_range(self._shown)
            self._set_reference(sample(self._shown.values))

    def _set_reference(self, values: np.ndarray) -> None:
        self._reference = Pyramid((np.ascontiguousarray(values, np.float32),), grey_ranges=(self._range,))

    # -- sections and projections -------------------------------------------------------------------------

    def _refresh(self, names: tuple[str, ...] = tuple(PLANES)) -> None:
        volume = self._shown
        if volume is not None and not self._live and self.mode != "section" and not self._projections:
            self._ask_projections(volume)
        for name in names:
            picture = self._picture(name)
            self._pictures[name], self._filter_words[name] = picture, ""
            plane = self.planes[name]
            n = volume.shape[plane.plane.axis] if volume is not None and not self._live else 1
            index = self.position[plane.plane.axis] if n > 1 else 0
            plane.set_sections(n, index, n > 1 and self.mode == "section")
            plane.set_picture(picture, self._caption(name, ""))
        self._show_cross()
        self.toolbar.set_picture(volume is not None)
        self.cross.setEnabled(volume is not None)
        self.look.set_pictures(list(self._pictures.values()), volume.pixel_size_a if volume else None)
        self._show_contrast()
        self._show_status()

    def _picture(self, name: str) -> Pyramid | None:
        volume, plane = self._shown, PLANES[name]
        if volume is None:
            return None
        if self._live:
            found = self._live.get(name)
            return None if found is None else pyramid_of(found, volume, self._range)
        if self.mode != "section":
            found = self._projections.get(name)
            return None if found is None else pyramid_of(found, volume, self._range)
        source, index = SliceSource(volume, plane), self.position[plane.axis]
        return pyramid_of(source.read(index), volume, self._range, source.n, index)

    def _ask_projections(self, volume: Volume) -> None:
        mode = self.mode

        def work(cancelled: Callable[[], bool]) -> dict[str, np.ndarray]:
            return {name: project(volume.values, plane, mode, cancelled) for name, plane in PLANES.items()}

        self._task.start(work)

    def _on_projected(self, found: dict[str, np.ndarray]) -> None:
        self._projections = found
        self._range = auto_levels(np.concatenate([picture.ravel() for picture in found.values()])[None])
        self._set_reference(np.concatenate([picture.ravel() for picture in found.values()])[None])
        self._refresh()

    def _on_filtered(self, pictures: list[Pyramid | None], text: str) -> None:
        self._filter_words = dict.fromkeys(PLANES, text)
        for (name, plane), picture in zip(self.planes.items(), pictures, strict=True):
            plane.set_picture(picture, self._caption(name, text))

    def _caption(self, name: str, text: str) -> str:
        return caption(self._shown, name, "live" if self._live else self.mode, text) if self._shown is not None else ""

    # -- the cross-hair -----------------------------------------------------------------------------------

    def go_to(self, z: int, y: int, x: int) -> None:
        """Move the cross-hair to a voxel (the nearest in the box); the three sections follow."""
        if self._shown is None or self._live:
            return
        limits = zip((z, y, x), self._shown.shape, strict=True)
        place = tuple(min(max(int(at), 0), size - 1) for at, size in limits)
        moved = tuple(name for name, plane in PLANES.items() if place[plane.axis] != self.position[plane.axis])
        if not moved:
            return
        self.position = (place[0], place[1], place[2])
        self._refresh(moved if self.mode == "section" else ())
        self.position_changed.emit(*self.position)

    def go_to_section(self, name: str, index: int) -> None:
        """Another section of one plane."""
        place = list(self.position)
        place[PLANES[name].axis] = index
        self.go_to(place[0], place[1], place[2])

    def step(self, name: str, by: int) -> None:
        """Some sections on or back."""
        if self.mode == "section":
            self.go_to_section(name, self.position[PLANES[name].axis] + by)

    def _on_placed(self, name: str, x: float, y: float) -> None:
        plane, place = PLANES[name], list(self.position)
        place[plane.right], place[plane.down] = math.floor(x + 0.5), math.floor(y + 0.5)
        self.go_to(place[0], place[1], place[2])

    def _show_cross(self) -> None:
        there = self._shown is not None and not self._live
        for plane in self.planes.values():
            place = (float(self.position[plane.plane.right]), float(self.position[plane.plane.down]))
            plane.set_cross(place if there else None)

    # -- view and contrast --------------------------------------------------------------------------------

    def fit(self) -> None:
        """Show all of every picture."""
        self.group.fit()

    def auto_contrast(self) -> None:
        """Automatic levels for all three."""
        self.group.set_contrast(automatic=True, spread=1.0)

    def _on_view(self) -> None:
        self._show_contrast()
        self._show_status()

    def _show_contrast(self) -> None:
        if self._reference is not None and self._shown is not None:
            look = self.planes["z"].model.contrast.look(*self._range)
            self.toolbar.show_contrast(look, self._reference, 1.0)

    # -- the line below -----------------------------------------------------------------------------------

    def _on_hovered(self, name: str, x: float, y: float) -> None:
        self._hovered = (name, x, y)
        self._show_status()

    def _show_status(self) -> None:
        volume = self._shown
        if volume is None:
            self.status.setText("")
            return
        name, x, y = self._hovered
        parts = []
        picture = self._pictures[name]
        if picture is not None and not math.isnan(x) and self.planes[name].model.contains(x, y):
            at = math.floor(x + 0.5), math.floor(y + 0.5)
            flat = self._live or self.mode != "section"
            parts = flat_words(volume, name, picture, at) if flat else voxel_words(self._all(), name, self.position, at)
        else:
            if not self._live:
                z, y0, x0 = self.position
                parts += [f"cross-hair at x {x0}, y {y0}, z {z}", f"{size_text(volume.shape)} voxels"]
            if volume.pixel_size_a:
                parts.append(f"{volume.pixel_size_a:.4g} Å/voxel")
        parts.append(f"zoom {float(f'{self.planes[name].model.zoom * 100:.3g}'):g} %")  # never 1.2e+03
        self.status.setText("   |   ".join(parts))

    def _all(self) -> tuple[Volume, ...]:
        return self._volumes.volumes if self._volumes is not None else ()

    # -- saving -------------------------------------------------------------------------------------------

    def _exportable(self) -> Exportable | None:
        """The picture that the mouse was over last."""
        from app.viewer.export import Exportable

        volume, name = self._shown, self._hovered[0]
        plane, picture = self.planes[name], self._pictures[name]
        if volume is None or picture is None or plane.scene.pyramid is None:
            return None
        section = f"_{name}{self.position[plane.plane.axis]}" if self.mode == "section" else f"_{self.mode}_{name}"
        return Exportable(
            name=f"{volume.title}{section}",
            picture=plane.grab_picture,
            zoom=plane.model.zoom,
            ratio=plane.canvas.ratio,
            pyramid=plane.scene.pyramid,
            look=plane.scene.look(),
            automatic=plane.model.contrast.automatic,
            pixel_size_a=volume.pixel_size_a,
            labels=self.labels(name),
            strip=True,
            source=volume.path,
        )

    def labels(self, name: str = "") -> tuple[str, ...]:
        """What must be written on a picture that leaves the window; without a name on all three."""
        if self._shown is None:
            return ()
        mode = "live" if self._live else self.mode
        return labels_of(self._shown, name or "each axis", mode, self._filter_words[name or "z"])

    def grab_all(self) -> QImage:
        """The three pictures side by side (z, x, y), as they are seen, without their labels."""
        return side_by_side([self.planes[name].grab_picture() for name in ("z", "x", "y")])
