"""The surface of a map: level, colours by a companion, a second surface to compare with.

Meshes come from surface_builder.py; surface_gl.py draws them, and is imported only when the probe said that OpenGL
works. Otherwise a sentence stands here, and sections and projections do without it.
"""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QRect, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from app import theme
from app.viewer import renderer
from app.viewer.latest_task import LatestTask
from app.viewer.surface_builder import REST_MS, Made, Prepared, SurfaceBuilder, Wish
from app.viewer.surface_controls import SurfaceControls
from app.viewer.volume_words import named_labels
from app.widgets.labels import label
from core.errors import AppError
from core.volumes.chimerax import Shown
from core.volumes.surface import reach
from core.volumes.volume import Statistics, Volume, VolumeSet
from workers.task import run_task

if TYPE_CHECKING:
    from app.viewer.surface_gl import SurfaceGL

_MULTISAMPLES = 4  # on graphics cards
_COLOUR = "#9fb9d0"
_SWITCHED_OFF = "The surface needs OpenGL, which is switched off in Edit > Preferences."
_NO_SURFACE = "This is not a density: sections and projections show it, a surface does not."
_NEEDS_GL = "The surface needs OpenGL, which does not work here{why}. Sections and projections do without it."


class SurfaceView(QWidget):
    """`set_volumes` shows the surface; `level_changed(level)` when it is at another one."""

    said = Signal(str)
    level_changed = Signal(float)
    drawn = Signal(bool)  # meshes are in the picture; whether they are the fine ones

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.gl: SurfaceGL | None = None
        self.sigma = math.nan
        self._volumes: VolumeSet | None = None
        self._prepared: dict[int, Prepared] = {}
        self._statistics: Statistics | None = None
        self._limits: tuple[float, float] | None = None  # of the colours: they stay while the level moves
        self._fresh = True  # no mesh of this map was seen yet
        self._empty = False
        self._broken = ""
        self._loading = False
        self.builder = SurfaceBuilder(self)
        self.builder.made.connect(self._on_made)
        self.builder.failed.connect(self._on_failed)
        self._look = LatestTask(self)  # at the distribution of the values
        self._look.done.connect(self._on_statistics)
        self._look.failed.connect(self._on_failed)
        self._rest = QTimer(self, interval=REST_MS, singleShot=True)
        self._rest.timeout.connect(self._on_rest)
        self._build()
        self._show_state()

    def _build(self) -> None:
        self.provenance = label("", "warning", wrap=True)
        self.provenance.setAccessibleName("How the maps of the surface were made")
        self.provenance.setContentsMargins(6, 0, 6, 0)
        self.words = label("", "muted", wrap=True)
        self.words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.words.setMargin(self.fontMetrics().averageCharWidth() * 3)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.words)
        self.stack.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        controls = self.controls = SurfaceControls(self)
        controls.sigma_chosen.connect(self.set_sigma)
        controls.map_chosen.connect(self._on_map)
        controls.colour_chosen.connect(self._on_colour)
        controls.second_chosen.connect(self._on_second)
        controls.opacity_chosen.connect(lambda opacity: self.gl is not None and self.gl.set_opacity(1, opacity))
        controls.front_requested.connect(lambda: self.gl is not None and self.gl.reset_view())
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        rows.addWidget(self.provenance)
        rows.addWidget(self.stack, 1)
        rows.addWidget(controls)

    # -- what is shown ------------------------------------------------------------------------------------

    def set_volumes(self, volumes: VolumeSet | None) -> None:
        """Another map. Level (in σ), choices and view stay while its box is the same."""
        old = self._volumes
        same = old is not None and volumes is not None and old.main.shape == volumes.main.shape
        self.builder.cancel()
        self._volumes, self._limits, self._empty = volumes, None, False
        if not same:
            self.sigma, self._fresh = math.nan, True
            self._drop(0, 1)
        found = volumes.volumes if volumes is not None else ()
        self._prepared = {id(v): self._prepared.get(id(v)) or Prepared(v) for v in found}
        self.controls.set_volumes(found)
        self._show_state()
        self._prepare()

    @property
    def volume(self) -> Volume | None:
        """The map whose surface is drawn."""
        return self.controls.volume

    def labels(self) -> tuple[str, ...]:
        """How every map that is seen in the surface was made: its own, the second, the one that gives the colours."""
        shown = (self.volume, self.controls.other, self.controls.companion)
        return named_labels([*dict.fromkeys(volume for volume in shown if volume is not None)])

    @property
    def level(self) -> float:
        """Its level; nan before it is known."""
        return self._statistics.level(self.sigma) if self._statistics is not None else math.nan

    def _prepare(self) -> None:
        """Look at the values of the map in a task; the surface follows."""
        self._statistics = None
        self._look.cancel()
        self.controls.show_level(None, self.sigma)
        if self.volume is not None:
            self._look.start(self._prepared[id(self.volume)].statistics)

    def _on_statistics(self, found: Statistics) -> None:
        self._statistics = found
        if not math.isfinite(self.sigma):
            self.sigma = found.sigma(found.first_level())
        self.controls.show_level(found, self.sigma)
        self._ask()

    def set_sigma(self, sigma: float) -> None:
        """Draw the surface so many standard deviations above the mean."""
        if sigma == self.sigma or self._statistics is None:
            return
        self.sigma = float(sigma)
        self.controls.show_level(self._statistics, self.sigma)
        self._ask()
        self.level_changed.emit(self.level)

    def _on_map(self) -> None:
        self._limits = None
        self._show_state()
        self._prepare()

    def _on_colour(self) -> None:
        self._limits = None
        self.controls.refresh()
        self._show_state()
        self._ask()

    def _on_second(self) -> None:
        self.controls.refresh()
        if self.controls.other is None:
            self._drop(1)
        self._show_state()
        self._ask()

    # -- meshes -------------------------------------------------------------------------------------------

    def _wish(self) -> Wish:
        maps = [volume for volume in (self.volume, self.controls.other) if volume is not None]
        prepared = tuple(self._prepared[id(volume)] for volume in maps)
        return Wish(prepared, self.sigma, self.controls.companion, self._limits)

    def _ask(self) -> None:
        if self.gl is None or self._statistics is None or self.volume is None or self.isHidden():
            return
        self._rest.stop()
        self.builder.ask(self._wish())

    def _on_made(self, made: Made) -> None:
        if self.gl is None or not made.meshes:
            return
        limits = made.meshes[0].colour_range
        if limits is not None and made.wish.colour_by is self.controls.companion:
            self._limits = self._limits or limits
            self.controls.show_colours(self._limits)
        for place, mesh in enumerate(made.meshes):
            opacity = self.controls.second_opacity if place else 1.0
            if not made.fine:
                self.gl.set_mesh(place, "fine", None, QColor())  # of another level
            self.gl.set_mesh(place, "fine" if made.fine else "coarse", mesh, self._colour_of(place), opacity)
        self._empty = not any(mesh.triangles for mesh in made.meshes)
        if self._fresh and not self._empty:
            self._fresh = False
            self.gl.reset_view(max(reach(mesh) for mesh in made.meshes))
        self.gl.show_coarse(not made.fine)
        self._show_state()
        self.drawn.emit(made.fine)

    def _colour_of(self, place: int) -> QColor:
        return theme.colour("curve2") if place else QColor(_COLOUR)

    def _drop(self, *places: int) -> None:
        for place in places if self.gl is not None else ():
            for quality in ("coarse", "fine"):
                self.gl.set_mesh(place, quality, None, QColor())  # type: ignore[union-attr]

    def _on_turned(self) -> None:
        if self.gl is not None:
            self.gl.show_coarse(True)
            self._rest.start()

    def _on_rest(self) -> None:
        if self.gl is not None:
            self.gl.show_coarse(False)

    def _on_failed(self, err: AppError) -> None:
        self.said.emit(str(err))

    # -- OpenGL, or the sentence --------------------------------------------------------------------------

    def _show_state(self) -> None:
        """Which page is in front."""
        choice = renderer.current()
        works = choice.works and not self._broken
        self.controls.setVisible(works)
        self.provenance.setText("\n".join(self.labels()) if works else "")
        self.provenance.setVisible(bool(self.provenance.text()))
        front: QWidget = self.words
        if not works:
            why = self._broken or choice.why
            off = why == renderer.ASKED
            self.words.setText(_SWITCHED_OFF if off else _NEEDS_GL.format(why=f" ({why})" if why else ""))
        elif self._volumes is None:
            self.words.setText("The surface appears with a map.")
        elif self.volume is None:
            self.words.setText(_NO_SURFACE)
        elif self._empty:
            self.words.setText("Nothing is above this level: move it to the left.")
        elif self.gl is not None:
            front = self.gl
        else:
            self.words.setText("")
            self._load()
        self.stack.setCurrentWidget(front)

    def _load(self) -> None:
        """Import the OpenGL part in a task: it takes most of a second."""
        if not self._loading and self.isVisible():
            self._loading = True
            run_task(lambda: importlib.import_module("app.viewer.surface_gl"), self._on_loaded, self._on_no_gl, self)

    def _on_loaded(self, module: Any) -> None:
        view = module.SurfaceGL(self.stack, _MULTISAMPLES if renderer.current().name == "gl" else 0)
        view.turned.connect(self._on_turned)
        view.broken.connect(lambda why: self._on_no_gl(AppError(why)), Qt.ConnectionType.QueuedConnection)
        self.gl = view
        self.stack.addWidget(view)
        self._show_state()
        self._ask()

    def _on_no_gl(self, err: AppError) -> None:
        self._broken = err.message
        self.builder.cancel()
        if self.gl is not None:
            self.stack.removeWidget(self.gl)
            self.gl.deleteLater()
            self.gl = None
        self._show_state()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Show:
            QTimer.singleShot(0, self, self._on_shown)
        return super().event(event)

    def _on_shown(self) -> None:
        self._show_state()
        self._ask()

    # -- for saving ---------------------------------------------------------------------------------------

    def grab_surface(self) -> QImage | None:
        """The surface as it is seen; None when there is none."""
        if self.gl is None or self.volume is None or self.gl.drawn(0) is None:
            return None
        try:
            return self.gl.grab_frame()
        except RuntimeError as err:
            self.said.emit(f"The surface cannot be drawn: {err}.")
            return None

    def grab_with_bar(self) -> QImage | None:
        """The same with the bar of colours below, when it is coloured."""
        image = self.grab_surface()
        if image is None or self.controls.companion is None:
            return image
        bar = self.controls.bar.grab().toImage()
        high = round(bar.height() * image.width() / max(1, bar.width()))
        whole = QImage(image.width(), image.height() + high, QImage.Format.Format_RGB32)
        painter = QPainter(whole)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(0, 0, image)
        painter.drawImage(QRect(0, image.height(), image.width(), high), bar)
        painter.end()
        return whole

    def shown_maps(self) -> list[Shown]:
        """Files, levels and colours of the surfaces, for another program; maps without a file are left out."""
        if self._statistics is None:
            return []
        wish, shown = self._wish(), []
        for place, (prepared, level) in enumerate(zip(wish.maps, wish.levels(), strict=True)):
            path = prepared.volume.path
            transparency = round(100 * (1 - self.controls.second_opacity)) if place else 0
            if path is not None:
                shown.append(Shown(path, level, self._colour_of(place).name(), transparency))
        return shown

    @property
    def colour_limits(self) -> tuple[float, float] | None:
        """Values of the companion at the first and the last colour."""
        return self._limits

    def close_view(self) -> None:
        """Nothing is computed any more."""
        self.builder.cancel()
        self._look.cancel()
        self._rest.stop()
