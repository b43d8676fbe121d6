"""Files appear whole or not at all, and refusals of the system become sentences."""

import errno
import json

import pytest

from core.errors import ResourceError
from core.io.atomic import atomic_path, remove_partials, write_json, write_text


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.endswith(".partial")]


def test_the_file_appears_only_when_complete(tmp_path):
    final = tmp_path / "new" / "a.txt"
    with atomic_path(final) as partial:
        partial.write_text("half")
        assert partial.parent == final.parent
        assert partial.name.endswith(".partial")
        assert not final.exists()
    assert final.read_text() == "half"
    assert leftovers(final.parent) == []


def test_an_exception_keeps_the_old_file_and_leaves_nothing(tmp_path):
    final = tmp_path / "a.txt"
    final.write_text("old")
    with pytest.raises(KeyError), atomic_path(final) as partial:  # noqa: PT012
        partial.write_text("new")
        raise KeyError
    assert final.read_text() == "old"
    assert leftovers(tmp_path) == []


def test_two_writers_of_one_file_do_not_share_a_partial(tmp_path):
    with atomic_path(tmp_path / "a") as first, atomic_path(tmp_path / "a") as second:
        first.write_text("1")
        second.write_text("2")
        assert first != second


def test_forced_stop_removes_what_is_being_written(tmp_path):
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "a") as partial:  # noqa: PT012
        partial.write_text("half")
        remove_partials()
        assert not partial.exists()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "word"), [(errno.ENOSPC, "full"), (errno.EACCES, "read-only")])
def test_a_refusal_of_the_system_names_the_file(tmp_path, number, word):
    with pytest.raises(ResourceError) as caught, atomic_path(tmp_path / "map.mrc"):
        raise OSError(number, "refused")
    assert "map.mrc" in caught.value.message
    assert word in caught.value.message
    assert caught.value.hint


def test_a_parent_that_is_a_file_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match=r"x\.json"):
        write_json(tmp_path / "file" / "x.json", {})


def test_missing_input_inside_the_block_is_not_blamed_on_the_output(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
        (tmp_path / "nowhere" / "input").read_bytes()


def test_json_and_text(tmp_path):
    write_json(tmp_path / "a.json", {"Å": [1, 2.5]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"Å": [1, 2.5]}
    write_text(tmp_path / "a.txt", "one\ntwo\n")
    assert (tmp_path / "a.txt").read_bytes() == b"one\ntwo\n"
    with pytest.raises(ValueError):
        write_json(tmp_path / "bad.json", float("nan"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.txt"]


@pytest.mark.parametrize(
    "error",
    [
        OSError("4096 requested and 12 written"),
        type("SafetensorError", (Exception,), {})('IoError(Os { code: 28, kind: StorageFull, message: "No space" })'),
    ],
)
def test_a_full_disk_without_an_error_number_is_recognised(tmp_path, error):
    with (
        pytest.raises(ResourceError, match=r"out\.bin could not be written: the disk is full"),
        atomic_path(tmp_path / "out.bin"),
    ):
        raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["file", "file/below.mrc", "file/deep/below.mrc", "x" * 300])
def test_a_target_that_cannot_be_is_a_sentence(tmp_path, target):
    (tmp_path / "file").mkdir() if target == "file" else (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="could not be written"), atomic_path(tmp_path / target) as partial:
        partial.write_text("text")
