"""The benchmark of the viewer: its picture and reference, byte counter, judgement, and a quick run of all of it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import viewer, viewer_targets, virtual_display, x11_count
from benchmarks.stage import summary
from benchmarks.viewer_scene import MEAN, NOISE, area_means, correlation, fit_zoom, micrograph

ROOT = Path(__file__).resolve().parents[1]


def test_the_picture_is_the_same_every_time_and_says_little_per_pixel() -> None:
    image = micrograph(700, 900)
    assert image.dtype == np.float32
    assert image.shape == (700, 900)
    assert np.array_equal(image, micrograph(700, 900))
    assert image.mean() == pytest.approx(MEAN, abs=0.3)
    assert image.std() == pytest.approx(NOISE, rel=0.05)


@pytest.mark.parametrize("zoom", [0.11, 0.37, 0.5, 1.0])
def test_area_means_are_those_of_every_covered_pixel_by_its_part(zoom: float) -> None:
    image = micrograph(180, 230)
    exact = area_means(image, zoom)
    assert exact.shape == (round(180 * zoom), round(230 * zoom))
    for row, column in ((0, 0), (exact.shape[0] // 2, exact.shape[1] // 3), (exact.shape[0] - 1, exact.shape[1] - 1)):
        parts = []
        for place, side in ((row, 180), (column, 230)):
            first, last = place / zoom, min((place + 1) / zoom, side)
            pixels = np.arange(side)
            parts.append(np.clip(np.minimum(pixels + 1, last) - np.maximum(pixels, first), 0, None))
        weights = np.outer(*parts)
        assert exact[row, column] == pytest.approx((weights * image).sum() / weights.sum(), rel=1e-6)


def test_correlation_knows_the_right_picture_at_its_place_and_picked_pixels() -> None:
    image = micrograph(1800, 1800)
    zoom = fit_zoom((1800, 1800), (300, 225))
    exact = area_means(image, zoom)
    shown = np.full((225, 300), 7.0)
    left = (300 - exact.shape[1]) // 2
    shown[:, left : left + exact.shape[1]] = exact
    assert correlation(shown, exact, left, 0) == pytest.approx(1.0)
    assert correlation(shown, exact, left + 1, 0) == pytest.approx(1.0)
    picked = image[:: round(1 / zoom), :: round(1 / zoom)]
    assert correlation(picked, exact, 0, 0) < 0.6


def test_the_counter_passes_everything_on_and_counts_what_the_program_sends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform != "linux":
        pytest.skip("unix sockets")
    monkeypatch.setattr(x11_count, "SOCKETS", tmp_path)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "X5"))
    server.listen(1)
    received = bytearray()

    def answer() -> None:
        connection, _ = server.accept()
        while len(received) < 300_000:
            received.extend(connection.recv(1 << 16))
        connection.sendall(b"understood")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    file = tmp_path / "total"
    counter = x11_count.ByteCounter(5, file)
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(tmp_path / f"X{counter.number}"))
    client.sendall(bytes(range(250)) * 1200)
    assert client.recv(100) == b"understood"
    assert x11_count.read_total(file) == 300_000 == len(received)
    assert bytes(received) == bytes(range(250)) * 1200
    client.close()
    counter.close()
    assert not (tmp_path / f"X{counter.number}").exists()
    thread.join(5)
    server.close()


def test_summaries_and_rounds_keep_the_least_disturbed_times_and_the_largest_memory() -> None:
    found = summary([(float(n), 1.0) for n in range(1, 21)])
    assert (found["wall_ms"], found["wall_p95_ms"], found["cpu_ms"], found["frames"]) == (10.5, 19.0, 1.0, 20)
    quiet = {"painter": "raster", "zoom": summary([(2.0, 1.0)]), "memory_mb": 10.0, "correlation": 0.99}
    busy = {"painter": "raster", "zoom": summary([(9.0, 3.0)]), "memory_mb": 12.0}
    result = viewer.merged([quiet, busy, {"error": "lost"}])
    assert (result["zoom"]["wall_ms"], result["zoom"]["cpu_ms"], result["memory_mb"]) == (2.0, 1.0, 12.0)
    assert result["failed_rounds"] == ["lost"]
    assert viewer.merged([{"error": "lost"}]) == {"error": "lost"}


def _painter(cpu_ms: float, memory_mb: float) -> dict[str, Any]:
    frame = dict.fromkeys(("wall_ms", "wall_p95_ms", "cpu_ms", "cpu_median_ms", "cpu_p95_ms"), cpu_ms)
    frames = {scenario: dict(frame) for scenario in viewer_targets.SCENARIOS}
    return {**frames, "memory_mb": memory_mb, "libraries_mb": 10.0, "correlation": 0.99}


def _figures(painters: dict[str, Any]) -> dict[str, Any]:
    plan = {"main": "8192x8192", "large": "11520x8184", "opening": ["4096", "8192"]}
    machine = {"cpu": "a", "cores": 2, "load": [], "load_after": []}
    return {"plan": plan, "frames": {"8192x8192": painters}, "machine": machine, "seconds": 1.0}


def test_targets_pass_miss_or_say_that_nothing_was_measured() -> None:
    figures = _figures({"raster": _painter(4.0, 80.0), "pyqtgraph_plot": _painter(40.0, 190.0)})
    rows = {row["figure"]: row for row in viewer_targets.judge(figures)}
    contrast = rows["contrast at fit, times faster than pyqtgraph ImageItem"]
    assert (contrast["value"], contrast["verdict"]) == (10.0, "pass")
    assert rows["memory over the image, part of pyqtgraph's"]["value"] == 0.45
    assert rows["contrast at fit, times faster than napari"]["verdict"] == "not measured"
    figures["frames"]["8192x8192"]["raster"] = _painter(6.0, 80.0)
    rows = {row["figure"]: row for row in viewer_targets.judge(figures)}
    assert rows["contrast at fit, times faster than pyqtgraph ImageItem"]["verdict"] == "miss"
    assert rows["pan at fit, CPU per frame"]["verdict"] == "miss"
    figures["targets"] = list(rows.values())
    assert "miss" in viewer_targets.text(figures)


def test_failed_and_missing_rivals_are_told_not_fatal() -> None:
    figures = _figures(
        {"raster": _painter(4.0, 80.0), "napari": {"skipped": "no napari"}, "pixmap": {"error": "crash"}}
    )
    figures["targets"] = viewer_targets.judge(figures)
    text = viewer_targets.text(figures)
    assert "no napari" in text
    assert "crash" in text


def test_without_a_virtual_display_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(virtual_display.shutil, "which", lambda _: None)
    assert viewer.main(["--json"]) == 1
    assert "xvfb" in capsys.readouterr().err.lower()
    assert "error" in viewer.measure()


def test_a_quick_run_measures_every_part() -> None:
    missing = virtual_display.missing()
    if missing:
        pytest.skip(missing)
    command = [sys.executable, "-m", "benchmarks.viewer", "--quick", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    figures = json.loads(done.stdout)
    painters = figures["frames"]["2048x2048"]
    assert set(painters) == {"raster", "pyqtgraph_plot"}
    for found in (*painters.values(), *figures["x11"].values(), *figures["opening"].values(), figures["browsing"]):
        assert "error" not in found, found
    assert painters["raster"]["view_px"] == [1200, 900]
    assert painters["raster"]["correlation"] > 0.95
    assert painters["pyqtgraph_plot"]["correlation"] < 0.5
    assert figures["x11"]["pyqtgraph_plot"]["pan_fit"]["bytes"] > 1_000_000
    assert figures["browsing"]["right_file"]
    assert figures["browsing"]["late_images"] == 0
    assert {row["verdict"] for row in figures["targets"]} <= {"pass", "miss", "not measured"}
