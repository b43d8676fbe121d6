"""The window of maps: opening, companions, large maps, damaged ones, dropping, and what the main window sends there."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QAction, QDropEvent
from PySide6.QtWidgets import QApplication, QFileDialog, QMessageBox
from volumes import ball, write_map

from app import volume_window
from app.volume_window import NOTHING, VolumeWindow
from core.io.mrc import write_mrc
from core.reconstruction.outputs import write_map as reconstruct_map
from core.volumes import reading

WAIT = 20_000


@pytest.fixture
def maps(tmp_path):
    folder = tmp_path / "maps"
    folder.mkdir()
    for name in ("run_class001.mrc", "run_half1_class001.mrc", "run_half2_class001.mrc", "run_std.mrc"):
        write_map(folder / name, ball(24))
    write_map(folder / "small.mrc", ball(16))
    return folder


@pytest.fixture
def window_of_maps(qtbot, session):
    window = VolumeWindow(session, painter="raster")
    window.resize(1100, 800)
    with qtbot.waitExposed(window):
        window.show()
    yield window
    window.close()
    QApplication.sendPostedEvents()


@pytest.fixture
def told(monkeypatch):
    """Errors that were shown."""
    found = []
    monkeypatch.setattr(volume_window, "show_error", lambda _parent, err: found.append(err))
    return found


def kinds(window) -> list[str]:
    return [v.kind for v in window.view.volumes.volumes] if window.view.volumes is not None else []


def drop(widget, paths):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(p)) for p in paths])
    event = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    widget.dropEvent(event)


def test_maps_that_are_dropped_together_find_their_places(window_of_maps, qtbot, maps):
    assert window_of_maps.view.slices.planes["z"].scene.message == NOTHING
    names = ("run_half2_class001.mrc", "run_std.mrc", "run_class001.mrc", "run_half1_class001.mrc")
    drop(window_of_maps, [maps / name for name in names])
    qtbot.waitUntil(lambda: len(kinds(window_of_maps)) == 4, timeout=WAIT)
    assert kinds(window_of_maps) == ["map", "half2", "std", "half1"]
    assert window_of_maps.windowTitle() == "run_class001.mrc"
    assert not window_of_maps.progress.isVisible()
    drop(window_of_maps, [maps / "small.mrc"])  # a map of its own: the others are not of it
    qtbot.waitUntil(lambda: kinds(window_of_maps) == ["map"], timeout=WAIT)
    assert window_of_maps.view.slices.shown.shape == (16, 16, 16)


def test_a_companion_of_another_box_is_told_and_left_out(window_of_maps, qtbot, maps, told):
    window_of_maps.open_map(maps / "small.mrc")
    window_of_maps.open_map(maps / "run_std.mrc", "std")
    qtbot.waitUntil(lambda: bool(told), timeout=WAIT)
    assert "24 × 24 × 24" in told[0].message
    assert kinds(window_of_maps) == ["map"]


def test_a_damaged_map_is_told_and_the_next_one_read(window_of_maps, qtbot, maps, told):
    whole = (maps / "run_class001.mrc").read_bytes()
    (maps / "cut.mrc").write_bytes(whole[:-100])
    window_of_maps.open_map(maps / "cut.mrc")
    window_of_maps.open_map(maps / "missing.mrc")
    window_of_maps.open_map(maps / "small.mrc")
    qtbot.waitUntil(lambda: bool(kinds(window_of_maps)), timeout=WAIT)
    assert "cut short" in told[0].message
    assert "does not exist" in told[1].message
    assert window_of_maps.view.volumes.main.title == "small.mrc"


def test_a_large_map_may_be_opened_at_half_size(window_of_maps, qtbot, maps, monkeypatch):
    monkeypatch.setattr(reading, "LARGE_BYTES", 4 * 20**3)
    window_of_maps.open_map(maps / "run_class001.mrc")
    qtbot.waitUntil(lambda: window_of_maps.findChild(QMessageBox) is not None, timeout=WAIT)
    box = window_of_maps.findChild(QMessageBox)
    assert "24 × 24 × 24 voxels" in box.text()
    box.defaultButton().click()
    qtbot.waitUntil(lambda: bool(kinds(window_of_maps)), timeout=WAIT)
    assert window_of_maps.view.volumes.main.shape == (12, 12, 12)
    assert window_of_maps.view.volumes.main.pixel_size_a == 4.0
    assert "half of the resolution" in window_of_maps.view.notes.text()
    window_of_maps.open_map(maps / "small.mrc")  # small enough: no question
    qtbot.waitUntil(lambda: window_of_maps.view.volumes.main.title == "small.mrc", timeout=WAIT)


def test_a_question_that_is_cancelled_opens_nothing(window_of_maps, qtbot, maps, monkeypatch):
    monkeypatch.setattr(reading, "LARGE_BYTES", 1)
    window_of_maps.open_map(maps / "small.mrc")
    qtbot.waitUntil(lambda: window_of_maps.findChild(QMessageBox) is not None, timeout=WAIT)
    window_of_maps.question.reject()
    qtbot.waitUntil(lambda: not window_of_maps.cancel.isVisible(), timeout=WAIT)
    assert window_of_maps.view.volumes is None


def test_reading_can_be_cancelled(window_of_maps, qtbot, maps, monkeypatch):
    begun = []

    def slow(path, halved, report, cancelled, kind):
        begun.append(path)
        while not cancelled():
            pass
        raise volume_window.Cancelled

    monkeypatch.setattr(volume_window, "read_map", slow)
    window_of_maps.open_map(maps / "small.mrc")
    window_of_maps.open_map(maps / "run_std.mrc")
    qtbot.waitUntil(lambda: bool(begun), timeout=WAIT)
    assert window_of_maps.progress.isVisible()
    window_of_maps.cancel.click()
    qtbot.waitUntil(lambda: not window_of_maps.cancel.isVisible(), timeout=WAIT)
    assert begun == [maps / "small.mrc"]
    assert window_of_maps.view.volumes is None


def test_the_folder_is_remembered(window_of_maps, qtbot, maps, session, monkeypatch):
    window_of_maps.open_map(maps / "small.mrc")
    qtbot.waitUntil(lambda: bool(kinds(window_of_maps)), timeout=WAIT)
    asked = []

    def choose(_parent, title, start, _pattern):
        asked.append((title, start))
        return str(maps / "run_std.mrc"), ""

    monkeypatch.setattr(QFileDialog, "getOpenFileName", choose)
    window_of_maps.ask_map("std")
    assert asked == [("Open: standard deviation", str(maps))]


def test_the_main_window_sends_maps_to_their_window(window, qtbot, maps, micrographs):
    write_mrc(maps / "stack.mrcs", np.zeros((4, 24, 24), np.float32))
    drop(window, [maps / "run_class001.mrc", micrographs / "a.mrc"])
    qtbot.waitUntil(lambda: window.findChild(VolumeWindow) is not None, timeout=WAIT)
    found = window.findChild(VolumeWindow)
    qtbot.waitUntil(lambda: kinds(found) == ["map"], timeout=WAIT)
    qtbot.waitUntil(lambda: window.home.files.files == [micrographs / "a.mrc"], timeout=WAIT)
    assert "3D map" in window.statusBar().currentMessage() or window.home.files.files
    drop(window, [maps / "stack.mrcs"])
    qtbot.waitUntil(lambda: window.home.files.files == [maps / "stack.mrcs"], timeout=WAIT)
    window.open_paths([maps / "small.mrc"])
    qtbot.waitUntil(lambda: found.view.volumes.main.title == "small.mrc", timeout=WAIT)
    assert len(window.findChildren(VolumeWindow)) == 1  # the same window
    found.close()


def test_the_menu_opens_a_map(window, qtbot, maps, monkeypatch):
    (action,) = [a for a in window.findChildren(QAction) if a.shortcut().toString() == "Ctrl+M"]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(maps / "small.mrc"), ""))
    action.trigger()
    found = window.findChild(VolumeWindow)
    qtbot.waitUntil(lambda: kinds(found) == ["map"], timeout=WAIT)
    assert "zoom" in found.view.slices.status.text()
    window.hide()  # closing the main window closes this one
    qtbot.waitUntil(lambda: not found.isVisible(), timeout=WAIT)


def test_files_opened_from_the_menu_are_sorted_out_too(window, qtbot, maps, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(maps / "small.mrc")], ""))
    window.home.open_files()
    qtbot.waitUntil(lambda: window.findChild(VolumeWindow) is not None, timeout=WAIT)
    found = window.findChild(VolumeWindow)
    qtbot.waitUntil(lambda: kinds(found) == ["map"], timeout=WAIT)
    assert window.home.files.files == []
    found.close()


LABELS = {
    "map": "POSTERIOR MEAN: images + LEARNED PRIOR, resolution not from this map",
    "std": "standard deviation of the samples",
    "weight": "Fourier space: share of the data",
    "mask": "mask of the resolution",
    "half1": "half map from images only: Wiener filter",
    "half2": "half map from images only: Wiener filter",
}


@pytest.fixture
def reconstruction(tmp_path):
    """The maps of a folder of the job reconstruct."""
    for name, words in LABELS.items():
        reconstruct_map(tmp_path, f"{name}.mrc", ball(24), 2.0, words)
    return tmp_path


def test_all_maps_of_a_reconstruction_find_their_places(window_of_maps, qtbot, reconstruction, told):
    drop(window_of_maps, sorted(reconstruction.glob("*.mrc"), reverse=True))
    qtbot.waitUntil(lambda: len(kinds(window_of_maps)) == 6, timeout=WAIT)
    found = {v.path.name: v.kind for v in window_of_maps.view.volumes.volumes}
    assert found == {f"{name}.mrc": "fourier" if name == "weight" else name for name in LABELS}
    assert window_of_maps.view.volumes.main.path.name == "map.mrc"
    assert window_of_maps.view.provenance.text() == f"Vitreous {LABELS['map']}"
    colours = window_of_maps.view.surface.controls.colour
    offered = [colours.itemData(k) for k in range(colours.count())]
    assert [v.kind for v in offered if v is not None] == ["std"]  # Fourier space has no place on a surface
    window_of_maps.view.slices.what.setCurrentIndex(
        [v.kind for v in window_of_maps.view.volumes.volumes].index("fourier")
    )
    assert LABELS["weight"] in window_of_maps.view.slices.planes["z"].scene.caption
    assert not told


@pytest.mark.parametrize("name", ["std", "weight", "mask"])
def test_what_is_no_map_says_so_when_it_is_opened_alone(window_of_maps, qtbot, maps, reconstruction, name):
    window_of_maps.open_map(maps / "small.mrc")  # of another box: it goes
    window_of_maps.open_map(reconstruction / f"{name}.mrc")
    qtbot.waitUntil(lambda: window_of_maps.windowTitle() == f"{name}.mrc", timeout=WAIT)
    assert window_of_maps.view.provenance.text() == f"Vitreous {LABELS[name]}"
    assert (window_of_maps.view.surface.volume is None) == (name == "weight")


def test_maps_without_a_place_are_told(window_of_maps, qtbot, maps, told):
    for name in ("a.mrc", "b.mrc", "c.mrc"):
        write_map(maps / name, ball(24))
    drop(window_of_maps, [maps / "a.mrc", maps / "b.mrc", maps / "c.mrc"])
    qtbot.waitUntil(lambda: kinds(window_of_maps) == ["map", "other"], timeout=WAIT)
    assert "left out: c.mrc" in told[0].message
