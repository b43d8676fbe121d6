"""cs2star: CryoSPARC's particles as RELION's STAR files; shows what will be written before it is, and the report after.

What a preview and a conversion are is core/cryosparc's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtWidgets import QTabWidget, QWidget

from app.session import Session
from app.tabs.cs2star_look import Looker
from app.tabs.cs2star_result import FilesPane, PlotsPane
from app.tabs.job_tab import JobTab
from app.widgets.choice_cards import Choice, ChoiceCards
from app.widgets.form_check import in_words
from app.widgets.metric_plot import library
from app.widgets.params_form import reasons
from app.widgets.star_preview import PreviewPane
from app.widgets.y_pictures import YPicture
from core.errors import AppError, ParamError
from workers.job_worker import JobWorker

DATASETS = (".cs", ".csg")
# fields whose change gives another preview
LOOKED_AT = ("project", "jobs", "micrographs_are", "y_value", "passthrough", "drop_unmatched", "keep_uid", "relion")
MICROGRAPHS = (
    Choice(
        "cryosparc",
        "Those CryoSPARC used",
        "",
        "RELION counts y from the first row, CryoSPARC from the other edge: y is turned over.",
        picture=lambda: YPicture(False),
    ),
    Choice(
        "motioncor",
        "Others, upside-down to them",
        "",
        "Of MotionCor or RELION after Patch Motion: y stays, angles and shifts are mirrored. "
        "Extract the particles again.",
        picture=lambda: YPicture(True),
    ),
)


class Cs2StarTab(JobTab):
    """Job `cs2star`."""

    job = "cs2star"
    title = "cs2star"
    sentence = "Convert particles of CryoSPARC (.cs) to STAR files for RELION."
    run_text = "Convert"
    next_text = "Use particles in Reconstruct →"
    output_name = "relion"
    fresh_folder = True
    most_warnings = 2  # the preview and the report have all of them
    side_chars, least_side_chars = 66, 52  # the drawings need their room

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(session, parent)
        self.micrographs = ChoiceCards()
        self.micrographs.set_choices(MICROGRAPHS)
        self.micrographs.chosen.connect(lambda name: self.form.set_values({"micrographs_are": name}))
        self.form.put_in_place("micrographs_are", self.micrographs, [c.radio for c in self.micrographs.cards])
        self._show_micrographs()
        self.looker.reading.connect(self.preview.show_reading)
        self.looker.ready.connect(self.preview.show_preview)
        self.looker.failed.connect(self._on_no_preview)
        self._look()

    def build_view(self) -> QWidget:
        self.looker = Looker(self)
        self.preview = PreviewPane(lambda text: in_words(text, self.form.model))
        self.files, self.plots = FilesPane(), PlotsPane()
        self.files.chooser.currentIndexChanged.connect(lambda _: self._show_next())
        self.pages = QTabWidget()
        self.pages.setObjectName("pages")
        self.pages.setDocumentMode(True)
        self.pages.tabBar().setDrawBase(False)
        self.pages.addTab(self.preview, "Preview")
        self.pages.addTab(self.files, "Files")
        self.pages.addTab(self.plots, "Angles and defocus")
        library().ask()
        return self.pages

    # ---- before the run ----------------------------------------------------------------------------------

    def on_edited(self, key: str) -> None:
        if key == "project":
            self._suggest_folder()
        if not hasattr(self, "micrographs"):
            return  # remembered paths are put in while the room is built
        if key == "project":
            self.pages.setCurrentWidget(self.preview)
            if self.worker is None or not self.worker.active:
                self.banner.hide()  # what it says belongs to other particles
        if key == "micrographs_are":
            self._show_micrographs()
        if key in LOOKED_AT:
            self._outdate()
            self._look()

    def _outdate(self) -> None:
        """The form is no longer that of the finished run on show: what that one left is marked as its own."""
        if not self.result:
            return
        self.release()
        self.run_bar.forget()
        self.result, self._warnings = {}, []
        self.banner.hide()
        self._mark()

    def _mark(self) -> None:
        for pane in (self.files, self.plots):
            pane.mark.setText(f"Of the last run: {self.files.source}")
            pane.mark.setVisible(bool(self.files.source))

    def follow(self, worker: JobWorker) -> None:
        self._mark()  # until the new run has something to show
        super().follow(worker)

    def _show_micrographs(self) -> None:
        self.micrographs.set_current(str(self.form.raw("micrographs_are")))

    def _suggest_folder(self) -> None:
        project = self.form.values().get("project")
        if project:
            self.suggest_output(project=self.session.project_dir(Path(project)))

    def _look(self) -> None:
        """Ask for a preview of what the form says, or say what is wrong with it."""
        values = self.form.values()
        if not values.get("project"):
            self.looker.forget()
            self.preview.show_empty()
            return
        values.setdefault("output", values["project"])  # where it is written is not looked at
        try:
            params = self.form.model.parse(values)
        except ParamError as err:
            self.looker.forget()
            texts = reasons(err)
            labels = {key: row.spec.label for key, row in self.form.rows.items()}
            shown = "; ".join(f"“{labels.get(key, key)}”: {text}" for key, text in texts.items())
            self.preview.show_message("Some settings are missing or wrong.", shown or err.message)
            return
        self.looker.ask(params.model_dump())

    def _on_no_preview(self, err: AppError) -> None:
        self.preview.show_message(err.message, err.hint)

    def take_drop(self, paths: Sequence[Path]) -> bool:
        """Files or a folder dropped on the window: True when they are for this tab."""
        datasets = [path for path in paths if path.suffix.lower() in DATASETS]
        if len(paths) == 1 and paths[0].is_dir():
            self.form.set_values({"project": str(paths[0]), "passthrough": []})
        elif datasets:
            datasets.sort(key=lambda path: "passthrough" in path.name.lower())
            others = [str(path) for path in datasets[1:]]
            self.form.set_values({"project": str(datasets[0]), "passthrough": others})
        else:
            return False
        return True

    # ---- the run -----------------------------------------------------------------------------------------

    def clear_view(self) -> None:
        self.files.clear()
        self.plots.clear()

    def on_preview(self, name: str, array: np.ndarray, info: dict[str, Any]) -> None:
        self.plots.add_counts(name, array, info)

    def on_result(self, result: dict[str, Any]) -> None:
        jobs = result.get("jobs") or []
        names = [Path(str(job.get("source", ""))).parent.name for job in jobs]
        self.files.set_jobs(jobs, names)
        self.plots.set_jobs(names)
        self._show_next()
        if self.pages.currentWidget() is self.preview:
            self.pages.setCurrentWidget(self.files)

    def judge(self, result: Mapping[str, Any]) -> str:
        jobs = result.get("jobs") or []
        told = [(Path(str(job.get("source", ""))).parent.name, job["why_not"]) for job in jobs if job.get("why_not")]
        return "\n".join(why if len(jobs) == 1 else f"{name}: {why}" for name, why in told)

    def _show_next(self) -> None:
        """The next step is offered for particles that it can use."""
        if self.result and not self._offered:
            self.banner.next.setVisible(not self.files.why_not)

    def summary(self, result: Mapping[str, Any]) -> str:
        jobs = result.get("jobs") or []
        if not jobs:
            return str(result.get("summary") or "Done.")
        if len(jobs) == 1:
            names = [Path(path).name for path in jobs[0]["files"] if path.endswith(".star")]
            text = f"{result['particles']:,} particles written to {', '.join(names)}"
        else:
            names = [Path(job["files"][0]).parent.name for job in jobs]
            text = f"{result['particles']:,} particles of {len(jobs)} jobs written to the folders {', '.join(names)}"
        left = sum(sum(job["left_out"].values()) for job in jobs)
        return f"{text}; {left:,} left out." if left else f"{text}."

    def go_next(self) -> None:
        # of several jobs the one that Files shows; these are no picks on the micrographs of the denoising tabs
        self.session.hand_over("reconstruct", {"particles": self.files.star}, carry=False)

    def close_tab(self) -> None:
        """The window closes."""
        self.looker.forget()
