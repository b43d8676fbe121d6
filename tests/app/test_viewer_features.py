"""What a view offers beside the picture: filter, colours, measuring, panels, frames, saving. With real events."""

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton

from app.viewer import saving
from app.viewer.image_view import ImageView
from app.viewer.view_filter import Band
from core.images.pyramid import Pyramid, build_pyramid

LEFT = Qt.MouseButton.LeftButton
NONE = Qt.KeyboardModifier.NoModifier


def noise(ny=600, nx=800, seed=0):
    return np.random.default_rng(seed).normal(100, 10, (ny, nx)).astype(np.float32)


def rgb(image):
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return rows[:, : image.width(), :3].astype(int)


@pytest.fixture
def view(qtbot):
    view = ImageView(painter="raster")
    qtbot.addWidget(view)
    view.resize(1000, 700)
    with qtbot.waitExposed(view):
        view.show()
    view.add_keys(view)
    view.set_pyramid(build_pyramid(noise(), 1.5, "m.mrc"))
    view.setFocus()
    return view


def place(view, x, y):
    sx, sy = view.model.to_screen(x, y)
    return QPoint(round(sx / view.canvas.ratio), round(sy / view.canvas.ratio))


# -- filter and colours -------------------------------------------------------------------------------------


def test_the_filter_smooths_the_picture_says_so_and_keeps_the_values(view, qtbot):
    view.one_to_one()
    before = rgb(view.grab_image())
    with qtbot.waitSignal(view.look.filtered):
        qtbot.keyClick(view.canvas, Qt.Key.Key_L)
    assert view.scene.caption == "low-pass 20 Å"
    after = rgb(view.grab_image())
    inner = (slice(100, -100), slice(100, -100))

    def rough(picture):
        return np.abs(np.diff(picture[inner][..., 0], axis=1)).mean()

    assert rough(after) < 0.5 * rough(before)
    values = []
    view.cursor_moved.connect(lambda x, y, value: values.append((x, y, value)))
    QTest.mouseMove(view.canvas, place(view, 300, 200))
    x, y, value = values[-1]
    assert value == view.pyramid.levels[0][round(y), round(x)]
    qtbot.keyClick(view.canvas, Qt.Key.Key_L)
    assert view.scene.caption == ""
    assert np.array_equal(rgb(view.grab_image()), before)


def test_the_filter_stays_for_the_next_micrograph_and_never_shows_a_late_one(view, qtbot):
    with qtbot.waitSignal(view.look.filtered):
        view.look.set_band(Band(30.0, 500.0))
    view.set_pyramid(build_pyramid(noise(seed=1), 1.5, "second"))
    view.set_pyramid(build_pyramid(noise(seed=2), 1.5, "third"))
    with qtbot.waitSignal(view.look.filtered) as got:
        pass
    assert got.args[0][0].name == "third"
    assert view.scene.pyramid.name == "third"
    assert view.scene.caption == "low-pass 30 Å, high-pass 500 Å"


def test_a_filter_that_lets_nothing_pass_is_refused_in_words(view, qtbot):
    with qtbot.waitSignal(view.said) as got:
        view.look.set_band(Band(50.0, 20.0))
    assert "Nothing is left" in got.args[0]
    assert view.look.band.open
    assert view.scene.pyramid is view.pyramid


def test_a_preview_is_shown_without_filter_panels_or_values(view, qtbot):
    whole = build_pyramid(noise(1024, 1024), 1.5, "big")
    view.look.set_band(Band(30.0))
    qtbot.waitUntil(lambda: view.scene.caption != "")
    preview = Pyramid(whole.levels[2:], 1.5, "big", finest=2, image_shape=(1024, 1024))
    view.set_pyramid(preview)
    assert view.scene.caption == ""
    assert "value" not in view._status.text()
    with qtbot.waitSignal(view.look.filtered):
        view.set_pyramid(whole)


def test_colours_by_key_and_in_the_popup(view, qtbot):
    qtbot.keyClick(view.canvas, Qt.Key.Key_V)
    assert view.model.contrast.lut == "viridis"
    picture = rgb(view.grab_image())
    assert (np.ptp(picture[200:300, 300:400], axis=2) > 30).any()
    qtbot.mouseClick(view.toolbar.look, LEFT)
    popup = view.look._popup
    assert popup.isVisible()
    assert popup.lut.currentText() == "Viridis"
    popup.low.lineEdit().setText("25")
    with qtbot.waitSignal(view.look.filtered):
        popup.low.lineEdit().editingFinished.emit()
    assert view.look.band == Band(25.0)
    popup.reset.emit()
    assert (view.model.contrast.lut, view.look.band, view.scene.caption) == ("grey", Band(), "")


def test_lengths_of_the_filter_are_pixels_where_the_pixel_size_is_unknown(view, qtbot):
    view.set_pyramid(build_pyramid(noise(), None, "m"))
    with qtbot.waitSignal(view.look.filtered):
        view.look.set_band(Band(12.0))
    assert view.scene.caption == "low-pass 12 px"


# -- measuring ------------------------------------------------------------------------------------------------


def test_measuring_tells_the_length_in_angstrom(view, qtbot):
    view.one_to_one()
    view.set_picking(True)
    qtbot.keyClick(view.canvas, Qt.Key.Key_M)
    assert view.toolbar.measure.isChecked()
    start, end = place(view, 300, 200), place(view, 300 + 40, 200 + 30)
    QTest.mousePress(view.canvas, LEFT, NONE, start)
    QTest.mouseMove(view.canvas, (start + end) / 2)
    QTest.mouseMove(view.canvas, end)
    QTest.mouseRelease(view.canvas, LEFT, NONE, end)
    assert view.measure.line.text().startswith("75.0 Å = 50.0 px")
    before = rgb(view.grab_image())
    qtbot.keyClick(view.canvas, Qt.Key.Key_Escape)
    assert view.measure.line.ends is None
    assert not np.array_equal(before, rgb(view.grab_image()))


# -- panels, frames -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "name"), [(Qt.Key.Key_T, "spectrum"), (Qt.Key.Key_H, "info")])
def test_panels_come_and_go_by_key(view, qtbot, key, name):
    width = view.canvas.width()
    qtbot.keyClick(view.canvas, key)
    assert view.panels.open_names() == {name}
    qtbot.waitUntil(lambda: view.canvas.width() < 0.8 * width)
    assert view.panels.width() > 0.2 * view.width()
    view.panels.tabCloseRequested.emit(0)
    assert view.panels.open_names() == set()
    assert not view.toolbar.panels[name].isChecked()


def test_stacks_have_a_slider(view, qtbot):
    assert not view.frames.isVisible()
    image = noise(64, 64)
    view.set_pyramid(build_pyramid(image, 1.0, "stack.mrcs", n=20, index=3))
    assert view.frames.isVisible()
    with qtbot.waitSignal(view.frame_chosen) as got:
        view.frames.step(1)
    assert got.args == [4]
    view.set_pyramid(build_pyramid(image, 1.0, "one.mrc"))
    assert not view.frames.isVisible()


# -- saving ---------------------------------------------------------------------------------------------------


def test_the_picture_goes_to_the_clipboard(view, qtbot):
    qtbot.keyClick(view.canvas, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    image = QApplication.clipboard().image()
    whole = view.grab_image()
    left, top = view.model.origin
    height, width = (round(side * view.model.zoom) for side in (600, 800))
    assert np.array_equal(rgb(image), rgb(whole)[max(top, 0) : top + height, max(left, 0) : left + width])


def test_the_whole_image_is_saved_with_its_label(view, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "memory", {"folder": str(tmp_path)})
    with qtbot.waitSignal(view.look.filtered):
        view.look.set_band(Band(20.0))
    exportable = view._exportable()
    assert exportable.labels == ("low-pass 20 Å",)
    said = []
    view.said.connect(said.append)
    view.saving.save()
    dialog = next(w for w in QApplication.topLevelWidgets() if w.windowTitle() == "Save picture")
    dialog.choice.setCurrentIndex(1)
    qtbot.mouseClick(dialog.save, LEFT)
    qtbot.waitUntil(lambda: any("Saved" in text for text in said), timeout=10_000)
    made = list(tmp_path.iterdir())
    assert len(made) == 1
    ny, nx = view.scene.pyramid.levels[0].shape  # a filtered picture has no finer pixels
    assert QImage(str(made[0])).size().toTuple() == (nx, ny)
    assert "low-pass" in made[0].name


# -- keyboard -------------------------------------------------------------------------------------------------


def test_the_value_under_the_cursor_stays_while_zooming(view, qtbot):
    QTest.mouseMove(view.canvas, place(view, 300, 200))
    assert "value" in view._status.text()
    qtbot.keyClick(view.canvas, Qt.Key.Key_Plus)
    assert "value" in view._status.text()


def test_keys_of_the_view_work_beside_the_picture_but_not_while_typing(qtbot, window, micrographs):
    from PySide6.QtWidgets import QLineEdit

    home = window.home
    home.open_paths([micrographs])
    qtbot.waitUntil(lambda: home.view.pyramid is not None and not home.files.reading, timeout=20_000)
    home.view.model.set_zoom(3.0)
    home.panel.list.setFocus()
    qtbot.keyClick(home.panel.list, Qt.Key.Key_F)
    assert home.view.model.fitted
    box = home.panel.box.findChild(QLineEdit)
    box.setFocus()
    box.selectAll()
    qtbot.keyClick(box, Qt.Key.Key_1)
    assert home.view.model.fitted
    assert box.text().startswith("1")


def test_tab_reaches_the_toolbar(view, qtbot):
    view.canvas.setFocus()
    seen = set()
    for _ in range(30):
        view.window().focusNextChild()
        seen.add(QApplication.focusWidget())
    wanted = {view.toolbar.bar, view.toolbar.look, view.toolbar.measure, view.toolbar.save}
    assert wanted <= seen


def test_the_contrast_bar_keeps_its_own_keys(qtbot, window, micrographs):
    home = window.home
    home.open_paths([micrographs])
    qtbot.waitUntil(lambda: home.view.pyramid is not None and not home.files.reading, timeout=20_000)
    bar = home.view.toolbar.bar
    bar.setFocus()
    before = bar.levels
    qtbot.keyClick(bar, Qt.Key.Key_PageUp)
    assert home.panel.list.current().name == "a.mrc"
    assert bar.levels > before
    qtbot.keyClick(bar, Qt.Key.Key_A)
    assert home.view.automatic


def test_the_user_can_give_the_pixel_size_of_a_folder(view, qtbot, tmp_path, monkeypatch):
    from app.viewer import pixel_size

    monkeypatch.setattr(pixel_size, "_given", {})
    path = tmp_path / "a.tif"
    view.set_pyramid(build_pyramid(noise(), None, "a.tif"), path=path)
    assert view.scene.pixel_size_a is None
    view.ask_pixel_size()
    dialog = view.findChild(pixel_size.PixelSizeDialog)
    dialog.box.set_value(1.82)
    accept = next(b for b in dialog.findChildren(QPushButton) if "OK" in b.text())
    with qtbot.waitSignal(view.pixel_size_changed):
        qtbot.mouseClick(accept, LEFT)
    assert view.scene.pixel_size_a == 1.82
    view.set_pyramid(build_pyramid(noise(seed=1), None, "b.tif"), path=tmp_path / "b.tif")
    assert view.pyramid.pixel_size_a == 1.82
    assert "1.82 Å/px" in view._status.text()
    view.set_pyramid(build_pyramid(noise(seed=1), 3.0, "c.mrc"), path=tmp_path / "other" / "c.mrc")
    assert view.pyramid.pixel_size_a == 3.0


def test_the_label_of_a_filter_is_in_the_copied_picture(view, qtbot):
    view.model.set_zoom(0.4)
    plain = rgb(view.grab_picture())
    with qtbot.waitSignal(view.look.filtered):
        view.look.set_band(Band(20.0))
    labelled = rgb(view.grab_picture())
    corner = (slice(5, 30), slice(5, 120))
    assert plain.shape == labelled.shape
    assert (labelled[corner] > 240).sum() > 50  # white letters on a shade
    assert labelled[corner].mean() < 0.8 * plain[corner].mean()


def test_what_a_picture_is_stays_written_on_it_with_and_without_a_filter(view, qtbot):
    made = build_pyramid(noise(), 1.5, "m.eer")
    view.set_pyramid(replace(made, label="sum of 9 raw frames"))
    assert view.scene.caption == "sum of 9 raw frames"
    with qtbot.waitSignal(view.look.filtered):
        view.look.set_band(Band(20.0))
    assert view.scene.caption == "sum of 9 raw frames, low-pass 20 Å"
    view.set_pyramid(made)
    assert "raw frames" not in view.scene.caption
