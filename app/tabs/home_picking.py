"""Particle picking on Home: starts `pick-particles`, shows its candidates above a live threshold, hands them on.

The panel is home_picking_panel.py, the run's bar and banner home_jobs.py; the search is the job's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QObject
from PySide6.QtWidgets import QFileDialog, QSplitter

from app.errors import show_error
from app.tabs.home_picking_panel import PickingPanel
from app.tabs.home_saving import free_name
from app.viewer.boxes import REFUSED_COLOUR, BoxLayer
from core.errors import AppError, ParamError
from core.jobs.table import job_params
from workers.task import run_task

if TYPE_CHECKING:
    from app.tabs.home import HomeTab
    from core.io.picks import Picks
    from core.picking.evaluate import Evaluation

JOB = "pick-particles"
PICKED_COLOUR = "#8df0a6"
AUTO_NAME, SAVED_NAME, DENOISED = "picks_auto.star", "picks.star", "denoised"
FILTER = "Particles (*.star)"


@dataclass
class Search:
    """A finished search: candidates by micrograph, and how they were found."""

    candidates: Path
    picks: Mapping[Path, Picks]
    diameter: float
    threshold: float
    words: str
    edges: list[float]
    counts: list[int]
    codes: Mapping[str, str] = field(default_factory=dict)
    evaluation: Evaluation | None = None


class HomePicking(QObject):
    """Belongs to Home; the panel is built, at the right in `room`, when it is first asked for."""

    def __init__(self, tab: HomeTab, room: QSplitter) -> None:
        super().__init__(tab)
        self._tab, self._room = tab, room
        self.panel: PickingPanel | None = None
        self.found: Search | None = None
        self.threshold = 0.0
        self._hidden = False  # the picks are particles now, and drawn as such
        self._forward: Path | None = None  # becomes the particles; then on to Forward
        tab.files.opened.connect(lambda _: self.forget())
        tab.files.positions_changed.connect(lambda _: self._on_positions())
        tab.files.failed.connect(lambda _: self._drop_forward())

    # -- asking -------------------------------------------------------------------------------------------

    def show(self) -> PickingPanel:
        """Open the panel."""
        if self.panel is None:
            panel = self.panel = PickingPanel()
            panel.hide()
            self._room.addWidget(panel)
            self._room.setStretchFactor(self._room.indexOf(panel), 0)
            panel.pick.connect(self.start)
            panel.threshold_changed.connect(self.set_threshold)
            panel.save.connect(self.save_as)
            panel.forward.connect(self.use_in_forward)
            if self.found is not None:
                self._fill(self.found)
        if not self.panel.isVisible():
            self._suggest()
        self.panel.show()
        return self.panel

    def _suggest(self) -> None:
        panel, tab = self.panel, self._tab
        if panel is None or not tab.files.given:
            return
        pyramid = tab.view.pyramid
        panel.show_diameter(tab.panel.diameter.value(), pyramid.pixel_size_a if pyramid else None)
        worker = tab.jobs.worker
        panel.set_busy(worker is not None and worker.active)
        denoised = self._project() / DENOISED
        if not panel.form.raw("denoised") and denoised.is_dir():
            panel.form.set_values({"denoised": str(denoised)})

    def _project(self) -> Path:
        return self._tab.session.project_dir(self._tab.files.given[0])

    def start(self) -> None:
        """Run the job on what is open."""
        panel, tab = self.panel, self._tab
        if panel is None or not tab.files.files:
            return
        if tab.files.reading or not tab.noise.flush():
            tab.session.message.emit("The positions are still being read or saved: try again in a moment.", 8000)
            return
        from core.io.marks import marks_path

        values: dict[str, Any] = panel.form.values() | {
            "micrographs": tab.chosen(),
            "diameter": tab.panel.diameter.value(),
            "output": str(self._project() / AUTO_NAME),
            "overwrite": True,  # the program's own file; what the user keeps is saved under another name
        }
        noise = tab.noise.path
        if noise is not None and marks_path(noise).exists():
            values["exclude"] = str(marks_path(noise))
        try:
            job_params(JOB).parse(values)
        except ParamError as err:
            from app.widgets.params_form import reasons

            panel.form.mark(reasons(err))
            show_error(self._tab, err)
            return
        panel.form.mark({})
        panel.show_diameter(tab.panel.diameter.value(), None)
        tab.jobs.start(JOB, values)

    def set_busy(self, busy: bool) -> None:
        """A job of Home runs, or has ended."""
        if self.panel is not None:
            self.panel.set_busy(busy)

    # -- a finished search --------------------------------------------------------------------------------

    def take(self, result: Mapping[str, Any]) -> None:
        """Show what a run has found on the micrographs that are open."""
        files = list(self._tab.files.files)
        if not files:
            self._tab.session.message.emit(f"The picks are in {result.get('output')}; open the micrographs.", 10000)
            return

        def show(found: Search) -> None:
            if files == self._tab.files.files:
                self.found, self._hidden = found, False
                self.threshold = found.threshold
                self._fill(found)
                self.show()

        run_task(lambda: read_search(result, files), show, lambda err: show_error(self._tab, err), self)

    def _fill(self, found: Search) -> None:
        if self.panel is not None:
            self.panel.show_scores(found.edges, found.counts, found.threshold, found.words)
            self.panel.show_threshold(self.threshold)
        self.refresh()

    def forget(self) -> None:
        """Other micrographs are open."""
        self.found = None
        if self.panel is not None:
            self.panel.forget()

    def set_threshold(self, value: float) -> None:
        """Show the candidates from this score on as picks."""
        self.threshold, self._hidden = value, False
        self.refresh()

    def refresh(self) -> None:
        """Count and draw."""
        found, tab = self.found, self._tab
        if found is not None and self.panel is not None:
            counts = {path: int(p.chosen(self.threshold).sum()) for path, p in found.picks.items()}
            here = counts.get(tab.shown) if tab.shown is not None else None
            figures = in_words(found.evaluation, self.threshold)
            self.panel.show_counts(here, sum(counts.values()), sum(c > 0 for c in counts.values()), figures)
        tab.marks.draw()

    def layers(self, path: Path | None, visible: bool) -> list[BoxLayer]:
        """The picks of a micrograph, and the strong candidates that were left out."""
        found = self.found
        picks = found.picks.get(path) if found is not None and path is not None else None
        if found is None or picks is None or self._hidden:
            return []
        chosen = picks.chosen(self.threshold)
        left = (picks.reason != "") & (picks.score >= self.threshold)
        notes = tuple(f"Not picked: {found.codes.get(str(r), r)}." for r in picks.reason[left])
        size = found.diameter
        return [
            BoxLayer(picks.xy[left], size, REFUSED_COLOUR, "dashed", "Not picked", visible, notes=notes),
            BoxLayer(picks.xy[chosen], size, PICKED_COLOUR, "circle", "Picks", visible),
        ]

    # -- handing on ---------------------------------------------------------------------------------------

    def save_as(self) -> None:
        """Ask where, and write the picks of the threshold that is shown."""
        chosen, _ = QFileDialog.getSaveFileName(
            self._tab, "Save picks", str(free(self._project() / SAVED_NAME)), FILTER
        )
        if chosen:
            self.save(Path(chosen) if chosen.lower().endswith(".star") else Path(f"{chosen}.star"))

    def save(self, path: Path, then: Any = None) -> None:
        """Write the picks in a task; `then(path)` follows."""
        found, threshold = self.found, self.threshold
        if found is None:
            return

        def work() -> int:
            from core.io.picks import save_chosen

            return save_chosen(found.candidates, path, threshold)

        def done(count: int) -> None:
            self._tab.session.message.emit(f"{count} picks saved to {path}.", 10000)
            if then is not None:
                then(path)

        run_task(work, done, lambda err: show_error(self._tab, err), self)

    def use_in_forward(self) -> None:
        """Save the picks, make them the particles of Home, and go on to Forward."""
        self.save(free(self._project() / SAVED_NAME), self._load)

    def _load(self, path: Path) -> None:
        self._forward = path
        self._tab.files.open([path], as_noise=False)

    def _on_positions(self) -> None:
        if self._forward is not None and self._tab.files.particles_path == self._forward:
            self._forward, self._hidden = None, True
            self.refresh()
            self._tab.use_in_forward()

    def _drop_forward(self) -> None:
        self._forward = None


def free(path: Path) -> Path:
    """The path, or the next free name: saved picks are not replaced unasked."""
    return free_name(path) if path.exists() else path


def read_search(result: Mapping[str, Any], files: list[Path]) -> Search:
    """In a task: the candidates of a run on the open micrographs, and its evaluation when it had a reference."""
    from core.io.coordinates import match_names, no_match_error
    from core.io.picks import read_candidates
    from core.picking.exclusion import CODES

    path = Path(str(result.get("candidates", "")))
    named = read_candidates(path)
    listed = list(named)
    rows = {name: np.array([[float(i), 0.0]]) for i, name in enumerate(listed)}
    picks = {file: named[listed[int(xy[0, 0])]] for file, xy in match_names(rows, files).items() if len(xy)}
    if not picks:
        raise no_match_error(path, rows, files)
    histogram = result["histogram"]
    return Search(
        path,
        picks,
        float(result["diameter"]),
        float(result["threshold"]),
        str(result["threshold_words"]),
        list(histogram["edges"]),
        list(histogram["counts"]),
        CODES,
        _evaluated(result, picks),
    )


def _evaluated(result: Mapping[str, Any], picks: Mapping[Path, Picks]) -> Evaluation | None:
    """What is needed to tell precision and recall at any threshold; None without a readable reference."""
    from core.images.source import open_source
    from core.io.coordinates import match_names, read_particles
    from core.picking.evaluate import Evaluation

    if not result.get("reference"):
        return None
    try:
        reference = match_names(read_particles(Path(str(result["reference"]))), list(picks))
        evaluation = Evaluation(float(result["diameter"]), float(result["border"]))
        for path, xy in reference.items():
            if len(xy):
                evaluation.add(picks[path], xy, open_source(path).shape)
    except AppError:
        return None
    return evaluation


def in_words(evaluation: Evaluation | None, threshold: float) -> str:
    """Precision and recall at a threshold, with what they were measured on; "" without a reference."""
    if evaluation is None:
        return ""
    figures = evaluation.at(threshold)
    return (
        f"Against {figures['reference_particles']} reference particles: precision {figures['precision']:.3f}, "
        f"recall {figures['recall']:.3f}, F1 {figures['f1']:.3f}; average precision "
        f"{figures['average_precision']:.3f}. A hit lies within {figures['match_radius_diameters']:g} diameters."
    )
