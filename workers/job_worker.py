"""Follows one run folder in a QThread and turns its events into signals; also starts the run's process.

The window and a run meet only through the folder (core/jobs/rundir.py): a worker attached to a run that was
started elsewhere, or before the window existed, replays the same signals.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QThread, Signal

from core.errors import AppError
from core.io.npy import load_npy
from core.jobs import launch, rundir

logger = logging.getLogger(__name__)

POLL_S = 0.15
LOG_CHUNK = 64 * 1024
KILL_AFTER_S = 3.0


class JobWorker(QThread):
    """One run. Signals arrive in the order of the events; `done`, `failed`, `stopped` or `lost` comes last.

    `state`, `fraction`, `message` and `began` may be read at any time from the GUI thread.
    """

    progress = Signal(float, float, str, float)  # done, total, message, time of the event
    metrics = Signal(list)  # [(name, value, step), ...] all that came since the last poll
    preview = Signal(str, object, dict)  # name, array, info
    warning = Signal(str)
    log = Signal(str)  # new text of log.txt
    done = Signal(dict)  # the result
    failed = Signal(str, str, list)  # message, hint, fields
    stopped = Signal()
    lost = Signal(str)  # the end of the log
    changed = Signal()  # state or progress

    def __init__(self, run_dir: Path, job: str, params: dict[str, Any] | None = None, *, start: bool = False):
        """Follow `run_dir`; with `start` its process is started first."""
        super().__init__()
        self.run_dir, self.job, self.params = run_dir, job, params or {}
        self.state, self.fraction, self.message = "queued", 0.0, ""
        self.began: float | None = None
        self.ended: float | None = None
        self.result: dict[str, Any] = {}
        self.trace = ""  # of a run that failed through a bug
        self.starts = start  # the process is started by this worker: what comes is new, not a replay
        self._leave = threading.Event()
        self._stop_asked: float | None = None
        self._mark: dict[str, Any] | None = None
        self._process: Any = None
        self._log_offset = 0
        self._final: dict[str, Any] = {}

    @property
    def active(self) -> bool:
        """Is the run waiting or running, as far as is known?"""
        return self.state in ("queued", "running")

    def request_stop(self) -> None:
        """Ask the run to stop; a second request ends its processes at once."""
        if self._stop_asked is not None:
            launch.kill(self.run_dir)
            return
        self._stop_asked = time.monotonic()
        launch.request_stop(self.run_dir)

    def leave(self) -> None:
        """Follow no longer; the run itself goes on. Joins the thread."""
        self._leave.set()
        self.wait()

    def run(self) -> None:
        """The thread: start, follow, announce the end."""
        reader = rundir.EventReader(self.run_dir)
        if self.starts:
            self._emit_events(reader.read_new())  # what an earlier process of this run reported
            self.state, self.ended, self._final, self._mark = "queued", None, {}, None
            try:
                self._process = launch.start(self.run_dir)
            except (AppError, OSError) as err:
                self._final = {"kind": "failed", "message": getattr(err, "message", str(err))}
                self._final["hint"] = getattr(err, "hint", "")
                self.state = "failed"
                self._announce_end()
                return
        while not self._leave.is_set():
            alive = self._alive()  # before reading: a run that ends in between must not look lost
            events = reader.read_new()
            self._emit_events(events)
            self._emit_log()
            if not self.active or (not alive and not events):
                break
            self._end_overdue()
            self._leave.wait(POLL_S)
        if self._leave.is_set() and self.active:
            return
        if self.active:
            self.state = "lost" if self._stop_asked is None else "stopped"
        self._emit_log()
        self._announce_end()

    def _alive(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            return False
        marks = [m for m in (self._mark, rundir.read_mark(self.run_dir)) if m]
        if not marks:
            return True  # created by somebody else and not started yet
        return any(rundir.is_alive(m) for m in marks)

    def _end_overdue(self) -> None:
        if self._stop_asked is not None and time.monotonic() - self._stop_asked > KILL_AFTER_S:
            launch.kill(self.run_dir)

    def _emit_events(self, events: list[dict[str, Any]]) -> None:
        """Of many progress reports and previews in one read only the newest matter."""
        metrics: list[tuple[str, float, float]] = []
        previews: dict[str, dict[str, Any]] = {}
        last_progress = None
        for event in events:
            kind = event["kind"]
            if kind == "metric":
                metrics.append((event["name"], float(event["value"]), float(event["step"])))
            elif kind == "progress":
                last_progress = event
            elif kind == "preview":
                previews[event["name"]] = event
            elif kind == "warning":
                self.warning.emit(str(event.get("message", "")))
            elif kind == "started":
                self._mark, self.state, self.began = event, "running", float(event.get("t", time.time()))
                self._final = {}
            elif kind in rundir.TERMINAL:
                self.state, self._final = rundir.TERMINAL[kind], event
                self.ended = float(event.get("t", time.time()))
        if metrics:
            self.metrics.emit(metrics)
        for name, event in previews.items():
            self._emit_preview(name, event)
        if last_progress is not None:
            total = float(last_progress.get("total", 0) or 0)
            finished = float(last_progress.get("done", 0))
            self.fraction = min(1.0, finished / total) if total > 0 else 0.0
            self.message = str(last_progress.get("message", ""))
            self.progress.emit(finished, total, self.message, float(last_progress.get("t", time.time())))
        if events:
            self.changed.emit()

    def _emit_preview(self, name: str, event: dict[str, Any]) -> None:
        path = self.run_dir / "previews" / f"{name}.npy"  # the folder may have been moved: not event["path"]
        try:
            array = np.array(load_npy(path))
        except (OSError, ValueError):
            return  # being replaced, or cleaned away: the next one comes
        info = {k: v for k, v in event.items() if k not in ("kind", "t", "name")}
        self.preview.emit(name, array, info)

    def _emit_log(self) -> None:
        try:
            with (self.run_dir / "log.txt").open("rb") as handle:
                size = handle.seek(0, 2)
                if size <= self._log_offset:
                    return
                handle.seek(max(self._log_offset, size - LOG_CHUNK))
                data = handle.read()
                self._log_offset = size
        except OSError:
            return
        self.log.emit(data.decode("utf-8", errors="replace"))

    def _log_tail(self, lines: int = 12) -> str:
        try:
            text = (self.run_dir / "log.txt").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text[-LOG_CHUNK:].splitlines()[-lines:])

    def _announce_end(self) -> None:
        self.ended = self.ended or time.time()
        event = self._final
        if self.state == "done":
            self.fraction, self.result = 1.0, event.get("result", {})
            self.done.emit(self.result)
        elif self.state == "failed":
            self.message = str(event.get("message", "The job failed."))
            self.trace = str(event.get("trace", ""))
            self.failed.emit(self.message, str(event.get("hint", "")), list(event.get("fields", [])))
        elif self.state == "stopped":
            self.stopped.emit()
        else:
            self.lost.emit(self._log_tail())
        self.changed.emit()
