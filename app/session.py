"""What the tabs share: settings, the one image cache, and the runs being followed. Built once, passed in.

Settings are a JSON file; a missing or broken one never keeps the window from opening.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from core.jobs import rundir
from core.params import Params
from workers.job_worker import JobWorker
from workers.task import run_task

if TYPE_CHECKING:
    from core.images.cache import ImageCache

logger = logging.getLogger(__name__)

RECENT_MOST = 12
PATH_MOST = 32_768  # characters: no system has longer ones
SIZE_MOST = 1 << 20  # px: beyond every screen


def config_dir() -> Path:
    """Where the settings live: $VITREOUS_CONFIG_DIR, otherwise the place this system keeps settings."""
    given = os.environ.get("VITREOUS_CONFIG_DIR")
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_config_dir("vitreous", appauthor=False))


@dataclass
class Settings:
    """What is remembered between two starts. Values of the wrong type in the file are dropped one by one."""

    theme: str = "dark"
    renderer: str = "auto"  # auto, raster or gl
    cache_mb: int = 1024
    geometry: str = ""
    recent: list[str] = field(default_factory=list)
    splitters: dict[str, list[int]] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)  # "job.key" -> path text, or list of them
    home: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read the file; whatever cannot be used keeps its default."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, RecursionError) as err:
            logger.warning("settings in %s cannot be read (%s); starting with the defaults", path, err)
            return cls()
        result = cls()
        if isinstance(data, dict):
            for item in dataclasses.fields(cls):
                value = data.get(item.name)
                if type(value) is type(getattr(result, item.name)):
                    setattr(result, item.name, value)
        result.recent = [r for r in result.recent if isinstance(r, str) and _is_path(r)][:RECENT_MOST]
        result.splitters = {name: sizes for name, sizes in result.splitters.items() if _are_sizes(sizes)}
        result.home = {name: value for name, value in result.home.items() if _is_plain(value)}
        result.cache_mb = min(max(result.cache_mb, 64), 1 << 20)
        return result

    def save(self, path: Path) -> None:
        """Write the file; a refusal is logged, not shown: settings are a convenience."""
        from core.io.atomic import write_json

        try:
            write_json(path, dataclasses.asdict(self))
        except (AppError, OSError) as err:
            logger.warning("settings were not saved: %s", err)


def _is_path(text: str) -> bool:
    return "\0" not in text and len(text) < PATH_MOST


def _are_sizes(sizes: object) -> bool:
    """Whether these can be the widths of the parts of a splitter, px."""
    whole = isinstance(sizes, list) and all(type(size) is int and 0 <= size <= SIZE_MOST for size in sizes)
    return whole and isinstance(sizes, list) and sum(sizes) > 0


def _is_plain(value: object) -> bool:
    """Whether a value of Home is text, a tick or a number that Qt can take."""
    if isinstance(value, (int, float)):
        return abs(value) <= SIZE_MOST  # which nan is not
    return isinstance(value, str)


class Session(QObject):
    """Settings, cache, and followed runs. Signals connect the tabs without their knowing each other."""

    message = Signal(str, int)  # text for the status bar, ms (0: stays)
    runs_changed = Signal()  # a run appeared, changed its state, or made progress
    run_started = Signal(object)  # a JobWorker that is now followed
    handed_over = Signal(str, dict)  # name of a tab, values for its form
    recent_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._path = config_dir() / "settings.json"
        self.settings = Settings.load(self._path)
        self._cache: ImageCache | None = None
        self.workers: dict[Path, JobWorker] = {}
        self.carried: dict[str, Any] = {}  # what earlier tabs handed over: micrographs, project, ...
        self._ended: set[Path] = set()  # run folders known to be over
        self._scanning = False

    @property
    def cache(self) -> ImageCache:
        """The one image cache."""
        if self._cache is None:
            from core.images.cache import ImageCache

            self._cache = ImageCache(self.settings.cache_mb << 20)
        return self._cache

    @property
    def runs_root(self) -> Path:
        """Where run folders are."""
        return rundir.runs_root()

    @property
    def work_root(self) -> Path:
        """Where outputs go unless the user chooses otherwise."""
        return self.runs_root.parent

    @property
    def probe_file(self) -> Path:
        """What the OpenGL probe said about the displays that were used."""
        return self._path.with_name("opengl.json")

    def project_dir(self, first_input: Path) -> Path:
        """Folder for what is made from these inputs: named after their folder, below `work_root`."""
        folder = first_input if first_input.is_dir() else first_input.parent
        return self.work_root / (folder.name or "project")

    def hand_over(self, tab: str, values: dict[str, Any], carry: bool = True) -> None:
        """Give values to the next tab and remember them for the tabs after it; an empty one takes the earlier away.

        Without `carry` they are for that tab alone.
        """
        if carry:
            self.carried = {k: v for k, v in (self.carried | values).items() if v}
        self.handed_over.emit(tab, values)

    def remember_field(self, job: str, key: str, value: Any) -> None:
        """Remember a path that was used (saved with the next `save`)."""
        self.settings.fields[f"{job}.{key}"] = value

    def field(self, job: str, key: str) -> Any:
        """The path used last for a field, or None."""
        return self.settings.fields.get(f"{job}.{key}")

    def save(self) -> None:
        """Keep the settings."""
        self.settings.save(self._path)

    def add_recent(self, path: Path) -> None:
        """Put a file or folder on top of the recent ones."""
        text = str(path)
        self.settings.recent = [text, *(r for r in self.settings.recent if r != text)][:RECENT_MOST]
        self.save()
        self.recent_changed.emit()

    def start(self, job: str, params: Params) -> JobWorker:
        """Make a run folder, start its process and follow it. Raises AppError when no folder can be made."""
        run_dir = rundir.create(job, params, self.runs_root)
        return self._follow(JobWorker(run_dir, job, params.to_toml_dict(), start=True))

    def resume(self, worker: JobWorker) -> JobWorker:
        """Start the process of a run that stopped or was lost again; it goes on where it was."""
        return self._follow(JobWorker(worker.run_dir, worker.job, worker.params, start=True))

    def attach(self, info: rundir.RunInfo) -> JobWorker:
        """Follow a run that exists; its events are replayed from the beginning."""
        known = self.workers.get(info.path)
        if known is not None and known.active:
            return known
        return self._follow(JobWorker(info.path, info.job, info.params))

    def replay(self, worker: JobWorker) -> JobWorker:
        """Follow the same run anew, so that a tab that was not there from the beginning sees all of it."""
        return self._follow(JobWorker(worker.run_dir, worker.job, worker.params))

    def scan(self) -> None:
        """Look for runs that go on but are not followed yet (earlier window, command line), in a thread."""
        if self._scanning:
            return
        self._scanning = True
        root, known = self.runs_root, set(self.workers) | self._ended
        run_task(lambda: new_runs(root, known), self._on_scanned, self._on_scan_failed, self)

    def _on_scanned(self, infos: list[rundir.RunInfo]) -> None:
        self._scanning = False
        for info in infos:
            if info.alive and info.path not in self.workers:
                self.attach(info)
            elif info.state not in ("queued", "running"):
                self._ended.add(info.path)

    def _on_scan_failed(self, err: AppError) -> None:
        self._scanning = False
        logger.warning("runs could not be listed: %s", err)

    def _follow(self, worker: JobWorker) -> JobWorker:
        """Keep the worker and let the tabs connect to it before it begins."""
        old = self.workers.get(worker.run_dir)
        if old is not None:
            old.leave()
        self.workers[worker.run_dir] = worker
        worker.changed.connect(self.runs_changed)
        self.run_started.emit(worker)
        worker.start()
        self.runs_changed.emit()
        return worker

    def active(self) -> list[JobWorker]:
        """Runs that wait or run."""
        return [w for w in self.workers.values() if w.active]

    def close(self) -> None:
        """Follow nothing any more (the runs go on) and keep the settings."""
        for worker in self.workers.values():
            worker.leave()
        self.workers.clear()
        self.save()


def new_runs(root: Path, known: set[Path], newest: int = 40) -> list[rundir.RunInfo]:
    """State of the newest run folders that are not in `known`."""
    files = [p for p in root.glob("*/job.toml") if p.parent not in known]
    files.sort(key=lambda p: p.stat().st_mtime, reverse=True)
    infos = []
    for path in files[:newest]:
        try:
            infos.append(rundir.inspect(path.parent))
        except AppError:
            continue
    return infos
