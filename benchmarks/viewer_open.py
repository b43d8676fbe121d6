"""From the choice of a file to its first pixels on the screen, and until it is sharp: real files on a warm disk.

`python -m benchmarks.viewer_open SIDE COUNT FOLDER`; benchmarks/viewer.py starts it, on a display of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtWidgets import QApplication

from app.viewer.image_view import ImageView
from benchmarks.stage import Stage
from benchmarks.viewer_scene import area_means, correlation, fit_zoom, micrograph
from core.images.cache import ImageCache
from core.images.pyramid import Pyramid, build_pyramid
from core.images.source import open_source
from core.io.mrc import write_mrc
from workers.image_loader import ImageLoader

VIEW = (1200, 900)
_SECONDS = 60.0


def make_files(folder: Path, side: int, count: int) -> tuple[list[Path], np.ndarray]:
    """float32 .mrc files, each shifted against the one before; read once, so that the disk is warm. And the first."""
    image = micrograph(side, side)
    paths = [folder / f"m{side}_{number:02d}.mrc" for number in range(count)]
    for number, path in enumerate(paths):
        write_mrc(path, np.roll(image, 97 * number, axis=0), 1.0)
    for path in paths:
        path.read_bytes()
    return paths, image


class Opening:
    """Shows files through a loader, as the tabs do, and notes when what was on the screen."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.view = ImageView(painter="raster")
        self.view.resize(*VIEW)
        self.view.show()
        self.view.resize(2 * VIEW[0] - self.view.canvas.width(), 2 * VIEW[1] - self.view.canvas.height())
        stage.watch(self.view.canvas.surface)
        self.loader = ImageLoader(ImageCache())
        self.loader.loaded.connect(self._on_loaded)
        self.loader.failed.connect(self._on_failed)
        self.loader.previewed.connect(self._show)
        self._shown_at_frame: int | None = None
        self._loaded: float | None = None
        self.error = ""

    def _show(self, _: int, pyramid: Pyramid) -> None:
        if self._shown_at_frame is None:
            self._shown_at_frame = self.stage.frames
        self.view.set_pyramid(pyramid)

    def _on_loaded(self, ticket: int, pyramid: Pyramid) -> None:
        self._show(ticket, pyramid)
        self._loaded = time.perf_counter()

    def _on_failed(self, _: int, error: Exception) -> None:
        self.error = str(error)

    def measure_file(self, path: Path, look: bool = False) -> dict[str, Any]:
        """Milliseconds to the first frame with pixels of this file, to the whole pyramid, and to the last frame."""
        self._shown_at_frame = self._loaded = None
        first: float | None = None
        shot: np.ndarray | None = None
        cpu, start = time.process_time(), time.perf_counter()
        self.loader.request(path)
        while self._loaded is None or first is None:
            self.stage.turn()
            if first is None and self._shown_at_frame is not None and self.stage.frames > self._shown_at_frame:
                self.stage.sync()
                first = time.perf_counter()
                shot = self.stage.grab(self.view.canvas) if look else None
            if self.error or time.perf_counter() - start > _SECONDS:
                raise RuntimeError(self.error or f"{path.name} was not shown within {_SECONDS:.0f} s")
        last, spent = self.stage.settle()
        return {
            "first_ms": (first - start) * 1e3,
            "loaded_ms": (self._loaded - start) * 1e3,
            "sharp_ms": (max(last, first) - start) * 1e3,
            "cpu_s": spent - cpu,
            "shot": shot,
            "corner": self.view.model.origin,
        }


def pyramid_seconds(path: Path) -> float:
    """CPU seconds for the whole pyramid of a file: reading, conversion, all levels and their statistics."""
    start = time.process_time()
    source = open_source(path)
    build_pyramid(source.read(0), source.pixel_size_a, path.name)
    return time.process_time() - start


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    paths, image = make_files(options.folder, options.side, options.count)
    application = QApplication([])
    opening = Opening(Stage(application))
    opening.stage.settle()
    looked = opening.measure_file(paths[0], look=True)  # imports and the look at the screen count here, and only here
    exact = area_means(image, fit_zoom(image.shape, VIEW))
    files = [opening.measure_file(path) for path in paths[1:]]
    opening.loader.stop()

    def median(key: str) -> float:
        return statistics.median(file[key] for file in files)

    result = {
        "files": len(files),
        "first_ms": round(median("first_ms"), 1),
        "first_ms_longest": round(max(file["first_ms"] for file in files), 1),
        "loaded_ms": round(median("loaded_ms"), 1),
        "sharp_ms": round(median("sharp_ms"), 1),
        "select_to_sharp_cpu_s": round(median("cpu_s"), 3),
        "full_pyramid_cpu_s": round(statistics.median(pyramid_seconds(path) for path in paths[:3]), 3),
        "first_frame_correlation": round(correlation(looked["shot"], exact, *looked["corner"]), 4),
    }
    print(json.dumps(result), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
