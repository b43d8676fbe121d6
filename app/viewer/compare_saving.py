"""Saving a comparison: what is seen, with its labels, or the whole image of either side. Dialog: export_dialog.py."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from app.viewer.canvas import Canvas
from app.viewer.compare_scene import CompareScene
from app.viewer.saving import Saving

if TYPE_CHECKING:
    from app.viewer.export import Exportable


class PairSaving(QObject):
    """`name` and `paths` are set with each pair; pixels, colours and labels come from the scene."""

    said = Signal(str)

    def __init__(self, owner: QWidget, scene: CompareScene, canvas: Canvas) -> None:
        super().__init__(owner)
        self._scene, self._canvas = scene, canvas
        self.name = ""
        self.paths: tuple[Path | None, Path | None] = (None, None)
        self._savings = {
            "seen": Saving(owner, self._seen),
            "first": Saving(owner, functools.partial(self._whole, 0)),
            "second": Saving(owner, functools.partial(self._whole, 1)),
        }
        for saving in self._savings.values():
            saving.said.connect(self.said)

    def save(self, what: str = "seen") -> None:
        """Ask where to save what is `seen`, or the whole image of the `first` or `second` picture."""
        self._savings[what].save()

    def copy(self) -> None:
        """Put what is seen on the clipboard."""
        self._savings["seen"].copy()

    def _seen(self) -> Exportable | None:
        from app.viewer.export import Exportable

        if not any(self._scene.pyramids):
            return None
        return Exportable(
            name=self.name,
            picture=self._canvas.grab_sharp,
            zoom=self._scene.model.zoom,
            ratio=self._canvas.ratio,
            pixel_size_a=self._scene.common_pixel_size(),
            labels=tuple(self._scene.captions()),
            labelled=True,
            source=self.paths[0] or self.paths[1],
        )

    def _whole(self, which: int) -> Exportable | None:
        from app.viewer.export import Exportable

        picture, path = self._scene.pyramids[which], self.paths[which]
        if picture is None:
            return None
        return Exportable(
            name=path.name if path is not None else self.name,
            pyramid=picture,
            look=self._scene.look_of(which),
            automatic=self._scene.model.contrast.automatic,
            pixel_size_a=self._scene.pixel_sizes[which],
            labels=(self._scene.caption(which),),
            layers=self._scene.layers,
            source=path,
        )
