"""Home with real files: previews, stacks, gallery, thumbnails with flags, advice about boxes, .box files."""

import json

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from app.tabs.home_advice import read_refused_places
from core.io.mrc import write_mrc

LEFT = Qt.MouseButton.LeftButton
NONE = Qt.KeyboardModifier.NoModifier


def opened(qtbot, window, paths):
    home = window.home
    home.open_paths(paths)
    qtbot.waitUntil(lambda: home.view.pyramid is not None and not home.files.reading, timeout=20_000)
    return home


def place(view, x, y):
    sx, sy = view.model.to_screen(x, y)
    return QPoint(round(sx / view.canvas.ratio), round(sy / view.canvas.ratio))


@pytest.fixture
def stack(tmp_path):
    folder = tmp_path / "stack"
    folder.mkdir()
    images = np.random.default_rng(0).normal(0, 1, (12, 64, 64)).astype(np.float32)
    images += np.arange(12, dtype=np.float32)[:, None, None] * 100
    write_mrc(folder / "particles.mrcs", images, 3.0)
    return folder / "particles.mrcs"


def test_a_large_file_shows_a_preview_first(qtbot, window, tmp_path):
    image = np.random.default_rng(0).normal(0, 1, (2600, 2600)).astype(np.float32)
    write_mrc(tmp_path / "big.mrc", image, 1.0)
    kinds = []
    window.home.pictures.loader.previewed.connect(lambda _t, pyramid: kinds.append(pyramid.finest))
    window.home.pictures.loader.loaded.connect(lambda _t, pyramid: kinds.append(pyramid.finest))
    home = opened(qtbot, window, [tmp_path / "big.mrc"])
    qtbot.waitUntil(lambda: kinds[-1:] == [0])
    assert kinds[0] > 0
    assert home.view.pyramid.finest == 0


def test_frames_of_a_stack_by_slider_key_and_gallery(qtbot, window, stack):
    home = opened(qtbot, window, [stack])
    assert home.view.frames.isVisible()
    home.view.canvas.setFocus()
    qtbot.keyClick(home.view.canvas, Qt.Key.Key_BracketRight)
    qtbot.waitUntil(lambda: home.view.pyramid.index == 1)
    assert 90 < home.view.pyramid.levels[0].mean() < 110
    qtbot.mouseClick(home.pictures.gallery_button, LEFT)
    gallery = home.pictures.gallery
    qtbot.waitUntil(lambda: gallery.isVisible() and gallery.loader.image(11) is not None, timeout=10_000)
    gallery.opened.emit(7)
    qtbot.waitUntil(lambda: home.view.pyramid.index == 7)
    assert not gallery.isVisible()
    assert home.view.isVisible()


def test_playing_goes_on_through_the_stack_until_another_file_is_shown(qtbot, window, stack):
    write_mrc(stack.with_name("zz.mrcs"), np.zeros((12, 64, 64), np.float32), 3.0)
    home = opened(qtbot, window, [stack.parent])
    frames, shown = home.view.frames, []
    home.pictures.loader.loaded.connect(lambda _t, pyramid: shown.append(pyramid.index))
    frames.speed.setCurrentIndex(frames.speed.count() - 1)
    qtbot.mouseClick(frames.play, LEFT)
    qtbot.waitUntil(lambda: len(shown) > 13, timeout=20_000)
    assert frames.playing
    assert shown[:13] == [*range(1, 12), 0, 1]
    home.panel.list.step(1)
    qtbot.waitUntil(lambda: home.view.pyramid.name == "zz.mrcs")
    assert not frames.playing
    assert frames.index == 0


def test_the_bar_of_the_stack_before_asks_nothing_of_a_file_that_is_being_loaded(qtbot, window, stack):
    write_mrc(stack.with_name("zz.mrc"), np.zeros((64, 64), np.float32), 3.0)
    home = opened(qtbot, window, [stack.parent])
    frames = home.view.frames
    qtbot.mouseClick(frames.play, LEFT)
    home.panel.list.step(1)
    assert not frames.playing
    assert frames.frames == 12  # the stack is still on the screen
    frames.step(5)
    qtbot.waitUntil(lambda: home.view.pyramid is None or home.view.pyramid.name == "zz.mrc")
    assert home.view.pyramid is not None
    assert not frames.isVisible()


def test_of_a_stack_that_is_cut_short_the_images_that_are_there_can_be_seen(qtbot, window, stack):
    with stack.open("r+b") as file:
        file.truncate(1024 + 5 * 64 * 64 * 4 + 100)
    home = opened(qtbot, window, [stack])
    view, said = home.view, home.view.scene
    assert view.pyramid.index == 0
    view.frames.step(8)
    qtbot.waitUntil(lambda: view.pyramid is None)
    assert "Image 9 of " in said.message
    assert "5 of its 12 images are there" in said.message
    assert view.frames.isVisible()
    assert (view.frames.index, view.frames.frames) == (8, 12)
    view.frames.step(-4)
    qtbot.waitUntil(lambda: view.pyramid is not None and view.pyramid.index == 4)
    assert said.message == ""
    view.frames.step(8)
    qtbot.waitUntil(lambda: view.pyramid is None)
    qtbot.mouseClick(home.pictures.gallery_button, LEFT)
    gallery = home.pictures.gallery
    qtbot.waitUntil(lambda: gallery.isVisible() and gallery.error.isVisible(), timeout=10_000)
    assert "Image 6 of " in gallery.error.text()
    assert gallery.loader.image(4).any()


def test_another_file_that_cannot_be_read_has_no_bar(qtbot, window, stack):
    stack.with_name("zz.mrc").write_bytes(b"nothing" * 300)
    home = opened(qtbot, window, [stack.parent])
    home.view.frames.step(1)
    qtbot.waitUntil(lambda: home.view.pyramid.index == 1)
    home.panel.list.step(1)
    qtbot.waitUntil(lambda: home.view.pyramid is None)
    assert not home.view.frames.isVisible()
    assert not home.pictures.gallery_button.isVisible()


def test_thumbnails_flags_and_the_list_go_together(qtbot, window, micrographs):
    home = opened(qtbot, window, [micrographs])
    home.pictures.strip_button.setChecked(True)
    strip = home.pictures.strip
    assert strip.isVisible()
    qtbot.waitUntil(lambda: all(strip.model.picture(p) is not None for p in strip.model.files), timeout=10_000)
    home.view.canvas.setFocus()
    qtbot.keyClick(home.view.canvas, Qt.Key.Key_N)
    assert strip.current().name == "b.mrc"
    qtbot.keyClick(home.view.canvas, Qt.Key.Key_R)
    assert home.pictures.flags.flags.as_dict() == {"b.mrc": "reject"}
    strip.step(1)
    qtbot.waitUntil(lambda: home.panel.list.current().name == "c.mrc")
    home.pictures.flags.flush()
    saved = json.loads(home.pictures.flags.path.read_text())
    assert "reject" in json.dumps(saved)
    assert not str(home.pictures.flags.path).startswith(str(micrographs))  # nothing is put among raw data
    qtbot.keyClick(home.view.canvas, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier)
    assert not strip.isVisible()
    assert window.session.settings.home["strip"] is False


def test_a_box_on_ice_is_kept_with_a_warning(qtbot, window, tmp_path):
    folder = tmp_path / "ice"
    folder.mkdir()
    image = np.random.default_rng(0).normal(100, 10, (900, 900)).astype(np.float32)
    y, x = np.mgrid[:900, :900]
    image[np.hypot(x - 600, y - 300) < 60] += 60
    write_mrc(folder / "m.mrc", image, 1.0)
    home = opened(qtbot, window, [folder])
    home.panel.box.set_value(64)
    said = []
    window.session.message.connect(lambda text, _ms: said.append(text))
    QTest.mouseClick(home.view.canvas, LEFT, NONE, place(home.view, 600, 300))
    qtbot.waitUntil(lambda: any("kept" in text for text in said), timeout=10_000)
    assert home.noise.picks.count("m.mrc") == 1
    said.clear()
    with qtbot.waitSignal(home.advice._task.done, timeout=10_000):
        QTest.mouseClick(home.view.canvas, LEFT, NONE, place(home.view, 200, 700))
    assert home.noise.picks.count("m.mrc") == 2
    assert not any("kept" in text for text in said)


def test_refused_places_are_found_by_micrograph(tmp_path, micrographs):
    from core.io.refused import Refused, write_refused

    path = tmp_path / "noise.refused.json"
    places = {"a.mrc": Refused(np.array([[50.0, 60.0]]), ["spike"], ["A hot pixel."])}
    write_refused(path, places, 32, {"spike": "hot pixel"})
    found = read_refused_places(path, [micrographs / "a.mrc", micrographs / "b.mrc"])
    assert list(found) == [micrographs / "a.mrc"]
    assert found[micrographs / "a.mrc"].reasons == ["A hot pixel."]


def test_box_files_are_particles_and_loaded_noise_is_kept_in_a_star_file(qtbot, window, micrographs):
    box = micrographs / "a.box"
    box.write_text("30\t40\t64\t64\n100\t80\t64\t64\n")
    home = opened(qtbot, window, [micrographs, box])
    qtbot.waitUntil(lambda: home.files.particles_path == box)
    np.testing.assert_array_equal(home.files.particles[micrographs / "a.mrc"], [[62, 72], [132, 112]])
    home.files.open([box], as_noise=True)
    qtbot.waitUntil(lambda: home.noise.picks.count("a.mrc") == 2)
    assert home.noise.path == micrographs / "a.star"
    assert home.panel.box.value() == 64


def test_rejected_micrographs_are_left_out_and_particles_come_back_with_their_folder(qtbot, window, micrographs):
    home = opened(qtbot, window, [micrographs, micrographs / "particles.star"])
    qtbot.waitUntil(lambda: home.files.particles_path is not None)
    assert home.chosen() == [str(micrographs)]
    home.pictures.flags.flags.set(["b.mrc"], "reject")
    assert home.chosen() == [str(micrographs / "a.mrc"), str(micrographs / "c.mrc")]
    handed = []
    window.session.handed_over.connect(lambda tab, values: handed.append(values))
    home.use_in_forward()
    assert handed[0]["micrographs"] == home.chosen()
    window.show_tab("home")
    home.open_paths([micrographs / "a.mrc"])
    qtbot.waitUntil(lambda: len(home.files.files) == 1 and home.files.particles_path is not None, timeout=10_000)
    assert home.files.particles_path == micrographs / "particles.star"


def test_next_follows_the_filter_of_the_strip(qtbot, window, micrographs):
    home = opened(qtbot, window, [micrographs])
    home.pictures.strip_button.setChecked(True)
    home.noise.picks.add("c.mrc", 50, 50)
    strip = home.pictures.strip
    strip.filter.setCurrentIndex(strip.filter.findData("with"))
    home.view.setFocus()
    qtbot.keyClick(home.view.canvas, Qt.Key.Key_N)
    assert home.panel.list.current().name == "c.mrc"


def test_a_dropped_folder_of_box_files_is_read_as_particles(qtbot, window, micrographs, tmp_path):
    home = opened(qtbot, window, [micrographs])
    folder = tmp_path / "picks"
    folder.mkdir()
    (folder / "b.box").write_text("30\t40\t64\t64\n")
    home.open_paths([folder])
    qtbot.waitUntil(lambda: len(home.files.particles.get(micrographs / "b.mrc", ())) == 1, timeout=10_000)
    assert len(home.files.files) == 3


def test_undo_says_what_it_did(qtbot, window, micrographs):
    home = opened(qtbot, window, [micrographs])
    said = []
    window.session.message.connect(lambda text, _ms: said.append(text))
    home.noise.picks.add("a.mrc", 50, 50)
    home.marks.undo()
    assert said[-1] == "Undone: 1 box gone."
    home.marks.redo()
    assert said[-1] == "Done again: 1 box back."
