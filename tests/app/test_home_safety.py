"""Home loses and overwrites nothing: slow and refused writes, two windows, damaged journals, another picture."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu

from app.session import Settings
from app.tabs import home_picks
from app.tabs.home_journal import Journal
from app.tabs.home_picks import NoiseFile
from app.tabs.home_reading import holds_none, read_noise
from app.viewer.pick_steps import Change
from app.viewer.picks import PickList
from core.errors import ResourceError
from core.io.coordinates import read_noise_boxes, write_noise_boxes
from core.io.marks import marks_path, read_marks, write_marks

LEFT, PLAIN = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
BOX = np.array([[100.0, 90.0]])
TRIANGLE = np.array([[1.0, 1], [9, 1], [9, 9]])


class OneWindow(NoiseFile):
    """The noise file of one window, and the errors it told."""

    def __init__(self, parent: None, journals: Path) -> None:
        super().__init__(parent, journals)
        self.told_errors: list[ResourceError] = []
        self.failed.connect(self.told_errors.append)


@pytest.fixture
def home(qtbot, window, micrographs: Path):
    home = window.home
    home.open_paths([micrographs])
    qtbot.waitUntil(
        lambda: home.view.pyramid is not None and not home.files.reading and not home.noise.reading, timeout=20_000
    )
    home.panel.box.set_value(20)
    return home


@pytest.fixture
def noise(qtbot, tmp_path: Path):
    """Makes windows' ends of one noise file with a journal."""
    made = []

    def make(path: Path | None = None) -> OneWindow:
        path = path or tmp_path / "noise_boxes.star"
        noise = OneWindow(None, tmp_path / "journal")
        noise.open(path, read_noise(path).positions if path.exists() else {}, 32)
        made.append(noise)
        qtbot.waitUntil(lambda: not noise.reading, timeout=10_000)
        return noise

    yield make
    for each in made:
        each.close()


@pytest.fixture
def gate(monkeypatch):
    """A disk whose first write hangs until the gate is opened."""
    opened, real, count = threading.Event(), home_picks.write, []

    def slow(path, positions, box) -> None:
        count.append(path)
        if len(count) == 1:
            opened.wait(20)
        real(path, positions, box)

    monkeypatch.setattr(home_picks, "write", slow)
    yield opened
    opened.set()


def at(home, x: float, y: float) -> QPoint:
    sx, sy = home.view.model.to_screen(x, y)
    return QPoint(round(sx / home.view.canvas.ratio), round(sy / home.view.canvas.ratio))


def put(home, *places) -> None:
    home.noise.picks.replace("a.mrc", np.array(places, dtype=float))


def lines(path: Path) -> list[Path]:
    return list((path / "journal").glob("*.jsonl"))


# -- the picture that is seen ---------------------------------------------------------------------------------


def test_nothing_is_marked_under_the_picture_before(qtbot, home, monkeypatch) -> None:
    """The next micrograph is chosen, but its picture has not come yet."""
    put(home, (100, 100))
    home.noise.picks.replace("b.mrc", np.array([[60.0, 60], [2, 2]]))
    before = home.noise.picks.revision
    monkeypatch.setattr(home.pictures.loader, "request", lambda *_: -1)
    home.panel.list.step(1)
    assert home._key() == "b.mrc"
    assert home.view.path.name == "a.mrc"
    assert home.view.layers == []
    for button in (LEFT, Qt.MouseButton.MiddleButton):
        for place in ((200, 150), (60, 60), (100, 100)):
            QTest.mouseClick(home.view.canvas, button, PLAIN, at(home, *place))
    home.marks.select_all()
    home.marks.delete_selected()
    home.areas._closed([(10.0, 10.0), (90.0, 10.0), (90.0, 90.0)])
    home.areas.set_empty(True)
    menu = QMenu()
    home.areas.fill_clear(menu)
    assert [a.isEnabled() for a in menu.actions()] == [False, False, False, False, True]
    assert home.noise.picks.revision == before
    assert len(home.marks.selection) == 0


def test_a_preview_of_the_right_file_is_ready(home, micrographs: Path) -> None:
    from core.images.pyramid import Pyramid

    preview = home.view.pyramid
    assert isinstance(preview, Pyramid)
    home.view.set_pyramid(preview, path=micrographs / "b.mrc")
    assert home.marks.not_ready()
    home.view.set_pyramid(preview, path=micrographs / "a.mrc")
    assert not home.marks.not_ready()


@pytest.mark.parametrize("meanwhile", ["delete", "job", "undo"])
def test_boxes_that_change_during_a_drag_end_it(home, meanwhile: str) -> None:
    put(home, (60, 60))
    put(home, (100, 100), (200, 100), (200, 180))
    canvas = home.view.canvas
    QTest.mousePress(canvas, LEFT, PLAIN, at(home, 100, 100))
    QTest.mouseMove(canvas, at(home, 120, 120))
    QTest.mouseMove(canvas, at(home, 130, 130))
    if meanwhile == "delete":
        QTest.keyClick(canvas, Qt.Key.Key_Delete)
    elif meanwhile == "job":
        home.noise.picks.set_all({"a.mrc": np.array([[50.0, 50]])})
    else:
        home.marks.undo()
    after = home.noise.picks.positions("a.mrc").tolist()
    QTest.mouseMove(canvas, at(home, 150, 140))
    QTest.mouseRelease(canvas, LEFT, PLAIN, at(home, 150, 140))
    assert home.noise.picks.positions("a.mrc").tolist() == after
    assert [150, 140] not in after


def test_a_menu_of_before_deletes_no_other_box(home, window) -> None:
    put(home, (100, 100), (160, 100), (220, 100))
    home.areas._show_menu(220, 100, QPoint(5, 5))
    menu = home.areas.menu
    home.noise.picks.remove("a.mrc", [0])
    menu.actions()[0].trigger()
    menu.close()
    assert home.noise.picks.positions("a.mrc").tolist() == [[160, 100], [220, 100]]
    assert "open it again" in window.statusBar().currentMessage()


@pytest.mark.parametrize(
    "corners",
    [[(10, 10), (50, 50)], [(10, 10), (20, 20), (30, 30)], [(-500, -500), (-600, -500), (-500, -700)]],
)
def test_what_is_no_area_is_told_and_left_out(home, window, corners) -> None:
    home.areas._closed([(float(x), float(y)) for x, y in corners])
    assert home.noise.picks.areas("a.mrc") == ()
    assert "three corners" in window.statusBar().currentMessage()


def test_areas_that_no_file_could_hold_are_left_out() -> None:
    picks = PickList()
    picks.set_areas("a", [TRIANGLE[:2], np.array([[np.nan, 1], [2, 2], [3, 1]]), TRIANGLE])
    assert [a.tolist() for a in picks.areas("a")] == [TRIANGLE.tolist()]
    picks.load_notes({"b": [TRIANGLE[:1]]}, ())
    assert picks.areas("b") == ()


# -- writes ---------------------------------------------------------------------------------------------------


def test_a_slow_write_never_overtakes_a_newer_one(qtbot, noise, tmp_path: Path, gate) -> None:
    path, one = tmp_path / "noise_boxes.star", noise()
    one.picks.add("a.mrc", 10, 10)
    one._save()
    one.picks.add("a.mrc", 100, 100)
    assert not one.flush(50)  # does not wait for ever
    assert len(lines(tmp_path)) == 2
    assert one.picks.dirty
    gate.set()
    qtbot.waitUntil(lambda: not one.picks.dirty, timeout=10_000)
    assert len(read_noise_boxes(path).positions["a.mrc"]) == 2
    assert lines(tmp_path) == []
    assert one.told_errors == []


def test_another_file_is_opened_while_the_old_one_is_written(qtbot, noise, tmp_path: Path, gate) -> None:
    path, one = tmp_path / "noise_boxes.star", noise()
    one.picks.add("a.mrc", 10, 10)
    one.open(tmp_path / "other.star", {})  # would wait for the gate if it waited
    assert not path.exists()
    assert one.picks.total() == 0
    gate.set()
    qtbot.waitUntil(path.exists, timeout=10_000)
    qtbot.waitUntil(lambda: lines(tmp_path) == [], timeout=10_000)
    assert not (tmp_path / "other.star").exists()


def test_a_file_that_is_being_written_is_read_when_it_is_there(qtbot, home, micrographs: Path, gate) -> None:
    home.marks._add(150.0, 100.0, None)
    home.open_paths([micrographs])
    qtbot.waitUntil(lambda: home.files.reading, timeout=10_000)
    gate.set()
    qtbot.waitUntil(lambda: not home.files.reading and home.noise.picks.total() == 1, timeout=10_000)
    assert home.noise.path == micrographs / "noise_boxes.star"


def test_closing_during_a_write_that_hangs_keeps_the_journal(noise, tmp_path: Path, gate, monkeypatch) -> None:
    monkeypatch.setattr(NoiseFile.flush, "__defaults__", (50,))
    one = noise()
    one.picks.add("a.mrc", 10, 10)
    one.close()
    assert len(lines(tmp_path)) == 1


def test_refusals_are_one_dialog_until_a_write_succeeds(qtbot, noise, monkeypatch) -> None:
    one, said = noise(), []
    one.told.connect(said.append)

    def refuse(*_args) -> None:
        raise ResourceError("The disk is full.", "")

    with monkeypatch.context() as broken:
        broken.setattr(home_picks, "write", refuse)
        for i in range(3):
            one.picks.add("a.mrc", 10 + 30 * i, 10)
            one.flush()
        assert len(one.told_errors) == 1
        assert len(said) == 2
        assert one._timer.isActive()  # it is tried again
    assert one.flush()
    assert not one.picks.dirty
    monkeypatch.setattr(home_picks, "write", refuse)
    one.picks.add("a.mrc", 200, 200)
    one.flush()
    assert len(one.told_errors) == 2
    monkeypatch.undo()


def test_what_a_failed_write_held_does_not_count_as_saved(noise, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "noise_boxes.star"
    write_noise_boxes(path, {"a.mrc": BOX}, 32)
    one = noise()

    def refuse(*_args) -> None:
        raise ResourceError("The disk is full.", "")

    with monkeypatch.context() as broken:
        broken.setattr(home_picks, "write", refuse)
        broken.setattr("app.tabs.home_saving.write_marks", refuse)
        one.set_box_size(64)
        one.picks.set_areas("a.mrc", [TRIANGLE])
        assert not one.flush()
    assert one.flush()
    assert read_noise_boxes(path).box_size == 64
    assert len(read_marks(marks_path(path)).excluded["a.mrc"]) == 1


def test_boxes_are_written_when_areas_cannot_be(noise, tmp_path: Path, monkeypatch) -> None:
    def refuse(*_args) -> None:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr("app.tabs.home_saving.write_marks", refuse)
    one = noise()
    one.picks.set_areas("a.mrc", [TRIANGLE])
    one.picks.add("a.mrc", 100, 90)
    assert not one.flush()
    assert "Read-only" in one.told_errors[0].message
    assert read_noise_boxes(tmp_path / "noise_boxes.star").positions["a.mrc"].tolist() == [[100, 90]]
    monkeypatch.undo()


def test_a_tab_that_fails_to_close_keeps_nothing_from_closing(window, monkeypatch) -> None:
    closed = []

    def fail() -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(window.home.noise, "close", fail)
    monkeypatch.setattr(window.home.pictures, "close_view", lambda: closed.append("view"))
    monkeypatch.setattr(window.session, "close", lambda: closed.append("session"))
    assert window.close()
    assert closed == ["view", "session"]
    monkeypatch.undo()
    window.home.pictures.close_view()


def test_a_deleted_last_box_leaves_a_file_that_says_so(noise, tmp_path: Path) -> None:
    path = tmp_path / "noise_boxes.star"
    for name in ("noise_boxes.star", "boxes.txt"):
        path = tmp_path / name
        write_noise_boxes(path, {"a.mrc": BOX}, 32)
        assert not holds_none(path)
        one = noise(path)
        one.picks.clear_all()
        assert one.flush()
        assert holds_none(path)
        assert read_noise(path).positions == {}
    one = noise(tmp_path / "new.star")
    one.picks.set_empty("a.mrc", True)
    assert one.flush()
    assert not (tmp_path / "new.star").exists()  # a tick alone makes no table


# -- others ---------------------------------------------------------------------------------------------------


def test_a_second_window_saves_to_another_name_and_says_so(noise, tmp_path: Path) -> None:
    path = tmp_path / "noise_boxes.star"
    write_noise_boxes(path, {"a.mrc": BOX}, 32)
    write_marks(marks_path(path), {"a.mrc": [TRIANGLE]}, ())
    first, second, third = noise(), noise(), noise()
    assert [n.path.name for n in (first, second, third)] == [f"noise_boxes{s}.star" for s in ("", "-2", "-3")]
    assert "another window" in second.told_errors[0].message
    first.picks.add("a.mrc", 10, 10)
    second.picks.add("a.mrc", 20, 20)
    assert first.flush()
    assert second.flush()
    assert read_noise_boxes(path).positions["a.mrc"].tolist() == [[100, 90], [10, 10]]
    assert read_noise_boxes(second.path).positions["a.mrc"].tolist() == [[100, 90], [20, 20]]
    assert len(read_marks(marks_path(second.path)).excluded["a.mrc"]) == 1


@pytest.mark.parametrize("what", ["boxes", "areas"])
def test_a_file_that_another_program_changed_is_left_as_it_is(noise, tmp_path: Path, what: str) -> None:
    path = tmp_path / "noise_boxes.star"
    write_noise_boxes(path, {"a.mrc": BOX}, 32)
    one = noise()
    one.picks.add("a.mrc", 10, 10)
    assert one.flush()
    assert one.told_errors == []  # its own writes are no changes
    if what == "boxes":
        write_noise_boxes(path, {"b.mrc": np.array([[7.0, 7], [8, 8], [9, 9]])}, 32)
    else:
        write_marks(marks_path(path), {"b.mrc": [TRIANGLE]}, ())
        one.picks.set_empty("c.mrc", True)
    theirs = path.read_bytes()
    one.picks.add("a.mrc", 50, 50)
    assert one.flush()
    assert path.read_bytes() == theirs
    assert one.path == tmp_path / "noise_boxes-2.star"
    assert "changed by another program" in one.told_errors[0].message
    one.picks.add("a.mrc", 60, 10)
    assert one.flush()
    assert len(read_noise_boxes(one.path).positions["a.mrc"]) == 4
    assert len(one.told_errors) == 1
    assert lines(tmp_path) == []


def test_a_file_changed_between_reading_and_showing_is_not_written_over(noise, tmp_path: Path) -> None:
    path = tmp_path / "noise_boxes.star"
    write_noise_boxes(path, {"a.mrc": BOX}, 32)
    one = NoiseFile(None, tmp_path / "journal")
    one.open(path, {}, 32, read=[])  # there was none when it was looked for
    one._timer.stop()
    one.reading = False
    one.picks.add("a.mrc", 50, 50)
    assert one.flush()
    assert read_noise_boxes(path).positions["a.mrc"].tolist() == BOX.tolist()
    one.close()


BAD = [
    '{"n":"b.mrc","areas":[1,"x"]}',
    '{"n":"b.mrc","+":"!!!"}',
    '{"n":"b.mrc","-":5}',
    '{"n":["b"],"empty":true}',
    "[1]",
    "[" * 20_000,
    '{"n":"b.m',
]


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_a_damaged_journal_gives_what_it_can_and_is_put_aside(qtbot, noise, tmp_path: Path, bad: str) -> None:
    path, folder = tmp_path / "noise_boxes.star", tmp_path / "journal"
    journal = Journal(folder, path)
    assert journal.open()
    journal.append(Change("a.mrc", "empty", False, True))
    journal.close()
    part = journal.parts()[0]
    part.write_bytes(part.read_bytes() + f"{bad}\n".encode() + b'{"n":"c.mrc","empty":true}\n')
    one, said = NoiseFile(None, folder), []
    one.recovered.connect(said.append)
    one.open(path, {}, 32)
    qtbot.waitUntil(lambda: not one.reading, timeout=10_000)
    assert one.picks.all_empty() == {"a.mrc", "c.mrc"}
    assert "cannot be read" in said[-1]
    assert len(list(folder.glob("*.damaged"))) == 1
    assert one.flush()
    one.close()
    again = noise()  # and not at every start
    assert again.told_errors == []
    assert lines(tmp_path) == []


def test_a_journal_of_several_parts_is_not_replayed_over_another_file(noise, tmp_path: Path) -> None:
    path = tmp_path / "noise_boxes.star"
    write_noise_boxes(path, {"a.mrc": BOX}, 32)
    journal = Journal(tmp_path / "journal", path)
    assert journal.open()
    journal.append(Change("a.mrc", "points", None, np.array([[3.0, 3]]), np.array([1])))
    journal.rotate()
    journal.append(Change("a.mrc", "points", None, np.array([[4.0, 4]]), np.array([2])))
    journal.close()
    write_noise_boxes(path, {"a.mrc": np.array([[7.0, 7], [8, 8]])}, 32)
    assert noise().picks.positions("a.mrc").tolist() == [[7, 7], [8, 8]]


def test_the_write_tells_the_journal_what_comes(noise, tmp_path: Path, monkeypatch) -> None:
    """The program dies right after the file has its name: the next start goes on from there."""
    path = tmp_path / "noise_boxes.star"
    write_noise_boxes(path, {"a.mrc": BOX}, 32)
    one = noise()
    monkeypatch.setattr(Journal, "written", lambda *_: None)
    one.picks.add("a.mrc", 3, 3)
    one.flush()
    one.picks.add("a.mrc", 4, 4)
    one._timer.stop()
    one._kept.journal.close()
    one._kept = None
    monkeypatch.undo()
    assert sorted(noise().picks.positions("a.mrc").tolist()) == [[3, 3], [4, 4], [100, 90]]


# -- settings -------------------------------------------------------------------------------------------------

NONSENSE = [
    "[" * 50_000,
    '{"home": {"diameter": "x", "box": null, "box_follows": 7, "scheme": {"a": 1}, "strip": [1]}}',
    '{"home": {"diameter": Infinity, "box": 1%s}}' % ("0" * 400),
    '{"home": {"diameter": NaN, "box": -5, "strip": "x"}}',
    '{"splitters": {"home": ["a", null]}}',
    '{"splitters": {"home": [1000000000000000000000, 5]}}',
    '{"splitters": {"home": "abc", "train": [true, false]}}',
    '{"splitters": {"home": [3]}}',
    '{"geometry": "@@@é"}',
    '{"geometry": "abc"}',
    json.dumps({"recent": ["\0", "x" * 100_000, 5], "cache_mb": 10**30}),
]


@pytest.mark.parametrize("text", NONSENSE, ids=range(len(NONSENSE)))
def test_settings_with_nonsense_open_the_window_as_at_first(qtbot, qapp, text: str) -> None:
    from app.session import Session, config_dir
    from app.window import MainWindow

    file = config_dir() / "settings.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    window = MainWindow(Session())
    window.show()
    qtbot.waitExposed(window)
    home = window.home
    assert (home.panel.diameter.value(), home.panel.box.value()) == (128, 102)
    assert all(size > 0 for size in home._work.sizes()) or not home.stack.currentIndex()
    assert home.empty is not None
    window.close()
    window.deleteLater()
    assert isinstance(Settings.load(file).home, dict)


@pytest.mark.skipif(os.name != "posix", reason="file modes are those of POSIX")
def test_good_settings_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    kept = Settings(
        splitters={"home": [300, 900]}, home={"box": 64, "diameter": 80.5, "strip": True, "scheme": "EMAN2"}
    )
    kept.save(file)
    assert Settings.load(file) == kept
