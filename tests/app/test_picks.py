"""Picks with undo and redo: any sequence of edits can be taken back and made again; histories stay small."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.viewer.pick_steps import Change
from app.viewer.picks import PickList

NAMES = ("a", "b")
WHERE = st.tuples(st.integers(0, 40), st.integers(0, 40))
EDITS = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(NAMES), WHERE),
    st.tuples(st.just("near"), st.sampled_from(NAMES), WHERE),
    st.tuples(st.just("some"), st.sampled_from(NAMES), st.sets(st.integers(0, 9), max_size=4)),
    st.tuples(st.just("move"), st.sampled_from(NAMES), st.tuples(st.integers(0, 9), WHERE)),
    st.tuples(st.just("nudge"), st.sampled_from(NAMES), st.sets(st.integers(0, 9), max_size=3)),
    st.tuples(st.just("select"), st.sampled_from(NAMES), st.sets(st.integers(0, 9), max_size=5)),
    st.tuples(st.just("clear"), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("all"), st.just(""), st.lists(WHERE, max_size=4)),
    st.tuples(st.just("nothing"), st.just(""), st.none()),
    st.tuples(st.just("area"), st.sampled_from(NAMES), WHERE),
    st.tuples(st.just("empty"), st.sampled_from(NAMES), st.booleans()),
    st.tuples(st.just("stroke"), st.sampled_from(NAMES), st.lists(WHERE, max_size=3)),
    st.tuples(st.just("undo"), st.just(""), st.none()),
    st.tuples(st.just("redo"), st.just(""), st.none()),
)


def state(picks: PickList) -> Any:
    """Everything that undo has to bring back."""
    points = {name: xy.tolist() for name, xy in picks.as_dict().items()}
    areas = {name: [p.tolist() for p in polygons] for name, polygons in picks.all_areas().items()}
    return points, areas, picks.all_empty()


def edit(picks: PickList, what: str, name: str, value: Any) -> None:
    """One edit of EDITS."""
    rows = sorted(i for i in value if i < picks.count(name)) if what in ("some", "nudge") else []
    if what == "add":
        picks.add(name, *value)
    elif what == "near":
        picks.remove_near(name, *value, 5)
    elif what == "some":
        picks.remove(name, rows)
    elif what == "move" and value[0] < picks.count(name):
        picks.move(name, value[0], *value[1])
    elif what == "nudge":
        picks.nudge(name, rows, 1, -1)
    elif what == "select":
        picks.select(name, value)
    elif what == "clear":
        picks.clear(name)
    elif what == "all":
        picks.set_all({"a": np.array(value, float).reshape(-1, 2)})
    elif what == "nothing":
        picks.clear_all()
    elif what == "area":
        picks.set_areas(name, [*picks.areas(name), np.array([value, (50, 0), (0, 50)], float)])
    elif what == "empty":
        picks.set_empty(name, value)
    elif what == "stroke":
        picks.begin()
        for place in value:
            picks.remove_near(name, *place, 8)
        picks.end()
    elif what in ("undo", "redo"):
        getattr(picks, what)()


@settings(max_examples=150, deadline=None)
@given(st.lists(EDITS, max_size=30))
def test_undoing_everything_is_the_start_and_redoing_everything_the_end(edits) -> None:
    picks = PickList()
    picks.load({"a": np.array([[3.0, 4.0], [30.0, 20.0]])}, {"b": [np.array([[0, 0], [9, 0], [0, 9]])]}, {"b"})
    start, changes = state(picks), []
    picks.watch(changes.append)
    for each in edits:
        edit(picks, *each)
    while picks.can_redo:
        picks.redo()
    end = state(picks)
    while picks.can_undo:
        picks.undo()
    assert state(picks) == start
    while picks.can_redo:
        picks.redo()
    assert state(picks) == end
    follower = PickList()
    follower.load({"a": np.array([[3.0, 4.0], [30.0, 20.0]])}, {"b": [np.array([[0, 0], [9, 0], [0, 9]])]}, {"b"})
    for change in changes:  # a listener that hears every change knows the state
        follower._put(change)
    assert state(follower) == end


@settings(max_examples=100, deadline=None)
@given(st.lists(EDITS, max_size=20), st.sets(st.integers(0, 9), max_size=4))
def test_the_selection_stays_on_its_boxes(edits, chosen) -> None:
    """Whatever is added or deleted elsewhere, the selected boxes are the same places, less those deleted."""
    picks = PickList()
    picks.load({"a": np.array([[100.0 + i, 200.0] for i in range(10)])})
    picks.select("a", chosen)
    before = {tuple(xy) for xy in picks.view("a")[picks.selection("a")].tolist()}
    for what, name, value in edits:
        if what not in ("select", "move", "nudge"):
            edit(picks, what, name, value)
    if picks.selected_on == "a":
        after = {tuple(xy) for xy in picks.view("a")[picks.selection("a")].tolist()}
        assert after <= before


@pytest.mark.parametrize("steps", [3000])
def test_thousands_of_steps_on_20000_picks_hold_only_what_changed(steps: int) -> None:
    picks = PickList()
    rng = np.random.default_rng(0)
    picks.load({"a": rng.uniform(0, 8000, (20_000, 2))})
    before = picks.positions("a")
    tracemalloc.start()
    for i in range(steps):
        kind = i % 3
        if kind == 0:
            picks.add("a", i, i)
        elif kind == 1:
            picks.move("a", i, 5.0, 6.0)
        else:
            picks.remove("a", [i])
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 12e6  # one copy of the points is 0.3 MB: copies of all steps would be 960 MB
    undone = 0
    while picks.undo() is not None:
        undone += 1
    assert undone == steps
    np.testing.assert_array_equal(picks.positions("a"), before)


def test_what_was_handed_out_never_changes() -> None:
    picks = PickList()
    picks.add("a", 1, 1)
    picks.add("a", 2, 2)
    seen = picks.view("a")
    copy = seen.copy()
    picks.undo()
    picks.add("a", 9, 9)
    picks.add("a", 8, 8)
    picks.move("a", 0, 7, 7)
    np.testing.assert_array_equal(seen, copy)
    with pytest.raises(ValueError, match="read-only"):
        picks.view("a")[0] = 0


def test_nudges_in_a_row_are_one_step() -> None:
    picks = PickList()
    picks.load({"a": np.array([[10.0, 10], [20, 20], [30, 30]])})
    picks.select("a", [0, 2])
    for _ in range(5):
        picks.nudge("a", picks.selection("a"), 1, 0)
    picks.nudge("a", picks.selection("a"), 0, -10)
    assert picks.positions("a").tolist() == [[15, 0], [20, 20], [35, 20]]
    picks.select("a", [1])
    picks.nudge("a", picks.selection("a"), 1, 1)
    picks.undo()
    assert picks.positions("a").tolist() == [[15, 0], [20, 20], [35, 20]]
    picks.undo()
    assert picks.positions("a").tolist() == [[10, 10], [20, 20], [30, 30]]
    assert not picks.can_undo
    picks.redo()
    picks.nudge("a", [0, 2], 1, 0)  # not a continuation of what was redone
    picks.undo()
    assert picks.positions("a").tolist() == [[15, 0], [20, 20], [35, 20]]


def test_a_stroke_is_one_step_and_bulk_edits_are_told_once() -> None:
    picks, heard = PickList(), []
    picks.load({name: np.array([[10.0, 10], [40, 40]]) for name in "abc"})
    picks.subscribe(heard.append)
    picks.begin()
    picks.remove_near("a", 10, 10, 5)
    picks.remove_near("a", 40, 40, 5)
    picks.end()
    assert heard == ["a", "a"]
    picks.undo()
    assert picks.total() == 6
    heard.clear()
    picks.clear_all()
    assert heard == [""]
    assert picks.total() == 0
    assert picks.undo() == ""
    assert picks.total() == 6


def test_an_undo_in_the_middle_of_a_stroke_closes_it() -> None:
    picks = PickList()
    picks.load({"a": np.array([[10.0, 10], [40, 40]])})
    picks.begin()
    picks.remove_near("a", 10, 10, 5)
    picks.undo()
    assert picks.count("a") == 2
    picks.end()
    picks.add("a", 1, 1)
    picks.undo()
    assert picks.count("a") == 2


def test_along_finds_what_a_fast_stroke_passes() -> None:
    picks = PickList()
    picks.load({"a": np.array([[0.0, 0], [50, 4], [100, 0], [50, 30], [120, 0]])})
    assert picks.along("a", (0, 0), (100, 0), 5).tolist() == [0, 1, 2]
    assert picks.along("a", (50, 0), (50, 0), 5).tolist() == [1]
    assert picks.within("a", 110, 10, 40, -5).tolist() == [1, 2]


def test_a_box_on_an_empty_micrograph_unticks_it_in_the_same_step() -> None:
    picks = PickList()
    picks.set_empty("a", True)
    picks.add("a", 1, 1)
    assert not picks.is_empty("a")
    picks.undo()
    assert picks.is_empty("a")
    assert picks.count("a") == 0


def test_changes_know_their_inverse() -> None:
    change = Change("a", "empty", False, True)
    assert (change.inverse().before, change.inverse().after) == (True, False)
