"""The contrast bar by mouse, wheel, keys and numbers; and the colours it shows."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton

from app import theme
from app.viewer.levels_bar import LevelsBar
from app.viewer.levels_popup import LevelsPopup
from core.images.colour import LUTS, colours

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


@pytest.fixture
def bar(qtbot, qapp) -> LevelsBar:
    theme.apply(qapp, "dark")
    bar = LevelsBar()
    qtbot.addWidget(bar)
    bar.resize(412, 40)
    with qtbot.waitExposed(bar):
        bar.show()
    counts = np.exp(-(((np.arange(128) - 64) / 15) ** 2)) * 1000
    bar.set_histogram(counts, 0.0, 100.0)  # 4 px of the bar are 1 in value
    bar.set_levels(30.0, 70.0)
    return bar


@pytest.fixture
def heard(bar: LevelsBar) -> list[tuple[float, float]]:
    heard: list[tuple[float, float]] = []
    bar.edited.connect(lambda black, white: heard.append((black, white)))
    return heard


def at(bar: LevelsBar, value: float) -> QPoint:
    return QPoint(round(bar._to_x(value)), bar.height() // 2)


def drag(bar: LevelsBar, start: float, end: float) -> None:
    QTest.mousePress(bar, LEFT, NONE, at(bar, start))
    QTest.mouseMove(bar, at(bar, (start + end) / 2))
    QTest.mouseMove(bar, at(bar, end))
    QTest.mouseRelease(bar, LEFT, NONE, at(bar, end))


def wheel(bar: LevelsBar, steps: int) -> None:
    place = QPointF(at(bar, 50))
    glob = QPointF(bar.mapToGlobal(at(bar, 50)))
    buttons, phase = Qt.MouseButton.NoButton, Qt.ScrollPhase.NoScrollPhase
    event = QWheelEvent(place, glob, QPoint(), QPoint(0, 120 * steps), buttons, NONE, phase, False)
    QApplication.sendEvent(bar, event)


def popup() -> LevelsPopup:
    found = [w for w in QApplication.topLevelWidgets() if isinstance(w, LevelsPopup) and w.isVisible()]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("start", "end", "levels"),
    [
        (30, 45, (45, 70)),
        (70, 90, (30, 90)),
        (50, 60, (40, 80)),  # between the handles: both
        (50, 95, (60, 100)),  # up to the end, as wide as before
        (50, 2, (0, 40)),
        (10, 20, (20, 70)),  # beside them: the nearer one comes to the mouse
        (90, 80, (30, 80)),
    ],
)
def test_dragging(bar, heard, start, end, levels) -> None:
    drag(bar, start, end)
    assert bar.levels == pytest.approx(levels, abs=0.3)
    assert heard[-1] == bar.levels


def test_taking_a_handle_does_not_move_it(bar, heard) -> None:
    QTest.mousePress(bar, LEFT, NONE, at(bar, 30) + QPoint(4, 0))
    QTest.mouseRelease(bar, LEFT, NONE, at(bar, 30) + QPoint(4, 0))
    assert (bar.levels, heard) == ((30.0, 70.0), [])


def test_handles_never_cross(bar) -> None:
    drag(bar, 30, 95)
    assert bar.levels[0] < bar.levels[1] == 70
    bar.set_levels(30, 70)
    drag(bar, 70, 5)
    assert 30 == bar.levels[0] < bar.levels[1]
    black, white = bar.levels
    drag(bar, 30, 60)  # on top of each other: to the right goes white
    assert bar.levels[0] == black
    assert bar.levels[1] > white


def test_double_click_asks_for_automatic_levels(bar, qtbot, heard) -> None:
    with qtbot.waitSignal(bar.reset_requested, timeout=1000):
        QTest.mouseDClick(bar, LEFT, NONE, at(bar, 50))
    assert heard == []


def test_the_wheel_narrows_and_widens_about_the_middle(bar, heard) -> None:
    wheel(bar, 2)
    assert bar.levels == pytest.approx((50 - 20 * 0.81, 50 + 20 * 0.81))
    wheel(bar, -2)
    assert bar.levels == pytest.approx((30, 70))
    assert len(heard) == 2
    wheel(bar, 100)
    assert bar.levels[0] < bar.levels[1]


@pytest.mark.parametrize(
    ("key", "modifier", "levels"),
    [
        (Qt.Key.Key_Right, NONE, (31, 70)),
        (Qt.Key.Key_Left, NONE, (29, 70)),
        (Qt.Key.Key_Up, NONE, (30, 71)),
        (Qt.Key.Key_Down, NONE, (30, 69)),
        (Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier, (40, 70)),
        (Qt.Key.Key_PageUp, NONE, (31, 71)),
        (Qt.Key.Key_PageDown, Qt.KeyboardModifier.ShiftModifier, (20, 60)),
        (Qt.Key.Key_Plus, NONE, (32, 68)),
        (Qt.Key.Key_Minus, NONE, (50 - 20 / 0.9, 50 + 20 / 0.9)),
    ],
)
def test_keys(bar, qtbot, heard, key, modifier, levels) -> None:
    bar.setFocus()
    qtbot.keyClick(bar, key, modifier)
    assert bar.levels == pytest.approx(levels)
    assert heard == [bar.levels]


def test_exact_numbers_by_enter(bar, qtbot, heard) -> None:
    bar.setFocus()
    qtbot.keyClick(bar, Qt.Key.Key_Return)
    window = popup()
    assert (window.black.value(), window.white.value()) == (30, 70)
    window.black.lineEdit().setText("12.5")
    window.white.lineEdit().setText("-4")
    assert window.problem.isVisible(), "white below black is told, not taken"
    assert bar.levels == (12.5, 70)
    window.white.lineEdit().setText("250")
    assert bar.levels == (12.5, 250), "beyond the bar is fine"
    assert not window.problem.isVisible()
    qtbot.keyClick(window.white, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not any(isinstance(w, LevelsPopup) for w in QApplication.topLevelWidgets()))
    assert heard[-1] == (12.5, 250)


def test_automatic_from_the_numbers(bar, qtbot) -> None:
    bar.edit_numbers()
    with qtbot.waitSignal(bar.reset_requested, timeout=1000):
        popup().findChild(QPushButton).click()


def test_values_are_told(bar) -> None:
    assert "black 30, white 70" in bar.toolTip()
    bar.set_levels(1234.5678, 2e-5)
    assert bar.accessibleDescription() == "black 1234.57, white 2e-05"


def row_of(bar: LevelsBar, y: float) -> np.ndarray:
    image = bar.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    ratio = image.width() / bar.width()
    rows = np.frombuffer(image.constBits(), np.uint32).reshape(image.height(), image.bytesPerLine() // 4)
    return rows[round(y * ratio)] & 0xFFFFFF


@pytest.mark.parametrize("lut", LUTS)
def test_the_strip_shows_the_colours_where_their_values_lie(bar, lut) -> None:
    table = colours(lut)
    bar.set_colours(table)
    seen = row_of(bar, bar.height() * 0.86)
    scale = len(seen) / bar.width()

    def colour(value: float) -> np.ndarray:
        pixel = int(seen[round(bar._to_x(value) * scale)])
        return np.array([pixel >> 16 & 255, pixel >> 8 & 255, pixel & 255])

    for value in (10, 40, 50, 60, 90):
        place = round(np.clip((value - 30) / 40, 0, 1) * 255)
        wanted = int(table[place]) & 0xFFFFFF
        difference = colour(value) - [wanted >> 16 & 255, wanted >> 8 & 255, wanted & 255]
        assert np.abs(difference).max() <= 12, (lut, value)


@pytest.mark.parametrize("mode", ["dark", "light"])
def test_it_paints_in_both_themes_and_without_a_picture(bar, qapp, mode) -> None:
    theme.apply(qapp, mode)
    bar.setEnabled(False)
    bar.set_histogram(np.zeros(0), 5.0, 5.0)
    assert not bar.grab().isNull()
    theme.apply(qapp, "dark")
