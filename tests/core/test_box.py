"""EMAN's .box files and RELION's files of one micrograph: exact round trips, real files, and broken ones."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.io import box
from core.io.coordinates import match_names, read_noise_boxes, read_particles, write_noise_boxes
from core.io.per_micrograph import write_box_files, write_manual_picks

DATA = Path(__file__).resolve().parents[2].parent / "shared/data/box"
REAL = sorted(DATA.glob("*.box"))

whole = st.integers(-5000, 20000)
number = st.one_of(whole.map(float), st.floats(-1e5, 1e5).map(lambda v: round(v, 4)))


@st.composite
def box_files(draw):
    """Rows of one file, with or without scores."""
    scored = draw(st.booleans())
    row = st.tuples(whole, whole, st.integers(1, 2048), st.integers(1, 2048), number)
    return [r if scored else r[:4] for r in draw(st.lists(row, max_size=20))]


@settings(max_examples=60, deadline=None)
@given(rows=box_files(), separator=st.sampled_from(["\t", " ", "   "]), end=st.sampled_from(["\n", "\r\n"]))
def test_what_is_read_is_written_again_exactly(tmp_path_factory, rows, separator, end):
    folder = tmp_path_factory.mktemp("box")
    (folder / "a.box").write_bytes("".join(separator.join(map(repr, r)) + end for r in rows).encode())
    first = box.read_box(folder / "a.box")
    box.write_box(folder / "b.box", first)
    again = box.read_box(folder / "b.box")
    np.testing.assert_array_equal(again.centres, first.centres)
    np.testing.assert_array_equal(again.sizes, first.sizes)
    assert (again.scores is None) == (first.scores is None)
    if first.scores is not None:
        np.testing.assert_array_equal(again.scores, first.scores)
        np.testing.assert_array_equal(first.scores, [r[4] for r in rows])
    for (left, top, width, height, *_), (x, y) in zip(rows, first.centres, strict=True):
        assert (x - width // 2, y - height // 2) == (left, top)  # the pixels the jobs cut


@settings(max_examples=40, deadline=None)
@given(
    centres=st.lists(st.tuples(whole, whole), min_size=1, max_size=30),
    size=st.integers(16, 2048),
)
def test_noise_boxes_keep_their_pixels_through_a_box_file(tmp_path_factory, centres, size):
    path = tmp_path_factory.mktemp("box") / "mic.box"
    write_noise_boxes(path, {"mic.mrc": np.array(centres, float)}, size)
    again = read_noise_boxes(path)
    assert again.box_size == size
    np.testing.assert_array_equal(again.positions["mic"], centres)
    assert all(len(line.split("\t")) == 4 for line in path.read_text().splitlines())


def test_fractions_go_to_the_nearest_pixel_and_odd_sizes_have_a_middle_pixel(tmp_path):
    path = tmp_path / "m.box"
    write_noise_boxes(path, {"m.mrc": np.array([[10.4, 20.6], [3.0, -2.0]])}, 33)
    assert path.read_text() == "-6\t5\t33\t33\n-13\t-18\t33\t33\n"


@pytest.mark.parametrize("path", REAL, ids=lambda p: p.name)
def test_real_files_keep_every_number(path, tmp_path):
    boxes = box.read_box(path)
    text = path.read_text()
    assert len(boxes) == len(text.splitlines())
    assert boxes.scores is not None
    box.write_box(tmp_path / "again.box", boxes)
    assert (tmp_path / "again.box").read_text() == text
    assert read_noise_boxes(path).box_size == 180


def test_real_files_of_two_programs_are_read_as_a_folder():
    if not REAL:
        pytest.skip("the sample files of crYOLO and Topaz are not here")
    found = read_particles(DATA)
    assert {len(xy) for xy in found.values()} == {719, 869}
    micrograph = Path("/data/repic_topaz_Falcon_2012_06_12-15_53_09_0.mrc")
    matched = match_names(found, [micrograph])
    np.testing.assert_array_equal(matched[micrograph][0], [2050 + 90, 1306 + 90])


def test_a_folder_keeps_micrographs_without_boxes(tmp_path):
    (tmp_path / "a.box").write_text("0 0 64 64\n")
    (tmp_path / "b.box").write_text("\n")
    (tmp_path / "b.box.12-0.partial").write_text("nonsense")
    (tmp_path / ".c.box").write_text("nonsense")
    found = read_particles(tmp_path)
    assert {name: len(xy) for name, xy in found.items()} == {"a": 1, "b": 0}
    assert read_noise_boxes(tmp_path).count == 1


@pytest.mark.parametrize("name", ["mic_1.box", "mic_1.BOX", "mic_1_automatch.box", "mic_1.mrc.box"])
def test_a_box_file_belongs_to_the_micrograph_it_is_named_after(tmp_path, name):
    (tmp_path / name).write_text("1 2 64 64\n")
    found = match_names(read_particles(tmp_path / name), [Path("/d/mic_1.mrc"), Path("/d/mic_11.mrc")])
    assert [len(xy) for xy in found.values()] == [1, 0]


BAD = {
    "three numbers": ("1 2 64\n", 1),
    "words": ("1 2 64 64\nx y w h\n", 2),
    "nan": ("1 2 64 64\n\n1 nan 64 64\n", 3),
    "inf": ("inf 2 64 64\n", 1),
    "ragged": ("1 2 64 64\n1 2 64 64 0.5\n", 2),
    "ragged the other way": ("1 2 64 64 0.5\n1 2 64 64\n", 2),
    "too many": ("1 2 3 4 5 6\n", 1),
    "no width": ("1 2 0 64\n", 1),
    "negative height": ("1 2 64 -64\n", 1),
    "far away": ("1 2 64 64\n-2e7 2 64 64\n", 2),
    "far too wide": ("1 2 1e300 64\n", 1),
    "nan score": ("1 2 64 64 nan\n", 1),
    "json": ('{"boxes": [[1, 2]]}\n', 1),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_line_is_named_with_its_number(tmp_path, what):
    text, number = BAD[what]
    path = tmp_path / "bad.box"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_particles(path)
    assert f"bad.box, line {number}:" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"", b"\n\n# nothing\n", b"\xff\xfe\x00"])
def test_files_without_boxes_are_refused_with_their_name(tmp_path, content):
    (tmp_path / "none.box").write_bytes(content)
    for read in (read_particles, read_noise_boxes):
        with pytest.raises(InputError, match=r"none\.box"):
            read(tmp_path / "none.box")


def test_missing_files_and_folders_without_boxes_are_refused(tmp_path):
    for read in (read_particles, read_noise_boxes):
        with pytest.raises(InputError, match="does not exist"):
            read(tmp_path / "missing.box")
        with pytest.raises(InputError, match=r"no \.box file"):
            read(tmp_path)


@pytest.mark.parametrize("text", ["0 0 64 64\n0 0 80 80\n", "0 0 64 80\n", "0 0 8 8\n", "0 0 64.5 64.5\n"])
def test_noise_boxes_need_one_size(tmp_path, text):
    (tmp_path / "m.box").write_text(text)
    with pytest.raises(InputError, match="box size"):
        read_noise_boxes(tmp_path / "m.box")
    assert len(read_particles(tmp_path / "m.box")["m"])  # particles may differ in size


def test_several_micrographs_become_a_folder_that_is_read_by_the_same_name(tmp_path):
    path = tmp_path / "noise.box"
    boxes = {"mrc/a.mrc": np.array([[10.0, 20.0]]), "c d.tif": np.array([[1.0, 2.0], [-3.0, 4.0]])}
    write_noise_boxes(path, boxes, 64)
    assert sorted(f.name for f in path.iterdir()) == ["a.box", "c d.box"]
    again = read_noise_boxes(path)
    np.testing.assert_array_equal(again.positions["c d"], boxes["c d.tif"])
    write_noise_boxes(path, {"mrc/a.mrc": np.array([[7.0, 7.0]])}, 64)  # what was taken away does not come back
    assert [f.name for f in path.iterdir()] == ["a.box"]


def test_a_chosen_folder_keeps_the_files_of_other_micrographs(tmp_path):
    (tmp_path / "other.box").write_text("1 2 64 64\n")
    assert write_box_files(tmp_path, {"a.mrc": np.ones((1, 2))}, 32) == [tmp_path / "a.box"]
    assert (tmp_path / "other.box").exists()


def test_a_file_of_one_micrograph_is_not_replaced_by_others(tmp_path):
    path = tmp_path / "a.box"
    write_noise_boxes(path, {"a.mrc": np.ones((1, 2))}, 32)
    with pytest.raises(InputError, match="one micrograph"):
        write_noise_boxes(path, {"a.mrc": np.ones((1, 2)), "b.mrc": np.ones((1, 2))}, 32)
    assert len(box.read_box(path)) == 1
    write_noise_boxes(path, {}, 32)
    assert path.read_text() == ""


@pytest.mark.parametrize("names", [("A/x.mrc", "B/x.mrc"), ("x.mrc", "x.tif"), ("x.mrc", "X.mrc")])
def test_micrographs_that_would_share_a_file_are_refused_before_anything_is_written(tmp_path, names):
    with pytest.raises(InputError, match="share one"):
        write_noise_boxes(tmp_path / "n.box", {name: np.ones((1, 2)) for name in names}, 32)
    assert not (tmp_path / "n.box").exists()


def test_relion_manual_picks_survive_a_round_trip(tmp_path):
    picks = {
        "MotionCorr/job002/m_1.mrc": np.array([[10.25, 20.0], [-3.5, 4.0]]),
        "MotionCorr/job002/m_2.mrc": np.empty((0, 2)),
    }
    listed = write_manual_picks(tmp_path / "ManualPick/job003", picks)
    again = read_particles(listed)
    assert list(again) == list(picks)
    for name, xy in picks.items():
        np.testing.assert_array_equal(again[name], xy)
    one = tmp_path / "ManualPick/job003/m_1_manualpick.star"
    matched = match_names(read_particles(one), [Path("/d/m_1.mrc")])
    np.testing.assert_array_equal(matched[Path("/d/m_1.mrc")], picks["MotionCorr/job002/m_1.mrc"])
    np.testing.assert_array_equal(next(iter(read_noise_boxes(one).positions.values())), matched[Path("/d/m_1.mrc")])


def test_relative_folders_are_written_as_relion_project_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed = write_manual_picks(Path("ManualPick/job003"), {"mics/a.mrc": np.ones((1, 2))})
    assert "mics/a.mrc ManualPick/job003/a_manualpick.star" in listed.read_text()
    assert len(read_particles(listed)["mics/a.mrc"]) == 1
