"""Marks over the micrograph on Home: what a click, a drag, undo and redo do to the noise boxes.

Where the boxes are kept, and which places are refused, is home_picks.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.tabs.home_files import HomeFiles
from app.tabs.home_panel import HomePanel
from app.tabs.home_picks import NoiseFile, refusal
from app.viewer.boxes import NOISE_COLOUR, PARTICLE_COLOUR, BoxLayer
from app.viewer.image_view import ImageView

NONE = np.empty((0, 2))


class Marks(QObject):
    """Connects the gestures of the view with the noise boxes of the micrograph that is shown."""

    said = Signal(str)  # a short message for the status line

    def __init__(
        self, view: ImageView, panel: HomePanel, files: HomeFiles, noise: NoiseFile, shown: Callable[[], str]
    ) -> None:
        """`shown()` is the key of the micrograph on the screen, "" when there is none."""
        super().__init__(view)
        self._view, self._panel, self._files, self._noise, self._key = view, panel, files, noise, shown
        self._drag: tuple[int, float, float] | None = None
        view.set_picking(True)
        view.clicked.connect(self._add)
        view.erase_requested.connect(self._erase)
        view.drag_started.connect(self._drag_begin)
        view.dragged.connect(self._drag_move)
        view.drag_finished.connect(self._drag_end)
        view.size_step.connect(lambda by: panel.box.setValue(panel.box.value() + 4 * by))
        panel.visibility_changed.connect(self.draw)
        panel.clear.connect(lambda: noise.picks.clear(shown()))
        panel.undo.connect(self.undo)
        panel.redo.connect(self.redo)

    def _positions(self) -> np.ndarray:
        return self._noise.picks.positions(self._key())

    def _particles(self) -> np.ndarray:
        path = self._files.path_of(self._key())
        return self._files.particles.get(path, NONE) if path else NONE

    def draw(self, moving: np.ndarray | None = None) -> None:
        """Draw particles and noise boxes; `moving` replaces the positions while one is dragged."""
        boxes = self._positions() if moving is None else moving
        panel = self._panel
        shown = panel.show_particles.isChecked()
        circles = BoxLayer(self._particles(), panel.diameter.value(), PARTICLE_COLOUR, "circle", "Particles", shown)
        shown = panel.show_noise.isChecked()
        squares = BoxLayer(boxes, panel.box.value(), NOISE_COLOUR, "box", "Noise boxes", shown)
        self._view.set_layers([circles, squares])

    def toggle(self) -> None:
        """Hide or show all marks."""
        shown = not (self._panel.show_noise.isChecked() or self._panel.show_particles.isChecked())
        self._panel.show_noise.setChecked(shown)
        self._panel.show_particles.setChecked(shown)

    def forget_drag(self) -> None:
        """Another micrograph is shown."""
        self._drag = None

    def _refused(self, x: float, y: float, skip: int | None = None) -> str:
        if self._view.pyramid is None or not self._key():
            return "The micrograph is still loading."
        if self._files.reading:
            return "The positions are still being read."
        others = self._positions()
        if skip is not None:
            others = np.delete(others, skip, axis=0)
        box, diameter = self._panel.box.value(), self._panel.diameter.value()
        return refusal(x, y, box, self._view.pyramid.shape, self._particles(), diameter, others)

    def _add(self, x: float, y: float, _: object) -> None:
        reason = self._refused(x, y)
        if reason:
            self.said.emit(reason)
            return
        self._panel.show_noise.setChecked(True)
        self._noise.picks.add(self._key(), round(x), round(y))

    def _erase(self, x: float, y: float) -> None:
        self._noise.picks.remove_near(self._key(), x, y, self._panel.box.value() / 2)

    def _drag_begin(self, x: float, y: float) -> None:
        index = self._noise.picks.nearest(self._key(), x, y, self._panel.box.value() / 2)
        self._drag = None if index is None else (index, x, y)

    def _moved(self, drag: tuple[int, float, float], x: float, y: float) -> tuple[float, float]:
        index, x0, y0 = drag
        at = self._positions()[index]
        return float(round(at[0] + x - x0)), float(round(at[1] + y - y0))

    def _drag_move(self, x: float, y: float) -> None:
        if self._drag is not None:
            positions = self._positions()
            positions[self._drag[0]] = self._moved(self._drag, x, y)
            self.draw(positions)

    def _drag_end(self, x: float, y: float) -> None:
        if self._drag is None:
            return
        drag, self._drag = self._drag, None
        target = self._moved(drag, x, y)
        reason = self._refused(*target, skip=drag[0])
        if reason:
            self.said.emit(reason)
            self.draw()
        else:
            self._noise.picks.move(self._key(), drag[0], *target)

    def undo(self) -> None:
        """Take the last change back and show the micrograph where it was."""
        self._after_replay(self._noise.picks.undo(), "Nothing to undo.")

    def redo(self) -> None:
        """Do the change again."""
        self._after_replay(self._noise.picks.redo(), "Nothing to redo.")

    def _after_replay(self, key: str | None, nothing: str) -> None:
        self._drag = None
        if key is None:
            self.said.emit(nothing)
        elif key:
            path = self._files.path_of(key)
            if path is not None:
                self._panel.list.show_file(path)
