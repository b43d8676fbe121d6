"""Picking on Home with real events: selection, nudges, strokes, areas, the tick, menus, schemes, keys; crashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from app.tabs.home_journal import Journal, line_of, replay, stamp
from app.tabs.home_marks import RefusedPatches
from app.tabs.home_picks import NoiseFile
from app.viewer.pick_steps import Change
from app.viewer.schemes import ALT, CTRL, LEFT, MIDDLE, PLAIN, RIGHT, SHIFT
from core.io.coordinates import read_noise_boxes, write_noise_boxes
from core.io.marks import marks_path, read_marks, write_marks

ROOT = Path(__file__).resolve().parents[2]
Key = Qt.Key


@pytest.fixture
def home(qtbot, window, micrographs: Path):
    """Home with the three micrographs (320 x 240) open and boxes of 20 px."""
    home = window.home
    open_folder(qtbot, home, micrographs)
    home.panel.box.set_value(20)
    home.panel.diameter.set_value(20)
    return home


def open_folder(qtbot, home, folder: Path) -> None:
    home.open_paths([folder])
    qtbot.waitUntil(
        lambda: home.view.pyramid is not None and not home.files.reading and not home.noise.reading, timeout=20_000
    )


def at(home, x: float, y: float) -> QPoint:
    sx, sy = home.view.model.to_screen(x, y)
    return QPoint(round(sx / home.view.canvas.ratio), round(sy / home.view.canvas.ratio))


def click(home, x: float, y: float, button=LEFT, keys=PLAIN) -> None:
    QTest.mouseClick(home.view.canvas, button, keys, at(home, x, y))


def drag(home, start, end, button=LEFT, keys=PLAIN, steps=(0.25, 0.5, 0.75, 1.0)) -> None:
    a, b = at(home, *start), at(home, *end)
    QTest.mousePress(home.view.canvas, button, keys, a)
    for t in steps:
        QTest.mouseMove(home.view.canvas, a + (b - a) * t)
    QTest.mouseRelease(home.view.canvas, button, keys, b)


def key(home, which, keys=PLAIN) -> None:
    QTest.keyClick(home.view.canvas, which, keys)


def boxes(home, name: str = "a.mrc") -> list[list[float]]:
    return home.noise.picks.positions(name).tolist()


def put(home, *places) -> None:
    home.noise.picks.replace("a.mrc", np.array(places, dtype=float))


def test_a_click_on_a_box_selects_and_arrows_nudge_it(home) -> None:
    put(home, (100, 100), (160, 100))
    click(home, 103, 97)
    assert len(boxes(home)) == 2
    assert home.marks.selection.tolist() == [0]
    assert home.panel.selected_count.text() == "1 selected"
    origin = home.view.model.origin
    for _ in range(3):
        key(home, Key.Key_Right)
    key(home, Key.Key_Down, SHIFT)
    assert boxes(home) == [[103, 110], [160, 100]]
    assert home.view.model.origin == origin
    key(home, Key.Key_Z, CTRL)
    assert boxes(home) == [[100, 100], [160, 100]]
    key(home, Key.Key_Escape)
    assert home.panel.selected_count.text() == ""
    home.view.model.set_zoom(8.0)
    origin = home.view.model.origin
    key(home, Key.Key_Right)
    assert home.view.model.origin != origin


def test_a_nudge_out_of_the_micrograph_is_refused(home, window) -> None:
    put(home, (10, 100), (60, 100))
    home.marks.select_all()
    key(home, Key.Key_Left)
    assert boxes(home) == [[10, 100], [60, 100]]
    assert "leave the micrograph" in window.statusBar().currentMessage()


@pytest.mark.parametrize("way", ["alt", "tool"])
def test_a_frame_selects_and_the_selection_moves_and_is_deleted_together(home, way: str) -> None:
    put(home, (100, 100), (140, 110), (220, 180))
    if way == "alt":
        drag(home, (80, 80), (160, 130), keys=ALT)
    else:
        key(home, Key.Key_S)
        assert home.panel.tools["select"].isChecked()
        drag(home, (80, 80), (160, 130))
        key(home, Key.Key_Q)
    assert home.marks.selection.tolist() == [0, 1]
    drag(home, (100, 100), (110, 130))
    np.testing.assert_allclose(boxes(home), [[110, 130], [150, 140], [220, 180]], atol=1)
    key(home, Key.Key_Delete)
    np.testing.assert_allclose(boxes(home), [[220, 180]])
    key(home, Key.Key_Z, CTRL)
    key(home, Key.Key_Z, CTRL)
    assert boxes(home) == [[100, 100], [140, 110], [220, 180]]
    key(home, Key.Key_A, CTRL)
    assert len(home.marks.selection) == 3


def test_the_select_tool_adds_with_shift(home) -> None:
    put(home, (100, 100), (160, 100), (220, 100))
    key(home, Key.Key_S)
    click(home, 100, 100)
    click(home, 220, 100, keys=SHIFT)
    assert home.marks.selection.tolist() == [0, 2]
    click(home, 100, 100, keys=SHIFT)
    assert home.marks.selection.tolist() == [2]
    click(home, 50, 200)
    assert home.marks.selection.tolist() == []
    assert len(boxes(home)) == 3


def test_a_stroke_of_the_eraser_is_one_step_and_skips_no_box(home) -> None:
    places = [(60 + 25 * i, 100) for i in range(8)]
    put(home, *places, (160, 200))
    drag(home, (55, 100), (240, 100), keys=SHIFT, steps=(0.5, 1.0))  # two moves: the pointer jumps over boxes
    assert boxes(home) == [[160, 200]]
    key(home, Key.Key_Z, CTRL)
    assert boxes(home) == [[float(x), float(y)] for x, y in [*places, (160, 200)]]


def test_middle_click_deletes_and_middle_drag_pans(home) -> None:
    put(home, (100, 100))
    home.view.model.set_zoom(6.0)
    home.view.model.centre_on(100, 100)
    origin = home.view.model.origin
    drag(home, (100, 100), (110, 105), button=MIDDLE)
    assert home.view.model.origin != origin
    assert len(boxes(home)) == 1
    click(home, 100, 100, button=MIDDLE)
    assert boxes(home) == []


def draw_area(home, *corners) -> None:
    key(home, Key.Key_E)
    for corner in corners:
        click(home, *corner)
    key(home, Key.Key_Return)


def test_an_excluded_area_deletes_and_refuses_boxes_and_is_kept(qtbot, home, window, micrographs: Path) -> None:
    put(home, (100, 100), (250, 60))
    with qtbot.waitSignal(home.noise.saved, timeout=5000):
        draw_area(home, (60, 60), (150, 60), (150, 150), (60, 150))
    assert boxes(home) == [[250, 60]]
    assert home.marks.gestures.tool == "pick"
    assert "1 box in the excluded area" in window.statusBar().currentMessage()
    click(home, 155, 100)  # its edge would lie in the area
    assert boxes(home) == [[250, 60]]
    assert "excluded area" in window.statusBar().currentMessage()
    stored = read_marks(marks_path(micrographs / "noise_boxes.star"))
    np.testing.assert_allclose(stored.excluded["a.mrc"], [[[60, 60], [150, 60], [150, 150], [60, 150]]], atol=1)
    home.view.set_layers([])
    open_folder(qtbot, home, micrographs)
    qtbot.waitUntil(lambda: len(home.noise.picks.areas("a.mrc")) == 1, timeout=5000)
    click(home, 100, 100)
    assert boxes(home) == [[250, 60]]
    home.areas.remove_area(home.areas.area_at(100, 100))
    click(home, 100, 100)
    assert len(boxes(home)) == 2


def test_area_and_deleted_boxes_come_back_in_one_step(home) -> None:
    put(home, (100, 100))
    draw_area(home, (60, 60), (150, 60), (150, 150))
    key(home, Key.Key_Z, CTRL)
    assert boxes(home) == [[100, 100]]
    assert home.noise.picks.areas("a.mrc") == ()


def test_the_area_is_painted_and_moves_with_the_picture(home) -> None:
    before = home.view.grab_image()
    home.noise.picks.set_areas("a.mrc", [np.array([[60.0, 60], [150, 60], [150, 150], [60, 150]])])
    after = home.view.grab_image()
    x, y = (round(v) for v in home.view.model.to_screen(105, 105))
    inner = [(after.pixelColor(x + i, y).red() - after.pixelColor(x + i, y).green()) for i in range(40)]
    assert np.mean(inner) > 5
    x, y = (round(v) for v in home.view.model.to_screen(250, 200))
    assert after.pixelColor(x, y) == before.pixelColor(x, y)


def test_no_noise_here_is_a_tick_that_is_kept_and_undone(qtbot, home, micrographs: Path) -> None:
    with qtbot.waitSignal(home.noise.saved, timeout=5000):
        QTest.mouseClick(home.panel.empty_tick, LEFT, PLAIN, QPoint(8, home.panel.empty_tick.height() // 2))
    assert home.panel.list.files_model.index(0, 1).data() == "none"
    assert read_marks(marks_path(micrographs / "noise_boxes.star")).empty == {"a.mrc"}
    click(home, 100, 100)
    assert not home.panel.empty_tick.isChecked()
    assert not home.panel.empty_tick.isEnabled()
    key(home, Key.Key_Z, CTRL)
    assert home.panel.empty_tick.isChecked()
    key(home, Key.Key_Z, CTRL)
    assert not home.panel.empty_tick.isChecked()


def test_a_tick_alone_is_found_again(qtbot, home, micrographs: Path) -> None:
    with qtbot.waitSignal(home.noise.saved, timeout=5000):
        home.areas.set_empty(True)
    open_folder(qtbot, home, micrographs)
    assert home.noise.path == micrographs / "noise_boxes.star"
    qtbot.waitUntil(lambda: home.noise.picks.is_empty("a.mrc"), timeout=5000)
    assert home.panel.empty_tick.isChecked()


def test_the_menus_delete_in_bulk_with_numbers(home) -> None:
    put(home, (100, 100), (2, 2), (200, 100))
    home.noise.picks.replace("b.mrc", np.array([[50.0, 50]]))
    menu = home.panel.clear_menu
    home.areas.fill_clear(menu)
    texts = [a.text() for a in menu.actions()]
    assert "All boxes of this micrograph (3)" in texts
    assert "All boxes of all micrographs (4)" in texts
    menu.actions()[texts.index("Boxes that leave the micrograph (1)")].trigger()
    assert boxes(home) == [[100, 100], [200, 100]]
    menu.actions()[-1].trigger()
    assert home.noise.picks.total() == 0
    assert not home.panel.delete_button.isEnabled()
    key(home, Key.Key_Z, CTRL)
    assert home.noise.picks.total() == 3


def test_the_right_button_offers_what_is_below(home) -> None:
    put(home, (100, 100), (220, 100))
    home.noise.picks.set_areas("a.mrc", [np.array([[180.0, 60], [260, 60], [260, 150], [180, 150]])])
    click(home, 220, 100, button=RIGHT)
    entries = {a.text().split("\t")[0]: a for a in home.areas.menu.actions()}
    home.areas.menu.close()
    assert entries["Delete this box"].isEnabled()
    entries["Delete the boxes outside this area"].trigger()
    assert boxes(home) == [[220, 100]]
    click(home, 50, 200, button=RIGHT)
    entries = {a.text().split("\t")[0]: a for a in home.areas.menu.actions()}
    home.areas.menu.close()
    assert "Delete this box" not in entries
    entries["Exclude an area…"].trigger()
    assert home.marks.gestures.tool == "polygon"


def test_the_scheme_is_chosen_remembered_and_on_the_key_sheet(qtbot, home, window) -> None:
    home.panel.scheme_actions["cellpose"].trigger()
    assert window.session.settings.home["scheme"] == "cellpose"
    click(home, 100, 100)
    assert boxes(home) == []
    click(home, 100, 100, button=RIGHT)
    assert len(boxes(home)) == 1
    from app import dialogs

    dialogs.show_keys(window)
    from app.key_sheet import KeySheet

    sheets = window.findChildren(KeySheet)
    assert "mouse buttons of cellpose" in sheets[-1].text()
    sheets[-1].close()
    assert dialogs.key_sheet("RELION") != dialogs.key_sheet("EMAN2")


def test_keys_go_to_the_first_and_last_and_forget_the_selection(home) -> None:
    put(home, (100, 100))
    click(home, 100, 100)
    key(home, Key.Key_End)
    assert home.panel.list.current().name == "c.mrc"
    key(home, Key.Key_Home)
    assert home.panel.list.current().name == "a.mrc"
    assert home.panel.selected_count.text() == ""


def test_marks_of_the_next_micrograph_come_with_its_picture(qtbot, home) -> None:
    put(home, (100, 100))
    home.noise.picks.replace("b.mrc", np.array([[50.0, 50], [70, 70]]))
    key(home, Key.Key_N)
    assert home.view.layers == [] or home.view.path.name == "b.mrc"  # never over the picture before it
    qtbot.waitUntil(lambda: home.view.path.name == "b.mrc", timeout=10_000)
    squares = next(layer for layer in home.view.layers if layer.name == "Noise boxes")
    assert squares.centres.tolist() == [[50, 50], [70, 70]]
    assert home.panel.noise_total.text() == "2 here, 3 in all"


def test_refused_places_are_shown_with_their_reasons(home, micrographs: Path, monkeypatch) -> None:
    told = []
    monkeypatch.setattr("app.tabs.home_marks.QToolTip.showText", lambda _, text, __: told.append(text))
    places = RefusedPatches(np.array([[100.0, 100], [200, 150]]), 20, ["Too uneven.", "Too dark: ice."])
    assert not home.panel.show_refused.isVisible()
    home.marks.set_refused({micrographs / "a.mrc": places})
    assert home.panel.show_refused.isVisible()
    assert any(layer.shape == "dashed" for layer in home.view.layers)
    QTest.mouseMove(home.view.canvas, at(home, 205, 148))
    assert told == ["<qt>Too dark: ice.</qt>"]
    home.panel.show_refused.setChecked(False)
    assert not any(layer.shape == "dashed" for layer in home.view.layers)


def test_tool_buttons_and_keys_agree(home) -> None:
    for name, tool in home.panel.tools.items():
        QTest.mouseClick(tool, LEFT)
        assert home.marks.gestures.tool == name
        assert tool.toolTip()
        assert tool.accessibleName()
    key(home, Key.Key_Escape)
    assert home.panel.tools["pick"].isChecked()
    home.marks.gestures.set_tool("measure")
    assert not any(tool.isChecked() for tool in home.panel.tools.values())


def test_twenty_thousand_boxes_undo_cheaply(home) -> None:
    """A step holds what changed, and the view gets positions without a copy."""
    rng = np.random.default_rng(0)
    home.noise.picks.load({"a.mrc": rng.uniform(10, 230, (20_000, 2))})
    home.marks.draw()
    squares = next(layer for layer in home.view.layers if layer.name == "Noise boxes")
    assert np.shares_memory(squares.centres, home.noise.picks.view("a.mrc"))
    home.marks.select_all()
    key(home, Key.Key_Delete)
    assert home.noise.picks.total() == 0
    key(home, Key.Key_Z, CTRL)
    assert home.noise.picks.total() == 20_000


# -- crashes --------------------------------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from PySide6.QtCore import QCoreApplication
app = QCoreApplication([])
import numpy as np
from app.tabs.home_picks import NoiseFile
from core.io.coordinates import read_noise_boxes
path = Path({path!r})
noise = NoiseFile(None, Path({journals!r}))
noise.open(path, read_noise_boxes(path).positions, 32)
while noise.reading:
    app.processEvents()
picks = noise.picks
picks.add("a.mrc", 200, 60)
picks.move("a.mrc", 0, 101, 91)
picks.set_areas("a.mrc", [np.array([[1.0, 1], [9, 1], [9, 9]])])
picks.set_empty("b.mrc", True)
picks.add("c.mrc", 5, 6)
picks.undo()
print("ready", flush=True)
import time
time.sleep(60)
"""


@pytest.fixture
def noise(qtbot, tmp_path: Path):
    """A noise file with a journal, on the file that the killed process had."""
    made = []

    def make() -> NoiseFile:
        path = tmp_path / "noise_boxes.star"
        noise = NoiseFile(None, tmp_path / "journal")
        noise.open(path, read_noise_boxes(path).positions, 32)
        made.append(noise)
        qtbot.waitUntil(lambda: not noise.reading, timeout=10_000)
        return noise

    write_noise_boxes(tmp_path / "noise_boxes.star", {"a.mrc": np.array([[100.0, 90], [30, 40]])}, 32)
    yield make
    for each in made:
        each.close()


def kill_while_marking(tmp_path: Path) -> None:
    """Run a real process that marks, and kill it before its second is over."""
    text = CHILD.format(root=str(ROOT), path=str(tmp_path / "noise_boxes.star"), journals=str(tmp_path / "journal"))
    child = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == "ready"
    finally:
        child.kill()
        child.wait(20)
        child.stdout.close()


def test_after_a_kill_the_next_start_has_every_mark(qtbot, noise, tmp_path: Path) -> None:
    before = (tmp_path / "noise_boxes.star").read_bytes()
    kill_while_marking(tmp_path)
    assert (tmp_path / "noise_boxes.star").read_bytes() == before  # nothing had been saved
    said = []
    again = noise()
    again.recovered.connect(said.append)
    picks = again.picks
    assert sorted(picks.positions("a.mrc").tolist()) == [[30, 40], [101, 91], [200, 60]]
    assert picks.areas("a.mrc")[0].tolist() == [[1, 1], [9, 1], [9, 9]]
    assert picks.is_empty("b.mrc")
    assert picks.count("c.mrc") == 0
    with qtbot.waitSignal(again.saved, timeout=5000):
        pass
    assert sorted(read_noise_boxes(tmp_path / "noise_boxes.star").positions["a.mrc"].tolist()) == [
        [30, 40],
        [101, 91],
        [200, 60],
    ]
    assert list((tmp_path / "journal").glob("*.jsonl")) == []
    picks.undo()
    assert picks.positions("a.mrc").tolist() == [[100, 90], [30, 40]]


def test_a_journal_of_a_file_that_changed_since_is_left_out(noise, tmp_path: Path) -> None:
    kill_while_marking(tmp_path)
    time.sleep(0.01)  # another time stamp
    write_noise_boxes(tmp_path / "noise_boxes.star", {"a.mrc": np.array([[7.0, 7]])}, 32)
    again = noise()
    assert again.picks.positions("a.mrc").tolist() == [[7, 7]]
    assert len(list((tmp_path / "journal").glob("*.left-out"))) == 1


def test_a_second_window_has_no_journal_and_takes_none_away(noise, tmp_path: Path) -> None:
    first = noise()
    first.picks.add("a.mrc", 1, 2)
    second = noise()
    assert second.picks.count("a.mrc") == 2
    assert len(list((tmp_path / "journal").glob("*.jsonl"))) == 1


def test_a_kill_during_the_write_changes_nothing(tmp_path: Path) -> None:
    """The file may be the old one or the new one: the same marks come out."""
    path = tmp_path / "n.star"
    write_noise_boxes(path, {"a.mrc": np.array([[1.0, 1], [2, 2]])}, 32)
    journal = Journal(tmp_path / "journal", path)
    assert journal.open()
    old, new = np.array([[1.0, 1], [2, 2]]), np.array([[2.0, 2], [3, 3], [4, 4]])
    one = Change("a.mrc", "points", old[:1], None, np.array([0]))
    two = Change("a.mrc", "points", None, np.array([[3.0, 3]]), np.array([1]))
    three = Change("a.mrc", "points", None, np.array([[4.0, 4]]), np.array([2]))
    journal.append(one)
    journal.append(two)
    journal.rotate()  # the write begins, and the user goes on
    journal.append(three)
    journal.close()
    for there in (old, new[:2]):
        if there is not old:
            write_noise_boxes(path, {"a.mrc": there}, 32)
            journal.expect(stamp(path))  # as the write does, before the file has its name
        again = Journal(tmp_path / "journal", path)
        assert again.open()
        found = again.read()
        again.close()
        assert not found.changed
        assert sorted(replay(there, found.lines).tolist()) == new.tolist()
    write_noise_boxes(path, {"a.mrc": np.array([[7.0, 7]])}, 32)  # another program
    again = Journal(tmp_path / "journal", path)
    assert again.open()
    assert again.read().changed
    again.close()


def test_replaying_twice_and_torn_lines_do_no_harm(tmp_path: Path) -> None:
    moved = line_of(Change("a", "points", np.array([[1.0, 1]]), np.array([[5.25, 1]]), np.array([0])))
    lines = json.loads(json.dumps([moved, moved]))
    assert replay(np.array([[1.0, 1], [2, 2]]), lines).tolist() == [[2, 2], [5.25, 1]]
    path = tmp_path / "n.star"
    journal = Journal(tmp_path, path)
    assert journal.open()
    journal.append(Change("a", "points", None, np.array([[5.0, 6]]), np.array([0])))
    journal.close()
    part = journal.parts()[0]
    part.write_bytes(part.read_bytes() + b'{"n": "a", "+": "AAA')
    again = Journal(tmp_path, path)
    assert again.open()
    assert len(again.read().lines) == 1
    again.close()


def test_a_journal_that_cannot_be_written_is_done_without(noise, tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("in the way")
    again = noise()
    again.picks.add("a.mrc", 1, 2)
    assert again.picks.count("a.mrc") == 3


def test_unreadable_marks_are_told_and_never_overwritten(qtbot, tmp_path: Path) -> None:
    path = tmp_path / "noise_boxes.star"
    marks_path(path).write_text("{broken")
    noise, told = NoiseFile(None, tmp_path / "journal"), []
    noise.failed.connect(told.append)
    noise.open(path, {})
    qtbot.waitUntil(lambda: bool(told), timeout=5000)
    noise.picks.set_empty("a.mrc", True)
    noise.picks.add("b.mrc", 1, 2)
    noise.close()
    assert marks_path(path).read_text() == "{broken"
    assert path.exists()


def test_marks_of_other_micrographs_and_other_names_survive(qtbot, window, micrographs: Path) -> None:
    file = micrographs / "noise_boxes.star"
    write_noise_boxes(file, {"a.mrc": np.array([[100.0, 90]])}, 20)
    triangle = np.array([[1.0, 1], [9, 1], [9, 9]])
    write_marks(marks_path(file), {"x/y/b.mrc": [triangle], "elsewhere.mrc": [triangle]}, {"gone.mrc"})
    home = window.home
    open_folder(qtbot, home, micrographs)
    assert len(home.noise.picks.areas("b.mrc")) == 1
    with qtbot.waitSignal(home.noise.saved, timeout=5000):
        home.noise.picks.set_empty("c.mrc", True)
    stored = read_marks(marks_path(file))
    assert set(stored.excluded) == {"b.mrc", "elsewhere.mrc"}
    assert stored.empty == {"gone.mrc", "c.mrc"}


@pytest.mark.skipif(os.name != "posix", reason="file modes are those of POSIX")
def test_a_refused_write_keeps_the_journal(qtbot, noise, tmp_path: Path, monkeypatch) -> None:
    from core.errors import ResourceError

    again = noise()

    def refuse(*_args):
        raise ResourceError("The disk is full.", "")

    monkeypatch.setattr("app.tabs.home_picks.write", refuse)
    with qtbot.waitSignal(again.failed, timeout=5000):
        again.picks.add("a.mrc", 11, 12)
    assert again.picks.dirty
    assert len(list((tmp_path / "journal").glob("*.jsonl"))) == 1
    monkeypatch.undo()
    again.flush()
    assert not again.picks.dirty
    assert list((tmp_path / "journal").glob("*.jsonl")) == []
