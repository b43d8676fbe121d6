"""Fast next and previous keys over many micrographs in the real window: right file, no late image, memory.

`python -m benchmarks.viewer_browse FILES SIDE PRESSES FOLDER`; benchmarks/viewer.py starts it, off-screen.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.session import Session
from app.startup import make_application
from app.window import MainWindow
from benchmarks.stage import Stage, memory_peak, start_memory_peak

ALLOWANCE_MB = 256  # over the cache's budget: one image being read, tiles on the screen, the window's own
_SECONDS = 60.0


def make_files(folder: Path, count: int, side: int) -> list[Path]:
    """int8 micrographs, each shifted against the one before: small on the disk, 5/4 x 4 times larger in memory."""
    rng = np.random.default_rng(0)
    image = rng.integers(-90, 90, (side, side), dtype=np.int8)
    paths = [folder / f"mic_{number:03d}.mrc" for number in range(count)]
    for number, path in enumerate(paths):
        with mrcfile.new(path) as file:
            file.set_data(np.roll(image, 131 * number, axis=1))
            file.voxel_size = 1.0
    return paths


class Browsing:
    """Presses keys and looks after each whether the picture belongs to the file that is selected."""

    def __init__(self, window: MainWindow, stage: Stage) -> None:
        self.home, self.stage = window.home, stage
        self.late: list[str] = []
        self._seen: Any = None
        self.answer_ms: list[float] = []

    def selected(self) -> Path:
        """The file whose row is selected."""
        path = self.home.panel.list.current()
        if path is None:
            raise RuntimeError("no file is selected")
        return path

    def press(self, key: Qt.Key, pause: float) -> None:
        """One key press, then the event loop for `pause` seconds."""
        start = time.perf_counter()
        QTest.keyClick(self.home.view.canvas, key)
        self.stage.application.processEvents()
        self.answer_ms.append((time.perf_counter() - start) * 1e3)
        while time.perf_counter() - start < pause:
            self.stage.turn()
        self.look()

    def look(self) -> None:
        """A picture that appeared since the last look must be the selected file's: no key came in between."""
        pyramid = self.home.view.pyramid
        if pyramid is not None and pyramid is not self._seen and pyramid.name != self.selected().name:
            self.late.append(f"{pyramid.name} while {self.selected().name} was selected")
        self._seen = pyramid

    def wait_for(self, path: Path) -> None:
        """Until this file's picture is there."""
        end = time.perf_counter() + _SECONDS
        while self.home.view.pyramid is None or self.home.view.pyramid.name != path.name:
            self.stage.turn()
            self.look()
            if time.perf_counter() > end:
                raise RuntimeError(f"{path.name} was not shown within {_SECONDS:.0f} s")


def browse(browsing: Browsing, paths: list[Path], presses: int) -> Path:
    """Presses with pauses from none to longer than a file takes; the file that must be shown at the end."""
    rng = random.Random(0)
    row, pressed = 0, 0
    while pressed < presses:
        step = rng.choice((1, 1, -1))
        for _ in range(min(rng.randint(1, 25), presses - pressed)):
            pause = rng.choice((0.0, 0.0, 0.002, 0.01, 0.03, 0.1))
            browsing.press(Qt.Key.Key_N if step > 0 else Qt.Key.Key_P, pause)
            row = min(max(row + step, 0), len(paths) - 1)
            pressed += 1
    return paths[row]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("files", "side", "presses"):
        parser.add_argument(name, type=int)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    paths = make_files(options.folder, options.files, options.side)
    session = Session()
    application = make_application(session.settings.theme)
    window = MainWindow(session)
    window.resize(1500, 1000)
    window.show()
    window.activateWindow()
    stage = Stage(application)
    stage.watch(window.home.view.canvas.surface)
    stage.settle(0.5)
    base = start_memory_peak()
    window.home.open_paths([options.folder])
    browsing = Browsing(window, stage)
    end = time.perf_counter() + _SECONDS
    while window.home.panel.list.current() is None and time.perf_counter() < end:
        stage.turn()
    browsing.wait_for(paths[0])
    window.home.view.canvas.setFocus()
    start = time.perf_counter()
    expected = browse(browsing, paths, options.presses)
    seconds = time.perf_counter() - start
    browsing.wait_for(expected)
    stage.settle(0.5)
    browsing.look()
    growth = memory_peak() - base
    budget = session.cache.stats().budget_bytes / 2**20
    shown = window.home.view.pyramid
    result = {
        "files": options.files,
        "side": options.side,
        "presses": options.presses,
        "seconds": round(seconds, 1),
        "right_file": browsing.selected() == expected and shown is not None and shown.name == expected.name,
        "late_images": len(browsing.late),
        "late_examples": browsing.late[:3],
        "key_ms_median": round(statistics.median(browsing.answer_ms), 2),
        "key_ms_longest": round(max(browsing.answer_ms), 1),
        "memory_growth_mb": round(growth),
        "cache_budget_mb": round(budget),
        "allowance_mb": ALLOWANCE_MB,
        "within_budget": growth <= budget + ALLOWANCE_MB,
    }
    window.close()
    print(json.dumps(result), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
