"""What the sections of one map share: contrast, zoom, and the place that is seen of each axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.viewer.plane_view import PlaneView
from app.viewer.wiring import CONTRAST_STEP


class PlaneGroup(QObject):
    """`changed` after a change of contrast, zoom or place, when the others have followed."""

    changed = Signal()

    def __init__(self, planes: Sequence[PlaneView], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._planes = list(planes)
        self._linking = False
        for plane in self._planes:
            model, gestures = plane.model, plane.gestures
            model.subscribe(lambda plane=plane: self._follow(plane))
            gestures.auto_contrast.connect(lambda: self.set_contrast(automatic=True, spread=1.0))
            gestures.invert.connect(lambda model=model: model.set_contrast(invert=not model.contrast.invert))
            gestures.contrast_step.connect(lambda by, model=model: model.widen_contrast(CONTRAST_STEP**-by))

    def set_contrast(self, **changes: Any) -> None:
        """Change fields of the contrast of all."""
        self._planes[0].model.set_contrast(**changes)

    def fit(self) -> None:
        """Show all of every picture."""
        for plane in self._planes:
            plane.model.fit()

    def _follow(self, moved: PlaneView) -> None:
        """One picture was moved, zoomed or got another contrast: the others follow."""
        if self._linking:
            return
        self._linking = True
        try:
            for other in self._planes:
                if other is not moved:
                    _link(moved, other)
        finally:
            self._linking = False
        self.changed.emit()


def _link(moved: PlaneView, other: PlaneView) -> None:
    """Contrast and zoom are the same, and so is the middle of the axis that two planes share."""
    source, target = moved.model, other.model
    target.set_contrast(**asdict(source.contrast))
    if source.fitted:
        if not target.fitted:
            target.fit()
        return
    at = {moved.plane.right: source.centre[0], moved.plane.down: source.centre[1]}
    x = at.get(other.plane.right, target.centre[0])
    y = at.get(other.plane.down, target.centre[1])
    if (x, y, source.zoom) != (*target.centre, target.zoom):
        target.centre_on(x, y, source.zoom)
