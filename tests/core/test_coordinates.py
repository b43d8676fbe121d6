"""Positions: RELION dialects, names with folders and uids, CryoDDM's text, and files that are none of these."""

from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from core.io import coordinates as co

DIALECTS = {
    "3.0": "data_\n\nloop_\n_rlnMicrographName #1\n_rlnCoordinateY #2\n_rlnCoordinateX #3\na.mrc 20 10\nb.mrc 40 30\n",
    "3.1": "# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnVoltage #2\n1 300\n\n\n"
    "# version 30001\n\ndata_particles\n\nloop_\n_rlnCoordinateX #1\n_rlnMicrographName #2\n_rlnCoordinateY #3\n"
    "10.0 MotionCorr/job002/a.mrc 20.0\n30.0 MotionCorr/job002/b.mrc 40.0\n",
    "5": "# version 50001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnImagePixelSize #2\n1 1.5\n\n"
    "data_particles\n\nloop_\n_rlnTomoName #1\n_rlnCoordinateX #2\n_rlnCoordinateY #3\n_rlnMicrographName #4\n"
    "x 10 20 a.mrc\nx 30 40 b.mrc\n",
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_columns_are_found_by_name_in_every_dialect(tmp_path, dialect):
    path = tmp_path / "p.star"
    path.write_text(DIALECTS[dialect])
    found = co.match_names(co.read_particles(path), [Path("/x/a.mrc"), Path("/x/b.mrc"), Path("/x/c.mrc")])
    np.testing.assert_allclose(found[Path("/x/a.mrc")], [[10, 20]])
    np.testing.assert_allclose(found[Path("/x/b.mrc")], [[30, 40]])
    assert found[Path("/x/c.mrc")].shape == (0, 2)


@pytest.mark.parametrize(
    "name",
    [
        "mic_1.mrc",
        "Micrographs/mic_1.mrc",
        "J12/imported/002345678901234567890_mic_1.mrc",
        "mic_1.mrc.gz",
        "mic_1.tiff",
        "C:\\data\\mic_1.mrc",
    ],
)
def test_names_match_without_folder_uid_and_suffix(name):
    found = co.match_names({name: np.array([[1.0, 2.0]])}, [Path("/d/mic_1.mrc"), Path("/d/mic_10.mrc")])
    assert len(found[Path("/d/mic_1.mrc")]) == 1
    assert len(found[Path("/d/mic_10.mrc")]) == 0


def test_equal_names_in_two_folders_are_told_apart():
    positions = {"a/m.mrc": np.array([[1.0, 1.0]]), "b/m.mrc": np.array([[2.0, 2.0], [3.0, 3.0]])}
    found = co.match_names(positions, [Path("/d/a/m.mrc"), Path("/d/b/m.mrc")])
    assert [len(v) for v in found.values()] == [1, 2]


A, B = Path("/d/A/x.mrc"), Path("/d/B/x.mrc")


@pytest.mark.parametrize(
    ("name", "files", "owner"),
    [
        ("A/x.mrc", [A, B], A),
        ("p/A/x.tif", [B, A], A),
        ("A/x.mrc", [B], B),  # one candidate: the data were moved
        ("mics/x.mrc", [Path("/d/othermics/x.mrc"), Path("/d/mics/x.mrc")], Path("/d/mics/x.mrc")),
        ("mics/x.mrc", [Path("/d/othermics/x.mrc"), B], None),
        ("x.mrc", [A, B], None),
        ("20211019123456_a.mrc", [Path("/d/a.mrc")], None),  # a time stamp is no uid
        ("x.mrc", [Path("/d/002345678901234567890_x.mrc"), Path("/d/x.mrc")], Path("/d/x.mrc")),
        ("002345678901234567890_x.mrc", [Path("/d/x.mrc"), Path("/d/002345678901234567890_x.mrc")], 1),
        ("x.tif", [Path("/d/x.mrc"), Path("/d/x.tif")], 1),
        ("mic_7_1_manualpick.star", [Path("/d/mic_7.mrc")], None),
    ],
)
def test_a_name_goes_to_the_best_fitting_micrograph_only(name, files, owner):
    found = co.match_names({name: np.array([[1.0, 2.0]])}, files)
    owner = files[owner] if isinstance(owner, int) else owner
    assert [f for f, xy in found.items() if len(xy)] == ([owner] if owner else [])


def test_the_exact_name_wins_over_the_one_with_a_uid():
    positions = {"002345678901234567890_x.mrc": np.ones((1, 2)), "x.mrc": np.full((1, 2), 5.0)}
    np.testing.assert_allclose(co.match_names(positions, [Path("/d/x.mrc")])[Path("/d/x.mrc")], [[5, 5]])


def test_a_name_that_fits_two_files_is_told(tmp_path):
    error = co.no_match_error(tmp_path / "p.star", {"x.mrc": np.ones((1, 2))}, [A, B])
    assert str(A) in error.message
    assert str(B) in error.message


def test_relion_manual_picks_of_one_micrograph_match_by_file_name(tmp_path):
    path = tmp_path / "mic_7_manualpick.star"
    path.write_text("data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n5 6\n7 8\n")
    found = co.match_names(co.read_particles(path), [tmp_path / "mic_7.mrc"])
    np.testing.assert_allclose(found[tmp_path / "mic_7.mrc"], [[5, 6], [7, 8]])


def test_a_list_of_coordinate_files_is_followed(tmp_path):
    (tmp_path / "picks").mkdir()
    (tmp_path / "picks/m_manualpick.star").write_text("data_\n\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n5 6\n")
    (tmp_path / "manualpick.star").write_text(
        "data_coordinate_files\n\nloop_\n_rlnMicrographName\n_rlnMicrographCoordinates\n"
        "mrc/m.mrc picks/m_manualpick.star\n"
    )
    found = co.read_particles(tmp_path / "manualpick.star")
    np.testing.assert_allclose(found["mrc/m.mrc"], [[5, 6]])


@pytest.mark.parametrize("suffix", [".txt", ".star"])
def test_noise_boxes_survive_a_round_trip(tmp_path, suffix):
    boxes = {"a b.mrc": np.array([[10.0, 20.0]]), "c.mrc": np.array([[1.0, 2.0], [300.0, 4.0]])}
    path = tmp_path / f"noise{suffix}"
    co.write_noise_boxes(path, boxes, 64)
    again = co.read_noise_boxes(path)
    assert again.count == 3
    assert again.box_size == (64 if suffix == ".star" else None)
    for name, xy in boxes.items():
        np.testing.assert_allclose(again.positions[name], xy)


def test_text_is_cryoddm_format_name_x_y(tmp_path):
    co.write_noise_boxes(tmp_path / "n.txt", {"m.mrc": np.array([[400.0, 900.0]])}, 64)
    assert (tmp_path / "n.txt").read_text() == "m.mrc 400 900\n"


ODD_NAMES = ["a#b.mrc", 'a"b.mrc', 'a "b" c.mrc', "a\tb.mrc", "_a.mrc", "data_a.mrc", "loop_.mrc", "#1.mrc", "001"]


def test_odd_names_survive_the_way_through_a_star_file(tmp_path):
    path = tmp_path / "n.star"
    co.write_noise_boxes(path, {name: np.array([[10.0, 20.0]]) for name in ODD_NAMES}, 32)
    assert list(co.read_noise_boxes(path).positions) == ODD_NAMES


@pytest.mark.parametrize(
    ("name", "file"), [("it's.mrc", "n.star"), ("a\nb", "n.star"), ("a\nb", "n.txt"), ("#a", "n.txt")]
)
def test_names_that_would_be_misread_are_not_written(tmp_path, name, file):
    with pytest.raises(InputError, match="cannot be written"):
        co.write_noise_boxes(tmp_path / file, {name: np.array([[1.0, 2.0]])}, 32)
    assert not (tmp_path / file).exists()


def test_a_repaired_star_file_is_read_afresh(tmp_path):
    path = tmp_path / "p.star"
    path.write_bytes(BAD["ragged.star"])
    with pytest.raises(InputError):
        co.read_particles(path)
    path.write_bytes(BAD["ragged.star"].replace(b"a.mrc 1\n", b"a.mrc 1 9\n"))
    np.testing.assert_allclose(co.read_particles(path)["a.mrc"], [[1, 9]])


@pytest.mark.parametrize("size", ["8", "4096", "20.5", "nan"])
def test_an_impossible_box_size_is_refused(tmp_path, size):
    path = tmp_path / "n.star"
    path.write_text(f"data_\n\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_vitreousBoxSize\n1 2 {size}\n")
    with pytest.raises(InputError, match=r"n\.star"):
        co.read_noise_boxes(path)


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    (tmp_path / "n.txt").write_bytes(b"\xef\xbb\xbfm.mrc 1 2\r\n")
    assert list(co.read_noise_boxes(tmp_path / "n.txt").positions) == ["m.mrc"]


_XY = b"_rlnCoordinateX\n_rlnCoordinateY\n"
BAD = {
    "two_blocks.star": 2 * (b"data_p\n\nloop_\n" + _XY + b"1 2\n\n"),
    "two_columns.star": b"data_\n\nloop_\n_rlnCoordinateX\n" + _XY + b"1 2 3\n",
    "old_mac.star": (b"data_\n\nloop_\n" + _XY + b"1 2\n").replace(b"\n", b"\r"),
    "no_rows.star": b"data_\n\nloop_\n" + _XY + b"_vitreousBoxSize\n",
    "binary.star": b"\x00\x01\x02" * 50,
    "empty.star": b"",
    "prose.star": b"dear reader, this is not a table\n",
    "no_xy.star": b"data_\n\nloop_\n_rlnMicrographName #1\na.mrc\n",
    "no_loop.star": b"data_\n\n_rlnMicrographName #1\n_rlnCoordinateX #2\n_rlnCoordinateY #3\na.mrc 1 2\n",
    "words.star": b"data_\n\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\na.mrc one 2\n",
    "ragged.star": b"data_\n\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\na.mrc 1\nb.mrc 1 2\n",
    "nan.star": b"data_\n\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\na.mrc nan 2\n",
    "far.star": b"data_\n\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\na.mrc 1 2\na.mrc 1e9 2\n",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_star_files_are_refused_in_one_sentence_with_their_name(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BAD[name])
    with pytest.raises(InputError) as caught:
        co.read_particles(path)
    assert name in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_a_position_beyond_every_micrograph_is_named_with_its_row(tmp_path):
    (tmp_path / "far.star").write_bytes(BAD["far.star"])
    with pytest.raises(InputError, match=r"far\.star: row 2 .*outside of every micrograph"):
        co.read_particles(tmp_path / "far.star")


@pytest.mark.parametrize(
    "text", ["m.mrc 1\n", "m.mrc x y\n", "m.mrc nan 1\n", "m.mrc 1 inf\n", "m.mrc 1 -1e8\n", "", "\xff\xfe"]
)
def test_bad_noise_text_is_refused(tmp_path, text):
    path = tmp_path / "noise.txt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"noise\.txt"):
        co.read_noise_boxes(path)


def test_missing_files_are_refused(tmp_path):
    for read in (co.read_particles, co.read_noise_boxes):
        with pytest.raises(InputError, match="does not exist"):
            read(tmp_path / "nothing.star")


def test_names_of_two_folders_are_not_mixed_on_one_micrograph():
    xy = np.array([[1.0, 2.0]])
    third = Path("/data/C/m.mrc")
    assert len(co.match_names({"A/m.mrc": xy, "B/m.mrc": xy}, [third])[third]) == 0
    second = Path("/data/B/m.mrc")
    assert len(co.match_names({"A/m.mrc": xy, "B/m.mrc": xy}, [second])[second]) == 1
    assert len(co.match_names({"A/m.mrc": xy, "m.mrc": xy}, [third])[third]) == 2
