"""Reconstruct, for the user's own particles: the form, the map while it is made, the result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QTabWidget, QWidget

from app.session import Session
from app.tabs.job_tab import JobTab
from app.tabs.last_run import show_last_run
from app.tabs.reconstruct_result import METHOD_WORDS, EvidencePane, MapPane, ProgressPane
from app.viewer.view_toolbar import tool_button
from app.widgets.choice_cards import Choice, ChoiceCards
from app.widgets.labels import button, column, label, row
from app.widgets.metric_plot import library
from core.params import Params
from core.reconstruction.outputs import MAP
from core.reconstruction.results import CURVES, Outcome
from core.reconstruction.shipped import BUNDLED_PATH
from workers.job_worker import JobWorker

ALONE, LEARNED = "images only", "with learned prior"
NO_PRIOR = "The shipped prior is not in this installation: choose one under More settings, or train one (train-prior)."
FSC_ROWS = ("unmasked", "masked", "randomised", "corrected")  # of the job's preview


def choices(has_prior: bool) -> list[Choice]:
    """The methods; the one with a learned prior only where there is a prior."""
    return [
        Choice("auto", "Automatic", "", "By how much the images know; the reason is told with the result."),
        Choice(
            "backproject",
            "Backprojection",
            ALONE,
            "All views put together, weighted by their CTF. Assumes nothing; the noise stays.",
        ),
        Choice(
            "wiener",
            "Wiener filter",
            ALONE,
            "Keeps of each frequency what the half maps agree on. Smooth; weak detail fades.",
        ),
        Choice(
            "positive",
            "Positive density",
            ALONE,
            "Also allows no density below zero. Mostly the better map; true dips are filled.",
        ),
        Choice(
            "dps",
            "Learned prior (DPS)",
            LEARNED,
            "Where the images say little, it shows what proteins look like, which need not be true of yours.",
            "" if has_prior else NO_PRIOR,
        ),
    ]


class ParticlesTab(JobTab):
    """Job `reconstruct`. `try_clicked` when the user would rather see it on simulated particles."""

    try_clicked = Signal()

    job = "reconstruct"
    title = "Reconstruct"
    sentence = "Particles with known poses become a 3D map. Its resolution always comes from the images alone."
    run_text = "Reconstruct"
    output_name = "reconstruction"
    side_chars = 58

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(session, parent)
        self.methods = ChoiceCards()
        self.methods.set_choices(choices(True))
        self.methods.chosen.connect(lambda name: self.form.set_values({"method": name}))
        self.form.put_in_place("method", self.methods, [card.radio for card in self.methods.cards])
        self._show_methods()
        if self.worker is None:
            show_last_run(self)

    def form_header(self) -> QWidget:
        link = button("No particles? Try it on simulated ones →", "flat")
        link.setToolTip("200 simulated views of a small protein, by all methods, beside the truth")
        link.clicked.connect(self.try_clicked)
        whole = QWidget()
        whole.setLayout(column(link))
        return whole

    def build_view(self) -> QWidget:
        self.map, self.evidence, self.progress = MapPane(), EvidencePane(), ProgressPane()
        self.map.said.connect(lambda text: self.session.message.emit(text, 8000))
        self.map.loaded.connect(self._on_loaded)
        self.pages = QTabWidget()
        self.pages.setObjectName("pages")
        self.pages.setDocumentMode(True)
        self.pages.tabBar().setDrawBase(False)
        for page, text in ((self.map, "Map"), (self.evidence, "Resolution and views"), (self.progress, "Progress")):
            self.pages.addTab(page, text)
        self.folder_button = tool_button(self, "Open folder", "Open the folder of the maps on show")
        self.folder_button.clicked.connect(self._open_folder)
        self.map_button = tool_button(self, "Open a map…", "Show any map in a window of its own")
        self.map_button.clicked.connect(self._open_map)
        corner = QWidget()
        corner.setLayout(row(self.folder_button, self.map_button, spacing=4))
        self.pages.setCornerWidget(corner)
        self.folder_button.setEnabled(False)
        library().ask()
        self.earlier = label("", "warning")  # whose the pages are while a new run has nothing to show
        self.earlier.hide()
        whole = QWidget()
        whole.setLayout(column(self.earlier, self.pages))
        return whole

    # ---- form --------------------------------------------------------------------------------------------

    def on_edited(self, key: str) -> None:
        if not hasattr(self, "methods"):
            return  # remembered paths are put in while the room is built
        if key == "particles":
            self.touched = True
            self._mark()
            self._suggest_folder()
        if key in ("method", "prior"):
            self._show_methods()

    def _show_methods(self) -> None:
        has_prior = bool(self.form.values().get("prior")) or BUNDLED_PATH.is_file()
        self.methods.set_choices(choices(has_prior))
        self.methods.set_current(str(self.form.raw("method")))

    def _suggest_folder(self) -> None:
        particles = self.form.values().get("particles")
        if particles:
            self.suggest_output(project=self.session.project_dir(Path(particles)))

    def suggest_output(self, name: str = "", project: Path | None = None) -> None:
        particles = self.form.values().get("particles")
        if project is None and particles:  # these particles are no product of the denoising tabs
            project = self.session.project_dir(Path(particles))
        super().suggest_output(name, project)

    def receive(self, values: Mapping[str, Any]) -> None:
        """Take particles that another tab hands over, and keep them for the next start."""
        self.touched = True
        if values.get("particles"):
            self.session.remember_field(self.job, "particles", str(values["particles"]))
            self.session.save()
        super().receive(values)

    def taken(self, params: Params) -> str:
        values = params.model_dump()
        if values["overwrite"] or not (values["output"] / MAP).exists():
            return ""
        return "This folder already holds a map: switch “Overwrite” on to replace it, or choose another folder."

    def take_drop(self, paths: list[Path]) -> bool:
        """A STAR file dropped on the window: True when it was for this tab."""
        if len(paths) != 1 or paths[0].suffix.lower() != ".star":
            return False
        self.form.set_values({"particles": str(paths[0])})
        return True

    # ---- the run -----------------------------------------------------------------------------------------

    def follow(self, worker: JobWorker) -> None:
        self._mark()
        super().follow(worker)

    def _mark(self) -> None:
        """The map on show is not of what the form or the banner says."""
        if self.map.outcome is not None:
            self.earlier.setText(f"Earlier run: {self.map.outcome.folder.name}")
            self.earlier.show()

    def on_no_result(self) -> None:
        self.map.end_wait("There is no map: the run did not come to its end.")

    def clear_view(self) -> None:
        self.earlier.hide()
        self.map.clear("The particles are being read." if self.worker is not None and self.worker.active else "")
        self.evidence.clear()
        self.progress.clear()
        self.folder_button.setEnabled(False)

    def on_metrics(self, points: list[tuple[str, float, float]]) -> None:
        self.progress.add_points(points)

    def on_preview(self, name: str, array: np.ndarray, info: dict[str, Any]) -> None:
        if name == "map" and array.ndim == 3 and len(array) == 3:
            self.map.set_live(array, str(info.get("method", "")))
        elif name == "views" and array.ndim == 2:
            self.evidence.views.set_counts(array)
        elif name == "fsc" and array.ndim == 2 and len(array) == len(FSC_ROWS):
            frequency = info.get("frequency") or [0]
            if frequency[-1] > 0:
                self.map.pixel_size_a = round(1 / (2 * frequency[-1]), 3)
                curves = dict(zip(FSC_ROWS, array, strict=True))
                self.evidence.set_curves({key: curves[key] for key in CURVES}, self.map.pixel_size_a)

    def on_result(self, result: dict[str, Any]) -> None:
        if result.get("output"):
            self.map.read(Path(str(result["output"])))

    def _on_loaded(self, outcome: Outcome) -> None:
        self.evidence.set_curves(outcome.curves, outcome.pixel_size_a)
        self.evidence.set_weight(outcome.weight)
        self.folder_button.setEnabled(True)

    def summary(self, result: Mapping[str, Any]) -> str:
        method, particles = str(result.get("method", "")), result.get("particles")
        if method not in METHOD_WORDS or not isinstance(particles, int):
            return str(result.get("summary") or "Done.")
        told, nyquist = result.get("resolution_a_0.143"), result.get("nyquist_a")
        at = f"to {told:.3g} Å" if told else f"up to Nyquist, {nyquist:.3g} Å"
        at = "on nothing: no resolution" if result.get("nothing_resolved") else at
        return f"Map of {particles:,} particles: {METHOD_WORDS[method]}. Half maps from images alone agree {at}."

    def show_folder(self, folder: Path, words: str) -> None:
        """Show the maps of a folder that another job has made; `words` say what they are."""
        self.touched = True
        if self.worker is not None and self.worker.active:
            self.session.message.emit("A reconstruction runs here: wait for its end, or stop it.", 8000)
            return
        self.release()
        self.clear_view()
        self.banner.show_text("done", words, "The settings on the left are not those of this map.")
        self.pages.setCurrentWidget(self.map)
        self.map.read(folder)

    def _open_folder(self) -> None:
        if self.map.outcome is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.map.outcome.folder)))

    def _open_map(self) -> None:
        from app.volume_window import open_for

        open_for(self.window())

    def close_tab(self) -> None:
        """The window closes."""
        self.map.close_pane()
