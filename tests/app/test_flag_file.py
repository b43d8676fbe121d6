"""The file of flags under slow writes, failures and two windows: nobody's flag is lost, the newest wins."""

import threading

import pytest

from app.widgets import flag_file
from app.widgets.flag_file import FlagFile
from core.errors import ResourceError
from core.io import flags as core_flags
from core.io.flags import FlagWriter, read_flags, write_flags


@pytest.fixture
def opened(qtbot, qapp, tmp_path):
    """Opens the same file as often as wanted."""

    def opened():
        file = FlagFile()
        with qtbot.waitSignal(file.opened, timeout=5000):
            file.open(tmp_path / "flags.json")
        return file

    return opened


@pytest.fixture
def slow(monkeypatch):
    """The first write waits until it is let go."""
    entered, release, calls = threading.Event(), threading.Event(), []

    def write(path, flags):
        calls.append(dict(flags))
        if len(calls) == 1:
            entered.set()
            release.wait(30)
        return write_flags(path, flags)

    monkeypatch.setattr(core_flags, "write_flags", write)
    yield entered, release, calls
    release.set()


def test_a_slow_write_does_not_replace_a_newer_one(qtbot, opened, slow):
    entered, release, _ = slow
    file = opened()
    file.flags.set(["a"], "keep")
    file._save()
    assert entered.wait(10)
    file.flags.set(["a"], "reject")
    threading.Timer(0.2, release.set).start()
    file.flush()
    assert read_flags(file.path) == {"a": "reject"}
    qtbot.waitUntil(lambda: not file._saving)
    assert read_flags(file.path) == {"a": "reject"}
    assert file.flags.get("a") == "reject"
    assert not file.flags.dirty


def test_older_flags_that_come_late_are_dropped(tmp_path):
    writer = FlagWriter(tmp_path / "flags.json", {})
    assert writer.write({"a": "reject"}, 2) == {"a": "reject"}
    assert writer.write({"a": "keep"}, 1) is None
    assert read_flags(writer.path) == {"a": "reject"}


def test_a_flush_behind_a_write_that_hangs_gives_up_and_stays_dirty(qtbot, opened, slow, monkeypatch):
    monkeypatch.setattr(flag_file, "FLUSH_WAIT_S", 0.05)
    entered, release, _ = slow
    file = opened()
    file.flags.set(["a"], "keep")
    file._save()
    assert entered.wait(10)
    file.flags.set(["a"], "reject")
    with qtbot.waitSignal(file.failed) as told:
        file.flush()
    assert "does not answer" in told.args[0].message
    assert file.flags.dirty
    release.set()
    qtbot.waitUntil(lambda: not file._saving)
    file.flush()
    assert read_flags(file.path) == {"a": "reject"}


def test_a_flush_that_fails_is_told_and_stays_dirty(qtbot, opened, monkeypatch):
    file = opened()
    file.flags.set(["a"], "keep")

    def full(*_):
        raise ResourceError("flags.json could not be written: the disk is full.")

    with monkeypatch.context() as patched, qtbot.waitSignal(file.failed):
        patched.setattr(core_flags, "write_flags", full)
        file.flush()
    assert file.flags.dirty
    file.flush()
    assert read_flags(file.path) == {"a": "keep"}


def test_two_windows_keep_each_others_flags(opened):
    one, two = opened(), opened()
    one.flags.set(["a", "b"], "keep")
    one.flush()
    two.flags.set(["b"], "reject")
    two.flags.set(["c"], "star")
    two.flush()
    assert read_flags(one.path) == {"a": "keep", "b": "reject", "c": "star"}
    assert two.flags.as_dict() == {"a": "keep", "b": "reject", "c": "star"}
    assert not two.flags.dirty
    one.flags.set(["a"], "")
    one.flush()
    assert read_flags(one.path) == {"b": "reject", "c": "star"}
    assert one.flags.as_dict() == {"b": "reject", "c": "star"}
    one.flags.undo()
    one.flush()
    assert read_flags(one.path) == {"a": "keep", "b": "reject", "c": "star"}


def test_a_file_that_went_is_written_whole_and_one_that_was_spoilt_is_left(opened):
    file = opened()
    file.flags.set(["a", "b"], "keep")
    file.flush()
    file.path.unlink()
    file.flags.set(["b"], "star")
    file.flush()
    assert read_flags(file.path) == {"a": "keep", "b": "star"}
    file.path.write_text("precious")
    spoilt = file.path
    file.flags.set(["c"], "star")
    file.flush()
    assert spoilt.read_text() == "precious"
    assert file.path.name == "flags-2.json"
    assert read_flags(file.path) == {"a": "keep", "b": "star", "c": "star"}
