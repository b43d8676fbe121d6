"""Makes the meshes of a level in tasks: a coarse one at once, the whole one when the level has rested.

A coarse mesh that is being made is finished, and only the newest wish follows it: a slider that moves all the time
still shows something. A fine one that nobody waits for any more is given up. Marching cubes is core/volumes/surface.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from PySide6.QtCore import QObject, QTimer, Signal

from app.viewer.latest_task import LatestTask
from core.volumes.surface import COARSE, MOST, Levels, Mesh, build_levels, coloured, surface
from core.volumes.volume import Statistics, Volume, statistics

REST_MS = 200

Stop = Callable[[], bool]


@dataclass(eq=False)
class Prepared:
    """What is known of a map: filled in tasks, when first asked for."""

    volume: Volume
    _statistics: Statistics | None = None
    _levels: Levels | None = None

    def statistics(self, cancelled: Stop | None = None) -> Statistics:
        """Mean, standard deviation, distribution."""
        if self._statistics is None:
            self._statistics = statistics(self.volume.values, cancelled)
        return self._statistics

    def levels(self, cancelled: Stop | None = None) -> Levels:
        """The map and its means."""
        if self._levels is None:
            self._levels = build_levels(self.volume, cancelled)
        return self._levels


@dataclass(frozen=True, eq=False)
class Wish:
    """Surface of the first map at `sigma`, coloured by a companion, and of the others with as many voxels inside."""

    maps: tuple[Prepared, ...]
    sigma: float
    colour_by: Volume | None = None
    limits: tuple[float, float] | None = None

    def levels(self, cancelled: Stop | None = None) -> list[float]:
        """Of the maps: grey scales differ, so the others follow the first by the part of the voxels above."""
        first = self.maps[0].statistics(cancelled)
        share = first.share_above(first.level(self.sigma))
        return [first.level(self.sigma), *(m.statistics(cancelled).level_of_share(share) for m in self.maps[1:])]

    def make(self, most: int, cancelled: Stop) -> list[Mesh]:
        """The meshes, of at most about `most` triangles together."""
        meshes = []
        for place, (prepared, level) in enumerate(zip(self.maps, self.levels(cancelled), strict=True)):
            mesh = surface(prepared.levels(cancelled), level, most // len(self.maps), cancelled)
            if place == 0 and self.colour_by is not None:
                mesh = coloured(mesh, self.colour_by, self.limits, cancelled=cancelled)
            meshes.append(mesh)
        return meshes


@dataclass(frozen=True, eq=False)
class Made:
    """Meshes of a wish; `fine`: at rest."""

    wish: Wish
    meshes: list[Mesh] = field(default_factory=list)
    fine: bool = False


class SurfaceBuilder(QObject):
    """`ask(wish)`; `made(Made)` follows, coarse and then fine."""

    made = Signal(object)
    failed = Signal(object)  # AppError

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._wanted: Wish | None = None
        self._begun: Wish | None = None
        self._coarse, self._fine = LatestTask(self), LatestTask(self)
        self._rest = QTimer(self, interval=REST_MS, singleShot=True)
        self._rest.timeout.connect(self._start_fine)
        self._coarse.done.connect(self._on_coarse)
        self._fine.done.connect(self.made)
        for task in (self._coarse, self._fine):
            task.failed.connect(self.failed)

    @property
    def busy(self) -> bool:
        """Whether a mesh is still to come."""
        return self._coarse.busy or self._fine.busy or self._rest.isActive()

    def ask(self, wish: Wish) -> None:
        """The newest wish."""
        self._wanted = wish
        self._fine.cancel()
        self._rest.start()
        if not self._coarse.busy:
            self._start_coarse(wish)

    def cancel(self) -> None:
        """Nothing is wanted any more."""
        self._wanted = None
        self._rest.stop()
        self._coarse.cancel()
        self._fine.cancel()

    def _start_coarse(self, wish: Wish) -> None:
        self._begun = wish
        self._coarse.start(lambda cancelled: Made(wish, wish.make(COARSE, cancelled)))

    def _on_coarse(self, made: Made) -> None:
        if self._wanted is not None and self._wanted is not self._begun:
            self._start_coarse(self._wanted)
        if self._wanted is not None:
            self.made.emit(made)

    def _start_fine(self) -> None:
        wish = self._wanted
        if wish is None:
            return
        if self._coarse.busy:
            self._rest.start()  # two at once would only wait for each other
            return
        self._fine.start(lambda cancelled: Made(wish, wish.make(MOST, cancelled), True))
