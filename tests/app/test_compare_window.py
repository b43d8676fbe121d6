"""The window of any two images, and the pairs of Predict: choosing, dropping, stacks, unequal images, closing."""

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog

from app.compare_window import NOTHING, CompareWindow, differences, is_denoised
from app.widgets.image_chooser import short_names
from core.images.pyramid import build_pyramid
from core.io.mrc import write_mrc

LEFT = Qt.MouseButton.LeftButton
WAIT = 20_000
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def noise(ny=240, nx=320, seed=0):
    return np.random.default_rng(seed).normal(100, 10, (ny, nx)).astype(np.float32)


@pytest.fixture
def compare(qtbot, session, micrographs):
    window = CompareWindow(session, None, lambda: sorted(micrographs.glob("*.mrc")), painter="raster")
    window.resize(1100, 700)
    with qtbot.waitExposed(window):
        window.show()
    yield window
    window.close()
    QApplication.sendPostedEvents()


def loaded(window):
    return all(window.compare.pair) and not window.pair.loading(0) and not window.pair.loading(1)


def drop(window, paths, place):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(p)) for p in paths])
    event = QDropEvent(
        QPointF(place), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    window.dropEvent(event)


def test_two_micrographs_are_chosen_from_the_lists_by_key(compare, qtbot, micrographs):
    assert compare.compare.scene.message == NOTHING
    for chooser in compare.choosers:
        assert [chooser.box.itemText(i) for i in range(3)] == ["a.mrc", "b.mrc", "c.mrc"]
    first, second = (chooser.box for chooser in compare.choosers)
    first.setFocus()
    qtbot.keyClick(first, Qt.Key.Key_Down)
    second.setFocus()
    qtbot.keyClick(second, Qt.Key.Key_Down)
    qtbot.keyClick(second, Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: loaded(compare), timeout=WAIT)
    assert [p.name for p in compare.compare.pair] == ["a.mrc", "b.mrc"]
    assert compare.compare.scene.labels == ("A: a.mrc", "B: b.mrc")
    assert compare.notice.isHidden()
    assert compare.windowTitle() == "a.mrc | b.mrc"


def test_the_agreement_is_there_from_the_beginning(compare, qtbot, micrographs):
    compare.open_pair(micrographs / "a.mrc", micrographs / "b.mrc")
    frc = compare.compare.panels.panels["frc"]
    qtbot.waitUntil(lambda: frc.result is not None, timeout=WAIT)
    assert np.abs(frc.result.correlation[20:]).mean() < 0.2
    assert "B: b.mrc" in frc.second.currentText()


def test_exchanging_turns_everything_round(compare, qtbot, micrographs):
    compare.open_pair(micrographs / "a.mrc", micrographs / "c.mrc")
    qtbot.waitUntil(lambda: loaded(compare), timeout=WAIT)
    compare.compare.canvas.setFocus()
    qtbot.keyClick(compare.compare.canvas, Qt.Key.Key_X)
    qtbot.waitUntil(lambda: loaded(compare) and compare.compare.pair[0].name == "c.mrc", timeout=WAIT)
    assert compare.compare.pair[1].name == "a.mrc"
    assert [c.path.name for c in compare.choosers] == ["c.mrc", "a.mrc"]
    assert compare.compare.scene.labels == ("A: c.mrc", "B: a.mrc")
    compare.compare.set_mode("difference")
    assert compare.compare.scene.captions() == ["A minus B"]


def test_files_are_dropped_on_a_half_or_both_at_once(compare, qtbot, micrographs):
    drop(compare, [micrographs / "b.mrc"], QPoint(900, 300))
    drop(compare, [micrographs / "a.mrc"], QPoint(100, 300))
    qtbot.waitUntil(lambda: loaded(compare), timeout=WAIT)
    assert [p.name for p in compare.compare.pair] == ["a.mrc", "b.mrc"]
    drop(compare, [micrographs / "c.mrc", micrographs / "a.mrc"], QPoint(100, 300))
    qtbot.waitUntil(lambda: loaded(compare) and compare.compare.pair[0].name == "c.mrc", timeout=WAIT)
    assert compare.compare.pair[1].name == "a.mrc"


def test_another_file_and_the_images_of_a_stack(compare, qtbot, micrographs, tmp_path, monkeypatch):
    from core.io.mrc_write import MrcStackWriter

    path = tmp_path / "stack.mrcs"
    with MrcStackWriter(path, 4, 240, 320, 2.0) as writer:
        for index in range(4):
            writer.append(noise(seed=index))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (str(path), ""))
    compare.open_pair(micrographs / "a.mrc", None)
    qtbot.mouseClick(compare.choosers[1].other, LEFT)
    qtbot.waitUntil(lambda: loaded(compare), timeout=WAIT)
    spin = compare.choosers[1].frame
    assert spin.isVisible()
    assert not compare.choosers[0].frame.isVisible()
    spin.setFocus()
    qtbot.keyClick(spin, Qt.Key.Key_Up)
    qtbot.waitUntil(lambda: compare.compare.pair[1].index == 1, timeout=WAIT)
    assert compare.compare.scene.labels[1] == "B: stack.mrcs, image 2 of 4"
    assert compare.compare.values(5, 7)[1] == noise(seed=1)[7, 5]


def test_unequal_images_are_told_in_words(compare, qtbot, micrographs, tmp_path):
    write_mrc(tmp_path / "small.mrc", noise(100, 120), pixel_size_a=3.0)
    compare.open_pair(micrographs / "a.mrc", tmp_path / "small.mrc")
    qtbot.waitUntil(lambda: loaded(compare), timeout=WAIT)
    assert "A has 320 × 240 px, B 120 × 100 px" in compare.notice.text()
    assert "A 2 Å, B 3 Å" in compare.notice.text()
    assert compare.notice.isVisible()
    for mode in ("side", "swipe", "blink", "difference"):
        compare.compare.set_mode(mode)
        QTest.mouseMove(compare.compare.canvas, QPoint(120 + len(mode), 200))
        compare.compare.canvas.grab_sharp()
    drop(compare, [micrographs / "b.mrc"], QPoint(900, 300))
    qtbot.waitUntil(lambda: loaded(compare) and compare.compare.pair[1].name == "b.mrc", timeout=WAIT)
    assert compare.notice.isHidden()


def test_a_broken_file_is_told_and_the_other_stays(compare, qtbot, micrographs, tmp_path):
    (tmp_path / "broken.mrc").write_bytes(b"no image")
    compare.open_pair(micrographs / "a.mrc", tmp_path / "broken.mrc")
    qtbot.waitUntil(lambda: "broken.mrc" in compare.notice.text(), timeout=WAIT)
    qtbot.waitUntil(lambda: compare.compare.pair[0] is not None, timeout=WAIT)
    assert "broken.mrc" in compare.notice.text()
    compare.open_pair(None, micrographs / "b.mrc")
    qtbot.waitUntil(lambda: loaded(compare), timeout=WAIT)
    assert compare.notice.isHidden()


def test_a_denoised_micrograph_says_so(compare, qtbot, micrographs, tmp_path):
    path = tmp_path / "denoised" / "a.mrc"
    path.parent.mkdir()
    write_mrc(path, noise(), 2.0, label="Vitreous 0.1 denoised (network): for seeing and picking")
    assert is_denoised(path)
    assert not is_denoised(micrographs / "a.mrc")
    compare.open_pair(micrographs / "a.mrc", path)
    wanted = "B: denoised/a.mrc, denoised, for seeing and picking"
    qtbot.waitUntil(lambda: compare.compare.scene.labels[1] == wanted, timeout=WAIT)


def test_closing_ends_the_threads_and_keeps_the_place(qtbot, session, micrographs):
    window = CompareWindow(session, None, tuple, painter="raster")
    window.resize(700, 560)  # within the screen: larger ones are made to fit
    window.show()
    window.open_pair(micrographs / "a.mrc", micrographs / "b.mrc")
    threads = [loader._thread for loader in window.pair._loaders]
    assert all(thread.isRunning() for thread in threads)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=WAIT)
    size = window.size()
    with qtbot.waitSignal(window.destroyed, timeout=WAIT):
        qtbot.keyClick(window, Qt.Key.Key_W, Qt.KeyboardModifier.ControlModifier)
    again = CompareWindow(session, None, tuple, painter="raster")
    assert again.height() == size.height() == 560
    assert again.choosers[0].path is None
    again.close()


def test_the_menu_opens_it_with_what_is_there_and_it_goes_with_the_window(window, qtbot, micrographs):
    window.home.open_paths([micrographs])
    qtbot.waitUntil(lambda: len(window.home.files.files) == 3, timeout=WAIT)
    window.activateWindow()
    qtbot.keyClick(window, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: bool(window.findChildren(CompareWindow)), timeout=WAIT)
    compare = window.findChildren(CompareWindow)[0]
    assert compare.choosers[0].path.name == "a.mrc"
    assert compare.choosers[1].box.count() == 3
    assert not compare.isModal()
    from app.compare_window import open_for

    assert open_for(window) is compare
    with qtbot.waitSignal(compare.destroyed, timeout=WAIT):
        window.close()


def test_names_and_differences_in_words():
    assert short_names([Path("x/a.mrc"), Path("y/a.mrc"), Path("y/b.mrc")]) == ["x/a.mrc", "y/a.mrc", "b.mrc"]
    image = noise(32, 32)
    assert differences(build_pyramid(image, 1.0), build_pyramid(image, 1.0)) == []
    assert differences(build_pyramid(image, 1.0), None) == []
    assert "Only of B" in differences(build_pyramid(image), build_pyramid(image, 1.5))[0]


def test_an_average_agrees_with_its_frame_at_low_resolution(compare, qtbot):
    folder = DATA / "apoferritin_10146"
    files = [folder / f"May08_03.05.02.bin_{kind}.mrc" for kind in ("avg", "frame")]
    if not all(file.exists() for file in files):
        pytest.skip("the apoferritin micrographs are not there")
    compare.open_pair(*files)
    frc = compare.compare.panels.panels["frc"]
    qtbot.waitUntil(lambda: frc.result is not None, timeout=WAIT)
    correlation = frc.result.correlation
    assert correlation[1:6].mean() > 3 * correlation[100:].mean()


# -- Predict ------------------------------------------------------------------------------------------------


@pytest.fixture
def predict(qtbot, session, micrographs, tmp_path):
    from app.tabs.predict import PredictTab

    out = tmp_path / "project" / "denoised-gaussian"
    out.mkdir(parents=True)
    for name in ("a", "b"):
        write_mrc(out / f"{name}.mrc", noise(seed=9), pixel_size_a=2.0)
    (out / "denoised.json").write_text('{"method": {"method": "gaussian:30", "dtype": "float32"}}')
    tab = PredictTab(session)
    qtbot.addWidget(tab)
    tab.resize(1100, 700)
    tab.show()
    tab.form.set_values({"micrographs": [str(micrographs)], "model": "gaussian:30"})
    tab.form.set_values({"output": str(out)})
    qtbot.waitUntil(lambda: all(tab.compare.pair), timeout=WAIT)
    yield tab
    tab.close_tab()


def test_next_and_previous_by_key_keep_the_view(predict, qtbot):
    canvas = predict.compare.canvas
    predict.compare.model.set_zoom(2.0)
    canvas.setFocus()
    centre = predict.compare.model.centre
    for key, name in (
        (Qt.Key.Key_N, "b.mrc"),
        (Qt.Key.Key_P, "a.mrc"),
        (Qt.Key.Key_PageDown, "b.mrc"),
        (Qt.Key.Key_PageUp, "a.mrc"),
    ):
        qtbot.keyClick(canvas, key)
        qtbot.waitUntil(lambda name=name: predict.compare.pair[0].name == name, timeout=WAIT)
        assert predict.list.current().name == name
    qtbot.waitUntil(lambda: all(predict.compare.pair), timeout=WAIT)
    assert (predict.compare.model.zoom, predict.compare.model.centre) == (2.0, centre)


def test_the_pair_comes_together_with_its_method_and_its_files(predict, qtbot):
    seen = []
    predict.pair.changed.connect(lambda: seen.append([p is not None for p in predict.pair.pictures]))
    predict.compare.canvas.setFocus()
    qtbot.keyClick(predict.compare.canvas, Qt.Key.Key_N)
    qtbot.waitUntil(lambda: all(p is not None and p.name == "b.mrc" for p in predict.compare.pair), timeout=WAIT)
    assert predict.compare.scene.names() == ("raw", "Gaussian 30 Å")
    assert [path.parent.name for path in predict.compare.saving.paths] == ["micrographs", "denoised-gaussian"]


def test_what_is_not_denoised_says_so_and_a_file_that_went_is_told(predict, qtbot):
    from app.tabs.predict import NOT_YET

    predict.list.selectRow(2)
    qtbot.waitUntil(lambda: predict.compare.pair[0].name == "c.mrc", timeout=WAIT)
    assert predict.compare.pair[1] is None
    assert predict.compare.scene.nothing == NOT_YET
    predict.list.files[1].unlink()
    predict.session.cache.clear()
    predict.list.selectRow(1)
    qtbot.waitUntil(lambda: "does not exist" in predict.compare.scene.message, timeout=WAIT)
    qtbot.waitUntil(lambda: predict.compare.pair[1] is not None, timeout=WAIT)
    assert predict.compare.pair[0] is None
    assert "does not exist" in predict.compare.scene.message  # also when the other picture came later
