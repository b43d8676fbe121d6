"""What automatic picking thinks of places: a word about boxes put by hand, and the refused places of a run.

The rating is core/denoising/patch_rating.py; it advises, the user decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.tabs.home_marks import Marks, RefusedPatches
from app.viewer.latest_task import LatestTask


class PatchAdvice(QObject):
    """`said(text)` when a box was put where it does not look like the micrograph's own background."""

    said = Signal(str)

    def __init__(self, marks: Marks) -> None:
        super().__init__(marks)
        self._marks = marks
        self._known: tuple[tuple[object, ...], Any] = ((), None)  # background of one micrograph, box and diameter
        self._task = LatestTask(self)
        self._task.done.connect(self._on_rated)
        marks.added.connect(self._on_added)

    def _on_added(self, x: float, y: float) -> None:
        """Rate the new box in a task; the background of the micrograph is learnt once."""
        pyramid = self._marks.view.pyramid
        if pyramid is None or pyramid.finest:
            return
        image, pixel = pyramid.levels[0], pyramid.pixel_size_a
        particles, box = self._marks.particles, int(self._marks.panel.box.value())
        diameter = float(self._marks.panel.diameter.value()) if len(particles) else None
        key = (self._marks.key(), id(pyramid), box, diameter, len(particles))
        known = self._known[1] if self._known[0] == key else None

        def work(cancelled: Callable[[], bool]) -> tuple[object, object, object]:
            from core.denoising.patch_rating import learn_background, rate_at

            background = known or learn_background(image, box, particles, diameter, pixel)
            return key, background, rate_at(background, image, x, y) if background is not None else None

        self._task.start(work)

    def _on_rated(self, answer: tuple[tuple[object, ...], Any, Any]) -> None:
        key, background, rating = answer
        self._known = (key, background)
        if rating is not None and not rating.accepted:
            self.said.emit(f"{rating.text} The box is kept: Ctrl+Z takes it back.")


def read_refused_places(path: Path, files: Sequence[Path]) -> dict[Path, RefusedPatches]:
    """The refused places of a run, for the open micrographs; runs in a task."""
    from core.io.coordinates import match_names
    from core.io.refused import read_refused

    found = read_refused(path)
    result: dict[Path, RefusedPatches] = {}
    matched = match_names(found.positions, files)
    for places in found.places.values():
        for file, xy in matched.items():
            if len(xy) and len(places.centres) == len(xy) and (xy == places.centres).all():
                result[file] = RefusedPatches(places.centres, found.box_size, places.texts)
    return result
