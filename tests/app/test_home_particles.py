"""Picking particles in the window: the run, marks, the live threshold, saving, handing on; other micrographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from app.tabs.home_picking import PICKED_COLOUR
from app.widgets.score_histogram import ScoreHistogram
from core.denoising.baselines import gaussian
from core.images.source import open_source
from core.io.coordinates import read_particles
from core.io.mrc import write_mrc
from core.io.star_write import write_star

DIAMETER = 30
CENTRES = [(50.0 + 55 * i, 45.0 + 55 * j) for i in range(6) for j in range(4)]
LEFT, PLAIN = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two simulated micrographs of 24 dark discs each, and their positions."""
    where = tmp_path / "discs"
    yy, xx = np.mgrid[:260, :380]
    for seed, name in enumerate(("a.mrc", "b.mrc")):
        image = np.random.default_rng(seed).normal(100, 10, (260, 380))
        for x, y in CENTRES:
            image -= 12 / (1 + np.exp(np.hypot(xx - x, yy - y) - DIAMETER / 2))
        write_mrc(where / name, image.astype(np.float32), 2.0)
    names = [n for n in ("a.mrc", "b.mrc") for _ in CENTRES]
    x, y = zip(*CENTRES * 2, strict=True)
    columns = {"rlnMicrographName": names, "rlnCoordinateX": list(x), "rlnCoordinateY": list(y)}
    write_star(where / "truth.star", "particles", columns)
    return where


@pytest.fixture
def home(qtbot, window, folder: Path):
    """Home with the two micrographs open."""
    home = window.home
    home.panel.diameter.set_value(DIAMETER)
    home.open_paths([folder])
    qtbot.waitUntil(lambda: home.view.pyramid is not None and not home.files.reading, timeout=10_000)
    return home


def picked(home) -> np.ndarray:
    """Positions that are drawn as picks."""
    layers = [layer for layer in home.view.layers if layer.colour == PICKED_COLOUR]
    return layers[0].centres if layers and layers[0].visible else np.empty((0, 2))


def run(qtbot, home, **values):
    """Press the buttons a user would press, and wait for the picks."""
    QTest.mouseClick(home.panel.find_button, LEFT, PLAIN, QPoint(5, 5))
    panel = home.picking.panel
    assert panel.isVisible()
    panel.form.set_values(values)
    before = home.picking.found
    QTest.mouseClick(panel.pick_button, LEFT, PLAIN, QPoint(5, 5))
    assert not panel.pick_button.isEnabled()
    qtbot.waitUntil(lambda: home.picking.found is not before, timeout=60_000)
    return panel


def test_picks_appear_follow_the_threshold_and_go_to_forward(
    qtbot, window, home, folder, monkeypatch, tmp_path
) -> None:
    panel = run(qtbot, home, reference=str(folder / "truth.star"))
    assert panel.pick_button.isEnabled()
    marks = picked(home)
    assert len(marks) == len(CENTRES)
    assert np.linalg.norm(marks[:, None] - np.array(CENTRES)[None], axis=2).min(axis=1).max() < 4
    assert "48 picks on 2 micrographs, 24 on this one" in panel.counts.text()
    assert "precision 1.000, recall 1.000" in panel.figures.text()
    automatic = home.picking.threshold

    runs = len(window.session.workers)
    histogram = panel.histogram
    x = histogram.x_of(float(np.median(home.picking.found.picks[home.shown].score[:24])))
    QTest.mouseClick(histogram, LEFT, PLAIN, QPoint(round(x), 30))
    assert 4 < len(picked(home)) < 20
    assert panel.threshold.value() == pytest.approx(home.picking.threshold, abs=0.01)
    assert "recall 1.000" not in panel.figures.text()
    fewer = len(picked(home))
    QTest.keyClick(histogram, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert len(picked(home)) > fewer
    qtbot.keyClick(home.view.canvas, Qt.Key.Key_X)
    assert len(picked(home)) == 0
    qtbot.keyClick(home.view.canvas, Qt.Key.Key_X)
    qtbot.keyClick(home.view.canvas, Qt.Key.Key_N)
    qtbot.waitUntil(lambda: home.view.pyramid.name == "b.mrc" and len(picked(home)) > 0, timeout=10_000)
    assert len(window.session.workers) == runs  # the threshold is live: nothing ran again
    QTest.mouseClick(panel.automatic, LEFT, PLAIN, QPoint(5, 5))
    assert home.picking.threshold == automatic

    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "mine"), ""))
    QTest.mouseClick(panel.save_button, LEFT, PLAIN, QPoint(5, 5))
    qtbot.waitUntil(lambda: (tmp_path / "mine.star").exists(), timeout=5000)
    saved = read_particles(tmp_path / "mine.star")
    assert {name: len(xy) for name, xy in saved.items()} == {"a.mrc": 24, "b.mrc": 24}

    QTest.mouseClick(panel.forward_button, LEFT, PLAIN, QPoint(5, 5))
    qtbot.waitUntil(lambda: window.rooms.currentIndex() == 1, timeout=10_000)
    handed = window.page("forward").form.raw("particles")
    assert handed == str(home.files.particles_path)
    assert Path(handed).name == "picks.star"
    assert len(home.files.particles[home.shown]) == 24
    assert len(picked(home)) == 0  # they are the particles now
    home.picking.set_threshold(automatic)
    assert len(picked(home)) == 24


def test_denoised_micrographs_are_found_and_searched(qtbot, home, folder: Path) -> None:
    project = home.session.project_dir(home.files.given[0]) / "denoised"
    for path in home.files.files:
        write_mrc(project / path.name, gaussian(open_source(path).read(0), 12.0, 2.0), 2.0)
    panel = run(qtbot, home)
    assert panel.form.raw("denoised") == str(project)
    assert home.jobs.worker.result["searched"] == "denoised"
    assert len(picked(home)) == len(CENTRES)
    home.open_paths([folder / "a.mrc"])
    qtbot.waitUntil(lambda: len(home.files.files) == 1, timeout=10_000)
    assert home.picking.found is None
    assert not panel.save_button.isEnabled()
    assert len(picked(home)) == 0


def test_a_run_of_before_is_offered_and_wrong_settings_are_marked(qtbot, home) -> None:
    panel = run(qtbot, home, template="ring")
    QTest.mouseClick(panel.close_button, LEFT, PLAIN, QPoint(5, 5))
    home.picking.forget()
    home.session.replay(home.jobs.worker)
    qtbot.waitUntil(lambda: home.jobs.banner.next.isVisible(), timeout=10_000)
    assert home.picking.found is None
    assert home.jobs.banner.next.text() == "Show these picks"
    QTest.mouseClick(home.jobs.banner.next, LEFT, PLAIN, QPoint(5, 5))
    qtbot.waitUntil(lambda: home.picking.found is not None, timeout=10_000)
    assert len(picked(home)) == len(CENTRES)
    assert panel.isVisible()
    panel.form.set_values({"template": "class"})
    QTest.mouseClick(panel.pick_button, LEFT, PLAIN, QPoint(5, 5))
    qtbot.waitUntil(lambda: home.jobs.worker.state == "failed", timeout=60_000)
    qtbot.waitUntil(panel.pick_button.isEnabled, timeout=5000)
    assert "needs" in home.jobs.banner.text.text()


def test_the_histogram_maps_scores_to_places_and_back(qtbot) -> None:
    histogram = ScoreHistogram()
    qtbot.addWidget(histogram)
    histogram.resize(400, 150)
    histogram.set_histogram(np.linspace(1, 9, 41), np.arange(40))
    histogram.show()
    for score in (1.0, 3.3, 9.0):
        assert histogram.score_at(histogram.x_of(score)) == pytest.approx(score)
    assert histogram.score_at(-50) == 1.0
    heard: list[float] = []
    histogram.threshold_changed.connect(heard.append)
    QTest.mouseClick(histogram, LEFT, PLAIN, QPoint(200, 20))
    assert heard == []  # there is no threshold to move
    histogram.set_threshold(4.0)
    assert heard == []
    QTest.mouseClick(histogram, LEFT, PLAIN, QPoint(200, 20))
    assert heard == [histogram.threshold] == [pytest.approx(5.0, abs=0.05)]
    picture = histogram.grab().toImage()
    ratio = histogram.devicePixelRatioF()
    right, left = (picture.pixelColor(round(histogram.x_of(s) * ratio), round(120 * ratio)) for s in (8.5, 4.5))
    assert right != left
