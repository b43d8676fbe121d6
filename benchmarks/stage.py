"""A window on a stage: asks for a change, waits for the new frame, and counts time. For PySide6 and PyQt6."""

from __future__ import annotations

import importlib
import importlib.util
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

_FRAME_SECONDS = 60.0
_MB = 1 << 20


def qt_binding() -> str:
    """The binding that is installed here; napari's environment may have another than ours."""
    for name in ("PySide6", "PyQt6"):
        if importlib.util.find_spec(name) is not None:
            return name
    raise RuntimeError("neither PySide6 nor PyQt6 is installed here")


class Stage:
    """One application and the widget whose frames are counted."""

    def __init__(self, application: Any) -> None:
        binding = qt_binding()
        self.core: Any = importlib.import_module(f"{binding}.QtCore")
        self.gui: Any = importlib.import_module(f"{binding}.QtGui")
        self.application = application
        self.frames = 0
        self._kept: list[Any] = []
        self._guard = self.core.QTimer()  # wakes the loop up when nothing else does
        self._guard.setInterval(10)

    def watch(self, widget: Any) -> None:
        """Count the frames of this widget: swaps of an OpenGL widget, paint events of others."""
        if hasattr(widget, "frameSwapped"):
            widget.frameSwapped.connect(self._count)
            return
        stage, paint = self, self.core.QEvent.Type.Paint

        class Watcher(self.core.QObject):
            def eventFilter(self, watched: Any, event: Any) -> bool:
                if event.type() == paint:
                    stage.frames += 1
                return False

        watcher = Watcher()
        widget.installEventFilter(watcher)
        self._kept.append(watcher)

    def _count(self) -> None:
        self.frames += 1

    def turn(self) -> None:
        """One turn of the event loop; waits for an event, without burning the processor."""
        flags = self.core.QEventLoop.ProcessEventsFlag
        self._guard.start()
        self.application.processEvents(flags.AllEvents | flags.WaitForMoreEvents)
        self._guard.stop()

    def sync(self) -> None:
        """Wait until the window system has done everything."""
        self.gui.QGuiApplication.sync()

    def frame(self, change: Callable[[], object]) -> tuple[float, float]:
        """(wall, CPU) milliseconds of this process from the request until the new frame is on the screen."""
        before, cpu, start = self.frames, time.process_time(), time.perf_counter()
        change()
        while self.frames == before:
            self.turn()
            if time.perf_counter() - start > _FRAME_SECONDS:
                raise RuntimeError(f"no new frame within {_FRAME_SECONDS:.0f} s")
        self.sync()
        return ((time.perf_counter() - start) * 1e3, (time.process_time() - cpu) * 1e3)

    def settle(self, quiet: float = 0.15, most: float = 30.0) -> tuple[float, float]:
        """Run the event loop until nothing was painted for `quiet` seconds.

        Returns (perf_counter, process_time) at the end of the last frame.
        """
        start, known = time.perf_counter(), self.frames
        last, cpu = start, time.process_time()
        while True:
            self.turn()
            now = time.perf_counter()
            if self.frames != known:
                self.sync()
                known, last, cpu = self.frames, time.perf_counter(), time.process_time()
            if now - last > quiet or now - start > most:
                return last, cpu

    def sharp(self, change: Callable[[], object]) -> tuple[float, float]:
        """(wall, CPU) milliseconds until the last frame that the change causes."""
        cpu, start = time.process_time(), time.perf_counter()
        self.frame(change)
        last, spent = self.settle()
        return ((last - start) * 1e3, (spent - cpu) * 1e3)

    def grab(self, widget: Any) -> np.ndarray:
        """uint8 grey (height, width): what the screen shows where `widget` is."""
        top = widget.window()
        shot = top.screen().grabWindow(int(top.winId())).toImage()
        corner = widget.mapTo(top, self.core.QPoint(0, 0))
        shot = shot.copy(self.core.QRect(corner, widget.size()))
        grey = shot.convertToFormat(self.gui.QImage.Format.Format_Grayscale8)
        bits = grey.constBits()
        if hasattr(bits, "setsize"):
            bits.setsize(grey.sizeInBytes())
        rows = np.frombuffer(bits, np.uint8).reshape(grey.height(), grey.bytesPerLine())
        return rows[:, : grey.width()].copy()


def summary(frames: Iterable[tuple[float, float]]) -> dict[str, float]:
    """Median and 95th percentile of the wall time, mean, median and 95th percentile of the CPU time, all ms."""
    pairs = list(frames)
    walls, cpus = sorted(w for w, _ in pairs), sorted(c for _, c in pairs)
    high = max(0, math.ceil(0.95 * len(pairs)) - 1)
    return {
        "wall_ms": round(statistics.median(walls), 2),
        "wall_p95_ms": round(walls[high], 2),
        "cpu_ms": round(statistics.fmean(cpus), 2),
        "cpu_median_ms": round(statistics.median(cpus), 2),
        "cpu_p95_ms": round(cpus[high], 2),
        "frames": len(pairs),
    }


def start_memory_peak() -> float:
    """Forget the peak so far; resident MB now. Linux only, elsewhere nan."""
    if sys.platform != "linux":
        return math.nan
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def memory_peak() -> float:
    """Highest resident MB since `start_memory_peak`."""
    return _status("VmHWM") if sys.platform == "linux" else math.nan


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / _MB
