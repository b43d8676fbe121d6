"""Marks over the micrograph on Home: what clicks, drags and keys do to the noise boxes.

Where the boxes are kept is home_picks.py, which places are refused home_refusal.py, excluded areas, the tick and the
menus home_areas.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QCursor, QPainter
from PySide6.QtWidgets import QToolTip

from app.tabs.home_files import HomeFiles
from app.tabs.home_panel import HomePanel
from app.tabs.home_picks import NoiseFile
from app.tabs.home_refusal import refusal, refused_among
from app.viewer.areas import AreaLayer, SketchLayer
from app.viewer.boxes import NOISE_COLOUR, PARTICLE_COLOUR, REFUSED_COLOUR, BoxLayer
from app.viewer.gestures import Gestures
from app.viewer.image_view import ImageView
from app.viewer.picks import PickList
from app.viewer.view_model import ViewModel
from app.widgets.labels import counted

NONE = np.empty((0, 2))
_HIT_PX = 5  # logical px: a box that is smaller on the screen can still be hit
_TOGGLE = Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.ControlModifier


@dataclass(frozen=True)
class RefusedPatches:
    """Places that automatic picking did not take: centres (n, 2) x, y in px, side in px, and a reason for each."""

    centres: np.ndarray
    size: float
    reasons: Sequence[str]


class Marks(QObject):
    """Connects the gestures of the view with the noise boxes of the micrograph that is shown."""

    said = Signal(str)  # a short message for the status line
    added = Signal(float, float)  # a box was put there by hand

    def __init__(
        self, view: ImageView, panel: HomePanel, files: HomeFiles, noise: NoiseFile, shown: Callable[[], str]
    ) -> None:
        """`shown()` is the key of the micrograph on the screen, "" when there is none."""
        super().__init__(view)
        self.view, self.panel, self.files, self.noise, self.key = view, panel, files, noise, shown
        self.refused: dict[Path, RefusedPatches] = {}
        self.extra: Callable[[Path | None, bool], list[BoxLayer]] = lambda path, visible: []  # more marks, drawn below
        # Rows that move, where it began, and the revision of the picks that they are rows of.
        self._drag: tuple[np.ndarray, float, float, int] | None = None
        self._stroke: tuple[float, float] | None = None
        self._erasing = False
        self._sketch, self._areas = SketchLayer(), AreaLayer()
        view.set_picking(True)
        view.scene.overlays.append(self._paint_over)
        self.gestures.hit = self._hit
        self.gestures.has_selection = lambda: bool(len(self.selection))
        self._connect(self.gestures)
        view.cursor_moved.connect(self._explain)
        panel.visibility_changed.connect(self.draw)
        panel.undo.connect(self.undo)
        panel.redo.connect(self.redo)

    def _connect(self, gestures: Gestures) -> None:
        gestures.clicked.connect(self._add)
        gestures.select_requested.connect(self._select)
        gestures.erase_started.connect(self._erase_begin)
        gestures.erase_requested.connect(self._erase)
        gestures.erase_finished.connect(self._erase_end)
        gestures.drag_started.connect(self._drag_begin)
        gestures.dragged.connect(self._drag_move)
        gestures.drag_finished.connect(self._drag_end)
        gestures.band_changed.connect(lambda x0, y0, x1, y1: self.sketch(SketchLayer(frame=(x0, y0, x1, y1))))
        gestures.band_finished.connect(self._band)
        gestures.nudged.connect(self._nudge)
        gestures.delete_requested.connect(self.delete_selected)
        gestures.deselect_requested.connect(self.deselect)
        gestures.size_step.connect(lambda by: self.panel.box.setValue(self.panel.box.value() + 4 * by))

    # -- what is there ------------------------------------------------------------------------------------

    @property
    def gestures(self) -> Gestures:
        """Those of the view."""
        return self.view.gestures

    @property
    def picks(self) -> PickList:
        """All noise boxes."""
        return self.noise.picks

    @property
    def displayed(self) -> bool:
        """Whether the picture (or its preview) is that of the chosen micrograph, not still the one before it."""
        key, view = self.key(), self.view
        return bool(key) and view.pyramid is not None and view.path == self.files.path_of(key)

    @property
    def selection(self) -> np.ndarray:
        """Selected rows of the micrograph that is shown."""
        return self.picks.selection(self.key())

    @property
    def particles(self) -> np.ndarray:
        """(n, 2) of the micrograph that is shown."""
        path = self.files.path_of(self.key())
        return self.files.particles.get(path, NONE) if path else NONE

    def _reach(self) -> float:
        """How far from its centre a box can be hit, in image px."""
        on_screen = _HIT_PX * self.view.canvas.ratio / self.view.model.zoom
        return max(self.panel.box.value() / 2, on_screen)

    def _hit(self, x: float, y: float) -> bool:
        shown = self.panel.show_noise.isChecked() and self.displayed
        return shown and self.picks.nearest(self.key(), x, y, self._reach()) is not None

    # -- drawing ------------------------------------------------------------------------------------------

    def draw(self, moving: np.ndarray | None = None) -> None:
        """Draw all marks; `moving` replaces the positions of the boxes while some are dragged.

        None are drawn over the picture of another micrograph.
        """
        if not self.displayed:
            self._areas = AreaLayer()
            self.view.set_layers([])
            return
        key, panel = self.key(), self.panel
        boxes = self.picks.view(key) if moving is None else moving
        noise, particles = panel.show_noise.isChecked(), panel.show_particles.isChecked()
        size = panel.box.value()
        layers = [
            BoxLayer(self.particles, panel.diameter.value(), PARTICLE_COLOUR, "circle", "Particles", particles),
            BoxLayer(boxes, size, NOISE_COLOUR, "box", "Noise boxes", noise, selected=self.selection),
        ]
        layers = [*self.extra(self.files.path_of(key), particles), *layers]
        refused = self._refused_layer()
        self._areas = AreaLayer(self.picks.areas(key), visible=noise)
        self.view.set_layers([refused, *layers] if refused is not None else layers)

    def _paint_over(self, painter: QPainter, model: ViewModel, ratio: float) -> None:
        self._areas.draw(painter, model, ratio)
        self._sketch.draw(painter, model, ratio)

    def sketch(self, layer: SketchLayer) -> None:
        """Draw what is being drawn just now."""
        self._sketch = layer
        self.view.scene.changed()

    def _refused_layer(self) -> BoxLayer | None:
        path = self.files.path_of(self.key())
        found = self.refused.get(path) if path else None
        if found is None or not self.panel.show_refused.isChecked():
            return None
        notes = tuple(found.reasons)
        return BoxLayer(found.centres, found.size, REFUSED_COLOUR, "dashed", "Refused", notes=notes)

    def set_refused(self, refused: Mapping[Path, RefusedPatches]) -> None:
        """Show where automatic picking found no noise box, and why (on hovering)."""
        self.refused = dict(refused)
        self.panel.set_refused(sum(len(r.centres) for r in self.refused.values()))
        self.draw()

    def _explain(self, x: float, y: float, _: float) -> None:
        told = [layer for layer in self.view.layers if len(layer.notes)] if self.displayed else []
        notes = [layer.note_at(x, y) for layer in told] if not np.isnan(x) else []
        note = next((text for text in notes if text), "")
        if note:
            QToolTip.showText(QCursor.pos(), f"<qt>{escape(note)}</qt>", self.view.canvas)  # rich text wraps
        elif told:
            QToolTip.hideText()

    def toggle(self) -> None:
        """Hide or show all marks."""
        shown = not (self.panel.show_noise.isChecked() or self.panel.show_particles.isChecked())
        self.panel.show_noise.setChecked(shown)
        self.panel.show_particles.setChecked(shown)
        self.panel.show_refused.setChecked(shown)

    def forget_drag(self) -> None:
        """Another micrograph is shown."""
        self._drag, self._sketch = None, SketchLayer()
        self._erase_end()
        self.gestures.polygon.cancel()
        self.picks.select(self.key(), ())

    # -- adding and deleting ------------------------------------------------------------------------------

    def not_ready(self) -> str:
        """Why nothing can be marked now; empty when it can."""
        if not self.displayed:
            return "The micrograph is still loading."
        return "The positions are still being read." if self.files.reading else ""

    def _refusal(self, x: float, y: float) -> str:
        if wait := self.not_ready():
            return wait
        key, box, shape = self.key(), self.panel.box.value(), self.shape
        others, areas = self.picks.view(key), self.picks.areas(key)
        return refusal(x, y, box, shape, self.particles, self.panel.diameter.value(), others, areas)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the micrograph that is shown."""
        pyramid = self.view.pyramid
        return pyramid.shape if pyramid is not None else (0, 0)

    def _add(self, x: float, y: float, _: object) -> None:
        reason = self._refusal(round(x), round(y))
        if reason:
            self.said.emit(reason)
            return
        self.panel.show_noise.setChecked(True)
        self.picks.select(self.key(), ())
        self.picks.add(self.key(), round(x), round(y))
        self.added.emit(float(round(x)), float(round(y)))

    def _erase_begin(self) -> None:
        self._erase_end()
        self._erasing = True
        self.picks.begin()

    def _erase(self, x: float, y: float) -> None:
        key, reach = self.key(), self._reach()
        if not self._erasing or not self.panel.show_noise.isChecked() or self.not_ready():
            return  # also when another micrograph came in the middle of the stroke
        if self._stroke is None:
            self.picks.remove_near(key, x, y, reach)
        else:  # fast strokes skip pixels, not boxes
            self.picks.remove(key, self.picks.along(key, self._stroke, (x, y), reach))
        self._stroke = (x, y)

    def _erase_end(self) -> None:
        if self._erasing:
            self.picks.end()
        self._stroke, self._erasing = None, False

    def delete_selected(self) -> None:
        """Delete the boxes that are selected."""
        if wait := self.not_ready():
            self.said.emit(wait)
        elif not self.picks.remove_selected(self.key()):
            self.said.emit("Nothing is selected: click on a box, or drag a frame with Alt held.")

    # -- selecting and moving -----------------------------------------------------------------------------

    def _select(self, x: float, y: float, modifiers: Qt.KeyboardModifier) -> None:
        if self.not_ready():
            return
        index = self.picks.nearest(self.key(), x, y, self._reach())
        rows = set() if index is None else {index}
        if modifiers & _TOGGLE:
            rows ^= set(self.selection.tolist())
        self.picks.select(self.key(), rows)

    def _band(self, x0: float, y0: float, x1: float, y1: float, modifiers: Qt.KeyboardModifier) -> None:
        if self.not_ready():
            self.sketch(SketchLayer())
            return
        rows = self.picks.within(self.key(), x0, y0, x1, y1)
        if modifiers & _TOGGLE:
            rows = np.union1d(rows, self.selection)
        self._sketch = SketchLayer()
        self.picks.select(self.key(), rows)
        self.view.scene.changed()

    def select_all(self) -> None:
        """Select every box of this micrograph."""
        if not self.not_ready():
            self.picks.select(self.key(), range(self.picks.count(self.key())))

    def deselect(self) -> None:
        """Select nothing."""
        self.picks.select(self.key(), ())

    def _drag_begin(self, x: float, y: float) -> None:
        self._drag = None
        if self.not_ready():
            return
        index = self.picks.nearest(self.key(), x, y, self._reach())
        if index is None or not self.panel.show_noise.isChecked():
            return
        if index not in self.selection:
            self.picks.select(self.key(), [index])
        self._drag = (self.selection, x, y, self.picks.revision)

    def _dragging(self) -> bool:
        """Whether rows are dragged; no longer when a key, a job or undo has changed the boxes meanwhile."""
        if self._drag is not None and (self._drag[3] != self.picks.revision or self.not_ready()):
            self._drag = None
            self.draw()
        return self._drag is not None

    def _moved(self, x: float, y: float) -> np.ndarray:
        """Where the dragged rows are when the pointer is at (x, y)."""
        if self._drag is None:
            return NONE
        rows, x0, y0, _ = self._drag
        shift = np.rint((x - x0, y - y0))
        return np.rint(self.picks.view(self.key())[rows]) + shift

    def _drag_move(self, x: float, y: float) -> None:
        if self._dragging() and self._drag is not None:
            positions = self.picks.positions(self.key())
            positions[self._drag[0]] = self._moved(x, y)
            self.draw(positions)

    def _drag_end(self, x: float, y: float) -> None:
        if not self._dragging() or self._drag is None:
            return
        rows, target = self._drag[0], self._moved(x, y)
        self._drag = None
        reason = self._refused_move(rows, target)
        if reason:
            self.said.emit(reason)
            self.draw()
        else:
            self.picks.move_many(self.key(), rows, target)

    def _nudge(self, dx: int, dy: int) -> None:
        rows = self.selection
        reason = self._refused_move(rows, self.picks.view(self.key())[rows] + (dx, dy), alone=False)
        if reason:
            self.said.emit(reason)
        else:
            self.picks.nudge(self.key(), rows, dx, dy)

    def _refused_move(self, rows: np.ndarray, target: np.ndarray, alone: bool = True) -> str:
        """Why rows may not go there; a single box (`alone`) also keeps clear of the other boxes."""
        if wait := self.not_ready():
            return wait
        key, box, diameter = self.key(), self.panel.box.value(), self.panel.diameter.value()
        areas = self.picks.areas(key)
        if alone and len(rows) == 1:
            others, (x, y) = np.delete(self.picks.view(key), rows, axis=0), target[0]
            return refusal(x, y, box, self.shape, self.particles, diameter, others, areas)
        return refused_among(target, box, self.shape, self.particles, diameter, areas)

    # -- history ------------------------------------------------------------------------------------------

    def undo(self) -> None:
        """Take the last change back and show the micrograph where it was."""
        self._replay(self.picks.undo, "Undone", "Nothing to undo.")

    def redo(self) -> None:
        """Do the change again."""
        self._replay(self.picks.redo, "Done again", "Nothing to redo.")

    def _replay(self, step: Callable[[], str | None], word: str, nothing: str) -> None:
        before = self.picks.total()
        key = step()
        change = self.picks.total() - before
        self._drag, self._stroke, self._erasing = None, None, False
        if key is None:
            self.said.emit(nothing)
            return
        boxes = counted(abs(change), "box", "boxes")
        what = f": {boxes} {'back' if change > 0 else 'gone'}" if change else ""
        self.said.emit(f"{word}{what}{'' if key else ', on several micrographs'}.")
        path = self.files.path_of(key) if key else None
        if path is not None:
            self.panel.list.show_file(path)
