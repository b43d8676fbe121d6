"""Memory, event-loop gaps and fidelity of the viewer; prints JSON. Measures, judges nothing.

QT_QPA_PLATFORM=offscreen python -m benchmarks.viewer_memory [--images 30] [--side 4096] [--budget-mb 1024]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PySide6.QtCore import QElapsedTimer, QEventLoop, QTimer
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from app.viewer.image_view import ImageView
from core.images.cache import ImageCache
from core.images.pyramid import Pyramid
from core.io.mrc import write_mrc
from workers.image_loader import ImageLoader

MB = 1 << 20


class GapMeter:
    """Longest time between two turns of the event loop, by a timer that asks for every turn."""

    def __init__(self) -> None:
        self.gaps_ms: list[float] = []
        self._clock = QElapsedTimer()
        self._timer = QTimer()
        self._timer.timeout.connect(self._tick)
        self._clock.start()
        self._timer.start(1)

    def _tick(self) -> None:
        self.gaps_ms.append(self._clock.nsecsElapsed() / 1e6)
        self._clock.restart()

    def reset(self) -> None:
        """Start anew."""
        self.gaps_ms.clear()
        self._clock.restart()


def rss_mb() -> float:
    """Resident memory of this process."""
    return psutil.Process().memory_info().rss / MB


def make_images(folder: Path, count: int, side: int) -> list[Path]:
    """`count` float32 noise micrographs with discs, each a few values different."""
    rng = np.random.default_rng(0)
    image = rng.standard_normal((side, side), dtype=np.float32)
    paths = []
    for number in range(count):
        path = folder / f"m{number:03d}.mrc"
        write_mrc(path, np.roll(image, 17 * number, axis=0), 1.0)
        paths.append(path)
    return paths


def show(loader: ImageLoader, view: ImageView, path: Path) -> tuple[float, Pyramid]:
    """Load one file and show it; seconds until it was handed to the view."""
    got: list[object] = []
    loop = QEventLoop()

    def arrived(_ticket: int, value: object) -> None:
        got.append(value)
        loop.quit()

    start = time.perf_counter()
    loader.loaded.connect(arrived)
    loader.failed.connect(arrived)
    loader.request(path)
    loop.exec()
    loader.loaded.disconnect(arrived)
    loader.failed.disconnect(arrived)
    pyramid = got[0]
    if not isinstance(pyramid, Pyramid):
        sys.exit(str(pyramid))
    view.set_pyramid(pyramid)
    return time.perf_counter() - start, pyramid


def settle(seconds: float) -> None:
    """Let the event loop turn."""
    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()


def fit_correlation(view: ImageView, image: np.ndarray) -> float:
    """Correlation of the fitted view with exact area means (integral image), without the scale bar."""
    view.fit()
    picture = view.grab_image().convertToFormat(QImage.Format.Format_Grayscale8)
    rows = np.frombuffer(picture.constBits(), np.uint8).reshape(picture.height(), picture.bytesPerLine())
    left, top = view.model.origin
    zoom, (ny, nx) = view.model.zoom, image.shape
    height, width = math.ceil(ny * zoom - 1e-6), math.ceil(nx * zoom - 1e-6)
    shown = rows[max(top, 0) : top + height, max(left, 0) : left + width].astype(float)
    sums = np.pad(image.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    for axis, (count, size) in enumerate(((shown.shape[0], ny), (shown.shape[1], nx))):
        edges = np.minimum(np.arange(count + 1) / zoom, size)
        low = np.minimum(edges.astype(int), size - 1)
        part = (edges - low).reshape((-1, 1) if axis == 0 else (1, -1))
        sums = np.take(sums, low, axis) * (1 - part) + np.take(sums, low + 1, axis) * part
    exact = np.diff(np.diff(sums, axis=0), axis=1)
    inner = (slice(20, -80), slice(20, -20))
    return float(np.corrcoef(shown[inner].ravel(), exact[inner].ravel())[0, 1])


def interaction_ms(view: ImageView) -> dict[str, float]:
    """Median milliseconds of a repaint after one step, and until everything is sharp after a zoom step."""

    def median(step, count: int = 15) -> float:
        times = []
        for number in range(count):
            step(number)
            start = time.perf_counter()
            view.canvas.repaint()
            times.append((time.perf_counter() - start) * 1e3)
        return round(float(np.median(times)), 2)

    view.fit()
    settle(0.3)
    levels = [(-1.0 + 0.01 * k, 1.0) for k in range(30)]
    result = {
        "contrast_fit": median(lambda k: view._on_levels_edited(*levels[k])),
        "zoom": median(lambda k: view.model.zoom_at(1.25 if k < 8 else 0.8, 400, 300)),
    }
    view.one_to_one()
    settle(0.3)
    result["pan_1_1"] = median(lambda k: view.model.pan(17, 11))
    return result


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--budget-mb", type=int, default=1024)
    parser.add_argument("--folder", type=Path, default=None, help="where to write the images (default: temporary)")
    options = parser.parse_args()
    application = QApplication(sys.argv[:1])
    view = ImageView()
    view.resize(1280, 800)
    view.show()
    cache = ImageCache(options.budget_mb * MB)
    loader = ImageLoader(cache)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        paths = make_images(Path(folder), options.images, options.side)
        settle(0.5)
        base = rss_mb()
        meter = GapMeter()
        seconds, rss = [], []
        for path in paths:
            spent, _ = show(loader, view, path)
            settle(0.05)
            seconds.append(spent)
            rss.append(rss_mb() - base)
        gaps = sorted(meter.gaps_ms)
        meter._timer.stop()
        _, pyramid = show(loader, view, paths[0])
        report = {
            "images": options.images,
            "side": options.side,
            "budget_mb": options.budget_mb,
            "image_mb": round(pyramid.nbytes / MB, 1),
            "rss_growth_mb_max": round(max(rss), 1),
            "rss_growth_mb_last": round(rss[-1], 1),
            "rss_over_budget_mb": round(max(rss) - options.budget_mb, 1),
            "cache_mb": round(cache.stats().used_bytes / MB, 1),
            "load_s_median": round(float(np.median(seconds)), 3),
            "gap_ms_max": round(gaps[-1], 1),
            "gap_ms_p99": round(gaps[int(len(gaps) * 0.99)], 1),
            "gaps_over_50_ms": sum(gap > 50 for gap in gaps),
            "turns": len(gaps),
            "fit_zoom": round(view.model.fit_zoom, 4),
            "fit_correlation": round(fit_correlation(view, pyramid.levels[0]), 4),
            "paint_ms": interaction_ms(view),
            "platform": application.platformName(),
        }
    loader.stop()
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
