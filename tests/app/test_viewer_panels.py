"""The panels beside a picture with real events: spectrum, agreement of two images, header and statistics."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QWidget

from app import theme
from app.viewer.frc_panel import FrcPanel, summary
from app.viewer.info_panel import InfoPanel
from app.viewer.latest_task import LatestTask
from app.viewer.spectrum_panel import SpectrumPanel
from core.errors import InputError
from core.images.pyramid import Cancelled, build_pyramid
from core.io.mrc import write_mrc
from workers import task

NONE = Qt.KeyboardModifier.NoModifier


def noise(ny: int, nx: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((ny, nx)).astype(np.float32)


def waves(ny: int, nx: int, period: float) -> np.ndarray:
    return (noise(ny, nx) * 0.2 + np.cos(2 * np.pi * np.arange(nx) / period)).astype(np.float32)


def shown(qtbot, widget: QWidget, mode: str = "dark") -> QWidget:
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    theme.apply(app, mode)
    qtbot.addWidget(widget)
    widget.resize(360, 720)
    with qtbot.waitExposed(widget):
        widget.show()
    return widget


def wait_for_threads(qtbot) -> None:
    """Every task has ended and what it emitted has been delivered."""
    qtbot.waitUntil(lambda: not task._running, timeout=20_000)


def wheel(widget: QWidget, place: QPoint, steps: int) -> None:
    glob, buttons = QPointF(widget.mapToGlobal(place)), Qt.MouseButton.NoButton
    phase = Qt.ScrollPhase.NoScrollPhase
    event = QWheelEvent(QPointF(place), glob, QPoint(), QPoint(0, 120 * steps), buttons, NONE, phase, False)
    QApplication.sendEvent(widget, event)


# -- the newest task wins -------------------------------------------------------------------------------


def test_only_the_newest_task_is_answered(qtbot) -> None:
    tasks, answers, gate = LatestTask(), [], threading.Event()
    tasks.done.connect(answers.append)

    def slow(cancelled):
        gate.wait(10)
        return "old"

    tasks.start(slow)
    with qtbot.waitSignal(tasks.done, timeout=5000):
        tasks.start(lambda cancelled: "new")
    assert not tasks.busy
    gate.set()
    wait_for_threads(qtbot)
    assert answers == ["new"]


def test_older_tasks_are_told_to_stop(qtbot) -> None:
    tasks, stopped = LatestTask(), threading.Event()

    def patient(cancelled):
        while not cancelled():
            stopped.wait(0.005)
        stopped.set()
        raise Cancelled

    tasks.start(patient)
    tasks.cancel()
    qtbot.waitUntil(stopped.is_set, timeout=5000)
    assert not tasks.busy


@pytest.mark.parametrize("error", [InputError("m.mrc is gone.", "Look for it."), ValueError("bug"), MemoryError()])
def test_errors_arrive_as_sentences(qtbot, error) -> None:
    tasks = LatestTask()

    def broken(cancelled):
        raise error

    with qtbot.waitSignal(tasks.failed, timeout=5000) as caught:
        tasks.start(broken)
    assert caught.args[0].message
    assert not tasks.busy


# -- power spectrum -------------------------------------------------------------------------------------


@pytest.fixture
def spectrum(qtbot) -> SpectrumPanel:
    panel = SpectrumPanel()
    shown(qtbot, panel)
    return panel


def wait_spectrum(qtbot, panel: SpectrumPanel) -> None:
    qtbot.waitUntil(lambda: panel.spectrum is not None, timeout=20_000)


def wait_curves(qtbot, plot) -> None:
    qtbot.waitUntil(lambda: plot._plot is not None and plot._plot.isVisible(), timeout=20_000)


def test_the_spectrum_appears_and_reads_in_angstrom(qtbot, spectrum) -> None:
    assert "Open a micrograph" in spectrum.picture._words
    spectrum.set_image(build_pyramid(waves(1024, 1024, 16), 1.5))
    wait_spectrum(qtbot, spectrum)
    assert not spectrum.picture._words
    assert spectrum.picture.edge == pytest.approx(1 / 4, rel=0.01), "4 Å at the edge at first"
    picture = spectrum.picture
    radius = picture.radius_of(1 / 24)
    spot = (picture._centre() + QPointF(radius, 0)).toPoint()
    QTest.mouseMove(picture, picture._centre().toPoint())
    QTest.mouseMove(picture, spot)
    value, unit = spectrum.reading.text().split(" = ")[1].split()
    assert (float(value), unit) == (pytest.approx(24, rel=0.03), "Å")
    picture.set_pointer(math.nan)
    picture.set_rings([])
    image = picture.grab().toImage().convertToFormat(QImage.Format.Format_Grayscale8)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    around = rows[spot.y() - 6 : spot.y() + 7, spot.x() - 6 : spot.x() + 7].astype(float)
    around = np.where(around > 0.7 * around.max(), around, 0)
    y, x = (float((around * grid).sum() / around.sum()) for grid in np.mgrid[-6:7, -6:7])
    assert math.hypot(x, y) < 1.5, "the wave's own spot is drawn where its resolution is read"


def test_zoom_by_wheel_and_keys_stays_for_the_next_image(qtbot, spectrum) -> None:
    spectrum.set_image(build_pyramid(waves(600, 600, 16), 1.0))
    wait_spectrum(qtbot, spectrum)
    picture = spectrum.picture
    first = picture.edge
    wheel(picture, picture.rect().center(), 2)
    assert picture.edge == pytest.approx(first / 1.25**2)
    qtbot.keyClick(picture, Qt.Key.Key_Minus)
    kept = picture.edge
    assert kept == pytest.approx(first / 1.25)
    spectrum.set_image(build_pyramid(waves(600, 600, 12), 1.3))
    wait_spectrum(qtbot, spectrum)
    assert picture.edge == pytest.approx(kept)
    qtbot.keyClick(picture, Qt.Key.Key_0)
    assert picture.edge == pytest.approx(1 / 2.6)


def test_rings_by_keyboard_and_from_the_users_list(qtbot, spectrum) -> None:
    spectrum.set_image(build_pyramid(waves(600, 600, 16), None))
    wait_spectrum(qtbot, spectrum)
    assert spectrum.unit.text() == "px"
    spectrum.rings.setFocus()
    spectrum.rings.selectAll()
    qtbot.keyClicks(spectrum.rings, "30; 12.5 8")
    assert spectrum.resolutions() == [30.0, 12.5, 8.0]
    assert spectrum.picture._rings == (30.0, 12.5, 8.0)
    qtbot.keyClicks(spectrum.rings, "x")
    assert spectrum.rings.property("state") == "error"
    picture = spectrum.picture
    picture.setFocus()
    qtbot.keyClick(picture, Qt.Key.Key_Right)
    before = picture._pointer
    qtbot.keyClick(picture, Qt.Key.Key_Left)
    assert before - picture._pointer == pytest.approx(spectrum.spectrum.step)
    assert spectrum.reading.text().endswith("px")
    wait_curves(qtbot, spectrum.plot)
    assert spectrum.plot._line.value() == pytest.approx(picture._pointer)


def test_the_visible_part_follows_the_view_when_it_rests(qtbot, spectrum) -> None:
    image = noise(1024, 1024) * 0.1
    image[:, :512] += waves(1024, 512, 16)
    image[:, 512:] += waves(1024, 512, 8)
    spectrum.set_image(build_pyramid(image, 1.0), (-0.5, -0.5, 511, 1023))
    spectrum.where.setCurrentIndex(1)
    wait_spectrum(qtbot, spectrum)
    assert 1 / spectrum.spectrum.radii[spectrum.spectrum.power.argmax()] == pytest.approx(16, rel=0.05)
    for left in (400, 450, 520):
        spectrum.set_visible_rect((left, 0, 1023, 1023))
    assert spectrum.spectrum is None
    wait_spectrum(qtbot, spectrum)
    assert 1 / spectrum.spectrum.radii[spectrum.spectrum.power.argmax()] == pytest.approx(8, rel=0.05)
    spectrum.set_visible_rect((600, 600, 610, 610))
    qtbot.waitUntil(lambda: "too few" in spectrum.picture._words, timeout=10_000)
    assert "Zoom out" in spectrum.picture._words
    spectrum.where.setCurrentIndex(0)
    wait_spectrum(qtbot, spectrum)
    assert not spectrum.picture._words


def test_switches_change_the_picture_without_a_new_spectrum(qtbot, spectrum) -> None:
    spectrum.set_image(build_pyramid(waves(600, 600, 16), 1.0))
    wait_spectrum(qtbot, spectrum)
    measured = spectrum.spectrum
    wait_curves(qtbot, spectrum.plot)
    labels = {spectrum.plot._plot.getAxis("left").labelText}
    for box in (spectrum.log, spectrum.flat):
        with qtbot.waitSignal(spectrum._task.done, timeout=10_000):
            QTest.mouseClick(box, Qt.MouseButton.LeftButton, NONE, QPoint(10, box.height() // 2))
        labels.add(spectrum.plot._plot.getAxis("left").labelText)
    assert spectrum.spectrum is measured
    assert labels == {"log power", "amplitude"}


def test_fast_changes_end_on_the_last_image(qtbot, spectrum) -> None:
    periods = (8, 10, 12, 16, 20)
    for period in periods:
        spectrum.set_image(build_pyramid(waves(700, 700, period), 1.0))
    wait_spectrum(qtbot, spectrum)
    qtbot.waitUntil(lambda: not spectrum._task.busy, timeout=10_000)
    assert 1 / spectrum.spectrum.radii[spectrum.spectrum.power.argmax()] == pytest.approx(20, rel=0.06)
    spectrum.set_image(None)
    assert "Open a micrograph" in spectrum.picture._words


def test_the_same_image_is_not_computed_twice(qtbot, spectrum, info) -> None:
    image = build_pyramid(waves(600, 600, 16), 1.0)
    for panel, arguments in ((spectrum, (image, (0, 0, 99, 99))), (info, (None, image))):
        panel.set_image(*arguments)
        qtbot.waitUntil(lambda panel=panel: not panel._task.busy, timeout=10_000)
        panel.set_image(*arguments)
        assert not panel._task.busy
    spectrum.set_image(image, (5, 5, 300, 300))
    assert not spectrum._task.busy, "the whole image is shown: where the view is does not matter"
    assert spectrum.spectrum is not None


def test_a_hidden_panel_computes_nothing_until_it_is_seen(qtbot) -> None:
    panel = SpectrumPanel()
    qtbot.addWidget(panel)
    panel.set_image(build_pyramid(waves(600, 600, 16), 1.0))
    assert not panel._task.busy
    panel.show()
    wait_spectrum(qtbot, panel)


def test_the_picture_is_as_wide_as_the_panel_and_the_handle_is_remembered(qtbot, spectrum) -> None:
    from app.viewer import spectrum_split

    image = build_pyramid(waves(600, 600, 16), 1.0)
    spectrum.set_image(image)
    wait_spectrum(qtbot, spectrum)
    assert spectrum.picture.height() == spectrum.picture.width()
    spectrum.resize(360, 380)
    QApplication.processEvents()
    assert spectrum.plot.height() >= spectrum.plot.minimumSizeHint().height(), "the curve keeps its least height"
    spectrum.resize(360, 720)
    handle = spectrum.split.handle(1)
    start = handle.rect().center()
    QTest.mousePress(handle, Qt.MouseButton.LeftButton, NONE, start)
    QTest.mouseMove(handle, start - QPoint(0, 100))
    QTest.mouseRelease(handle, Qt.MouseButton.LeftButton, NONE, start - QPoint(0, 100))
    chosen = spectrum.picture.height()
    assert chosen < 300
    other = SpectrumPanel()
    shown(qtbot, other)
    assert abs(other.picture.height() - chosen) <= 2, "another panel of the session"
    QTest.mouseDClick(other.split.handle(1), Qt.MouseButton.LeftButton)
    assert other.picture.height() == other.picture.width()
    assert not spectrum_split._share


def test_the_axis_of_the_curve_has_no_factor_of_a_thousand(qtbot, spectrum) -> None:
    spectrum.set_image(build_pyramid(noise(600, 600), 1.0))
    wait_spectrum(qtbot, spectrum)
    wait_curves(qtbot, spectrum.plot)
    spectrum.rings.setText("30")
    spectrum._show_rings()  # drawn once more, with the label visible
    assert spectrum.plot._plot.getAxis("left").autoSIPrefixScale == 1.0


# -- agreement of two images ----------------------------------------------------------------------------


@pytest.fixture
def frc(qtbot) -> FrcPanel:
    panel = FrcPanel()
    shown(qtbot, panel)
    return panel


def halves(n: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """A common signal up to a quarter of a cycle per pixel, with independent noise."""
    f = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None])
    signal = np.fft.irfft2(np.fft.rfft2(noise(n, n)) * (f < 0.25), (n, n)).astype(np.float32)
    return signal + 0.4 * noise(n, n, 1), signal + 0.4 * noise(n, n, 2)


def wait_frc(qtbot, panel: FrcPanel) -> None:
    qtbot.waitUntil(lambda: panel.result is not None and not panel._task.busy, timeout=20_000)


def test_two_pictures_are_compared_and_read_in_angstrom(qtbot, frc, tmp_path: Path) -> None:
    assert "Two pictures" in frc.plot.words.text()
    a, b = halves()
    path = tmp_path / "second_half.mrc"
    write_mrc(path, b, pixel_size_a=1.5)
    frc.set_images([("first", build_pyramid(a, 1.5)), ("second", path)])
    wait_frc(qtbot, frc)
    assert frc.result.resolution(0.5) == pytest.approx(6.0, rel=0.03)
    assert "Falls below 0.5 at" in frc.text.text()
    assert "Falls below 1/7 at" in frc.text.text()
    assert "share their noise" in frc.note.text()
    assert frc.note.isVisible()
    wait_curves(qtbot, frc.plot)
    frc.grab()  # the axes find their width when they are painted
    QApplication.processEvents()
    view = frc.plot._plot.plotItem.vb
    scene = view.mapViewToScene(QPointF(1 / 12, 0.5))
    place = frc.plot._plot.mapFromScene(scene)
    QTest.mouseMove(frc.plot._plot.viewport(), place + QPoint(20, 0))
    QTest.mouseMove(frc.plot._plot.viewport(), place)
    resolution, _, value = frc.reading.text().partition(" Å: correlation ")
    assert float(resolution) == pytest.approx(12, rel=0.05)
    assert float(value) == pytest.approx(0.85, abs=0.1)


def test_choices_stay_by_name_and_equal_ones_are_explained(qtbot, frc) -> None:
    a, b = halves(256)
    first, second = build_pyramid(a, 1.0), build_pyramid(b, 1.0)
    frc.set_images([("raw", first), ("denoised", second), ("another", first)])
    wait_frc(qtbot, frc)
    assert (frc.first.currentText(), frc.second.currentText()) == ("raw", "denoised")
    frc.second.setCurrentText("another")
    wait_frc(qtbot, frc)
    assert "as far as the pixels go (2 Å)" in frc.text.text()
    frc.set_images([("new", second), ("another", first), ("raw", first)])
    assert (frc.first.currentText(), frc.second.currentText()) == ("raw", "another")
    frc.second.setCurrentText("raw")
    assert "two different" in frc.plot.words.text()
    assert frc.result is None
    frc.set_images([])
    assert "Two pictures" in frc.plot.words.text()
    assert not frc.export.isEnabled()


def test_the_visible_part_is_compared_alone(qtbot, frc) -> None:
    a = noise(512, 512, 1)
    b = noise(512, 512, 2)
    b[:, 256:] = a[:, 256:]
    frc.set_images([("a", build_pyramid(a, 1.0)), ("b", build_pyramid(b, 1.0))])
    frc.set_visible_rect((256, 0, 511, 511))
    wait_frc(qtbot, frc)
    assert not frc.result.holds_to_the_end(0.9)
    frc.where.setCurrentIndex(1)
    qtbot.waitUntil(lambda: frc.result is not None and frc.result.holds_to_the_end(0.9), timeout=10_000)
    frc.set_visible_rect((0, 0, 200, 511))
    qtbot.waitUntil(lambda: not frc.result.holds_to_the_end(0.9), timeout=10_000)


def test_what_cannot_be_compared_is_told_in_the_panel(qtbot, frc, tmp_path: Path) -> None:
    frc.set_images([("a", build_pyramid(noise(300, 300), 1.0)), ("b", build_pyramid(noise(300, 320), 1.0))])
    qtbot.waitUntil(lambda: "different sizes" in frc.plot.words.text(), timeout=10_000)
    assert "one micrograph" in frc.plot.words.text()
    frc.set_images([("a", build_pyramid(noise(300, 300), 1.0)), ("c", tmp_path / "gone.mrc")])
    frc.second.setCurrentText("c")
    qtbot.waitUntil(lambda: "gone.mrc does not exist" in frc.plot.words.text(), timeout=10_000)


def test_the_curve_can_be_exported(qtbot, frc, tmp_path: Path, monkeypatch) -> None:
    a, b = halves(256)
    frc.set_images([("a", build_pyramid(a, 2.0)), ("b", build_pyramid(b, 2.0))])
    wait_frc(qtbot, frc)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "frc.csv"), ""))
    QTest.mouseClick(frc.export, Qt.MouseButton.LeftButton)
    lines = (tmp_path / "frc.csv").read_text().splitlines()
    assert lines[0] == "curve,frequency 1/Å,resolution Å,value"
    assert len(lines) == 1 + 2 * 128
    assert lines[1].startswith("correlation,0.001953125,512,")


def test_halved_images_are_told(monkeypatch) -> None:
    from core.metrics.frc import compare

    monkeypatch.setattr("core.metrics.frc.LARGEST_SIDE", 200)
    image = build_pyramid(noise(300, 300), 1.0)
    assert "means of 2 × 2 pixels: nothing finer than 4 Å" in summary(compare(image, image))


# -- header and statistics ------------------------------------------------------------------------------


@pytest.fixture
def info(qtbot) -> InfoPanel:
    panel = InfoPanel()
    shown(qtbot, panel)
    return panel


def value_of(panel: InfoPanel, name: str) -> str:
    found = [i for i in range(panel.table.topLevelItemCount()) if panel.table.topLevelItem(i).text(0) == name]
    return panel.table.topLevelItem(found[0]).text(1)


def test_header_and_statistics_are_shown_and_copied(qtbot, info, tmp_path: Path) -> None:
    assert info.words.isVisible()
    path = tmp_path / "m.mrc"
    image = noise(200, 300) + 7
    write_mrc(path, image, pixel_size_a=1.25)
    info.set_image(path, build_pyramid(image, 1.25, "m.mrc"))
    qtbot.waitUntil(lambda: bool(info.groups), timeout=10_000)
    assert (value_of(info, "Name"), value_of(info, "Pixel size")) == ("m.mrc", "1.25 Å")
    assert float(value_of(info, "Mean")) == pytest.approx(7, abs=0.05)
    QTest.mouseClick(info.copy, Qt.MouseButton.LeftButton)
    assert "Pixel size\t1.25 Å" in QApplication.clipboard().text()
    line = info.table.findItems("Folder", Qt.MatchFlag.MatchExactly)[0]
    QTest.mouseClick(info.table.viewport(), Qt.MouseButton.LeftButton, NONE, info.table.visualItemRect(line).center())
    qtbot.keyClick(info.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QApplication.clipboard().text() == str(tmp_path)
    qtbot.keyClick(info.table, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(info.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QApplication.clipboard().text().splitlines()[1].startswith("Size\t")


def test_long_values_are_wrapped_not_cut(qtbot, info, tmp_path: Path) -> None:
    folder = tmp_path / ("a_rather_long_name_of_a_folder_" * 4)
    folder.mkdir()
    write_mrc(folder / "m.mrc", noise(64, 64), pixel_size_a=1.0)
    info.set_image(folder / "m.mrc", None)
    qtbot.waitUntil(lambda: bool(info.groups), timeout=10_000)
    info.table.doItemsLayout()
    line = info.table.findItems("Folder", Qt.MatchFlag.MatchExactly)[0]
    low = info.table.findItems("Format", Qt.MatchFlag.MatchExactly)[0]
    assert info.table.visualItemRect(line).height() > 2 * info.table.visualItemRect(low).height()
    assert line.toolTip(1) == line.text(1) == str(folder)


def test_the_last_image_is_described(qtbot, info) -> None:
    for mean in (1, 2, 3):
        info.set_image(None, build_pyramid(np.full((64, 64), mean, np.float32)))
    qtbot.waitUntil(lambda: bool(info.groups) and not info._task.busy, timeout=10_000)
    assert value_of(info, "Mean") == "3"
    info.set_image(None, None)
    assert info.words.isVisible()
    assert not info.copy.isEnabled()


def test_missing_files_are_told(qtbot, info, tmp_path: Path) -> None:
    info.set_image(tmp_path / "gone.mrc", None)
    qtbot.waitUntil(lambda: "gone.mrc does not exist" in info.words.text(), timeout=10_000)


# -- looks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["dark", "light"])
@pytest.mark.parametrize("kind", [SpectrumPanel, FrcPanel, InfoPanel])
def test_panels_fit_a_narrow_column_and_every_control_has_a_name(qtbot, qapp, kind, mode) -> None:
    panel = kind()
    shown(qtbot, panel, mode)
    panel.resize(320, 640)
    assert panel.minimumSizeHint().width() <= 320
    image = build_pyramid(waves(600, 600, 16), 1.0, "m.mrc")
    if kind is FrcPanel:
        panel.set_images([("a " * 60, image), ("b", build_pyramid(noise(600, 600), 1.0))])
        wait_frc(qtbot, panel)
    else:
        panel.set_image(*((None, image) if kind is InfoPanel else (image, None)))
        qtbot.waitUntil(
            lambda: bool(getattr(panel, "groups", None) or getattr(panel, "spectrum", None)), timeout=10_000
        )
    if kind is not InfoPanel:
        wait_curves(qtbot, panel.plot)
    assert panel.width() == 320
    theme.apply(qapp, "light" if mode == "dark" else "dark")  # switched while it shows
    assert not panel.grab().isNull()
    for child in panel.findChildren(QWidget):
        if child.focusPolicy() & Qt.FocusPolicy.TabFocus and child.isVisible() and child.parent() is panel:
            assert child.accessibleName() or getattr(child, "text", str)(), child
            assert child.toolTip(), child
    theme.apply(qapp, "dark")


def test_a_panel_can_go_while_it_computes(qtbot) -> None:
    panel = SpectrumPanel()
    shown(qtbot, panel)
    panel.set_image(build_pyramid(noise(2048, 2048), 1.0))
    panel.picture._point(math.nan)
    panel.close()
    panel.deleteLater()
    wait_for_threads(qtbot)
