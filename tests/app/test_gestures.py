"""Schemes and tools with real mouse and key events on a canvas: what each press, drag, wheel turn and key says."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QContextMenuEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.viewer.image_view import ImageView
from app.viewer.schemes import ALT, CTRL, LEFT, MIDDLE, PLAIN, RIGHT, SCHEMES, SHIFT, TOOLS, scheme, sheet
from core.images.pyramid import build_pyramid

BOX = (400.0, 300.0)  # the only box, 60 px wide
EMPTY = (200.0, 150.0)
SIGNALS = [
    "clicked",
    "select_requested",
    "erase_started",
    "erase_requested",
    "erase_finished",
    "drag_started",
    "dragged",
    "drag_finished",
    "band_changed",
    "band_finished",
    "measured",
    "measure_cleared",
    "menu_requested",
    "size_step",
    "contrast_step",
    "nudged",
    "delete_requested",
    "deselect_requested",
    "tool_changed",
]


@pytest.fixture
def view(qtbot):
    view = ImageView()
    qtbot.addWidget(view)
    view.resize(900, 700)
    view.show()
    qtbot.waitExposed(view)
    view.set_pyramid(build_pyramid(np.random.default_rng(0).normal(size=(600, 800)).astype(np.float32), 1.0, "m"))
    view.set_picking(True)
    view.gestures.hit = lambda x, y: abs(x - BOX[0]) <= 30 and abs(y - BOX[1]) <= 30
    view.model.set_zoom(1.0)
    return view


class Heard(list):
    """All signals of the gestures, (name, *arguments)."""

    def __init__(self, view: ImageView) -> None:
        super().__init__()
        for name in SIGNALS:
            getattr(view.gestures, name).connect(lambda *args, name=name: self.append((name, *args)))

    def names(self) -> list[str]:
        """Their names, repetitions in a row once."""
        names = [entry[0] for entry in self]
        return [n for i, n in enumerate(names) if i == 0 or names[i - 1] != n]


def at(view: ImageView, place: tuple[float, float]) -> QPoint:
    x, y = view.model.to_screen(*place)
    return QPoint(round(x / view.canvas.ratio), round(y / view.canvas.ratio))


def click(view: ImageView, button, keys, place) -> None:
    QTest.mouseClick(view.canvas, button, keys, at(view, place))


def drag(view: ImageView, button, keys, start, end) -> None:
    a, b = at(view, start), at(view, end)
    QTest.mousePress(view.canvas, button, keys, a)
    for t in (0.3, 0.6, 1.0):
        QTest.mouseMove(view.canvas, a + (b - a) * t)
    QTest.mouseRelease(view.canvas, button, keys, b)


def wheel(view: ImageView, turns: int, keys) -> None:
    spot = QPointF(at(view, EMPTY))
    delta = QPoint(120 * turns, 0) if keys == ALT else QPoint(0, 120 * turns)  # as Qt delivers it with Alt
    event = QWheelEvent(
        spot,
        view.canvas.mapToGlobal(spot.toPoint()).toPointF(),
        QPoint(),
        delta,
        Qt.MouseButton.NoButton,
        keys,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(view.canvas, event)


CLICKS = {
    "add": ["clicked"],
    "select": ["select_requested"],
    "erase": ["erase_started", "erase_requested", "erase_finished"],
    "menu": ["menu_requested"],
    "": [],
}


@pytest.mark.parametrize("name", list(SCHEMES))
def test_every_click_of_every_scheme(view, name: str) -> None:
    view.gestures.set_scheme(scheme(name))
    for (button, keys), bind in scheme(name).buttons.items():
        for place, expected in ((EMPTY, bind), (BOX, bind.on_box or bind)):
            heard = Heard(view)
            click(view, button, keys, place)
            assert heard.names() == CLICKS[expected.click], (button, keys, place)


@pytest.mark.parametrize("name", list(SCHEMES))
def test_every_drag_of_every_scheme(view, name: str) -> None:
    view.gestures.set_scheme(scheme(name))
    expect = {
        "pan": [],
        "move": ["drag_started", "dragged", "drag_finished"],
        "add": ["clicked", "drag_started", "dragged", "drag_finished"],
        "erase": ["erase_started", "erase_requested", "erase_finished"],
        "band": ["band_changed", "band_finished"],
        "measure": ["measured"],
    }
    for (button, keys), bind in scheme(name).buttons.items():
        for place, expected in ((EMPTY, bind), (BOX, bind.on_box or bind)):
            action = expected.drag
            heard, origin = Heard(view), view.model.origin
            drag(view, button, keys, place, (place[0] + 60, place[1] + 40))
            wanted = expect[action] if action else CLICKS[expected.click]  # a shaky hand still clicks
            assert heard.names() == wanted, (button, keys, place)
            panned = np.subtract(view.model.origin, origin) / view.canvas.ratio
            assert panned.tolist() == pytest.approx([60, 40] if action == "pan" else [0, 0], abs=1)
            view.model.centre_on(399.5, 299.5)


def test_a_click_of_the_middle_button_deletes_and_a_drag_pans(view) -> None:
    heard, origin = Heard(view), view.model.origin
    click(view, MIDDLE, PLAIN, BOX)
    assert heard[1][1:] == pytest.approx(BOX, abs=1)
    drag(view, MIDDLE, PLAIN, BOX, (460, 340))
    assert [h[0] for h in heard].count("erase_requested") == 1
    assert view.model.origin != origin


def test_space_pans_whatever_is_below(view) -> None:
    heard, origin = Heard(view), view.model.origin
    QTest.keyPress(view.canvas, Qt.Key.Key_Space)
    assert view.canvas.cursor().shape() == Qt.CursorShape.OpenHandCursor
    drag(view, LEFT, PLAIN, BOX, (450, 330))
    QTest.keyRelease(view.canvas, Qt.Key.Key_Space)
    assert heard == []
    assert view.model.origin != origin


def test_the_pointer_says_what_a_press_would_do(view) -> None:
    QTest.mouseMove(view.canvas, at(view, EMPTY))
    assert view.canvas.cursor().shape() == Qt.CursorShape.CrossCursor
    QTest.mouseMove(view.canvas, at(view, BOX))
    assert view.canvas.cursor().shape() == Qt.CursorShape.SizeAllCursor
    view.gestures.set_tool("hand")
    assert view.canvas.cursor().shape() == Qt.CursorShape.OpenHandCursor


def test_wheel_zooms_sizes_and_changes_contrast(view) -> None:
    heard, zoom = Heard(view), view.model.zoom
    wheel(view, 1, CTRL)
    wheel(view, -1, ALT)
    assert heard == [("size_step", 1), ("contrast_step", -1)]
    assert view.model.zoom == zoom
    wheel(view, 1, PLAIN)
    assert view.model.zoom > zoom


def test_comma_and_period_follow_the_scheme(view) -> None:
    heard = Heard(view)
    for name, expected in (("Default", "contrast_step"), ("cellpose", "size_step")):
        view.gestures.set_scheme(scheme(name))
        heard.clear()
        QTest.keyClick(view.canvas, Qt.Key.Key_Comma)
        QTest.keyClick(view.canvas, Qt.Key.Key_Period)
        assert heard == [(expected, -1), (expected, 1)]


def test_arrows_nudge_when_something_is_selected_and_pan_otherwise(view) -> None:
    heard, origin = Heard(view), view.model.origin
    QTest.keyClick(view.canvas, Qt.Key.Key_Right)
    assert heard == []
    assert view.model.origin[0] < origin[0]
    view.gestures.has_selection = lambda: True
    origin = view.model.origin
    QTest.keyClick(view.canvas, Qt.Key.Key_Right)
    QTest.keyClick(view.canvas, Qt.Key.Key_Up, SHIFT)
    assert heard == [("nudged", 1, 0), ("nudged", 0, -10)]
    assert view.model.origin == origin


def test_delete_and_escape(view) -> None:
    heard = Heard(view)
    for key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace, Qt.Key.Key_Escape):
        QTest.keyClick(view.canvas, key)
    assert heard.names() == ["delete_requested", "measure_cleared", "deselect_requested"]
    view.gestures.set_tool("select")
    QTest.keyClick(view.canvas, Qt.Key.Key_Escape)
    assert view.gestures.tool == "pick"
    assert heard[-1] == ("tool_changed", "pick")


def test_the_polygon_tool(view, qtbot) -> None:
    closed, shown = [], []
    view.gestures.polygon.closed.connect(closed.append)
    view.gestures.polygon.changed.connect(lambda corners, at: shown.append((len(corners), at)))
    view.gestures.set_tool("polygon")
    corners = [(200.0, 200.0), (300.0, 210.0), (280.0, 350.0)]
    for corner in corners:
        click(view, LEFT, PLAIN, corner)
    QTest.mouseMove(view.canvas, at(view, (150, 300)))
    assert shown[-1][0] == 3
    assert shown[-1][1] == pytest.approx((150, 300), abs=1)
    click(view, LEFT, PLAIN, (150.0, 320.0))
    QTest.keyClick(view.canvas, Qt.Key.Key_Backspace)
    QTest.keyClick(view.canvas, Qt.Key.Key_Return)
    assert np.array(closed[0]) == pytest.approx(np.array(corners), abs=1)
    for corner in corners:
        click(view, LEFT, PLAIN, corner)
    click(view, LEFT, PLAIN, (202.0, 203.0))  # back on the first one
    assert len(closed) == 2
    for corner in corners[:2]:
        click(view, LEFT, PLAIN, corner)
    spot = at(view, corners[2])
    QTest.mouseClick(view.canvas, LEFT, PLAIN, spot)
    QTest.mouseDClick(view.canvas, LEFT, PLAIN, spot)
    assert len(closed) == 3
    click(view, LEFT, PLAIN, corners[0])
    QTest.keyClick(view.canvas, Qt.Key.Key_Escape)
    assert view.gestures.polygon.corners == []
    assert view.gestures.tool == "polygon"
    QTest.keyClick(view.canvas, Qt.Key.Key_Escape)
    assert view.gestures.tool == "pick"
    assert len(closed) == 3


def test_hand_and_measure_tools_work_also_without_picking(view) -> None:
    for picking in (True, False):
        view.set_picking(picking)
        view.gestures.set_tool("measure")
        heard = Heard(view)
        drag(view, LEFT, PLAIN, BOX, (500, 380))
        assert heard.names() == ["measured"]
        assert heard[-1][1:] == pytest.approx((*BOX, 500, 380), abs=1)
        click(view, LEFT, PLAIN, EMPTY)
        assert heard[-1] == ("measure_cleared",)
        view.gestures.set_tool("hand")
        heard, origin = Heard(view), view.model.origin
        drag(view, LEFT, PLAIN, BOX, (420, 310))
        assert view.model.origin != origin
        assert heard == []
        view.gestures.set_tool("pick")


def test_double_clicks_fit_only_where_clicks_add_nothing(view) -> None:
    for prepare, fits in (
        (lambda: None, False),
        (lambda: view.gestures.set_tool("hand"), True),
        (lambda: (view.gestures.set_tool("pick"), view.gestures.set_scheme(scheme("cellpose"))), True),
    ):
        prepare()
        view.model.set_zoom(2.0)
        spot = at(view, EMPTY)
        QTest.mouseClick(view.canvas, LEFT, PLAIN, spot)
        QTest.mouseDClick(view.canvas, LEFT, PLAIN, spot)
        QTest.mouseRelease(view.canvas, LEFT, PLAIN, spot)
        assert view.model.fitted == fits


def test_the_menu_key_opens_the_menu_under_the_pointer(view) -> None:
    heard = Heard(view)
    QTest.mouseMove(view.canvas, at(view, BOX))
    event = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, QPoint(5, 5), QPoint(9, 9))
    QApplication.sendEvent(view.canvas, event)
    assert heard[-1][0] == "menu_requested"
    assert heard[-1][1:3] == pytest.approx(BOX, abs=1)


def test_without_picking_the_left_button_pans_and_nothing_is_picked(view) -> None:
    view.set_picking(False)
    heard = Heard(view)
    for keys in (PLAIN, SHIFT, CTRL):
        click(view, LEFT, keys, BOX)
        drag(view, LEFT, keys, BOX, (450, 330))
    QTest.keyClick(view.canvas, Qt.Key.Key_Delete)
    click(view, RIGHT, PLAIN, BOX)
    assert heard.names() == ["menu_requested"]


def test_unknown_names() -> None:
    assert scheme("nobody").name == "Default"
    assert set(TOOLS) == {"pick", "select", "polygon", "hand", "measure"}
    for each in SCHEMES.values():
        rows = dict(sheet(each))
        assert "add a box" in rows.values()
        assert "menu" in rows.values()
        assert len(rows) == len(sheet(each))  # every press once
