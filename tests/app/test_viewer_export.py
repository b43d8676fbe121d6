"""Saving pictures: what is in the files, and the dialog used with clicks and keys."""

import dataclasses

import numpy as np
import pytest
import tifffile
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMessageBox

from app.viewer.boxes import NOISE_COLOUR, PARTICLE_COLOUR, BoxLayer
from app.viewer.export import Exportable, Exporter, ExportOptions, copy_to_clipboard, default_name, provenance, save
from app.viewer.export_dialog import ExportDialog
from app.viewer.export_paint import pixels_of
from core.images.colour import Look
from core.images.pyramid import Pyramid, build_pyramid, halve
from core.images.render import render

LEFT = Qt.MouseButton.LeftButton


def noise(ny=900, nx=1300, seed=0):
    return np.random.default_rng(seed).normal(100, 10, (ny, nx)).astype(np.float32)


@pytest.fixture
def exportable(qapp):
    pyramid = build_pyramid(noise(), 2.0, "m_1.mrc")

    def seen():
        image = QImage(400, 300, QImage.Format.Format_RGB32)
        image.fill(0xFF808080)
        return image

    layers = [BoxLayer(np.array([[650.0, 450.0]]), 100.0, NOISE_COLOUR)]
    return Exportable("m_1.mrc", seen, 0.25, 1.0, pyramid, Look(80, 120), True, 2.0, layers=layers)


def write(exportable, options, path):
    picture = exportable.picture() if exportable.picture and not options.whole else None
    return save(exportable, options, path, picture, QApplication.font(), lambda done, total: None)


def saved_pixels(path):
    image = QImage(str(path))
    assert not image.isNull()
    return pixels_of(image)


def test_the_whole_image_is_every_pixel_in_its_own_levels(exportable, tmp_path):
    plain = ExportOptions(whole=True, scale_bar=False)
    black, white = exportable.pyramid.grey_ranges[0]
    for options, look in (
        (plain, Look(black, white)),
        (dataclasses.replace(plain, seen_levels=True), exportable.look),
    ):
        path = write(exportable, options, tmp_path / "a.png")
        np.testing.assert_array_equal(saved_pixels(path), render(exportable.pyramid.levels[0], look))
    by_hand = dataclasses.replace(exportable, automatic=False)
    path = write(by_hand, dataclasses.replace(plain, format="tiff"), tmp_path / "b.tif")
    np.testing.assert_array_equal(tifffile.imread(path), render(exportable.pyramid.levels[0], exportable.look))


def test_coloured_looks_make_coloured_files(exportable, tmp_path):
    coloured = dataclasses.replace(exportable, look=Look(80, 120, lut="viridis"), automatic=False)
    path = write(coloured, ExportOptions(True, "tiff", scale_bar=False), tmp_path / "a.tif")
    np.testing.assert_array_equal(tifffile.imread(path), render(exportable.pyramid.levels[0], coloured.look))


def test_values_are_written_as_they_are(exportable, tmp_path):
    labelled = dataclasses.replace(exportable, labels=("denoised: for seeing and picking",))
    path = write(labelled, ExportOptions(True, "tiff32", marks=True, caption=True), tmp_path / "a.tif")
    np.testing.assert_array_equal(tifffile.imread(path), exportable.pyramid.levels[0])
    with tifffile.TiffFile(path) as tif:
        assert "denoised: for seeing and picking" in tif.pages[0].description


def test_the_scale_bar_has_the_length_it_says(exportable, tmp_path):
    bare = write(exportable, ExportOptions(True, "tiff", scale_bar=False), tmp_path / "a.tif")
    barred = write(exportable, ExportOptions(True, "tiff"), tmp_path / "b.tif")
    before, after = tifffile.imread(bare), tifffile.imread(barred)
    changed = np.argwhere(before != after)
    assert changed[:, 0].min() > 750  # at the bottom
    assert changed[:, 1].max() < 400  # at the left
    ink = (after == 255) & (before != 255)
    longest = max(np.diff(np.flatnonzero(np.diff(np.pad(row, 1)))).max(initial=0) for row in ink.astype(np.int8))
    # At most about a quarter of the width (1300 px): 50 nm of 2 Angstrom pixels are 250, 100 nm would be 500.
    assert longest == 250


def test_marks_lie_where_they_are_and_in_their_colour(exportable, tmp_path):
    path = write(exportable, ExportOptions(True, "tiff", scale_bar=False, marks=True), tmp_path / "a.tif")
    picture = tifffile.imread(path)
    red = (picture == [0xE8, 0x43, 0x2E]).all(axis=2)
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    assert abs((rows[0] + rows[-1]) / 2 - 450) <= 1.5
    assert abs((columns[0] + columns[-1]) / 2 - 650) <= 1.5
    assert abs((rows[-1] - rows[0]) - 100) <= 4


def test_marks_and_text_do_not_break_between_blocks_of_rows(exportable, tmp_path, monkeypatch):
    from core.images import render as module

    centres = np.random.default_rng(2).uniform(0, 900, (60, 2))
    many = [BoxLayer(centres, 80.0), BoxLayer(centres[:20], 120.0, PARTICLE_COLOUR, "circle")]
    rich = dataclasses.replace(exportable, layers=many, labels=("denoised: for seeing and picking", "low-pass 20 Å"))
    options = ExportOptions(True, "tiff", marks=True, caption=True)
    whole = tifffile.imread(write(rich, options, tmp_path / "a.tif"))
    monkeypatch.setattr(module, "BLOCK_VALUES", 1300 * 37)
    blocks = tifffile.imread(write(rich, options, tmp_path / "b.tif"))
    np.testing.assert_array_equal(whole, blocks)


@pytest.mark.parametrize("whole", [True, False])
def test_a_denoised_picture_always_carries_its_label(exportable, tmp_path, whole):
    labelled = dataclasses.replace(exportable, labels=("denoised: for seeing and picking",))
    plain = ExportOptions(whole, scale_bar=False)
    without = saved_pixels(write(exportable, plain, tmp_path / "a.png"))
    marked = saved_pixels(write(labelled, plain, tmp_path / "b.png"))
    changed = np.argwhere(without != marked)
    assert len(changed) > 500
    assert changed[:, 0].max() < 60  # at the top
    assert changed[:, 1].min() > without.shape[1] / 4  # right
    assert "denoised" in default_name(labelled, plain)
    assert "denoised" in provenance(labelled, plain)["Description"]
    assert "denoised" in QImage(str(tmp_path / "b.png")).text("Description")


def test_a_filtered_picture_is_saved_at_its_own_level(exportable, tmp_path):
    quarter = halve(halve(exportable.pyramid.levels[0]))
    coarse = Pyramid((quarter,), 2.0, "m_1.mrc", finest=2, image_shape=(900, 1300))
    filtered = dataclasses.replace(exportable, pyramid=coarse, labels=("low-pass 40 Å",))
    path = write(filtered, ExportOptions(True, "tiff", marks=True, scale_bar=False), tmp_path / "a.tif")
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        assert page.shape == (225, 325, 3)
        top, bottom = page.tags["XResolution"].value
        assert bottom / top == pytest.approx(0.8)  # nm: 4 x 4 pixels of 2 Angstrom
        assert "means of 4 x 4 px" in page.description
        red = (page.asarray() == [0xE8, 0x43, 0x2E]).all(axis=2)
    rows = np.flatnonzero(red.any(axis=1))
    assert abs((rows[0] + rows[-1]) / 2 - 450 / 4) <= 1.5
    assert abs(rows[-1] - rows[0] - 25) <= 3


def test_what_is_seen_is_saved_with_the_size_of_a_screen_pixel(exportable, tmp_path):
    path = write(exportable, ExportOptions(format="tiff"), tmp_path / "a.tif")
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        assert page.shape == (300, 400)  # a grey picture needs no colour
        assert (page.asarray() == 0x80).all()
        top, bottom = page.tags["XResolution"].value
        assert bottom / top == pytest.approx(0.8)  # 2 Angstrom / 0.25
    colour = exportable.picture()
    colour.setPixelColor(5, 7, Qt.GlobalColor.red)
    path = write(dataclasses.replace(exportable, picture=lambda: colour), ExportOptions(), tmp_path / "b.png")
    assert tuple(saved_pixels(path)[7, 5]) == (255, 0, 0)


@pytest.mark.parametrize(
    ("name", "labels", "options", "expected"),
    [
        ("May08_03.05.02.mrc", (), ExportOptions(), "May08_03.05.02_view.png"),
        ("mrc/m 1.mrc.gz", (), ExportOptions(whole=True, format="tiff"), "m-1_picture.tif"),
        ("m.tif", ("denoised: seen", "low-pass 20 Å"), ExportOptions(True), "m_denoised_low-pass-20-Å_picture.png"),
        ("m.mrc", (), ExportOptions(True, "tiff32"), "m_values.tif"),
        ("", (), ExportOptions(), "picture_view.png"),
    ],
)
def test_default_names_come_from_the_micrograph(exportable, name, labels, options, expected):
    assert default_name(dataclasses.replace(exportable, name=name, labels=labels), options) == expected


def test_the_clipboard_gets_the_picture_and_its_label(exportable):
    image = exportable.picture()
    copy_to_clipboard(image)
    assert QApplication.clipboard().image().convertToFormat(image.format()) == image
    copy_to_clipboard(image, ("denoised: for seeing and picking",))
    assert QApplication.clipboard().image().convertToFormat(image.format()) != image
    assert (pixels_of(image) == 0x80).all()  # the original stays as it was


def test_the_micrograph_itself_is_never_overwritten(exportable, tmp_path):
    from core.errors import InputError

    source = tmp_path / "m_1.tif"
    source.write_bytes(b"raw")
    mine = dataclasses.replace(exportable, source=source)
    with pytest.raises(InputError, match="the micrograph itself"):
        write(mine, ExportOptions(True, "tiff"), tmp_path / "." / "m_1.tif")
    assert source.read_bytes() == b"raw"


def test_giving_up_leaves_no_file(exportable, tmp_path, qtbot, monkeypatch):
    from core.images import render as module

    monkeypatch.setattr(module, "BLOCK_VALUES", 1300)
    exporter = Exporter()
    with qtbot.waitSignal(exporter.given_up, timeout=10000):
        exporter.start(exportable, ExportOptions(True), tmp_path / "a.png")
        exporter.cancel()
    assert not list(tmp_path.iterdir())
    assert not exporter.busy


@pytest.mark.parametrize("kind", ["png", "tiff", "tiff32"])
def test_memory_stays_small_whatever_the_size_of_the_image(tmp_path, qapp, kind):
    import tracemalloc

    pyramid = build_pyramid(noise(3000, 5000), 1.0, "big.mrc")  # 60 MB
    layers = [BoxLayer(np.random.default_rng(0).uniform(0, 3000, (500, 2)), 90.0)]
    big = Exportable("big.mrc", pyramid=pyramid, pixel_size_a=1.0, layers=layers)
    tracemalloc.start()
    try:
        write(big, ExportOptions(True, kind, marks=kind == "tiff"), tmp_path / "big.x")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20  # the pixels alone would be 15 to 60 MB


# -- dialog ---------------------------------------------------------------------------------------------


@pytest.fixture
def dialog(qtbot, exportable, tmp_path):
    def make(memory=None, **changes):
        made = ExportDialog(dataclasses.replace(exportable, **changes), tmp_path, memory)
        qtbot.addWidget(made, before_close_func=lambda d: d.exporter.cancel())
        made.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
        with qtbot.waitExposed(made):
            made.open()
        return made

    return make


def test_enter_saves_what_is_seen_under_the_micrographs_name(dialog, qtbot, tmp_path):
    memory = {}
    d = dialog(memory)
    with qtbot.waitSignal(d.saved, timeout=10000) as caught:
        QTest.keyClick(d.path, Qt.Key.Key_Return)
    assert caught.args == [tmp_path / "m_1_view.png"]
    assert saved_pixels(caught.args[0]).shape == (300, 400)
    assert not d.isVisible()
    assert memory["folder"] == str(tmp_path)


def test_choices_are_remembered(dialog, qtbot, tmp_path, exportable):
    memory = {}
    first = dialog(memory)
    QTest.keyClick(first.choice, Qt.Key.Key_Down)
    assert first.options().whole
    QTest.keyClick(first.format, Qt.Key.Key_Down)
    QTest.keyClick(first.marks, Qt.Key.Key_Space)
    assert first.path.text() == str(tmp_path / "m_1_picture.tif")
    (tmp_path / "sub").mkdir()
    first.path.setText(str(tmp_path / "sub" / "x.tif"))
    with qtbot.waitSignal(first.saved, timeout=10000):
        QTest.mouseClick(first.save, LEFT)
    second = dialog(memory, name="m_2.mrc")
    assert second.options() == dataclasses.replace(ExportOptions(), whole=True, format="tiff", marks=True)
    assert second.path.text() == str(tmp_path / "sub" / "m_2_picture.tif")


def test_an_existing_file_is_replaced_only_when_asked(dialog, qtbot, tmp_path):
    (tmp_path / "m_1_view.png").write_bytes(b"mine")
    d = dialog()
    QTest.mouseClick(d.save, LEFT)
    box = d.findChild(QMessageBox)
    QTest.keyClick(box, Qt.Key.Key_Escape)
    assert (tmp_path / "m_1_view.png").read_bytes() == b"mine"
    assert d.isVisible()
    qtbot.waitUntil(lambda: d.findChild(QMessageBox) is None)
    QTest.mouseClick(d.save, LEFT)
    box = d.findChild(QMessageBox)
    replace = next(b for b in box.buttons() if b.text() == "Replace")
    with qtbot.waitSignal(d.saved, timeout=10000):
        QTest.mouseClick(replace, LEFT)
    assert saved_pixels(tmp_path / "m_1_view.png").shape == (300, 400)


def test_a_failure_is_told_in_the_dialog_which_stays(dialog, qtbot, tmp_path):
    (tmp_path / "file").write_text("no folder")
    d = dialog()
    d.path.setText(str(tmp_path / "file" / "a.png"))
    with qtbot.waitSignal(d.exporter.failed, timeout=10000):
        QTest.mouseClick(d.save, LEFT)
    assert "a.png could not be written" in d.error.text()
    assert d.isVisible()
    assert d.save.isEnabled()


def test_escape_gives_a_long_save_up_and_closes(dialog, qtbot, tmp_path, monkeypatch):
    import threading

    from core.images import render as module

    going, hold, real = threading.Event(), threading.Event(), module.render

    def slow(*args):
        going.set()
        hold.wait(10)
        return real(*args)

    monkeypatch.setattr(module, "render", slow)
    monkeypatch.setattr(module, "BLOCK_VALUES", 1300 * 100)
    d = dialog({"whole": True})
    QTest.mouseClick(d.save, LEFT)
    qtbot.waitUntil(going.is_set, timeout=10000)
    QTest.keyClick(d, Qt.Key.Key_Escape)
    assert d.isVisible()
    hold.set()
    qtbot.waitUntil(lambda: not d.isVisible(), timeout=10000)
    assert not list(tmp_path.iterdir())


def test_typed_suffixes_choose_the_format_and_dots_in_names_stay(dialog, tmp_path):
    d = dialog()
    d.path.selectAll()
    QTest.keyClicks(d.path, str(tmp_path / "fig_3.tif"))
    assert d.format.currentData() == "tiff"
    d.path.selectAll()
    QTest.keyClicks(d.path, "May08_03.05")
    assert d.target() == tmp_path / "May08_03.05.tif"
    QTest.keyClick(d.format, Qt.Key.Key_Up)
    assert d.target() == tmp_path / "May08_03.05.png"
    d.path.selectAll()
    QTest.keyClick(d.path, Qt.Key.Key_Delete)
    assert d.target() is None


@pytest.mark.parametrize(
    ("start", "suffix", "magic"),
    [
        ("tiff", ".png", b"\x89PNG"),
        ("png", ".tif", b"II*\0"),
        ("png", ".TIFF", b"II*\0"),
        ("tiff32", ".png", b"\x89PNG"),
    ],
)
def test_the_suffix_decides_however_it_came_there(dialog, qtbot, tmp_path, start, suffix, magic):
    d = dialog()
    d.choice.setCurrentIndex(d.choice.findData(True))
    d.format.setCurrentIndex(d.format.findData(start))
    path = tmp_path / f"figure{suffix}"
    d.path.setText(str(path))
    with qtbot.waitSignal(d.saved, timeout=20_000) as saved:
        d.save.click()
    assert saved.args[0] == path
    assert path.read_bytes().startswith(magic)


def test_a_typed_suffix_also_offers_what_its_format_can_hold(dialog, tmp_path):
    d = dialog()
    d.choice.setCurrentIndex(d.choice.findData(True))
    d.format.setCurrentIndex(d.format.findData("tiff32"))
    assert not d.scale_bar.isEnabled()
    d.path.selectAll()
    QTest.keyClicks(d.path, str(tmp_path / "fig.png"))
    assert d.format.currentData() == "png"
    assert d.scale_bar.isEnabled()
    assert d.path.text().endswith("fig.png")


def test_what_cannot_be_is_not_offered(dialog):
    d = dialog(pixel_size_a=None, layers=())
    assert "pixel size is unknown" in d.note.text()
    QTest.keyClick(d.choice, Qt.Key.Key_Down)
    assert not d.scale_bar.isEnabled()
    assert not d.marks.isEnabled()
    assert dialog(picture=None).options().whole
    without = dialog(pyramid=None)
    QTest.keyClick(without.choice, Qt.Key.Key_Down)
    assert not without.options().whole
    labelled = dialog(labels=("denoised: for seeing and picking",))
    assert "denoised: for seeing and picking" in labelled.note.text()
    # the values need the whole image
    assert not labelled.format.model().item(labelled.format.findData("tiff32")).isEnabled()
    QTest.keyClick(labelled.choice, Qt.Key.Key_Down)
    labelled.format.setCurrentIndex(labelled.format.findData("tiff32"))
    assert not labelled.caption.isEnabled()
    QTest.keyClick(labelled.choice, Qt.Key.Key_Up)
    assert labelled.format.currentData() == "tiff"


def test_every_control_has_words_and_a_tooltip_or_label(dialog):
    d = dialog()
    for widget in (d.scale_bar, d.marks, d.caption, d.levels, d.browse):
        assert widget.text()
        assert widget.toolTip()
    for widget in (d.choice, d.format, d.path, d.bar):
        assert widget.accessibleName()
