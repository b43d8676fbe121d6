"""The window: six tabs, menus, status bar, drag and drop, and what happens to jobs when it closes.

app/startup.py opens it. Tabs other than Home are built when they are first shown.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QLabel, QMainWindow, QTabWidget, QVBoxLayout, QWidget

from app import theme
from app.menus import build_menus
from app.session import Session
from app.tabs.home import HomeTab
from app.viewer import renderer
from app.viewer.canvas import Canvas
from app.widgets.jobs_indicator import JobsIndicator
from core.jobs import rundir
from workers.job_worker import JobWorker
from workers.task import wait_for_all

logger = logging.getLogger(__name__)

TABS = ("home", "forward", "train", "predict", "reconstruct", "cs2star")
TITLES = ("Home", "Forward", "Train", "Predict", "Reconstruct", "cs2star")
TAB_OF_JOB = {
    "pick-noise": "home",
    "pick-particles": "home",
    "demo": "home",
    "forward": "forward",
    "train": "train",
    "predict": "predict",
    "trust": "predict",
    "cs2star": "cs2star",
}
PART_OF_TAB = {"pick-noise": "jobs", "pick-particles": "jobs", "demo": "jobs", "trust": "trust"}
MAP_SUFFIXES = (".mrc", ".map", ".mrc.gz", ".map.gz", ".mrc.bz2", ".map.bz2", ".ccp4", ".rec")
MAPS_AT_ONCE = 8
SCAN_MS = 5000
WARM_MS = 4000  # after the start, when the window is there and nobody has asked for curves yet


def make_tab(name: str, session: Session, parent: QWidget | None) -> QWidget:
    """Build the page of a tab; its modules are imported now and not before."""
    if name == "forward":
        from app.tabs.forward import ForwardTab

        return ForwardTab(session, parent)
    if name == "train":
        from app.tabs.train import TrainTab

        return TrainTab(session, parent)
    if name == "predict":
        from app.tabs.predict import PredictTab

        return PredictTab(session, parent)
    if name == "reconstruct":
        from app.tabs.reconstruct import ReconstructTab

        return ReconstructTab(session)
    from app.tabs.cs2star import Cs2StarTab

    return Cs2StarTab(session, parent)


def warm_curves() -> None:
    """Import the curves' library in a task, and build a first hidden plot, before a tab needs it."""
    from app.widgets.metric_plot import library

    library().ask()


class MainWindow(QMainWindow):
    """The shell around the tabs."""

    def __init__(self, session: Session | None = None) -> None:
        super().__init__()
        self.session = session or Session()
        self.setWindowTitle("Vitreous")
        self.setAcceptDrops(True)
        self.rooms = QTabWidget()
        self.rooms.setObjectName("rooms")
        self.rooms.setDocumentMode(True)
        self.rooms.tabBar().setDrawBase(False)
        self.rooms.tabBar().setExpanding(False)
        self.home = HomeTab(self.session)
        self._pages: dict[str, QWidget] = {"home": self.home}
        self._holders: dict[str, QVBoxLayout] = {}
        for name, title in zip(TABS, TITLES, strict=True):
            holder = QWidget()
            inside = QVBoxLayout(holder)
            inside.setContentsMargins(0, 0, 0, 0)
            self._holders[name] = inside
            if name == "home":
                inside.addWidget(self.home)
            self.rooms.addTab(holder, title)
        self.rooms.currentChanged.connect(lambda index: self.page(TABS[index]))
        self.setCentralWidget(self.rooms)
        self._build_status_bar()
        build_menus(self)
        self._restore_geometry()
        self.session.handed_over.connect(self._on_handed_over)
        self._scan = QTimer(self, interval=SCAN_MS)
        self._scan.timeout.connect(self.session.scan)
        self._scan.start()
        QTimer.singleShot(0, self.session.scan)
        self._idle = QTimer(self, interval=WARM_MS, singleShot=True)
        self._idle.timeout.connect(warm_curves)
        self._idle.start()

    # ---- tabs ------------------------------------------------------------------------------------------

    def page(self, name: str) -> Any:
        """The page of a tab, built if it is not there yet."""
        if name not in self._pages:
            page = make_tab(name, self.session, self.rooms.widget(TABS.index(name)))
            self._pages[name] = page
            self._holders[name].addWidget(page)
        return self._pages[name]

    def show_tab(self, name: str) -> Any:
        """Go to a tab."""
        page = self.page(name)
        self.rooms.setCurrentIndex(TABS.index(name))
        return page

    def _on_handed_over(self, name: str, values: dict[str, Any]) -> None:
        if name == "demo":
            self.show_demo(values)
        else:
            self.show_tab(name).receive(values)

    def show_demo(self, result: dict[str, Any]) -> None:
        """Home shows the demo's micrographs and noise boxes, Predict raw beside denoised."""
        folder = Path(str(result.get("micrographs", "")))
        paths = [folder] + [Path(str(result[k])) for k in ("particles", "noise") if result.get(k)]
        if folder.exists():
            self.home.open_paths([p for p in paths if p.exists()])
            self.session.carried |= {"micrographs": [str(folder)], "project": str(result.get("output", ""))}
            known = ("particles", "noise", "particle_diameter")
            self.session.carried |= {key: result[key] for key in known if result.get(key)}
        if isinstance(result.get("particle_diameter"), (int, float)):
            self.home.panel.diameter.set_value(float(result["particle_diameter"]))
        predict = self.page("predict")
        if result.get("model"):
            predict.form.set_values({"model": str(result["model"])})
        if result.get("denoised"):
            predict.show_folders([folder], Path(str(result["denoised"])))
        self.rooms.setCurrentIndex(TABS.index("predict"))

    def show_run(self, run: JobWorker | rundir.RunInfo) -> None:
        """Show a run in its tab, from its beginning."""
        name = TAB_OF_JOB.get(run.job)
        if name is None:
            return
        page = self.show_tab(name)
        part = PART_OF_TAB.get(run.job)
        target = getattr(page, part) if part else page
        known = self.session.workers.get(run.run_dir if isinstance(run, JobWorker) else run.path)
        if known is not None and known is target.worker:
            return
        target.release()  # whatever it shows runs on and stays in the list of jobs
        if known is not None:
            self.session.replay(known)
        elif isinstance(run, rundir.RunInfo):
            self.session.attach(run)

    # ---- status bar ------------------------------------------------------------------------------------

    def _build_status_bar(self) -> None:
        bar = self.statusBar()
        bar.setSizeGripEnabled(False)
        self.cache_label = QLabel()
        self.cache_label.setToolTip("Memory used by the image cache")
        self.renderer_label = QLabel()
        self._shown_renderer: renderer.Choice | None = None
        self.show_renderer()
        self.jobs_indicator = JobsIndicator(self.session)
        self.jobs_indicator.show_run.connect(self.show_run)
        for widget in (self.renderer_label, self.cache_label, self.jobs_indicator):
            bar.addPermanentWidget(widget)
        self.session.message.connect(bar.showMessage)
        self._cache_timer = QTimer(self, interval=1000)
        self._cache_timer.timeout.connect(self._show_cache)
        self._cache_timer.start()
        self._show_cache()

    def show_renderer(self) -> None:
        """Which painter draws the pictures, and why; a failure of OpenGL changes it at any time."""
        choice = renderer.current()
        if choice == self._shown_renderer:
            return
        self._shown_renderer = choice
        self.renderer_label.setText(f"painter: {renderer.NAMES[choice.name]}")
        why = f"{choice.why}. " if choice.why else ""
        self.renderer_label.setToolTip(f"How micrographs are drawn: {why}Change it in Edit > Preferences.")

    def set_renderer(self, choice: renderer.Choice) -> None:
        """Draw with another painter, everywhere and at once."""
        renderer.use(choice)
        for canvas in self.findChildren(Canvas):
            canvas.set_painter(choice.name)
        self.show_renderer()

    def set_cache_mb(self, megabytes: int) -> None:
        """Another budget for images in memory, now and at the next start."""
        self.session.settings.cache_mb = megabytes
        self.session.cache.resize(megabytes << 20)
        self._show_cache()

    def _show_cache(self) -> None:
        self.show_renderer()
        stats = self.session.cache.stats()
        text = f"cache {stats.used_bytes / 2**20:.0f} of {stats.budget_bytes / 2**20:.0f} MB"
        if text != self.cache_label.text():
            self.cache_label.setText(text)

    # ---- theme and geometry ----------------------------------------------------------------------------

    def set_theme(self, name: str) -> None:
        """Dark or light, now and at the next start."""
        from PySide6.QtWidgets import QApplication

        app = QApplication.instance()
        if isinstance(app, QApplication):
            theme.apply(app, name)
        self.session.settings.theme = name
        self.session.save()

    def toggle_theme(self) -> None:
        """From dark to light and back."""
        self.set_theme("light" if theme.current() == "dark" else "dark")

    def _restore_geometry(self) -> None:
        try:
            saved = base64.b64decode(self.session.settings.geometry)
        except ValueError:
            saved = b""
        if saved and self.restoreGeometry(QByteArray(saved)):
            return
        screen = self.screen().availableGeometry()
        self.resize(min(1500, int(screen.width() * 0.88)), min(1000, int(screen.height() * 0.88)))
        self.move(screen.center() - self.rect().center())

    # ---- drag and drop ---------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [Path(u.toLocalFile()) for u in event.mimeData().urls() if u.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self._open_dropped(paths)

    def _open_dropped(self, paths: list[Path]) -> None:
        """Datasets of CryoSPARC go to cs2star, and so does a folder while that is shown; all else is opened."""
        datasets = all(path.suffix.lower() in (".cs", ".csg") for path in paths)
        if (datasets or TABS[self.rooms.currentIndex()] == "cs2star") and self.page("cs2star").take_drop(paths):
            self.show_tab("cs2star")
        else:
            self.open_paths(paths)

    def open_paths(self, paths: list[Path]) -> None:
        """Open files and folders: 3D maps in their own window, everything else on Home."""
        maps = [path for path in paths if path.name.lower().endswith(MAP_SUFFIXES)]
        if not maps or len(paths) > MAPS_AT_ONCE:  # a header is read of each
            self.show_tab("home").open_paths(paths)
            return
        from app.volume_window import sort_out_maps

        sort_out_maps(self, paths, lambda rest: self.show_tab("home").open_paths(rest))

    # ---- closing ---------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        running = self.session.active()
        if running:
            from app import dialogs

            answer = dialogs.ask_close(self, running)
            if answer == "cancel":
                event.ignore()
                return
            if answer == "stop":
                for worker in running:
                    worker.request_stop()
        self._scan.stop()
        self._idle.stop()
        self._cache_timer.stop()
        self.session.settings.geometry = base64.b64encode(self.saveGeometry().data()).decode()
        for name, page in self._pages.items():
            close: Callable[[], None] | None = getattr(page, "close_tab", None)
            try:
                if close is not None:
                    close()
            except Exception:  # the other tabs, the settings and the threads are to be closed all the same
                logger.exception("closing the tab %s", name)
        self.session.close()
        wait_for_all()
        event.accept()
