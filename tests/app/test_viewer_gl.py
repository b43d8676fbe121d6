"""OpenGL under a virtual X server: it shows what the raster painter shows, and its absence never blanks a window."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QImage

from app.viewer.boxes import BoxLayer
from app.viewer.compare_view import CompareView
from app.viewer.image_view import ImageView
from core.images.pyramid import build_pyramid

pytestmark = pytest.mark.gl
ROOT = Path(__file__).resolve().parents[2]


def rgb(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return rows[:, : image.width(), :3].astype(int)


def noise(ny=1300, nx=1700, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.normal(30000, 10, (ny, nx)).astype(np.float32)  # far from zero: a test of precision
    image[rng.integers(0, ny, 20), rng.integers(0, nx, 20)] = 60000
    return image


def at_rest(qtbot, view):
    frames: list[bool] = []
    view.canvas.painted.connect(frames.append)
    view.canvas.surface.update()
    qtbot.waitUntil(lambda: bool(frames) and frames[-1] and not view.canvas.moving, timeout=20000)
    view.canvas.painted.disconnect(frames.append)


def shown_by(qtbot, kind, painter, prepare, over=False):
    """The pixels that a painter puts on the screen; without marks and words unless `over`."""
    view = kind(painter=painter)
    qtbot.addWidget(view)
    view.resize(700, 560)
    with qtbot.waitExposed(view):
        view.show()
    assert view.canvas.surface.name == painter
    prepare(view)
    if not over:
        view.scene.draw_over = lambda *_args: []
    at_rest(qtbot, view)
    if painter == "gl":
        return rgb(view.canvas.surface.grabFramebuffer())
    return rgb(view.canvas.surface.grab().toImage())


def single(zoom, pan=(0, 0), **contrast):
    def prepare(view):
        view.set_pyramid(build_pyramid(noise(), 1.5, "m.mrc"))
        view.set_layers([BoxLayer(np.random.default_rng(2).uniform(0, 1300, (50, 2)), 60)])
        if zoom:
            view.model.set_zoom(zoom)
            view.model.pan(*pan)
        view.model.set_contrast(**contrast)

    return prepare


SCENES = {
    "fit": (ImageView, single(None)),
    "one to one": (ImageView, single(1.0, (37, -11))),
    "between": (ImageView, single(0.437, (5, 9), gamma=1.6, invert=True)),
    "magnified": (ImageView, single(5.3, (400, 3), lut="viridis")),
    "narrow": (ImageView, single(1.0, automatic=False, black=29999.0, white=30001.0)),
}


def pair(mode):
    def prepare(view):
        view.set_pair(build_pyramid(noise(), 1.0, "a"), build_pyramid(noise(seed=4), 1.0, "b"))
        view.set_mode(mode)
        view.model.set_zoom(0.61)

    return prepare


SCENES |= {mode: (CompareView, pair(mode)) for mode in ("side", "swipe", "blink", "difference")}


@pytest.mark.parametrize("name", SCENES)
def test_both_painters_show_the_same(qtbot, name):
    kind, prepare = SCENES[name]
    raster, gl = (shown_by(qtbot, kind, painter, prepare) for painter in ("raster", "gl"))
    assert raster.shape == gl.shape
    assert raster.std() > 5
    assert np.abs(raster - gl).max() <= 1


def test_marks_and_letters_are_the_same_but_for_soft_edges(qtbot):
    kind, prepare = SCENES["between"]
    raster, gl = (shown_by(qtbot, kind, painter, prepare, over=True) for painter in ("raster", "gl"))
    assert 0 < (np.abs(raster - gl) > 1).mean() < 0.005 or np.array_equal(raster, gl)
    bare = shown_by(qtbot, kind, "gl", prepare)
    assert (np.abs(bare - gl) > 1).mean() > 0.005  # they are drawn


def test_a_picture_moves_while_the_zoom_changes(qtbot):
    """The quick tiles show the same place as the exact ones."""
    view = ImageView(painter="gl")
    qtbot.addWidget(view)
    view.resize(700, 560)
    with qtbot.waitExposed(view):
        view.show()
    image = noise()
    image[400:700, 500:900] += 60
    view.set_pyramid(build_pyramid(image, 1.0, "m"))
    at_rest(qtbot, view)
    view.model.set_zoom(0.37)
    assert view.canvas.moving
    quick = rgb(view.canvas.surface.grabFramebuffer())
    at_rest(qtbot, view)
    exact = rgb(view.canvas.surface.grabFramebuffer())
    assert np.corrcoef(quick.ravel(), exact.ravel())[0, 1] > 0.8


def test_a_failing_driver_is_replaced_at_once(qtbot, monkeypatch):
    def broken():
        raise RuntimeError("no shaders today")

    monkeypatch.setattr("app.viewer.gl_canvas.Program", broken)
    monkeypatch.setattr("app.viewer.renderer._current", __import__("app.viewer.renderer", fromlist=["x"]).Choice())
    view = ImageView(painter="gl")
    qtbot.addWidget(view)
    view.resize(500, 400)
    view.show()
    view.set_pyramid(build_pyramid(noise(), 1.0, "m"))
    qtbot.waitUntil(lambda: view.canvas.surface.name == "raster")
    at_rest(qtbot, view)
    assert rgb(view.canvas.surface.grab().toImage()).std() > 5


def test_the_painter_can_be_changed_while_the_window_is_open(qtbot):
    view = ImageView(painter="raster")
    qtbot.addWidget(view)
    view.resize(500, 400)
    with qtbot.waitExposed(view):
        view.show()
    view.set_pyramid(build_pyramid(noise(), 1.0, "m"))
    at_rest(qtbot, view)
    before = rgb(view.canvas.surface.grab().toImage())
    view.canvas.set_painter("gl")
    at_rest(qtbot, view)
    after = rgb(view.canvas.surface.grabFramebuffer())
    assert np.percentile(np.abs(before - after), 99) <= 1
    view.canvas.set_painter("raster")
    at_rest(qtbot, view)
    assert np.array_equal(rgb(view.canvas.surface.grab().toImage()), before)


WINDOW = """
import json, sys
from pathlib import Path
from PySide6.QtCore import QEventLoop, QTimer
from app.startup import build
from app.viewer import renderer
app, window = build("gl")
window.resize(1100, 750)
window.show()
window.home.open_paths([Path(sys.argv[1])])
loop = QEventLoop()
shown = window.home.view.canvas.painted.connect(lambda exact: exact and window.home.view.pyramid and loop.quit())
QTimer.singleShot(20000, loop.quit)
loop.exec()
image = window.screen().grabWindow(window.winId()).toImage()
colours = {image.pixel(x, y) for x in range(5, image.width(), 37) for y in range(5, image.height(), 31)}
print(json.dumps({"painter": renderer.current().name, "why": renderer.current().why, "colours": len(colours),
                  "label": window.renderer_label.text()}), flush=True)
window.close()
"""


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({"QT_XCB_GL_INTEGRATION": "none"}, "no OpenGL context"),
        ({"MESA_GL_VERSION_OVERRIDE": "2.1"}, "2.1 is too old"),
        ({"LIBGL_ALWAYS_INDIRECT": "1"}, ""),
    ],
    ids=["none", "old", "indirect"],
)
def test_without_usable_opengl_the_window_is_complete(micrographs, variables, word):
    """OpenGL is even asked for here; the window says why it does without and shows the micrograph."""
    done = subprocess.run(
        [sys.executable, "-c", WINDOW, str(micrographs)],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    if not (word == "" and answer["painter"] == "gl"):  # some X servers do indirect rendering well
        assert answer["painter"] == "raster"
        assert word in answer["why"]
    assert answer["colours"] > 50  # not a black window
