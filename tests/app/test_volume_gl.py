"""Surfaces under a virtual X server: they are seen, follow the level, take colours of a companion, turn, are saved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtGui import QColor, QImage
from PySide6.QtOpenGLWidgets import QOpenGLWidget
from PySide6.QtTest import QTest
from volumes import ball, volume

from app import theme
from app.viewer import renderer
from app.viewer.turntable import TurnDialog
from app.viewer.volume_view import VolumeView
from core.volumes.volume import Volume

pytestmark = pytest.mark.gl
ROOT = Path(__file__).resolve().parents[2]
WAIT = 30_000


def rgb(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return rows[:, : image.width(), 2::-1].astype(int)


def lit(view) -> np.ndarray:
    """Which pixels are not the ground."""
    pixels = rgb(view.surface.grab_surface())
    ground = theme.stage()
    return np.abs(pixels - [ground.red(), ground.green(), ground.blue()]).max(axis=2) > 6


@pytest.fixture(params=["raster", "gl"])
def view(qtbot, session, monkeypatch, request):
    monkeypatch.setattr(renderer, "_current", renderer.Choice(request.param, "test", works=True))
    view = VolumeView()
    qtbot.addWidget(view)
    view.resize(1000, 760)
    with qtbot.waitExposed(view):
        view.show()
    yield view
    view.close_view()


def settled(qtbot, view, act) -> None:
    """Do something, and wait for the fine mesh."""
    done: list[bool] = []
    view.surface.drawn.connect(done.append)
    act()
    qtbot.waitUntil(lambda: bool(done) and done[-1], timeout=WAIT)
    view.surface.drawn.disconnect(done.append)


def test_a_ball_is_seen_round_and_in_the_middle(view, qtbot):
    settled(qtbot, view, lambda: view.set_maps(volume(48)))
    seen = lit(view)
    rows, columns = np.nonzero(seen)
    height, width = seen.shape
    assert seen.mean() > 0.05
    assert rows.mean() == pytest.approx(height / 2, abs=3)
    assert columns.mean() == pytest.approx(width / 2, abs=3)
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=4)
    pixels = rgb(view.surface.grab_surface())[seen]
    assert pixels.std() > 8  # shaded
    if renderer.current().name == "raster":  # the window is not composited by OpenGL because of a surface
        assert not view.findChildren(QOpenGLWidget)


def test_x_is_right_and_y_is_down_as_in_the_sections(view, qtbot):
    values = ball(48, 6, at=(24, 36, 12))  # left of the middle, and below it
    settled(qtbot, view, lambda: view.set_maps(Volume(values, 2.0, "m")))
    rows, columns = np.nonzero(lit(view))
    height, width = lit(view).shape
    assert columns.mean() < width / 2 - 20
    assert rows.mean() > height / 2 + 20
    section = view.slices.planes["z"].scene.pyramid.levels[0]
    row, column = np.unravel_index(section.argmax(), section.shape)
    assert row > 24 > column


def test_nearer_things_hide_those_behind(view, qtbot):
    """The hand is true: at the start one looks along +z, so small z is in front."""
    values = ball(48, 9, at=(12, 24, 24)) + ball(48, 9, at=(36, 24, 24))
    x = np.indices((48,) * 3, dtype=np.float32)
    companion = Volume(x[0], 2.0, "z", kind="std")
    settled(qtbot, view, lambda: view.set_maps(Volume(values, 2.0, "m"), [companion]))
    controls = view.surface.controls
    controls.colour.setCurrentIndex(1)
    settled(qtbot, view, controls.colour_chosen.emit)
    middle = rgb(view.surface.grab_surface())
    middle = middle[middle.shape[0] // 2, middle.shape[1] // 2]
    assert middle[2] > middle[1]  # violet: the lowest z; the farther ball would be yellow


def test_the_level_changes_mesh_and_picture(view, qtbot):
    settled(qtbot, view, lambda: view.set_maps(Volume(ball(64, 14, soft=10), 2.0, "soft")))
    before, area = view.surface.gl.drawn(0), lit(view).mean()
    level = view.surface.level
    settled(qtbot, view, lambda: view.surface.controls.slider.setValue(900))
    after = view.surface.gl.drawn(0)
    assert view.surface.level > level
    assert after.level > before.level
    assert np.linalg.norm(after.vertices, axis=1).max() < np.linalg.norm(before.vertices, axis=1).max()
    assert lit(view).mean() < 0.8 * area
    assert f"level {view.surface.level:.4g}" in view.surface.controls.text.text()
    settled(qtbot, view, lambda: view.surface.controls.box.setValue(view.surface.sigma - 0.5))
    assert view.surface.gl.drawn(0).level < after.level
    view.surface.set_sigma(1000.0)
    qtbot.waitUntil(lambda: view.surface.stack.currentWidget() is view.surface.words, timeout=WAIT)
    assert "Nothing is above this level" in view.surface.words.text()


def test_colours_come_from_the_companion(view, qtbot):
    x = np.indices((48,) * 3, dtype=np.float32)[2]
    companion = Volume(x, 2.0, "std.mrc", kind="std", unit="grey")
    settled(qtbot, view, lambda: view.set_maps(volume(48), [companion]))
    plain = rgb(view.surface.grab_surface())[lit(view)]
    assert np.ptp(plain[:, 0] - plain[:, 2]) < 60  # one hue
    controls = view.surface.controls
    controls.colour.setCurrentIndex(1)
    settled(qtbot, view, controls.colour_chosen.emit)
    pixels, seen = rgb(view.surface.grab_surface()), lit(view)
    columns = np.nonzero(seen)[1]
    left, right = np.percentile(columns, (10, 90)).astype(int)
    low = pixels[:, left][seen[:, left]].mean(axis=0)
    high = pixels[:, right][seen[:, right]].mean(axis=0)
    assert low[2] > low[1]  # violet
    assert high[1] > high[2]  # yellow, green
    assert controls.bar.isVisible()
    low_end, high_end = controls.bar.ends
    assert 14 < low_end < 20 < 28 < high_end < 34
    saved = view._surface_picture().picture()
    assert saved.height() > view.surface.grab_surface().height()  # with the bar
    limits = view.surface.colour_limits
    settled(qtbot, view, lambda: controls.slider.setValue(500))
    assert view.surface.colour_limits == limits  # the scale stays while the level moves


def test_choices_level_and_view_stay_for_a_newer_map_of_the_same_box(view, qtbot):
    std = Volume(ball(48, 12, 6), 2.0, "std", kind="std")
    settled(qtbot, view, lambda: view.set_maps(volume(48), [volume(48, kind="half1"), std]))
    controls, surface = view.surface.controls, view.surface
    controls.colour.setCurrentIndex(1)
    settled(qtbot, view, controls.colour_chosen.emit)
    surface.gl.turn(20, 30)
    settled(qtbot, view, lambda: surface.set_sigma(1.5))
    rotation = surface.gl.rotation
    newer = Volume(ball(48, 12, 6), 2.0, "newer", kind="std")
    settled(qtbot, view, lambda: view.set_maps(volume(48), [volume(48, kind="half1"), newer]))
    assert controls.companion is newer
    assert surface.gl.drawn(0).colours is not None
    assert (surface.sigma, surface.gl.rotation) == (1.5, rotation)


def test_a_second_surface_lets_the_first_shine_through(view, qtbot):
    first = Volume(ball(48, 7), 2.0, "map")
    other = Volume(100 * ball(48, 7, at=(12, 24, 28)), 2.0, "other", kind="other")  # another grey scale; in front
    settled(qtbot, view, lambda: view.set_maps(first, [other]))
    alone = lit(view)
    controls = view.surface.controls
    controls.second.setCurrentIndex(controls.second.count() - 1)
    settled(qtbot, view, controls.second_chosen.emit)
    meshes = [view.surface.gl.drawn(place) for place in (0, 1)]
    assert meshes[1].triangles == pytest.approx(meshes[0].triangles, rel=0.1)  # as many voxels inside
    assert lit(view).sum() > 1.2 * alone.sum()
    faint = rgb(view.surface.grab_surface())
    middle = faint.shape[0] // 2, faint.shape[1] // 2
    controls.opacity.setValue(100)
    solid = rgb(view.surface.grab_surface())
    assert np.abs(solid[middle] - faint[middle]).max() > 10
    controls.second.setCurrentIndex(0)
    settled(qtbot, view, controls.second_chosen.emit)
    assert np.array_equal(lit(view), alone)


def test_the_mouse_turns_it_with_a_coarse_mesh(view, qtbot):
    noise = np.random.default_rng(0).normal(size=(72, 72, 72)).astype(np.float32)
    settled(qtbot, view, lambda: view.set_maps(Volume(noise, 1.0, "noise")))
    settled(qtbot, view, lambda: view.surface.set_sigma(1.0))
    gl = view.surface.gl
    fine = gl.drawn(0)
    rotation = gl.rotation
    QTest.mousePress(gl, Qt.MouseButton.LeftButton, pos=QPoint(100, 100))
    QTest.mouseMove(gl, QPoint(140, 110))
    assert gl.drawn(0).triangles < fine.triangles
    QTest.mouseRelease(gl, Qt.MouseButton.LeftButton, pos=QPoint(140, 110))
    qtbot.waitUntil(lambda: gl.drawn(0) is fine, timeout=WAIT)
    assert gl.rotation != rotation
    QTest.mouseDClick(gl, Qt.MouseButton.LeftButton, pos=QPoint(140, 110))
    assert gl.rotation == rotation


def test_the_window_stays_alive_while_surfaces_are_made(view, qtbot):
    """Own time of the window's thread between two turns of its event loop; loaded machines cannot lengthen it."""
    x = np.indices((128,) * 3, dtype=np.float32)[2]
    texture = np.random.default_rng(0).normal(1, 0.05, (128,) * 3).astype(np.float32)
    values = ball(128, 40, soft=25) * texture
    settled(qtbot, view, lambda: view.set_maps(Volume(values, 1.0, "m"), [Volume(x, 1.0, kind="std")]))
    busy, last = [], [time.thread_time()]

    def beat() -> None:
        now = time.thread_time()
        busy.append(now - last[0])
        last[0] = now

    timer = QTimer(view, interval=0)
    timer.timeout.connect(beat)
    timer.start()
    controls = view.surface.controls
    controls.colour.setCurrentIndex(1)
    controls.colour_chosen.emit()
    for place in range(200, 800, 40):
        controls.slider.setValue(place)
        view.slices.go_to_section("x", place // 10)
        qtbot.wait(10)
    settled(qtbot, view, lambda: controls.slider.setValue(400))
    timer.stop()
    assert view.surface.gl.drawn(0).triangles > 20_000
    assert max(busy) < 0.05


def test_the_picture_of_the_surface_tells_level_and_origin(view, qtbot):
    settled(qtbot, view, lambda: view.set_maps(volume(48, provenance="made with a learned prior")))
    found = view._surface_picture()
    assert found.name == "ball_surface"
    assert found.labels[0] == "made with a learned prior"
    assert f"{view.surface.sigma:.3g} σ" in found.labels[1]
    assert rgb(found.picture()).std() > 8


def test_a_movie_of_one_turn(view, qtbot, tmp_path):
    from PIL import Image

    values = ball(48, 6, at=(24, 24, 36))
    settled(qtbot, view, lambda: view.set_maps(Volume(values, 2.0, "m")))
    rotation = view.surface.gl.rotation
    dialog = TurnDialog(view.surface, tmp_path / "movie", "m", view)
    dialog.count.set_value(4)
    dialog.show()
    with qtbot.waitSignal(dialog.saved, timeout=WAIT):
        dialog.go.click()
    names = sorted(path.name for path in (tmp_path / "movie").iterdir())
    assert names == ["m.gif", "m_000.png", "m_001.png", "m_002.png", "m_003.png"]
    assert view.surface.gl.rotation == rotation
    sides = []
    for number in range(4):
        pixels = rgb(QImage(str(tmp_path / "movie" / f"m_{number:03d}.png")))
        bright = np.nonzero(np.abs(pixels - pixels[0, 0]).max(axis=2) > 6)[1]
        sides.append(np.sign(round((bright.mean() - pixels.shape[1] / 2) / 10)))
    assert sides == [1, 0, -1, 0]  # the ball goes round
    with Image.open(tmp_path / "movie" / "m.gif") as image:
        assert image.n_frames == 4


def test_the_theme_colours_the_ground(view, qtbot, qapp):
    settled(qtbot, view, lambda: view.set_maps(volume(32)))
    for name in ("light", "dark"):
        theme.apply(qapp, name)
        qtbot.wait(50)
        corner = rgb(view.surface.grab_surface())[2, 2]
        ground = QColor(theme.stage())
        assert np.abs(corner - [ground.red(), ground.green(), ground.blue()]).max() <= 2


def test_a_failing_driver_leaves_a_sentence(view, qtbot):
    settled(qtbot, view, lambda: view.set_maps(volume(32)))
    view.surface.gl.give_up(RuntimeError("no shaders today"))
    qtbot.waitUntil(lambda: view.surface.gl is None)
    assert "no shaders today" in view.surface.words.text()
    view.set_maps(volume(48))  # sections go on
    assert view.slices.position == (24, 24, 24)


def test_the_surface_survives_a_move_to_another_window(view, qtbot):
    from PySide6.QtWidgets import QMainWindow

    settled(qtbot, view, lambda: view.set_maps(volume(48)))
    before = lit(view).mean()
    other = QMainWindow()
    qtbot.addWidget(other)
    other.resize(1000, 760)
    other.setCentralWidget(view)
    with qtbot.waitExposed(other):
        other.show()
    qtbot.waitUntil(lambda: view.surface.gl.isValid())
    assert lit(view).mean() == pytest.approx(before, rel=0.3)
    view.setParent(None)


WINDOW = """
import json, sys
from PySide6.QtCore import QEventLoop, QTimer
from app.startup import build
from app.viewer import renderer
sys.path.insert(0, "tests/fakes")
from volumes import volume
from app.viewer.volume_view import VolumeView
app, window = build("auto")
view = VolumeView()
view.resize(900, 700)
view.show()
view.set_maps(volume(32))
loop = QEventLoop()
view.surface.drawn.connect(lambda fine: fine and loop.quit())
QTimer.singleShot(12000 if renderer.current().works else 1500, loop.quit)
loop.exec()
image = view.screen().grabWindow(view.winId()).toImage()
colours = {image.pixel(x, y) for x in range(5, image.width(), 17) for y in range(5, image.height(), 13)}
print(json.dumps({"works": renderer.current().works, "gl": view.surface.gl is not None, "colours": len(colours),
                  "words": view.surface.words.text()}), flush=True)
view.close_view(); view.close(); window.close()
"""


@pytest.mark.parametrize("variables", [{}, {"QT_XCB_GL_INTEGRATION": "none"}, {"MESA_GL_VERSION_OVERRIDE": "2.1"}])
def test_the_probe_decides_whether_a_surface_is_built(variables):
    done = subprocess.run(
        [sys.executable, "-c", WINDOW],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["gl"] == answer["works"] == (not variables)
    assert answer["colours"] > 20
    if variables:
        assert "needs OpenGL" in answer["words"]
