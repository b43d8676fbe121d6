"""The viewer's widgets with real mouse, wheel and key events; and what they paint, pixel by pixel."""

import math

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.viewer import gl_probe
from app.viewer.boxes import NOISE_COLOUR, PARTICLE_COLOUR, BoxLayer
from app.viewer.compare_view import CompareView
from app.viewer.image_view import ImageView
from core.images.pyramid import build_pyramid

LEFT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
NONE = Qt.KeyboardModifier.NoModifier


def noise(ny=600, nx=800, seed=0):
    return np.random.default_rng(seed).normal(100, 10, (ny, nx)).astype(np.float32)


def pyramid(image=None, pixel=1.5, name="m.mrc"):
    return build_pyramid(noise() if image is None else image, pixel, name)


@pytest.fixture
def view(qtbot):
    view = ImageView()
    qtbot.addWidget(view)
    view.resize(900, 700)
    with qtbot.waitExposed(view):
        view.show()
    view.set_pyramid(pyramid())
    view.canvas.setFocus()
    return view


def place(view, x, y):
    """Widget position of an image position."""
    sx, sy = view.model.to_screen(x, y)
    ratio = view.canvas.ratio
    return QPoint(round(sx / ratio), round(sy / ratio))


def wheel(canvas, position, steps, modifiers=NONE):
    event = QWheelEvent(
        QPointF(position),
        QPointF(canvas.mapToGlobal(position)),
        QPoint(),
        QPoint(0, 120 * steps),
        Qt.MouseButton.NoButton,
        modifiers,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(canvas, event)


def drag(canvas, button, start, end, modifiers=NONE):
    QTest.mousePress(canvas, button, modifiers, start)
    for part in (0.25, 0.5, 0.75, 1.0):
        QTest.mouseMove(canvas, start + (end - start) * part)
    QTest.mouseRelease(canvas, button, modifiers, end)


def grey(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_Grayscale8)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : image.width()].astype(float)


# -- gestures -------------------------------------------------------------------------------------------


def test_wheel_zooms_at_the_cursor(view):
    spot = place(view, 200, 150)
    zoom = view.model.zoom
    wheel(view.canvas, spot, 3)
    assert view.model.zoom == pytest.approx(zoom * 1.25**3)
    assert (place(view, 200, 150) - spot).manhattanLength() <= 2
    wheel(view.canvas, spot, -3)
    assert view.model.zoom == pytest.approx(zoom)


@pytest.mark.parametrize("button", [LEFT, MIDDLE])
def test_drag_pans(view, button):
    view.model.set_zoom(2.0)
    left, top = view.model.origin
    drag(view.canvas, button, QPoint(300, 300), QPoint(350, 280))
    ratio = view.canvas.ratio
    assert view.model.origin == pytest.approx((left + 50 * ratio, top - 20 * ratio), abs=1)


def test_keys(view, qtbot):
    zoom = view.model.zoom
    qtbot.keyClick(view.canvas, Qt.Key.Key_1)
    assert view.model.zoom == 1.0
    qtbot.keyClick(view.canvas, Qt.Key.Key_Plus)
    assert view.model.zoom == 1.25
    qtbot.keyClick(view.canvas, Qt.Key.Key_Minus)
    x = view.model.centre[0]
    qtbot.keyClick(view.canvas, Qt.Key.Key_Right)
    assert view.model.centre[0] > x
    qtbot.keyClick(view.canvas, Qt.Key.Key_F)
    assert view.model.zoom == zoom
    qtbot.keyClick(view.canvas, Qt.Key.Key_I)
    assert view.scene.look().invert
    qtbot.keyClick(view.canvas, Qt.Key.Key_I)
    assert not view.scene.look().invert
    view.model.set_zoom(3.0)
    QTest.mouseDClick(view.canvas, LEFT, NONE, QPoint(100, 100))
    assert view.model.fitted


def test_clicks_pick_only_while_picking(view, qtbot):
    clicks, erased = [], []
    view.clicked.connect(lambda x, y, modifiers: clicks.append((x, y)))
    view.erase_requested.connect(lambda x, y: erased.append((x, y)))
    QTest.mouseClick(view.canvas, LEFT, NONE, place(view, 400, 300))
    assert clicks == []
    view.set_picking(True)
    view.model.set_zoom(2.0)
    QTest.mouseClick(view.canvas, LEFT, NONE, place(view, 400, 300))
    assert clicks[0] == pytest.approx((400, 300), abs=0.5)
    for modifier in (CTRL, SHIFT):
        QTest.mouseClick(view.canvas, LEFT, modifier, place(view, 410, 310))
    assert len(clicks) == 1
    assert len(erased) == 2
    assert erased[0] == pytest.approx((410, 310), abs=0.5)


def test_picking_outside_the_image_does_nothing(view):
    view.set_picking(True)
    clicks = []
    view.clicked.connect(lambda *args: clicks.append(args))
    view.model.set_zoom(view.model.min_zoom)
    QTest.mouseClick(view.canvas, LEFT, NONE, QPoint(3, 3))
    assert clicks == []


def test_in_picking_mode_drags_move_boxes_and_space_or_middle_pans(view, qtbot):
    view.set_picking(True)
    view.model.set_zoom(2.0 * view.canvas.ratio)
    seen = []
    for name in ("clicked", "drag_started", "dragged", "drag_finished"):
        getattr(view, name).connect(lambda *args, name=name: seen.append((name, *args[:2])))
    start, end = place(view, 400, 300), place(view, 430, 320)
    origin = view.model.origin
    drag(view.canvas, LEFT, start, end)
    names = [entry[0] for entry in seen]
    assert names[0] == "drag_started"
    assert names[-1] == "drag_finished"
    assert "dragged" in names
    assert "clicked" not in names
    assert seen[0][1:] == pytest.approx((400, 300), abs=0.5)
    assert seen[-1][1:] == pytest.approx((430, 320), abs=0.5)
    assert view.model.origin == origin
    drag(view.canvas, MIDDLE, start, end)
    ratio = view.canvas.ratio
    assert view.model.origin == pytest.approx((origin[0] + 60 * ratio, origin[1] + 40 * ratio), abs=2)
    QTest.keyPress(view.canvas, Qt.Key.Key_Space)
    drag(view.canvas, LEFT, end, start)
    QTest.keyRelease(view.canvas, Qt.Key.Key_Space)
    assert view.model.origin == pytest.approx(origin, abs=3)
    assert len(seen) == len(names)


def test_a_double_click_while_picking_adds_one_box(view):
    view.set_picking(True)
    clicks = []
    view.clicked.connect(lambda *args: clicks.append(args))
    view.model.set_zoom(2.0)
    spot = place(view, 400, 300)
    QTest.mouseClick(view.canvas, LEFT, NONE, spot)
    QTest.mouseDClick(view.canvas, LEFT, NONE, spot)  # the second half of a physical double click
    QTest.mouseRelease(view.canvas, LEFT, NONE, spot)
    assert len(clicks) == 1
    assert view.model.zoom == 2.0


def test_ctrl_wheel_changes_the_size_while_picking(view):
    steps = []
    view.size_step.connect(steps.append)
    view.set_picking(True)
    zoom = view.model.zoom
    wheel(view.canvas, QPoint(100, 100), 1, CTRL)
    wheel(view.canvas, QPoint(100, 100), -1, CTRL)
    assert steps == [1, -1]
    assert view.model.zoom == zoom


def test_the_cursor_reports_position_and_raw_value(view, qtbot):
    values = pyramid().levels[0]
    view.model.set_zoom(4.0)
    with qtbot.waitSignal(view.cursor_moved) as got:
        QTest.mouseMove(view.canvas, place(view, 412, 305))
    x, y, value = got.args
    assert (round(x), round(y)) == (412, 305)
    assert value == values[305, 412]
    text = view._status.text()
    assert "x 412, y 305 px" in text
    assert "Å" in text
    view.model.set_zoom(view.model.min_zoom)
    with qtbot.waitSignal(view.cursor_moved) as got:
        QTest.mouseMove(view.canvas, QPoint(2, 2))
    assert all(math.isnan(number) for number in got.args)


# -- what is painted ------------------------------------------------------------------------------------


def test_a_fitted_view_shows_area_means(view):
    image = noise(2048, 2048)
    view.set_pyramid(build_pyramid(image, 1.0, "big"))
    shown = grey(view.grab_image())
    left, top = view.model.origin
    side = round(2048 * view.model.zoom)
    shown = shown[top : top + side, left : left + side]
    edges = np.linspace(0, 2048, side + 1).round().astype(int)
    exact = np.add.reduceat(np.add.reduceat(image, edges[:-1], 0), edges[:-1], 1)
    exact /= np.outer(np.diff(edges), np.diff(edges))
    inner = (slice(20, -80), slice(20, -20))  # the scale bar is at the bottom
    assert np.corrcoef(shown[inner].ravel(), exact[inner].ravel())[0, 1] > 0.95


def test_one_to_one_shows_the_pixels_themselves(view):
    values = pyramid().levels[0]
    view.one_to_one()
    shown = grey(view.grab_image())
    left, top = view.model.origin
    ys, xs = np.arange(150, 400), np.arange(100, 700)
    seen = shown[ys[:, None] + top, xs + left]
    levels = view.scene.look()
    expected = np.clip((values[150:400, 100:700] - levels.black) / (levels.white - levels.black), 0, 1) * 255
    assert np.abs(seen - expected).max() <= 1


def test_tiles_come_in_several_turns_and_end_sharp(view, qtbot, monkeypatch):
    monkeypatch.setattr("app.viewer.canvas.PAINT_SECONDS", 0.005)
    view.model.set_zoom(0.37)
    frames = []
    view.canvas.painted.connect(frames.append)
    qtbot.waitUntil(lambda: bool(frames) and frames[-1])
    assert not frames[0]  # a quick picture first
    sharp = grey(view.grab_image())
    assert np.array_equal(grey(view.canvas.surface.grab().toImage()), sharp)


def test_boxes_are_drawn_where_they_are_and_only_if_visible(view):
    view.set_pyramid(build_pyramid(np.zeros((600, 800), np.float32), 1.0, "flat"))
    view.one_to_one()
    layer = BoxLayer(np.array([[400.0, 300.0], [-1e6, 0.0]]), 64, NOISE_COLOUR, "box")
    assert len(layer.seen(view.model)) == 1
    view.set_layers([layer, BoxLayer(np.array([[500.0, 300.0]]), 64, PARTICLE_COLOUR, "circle")])
    image = view.grab_image()
    left, top = view.model.origin

    def colour(x, y):
        return image.pixelColor(left + x, top + y)

    assert any(colour(400 - 32 + k, 300).red() > 200 and colour(400 - 32 + k, 300).blue() < 80 for k in (-1, 0, 1))
    assert any(colour(500 + 32 + k, 300).blue() > 200 for k in (-2, -1, 0, 1))
    assert colour(400, 300).red() == colour(400, 300).blue()
    hidden = view.layers
    view.set_layers([BoxLayer(layer.centres, 64, visible=False)])
    assert hidden != view.layers
    image = view.grab_image()
    assert all(colour(400 - 32 + k, 300).red() == colour(400 - 32 + k, 300).blue() for k in (-1, 0, 1))


def test_thousands_of_boxes_outside_the_view_cost_nothing(view):
    view.model.set_zoom(8.0 * view.canvas.ratio)
    many = np.random.default_rng(0).uniform(0, 800, (20000, 2))
    assert len(BoxLayer(many, 10).seen(view.model)) < 600


def test_messages_and_no_picture(view):
    view.set_pyramid(None)
    view.set_message("Drop micrographs here")
    empty = grey(view.grab_image())
    assert empty.std() > 0
    view.set_pyramid(pyramid())
    assert view.scene.message == ""
    view.set_pyramid(pyramid(pixel=None))
    assert view.model.scale_bar(view.scene.pixel_size_a, 100) is None


def test_an_exception_while_painting_is_logged_and_survived(view, qtbot, monkeypatch, caplog):
    def broken(*_args):
        raise RuntimeError("paint")

    with monkeypatch.context() as patched:
        patched.setattr(view.scene, "pictures", broken)
        view.canvas.surface.repaint()
        view.canvas.surface.repaint()
    assert caplog.text.count("could not paint") == 1
    view.canvas.surface.repaint()


# -- contrast -------------------------------------------------------------------------------------------


def test_automatic_contrast_follows_the_zoom_until_the_user_fixes_it(view, qtbot):
    view.one_to_one()
    wide = view.scene.look()
    view.model.set_zoom(0.5)
    narrow = view.scene.look()
    assert narrow.white - narrow.black < 0.6 * (wide.white - wide.black)
    qtbot.keyClick(view.toolbar.bar, Qt.Key.Key_Right)
    fixed = view.scene.look()
    assert fixed.black > narrow.black
    assert not view.automatic
    view.one_to_one()
    view.set_pyramid(pyramid(noise(seed=5) + 1000))
    assert view.scene.look() == fixed
    qtbot.keyClick(view.canvas, Qt.Key.Key_A)
    assert view.automatic
    assert view.scene.look().black > 900


def test_the_levels_bar_by_mouse(view):
    bar = view.toolbar.bar
    black, white = bar.levels
    y = bar.height() // 2
    handle = QPoint(round(bar._to_x(white)), y)
    drag(bar, LEFT, handle, handle + QPoint(30, 0))
    assert bar.levels[0] == black
    assert bar.levels[1] > white
    assert view.scene.look().white == bar.levels[1]
    drag(bar, LEFT, QPoint(round(bar._to_x(black)), y), QPoint(bar.width(), y))
    assert bar.levels[0] < bar.levels[1]
    QTest.mouseDClick(bar, LEFT, NONE, handle)
    assert view.automatic


def test_reset_gamma_and_buttons(view):
    view.toolbar.look.click()
    popup = view.look._popup
    popup.gamma.setValue(60)
    popup.lut.setCurrentIndex(1)
    assert view.scene.look().gamma > 1.5
    assert view.scene.look().lut == "viridis"
    view.set_inverted(True)
    view.model.set_zoom(5)
    view.reset()
    assert (view.scene.look().gamma, view.scene.look().invert, view.model.fitted) == (1.0, False, True)


def test_zoom_stays_across_micrographs_of_one_size(view):
    view.model.set_zoom(3.0)
    place_before = view.model.centre
    view.set_pyramid(None)
    view.set_pyramid(pyramid(noise(seed=1)))
    view.set_pyramid(pyramid(noise(seed=2)))
    assert (view.model.zoom, view.model.centre) == (3.0, place_before)
    view.set_pyramid(pyramid(noise(300, 300)))
    assert view.model.fitted


# -- comparing ------------------------------------------------------------------------------------------


@pytest.fixture
def compare(qtbot):
    compare = CompareView()
    qtbot.addWidget(compare)
    compare.resize(1000, 600)
    with qtbot.waitExposed(compare):
        compare.show()
    raw = noise()
    compare.set_pair(pyramid(raw), pyramid(raw * 0.1 + 7, name="d"), "m.mrc")
    compare.canvas.setFocus()
    return compare


def test_side_by_side_shows_the_same_place_twice(compare):
    compare.model.set_zoom(1.0)
    shown = grey(compare.canvas.grab_sharp())
    left, right = compare.scene.panels(compare.canvas.device_rect())
    assert left.size() == right.size()
    rows = slice(100, left.height() - 100)
    one = shown[rows, left.left() : left.right()]
    two = shown[rows, right.left() : right.right()]
    assert np.abs(one - two).max() <= 1  # own levels: a linear change of values is invisible


def test_a_drag_across_the_gap_pans_without_a_jump(compare):
    compare.model.set_zoom(3.0)
    left, top = compare.model.origin
    ratio = compare.canvas.ratio
    middle = round(compare.scene.panels(compare.canvas.device_rect())[1].left() / ratio)
    drag(compare.canvas, LEFT, QPoint(middle - 40, 200), QPoint(middle + 40, 220))
    assert compare.model.origin == pytest.approx((left + 80 * ratio, top + 20 * ratio), abs=1)


def test_the_wheel_works_in_both_panels(compare):
    _, right = compare.scene.panels(compare.canvas.device_rect())
    ratio = compare.canvas.ratio
    spot = QPoint(round(right.left() / ratio) + 100, 120)
    before = compare.model.to_image(100 * ratio, 120 * ratio)
    wheel(compare.canvas, spot, 2)
    assert compare.model.to_image(100 * ratio, 120 * ratio) == pytest.approx(before, abs=2)


def test_modes_by_key_and_button(compare, qtbot):
    for key, mode in ((Qt.Key.Key_W, "swipe"), (Qt.Key.Key_D, "difference"), (Qt.Key.Key_S, "side")):
        with qtbot.waitSignal(compare.mode_changed):
            qtbot.keyClick(compare.canvas, key)
        assert compare.mode == mode
        assert compare.toolbar.modes[mode].isChecked()
        compare.canvas.grab_sharp()
    qtbot.mouseClick(compare.toolbar.modes["blink"], LEFT)
    assert compare.mode == "blink"
    with pytest.raises(ValueError):
        compare.set_mode("upside down")


def test_blink_shows_raw_while_b_is_held(compare, qtbot):
    compare.set_pair(pyramid(noise(seed=1)), pyramid(noise(seed=2)))
    compare.set_mode("blink")
    denoised = grey(compare.canvas.grab_sharp())
    QTest.keyPress(compare.canvas, Qt.Key.Key_B)
    raw = grey(compare.canvas.grab_sharp())
    QTest.keyRelease(compare.canvas, Qt.Key.Key_B)
    assert not np.array_equal(raw, denoised)
    assert np.array_equal(grey(compare.canvas.grab_sharp()), denoised)


def test_swipe_line_is_dragged_without_panning(compare):
    compare.set_mode("swipe")
    origin = compare.model.origin
    start = QPoint(round(compare.scene.divider_x(compare.canvas.device_rect()) / compare.canvas.ratio), 200)
    drag(compare.canvas, LEFT, start, QPoint(250, 200))
    assert compare.scene.divider == pytest.approx(250 / compare.canvas.width(), abs=0.01)
    assert compare.model.origin == origin
    drag(compare.canvas, LEFT, QPoint(600, 200), QPoint(620, 210))
    assert compare.model.origin != origin


def test_the_difference_is_the_difference(compare):
    raw = np.zeros((600, 800), np.float32)
    denoised = raw.copy()
    denoised[300, 400] = -50
    compare.set_pair(pyramid(raw), pyramid(denoised))
    compare.set_mode("difference")
    compare.model.set_zoom(1.0)
    shown = compare.canvas.grab_sharp()
    x, y = (int(c) for c in compare.model.to_screen(400, 300))
    plus, zero = shown.pixelColor(x, y), shown.pixelColor(x + 3, y)
    assert max(abs(plus.red() - zero.red()), abs(plus.blue() - zero.blue())) > 50


def test_incomplete_and_unequal_pairs_are_said_not_crashed(compare, qtbot):
    for mode in ("side", "swipe", "blink", "difference"):
        compare.set_mode(mode)
        for pair in (
            (None, None),
            (pyramid(), None),
            (None, pyramid()),
            (pyramid(), pyramid(noise(300, 400))),
        ):
            compare.set_pair(*pair)
            compare.canvas.grab_sharp()
    assert "sizes" in compare.scene.message


# -- OpenGL probe ---------------------------------------------------------------------------------------


def test_the_probe_always_answers():
    answer = gl_probe.probe(30)
    assert set(answer) >= {"ok", "software", "vendor", "renderer", "version", "reason"}
    assert isinstance(answer["ok"], bool)
    assert answer["ok"] or answer["reason"]


def test_the_probe_survives_silence_crashes_and_noise():
    assert gl_probe.probe(0.001)["reason"].startswith("no answer")
    assert "code -11" in gl_probe.parse("", -11)["reason"]
    assert gl_probe.parse('warning\n{"ok": true, "renderer": "X"}\n[]\n', 0)["renderer"] == "X"
    assert not gl_probe.parse("[1]\n3\n", 0)["ok"]


@pytest.mark.gl
def test_software_gl_is_recognised():
    answer = gl_probe.probe(30)
    assert answer["ok"], answer
    assert answer["software"] == ("llvmpipe" in answer["renderer"])
