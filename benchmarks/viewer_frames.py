"""One painter, one image size, one process: frames of every kind, memory and fidelity as one JSON line.

`python -m benchmarks.viewer_frames PAINTER NYxNX [--frames N]`; benchmarks/viewer.py starts it, on its own display.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import rivals
from benchmarks.stage import Stage, memory_peak, qt_binding, start_memory_peak, summary
from benchmarks.viewer_scene import BLACK, WHITE, area_means, correlation, fit_zoom, micrograph
from benchmarks.x11_count import read_total

VIEW = (1200, 900)
LARGEST_ZOOM = 4.0
PAN_FIT, PAN_FULL = (3, 2), (17, 11)  # device pixels per step
BOXES = 20_000
_SCENARIO_SECONDS, _FEWEST = 5.0, 6  # slow painters get fewer frames
_SHARP_STEPS = 6  # at most

Changes = list[Callable[[], object]]


class Session:
    """The scenarios of one painter."""

    def __init__(self, name: str, shape: tuple[int, int], frames: int, view: tuple[int, int]) -> None:
        self.name, self.shape, self.count, self.view = name, shape, frames, view
        self.fit = fit_zoom(shape, view)
        self.image = micrograph(*shape)
        counter = os.environ.get("VITREOUS_X11_COUNTER", "")
        self.counter = Path(counter) if counter else None
        self.painter: Any = rivals.make(name)
        self.ours = name in rivals.OURS

    def open(self) -> dict[str, Any]:
        """The window and its first frame."""
        without_libraries = start_memory_peak()
        widgets: Any = importlib.import_module(f"{qt_binding()}.QtWidgets")
        application = widgets.QApplication.instance() or widgets.QApplication([])
        self.painter.prepare()
        self.stage = Stage(widgets.QApplication.instance() or application)
        self.base = start_memory_peak()
        self.painter.build(*self.view)
        self.stage.watch(self.painter.target)
        self.stage.settle()
        wall, cpu = self.stage.frame(lambda: self.painter.load(self.image))
        first = self.stage.grab(self.painter.target)
        corner = self.painter.corner()
        self.stage.settle()
        self.first = (first, corner)
        return {
            "view_px": [self.painter.target.width(), self.painter.target.height()],
            "libraries_mb": round(self.base - without_libraries, 1),
            "first_frame": {"wall_ms": round(wall, 1), "cpu_ms": round(cpu, 1)},
        }

    def run(self, changes: Iterable[Callable[[], object]], whole: bool = False) -> dict[str, float]:
        """Frames one after the other; slow painters stop early, except where `whole` needs every step."""
        sent = self._sent()
        frames: list[tuple[float, float]] = []
        end = time.perf_counter() + _SCENARIO_SECONDS
        for change in changes:
            frames.append(self.stage.frame(change))
            if not whole and len(frames) >= _FEWEST and time.perf_counter() > end:
                break
        result = summary(frames)
        if self.counter is not None:
            result["bytes"] = round((self._sent() - sent) / len(frames))
        return result

    def _sent(self) -> int:
        self.stage.sync()
        return read_total(self.counter) if self.counter is not None else 0

    # -- steps ----------------------------------------------------------------------------------------------

    def _at(self, zoom: float) -> None:
        ny, nx = self.shape
        self.painter.show(nx / 2, ny / 2, zoom)
        self.stage.settle()

    def _pans(self, dx: int, dy: int) -> Changes:
        """Three times as many as of the others: they are short, and their mean would be noise."""
        return [lambda: self.painter.pan(-dx, -dy)] * (3 * self.count)

    def _zooms(self) -> Changes:
        """From fit to 4:1 and back, about a point off the middle; no zoom comes twice."""
        ny, nx = self.shape
        up = np.geomspace(self.fit, LARGEST_ZOOM, self.count)
        back = np.geomspace(LARGEST_ZOOM, self.fit, self.count) * 0.98
        return [lambda z=z: self.painter.show(0.55 * nx, 0.45 * ny, float(z)) for z in (*up, *back)]

    def _contrasts(self, first: int = 1) -> Changes:
        steps = np.arange(first, first + self.count) * 0.02
        return [lambda s=s: self.painter.contrast(BLACK + float(s), WHITE - float(s)) for s in steps]

    def frames(self) -> dict[str, Any]:
        """All scenarios that every painter runs."""
        result: dict[str, Any] = {}
        self._at(self.fit)
        result["pan_fit"] = self.run(self._pans(*PAN_FIT))
        self._at(1.0)
        result["pan_full"] = self.run(self._pans(*PAN_FULL))
        self._at(self.fit)
        result["zoom"] = self.run(self._zooms(), whole=True)
        self._at(self.fit)
        result["contrast_fit"] = self.run(self._contrasts())
        self._at(1.0)
        result["contrast_full"] = self.run(self._contrasts(self.count + 1))
        result["memory_mb"] = round(memory_peak() - self.base, 1)
        return result

    def fidelity(self) -> dict[str, float]:
        """Correlation of the fitted view with exact area means: at the end, and in the very first frame."""
        self.painter.contrast(BLACK, WHITE)
        self._at(self.fit)
        if self.ours:
            self.painter.view.reset()
            self.stage.settle()
        exact = area_means(self.image, self.fit)
        last = (self.stage.grab(self.painter.target), self.painter.corner())
        names = ("correlation_first_frame", "correlation")
        shots = zip(names, (self.first, last), strict=True)
        return {name: round(correlation(shot, exact, *corner), 4) for name, (shot, corner) in shots}

    def until_sharp(self) -> dict[str, Any]:
        """What a change costs until nothing more is painted: ours may refine a frame afterwards."""
        result: dict[str, Any] = {}
        ny, nx = self.shape
        count = min(self.count, _SHARP_STEPS)
        for name, zoom in (("contrast_fit", self.fit), ("contrast_full", 1.0)):
            self._at(zoom)
            changes = self._contrasts(2 * self.count + 1)[:count]
            result[name] = summary(self.stage.sharp(change) for change in changes)
        self.painter.view.reset()
        self._at(1.0)
        result["pan_full"] = summary(self.stage.sharp(c) for c in self._pans(*PAN_FULL)[:count])
        zooms = np.geomspace(self.fit, LARGEST_ZOOM, count + 2)[1:-1] * 1.013
        steps: Changes = [lambda z=z: self.painter.show(0.45 * nx, 0.55 * ny, float(z)) for z in zooms]
        result["zoom"] = summary(self.stage.sharp(step) for step in steps)
        return result

    def boxes(self) -> dict[str, Any]:
        """Pans with 20,000 boxes, all of them on the screen and at 1:1."""
        self.painter.mark(BOXES, self.shape)
        result: dict[str, Any] = {}
        for name, zoom, step in (("fit", self.fit, PAN_FIT), ("full", 1.0, PAN_FULL)):
            self._at(zoom)
            result[name] = self.run(self._pans(*step))
        self._at(self.fit)
        result["zoom"] = self.run(self._zooms())
        self.painter.mark(0, self.shape)
        return result


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("painter", choices=rivals.NAMES)
    parser.add_argument("shape", help="NYxNX")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--view", default="x".join(map(str, VIEW)), help="WIDTHxHEIGHT of the picture area")
    parser.add_argument("--only-frames", action="store_true", help="no fidelity, boxes and refinement")
    options = parser.parse_args()
    ny, nx = map(int, options.shape.split("x"))
    width, height = map(int, options.view.split("x"))
    session = Session(options.painter, (ny, nx), options.frames, (width, height))
    result: dict[str, Any] = {"painter": options.painter} | session.open() | session.frames()
    if not options.only_frames:
        result |= session.fidelity()
        if session.ours:
            result |= {"until_sharp": session.until_sharp(), "boxes": session.boxes()}
    print(json.dumps(result), flush=True)
    os._exit(0)  # destructors of drivers and toolkits have nothing to say any more


if __name__ == "__main__":
    main()
