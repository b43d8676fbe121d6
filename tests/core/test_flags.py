"""Flags of micrographs: one step back for each change, and files that are never half or wrong."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from core.io.flags import FLAGS, Flags, read_flags, write_flags

keys = st.lists(st.sampled_from("abcd"), max_size=4)
changes = st.lists(st.tuples(keys, st.sampled_from([*FLAGS, ""])), max_size=12)


@given(changes)
def test_undo_and_redo_walk_through_every_state(steps):
    flags, states = Flags(), [{}]
    for names, flag in steps:
        if flags.set(names, flag):
            states.append(flags.as_dict())
    for state in states[-2::-1]:
        assert flags.undo()
        assert flags.as_dict() == state
    assert flags.undo() == []
    assert not flags.can_undo
    for state in states[1:]:
        assert flags.redo()
        assert flags.as_dict() == state
    assert flags.redo() == []


def test_changes_are_told_with_their_keys():
    flags, told = Flags({"a": "keep"}), []
    end = flags.subscribe(told.append)
    flags.set(["a", "b", "b"], "keep")
    flags.set(["b"], "")
    flags.undo()
    flags.set(["a"], "keep")
    end()
    flags.set(["c"], "star")
    assert told == [["b"], ["b"], ["b"]]
    assert (flags.count("keep"), flags.count("star"), flags.get("z")) == (2, 1, "")


def test_an_unknown_flag_is_a_bug():
    with pytest.raises(ValueError, match="unknown flag"):
        Flags().set(["a"], "maybe")


def test_files_keep_flags_and_names(tmp_path):
    flags = {"mrc/ä b.mrc": "keep", "x.mrc": "reject", "later.mrc": "a flag of a later version"}
    path = write_flags(tmp_path / "sub" / "flags.json", flags)
    assert read_flags(path) == flags
    assert json.loads(path.read_text(encoding="utf-8"))["version"] == 1
    assert read_flags(tmp_path / "none.json") == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"flags": {"a": "keep"}}',
        b"\xff",
        b'{"format": "vitreous micrograph flags"}',
        b"[" * 100_000,
        b'{"format": "vitreous micrograph flags", "flags": {"a": ["keep"]}}',
    ],
)
def test_other_files_are_refused_with_their_name(tmp_path, content):
    path = tmp_path / "flags.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"flags\.json"):
        read_flags(path)


def test_a_file_that_is_far_too_large_is_not_taken_into_memory(tmp_path, monkeypatch):
    path = tmp_path / "flags.json"
    path.write_text(" " * 2000)
    monkeypatch.setattr("core.io.flags.MOST_BYTES", 1000)
    with pytest.raises(InputError, match=r"flags\.json is too large"):
        read_flags(path)
