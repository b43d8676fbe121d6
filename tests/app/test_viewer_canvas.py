"""The canvas: pans that move painted pixels, quick tiles while the zoom changes, exact ones at rest."""

import numpy as np
import pytest
from PySide6.QtGui import QImage

from app.viewer.boxes import PARTICLE_COLOUR, BoxLayer
from app.viewer.compare_view import CompareView
from app.viewer.image_view import ImageView
from app.viewer.tiles import TileSource, boxes_in, difference_range
from core.images.pyramid import Pyramid, build_pyramid
from core.images.resample import sample_window


def rgb(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return rows[:, : image.width(), :3].astype(int)


def noise(ny=1500, nx=1700, seed=0):
    return np.random.default_rng(seed).normal(100, 10, (ny, nx)).astype(np.float32)


def on_screen(view) -> np.ndarray:
    """The pixels of the canvas that are on the screen now: nothing is painted for it."""
    whole = rgb(view.screen().grabWindow(view.winId()).toImage())
    corner, size = view.canvas.mapTo(view, view.canvas.rect().topLeft()), view.canvas.size()
    return whole[corner.y() : corner.y() + size.height(), corner.x() : corner.x() + size.width()]


def at_rest(qtbot, view):
    """Wait until the picture is exact."""
    frames: list[bool] = []
    view.canvas.painted.connect(frames.append)
    view.canvas.surface.update()
    qtbot.waitUntil(lambda: bool(frames) and frames[-1] and not view.canvas.moving)
    view.canvas.painted.disconnect(frames.append)


@pytest.fixture
def view(qtbot):
    view = ImageView(painter="raster")
    qtbot.addWidget(view)
    view.resize(700, 600)
    with qtbot.waitExposed(view):
        view.show()
    view.set_pyramid(build_pyramid(noise(), 1.5, "m.mrc"))
    at_rest(qtbot, view)
    return view


@pytest.mark.parametrize("zoom", [0.31, 1.0, 2.7])
def test_a_scrolled_view_is_the_same_as_one_painted_anew(view, qtbot, zoom, monkeypatch):
    centres = np.random.default_rng(1).uniform(0, 1500, (400, 2))
    view.set_layers([BoxLayer(centres, 40), BoxLayer(centres + 20, 30, PARTICLE_COLOUR, "circle")])
    view.model.set_zoom(zoom)
    at_rest(qtbot, view)
    scrolled = []
    surface = view.canvas.surface
    whole = surface.scroll
    monkeypatch.setattr(surface, "scroll", lambda *args: (scrolled.append(args[:2]), whole(*args)))
    for dx, dy in ((17, 11), (-40, 3), (0, -200), (333, 0), (5, 5)):
        frames: list[bool] = []
        view.canvas.painted.connect(frames.append)
        view.model.pan(dx, dy)
        qtbot.waitUntil(lambda frames=frames: bool(frames) and frames[-1])
        view.canvas.painted.disconnect(frames.append)
        assert np.array_equal(on_screen(view), rgb(view.grab_image()))
    assert len(scrolled) == 5


def test_a_pan_paints_only_what_is_uncovered(view, qtbot):
    view.one_to_one()
    at_rest(qtbot, view)
    regions = []
    paint = view.canvas.surface._paint

    def watched(painter, region):
        regions.append(sum(rect.width() * rect.height() for rect in region))
        return paint(painter, region)

    view.canvas.surface._paint = watched
    view.model.pan(9, 4)
    qtbot.waitUntil(lambda: bool(regions))
    assert regions[0] < 0.1 * view.canvas.width() * view.canvas.height()


def test_swipe_and_side_by_side_pan_right(qtbot):
    compare = CompareView(painter="raster")
    qtbot.addWidget(compare)
    compare.resize(800, 500)
    with qtbot.waitExposed(compare):
        compare.show()
    compare.set_pair(build_pyramid(noise(), 1.0, "a"), build_pyramid(noise(seed=2), 1.0, "b"))
    for mode in ("side", "swipe", "blink", "difference"):
        compare.set_mode(mode)
        compare.model.set_zoom(1.0)
        at_rest(qtbot, compare)
        compare.model.pan(-23, 8)
        frames: list[bool] = []
        compare.canvas.painted.connect(frames.append)
        qtbot.waitUntil(lambda frames=frames: bool(frames) and frames[-1])
        compare.canvas.painted.disconnect(frames.append)
        assert np.array_equal(on_screen(compare), rgb(compare.canvas.grab_sharp())), mode


def test_a_zoom_step_paints_quickly_and_then_exactly(view, qtbot):
    frames: list[bool] = []
    view.canvas.painted.connect(frames.append)
    view.model.set_zoom(0.43)
    assert view.canvas.moving
    qtbot.waitUntil(lambda: len(frames) >= 1)
    assert frames[0] is False
    quick = on_screen(view)
    qtbot.waitUntil(lambda: frames[-1] and not view.canvas.moving)
    exact = on_screen(view)
    assert np.array_equal(exact, rgb(view.grab_image()))
    inner = (slice(20, -90), slice(20, -20))
    assert np.corrcoef(quick[inner].ravel(), exact[inner].ravel())[0, 1] > 0.6  # the same place, a little softer


def test_a_new_contrast_colours_only_what_is_seen(view, qtbot, monkeypatch):
    from core.images import contrast

    view.one_to_one()
    at_rest(qtbot, view)
    coloured = []
    monkeypatch.setattr(
        "app.viewer.raster_tiles.positions",
        lambda values, *levels: (coloured.append(values.size), contrast.positions(values, *levels))[1],
    )
    view.model.set_contrast(automatic=False, black=80.0, white=120.0)
    at_rest(qtbot, view)
    seen = view.canvas.width() * view.canvas.height()
    assert seen < sum(coloured) < 3 * seen


# -- what is shown of previews and differences ------------------------------------------------------------


def test_a_preview_shows_the_same_place_as_the_whole():
    image = noise(1024, 1024)
    image[300:420, 500:700] += 40
    whole = build_pyramid(image)
    preview = Pyramid(whole.levels[2:], finest=2, image_shape=(1024, 1024))
    for zoom in (0.2, 0.7, 2.0):
        one, two = (sample_window(p, zoom, 100, 50, 120, 90) for p in (whole, preview))
        assert one.shape == two.shape
        if zoom < 0.25:
            assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.8
    size = round(1024 * 0.5)
    one, two = (sample_window(p, 0.5, 0, 0, size, size) for p in (whole, preview))
    edge = [float(np.abs(np.diff(v[180, 230:270])).argmax()) for v in (one, two)]
    assert abs(edge[0] - edge[1]) <= 3  # px: a preview is soft, not shifted
    assert np.isnan(preview.value(600, 360))
    assert whole.value(600.4, 359.6) == image[360, 600]


def test_differences_are_those_of_the_values():
    first, second = build_pyramid(noise(700, 600)), build_pyramid(noise(700, 600, seed=3))
    source = TileSource(first, second)
    box = (13, 20, 180, 150)
    want = sample_window(first, 0.4, 13, 20, 167, 130) - sample_window(second, 0.4, 13, 20, 167, 130)
    np.testing.assert_array_equal(source.screen(0.4, box), want)
    low, high = difference_range(first, second, 0.4)
    assert low == -high < 0


def test_boxes_cover_an_area_once():
    boxes = boxes_in((100, 300, 900, 700), 1000, 650, 256)
    covered = np.zeros((650, 1000), int)
    for left, top, right, bottom in boxes:
        covered[top:bottom, left:right] += 1
    assert covered.max() == 1
    assert covered[300:650, 100:900].min() == 1


def test_tiles_of_another_picture_are_forgotten(view, qtbot):
    first = view.pyramid
    view.set_pyramid(build_pyramid(noise(seed=5), 1.5, "n.mrc"))
    at_rest(qtbot, view)
    assert all(source.pyramid is not first for source in view.canvas._sources.values())
