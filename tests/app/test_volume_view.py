"""The viewer of maps without OpenGL: linked sections, projections, values, live pictures, saving, ChimeraX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QFont, QImage, QPainter, QQuaternion, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from volumes import ball, volume, write_map

from app.viewer import export, renderer
from app.viewer.caption_strip import LEAST_PX, caption_strip, with_strip
from app.viewer.decorations import device_font, draw_caption
from app.viewer.export_dialog import ExportDialog
from app.viewer.surface_builder import Prepared, SurfaceBuilder, Wish
from app.viewer.turntable import TurnTable
from app.viewer.volume_view import VolumeView
from app.widgets.fsc_plot import FscPlot, crossing_words
from core.errors import AppError, InputError
from core.volumes import chimerax
from core.volumes.slices import pyramid_of
from core.volumes.volume import Volume

LEFT = Qt.MouseButton.LeftButton
SHAPE = (20, 24, 28)


def numbered(**more) -> Volume:
    """The value of a voxel is z * 10000 + y * 100 + x."""
    z, y, x = np.indices(SHAPE, dtype=np.float32)
    return Volume(10000 * z + 100 * y + x, **({"pixel_size_a": 2.0, "title": "n.mrc"} | more))


@pytest.fixture
def view(qtbot, session, monkeypatch):
    monkeypatch.setattr(renderer, "_current", renderer.Choice("raster", "no OpenGL context"))
    view = VolumeView(painter="raster")
    qtbot.addWidget(view)
    view.resize(1100, 800)
    with qtbot.waitExposed(view):
        view.show()
    yield view
    view.close_view()


def point(plane, x, y) -> QPoint:
    """Where an image position is on a canvas."""
    ratio = plane.canvas.ratio
    left, top = plane.model.to_screen(x, y)
    return QPoint(round(left / ratio), round(top / ratio))


def shown(view, name) -> np.ndarray:
    return view.slices.planes[name].scene.pyramid.levels[0]


def test_sections_go_through_the_cross_hair(view):
    view.set_maps(numbered())
    assert view.slices.position == (10, 12, 14)
    assert shown(view, "z")[3, 4] == 100304
    assert shown(view, "y")[3, 4] == 31204
    assert shown(view, "x")[3, 4] == 40314  # y down, z right


def test_a_click_or_drag_moves_the_other_two_sections(view, qtbot):
    view.set_maps(numbered())
    planes = view.slices.planes
    with qtbot.waitSignal(view.position_changed) as said:
        QTest.mouseClick(planes["z"].canvas, LEFT, pos=point(planes["z"], 5, 7))
    assert said.args == [10, 7, 5]
    assert planes["x"].slider.value() == planes["x"].number.value() == 5
    assert shown(view, "y")[3, 4] == 30704
    QTest.mousePress(planes["x"].canvas, LEFT, pos=point(planes["x"], 2, 3))
    QTest.mouseMove(planes["x"].canvas, point(planes["x"], 9, 3))
    QTest.mouseMove(planes["x"].canvas, point(planes["x"], 16, 20))
    QTest.mouseRelease(planes["x"].canvas, LEFT, pos=point(planes["x"], 16, 20))
    assert view.slices.position == (16, 20, 5)
    assert planes["z"].slider.value() == 16


def test_wheel_keys_slider_and_number_go_through_the_sections(view):
    view.set_maps(numbered())
    plane = view.slices.planes["z"]
    middle = QPointF(plane.canvas.rect().center())

    def wheel(turn, keys=Qt.KeyboardModifier.NoModifier):
        place = plane.canvas.mapToGlobal(middle.toPoint())
        event = QWheelEvent(
            middle, QPointF(place), QPoint(), QPoint(0, turn), Qt.MouseButton.NoButton, keys,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(plane.canvas, event)

    wheel(120)
    assert view.slices.position[0] == 11
    wheel(-240)
    assert view.slices.position[0] == 10
    zoom = plane.model.zoom
    wheel(120, Qt.KeyboardModifier.ControlModifier)
    assert plane.model.zoom > zoom
    assert view.slices.position[0] == 10
    plane.canvas.setFocus()
    QTest.keyClick(plane.canvas, Qt.Key.Key_PageUp)
    QTest.keyClick(plane.canvas, Qt.Key.Key_PageUp)
    QTest.keyClick(plane.canvas, Qt.Key.Key_PageDown)
    assert view.slices.position[0] == 11
    plane.slider.setValue(3)
    assert shown(view, "z")[0, 0] == 30000
    plane.number.setValue(19)
    assert view.slices.position == (19, 12, 14)
    view.slices.step("z", 5)
    assert view.slices.position[0] == 19  # the last


def test_contrast_and_zoom_are_those_of_all_three(view):
    view.set_maps(numbered())
    planes = view.slices.planes
    view.slices.toolbar.levels_edited.emit(5.0, 50.0)
    assert {(p.scene.look().black, p.scene.look().white) for p in planes.values()} == {(5.0, 50.0)}
    planes["y"].gestures.invert.emit()
    assert all(p.model.contrast.invert for p in planes.values())
    view.slices.auto_contrast()
    assert len({(p.scene.look().black, p.scene.look().white) for p in planes.values()}) == 1
    planes["z"].model.set_zoom(20.0)
    planes["z"].model.centre_on(3, 4)
    assert {p.model.zoom for p in planes.values()} == {20.0}
    assert planes["y"].model.centre[0] == 3  # x is shared
    assert planes["x"].model.centre[1] == 4  # y is shared
    view.slices.fit()
    assert all(p.model.fitted for p in planes.values())


def test_the_line_below_tells_voxel_place_and_every_value(view):
    std = numbered(kind="std", unit="e")
    view.set_maps(numbered(), [std])
    assert "28 × 24 × 20 voxels" in view.slices.status.text()
    view.slices.planes["y"].gestures.hovered.emit(4.2, 3.4)
    text = view.slices.status.text()
    assert "x 4, y 12, z 3" in text
    assert "-20.0, 0.0, -14.0 Å from the middle" in text
    assert "map 31204" in text
    assert "standard deviation 31204 e" in text


def test_projections_are_sums_and_maxima(view, qtbot):
    found = numbered()
    view.set_maps(found)
    for mode in ("sum", "max"):
        view.slices.set_mode(mode)
        qtbot.waitUntil(lambda: view.slices.planes["x"].scene.pyramid is not None)
        wanted = getattr(found.values.astype(np.float64), mode)(axis=0)
        np.testing.assert_allclose(shown(view, "z"), wanted, rtol=1e-6)
        assert view.slices.planes["z"].scene.caption
        assert not view.slices.planes["z"].slider.isEnabled()
    view.slices.planes["z"].gestures.hovered.emit(4.0, 3.0)
    assert "value 1.903e+05" in view.slices.status.text()
    view.slices.set_mode("section")
    assert shown(view, "z")[3, 4] == 100304


def test_place_and_choice_stay_for_a_newer_map_of_the_same_box(view):
    view.set_maps(numbered(), [numbered(kind="half1", title="h1")])
    view.slices.go_to(1, 2, 3)
    view.slices.what.setCurrentIndex(1)
    assert view.slices.planes["z"].scene.caption == "Half map 1"
    view.set_maps(numbered(title="newer"), [numbered(kind="half1", title="newer h1")])
    assert view.slices.position == (1, 2, 3)
    assert view.slices.shown.title == "newer h1"
    view.set_maps(volume(16))
    assert view.slices.position == (8, 8, 8)
    assert view.slices.shown.kind == "map"


def test_companions_of_another_box_are_refused_in_a_sentence(view):
    view.set_maps(volume(16))
    with pytest.raises(InputError, match=r"std\.mrc has 12 × 12 × 12 voxels"):
        view.add_companion(volume(12, kind="std", title="std.mrc"))
    assert len(view.volumes.volumes) == 1
    view.add_companion(volume(16, kind="std"))
    assert len(view.volumes.volumes) == 2


def test_what_a_map_was_made_with_stays_written_on_it(view):
    view.set_maps(volume(16, provenance="made with a learned prior"))
    assert view.provenance.text() == "made with a learned prior"
    assert all("learned prior" in p.scene.caption for p in view.slices.planes.values())
    assert "learned prior" in view.slices._exportable().labels[0]


def test_live_pictures_are_shown_without_a_map(view):
    pictures = {name: np.full((8, 8), k, np.float32) for k, name in enumerate(("z", "y", "x"))}
    pictures["z"][2, 5] = 7
    view.set_live(pictures, 3.0, "iteration 4", "made with a learned prior")
    assert shown(view, "z")[2, 5] == 7
    assert shown(view, "x").mean() == 2
    assert not view.slices.planes["z"].slider.isEnabled()
    view.slices.planes["z"].gestures.hovered.emit(5.0, 2.0)
    assert "value 7" in view.slices.status.text()
    zoom = view.slices.planes["z"].model.zoom
    pictures["z"] = pictures["z"] * 2
    view.set_live(pictures, 3.0, "iteration 5")
    assert shown(view, "z")[2, 5] == 14
    assert view.slices.planes["z"].model.zoom == zoom
    view.set_maps(numbered())
    assert shown(view, "z")[3, 4] == 100304
    assert view.slices.planes["z"].slider.isEnabled()


def test_without_opengl_a_sentence_stands_for_the_surface(view, qtbot):
    view.set_maps(volume(24))
    assert view.surface.gl is None
    assert "needs OpenGL" in view.surface.words.text()
    assert "no OpenGL context" in view.surface.words.text()
    assert view.surface.stack.currentWidget() is view.surface.words
    assert view.surface.controls.isHidden()
    qtbot.wait(50)
    assert view.surface.gl is None
    renderer.use(renderer.Choice("raster", renderer.ASKED))
    view.set_maps(volume(24))
    assert "switched off" in view.surface.words.text()
    view.clear("Nothing here")
    assert view.slices.planes["z"].scene.message == "Nothing here"
    assert view.slices.planes["z"].scene.pyramid is None


def test_the_three_pictures_are_saved_side_by_side(view):
    view.set_maps(numbered())
    whole = view.slices.grab_all()
    parts = [plane.grab_picture() for plane in view.slices.planes.values()]
    assert whole.width() > sum(part.width() for part in parts)
    assert whole.height() == max(part.height() for part in parts)
    assert view._three_pictures().name == "n_sections"


def test_the_cross_hair_can_be_taken_away(view):
    view.set_maps(volume(24))
    plane = view.slices.planes["z"]
    with_cross = plane.grab_picture()
    view.slices.cross.setChecked(False)
    assert plane.grab_picture() != with_cross


def test_the_file_for_chimerax_lies_beside_the_map(view, tmp_path, qtbot, monkeypatch):
    path = write_map(tmp_path / "ball.mrc", ball(24))
    view.set_maps(volume(24, path=path))
    qtbot.waitUntil(lambda: np.isfinite(view.surface.level))
    monkeypatch.setattr(chimerax, "_PLACES", {})
    monkeypatch.setenv("PATH", str(tmp_path))
    with qtbot.waitSignal(view.said) as said:
        view.chimerax.click()
    script = tmp_path / "ball_view.cxc"
    assert str(script) in said.args[0]
    assert f"level {view.surface.level:.6g}" in script.read_text()
    view.set_maps(volume(24))
    with pytest.raises(AppError, match="not in a file"):
        view.write_chimerax()


# -- meshes in tasks ---------------------------------------------------------------------------------------


def test_a_coarse_mesh_comes_at_once_and_the_fine_one_after_a_rest(qtbot, qapp):
    noise = np.random.default_rng(0).normal(size=(72, 72, 72)).astype(np.float32)
    builder, made = SurfaceBuilder(), []
    builder.made.connect(made.append)
    builder.ask(Wish((Prepared(Volume(noise)),), 1.0))
    qtbot.waitUntil(lambda: any(m.fine for m in made), timeout=20_000)
    assert [m.fine for m in made] == [False, True]
    coarse, fine = (m.meshes[0] for m in made)
    assert coarse.triangles <= 60_000 < fine.triangles
    assert (coarse.binning, fine.binning) == (2, 1)


def test_the_newest_wish_wins(qtbot, qapp):
    prepared = Prepared(Volume(ball(64, 20), 1.0))
    builder, made = SurfaceBuilder(), []
    builder.made.connect(made.append)
    wishes = [Wish((prepared,), sigma) for sigma in (0.5, 1.0, 1.5, 2.0)]
    for wish in wishes:
        builder.ask(wish)
    qtbot.waitUntil(lambda: any(m.fine for m in made), timeout=20_000)
    qtbot.waitUntil(lambda: not builder.busy)
    assert made[-1].wish is wishes[-1]
    assert [m.wish for m in made if m.fine] == [wishes[-1]]
    assert len(made) <= 3  # those in between were never made
    builder.ask(wishes[0])
    builder.cancel()
    count = len(made)
    qtbot.wait(400)
    assert len(made) == count


# -- FSC ---------------------------------------------------------------------------------------------------


def test_fsc_curves_by_name_with_thresholds_and_reading(qtbot, session):
    plot = FscPlot(note="Independent half maps.")
    qtbot.addWidget(plot)
    plot.resize(600, 400)
    plot.show()
    fall = np.linspace(1.0, 0.0, 51)  # 0.5 at a quarter of the sampling, 0.143 at 0.857 of Nyquist
    plot.set_curves({"unmasked": fall, "masked": np.ones(51)}, 2.0)
    frequency = np.linspace(0, 0.25, 51)
    assert crossing_words(frequency, fall) == "0.143 at 4.67 Å, 0.5 at 8 Å"
    assert "masked: above 0.143 to the end (4 Å)" in plot.text.text()
    plot.plot.pointed.emit(0.125)
    assert plot.reading.text() == "8 Å (0.1250 1/Å): unmasked 0.500, masked 1.000"
    lines = plot.csv_text().splitlines()
    assert lines[0] == "curve,frequency 1/Å,resolution Å,value"
    assert len(lines) == 101
    plot.set_curves({}, 2.0)
    assert plot.text.text() == plot.reading.text() == ""
    assert not plot.export.isEnabled()


def test_an_fsc_that_never_rises_is_told(session):
    assert crossing_words(np.linspace(0, 0.25, 11), np.zeros(11)) == "never above 0.143, never above 0.5"


def test_scripts_go_elsewhere_when_the_folder_of_the_map_is_closed(view, tmp_path, monkeypatch, qtbot):
    path = write_map(tmp_path / "ball.mrc", ball(24))
    view.set_maps(volume(24, path=path))
    qtbot.waitUntil(lambda: np.isfinite(view.surface.level))
    elsewhere = tmp_path / "pictures"
    elsewhere.mkdir()
    monkeypatch.setattr("app.viewer.volume_view.pictures_folder", lambda: elsewhere)
    real = chimerax.write_text

    def closed(place: Path, text: str) -> None:
        if place.parent == tmp_path:
            raise AppError("closed")
        real(place, text)

    monkeypatch.setattr(chimerax, "write_text", closed)
    assert view.write_chimerax() == elsewhere / "ball_view.cxc"


# -- labels of pictures that leave the window --------------------------------------------------------------

PRIOR = "POSTERIOR MEAN: images + LEARNED PRIOR, resolution not from this map"


def part(image: QImage, left: int, top: int, width: int, height: int) -> QImage:
    return image.convertToFormat(QImage.Format.Format_RGB32).copy(left, top, width, height)


def written(exportable, options, path: Path) -> QImage:
    """The picture that is saved, and its label in the texts of the file."""
    picture = exportable.picture() if not options.whole else None
    export.save(exportable, options, path, picture, QFont(QApplication.font()), lambda _done, _total: None)
    image = QImage(str(path))
    assert PRIOR in image.text("Description")
    return image


@pytest.mark.parametrize("width", [32, 120, 400])
def test_a_strip_holds_all_of_a_label_in_letters_that_can_be_read(qapp, width):
    strip = caption_strip([PRIOR], width, QApplication.font())
    assert strip.width() >= width
    one_word = caption_strip(["POSTERIOR"], strip.width(), QApplication.font())
    assert caption_strip([PRIOR.rpartition(" ")[0]], width, QApplication.font()) != strip  # its last word is there
    assert one_word.height() >= LEAST_PX
    white = np.array(strip.constBits(), np.uint8).reshape(strip.height(), -1, 4)[..., 0] > 200
    edge = np.concatenate([white[0], white[-1], white[:, 0], white[:, -1]])
    assert edge.all()  # no letter is cut by the edge
    assert not white.all()
    picture = QImage(width, 20, QImage.Format.Format_RGB32)
    picture.fill(0xFF123456)
    whole = with_strip(picture, [PRIOR], QApplication.font())
    assert part(whole, 0, 0, width, 20) == picture
    assert whole.height() == 20 + strip.height()
    assert with_strip(picture, [""], QApplication.font()) == picture


def test_the_label_leaves_the_window_whole_with_every_picture(view, tmp_path):
    view.resize(500, 420)
    view.set_maps(numbered(provenance=PRIOR))
    for make in (view.slices._exportable, view._three_pictures):
        exportable = make()
        seen = exportable.picture()
        strip = caption_strip([PRIOR], seen.width(), QApplication.font(), exportable.ratio)
        image = written(exportable, export.ExportOptions(), tmp_path / "seen.png")
        assert image.height() == seen.height() + strip.height()
        assert part(image, 0, seen.height(), strip.width(), strip.height()) == strip
        assert "learned-prior" in export.default_name(exportable, export.ExportOptions())
    view.slices.saving.copy()
    copied = QApplication.clipboard().image()
    seen = view.slices._exportable().picture()
    strip = caption_strip([PRIOR], seen.width(), QApplication.font())
    assert part(copied, 0, seen.height(), strip.width(), strip.height()) == strip
    assert all(PRIOR in plane.scene.caption for plane in view.slices.planes.values())  # still on the screen


def test_a_caption_over_a_picture_is_wrapped_and_not_cut(qapp):
    image = QImage(300, 200, QImage.Format.Format_RGB32)
    painter, font = QPainter(image), device_font(QApplication.font(), 1.0)
    try:
        one = draw_caption(painter, PRIOR, QPointF(10, 10), font, 1.0)
        wrapped = draw_caption(painter, PRIOR, QPointF(10, 10), font, 1.0, 200)
        short = draw_caption(painter, "sum", QPointF(10, 10), font, 1.0, 200)
    finally:
        painter.end()
    assert one.width() > 300
    assert wrapped.right() <= 211
    assert wrapped.height() > 2 * short.height()


def test_a_picture_carries_the_label_of_its_own_map_alone(view):
    view.set_maps(numbered(), [numbered(kind="other", title="dps.mrc", provenance=PRIOR)])
    assert view._three_pictures().labels == view.slices._exportable().labels == ()
    view.slices.what.setCurrentIndex(1)
    assert view._three_pictures().labels == view.slices._exportable().labels == ("Second map", PRIOR)
    assert "learned-prior" in export.default_name(view._three_pictures(), export.ExportOptions())


def test_the_whole_section_has_its_label_below_and_no_bar_over_a_small_map(view, qtbot, tmp_path):
    view.set_maps(numbered(provenance=PRIOR))
    exportable = view.slices._exportable()
    memory = {"whole": True, "scale_bar": True}
    dialog = ExportDialog(exportable, tmp_path, memory, view)
    qtbot.addWidget(dialog)
    assert not dialog.scale_bar.isChecked()  # it would cover the map
    assert "strip below" in dialog.note.text()
    image = written(exportable, dialog.options(), tmp_path / "whole.png")
    plain = export.Exportable("n", pyramid=exportable.pyramid, look=exportable.look, pixel_size_a=2.0)
    export.save(
        plain, export.ExportOptions(True, scale_bar=False), tmp_path / "plain.png", None, QFont(), lambda *_: None
    )
    strip = caption_strip([PRIOR], 28, QApplication.font())
    assert part(image, 0, 0, 28, 24) == part(QImage(str(tmp_path / "plain.png")), 0, 0, 28, 24)
    assert (image.width(), image.height()) == (strip.width(), 24 + strip.height())
    assert part(image, 0, 24, strip.width(), strip.height()) == strip
    large = ExportDialog(
        export.Exportable("l", pyramid=large_picture(), pixel_size_a=2.0), tmp_path, {"whole": True}, view
    )
    qtbot.addWidget(large)
    assert large.scale_bar.isChecked()


def large_picture():
    return pyramid_of(np.zeros((400, 600), np.float32), volume(16), (0.0, 1.0))


def test_the_surface_names_the_provenance_of_every_map_in_it(view, monkeypatch):
    monkeypatch.setattr(renderer, "_current", renderer.Choice("gl", works=True))
    view.surface._broken = ""
    monkeypatch.setattr(view.surface, "_load", lambda: None)
    view.set_maps(volume(16), [volume(16, kind="other", title="dps.mrc", provenance=PRIOR)])
    assert view.surface.provenance.isHidden()
    controls = view.surface.controls
    controls.what.setCurrentIndex(1)
    controls.what.activated.emit(1)
    assert view.surface.provenance.text() == f"Second map: {PRIOR}"
    assert view.surface.provenance.isVisible()
    controls.what.setCurrentIndex(0)
    controls.what.activated.emit(0)
    assert view.surface.provenance.isHidden()
    controls.second.setCurrentIndex(2)
    controls.second.activated.emit(2)
    assert view.surface.provenance.text() == f"Second map: {PRIOR}"
    view.set_maps(volume(16, provenance=PRIOR))
    assert view.surface.provenance.text() == PRIOR


def test_every_picture_of_a_movie_has_the_label(qtbot, qapp, tmp_path):
    class Turned:
        rotation = QQuaternion()

        def setCameraParams(self, rotation):
            self.rotation = rotation

    class Surface:
        gl = Turned()

        def grab_with_bar(self):
            image = QImage(160, 40, QImage.Format.Format_RGB32)
            image.fill(0xFF123456)
            return image

        def labels(self):
            return (PRIOR,)

    table = TurnTable(Surface())
    with qtbot.waitSignal(table.done):
        table.start(tmp_path, "m", 3)
    strip = caption_strip([PRIOR], 160, QApplication.font())
    for number in range(3):
        frame = QImage(str(tmp_path / f"m_{number:03d}.png"))
        assert part(frame, 0, 40, 160, strip.height()) == strip
