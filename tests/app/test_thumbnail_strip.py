"""The strip of thumbnails and its flags, with real clicks, keys and wheel."""

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QKeySequence, QShortcut, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QMenu, QVBoxLayout, QWidget

from app import theme
from app.widgets.flag_file import FlagFile
from app.widgets.thumbnail_strip import ThumbnailStrip
from core.io.flags import Flags, read_flags, write_flags

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NONE, CTRL, SHIFT = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.ShiftModifier,
)


def files(n):
    return [Path(f"/data/mic_{i:05}_ali.mrc") for i in range(n)]


@pytest.fixture
def host(qtbot, qapp):
    """A strip below something that takes the focus, as the picture does."""
    theme.apply(qapp, "dark")
    host = QWidget()
    host.boxes = {}
    host.canvas = QWidget()
    host.canvas.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    host.strip = ThumbnailStrip(Flags(), lambda path: host.boxes.get(path, 0))
    host.line = QLineEdit()
    rows = QVBoxLayout(host)
    for widget in (host.canvas, host.line, host.strip):
        rows.addWidget(widget)
    host.strip.add_keys(host)
    host.asked, host.chosen, host.flagged = [], [], []
    host.strip.wanted.connect(host.asked.append)
    host.strip.chosen.connect(host.chosen.append)
    host.strip.flag_changed.connect(lambda path, flag: host.flagged.append((path.name, flag)))
    qtbot.addWidget(host)
    host.resize(900, 400)
    with qtbot.waitActive(host):
        host.show()
    return host


def place_of(strip, row):
    return strip.list.visualRect(strip.model.index(row)).center()


def click(strip, row, modifiers=NONE, button=LEFT):
    QTest.mouseClick(strip.list.viewport(), button, modifiers, place_of(strip, row))


def answer(host, value=128):
    """Give every picture that is wanted, as the loader does."""
    while host.asked:
        for path in host.asked.pop():
            host.strip.set_thumbnail(path, np.full((60, 90), value, np.uint8))


# -- pictures -------------------------------------------------------------------------------------------


def test_only_what_is_in_sight_of_10000_files_is_wanted(host, qtbot):
    with qtbot.waitSignal(host.strip.wanted, timeout=5000):
        host.strip.set_files(files(10_000))
    wanted = host.asked[-1]
    last = host.strip.list.rows_in_sight()[1]
    assert wanted[: last + 1] == files(last + 1)  # what is seen comes first
    assert len(wanted) <= 2 * (last + 1)
    answer(host)
    bar = host.strip.list.horizontalScrollBar()
    for value in range(0, bar.maximum() // 2, bar.maximum() // 50):
        bar.setValue(value)
    bar.setValue(bar.maximum())
    qtbot.waitUntil(lambda: bool(host.asked), timeout=5000)
    assert len(host.asked) == 1  # nothing for what was passed by
    assert host.asked[0][0] in files(10_000)[-20:]
    last = host.strip.list.rows_in_sight()[1]
    assert last == 9999


def test_rows_in_sight_are_those_of_the_list(host, qtbot):
    host.strip.set_files(files(500))
    rows = host.strip.list
    for value in (0, 57, 4321, rows.horizontalScrollBar().maximum()):
        rows.horizontalScrollBar().setValue(value)
        QApplication.processEvents()
        first, last = rows.rows_in_sight()
        y = rows.viewport().height() // 2
        assert rows.indexAt(QPoint(0, y)).row() == first
        right = rows.indexAt(QPoint(rows.viewport().width() - 1, y)).row()
        assert right in (last, last - 1)


def test_pictures_that_were_dropped_are_wanted_again(host, qtbot, monkeypatch):
    from app.widgets import thumbnail_model

    monkeypatch.setattr(thumbnail_model, "PICTURE_BYTES", 40 * 60 * 90 * 4)
    strip = ThumbnailStrip(Flags())
    qtbot.addWidget(strip)
    strip.resize(600, 200)
    strip.wanted.connect(lambda paths: [strip.set_thumbnail(p, np.zeros((60, 90), np.uint8)) for p in paths])
    with qtbot.waitExposed(strip):
        strip.show()
    strip.set_files(files(300))
    bar = strip.list.horizontalScrollBar()
    for value in (0, bar.maximum() // 2, bar.maximum(), 0):
        bar.setValue(value)
        first, last = strip.list.rows_in_sight()
        qtbot.waitUntil(
            lambda rows=range(first, last + 1): all(strip.model.picture(files(300)[r]) for r in rows), timeout=5000
        )


def test_a_file_that_fails_is_not_asked_for_again(host, qtbot):
    host.strip.set_files(files(3))
    qtbot.waitUntil(lambda: bool(host.asked), timeout=5000)
    for path in host.asked[-1]:
        host.strip.set_failed(path, f"{path.name} is cut short.")
    host.asked.clear()
    host.resize(700, 400)
    QTest.qWait(100)
    assert host.asked in ([], [[]])
    index = host.strip.model.index(0)
    assert "is cut short." in host.strip.model.data(index, Qt.ItemDataRole.ToolTipRole)


def test_the_picture_is_painted_and_a_rejected_one_is_dim(host, qtbot):
    host.strip.set_files(files(3))
    qtbot.waitUntil(lambda: bool(host.asked), timeout=5000)
    answer(host, 250)
    click(host.strip, 2)
    greys = []
    for flag in ("", "reject"):
        host.strip.flags.set([files(3)[1].name], flag)
        shot = host.strip.list.viewport().grab().toImage().convertToFormat(QImage.Format.Format_Grayscale8)
        greys.append(shot.pixelColor(place_of(host.strip, 1) - QPoint(0, 10)).red())
    assert greys[0] == 250
    assert greys[1] < 150


def test_a_picture_that_arrives_lays_out_nothing(host, qtbot, monkeypatch):
    from app.widgets.thumbnail_model import ThumbnailModel

    host.strip.set_files(files(5000))
    qtbot.waitUntil(lambda: bool(host.asked), timeout=5000)
    QApplication.processEvents()
    calls, real = [], ThumbnailModel.rowCount
    monkeypatch.setattr(ThumbnailModel, "rowCount", lambda *args: calls.append(1) or real(*args))
    host.strip.set_thumbnail(files(1)[0], np.zeros((60, 90), np.uint8))
    host.strip.set_flag("keep")
    host.strip.refresh_counts()
    QApplication.processEvents()
    assert len(calls) < 500


def test_names_are_shortened_to_what_differs(host):
    host.strip.set_files(files(20))
    assert host.strip.model.names(files(20)[7]) == ["mic_00007_ali.mrc", "mic_00007_ali", "…00007_ali", "…00007…"]
    only = [Path("/d/May08_03.05.02.mrc.gz")]
    host.strip.set_files(only)
    assert host.strip.model.names(only[0])[1:] == ["May08_03.05.02"] * 3


# -- choosing -------------------------------------------------------------------------------------------


def test_a_click_and_keys_choose_a_micrograph(host):
    host.strip.set_files(files(50))
    assert host.strip.current() == files(1)[0]
    assert host.chosen == []
    click(host.strip, 3)
    QTest.keyClick(host.strip.list, Qt.Key.Key_Right)
    QTest.keyClick(host.strip.list, Qt.Key.Key_End)
    host.strip.step(-1)
    host.strip.step(1)
    host.strip.step(1)
    assert host.chosen == [files(50)[i] for i in (3, 4, 49, 48, 49)]


def test_what_others_choose_is_followed_without_a_word(host):
    host.strip.set_files(files(5000))
    host.strip.set_current(files(5000)[4000])
    assert host.chosen == []
    first, last = host.strip.list.rows_in_sight()
    assert first <= 4000 <= last
    assert host.strip.selected() == [files(5000)[4000]]
    QTest.keyClick(host.strip.list, Qt.Key.Key_Left)
    assert host.chosen == [files(5000)[3999]]


def test_the_wheel_scrolls_sideways(host):
    host.strip.set_files(files(100))
    view = host.strip.list.viewport()
    event = QWheelEvent(
        QPointF(20, 20),
        QPointF(view.mapToGlobal(QPoint(20, 20))),
        QPoint(),
        QPoint(0, -240),
        Qt.MouseButton.NoButton,
        NONE,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(view, event)
    assert host.strip.list.rows_in_sight()[0] == 2


# -- flags ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["canvas", "list"])
def test_keys_flag_the_current_micrograph(host, where):
    host.strip.set_files(files(5))
    target = host.canvas if where == "canvas" else host.strip.list
    target.setFocus()
    name = files(1)[0].name
    QTest.keyClick(target, Qt.Key.Key_K)
    QTest.keyClick(target, Qt.Key.Key_R)
    QTest.keyClick(target, "*")
    QTest.keyClick(target, Qt.Key.Key_U)
    assert host.flagged == [(name, "keep"), (name, "reject"), (name, "star"), (name, "")]


def test_typing_elsewhere_flags_nothing(host):
    host.strip.set_files(files(5))
    host.line.setFocus()
    QTest.keyClicks(host.line, "kru*")
    assert host.line.text() == "kru*"
    assert host.flagged == []


def test_several_are_flagged_and_taken_back_at_once(host):
    host.strip.set_files(files(8))
    click(host.strip, 1)
    click(host.strip, 3, SHIFT)
    QTest.keyClick(host.strip.list, Qt.Key.Key_R)
    assert [name for name, _ in host.flagged] == [f.name for f in files(4)[1:]]
    assert "✕ 3 rejected" in host.strip.counts.text()
    QTest.keyClick(host.strip.list, Qt.Key.Key_Z, CTRL)
    assert host.strip.flags.as_dict() == {}


def test_undo_on_the_strip_leaves_the_undo_of_the_tab_alone(host):
    undone = []
    shortcut = QShortcut(QKeySequence("Ctrl+Z"), host)
    shortcut.activated.connect(lambda: undone.append(1))
    host.strip.set_files(files(2))
    host.strip.set_flag("keep")
    host.strip.list.setFocus()
    QTest.keyClick(host.strip.list, Qt.Key.Key_Z, CTRL)
    assert (host.strip.flags.as_dict(), undone) == ({}, [])
    host.canvas.setFocus()
    QTest.keyClick(host.canvas, Qt.Key.Key_Z, CTRL)
    assert undone == [1]


def test_other_letters_go_on_to_the_tab(host):
    heard = []
    QShortcut(QKeySequence("N"), host).activated.connect(lambda: heard.append("N"))
    host.strip.set_files(files(20))
    host.strip.list.setFocus()
    QTest.keyClick(host.strip.list, Qt.Key.Key_N)
    QTest.keyClick(host.strip.list, Qt.Key.Key_M)  # no search for names that begin with m
    assert heard == ["N"]
    assert host.chosen == []


def test_buttons_and_menu_flag_by_mouse(host, qtbot):
    host.strip.set_files(files(3))
    QTest.mouseClick(host.strip.buttons["star"], LEFT)
    assert host.flagged == [(files(1)[0].name, "star")]
    host.strip.list.menu_at.emit(host.mapToGlobal(QPoint(10, 10)))
    menu = host.strip.findChild(QMenu)
    keep = next(a for a in menu.actions() if "Keep" in a.text())
    keep.trigger()
    menu.close()
    assert host.flagged[-1] == (files(1)[0].name, "keep")


def test_keys_of_equal_names_are_told_apart(host):
    paths = [Path("/a/x.mrc"), Path("/b/x.mrc")]
    host.strip.set_files(paths, {paths[0]: "a/x.mrc", paths[1]: "b/x.mrc"})
    host.strip.set_flag("keep")
    assert host.strip.flags.as_dict() == {"a/x.mrc": "keep"}
    assert [host.strip.model.flag(p) for p in paths] == ["keep", ""]


# -- filter and order -----------------------------------------------------------------------------------


def pick(box, data):
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Home)
    while box.currentData() != data:
        QTest.keyClick(box, Qt.Key.Key_Down)


def test_filters_show_what_they_say_and_keep_the_current_one(host):
    paths = files(6)
    host.boxes = {paths[1]: 5, paths[4]: 9}
    host.strip.set_files(paths)
    host.strip.flags.set([paths[2].name, paths[4].name], "reject")
    host.strip.flags.set([paths[3].name], "keep")
    host.strip.set_current(paths[4])
    for name, rows in {
        "all": [0, 1, 2, 3, 4, 5],
        "with": [1, 4],
        "without": [0, 2, 3, 4, 5],  # 4 is the current one
        "keep": [3, 4],
        "reject": [2, 4],
        "star": [4],
        "none": [0, 1, 4, 5],
    }.items():
        pick(host.strip.filter, name)
        assert host.strip.model.shown == [paths[r] for r in rows], name
        assert host.strip.current() == paths[4]
    assert "4 of 6" in host.strip.counts.text()
    assert host.chosen == []


def test_most_boxes_first(host):
    paths = files(5)
    host.boxes = {paths[1]: 5, paths[4]: 9, paths[3]: 5}
    host.strip.set_files(paths)
    pick(host.strip.sort, "count")
    assert host.strip.model.shown == [paths[r] for r in (4, 1, 3, 0, 2)]
    assert host.strip.current() == paths[0]
    host.boxes[paths[0]] = 20
    host.strip.refresh_counts(paths[0])  # the one that is being picked does not run away
    assert host.strip.model.shown[0] == paths[4]
    pick(host.strip.sort, "name")
    assert host.strip.model.shown == paths


def test_flagging_under_a_filter_lets_the_others_go(host):
    host.strip.set_files(files(4))
    pick(host.strip.filter, "none")
    click(host.strip, 0)
    QTest.keyClick(host.strip.list, Qt.Key.Key_R)
    assert host.strip.model.shown == files(4)  # the current one stays
    QTest.keyClick(host.strip.list, Qt.Key.Key_Right)
    QTest.keyClick(host.strip.list, Qt.Key.Key_R)
    assert host.strip.model.shown == files(4)[1:]
    assert host.chosen == [files(2)[1]]


def test_a_hidden_micrograph_chosen_elsewhere_appears(host):
    host.strip.set_files(files(10))
    pick(host.strip.filter, "keep")
    host.strip.set_current(files(10)[7])
    assert host.strip.current() == files(10)[7]
    assert host.chosen == []


def test_words_for_those_who_do_not_see_the_signs(host):
    paths = files(2)
    host.boxes = {paths[0]: 1}
    host.strip.set_files(paths)
    host.strip.set_flag("reject")
    spoken = host.strip.model.data(host.strip.model.index(0), Qt.ItemDataRole.AccessibleTextRole)
    assert spoken == "mic_00000_ali.mrc, 1 box, rejected"
    for widget in (host.strip.list, host.strip.filter, host.strip.sort, *host.strip.buttons.values()):
        assert widget.accessibleName()
    for widget in (host.strip.filter, host.strip.sort, *host.strip.buttons.values()):
        assert widget.toolTip()


def test_no_files_is_no_problem(host):
    host.strip.set_files([])
    assert host.strip.current() is None
    assert host.strip.selected() == []
    host.strip.set_flag("keep")
    host.strip.step(1)
    pick(host.strip.filter, "keep")
    assert host.flagged == host.chosen == []


# -- the file -------------------------------------------------------------------------------------------


def test_flags_are_saved_by_themselves_and_come_back(qtbot, tmp_path):
    path = tmp_path / "flags.json"
    file = FlagFile()
    with qtbot.waitSignal(file.opened, timeout=5000):
        file.open(path)
    with qtbot.waitSignal(file.saved, timeout=5000):
        file.flags.set(["a.mrc"], "keep")
        file.flags.set(["b.mrc"], "star")
    assert read_flags(path) == {"a.mrc": "keep", "b.mrc": "star"}
    other = FlagFile()
    with qtbot.waitSignal(other.opened, timeout=5000):
        other.open(path)
    assert other.flags.get("b.mrc") == "star"
    other.flags.undo()
    assert other.flags.get("b.mrc") == "star"  # an opened file has no history
    other.flags.set(["b.mrc"], "")
    other.flush()
    assert read_flags(path) == {"a.mrc": "keep"}


def test_flags_given_while_the_file_is_read_are_kept(qtbot, tmp_path):
    write_flags(tmp_path / "flags.json", {"a.mrc": "keep", "b.mrc": "keep"})
    file = FlagFile()
    with qtbot.waitSignal(file.opened, timeout=5000):
        file.open(tmp_path / "flags.json")
        file.flags.set(["b.mrc"], "reject")
    assert file.flags.as_dict() == {"a.mrc": "keep", "b.mrc": "reject"}


def test_a_file_that_cannot_be_read_is_left_alone(qtbot, tmp_path):
    path = tmp_path / "flags.json"
    path.write_text("precious")
    file = FlagFile()
    with qtbot.waitSignal(file.failed, timeout=5000):
        file.open(path)
    file.flags.set(["a.mrc"], "keep")
    file.flush()
    assert path.read_text() == "precious"
    assert file.path == tmp_path / "flags-2.json"
    assert read_flags(file.path) == {"a.mrc": "keep"}


def test_a_folder_that_cannot_be_written_is_told_and_tried_again(qtbot, tmp_path):
    (tmp_path / "file").write_text("")
    file = FlagFile()
    with qtbot.waitSignal(file.failed, timeout=5000):
        file.open(tmp_path / "file" / "flags.json")
        file.flags.set(["a.mrc"], "keep")
    assert file.flags.dirty or file._timer.isActive()


def test_names_with_another_end_than_most_keep_what_differs(host):
    from app.widgets.short_names import short_names

    names = ["May08_03.05.02.bin_avg", "May08_03.05.02.bin_frame", "May08_03.15.02.bin_avg", "May08_05.31.00.bin_avg"]
    assert [core for _, core in short_names(names)] == ["…03.05.02…", "…03.05.02…frame", "…03.15.02…", "…05.31.00…"]
    cores = [core for _, core in short_names([f"{name}.mrc" for name in names])]
    assert cores == ["…03.05.02…", "…03.05.02…frame…", "…03.15.02…", "…05.31.00…"]
    pairs = [f"x_{n}_{kind}" for n in (1, 2) for kind in ("raw", "den")]
    assert [core for _, core in short_names(pairs)] == pairs
    assert short_names(["one.mrc"]) == [("one.mrc", "one.mrc")]


def test_the_scroll_bar_is_there_only_when_something_can_be_scrolled(host):
    bar, height = host.strip.list.horizontalScrollBar(), host.strip.height()
    host.strip.set_files(files(2))
    QApplication.processEvents()
    assert not bar.isVisible()
    host.strip.set_files(files(100))
    QApplication.processEvents()
    assert bar.isVisible()
    assert host.strip.height() == height
