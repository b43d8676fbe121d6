"""The comparison: linked cursor, both values, look, legend, panels, saving. With real events."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, QRect, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.viewer.compare_view import CompareView
from app.viewer.legend import value_text
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
    view = CompareView(painter="raster")
    qtbot.addWidget(view)
    view.resize(1000, 700)
    with qtbot.waitExposed(view):
        view.show()
    raw = noise()
    view.set_pair(build_pyramid(raw, 1.5, "raw.mrc"), build_pyramid(raw * 0.5 + 50, 1.5, "den.mrc"), "m.mrc")
    view.canvas.setFocus()
    at_rest(qtbot, view)
    return view


def at_rest(qtbot, view):
    frames = []
    view.canvas.painted.connect(frames.append)
    view.canvas.surface.update()
    qtbot.waitUntil(lambda: bool(frames) and frames[-1] and not view.canvas.moving, timeout=20000)
    view.canvas.painted.disconnect(frames.append)


def place(view, x, y, side=0):
    panel = view.scene.panels(view.canvas.device_rect())[side]
    sx, sy = view.model.to_screen(x, y)
    return QPoint(round((panel.left() + sx) / view.canvas.ratio), round(sy / view.canvas.ratio))


def on_screen(view):
    return rgb(view.canvas.surface.grab().toImage())


# -- linked cursor ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [0, 1])
def test_the_cross_is_in_the_other_panel_at_the_same_place(view, qtbot, side):
    before = on_screen(view)
    QTest.mouseMove(view.canvas, place(view, 300, 200, side))
    at_rest(qtbot, view)
    changed = np.argwhere((on_screen(view) != before).any(axis=-1))
    assert len(changed) > 20
    middle = (changed.min(axis=0) + changed.max(axis=0)) / 2
    x, y = view.scene.cursor.position
    assert (x, y) == pytest.approx((300, 200), abs=1.5 / view.model.zoom)
    wanted = place(view, x, y, 1 - side) * view.canvas.ratio
    assert middle == pytest.approx((wanted.y(), wanted.x()), abs=2)
    QTest.mouseMove(view.canvas, QPoint(5, 2))  # beside the picture
    at_rest(qtbot, view)
    assert np.array_equal(on_screen(view), before)


def test_moving_the_mouse_paints_little(view, qtbot, monkeypatch):
    exposed = []
    draw = view.scene.draw_over

    def spy(painter, device, style):
        clip = painter.clipBoundingRect()
        exposed.append(clip.width() * clip.height())
        return draw(painter, device, style)

    monkeypatch.setattr(view.scene, "draw_over", spy)
    for x in range(200, 240, 4):
        QTest.mouseMove(view.canvas, place(view, x, 200))
        QApplication.processEvents()
    assert exposed
    assert max(exposed) < 0.01 * view.canvas.width() * view.canvas.height()


@pytest.mark.parametrize("mode", ["swipe", "blink", "difference"])
def test_one_picture_needs_no_cross(view, qtbot, mode):
    view.set_mode(mode)
    at_rest(qtbot, view)
    before = on_screen(view)
    QTest.mouseMove(view.canvas, QPoint(200, 250))  # the pointer of the test before may be at the other place
    QTest.mouseMove(view.canvas, QPoint(300, 300))
    QApplication.processEvents()
    assert np.array_equal(on_screen(view), before)
    assert "difference" in view._status.text()


def test_what_a_pan_moves_is_what_is_painted_anew(view, qtbot):
    view.model.set_zoom(2.0)
    QTest.mouseMove(view.canvas, place(view, 400, 300))
    QTest.mousePress(view.canvas, LEFT, NONE, place(view, 400, 300))
    for step in range(1, 8):
        QTest.mouseMove(view.canvas, place(view, 400, 300) + QPoint(3, 2))
        QApplication.processEvents()
        assert step
    QTest.mouseRelease(view.canvas, LEFT, NONE, place(view, 400, 300))
    qtbot.keyClick(view.canvas, Qt.Key.Key_Right)
    at_rest(qtbot, view)
    assert np.array_equal(on_screen(view), rgb(view.canvas.grab_sharp()))


def test_both_values_and_their_difference_are_told(view):
    QTest.mouseMove(view.canvas, place(view, 300, 200))
    x, y = (round(c) for c in view.scene.cursor.position)
    raw = float(view.pair[0].levels[0][y, x])
    other = float(view.pair[1].levels[0][y, x])
    text = view._status.text()
    assert f"x {x}, y {y} px" in text
    assert f"raw {raw:.6g}" in text
    assert f"denoised {other:.6g}" in text
    assert f"difference {raw - other:.6g}" in text


# -- look ---------------------------------------------------------------------------------------------------


def test_the_contrast_slider_and_the_wheel_move_each_other(view, qtbot):
    slider = view.toolbar.contrast
    qtbot.keyClick(view.canvas, Qt.Key.Key_Period)
    assert view.model.contrast.spread == pytest.approx(1 / 1.1)
    assert slider.value() > 0
    turned = slider.value()
    spot = QPointF(200, 200)
    turn = QWheelEvent(
        spot,
        view.canvas.mapToGlobal(spot),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.AltModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(view.canvas, turn)
    assert slider.value() > turned
    slider.setFocus()
    qtbot.keyClick(slider, Qt.Key.Key_Left)
    assert view.model.contrast.spread == pytest.approx(4 ** (-slider.value() / 100))
    view.canvas.setFocus()
    qtbot.keyClick(view.canvas, Qt.Key.Key_A)
    assert slider.value() == 0
    assert view.model.contrast.spread == 1.0


def test_the_filter_is_for_both_and_is_written_on_them(view, qtbot):
    with qtbot.waitSignal(view.look.filtered):
        qtbot.keyClick(view.canvas, Qt.Key.Key_L)
    assert view.scene.captions() == ["raw, low-pass 20 Å", "denoised, low-pass 20 Å: for seeing and picking"]
    assert all(shown is not own for shown, own in zip(view.scene.pyramids, view.pair, strict=True))
    view.set_mode("difference")
    assert view.scene.captions() == ["raw minus denoised, low-pass 20 Å: what was removed"]
    QTest.mouseMove(view.canvas, place(view, 300, 200))
    x, y = view.scene.cursor.position
    assert view.values(x, y)[0] == view.pair[0].levels[0][round(y), round(x)]
    qtbot.keyClick(view.canvas, Qt.Key.Key_L)
    assert view.scene.pyramids == view.pair
    assert view.scene.captions() == ["raw minus denoised: what was removed"]


def test_colours_inversion_and_modes_by_key(view, qtbot):
    qtbot.keyClick(view.canvas, Qt.Key.Key_V)
    qtbot.keyClick(view.canvas, Qt.Key.Key_I)
    assert (view.model.contrast.lut, view.model.contrast.invert) == ("viridis", True)
    for key, mode in ((Qt.Key.Key_W, "swipe"), (Qt.Key.Key_D, "difference"), (Qt.Key.Key_S, "side")):
        qtbot.keyClick(view.canvas, key)
        assert view.mode == mode


def test_the_legend_has_zero_in_its_middle_and_the_colours_of_the_ends(view, qtbot):
    raw = np.zeros((600, 800), np.float32)
    other = raw.copy()
    other[:300] = 40
    view.set_pair(build_pyramid(raw, 1.5), build_pyramid(other, 1.5))
    view.set_mode("difference")
    look = view.scene._difference_look(*view.pair)
    assert look.black == -look.white
    boxes = view.scene.draw_over
    from PySide6.QtGui import QPainter

    image = QImage(view.canvas.device_rect().size(), QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.gray)
    painter = QPainter(image)
    legend = boxes(painter, view.canvas.device_rect(), view.canvas.style_now())[-1]
    painter.end()
    assert view.canvas.device_rect().contains(legend)
    pixels = rgb(image)[legend.top() : legend.bottom(), legend.left() : legend.right()]
    blue, red = pixels[..., 0] - pixels[..., 2], pixels[..., 2] - pixels[..., 0]
    assert np.argwhere(blue > 60)[:, 1].max() < legend.width() / 2 < np.argwhere(red > 60)[:, 1].min()


def test_values_of_the_legend_are_short_and_signed():
    assert [value_text(v) for v in (-8512.3, 0.0, 8512.3, 0.01234)] == ["−8500", "0", "+8500", "+0.012"]


# -- tools and panels ---------------------------------------------------------------------------------------


def test_measuring_is_in_both_panels(view, qtbot):
    qtbot.keyClick(view.canvas, Qt.Key.Key_M)
    assert view.toolbar.measure.isChecked()
    QTest.mousePress(view.canvas, LEFT, NONE, place(view, 100, 300))
    QTest.mouseMove(view.canvas, place(view, 200, 300))
    QTest.mouseMove(view.canvas, place(view, 300, 300))
    QTest.mouseRelease(view.canvas, LEFT, NONE, place(view, 300, 300))
    x0, _, x1, _ = view.measure.line.ends
    assert x1 - x0 == pytest.approx(200, abs=2 / view.model.zoom)
    assert " Å = " in view.measure.line.text()
    qtbot.keyClick(view.canvas, Qt.Key.Key_Escape)
    assert view.measure.line.ends is None
    assert not view.toolbar.measure.isChecked()


def test_agreement_opens_by_key_and_button_and_follows_the_pair(view, qtbot):
    qtbot.keyClick(view.canvas, Qt.Key.Key_G)
    frc = view.panels.panels["frc"]
    qtbot.waitUntil(lambda: frc.result is not None, timeout=20000)
    assert frc.result.correlation[1:].min() > 0.99  # a linear change of values
    assert "share their noise" in frc.note.text()
    assert frc.note.isVisible()
    view.set_pair(build_pyramid(noise(seed=1), 1.5), build_pyramid(noise(seed=2), 1.5))
    qtbot.waitUntil(lambda: frc.result is not None and frc.result.correlation[20:].max() < 0.9, timeout=20000)
    qtbot.mouseClick(view.toolbar.panels["frc"], LEFT)
    assert not view.panels.isVisible()


def test_spectrum_of_the_chosen_picture_and_information_about_both(view, qtbot, tmp_path):
    qtbot.keyClick(view.canvas, Qt.Key.Key_T)
    spectrum = view.panels.panels["spectrum"]
    qtbot.waitUntil(lambda: spectrum.panel.spectrum is not None, timeout=20000)
    first = spectrum.panel.spectrum
    spectrum.side.setFocus()
    qtbot.keyClick(spectrum.side, Qt.Key.Key_Down)
    assert spectrum.side.currentText() == "denoised"
    qtbot.waitUntil(lambda: spectrum.panel.spectrum not in (None, first), timeout=20000)
    assert spectrum.panel.spectrum.power[5:].mean() == pytest.approx(first.power[5:].mean() / 4, rel=0.05)
    view.canvas.setFocus()
    qtbot.keyClick(view.canvas, Qt.Key.Key_H)
    info = view.panels.panels["info"]
    qtbot.waitUntil(lambda: all(panel.groups for panel in info.panels), timeout=20000)
    means = [dict(panel.groups[-1][1])["Mean"] for panel in info.panels]
    assert means[0] != means[1] or view.pair[0] is view.pair[1]
    assert [title.text() for title in info.titles] == ["raw", "denoised"]


def test_the_controls_fit_beside_a_form_and_a_list(view):
    view.set_mode("blink")  # one button more
    assert view.toolbar.minimumSizeHint().width() <= 700


def test_different_pixel_sizes_give_no_common_length(view):
    view.set_pair(build_pyramid(noise(), 1.0), build_pyramid(noise(seed=1), 2.0))
    assert view.scene.pixel_sizes == (1.0, 2.0)
    assert view.measure.line.pixel_size_a is None
    QTest.mouseMove(view.canvas, place(view, 300, 200))
    assert "Å" not in view._status.text()


# -- saving -------------------------------------------------------------------------------------------------


def test_a_copy_has_both_pictures_and_their_labels(view, qtbot):
    qtbot.keyClick(view.canvas, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    image = QApplication.clipboard().image()
    assert image.size() == view.canvas.device_rect().size()
    assert np.array_equal(rgb(image), rgb(view.canvas.grab_sharp()))


def test_what_is_seen_and_each_whole_image_can_be_saved(view, qtbot, tmp_path, monkeypatch):
    from app.viewer import saving
    from app.viewer.export_dialog import ExportDialog

    monkeypatch.setattr(saving, "memory", {})
    for what, name in (("seen", "m_raw_denoised_view.png"), ("first", "m_raw.png"), ("second", "m_denoised.png")):
        view.toolbar.saves[what].trigger()
        dialog = view.findChildren(ExportDialog)[-1]
        dialog.path.setText(str(tmp_path / name))
        assert dialog.exportable.labels
        with qtbot.waitSignal(dialog.saved, timeout=20000):
            qtbot.mouseClick(dialog.save, LEFT)
        dialog.deleteLater()
        image = QImage(str(tmp_path / name))
        size = (image.width(), image.height())
        if what == "seen":
            assert np.array_equal(rgb(image), rgb(view.canvas.grab_sharp()))  # labelled once
        else:
            assert size == (800, 600)
    first, second = (rgb(QImage(str(tmp_path / n))) for n in ("m_raw.png", "m_denoised.png"))
    assert not np.array_equal(first, second)  # the label differs


# -- what comes in parts ------------------------------------------------------------------------------------


def test_a_preview_is_shown_but_not_computed_with(view, qtbot):
    qtbot.keyClick(view.canvas, Qt.Key.Key_G)
    whole = build_pyramid(noise(seed=3), 1.5, "n")
    preview = Pyramid(whole.levels[1:], 1.5, "n", finest=1, image_shape=whole.shape, preview=True)
    view.set_pair(preview, view.pair[1])
    assert view.scene.pyramids[0] is preview
    assert view.panels._sides[0].picture is not preview
    view.set_pair(whole, view.pair[1])
    assert view.panels._sides[0].picture is whole


def test_zoom_place_and_look_stay_for_the_next_pair(view):
    view.model.set_zoom(2.5)
    view.model.pan(40, 30)
    view.model.set_contrast(gamma=1.5, invert=True)
    centre = view.model.centre
    view.set_pair(build_pyramid(noise(seed=5), 1.5), None)
    view.set_pair(build_pyramid(noise(seed=5), 1.5), build_pyramid(noise(seed=6), 1.5))
    assert (view.model.zoom, view.model.centre) == (2.5, centre)
    assert (view.model.contrast.gamma, view.model.contrast.invert) == (1.5, True)


def test_images_of_a_stack_are_asked_for(view, qtbot):
    raw = noise()
    view.set_pair(build_pyramid(raw, 1.5, "s", n=5, index=1), None)
    assert view.frames.isVisible()
    with qtbot.waitSignal(view.frame_chosen) as got:
        qtbot.keyClick(view.canvas, Qt.Key.Key_BracketRight)
    assert got.args == [2]


def test_words_over_pictures_leave_the_middle_free(view):
    view.set_message("Loading next.mrc …")
    image = QImage(view.canvas.device_rect().size(), QImage.Format.Format_RGB32)
    from PySide6.QtGui import QPainter

    painter = QPainter(image)
    areas = view.scene.draw_words(painter, QRect(0, 400, 900, 200), view.canvas.style_now(), True)
    painter.end()
    assert areas[0].top() >= 400


def test_tab_reaches_the_toolbar(view):
    view.setFocus()
    assert QApplication.focusWidget() is view.canvas
    seen = set()
    for _ in range(30):
        view.window().focusNextChild()
        seen.add(QApplication.focusWidget())
    assert {view.toolbar.look, view.toolbar.save} <= seen
