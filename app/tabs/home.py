"""Home: micrographs, noise boxes and particles; hands them to Forward. Starts pick-noise and the demo.

Its parts: home_panel.py widgets, home_view.py pictures, home_files.py what is open, home_marks.py clicks,
home_areas.py areas and menus, home_picks.py the noise file, home_jobs.py its jobs, home_picking.py particle picking,
home_reading.py and home_loading.py what is read, and what is shown and asked meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QFileDialog, QMenu, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from app.errors import show_error
from app.session import Session, config_dir
from app.tabs.home_advice import PatchAdvice
from app.tabs.home_areas import Areas
from app.tabs.home_files import HomeFiles, Opened
from app.tabs.home_jobs import HomeJobs
from app.tabs.home_loading import LoadingLine, ask_about
from app.tabs.home_marks import NONE, Marks
from app.tabs.home_names import keys_for
from app.tabs.home_panel import TOOLS, HomePanel, default_box
from app.tabs.home_picking import HomePicking
from app.tabs.home_picks import NoiseFile
from app.tabs.home_view import HomeView
from app.viewer.schemes import scheme
from app.widgets.empty_page import EmptyPage
from app.widgets.labels import counted
from core.errors import AppError

MICROGRAPHS = "Micrographs (*.mrc *.mrcs *.tif *.tiff *.mrc.gz *.mrc.bz2 *.eer);;All files (*)"
NOISE_FILTER = "Noise boxes (*.star *.txt *.box)"
PARTICLE_FILTER = "Particles (*.star *.star.gz *.box)"


class HomeTab(QWidget):
    """The first room."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.noise = NoiseFile(self, config_dir() / "journal")
        self.files = HomeFiles(session, self.noise, self)
        self.noise.names = lambda names: keys_for(names, self.files.files, self._keys())
        self.pictures = HomeView(session, lambda p: self.noise.picks.count(self.files.key(p)))
        self.view = self.pictures.view
        self.panel = HomePanel(
            self._noise_text,
            lambda p: str(len(self.files.particles.get(p, NONE)) or ""),
        )
        self.marks = Marks(self.view, self.panel, self.files, self.noise, self._key)
        self.areas = Areas(self.marks)
        self.advice = PatchAdvice(self.marks)
        self.empty = EmptyPage()
        room = QSplitter(Qt.Orientation.Horizontal)  # the pictures, and at times the picking panel
        room.setChildrenCollapsible(False)
        room.addWidget(self.pictures)
        room.setStretchFactor(0, 1)
        self.picking = HomePicking(self, room)
        self.marks.extra = self.picking.layers
        self.jobs = HomeJobs(session, self)
        self.shown: Path | None = None
        self._keep = QTimer(self, interval=1000, singleShot=True)  # sizes survive a crash too
        self._keep.timeout.connect(session.save)
        work = QSplitter(Qt.Orientation.Horizontal)
        work.setChildrenCollapsible(False)
        work.addWidget(self.panel)
        work.addWidget(room)
        work.setStretchFactor(1, 1)
        self._work, self._arranged = work, False
        work.splitterMoved.connect(lambda *_: session.settings.splitters.update(home=work.sizes()))
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(work)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.stack, 1)
        self.loading = LoadingLine(self.files, self)
        whole.addWidget(self.loading)
        whole.addWidget(self.jobs.banner_frame)
        whole.addWidget(self.jobs.bar)
        self._restore_sizes()
        self._connect()
        self._shortcuts()
        self.empty.set_recent(session.settings.recent)
        self._refresh_noise("")

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self._arranged:
            self._arranged = True
            side = self.fontMetrics().averageCharWidth() * 56
            given = self.session.settings.splitters.get("home")
            fits = given is not None and len(given) == self._work.count()
            self._work.setSizes(given if given and fits else [side, max(side, self.width() - side)])

    def _connect(self) -> None:
        panel, empty = self.panel, self.empty
        self.marks.said.connect(self._say)
        self.advice.said.connect(lambda text: self._say(text, 12000))
        self.pictures.loaded.connect(self._on_loaded)
        self.pictures.loader.previewed.connect(lambda *_: self.marks.draw())  # they come with the picture
        self.pictures.said.connect(self._say)
        self.pictures.chosen.connect(panel.list.show_file)
        self.pictures.failed.connect(lambda err: show_error(self, err))
        panel.list.selected.connect(self._show)
        panel.tool_chosen.connect(self._choose_tool)
        panel.scheme_chosen.connect(self.set_scheme)
        self.marks.gestures.tool_changed.connect(panel.show_tool)
        panel.sizes_changed.connect(self._on_sizes)
        panel.load_noise.connect(self._load_noise)
        panel.save_noise_as.connect(self.export_noise)
        panel.load_particles.connect(self._load_particles)
        panel.pick.connect(self.jobs.pick)
        panel.forward.connect(self.use_in_forward)
        panel.pick_particles.connect(self.picking.show)
        menu = QMenu(panel.open_button)
        menu.addAction("Files…", self.open_files)
        menu.addAction("Folder…", self.open_folder)
        panel.open_button.setMenu(menu)
        empty.open_files.connect(self.open_files)
        empty.open_folder.connect(self.open_folder)
        empty.demo.connect(self.jobs.demo)
        empty.recent.connect(lambda path: self.open_paths([Path(path)]))
        self.session.recent_changed.connect(lambda: empty.set_recent(self.session.settings.recent))
        self.files.opened.connect(self._on_opened)
        self.files.positions_changed.connect(self._on_positions)
        self.files.failed.connect(self._on_read_failed)
        self.files.bad_rows.connect(lambda *_: self._say(""))
        self.files.doubted.connect(lambda text: self._say(text, 30000))
        ask_about(self.files, self)
        self.noise.changed.connect(self._refresh_noise)
        self.noise.saved.connect(self._on_saved)
        self.noise.told.connect(lambda text: self._say(text, 15000))
        self.noise.recovered.connect(lambda news: self._say(news, 15000))
        self.noise.failed.connect(lambda err: show_error(self, err))

    def _shortcuts(self) -> None:
        self.view.add_keys(self)
        for keys, slot in (
            (("Ctrl+Z",), self.marks.undo),
            (("Ctrl+Shift+Z", "Ctrl+Y"), self.marks.redo),
            (("N", "PgDown"), lambda: self._step(1)),
            (("P", "PgUp"), lambda: self._step(-1)),
            (("Home",), lambda: self.panel.list.selectRow(0)),
            (("End",), lambda: self.panel.list.selectRow(len(self.panel.list.files) - 1)),
            (("X",), self.marks.toggle),
            (("Ctrl+A",), self.marks.select_all),
            *(((key,), lambda name=name: self._choose_tool(name)) for name, (_, _, key) in TOOLS.items()),
        ):
            for key in keys:
                shortcut = QShortcut(QKeySequence(key), self)
                shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
                shortcut.activated.connect(slot)

    def _restore_sizes(self) -> None:
        home, panel = self.session.settings.home, self.panel
        diameter = _within(home.get("diameter"), panel.diameter.low, panel.diameter.high, 128.0)
        box = _within(home.get("box"), panel.box.low, panel.box.high, default_box(diameter))
        panel.box.set_value(int(box))
        panel.box_follows = home.get("box_follows") is not False
        panel.diameter.set_value(diameter)
        self.noise.box_size = panel.box.value()
        self.set_scheme(str(home.get("scheme", "")))

    def set_scheme(self, name: str) -> None:
        """What the mouse buttons do while picking: one of app/viewer/schemes.py, remembered."""
        chosen = scheme(name)
        self.marks.gestures.set_scheme(chosen)
        self.panel.show_scheme(chosen.name)
        self.session.settings.home["scheme"] = chosen.name

    def _step(self, by: int) -> None:
        if not self.pictures.step(by):
            self.panel.list.step(by)

    def chosen(self) -> list[str]:
        """What jobs get: what was opened, or its files without those that are flagged as rejected."""
        rejected = set(self.pictures.rejected())
        kept = [path for path in self.files.files if path not in rejected] if rejected else self.files.given
        return [str(path) for path in kept]

    def _choose_tool(self, name: str) -> None:
        self.marks.gestures.set_tool(name)
        self.view.setFocus()  # Escape, Enter and Backspace go to the tool

    def _say(self, text: str, ms: int = 6000) -> None:
        self.session.message.emit(text, ms)

    # ---- opening ---------------------------------------------------------------------------------------

    def open_files(self) -> None:
        """Ask for micrograph files."""
        chosen, _ = QFileDialog.getOpenFileNames(self, "Open micrographs", self._last_dir(), MICROGRAPHS)
        if chosen:
            opener = getattr(self.window(), "open_paths", self.open_paths)  # the window sorts out 3D maps first
            opener([Path(c) for c in chosen])

    def open_folder(self) -> None:
        """Ask for a folder of micrographs."""
        chosen = QFileDialog.getExistingDirectory(self, "Open a folder of micrographs", self._last_dir())
        if chosen:
            self.open_paths([Path(chosen)])

    def open_paths(self, paths: Sequence[Path]) -> None:
        """Open micrographs, folders, STAR and noise files, whatever the mixture."""
        self.files.open(list(paths))
        self.jobs.dismiss()  # what it says belongs to what was open before
        self._say("Reading…", 0)

    def _last_dir(self) -> str:
        recent = self.session.settings.recent
        return recent[0] if recent else ""

    def _on_opened(self, opened: Opened) -> None:
        self.stack.setCurrentIndex(1)
        self.shown = None
        self.marks.set_refused({})
        self.pictures.set_files(opened.files, self._keys(), self.session.project_dir(opened.given[0]))
        self.panel.list.set_files(opened.files)
        self.panel.count.setText(str(len(opened.files)))
        self._say("Reading positions…", 0)
        self._refresh_noise("")
        if self.isVisible():
            self.view.setFocus()  # so that N, P, F, 1, Ctrl+Z work at once

    def _on_read_failed(self, err: AppError) -> None:
        self._say("")
        show_error(self, err)

    def _on_positions(self, news: str) -> None:
        self.panel.box.set_value(self.noise.box_size)
        self.panel.box_follows = self.panel.box_follows and not self.noise.picks.total()
        total = sum(len(xy) for xy in self.files.particles.values())
        path = self.files.particles_path
        self.panel.particle_total.setText(f"{total} from {path.name}" if path else "none loaded")
        self._say(news, 10000)
        self.panel.pick_button.setEnabled(path is not None)
        self.panel.pick_button.setToolTip(
            "Find empty places between the particles" if path else "Load the particles' STAR file first"
        )
        self.panel.list.files_model.refresh()
        self.marks.draw()

    # ---- showing ---------------------------------------------------------------------------------------

    def _show(self, path: Path) -> None:
        self.shown = path
        self.marks.forget_drag()
        self.picking.refresh()
        self._refresh_noise("")
        self.pictures.show_file(path, self.panel.list.neighbours())

    def _on_loaded(self, pyramid: Any) -> None:
        self.panel.show_angstrom(pyramid.pixel_size_a)
        self.session.runs_changed.emit()  # the cache use in the status bar
        self.marks.draw()

    def _key(self) -> str:
        return self.files.key(self.shown) if self.shown else ""

    def _keys(self) -> dict[Path, str]:
        return {path: self.files.key(path) for path in self.files.files}

    def _noise_text(self, path: Path) -> str:
        """What the list says about the noise boxes of a micrograph."""
        key = self.files.key(path)
        return "none" if self.noise.picks.is_empty(key) else str(self.noise.picks.count(key) or "")

    def _on_saved(self, path: str) -> None:
        if not self.noise.picks.dirty:
            self.panel.show_saved(path)

    def _refresh_noise(self, _: str) -> None:
        picks, key = self.noise.picks, self._key()
        counts = (picks.count(key), picks.total(), len(picks.names()))
        self.panel.show_counts(*counts, len(picks.selection(key)), picks.is_empty(key))
        self.panel.noise_path.setText(str(self.noise.path or "no file yet"))
        if picks.dirty or not picks.total():
            self.panel.saved_mark.setText("")
        self.panel.undo_button.setEnabled(picks.can_undo)
        self.panel.redo_button.setEnabled(picks.can_redo)
        self.panel.delete_button.setEnabled(bool(picks.total() or picks.areas(key)))
        self.panel.list.files_model.refresh()
        self.pictures.refresh_counts(self.shown)
        self.marks.draw()

    def _on_sizes(self) -> None:
        panel = self.panel
        self.noise.set_box_size(panel.box.value())
        sizes = {"box": panel.box.value(), "diameter": panel.diameter.value(), "box_follows": panel.box_follows}
        self.session.settings.home.update(sizes)
        self._keep.start()
        panel.show_angstrom(self.view.pyramid.pixel_size_a if self.view.pyramid else None)
        self.marks.draw()

    # ---- files -----------------------------------------------------------------------------------------

    def _load_noise(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Load noise boxes", self._last_dir(), NOISE_FILTER)
        if chosen:
            self._say("Reading…", 0)
            self.files.open([Path(chosen)], as_noise=True)

    def export_noise(self) -> None:
        """Ask where the noise boxes are saved from now on."""
        start = str(self.noise.path or "")
        chosen, _ = QFileDialog.getSaveFileName(self, "Save noise boxes", start, NOISE_FILTER)
        if chosen:
            path = Path(chosen)
            self.noise.choose(path if path.suffix.lower() in (".star", ".txt", ".box") else path.with_suffix(".star"))
            self._refresh_noise("")

    def _load_particles(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(self, "Load particles", self._last_dir(), PARTICLE_FILTER)
        if chosen:
            self._say("Reading…", 0)
            self.files.open([Path(c) for c in chosen], as_noise=False)

    def use_in_forward(self) -> None:
        """Hand micrographs, particles, noise boxes and sizes to Forward."""
        if not self.noise.flush():
            self._say("The noise boxes are still being saved: try again in a moment.", 10000)
            return
        if not self.files.given:
            self._say("Open micrographs first.")
            return
        noise = self.noise.path if self.noise.picks.total() else None
        values: dict[str, Any] = {
            "micrographs": self.chosen(),
            "particles": str(self.files.particles_path or ""),
            "noise": str(noise or ""),
            "particle_diameter": self.panel.diameter.value(),
            "noise_box": self.panel.box.value(),
            "project": str(self.session.project_dir(self.files.given[0])),
        }
        missing = [w for w, v in (("a particle STAR file", values["particles"]), ("noise boxes", noise)) if not v]
        left_out = len(self.pictures.rejected())
        if left_out:
            self._say(f"{counted(left_out, 'rejected micrograph')} left out.", 10000)
        if missing:
            self._say(f"Forward still needs {' and '.join(missing)}.", 10000)
        self.session.hand_over("forward", values)

    def close_tab(self) -> None:
        """Save what waits and end the threads."""
        self.files.cancel()
        try:
            self.noise.close()
        finally:
            self.pictures.close_view()


def _within(value: object, low: float | None, high: float | None, default: float) -> float:
    """A remembered number, or the default when it cannot be one of those."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return default
    return float(value) if (low or 0) <= value <= (high or math.inf) else default
