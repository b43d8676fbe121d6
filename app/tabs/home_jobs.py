"""The jobs that Home starts itself: automatic noise picking, particle picking, and the demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFrame, QVBoxLayout

from app.errors import show_bug, show_error
from app.session import Session
from app.tabs.home_advice import read_refused_places
from app.tabs.home_marks import RefusedPatches
from app.widgets.form_check import in_words
from app.widgets.labels import Banner
from app.widgets.run_bar import RunBar
from core.errors import AppError
from core.jobs.table import job_params
from workers.job_worker import JobWorker
from workers.task import run_task

if TYPE_CHECKING:
    from app.tabs.home import HomeTab

JOBS = ("pick-noise", "pick-particles", "demo")
FEW_BOXES = 10
FEW_HINT = "That is too little noise to learn from: make the box smaller and pick again, or add boxes by hand."
RUNNING_TEXT = {
    "pick-noise": "Looking for empty places",
    "pick-particles": "Looking for particles",
    "demo": "The demo runs",
}


class HomeJobs(QObject):
    """Bar and banner at the foot of Home, shown while one of its jobs runs and after it."""

    def __init__(self, session: Session, tab: HomeTab) -> None:
        super().__init__(tab)
        self._session, self._tab = session, tab
        self.worker: JobWorker | None = None
        self._own: JobWorker | None = None  # started here, not replayed: only its boxes are taken unasked
        self.bar = RunBar()
        self.bar.run_button.hide()
        self.bar.run_button.setShortcut("")
        self.bar.hide()
        self.banner = Banner()
        self.banner_frame = QFrame()
        frame = QVBoxLayout(self.banner_frame)
        frame.setContentsMargins(14, 8, 14, 8)
        frame.addWidget(self.banner)
        self.banner_frame.hide()
        self.banner.next.clicked.connect(self._next)
        self.banner.dismissed.connect(self._hide)
        self.banner.detail.clicked.connect(self._detail)
        session.run_started.connect(self._on_run_started)

    def pick(self) -> None:
        """Pick noise boxes on the open micrographs."""
        files, noise = self._tab.files, self._tab.noise
        if files.reading:
            self._session.message.emit("The positions are still being read.", 4000)
            return
        if files.particles_path is None or noise.path is None:
            self._session.message.emit("Load the STAR file of the particles first.", 8000)
            return
        if not noise.flush():
            self._session.message.emit("The noise boxes are still being saved: try again in a moment.", 8000)
            return
        output = noise.path.with_name(f"{noise.path.stem}_auto{noise.path.suffix}")
        values: dict[str, Any] = {
            "micrographs": self._tab.chosen(),
            "particles": str(files.particles_path),
            "box_size": self._tab.panel.box.value(),
            "particle_diameter": self._tab.panel.diameter.value(),
            "output": str(output),
        }
        from core.io.marks import marks_path

        if marks_path(noise.path).exists():  # excluded areas and micrographs without noise
            values["exclude"] = str(marks_path(noise.path))
        self.start("pick-noise", values)

    def demo(self) -> None:
        """Run the demo into the work folder."""
        if self.worker is not None and self.worker.active:
            self._session.message.emit("Wait until the present run has ended, or stop it.", 8000)
            return
        self.start("demo", {"output": str(self._session.work_root / "demo"), "window": False})

    def start(self, job: str, values: dict[str, Any]) -> None:
        """Start one of these jobs; what is wrong with the values is told in a message."""
        try:
            self._own = self._session.start(job, job_params(job).parse(values))
        except AppError as err:
            show_error(self._tab, err)

    def _on_run_started(self, worker: JobWorker) -> None:
        same = self.worker is not None and self.worker.run_dir == worker.run_dir
        if worker.job in JOBS and (same or self.worker is None or not self.worker.active):
            self.follow(worker)

    def follow(self, worker: JobWorker) -> None:
        """Show this run from now on."""
        self.release()
        self.worker = worker
        self.banner_frame.hide()
        for signal, slot in self._connections(worker):
            signal.connect(slot)
        output = worker.params.get("output")
        self.bar.follow(worker, Path(output) if output else None)
        self.bar.message.setText(RUNNING_TEXT.get(worker.job, ""))
        self.bar.show()
        self._set_buttons(False)

    def release(self) -> None:
        """Show the present run no longer; it goes on."""
        if self.worker is not None:
            for signal, slot in self._connections(self.worker):
                signal.disconnect(slot)
            self.bar.unfollow()
        self.worker = None

    def _connections(self, worker: JobWorker) -> list[tuple[Any, Any]]:
        return [
            (worker.done, self._on_done),
            (worker.failed, self._on_failed),
            (worker.stopped, self._on_stopped),
            (worker.lost, self._on_lost),
            (worker.warning, self._on_warning),
        ]

    def _set_buttons(self, enabled: bool) -> None:
        self._tab.empty.demo_button.setEnabled(enabled)
        self._tab.panel.pick_button.setEnabled(enabled and self._tab.files.particles_path is not None)
        self._tab.picking.set_busy(not enabled)

    def _show(self, state: str, text: str, hint: str = "", detail: str = "", next_step: str = "") -> None:
        self._set_buttons(True)
        self.banner.show_text(state, text, hint, detail, next_step)
        self.banner_frame.show()

    def dismiss(self) -> None:
        """Hide the words about an ended run."""
        if self.worker is None or not self.worker.active:
            self._hide()

    def _hide(self) -> None:
        self.banner_frame.hide()
        self.bar.hide()

    def _on_done(self, result: dict[str, Any]) -> None:
        self.bar.hide()
        text = str(result.get("summary") or "Done.")
        if self.worker is not None and self.worker.job == "demo":
            last = text.splitlines()[-1]  # above it stands the table, which the report shows better
            self._show("done", "The demo is done.", last, "Open the report", "Show the result →")
            if self.worker is self._own:  # a replayed demo never changes what is open unasked
                self._own = None
                self._tab.session.handed_over.emit("demo", result)
            return
        if self.worker is not None and self.worker.job == "pick-particles":
            self._show_particles(text, result)
        else:
            self._show_picked(text, result)

    def _show_particles(self, text: str, result: dict[str, Any]) -> None:
        """The particles of the run that was started here are shown; those of any other are offered."""
        worker = self.worker
        few = not result.get("picks")
        own = worker is not None and worker is self._own and worker.params.get("micrographs") == self._tab.chosen()
        self._show("warning" if few else "done", text, next_step="" if own else "Show these picks")
        if own:
            self._own = None
            self._tab.picking.take(result)

    def _show_picked(self, text: str, result: dict[str, Any]) -> None:
        """Take the boxes of the run that was started here for these micrographs; offer those of any other."""
        worker = self.worker
        few = isinstance(result.get("boxes"), int) and result["boxes"] < FEW_BOXES
        state, hint = ("warning", FEW_HINT) if few else ("done", "")
        given = self._tab.chosen()
        if worker is not None and worker is self._own and worker.params.get("micrographs") == given:
            self._own = None
            self._show(state, text, f"{hint} Undo (Ctrl+Z) brings the earlier boxes back.".lstrip())
            self._take_boxes(result)
        else:
            hint = f"{hint} Your present boxes stay until you load these.".lstrip()
            self._show(state, text, hint, next_step="Load these boxes")

    def _take_boxes(self, result: dict[str, Any]) -> None:
        """The boxes of a run replace those of its micrographs, in one undo step; all others stay."""
        path = Path(str(result.get("output", "")))
        files = self._tab.files
        if not files.files:
            self._session.message.emit(f"Noise boxes are in {path}; open the micrographs to see them.", 10000)
            return

        def work() -> tuple[dict[str, Any], dict[Path, RefusedPatches]]:
            from core.io.coordinates import match_names, no_match_error, read_noise_boxes

            found = read_noise_boxes(path).positions
            here = {files.key(p): xy for p, xy in match_names(found, files.files).items() if len(xy)}
            if not here:
                raise no_match_error(path, found, files.files)
            return here, refused(result, files.files)

        def take(answer: tuple[dict[str, Any], dict[Path, RefusedPatches]]) -> None:
            positions, places = answer
            if isinstance(result.get("box_size"), int):
                self._tab.panel.box.set_value(result["box_size"])
            picks = self._tab.noise.picks
            picks.set_all(picks.as_dict() | positions)
            self._tab.marks.set_refused(places)

        run_task(work, take, lambda err: show_error(self._tab, err), self)

    def _on_failed(self, message: str, hint: str, _: list[str]) -> None:
        bug = self.worker is not None and bool(self.worker.trace)
        if self.worker is not None and not bug:
            model = job_params(self.worker.job)
            message, hint = in_words(message, model), in_words(hint, model)
        self._show("failed", f"This is a bug: {message}" if bug else message, hint, "Details" if bug else "Show log")

    def _on_stopped(self) -> None:
        self._show("stopped", "Stopped.")

    def _on_lost(self, tail: str) -> None:
        self._show("failed", "The run ended without saying why: its process is gone.", tail, "Show log")

    def _on_warning(self, text: str) -> None:
        self._session.message.emit(text, 8000)

    def _next(self) -> None:
        if self.worker is not None and self.worker.job == "demo":
            self._session.handed_over.emit("demo", self.worker.result)
        elif self.worker is not None and self.worker.job == "pick-particles":
            self._tab.picking.take(self.worker.result)
            self._hide()
        elif self.worker is not None:
            self._take_boxes(self.worker.result)
            self._hide()

    def _detail(self) -> None:
        worker = self.worker
        if worker is not None and worker.trace:
            show_bug(self._tab, worker.message, worker.trace)
        elif worker is not None and worker.state == "done":
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(worker.result.get("report", ""))))
        else:
            self.bar.log_button.setChecked(True)


def refused(result: dict[str, Any], files: list[Path]) -> dict[Path, RefusedPatches]:
    """The places that a run refused; none when their file is not there any more."""
    path = result.get("refused_file")
    try:
        return read_refused_places(Path(str(path)), files) if path else {}
    except AppError:
        return {}
