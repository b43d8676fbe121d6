"""Loading positions on Home: a window that stays alive, progress and cancel, bad rows, an inverted Y."""

from __future__ import annotations

import gzip
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMessageBox

from app.tabs.home_reading import kept_in
from core.io.coordinates import read_particles
from core.io.mrc import write_mrc
from core.io.star_write import Texts, write_star

DEMO = Path(__file__).resolve().parents[2] / "resources/demo"
LEFT = Qt.MouseButton.LeftButton


class Turns:
    """How often the event loop turns: hardly ever while something blocks it."""

    def __init__(self) -> None:
        self.count = 0
        self._timer = QTimer(interval=1)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        self.count += 1


def large_star(path: Path, names: list[str], rows: int) -> Path:
    """A table of particles as a refinement writes it, with columns that nobody needs here."""
    rng = np.random.default_rng(0)
    which = np.sort(np.arange(rows) % len(names))
    columns = {
        "rlnImageName": Texts([f"Extract/job3/{n}s" for n in names], which, np.arange(rows) % 500 + 1),
        "rlnMicrographName": Texts(names, which),
        "rlnCoordinateX": rng.uniform(0, 300, rows),
        "rlnCoordinateY": rng.uniform(0, 200, rows),
    }
    write_star(path, "particles", columns | {f"rlnOther{i}": rng.normal(0, 1, rows) for i in range(8)})
    return path


def opened(qtbot, window, folder: Path):
    home = window.home
    home.open_paths([folder])
    qtbot.waitUntil(lambda: home.view.pyramid is not None and not home.files.reading, timeout=10_000)
    return home


def box_of(qtbot, home) -> QMessageBox:
    qtbot.waitUntil(lambda: any(b.isVisible() for b in home.findChildren(QMessageBox)), timeout=10_000)
    return next(b for b in home.findChildren(QMessageBox) if b.isVisible())


def press(box: QMessageBox, text: str) -> None:
    QTest.mouseClick(next(b for b in box.buttons() if b.text() == text), LEFT)


def test_a_large_file_is_read_with_progress_while_the_window_lives(qtbot, window, micrographs):
    home = opened(qtbot, window, micrographs)
    names = ["a.mrc", "b.mrc", "c.mrc", *(f"other_{i}.mrc" for i in range(297))]
    star = large_star(micrographs / "large.star", names, 60_000)
    seen: list[tuple[str, int]] = []
    home.files.progress.connect(lambda *_: seen.append((home.loading.text.text(), home.loading.bar.value())))
    turns = Turns()
    home.files.open([star], as_noise=False)
    qtbot.waitUntil(lambda: home.files.particles_path == star, timeout=30_000)
    assert turns.count > 20  # benchmarks/star.py measures the gaps
    assert len(seen) >= 2
    assert any(text.startswith("Reading positions…") and 0 < value < 1000 for text, value in seen)
    assert home.loading.isHidden()
    assert home.panel.particle_total.text() == "600 from large.star"


@pytest.mark.parametrize("how", ["button", "escape"])
def test_cancel_ends_the_reading_at_once_and_leaves_everything_as_it_was(qtbot, window, micrographs, how):
    home = opened(qtbot, window, micrographs)
    home.files.open([micrographs / "particles.star"], as_noise=False)
    qtbot.waitUntil(lambda: home.files.particles_path is not None)
    star = large_star(micrographs / "large.star", ["a.mrc"], 200_000)
    home.files.open([star], as_noise=False)
    qtbot.waitUntil(home.loading.isVisible, timeout=10_000)
    begun = time.monotonic()
    if how == "button":
        QTest.mouseClick(home.loading.cancel_button, LEFT)
    else:
        home.view.setFocus()
        QTest.keyClick(home.view, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not home.files.loading, timeout=10_000)
    assert time.monotonic() - begun < 0.5
    assert home.loading.isHidden()
    assert home.files.particles_path == micrographs / "particles.star"
    assert "cancelled" in window.statusBar().currentMessage()


def test_a_cancelled_file_does_not_keep_the_micrographs_from_opening(qtbot, window, micrographs):
    star = large_star(micrographs / "large.star", ["a.mrc"], 200_000)
    window.home.open_paths([micrographs, star])
    qtbot.waitUntil(window.home.loading.isVisible, timeout=10_000)
    window.home.files.cancel()
    qtbot.waitUntil(lambda: not window.home.files.reading, timeout=10_000)
    assert len(window.home.files.files) == 3
    assert window.home.noise.path == micrographs / "noise_boxes.star"
    assert window.home.files.particles_path is None


def test_bad_rows_are_skipped_when_the_user_says_so(qtbot, window, micrographs):
    home = opened(qtbot, window, micrographs)
    star = micrographs / "bad.star"
    star.write_text((micrographs / "particles.star").read_text().replace("a.mrc 60.0", "a.mrc nan"))
    home.files.open([star], as_noise=False)
    box = box_of(qtbot, home)
    assert "line 7: 'nan' in _rlnCoordinateX is no number." in box.text()
    assert home.files.particles_path is None
    press(box, "Skip such rows")
    qtbot.waitUntil(lambda: home.files.particles_path is not None, timeout=10_000)
    assert home.files.particles_path.name == "particles_kept.star"  # what jobs read
    assert sum(map(len, read_particles(home.files.particles_path).values())) == 5
    assert "1 row without a position skipped in bad.star" in window.statusBar().currentMessage()


def test_an_inverted_y_is_seen_and_inverted_on_request(qtbot, window, tmp_path):
    folder = tmp_path / "mics"
    shutil.copytree(DEMO, folder)
    right = read_particles(DEMO / "particles.star")
    star = folder / "particles.star"
    xy = np.concatenate(list(right.values()))
    names = [name for name, own in right.items() for _ in own]
    columns = {"rlnMicrographName": names, "rlnCoordinateX": xy[:, 0], "rlnCoordinateY": 1200 - xy[:, 1]}
    write_star(star, "particles", columns)
    home = opened(qtbot, window, folder)
    home.files.open([star], as_noise=False)
    box = box_of(qtbot, home)
    assert "fit the micrographs better when Y is inverted" in box.text()
    press(box, "Invert Y")
    qtbot.waitUntil(lambda: home.files.particles_path.name == "particles_inverted.star", timeout=10_000)
    for path, own in home.files.particles.items():
        np.testing.assert_allclose(own, right[path.name], atol=1e-6)
    inverted = np.concatenate(list(read_particles(star).values()))
    np.testing.assert_allclose(inverted[:, 1], 1200 - xy[:, 1])  # the user's file is as it was


def test_positions_outside_are_told_in_the_status_line(qtbot, window, micrographs):
    home = opened(qtbot, window, micrographs)
    star = micrographs / "far.star"
    star.write_text((micrographs / "particles.star").read_text().replace("180.0", "1800.0"))
    with qtbot.waitSignal(home.files.doubted, timeout=10_000) as told:
        home.files.open([star], as_noise=False)
    assert told.args[0].startswith("3 of 6 positions of far.star (50 %) lie outside of their micrographs.")


def test_a_compressed_star_file_is_taken(qtbot, window, micrographs):
    home = opened(qtbot, window, micrographs)
    star = micrographs / "p.star.gz"
    star.write_bytes(gzip.compress((micrographs / "particles.star").read_bytes()))
    home.open_paths([star])
    qtbot.waitUntil(lambda: home.files.particles_path == star, timeout=10_000)
    assert kept_in(micrographs / "n.star.gz") == micrographs / "n.star"


def test_opening_other_micrographs_matches_what_is_loaded(qtbot, window, micrographs, tmp_path):
    home = opened(qtbot, window, micrographs)
    home.files.open([micrographs / "particles.star"], as_noise=False)
    qtbot.waitUntil(lambda: home.files.particles_path is not None)
    other = tmp_path / "other"
    write_mrc(other / "b.mrc", np.random.default_rng(0).normal(0, 1, (240, 320)).astype(np.float32), 2.0)
    home.open_paths([other])
    qtbot.waitUntil(lambda: home.files.files == [other / "b.mrc"] and not home.files.reading, timeout=10_000)
    assert home.files.particles[other / "b.mrc"].tolist() == [[60, 60], [250, 180]]
