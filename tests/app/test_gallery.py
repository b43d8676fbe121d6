"""The gallery of a stack with real clicks, keys and wheel: what is read, what is chosen, what is painted."""

import threading
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app import theme
from app.viewer.gallery import GalleryView
from app.viewer.gallery_loader import Stack, bin_factor, prepare, reduced
from core.errors import InputError
from core.images.cache import ImageCache

LEFT = Qt.MouseButton.LeftButton
NONE, CTRL, SHIFT = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.ShiftModifier,
)
DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "particles"


class Source:
    """Images whose grey tells their number; counts what is read, and can be held."""

    def __init__(self, shape=(64, 64)):
        self.shape, self.asked, self.open = shape, [], threading.Event()
        self.open.set()

    def read(self, first, count):
        self.open.wait(10)
        self.asked.append((first, count))
        images = np.random.default_rng(first).normal(0, 0.01, (count, *self.shape)).astype(np.float32)
        images[:, : self.shape[0] // 2] += 1  # upper half bright
        return images


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def gallery(qtbot, qapp):
    theme.apply(qapp, "dark")
    view = GalleryView()
    qtbot.addWidget(view)
    view.resize(800, 600)
    with qtbot.waitActive(view):
        view.show()
    view.grid.setFocus()
    return view


def fill(gallery, source, qtbot, n=1000):
    gallery.set_stack(n, source.shape, source.read, "p.mrcs", 2.0)
    qtbot.waitUntil(lambda: complete(gallery), timeout=10000)


def complete(gallery):
    first, last = gallery.grid.seen()
    return all(gallery.loader.image(i) is not None for i in range(first, last + 1))


def click(gallery, index, modifiers=NONE, double=False):
    place = gallery.grid.cell(index).center()
    (QTest.mouseDClick if double else QTest.mouseClick)(gallery.grid.viewport(), LEFT, modifiers, place)


def keys(gallery, *names, modifiers=NONE):
    for name in names:
        QTest.keyClick(gallery.grid, getattr(Qt.Key, f"Key_{name}"), modifiers)


def selected(gallery):
    return gallery.selected().tolist()


# -- images ---------------------------------------------------------------------------------------------


def test_only_what_is_near_the_screen_is_read_of_100000_particles(gallery, source, qtbot):
    fill(gallery, source, qtbot, 100_000)
    first, last = gallery.grid.seen()
    assert (first, last < 400) == (0, True)
    near = 2 * (last + 1) + 2 * 64
    assert all(start + count <= near for start, count in source.asked)
    bar = gallery.grid.verticalScrollBar()
    source.asked.clear()
    bar.setValue(bar.maximum() // 2)
    bar.setValue(bar.maximum())
    qtbot.waitUntil(lambda: complete(gallery), timeout=10000)
    assert gallery.grid.seen()[1] == 99_999
    assert len(source.asked) < 20


def test_what_was_passed_by_is_not_read(gallery, source, qtbot):
    fill(gallery, source, qtbot, 100_000)
    qtbot.waitUntil(lambda: not gallery.loader._busy, timeout=10000)
    source.open.clear()
    source.asked.clear()
    bar = gallery.grid.verticalScrollBar()
    for value in np.linspace(bar.maximum() // 4, bar.maximum(), 200):
        bar.setValue(int(value))
    source.open.set()
    qtbot.waitUntil(lambda: complete(gallery), timeout=10000)
    assert len(source.asked) < 12  # one that was going on, what is seen, and its surroundings


def test_means_and_grey_levels():
    images = np.zeros((2, 8, 8), np.float32)
    images[0, :4], images[1, :, :4] = 100, 1
    assert bin_factor((256, 256), 80, False) == 3
    assert bin_factor((256, 256), 80, True) == 6
    assert bin_factor((64, 64), 200, True) == 4
    assert bin_factor((16, 16), 80, True) == 1
    small = reduced(images, 4)
    np.testing.assert_array_equal(small, [[[100, 100], [0, 0]], [[1, 0], [1, 0]]])
    own = prepare(images, 4, None)
    assert own[0, 0, 0] == own[1, 0, 0] == 255
    common = prepare(images, 4, (0, 100))
    assert (common[0, 0, 0], common[1, 0, 0]) == (255, 3)
    images[0, 0, 0] = np.nan
    assert np.isfinite(reduced(images, 2)).all()


def test_every_image_is_painted_in_its_cell(gallery, source, qtbot):
    fill(gallery, source, qtbot)
    picture = gallery.grid.viewport().grab().toImage().convertToFormat(QImage.Format.Format_Grayscale8)
    for index in (0, 1, gallery.grid.columns, gallery.grid.columns + 3):
        cell = gallery.grid.cell(index)
        x = cell.center().x()
        assert picture.pixelColor(x, cell.top() + cell.height() // 4).red() > 200
        assert picture.pixelColor(x, cell.bottom() - cell.height() // 4).red() < 60


def test_common_contrast_and_smoothing_make_the_images_anew(gallery, qtbot):
    def read(first, count):
        return np.stack(
            [np.linspace(0, k + 1, 64 * 64, dtype=np.float32).reshape(64, 64) for k in range(first, first + count)]
        )

    gallery.set_stack(100, (64, 64), read)
    qtbot.waitUntil(lambda: complete(gallery), timeout=10000)
    assert gallery.loader.image(0).max() == 255
    QTest.keyClick(gallery.common, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: complete(gallery), timeout=10000)
    assert gallery.loader.image(0).max() < 10
    shape = gallery.loader.image(0).shape
    QTest.keyClick(gallery.smooth, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: complete(gallery), timeout=10000)
    assert gallery.loader.image(0).shape < shape
    assert f"{gallery.loader.factor} × {gallery.loader.factor} px" in gallery.smooth.toolTip()


def test_a_stack_that_cannot_be_read_says_so_once(gallery, qtbot):
    tries = []

    def read(first, count):
        tries.append(first)
        raise InputError("p.mrcs is cut short.", "Copy it again.")

    with qtbot.waitSignal(gallery.loader.failed, timeout=10000):
        gallery.set_stack(10, (64, 64), read)
    assert "p.mrcs is cut short." in gallery.error.text()
    gallery.resize(700, 500)
    QApplication.processEvents()
    assert tries == [0, 0]  # all of them, then the first alone
    gallery.set_stack(10, (64, 64), lambda first, count: np.zeros((count, 64, 64), np.float32))
    assert not gallery.error.isVisible()
    qtbot.waitUntil(lambda: complete(gallery), timeout=10000)


@pytest.mark.parametrize("common", [False, True])
def test_of_a_stack_that_is_cut_short_the_rest_is_shown(gallery, qtbot, common):
    def read(first, count):
        if first + count > 10:
            raise InputError("Image 11 of p.mrcs is missing.", "Copy it again.")
        return np.random.default_rng(first).normal(size=(count, 64, 64)).astype(np.float32)

    gallery.common.setChecked(common)
    gallery.set_stack(40, (64, 64), read, "p.mrcs")
    qtbot.waitUntil(lambda: gallery.error.isVisible(), timeout=5000)
    assert "Image 11 of p.mrcs is missing." in gallery.error.text()
    assert all(gallery.loader.image(index).std() > 20 for index in range(10))
    assert not gallery.loader.image(10).any()


def test_a_file_that_went_is_told_when_its_images_are_needed_again(gallery, qtbot):
    there = [True]

    def read(first, count):
        if not there[0]:
            raise InputError("p.mrcs does not exist.", "Look for it.")
        return np.random.default_rng(first).normal(size=(count, 64, 64)).astype(np.float32)

    gallery.set_stack(40, (64, 64), read, "p.mrcs")
    qtbot.waitUntil(lambda: complete(gallery), timeout=5000)
    there[0] = False
    gallery.loader._cache.clear()
    gallery.grid.viewport().update()
    qtbot.waitUntil(lambda: gallery.error.isVisible(), timeout=5000)
    assert "p.mrcs does not exist." in gallery.error.text()


def test_images_that_the_cache_let_go_are_made_again(gallery, source, qtbot):
    fill(gallery, source, qtbot)
    gallery.loader._cache.clear()
    gallery.grid.viewport().update()
    qtbot.waitUntil(lambda: complete(gallery), timeout=5000)


def test_a_reader_that_gives_the_wrong_shape_is_an_error(gallery, qtbot):
    with qtbot.waitSignal(gallery.loader.failed, timeout=10000):
        gallery.set_stack(10, (64, 64), lambda first, count: np.zeros((count, 32, 64), np.float32))


def test_late_images_of_the_stack_before_are_not_shown(gallery, source, qtbot):
    source.open.clear()
    gallery.set_stack(50, (64, 64), source.read)
    gallery.set_stack(40, (64, 64), lambda first, count: np.full((count, 64, 64), 7, np.float32))
    came = []
    gallery.loader.loaded.connect(lambda *what: came.append(what))
    source.open.set()
    qtbot.waitUntil(lambda: complete(gallery), timeout=10000)
    assert len(came) == 1
    assert np.ptp(gallery.loader.image(0)) == 0


def test_a_shared_cache_keeps_its_budget(qtbot, source):
    cache = ImageCache(1 << 20)
    view = GalleryView(cache)
    qtbot.addWidget(view)
    view.resize(800, 600)
    with qtbot.waitExposed(view):
        view.show()
    fill(view, source, qtbot, 20_000)
    bar = view.grid.verticalScrollBar()
    for part in (0.2, 0.4, 0.9):
        bar.setValue(int(part * bar.maximum()))
        qtbot.waitUntil(lambda: complete(view), timeout=10000)
    assert cache.stats().used_bytes <= 1 << 20


def test_closing_while_images_are_read(qtbot, source):
    view = GalleryView()
    with qtbot.waitExposed(view):
        view.show()
    source.open.clear()
    view.set_stack(100, (64, 64), source.read)
    view.close()
    view.deleteLater()
    QApplication.processEvents()
    source.open.set()
    qtbot.waitUntil(lambda: len(source.asked) == 1, timeout=10000)


# -- choosing -------------------------------------------------------------------------------------------


def test_clicks_choose_as_in_every_file_manager(gallery, source, qtbot):
    fill(gallery, source, qtbot)
    click(gallery, 3)
    assert selected(gallery) == [3]
    click(gallery, 6, SHIFT)
    assert selected(gallery) == [3, 4, 5, 6]
    click(gallery, 10, CTRL)
    click(gallery, 4, CTRL)
    assert selected(gallery) == [3, 5, 6, 10]
    assert gallery.chosen.text() == "4 of 1,000 selected"
    click(gallery, 12, SHIFT | CTRL)
    assert selected(gallery) == [3, *range(4, 13)]
    click(gallery, 1)
    assert selected(gallery) == [1]
    QTest.mouseClick(gallery.grid.viewport(), LEFT, NONE, QPoint(1, 1))
    assert selected(gallery) == []


def test_keys_move_choose_and_open(gallery, source, qtbot):
    fill(gallery, source, qtbot)
    columns = gallery.grid.columns
    keys(gallery, "Right", "Down")
    assert gallery.grid.current == 1 + columns
    assert selected(gallery) == [1 + columns]
    keys(gallery, "Right", "Right", modifiers=SHIFT)
    assert selected(gallery) == [1 + columns, 2 + columns, 3 + columns]
    keys(gallery, "Left", modifiers=CTRL)
    keys(gallery, "Space")
    assert selected(gallery) == [1 + columns, 3 + columns]
    keys(gallery, "End")
    assert gallery.grid.current == 999
    assert gallery.grid.viewport().rect().contains(gallery.grid.cell(999))
    with qtbot.waitSignal(gallery.opened) as caught:
        keys(gallery, "Return")
    assert caught.args == [999]
    keys(gallery, "PageUp")
    assert 900 < gallery.grid.current < 999
    keys(gallery, "Home", "Left")
    assert gallery.grid.current == 0
    keys(gallery, "A", modifiers=CTRL)
    assert len(selected(gallery)) == 1000
    keys(gallery, "Escape")
    assert selected(gallery) == []


def test_a_double_click_opens(gallery, source, qtbot):
    fill(gallery, source, qtbot)
    with qtbot.waitSignal(gallery.opened) as caught:
        click(gallery, 5, double=True)
    assert caught.args == [5]


def test_choosing_100000_is_heard_once(gallery, source, qtbot):
    fill(gallery, source, qtbot, 100_000)
    heard = []
    gallery.selection_changed.connect(heard.append)
    keys(gallery, "A", modifiers=CTRL)
    assert heard == [100_000]
    gallery.select([5, 99_999])
    assert heard == [100_000, 2]
    assert selected(gallery) == [5, 99_999]


def test_clicks_beside_the_images_hit_none(gallery, source, qtbot):
    fill(gallery, source, qtbot, 5)
    grid = gallery.grid
    assert grid.index_at(QPointF(grid.viewport().width() - 1, 5)) is None
    assert grid.index_at(QPointF(20, grid.viewport().height() - 2)) is None
    for index in range(5):
        assert grid.index_at(QPointF(grid.cell(index).center())) == index


def test_the_size_of_the_cells_keeps_the_place(gallery, source, qtbot):
    fill(gallery, source, qtbot, 50_000)
    bar = gallery.grid.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    first = gallery.grid.seen()[0]
    before = gallery.grid.side
    place = QPointF(50, 50)
    event = QWheelEvent(
        place,
        QPointF(gallery.grid.viewport().mapToGlobal(place.toPoint())),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        CTRL,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(gallery.grid.viewport(), event)
    assert gallery.grid.side > before
    assert gallery.size_slider.value() == gallery.grid.lines
    low, high = gallery.grid.seen()
    assert low <= first <= high
    QTest.keyClick(gallery.numbers, Qt.Key.Key_Space)
    low, high = gallery.grid.seen()
    assert low <= first <= high


def test_words_say_what_is_there(gallery, source, qtbot):
    fill(gallery, source, qtbot)
    assert gallery.title.text() == "p.mrcs   1,000 images of 64 × 64 px, 128 × 128 Å"
    assert gallery.chosen.text() == "image 1 of 1,000"
    keys(gallery, "Right")
    assert gallery.grid.accessibleDescription() == "image 2 of 1000, 1 selected"
    gallery.clear("Open a particle stack")
    assert gallery.title.text() == gallery.chosen.text() == ""
    assert gallery.grid.message == "Open a particle stack"
    keys(gallery, "Right", "Return")


def test_every_control_is_named(gallery):
    for part in (gallery.smooth, gallery.common, gallery.numbers):
        assert part.text()
        assert part.toolTip()
    assert gallery.size_slider.accessibleName()
    assert gallery.size_slider.toolTip()
    assert gallery.grid.accessibleName()


def test_a_real_stack(gallery, qtbot):
    from core.io.mrc import open_mrc

    files = sorted(DATA.glob("*.mrcs"))
    if not files:
        pytest.skip("the real particle stacks are not on this machine")
    pixels = open_mrc(files[0])
    assert pixels.ndim == 3
    gallery.set_stack(
        len(pixels),
        pixels.shape[1:],
        lambda first, count: np.asarray(pixels[first : first + count], np.float32),
        str(files[0]),
    )
    qtbot.waitUntil(lambda: complete(gallery), timeout=10000)
    assert Stack(len(pixels), pixels.shape[1:], lambda *_: pixels).chunk >= 1
