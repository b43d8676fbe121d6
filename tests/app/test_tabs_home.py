"""Home with real clicks: boxes added, refused, moved, deleted, undone; autosave; STAR; automatic picking; drop."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent

from app.tabs.home_names import keys_of
from app.tabs.home_picks import NoiseFile, default_path
from app.tabs.home_reading import holds_none, read_default
from app.tabs.home_refusal import refusal
from core.io.coordinates import read_noise_boxes, read_particles, write_noise_boxes

LEFT = Qt.MouseButton.LeftButton
NO_BOXES = "0 noise boxes from noise_boxes.star."
NO_KEYS = Qt.KeyboardModifier.NoModifier


@pytest.fixture
def home(qtbot, window, micrographs: Path):
    """Home with the three micrographs open, boxes of 32 px, particles of 40 px."""
    home = window.home
    home.panel.box.set_value(32)
    home.panel.diameter.set_value(40)
    home.open_paths([micrographs])
    qtbot.waitUntil(lambda: home.view.pyramid is not None and not home.files.reading, timeout=10_000)
    return home


def at(home, x: float, y: float) -> QPoint:
    """Where an image position is on the canvas."""
    sx, sy = home.view.model.to_screen(x, y)
    ratio = home.view.canvas.devicePixelRatioF()
    return QPoint(round(sx / ratio), round(sy / ratio))


def click(qtbot, home, x: float, y: float, keys=NO_KEYS) -> None:
    qtbot.mouseClick(home.view.canvas, LEFT, keys, at(home, x, y))


def boxes(home, key: str = "a.mrc") -> np.ndarray:
    return home.noise.picks.positions(key)


def test_click_adds_and_modifier_click_deletes(qtbot, home) -> None:
    click(qtbot, home, 150, 100)
    click(qtbot, home, 200, 60)
    np.testing.assert_allclose(boxes(home), [[150, 100], [200, 60]], atol=1)
    assert home.panel.noise_total.text() == "2 here, 2 in all"
    assert home.panel.list.files_model.index(0, 1).data() == "2"
    click(qtbot, home, 150, 100, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_allclose(boxes(home), [[200, 60]], atol=1)
    click(qtbot, home, 200, 60, Qt.KeyboardModifier.ShiftModifier)
    assert len(boxes(home)) == 0
    assert [layer.shape for layer in home.view.layers] == ["circle", "box"]


def test_box_outside_the_image_is_refused_with_a_reason(qtbot, home, window) -> None:
    click(qtbot, home, 5, 100)
    assert len(boxes(home)) == 0
    assert "leave the micrograph" in window.statusBar().currentMessage()


def test_box_on_a_particle_is_refused(qtbot, home, window, micrographs: Path) -> None:
    home.open_paths([micrographs / "particles.star"])
    qtbot.waitUntil(lambda: home.files.particles_path is not None, timeout=20_000)
    assert home.panel.list.files_model.index(0, 2).data() == "2"
    click(qtbot, home, 85, 60)
    assert len(boxes(home)) == 0
    assert "overlap a particle" in window.statusBar().currentMessage()
    click(qtbot, home, 150, 100)
    assert len(boxes(home)) == 1


def test_undo_and_redo_by_keys_also_across_micrographs(qtbot, home) -> None:
    click(qtbot, home, 150, 100)
    qtbot.keyClick(home.view.canvas, Qt.Key.Key_N)
    qtbot.waitUntil(lambda: home.panel.list.current().name == "b.mrc" and home.view.pyramid.name == "b.mrc")
    click(qtbot, home, 100, 100)
    assert home.noise.picks.total() == 2
    qtbot.keyClick(home.view.canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(home.view.canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert home.noise.picks.total() == 0
    assert home.panel.list.current().name == "a.mrc"
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(home.view.canvas, Qt.Key.Key_Z, both)
    assert home.noise.picks.total() == 1
    assert len(boxes(home)) == 1


def test_drag_moves_a_box_and_a_refused_place_brings_it_back(qtbot, home) -> None:
    click(qtbot, home, 150, 100)
    for target, expected in (((190, 120), (190, 120)), ((4, 4), (190, 120))):
        start = boxes(home)[0]
        qtbot.mousePress(home.view.canvas, LEFT, NO_KEYS, at(home, *start))
        for step in (0.3, 0.7, 1.0):
            between = start + step * (np.array(target) - start)
            qtbot.mouseMove(home.view.canvas, at(home, *between))
        qtbot.mouseRelease(home.view.canvas, LEFT, NO_KEYS, at(home, *target))
        np.testing.assert_allclose(boxes(home), [expected], atol=2)


def test_keys_walk_through_the_list_and_hide_the_marks(qtbot, home) -> None:
    canvas, table = home.view.canvas, home.panel.list
    for key, name in ((Qt.Key.Key_PageDown, "b.mrc"), (Qt.Key.Key_N, "c.mrc"), (Qt.Key.Key_N, "c.mrc")):
        qtbot.keyClick(canvas, key)
        assert table.current().name == name
    for key, name in ((Qt.Key.Key_P, "b.mrc"), (Qt.Key.Key_PageUp, "a.mrc")):
        qtbot.keyClick(canvas, key)
        assert table.current().name == name
    qtbot.keyClick(canvas, Qt.Key.Key_X)
    assert not any(layer.visible for layer in home.view.layers)
    qtbot.keyClick(canvas, Qt.Key.Key_X)
    assert all(layer.visible for layer in home.view.layers)


def test_autosave_writes_beside_the_micrographs_and_is_found_again(qtbot, home, micrographs: Path) -> None:
    file = micrographs / "noise_boxes.star"
    assert home.panel.noise_path.text() == str(file)
    with qtbot.waitSignal(home.noise.saved, timeout=5000):
        click(qtbot, home, 150, 100)
    saved = read_noise_boxes(file)
    np.testing.assert_allclose(saved.positions["a.mrc"], [[150, 100]], atol=1)
    assert saved.box_size == 32
    home.noise.picks.load({})
    home.panel.box.set_value(64)
    home.open_paths([micrographs])
    qtbot.waitUntil(lambda: len(boxes(home)) == 1, timeout=10_000)
    assert home.panel.box.value() == 32


def test_box_size_and_clear_are_saved_too(qtbot, home, micrographs: Path) -> None:
    click(qtbot, home, 150, 100)
    with qtbot.waitSignal(home.noise.saved, timeout=5000):
        home.panel.box.set_value(48)
    assert read_noise_boxes(micrographs / "noise_boxes.star").box_size == 48
    with qtbot.waitSignal(home.noise.saved, timeout=5000):
        home.areas.fill_clear(home.panel.clear_menu)
        home.panel.clear_menu.actions()[1].trigger()
    assert holds_none(micrographs / "noise_boxes.star")
    assert read_default(micrographs / "noise_boxes.star") == ((micrographs / "noise_boxes.star", {}, None), NO_BOXES)
    qtbot.mouseClick(home.panel.undo_button, LEFT)
    assert len(boxes(home)) == 1


def test_unreadable_noise_file_is_never_overwritten(qtbot, window, micrographs: Path) -> None:
    broken = micrographs / "noise_boxes.star"
    broken.write_bytes(b"\0\1\2 not a star file")
    home = window.home
    home.open_paths([micrographs])
    qtbot.waitUntil(lambda: home.view.pyramid is not None, timeout=20_000)
    qtbot.waitUntil(lambda: home.noise.path == micrographs / "noise_boxes-2.star", timeout=20_000)
    assert broken.read_bytes().startswith(b"\0\1\2")


def test_boxes_of_other_micrographs_survive_in_the_file(qtbot, window, micrographs: Path) -> None:
    file = micrographs / "noise_boxes.star"
    write_noise_boxes(file, {"a.mrc": np.array([[100.0, 90]]), "elsewhere.mrc": np.array([[7.0, 8]])}, 32)
    home = window.home
    home.open_paths([micrographs / "a.mrc"])
    qtbot.waitUntil(lambda: home.view.pyramid is not None and len(boxes(home)) == 1, timeout=20_000)
    with qtbot.waitSignal(home.noise.saved, timeout=5000):
        click(qtbot, home, 180, 100)
    saved = read_noise_boxes(file).positions
    assert len(saved["a.mrc"]) == 2
    np.testing.assert_allclose(saved["elsewhere.mrc"], [[7, 8]])


def test_drop_of_folder_and_star_anywhere(qtbot, window, micrographs: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(micrographs)), QUrl.fromLocalFile(str(micrographs / "particles.star"))])
    window.show_tab("train")
    window.dropEvent(QDropEvent(QPointF(9, 9), Qt.DropAction.CopyAction, mime, LEFT, NO_KEYS))
    home = window.home
    qtbot.waitUntil(lambda: len(home.panel.list.files) == 3 and bool(home.files.particles), timeout=20_000)
    assert window.rooms.currentIndex() == 0
    assert home.panel.particle_total.text() == "6 from particles.star"
    assert str(micrographs) in window.session.settings.recent


def test_foreign_star_is_refused_in_words(qtbot, home, tmp_path: Path, monkeypatch) -> None:
    shown = []
    monkeypatch.setattr("app.tabs.home.show_error", lambda _, err: shown.append(err))
    star = tmp_path / "other.star"
    star.write_text("data_\n\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\nzzz.mrc 1 2\n")
    home.open_paths([star])
    qtbot.waitUntil(lambda: bool(shown), timeout=20_000)
    assert "other.star" in shown[0].message
    assert home.files.particles == {}


def test_pick_automatically_is_a_child_process_and_one_undo_step(qtbot, home, micrographs: Path) -> None:
    home.open_paths([micrographs / "particles.star"])
    qtbot.waitUntil(lambda: home.panel.pick_button.isEnabled(), timeout=20_000)
    click(qtbot, home, 150, 100)
    qtbot.mouseClick(home.panel.pick_button, LEFT)
    assert not home.panel.pick_button.isEnabled()
    assert home.jobs.bar.isVisible()
    qtbot.waitUntil(lambda: home.noise.picks.total() > 3, timeout=60_000)
    assert home.jobs.worker.state == "done"
    particles = home.files.particles[micrographs / "a.mrc"]
    for x, y in boxes(home):
        assert refusal(x, y, 32, (240, 320), particles, 40, np.empty((0, 2))) == ""
    home.marks.undo()
    assert home.noise.picks.total() == 1


def test_an_old_run_is_shown_without_touching_the_boxes(qtbot, home, window, micrographs: Path) -> None:
    """Its boxes come only by a click, and go again by undo."""
    from core.jobs import rundir
    from core.jobs.base import execute
    from core.jobs.table import job_params

    output = micrographs.parent / "old.star"
    values = {"micrographs": [micrographs], "particles": micrographs / "particles.star", "output": output}
    old = rundir.create("pick-noise", job_params("pick-noise").parse(values | {"box_size": 24}))
    assert execute(old) == 0
    click(qtbot, home, 150, 100)
    window.show_run(rundir.inspect(old))
    button = home.jobs.banner.next
    qtbot.waitUntil(lambda: button.isVisible(), timeout=10_000)
    assert home.noise.picks.total() == 1
    qtbot.mouseClick(button, LEFT)
    qtbot.waitUntil(lambda: home.noise.picks.total() > 3, timeout=10_000)
    assert home.panel.box.value() == 24
    home.marks.undo()
    np.testing.assert_allclose(boxes(home), [[150, 100]], atol=1)


def test_several_star_files_are_merged_into_one_for_forward(qtbot, home, window, micrographs: Path) -> None:
    head = "data_\n\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\n"
    one, two = micrographs.parent / "one.star", micrographs.parent / "two.star"
    one.write_text(head + "a.mrc 60 60\nb.mrc 70 70\n")
    two.write_text(head + "a.mrc 60 60\na.mrc 250 180\nc.mrc 90 90\n")
    window.dropEvent(_drop(one, two))
    qtbot.waitUntil(lambda: len(home.files.particles) == 3, timeout=20_000)
    assert [len(home.files.particles[f]) for f in home.files.files] == [2, 1, 1]
    assert "4 particles on 3 of 3 micrographs" in window.statusBar().currentMessage()
    qtbot.mouseClick(home.panel.forward_button, LEFT)
    merged = Path(window.page("forward").form.raw("particles"))
    assert merged.parent == window.session.project_dir(micrographs)
    assert sum(len(xy) for xy in read_particles(merged).values()) == 4
    assert two.read_text().endswith("c.mrc 90 90\n")


def _drop(*paths: Path) -> QDropEvent:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(p)) for p in paths])
    _drop.kept = mime  # the event only points at it
    return QDropEvent(QPointF(9, 9), Qt.DropAction.CopyAction, mime, LEFT, NO_KEYS)


def test_the_box_follows_the_diameter_until_it_is_chosen(qtbot, window) -> None:
    panel = window.home.panel
    panel.diameter.set_value(100)
    assert panel.box.value() == 80
    panel.diameter.set_value(12)
    assert panel.box.value() == 16
    panel.box.selectAll()
    qtbot.keyClicks(panel.box, "64")
    panel.diameter.set_value(200)
    assert panel.box.value() == 64


def test_use_in_forward_fills_the_form(qtbot, home, window, micrographs: Path) -> None:
    home.open_paths([micrographs / "particles.star"])
    qtbot.waitUntil(lambda: bool(home.files.particles), timeout=20_000)
    click(qtbot, home, 150, 100)
    qtbot.mouseClick(home.panel.forward_button, LEFT)
    form = window.page("forward").form
    assert window.rooms.currentIndex() == 1
    params = form.params()
    assert params.micrographs == (micrographs,)
    assert params.noise == micrographs / "noise_boxes.star"
    assert params.noise.is_file()
    assert (params.particle_diameter, params.noise_box) == (40, 32)
    assert params.output == window.session.work_root / "micrographs" / "training-set"


def test_refusal_follows_the_crop_of_the_jobs() -> None:
    none = np.empty((0, 2))
    assert refusal(16, 16, 32, (100, 200), none, 10, none) == ""
    assert refusal(15, 16, 32, (100, 200), none, 10, none) != ""
    assert refusal(184, 84, 32, (100, 200), none, 10, none) == ""
    assert refusal(185, 84, 32, (100, 200), none, 10, none) != ""
    particle = np.array([[50.0, 50.0]])
    assert refusal(50 + 16 + 21, 50, 32, (100, 200), particle, 40, none) == ""
    assert refusal(50 + 16 + 18, 50, 32, (100, 200), particle, 40, none) != ""
    assert "already" in refusal(50, 50, 32, (100, 200), none, 40, np.array([[52.0, 50.0]]))


def test_names_are_unique_and_the_file_is_writable(tmp_path: Path) -> None:
    one, two, three = tmp_path / "x" / "m.mrc", tmp_path / "y" / "m.mrc", tmp_path / "y" / "n.mrc"
    assert list(keys_of([one, two, three]).values()) == ["x/m.mrc", "y/m.mrc", "n.mrc"]
    assert default_path(tmp_path, tmp_path / "other") == tmp_path / "noise_boxes.star"
    assert default_path(tmp_path / "missing", tmp_path / "other").parent == tmp_path / "other"
    if os.name == "posix" and os.geteuid() != 0:
        tmp_path.chmod(0o500)
        assert default_path(tmp_path, Path("other")).parent == Path("other")
        tmp_path.chmod(0o700)


def test_a_refused_write_is_told(qtbot, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    noise = NoiseFile()
    noise.open(tmp_path / "file" / "noise.star", {})
    noise.picks.add("a.mrc", 1, 2)
    with qtbot.waitSignal(noise.failed, timeout=5000):
        noise.flush()
