"""The view model and the pick list, without Qt."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.viewer.picks import PickList
from app.viewer.view_model import MAX_ZOOM, ViewModel, length_text
from core.images.colour import Look


def view(shape=(1200, 1240), viewport=(800, 600)):
    model = ViewModel()
    model.set_viewport(*viewport)
    model.set_image_shape(shape)
    return model


def test_a_new_image_is_fitted_and_centred():
    model = view()
    assert model.zoom == pytest.approx(0.5)
    assert model.to_screen(619.5, 599.5) == pytest.approx((400, 300), abs=1)
    assert model.visible_rect() == (-0.5, -0.5, 1239.5, 1199.5)


def test_the_fit_follows_the_window_until_the_user_zooms():
    model = view()
    model.set_viewport(400, 300)
    assert model.zoom == pytest.approx(0.25)
    model.zoom_at(2, 200, 150)
    zoom = model.zoom
    model.set_viewport(800, 600)
    assert model.zoom == zoom


def test_place_and_zoom_stay_for_an_image_of_the_same_size():
    model = view()
    model.zoom_at(4, 100, 100)
    before = (model.zoom, model.centre)
    model.set_image_shape((1200, 1240))
    assert (model.zoom, model.centre) == before
    model.set_image_shape((4096, 4096))
    assert model.fitted


@given(
    st.floats(-0.5, 1239.4),
    st.floats(-0.5, 1199.4),
    st.floats(0.3, 60),
    st.integers(0, 800),
    st.integers(0, 600),
)
def test_screen_and_image_coordinates_are_inverse(x, y, zoom, sx, sy):
    model = view()
    model.centre_on(x, y, zoom)
    assert model.to_image(*model.to_screen(x, y)) == pytest.approx((x, y), abs=1e-6)
    assert model.to_screen(*model.to_image(sx, sy)) == pytest.approx((sx, sy), abs=1e-6)


@given(st.integers(150, 650), st.integers(100, 500), st.lists(st.sampled_from([0.8, 1.25, 2.0]), max_size=12))
def test_the_point_under_the_cursor_stays_there(sx, sy, factors):
    model = view()
    model.set_zoom(2.0)
    for factor in factors:
        before = model.to_image(sx, sy)
        model.zoom_at(factor, sx, sy)
        if all(0 < c < side for c, side in zip(model.centre, (1239, 1199), strict=True)):
            assert model.to_screen(*before) == pytest.approx((sx, sy), abs=1.01)


def test_the_image_cannot_be_lost_nor_zoomed_away():
    model = view()
    model.pan(1e9, -1e9)
    assert model.contains(*model.centre)
    model.zoom_at(1e9, 0, 0)
    assert model.zoom == MAX_ZOOM
    model.zoom_at(1e-9, 0, 0)
    assert model.zoom == model.min_zoom < model.fit_zoom


def test_pans_by_whole_pixels_never_resample():
    model = view()
    model.set_zoom(0.731)
    left, top = model.origin
    model.pan(17, -5)
    assert model.origin == (left + 17, top - 5)


def test_nothing_happens_without_an_image():
    model = ViewModel()
    model.zoom_at(2, 1, 1)
    model.pan(3, 3)
    model.fit()
    assert model.zoom == 1.0
    assert model.visible_rect() == (0, 0, 0, 0)
    assert not model.contains(0, 0)
    assert model.scale_bar(1.0, 100) is None


def test_listeners_hear_changes_until_they_leave():
    model, heard = view(), []
    leave = model.subscribe(lambda: heard.append(model.zoom))
    model.set_zoom(1.0)
    leave()
    model.set_zoom(2.0)
    assert heard == [1.0]


@given(st.floats(0.05, 500), st.floats(0.01, 60))
def test_scale_bar_is_round_and_fits(pixel, zoom):
    model = view()
    model.centre_on(600, 600, zoom)
    length, text = model.scale_bar(pixel, 150)
    assert 59 < length <= 150.001
    number, unit = text.split()
    angstrom = float(number) * {"Å": 1, "nm": 10, "µm": 1e4}[unit]
    assert length * pixel / model.zoom == pytest.approx(angstrom, rel=1e-6)
    assert f"{float(number):.0e}"[0] in "125"


def test_lengths_are_written_in_the_fields_units():
    assert [length_text(a) for a in (5, 50, 100, 500, 2000, 10000, 50000)] == [
        "5 Å",
        "50 Å",
        "10 nm",
        "50 nm",
        "200 nm",
        "1 µm",
        "5 µm",
    ]
    assert view().scale_bar(None, 100) is None
    assert view().scale_bar(0.0, 100) is None


# -- picks ----------------------------------------------------------------------------------------------


def test_picks_are_kept_by_micrograph():
    picks = PickList()
    picks.add("a", 10, 20)
    picks.add("b", 1, 2)
    picks.add("a", 30, 40)
    assert picks.positions("a").tolist() == [[10, 20], [30, 40]]
    assert (picks.count("a"), picks.count("c"), picks.total(), picks.names()) == (2, 0, 3, ["a", "b"])
    picks.positions("a")[0] = 99  # a copy
    assert picks.positions("a")[0].tolist() == [10, 20]


def test_the_nearest_within_the_box_is_removed():
    picks = PickList()
    picks.load({"a": np.array([[10, 10], [14, 10]])})
    assert not picks.remove_near("a", 30, 10, 8)
    assert not picks.remove_near("nothing", 0, 0, 8)
    assert picks.remove_near("a", 13, 16, 8)
    assert picks.positions("a").tolist() == [[10, 10]]


def test_undo_and_redo_walk_every_kind_of_edit():
    picks, states = PickList(), []
    edits = [
        lambda: picks.add("a", 1, 1),
        lambda: picks.add("b", 2, 2),
        lambda: picks.move("a", 0, 5, 5),
        lambda: picks.remove_near("b", 2, 2, 1),
        lambda: picks.set_all({"c": np.array([[7, 7], [8, 8]])}),
        lambda: picks.clear("c"),
    ]

    def state():
        return {name: points.tolist() for name, points in picks.as_dict().items()}

    for edit in edits:
        states.append(state())
        edit()
    last = state()
    for expected in reversed(states):
        assert picks.undo() is not None
        assert state() == expected
    assert picks.undo() is None
    assert not picks.can_undo
    while picks.can_redo:
        picks.redo()
    assert state() == last == {}
    assert picks.redo() is None


def test_undo_says_where_and_a_new_edit_forgets_the_redo():
    picks = PickList()
    picks.add("a", 1, 1)
    picks.add("b", 2, 2)
    assert picks.undo() == "b"
    picks.add("c", 3, 3)
    assert not picks.can_redo
    picks.set_all({"x": np.zeros((1, 2))})
    assert picks.undo() == ""


def test_listeners_and_the_unsaved_mark():
    picks, heard = PickList(), []
    leave = picks.subscribe(heard.append)
    picks.load({"a": [[1, 2]]})
    assert not picks.dirty
    assert not picks.can_undo
    picks.add("a", 1, 1)
    assert picks.dirty
    picks.mark_saved()
    picks.undo()
    assert picks.dirty
    picks.clear("nothing there")
    leave()
    picks.add("a", 1, 1)
    assert heard == ["", "a", "a"]


# -- contrast -------------------------------------------------------------------------------------------


def test_automatic_contrast_is_a_multiple_of_the_pictures_own_levels():
    model = ViewModel()
    assert model.contrast.look(10.0, 30.0) == Look(10.0, 30.0)
    model.widen_contrast(2.0)
    look = model.contrast.look(10.0, 30.0)
    assert (look.black, look.white) == (0.0, 40.0)
    model.set_contrast(automatic=False, black=5.0, white=7.0, gamma=2.0, invert=True, lut="viridis")
    assert model.contrast.look(10.0, 30.0) == Look(5.0, 7.0, 2.0, True, "viridis")
    model.widen_contrast(3.0)
    assert (model.contrast.black, model.contrast.white) == (3.0, 9.0)


def test_listeners_hear_of_a_contrast_once_and_only_when_it_changes():
    model = ViewModel()
    heard = []
    model.subscribe(lambda: heard.append(1))
    model.set_contrast(invert=True)
    model.set_contrast(invert=True)
    assert len(heard) == 1


def test_automatic_contrast_follows_the_zoom_in_steps_and_exactly_at_rest():
    model = ViewModel()
    model.set_viewport(800, 600)
    model.set_image_shape((4096, 4096))
    fitted = model.zoom
    assert model.contrast_zoom == fitted
    model.set_zoom(fitted * 1.2)
    assert model.contrast_zoom == fitted
    model.set_zoom(fitted * 1.7)
    assert model.contrast_zoom == model.zoom
    model.set_zoom(fitted * 1.8)
    model.come_to_rest()
    assert model.contrast_zoom == model.zoom
