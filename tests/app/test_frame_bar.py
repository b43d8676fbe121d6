"""The bar of a stack, used with mouse, wheel and keys."""

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget

from app.viewer.frame_bar import FrameBar

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def host(qtbot):
    """A bar below something that takes the focus, as the picture does."""
    host = QWidget()
    host.canvas = QWidget()
    host.canvas.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    host.bar = FrameBar()
    rows = QVBoxLayout(host)
    rows.addWidget(host.canvas, 1)
    rows.addWidget(host.bar)
    host.bar.add_keys(host.canvas)
    qtbot.addWidget(host)
    host.resize(700, 200)
    with qtbot.waitActive(host):
        host.show()
    host.bar.set_frames(220)
    host.seen = []
    host.bar.frame_chosen.connect(host.seen.append)
    return host


def wheel(widget, delta):
    place = QPointF(widget.rect().center())
    event = QWheelEvent(
        place,
        QPointF(widget.mapToGlobal(place.toPoint())),
        QPoint(),
        QPoint(0, delta),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)


def test_one_image_needs_no_bar(host):
    host.bar.set_frames(1)
    assert not host.bar.isVisible()
    host.bar.set_frames(2, 1)
    assert host.bar.isVisible()
    assert host.bar.index == 1
    assert host.seen == []


def test_the_words_say_where_we_are(host):
    host.bar.set_index(11)
    assert host.bar.number.text() == "image 12 of 220"
    assert host.bar.slider.value() == 11
    assert host.seen == []


def test_keys_step_from_the_picture_and_stop_at_the_ends(host, qtbot):
    host.canvas.setFocus()
    QTest.keyClick(host.canvas, Qt.Key.Key_BracketLeft)
    assert host.seen == []
    QTest.keyClick(host.canvas, Qt.Key.Key_BracketRight)
    QTest.keyClick(host.canvas, Qt.Key.Key_Right, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(host.canvas, Qt.Key.Key_BracketLeft)
    QTest.keyClick(host.canvas, Qt.Key.Key_Left, Qt.KeyboardModifier.ControlModifier)
    assert host.seen == [1, 2, 1, 0]
    host.bar.set_index(219)
    QTest.keyClick(host.canvas, Qt.Key.Key_BracketRight)
    assert host.seen == [1, 2, 1, 0]


@pytest.mark.parametrize("part", ["play", "slider", "number", "speed"])
def test_keys_step_once_when_the_bar_has_the_focus_and_its_surroundings_have_the_keys_too(host, part):
    host.bar.add_keys(host)
    target = getattr(host.bar, part)
    target.setFocus()
    QTest.keyClick(target, Qt.Key.Key_BracketRight)
    QTest.keyClick(target, Qt.Key.Key_Right, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(target, Qt.Key.Key_BracketLeft)
    assert host.seen == [1, 2, 1]


def test_a_typed_number_is_one_request(host):
    host.bar.number.setFocus()
    host.bar.number.selectAll()
    QTest.keyClicks(host.bar.number, "120")
    assert host.seen == []
    QTest.keyClick(host.bar.number, Qt.Key.Key_Return)
    assert host.seen == [119]
    assert host.bar.slider.value() == 119


def test_the_slider_moves_by_mouse_and_keys(host):
    QTest.keyClick(host.bar.slider, Qt.Key.Key_End)
    QTest.mouseClick(host.bar.slider, LEFT, pos=QPoint(3, host.bar.slider.height() // 2))
    assert host.seen[0] == 219
    assert host.seen[1] < 219
    assert host.bar.number.value() == host.seen[-1] + 1


@pytest.mark.parametrize("part", ["slider", "number", "bar"])
def test_one_notch_of_the_wheel_is_one_image(host, part):
    target = host.bar if part == "bar" else getattr(host.bar, part)
    wheel(target, -120)
    wheel(target, -120)
    wheel(target, 120)
    assert host.seen == [1, 2, 1]
    for _ in range(4):  # a touch pad sends parts of a notch
        wheel(target, -30)
    assert host.seen == [1, 2, 1, 2]


def test_playing_goes_round_and_stops(host, qtbot):
    bar = host.bar
    bar.set_frames(3)
    bar.speed.setCurrentIndex(bar.speed.count() - 1)
    QTest.mouseClick(bar.play, LEFT)
    assert bar.playing
    assert bar.play.accessibleName() == "Pause"
    qtbot.waitUntil(lambda: len(host.seen) >= 4, timeout=10000)
    QTest.mouseClick(bar.play, LEFT)
    assert not bar.playing
    assert host.seen[:4] == [1, 2, 0, 1]
    count = len(host.seen)
    QTest.qWait(150)
    assert len(host.seen) == count


def test_playing_waits_for_the_image_to_be_on_the_screen(host, qtbot):
    bar = host.bar
    bar.speed.setCurrentIndex(bar.speed.count() - 1)
    bar.frame_shown(0)
    bar.play.setChecked(True)
    qtbot.waitUntil(lambda: host.seen == [1], timeout=10000)
    QTest.qWait(200)
    assert host.seen == [1]
    bar.frame_shown(1)
    qtbot.waitUntil(lambda: host.seen == [1, 2], timeout=10000)
    bar.frame_shown(1)  # late news of the image before
    QTest.qWait(150)
    assert host.seen == [1, 2]


def test_another_stack_or_hiding_ends_playing(host):
    host.bar.play.setChecked(True)
    host.bar.set_frames(5)
    assert not host.bar.playing
    host.bar.play.setChecked(True)
    host.hide()
    assert not host.bar.playing


def test_every_control_is_named(host):
    bar = host.bar
    for part in (bar.play, bar.slider, bar.number, bar.speed):
        assert part.accessibleName()
        assert part.toolTip()
        assert part.focusPolicy() & Qt.FocusPolicy.TabFocus
