"""STAR files that are broken, incomplete or of another kind: the sentence that a user sees, with the line."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.io import coordinates as co
from core.io import star_text
from core.io.particles_star import read_particles_table
from core.io.star import read_star

HEAD = "data_particles\n\nloop_\n_rlnMicrographName #1\n_rlnCoordinateX #2\n_rlnCoordinateY #3\n"  # rows from line 7
GOOD = HEAD + "a.mrc 1 2\n"
PAIR = "data_\nloop_\n_a #1\n_b #2\n"  # rows from line 5
OPTICS = "data_optics\nloop_\n_rlnOpticsGroup #1\n_rlnVoltage #2\n{}\n\ndata_particles\nloop_\n_rlnImageName #1\n"

# case of the list of bad inputs -> what the file holds, and what the message says
UNREADABLE = {
    "23 empty": (b"", "holds no STAR table"),
    "23 blank": (b"\n \n# only a comment\n", "holds no STAR table"),
    "23 prose": (b"dear reader,\nthis is no table\n", "holds no STAR table"),
    "23 binary": (b"\x93NUMPY\x01\x00v\x00" * 9, "is a binary file"),
    "23 utf-16": (GOOD.encode("utf-16"), "is UTF-16 text"),
    "23 latin-1": ((HEAD + "b.mrc 1 2\nö.mrc 1 2\n").encode("latin-1"), "line 8: a character is not UTF-8"),
    "23 web page": (b"<!DOCTYPE html>\n<html><body>404 not found</body></html>\n", "is a web page"),
    "23 control": ((HEAD + "a.mrc 1 2\nb.mrc\x0b 1 2\n").encode(), "line 8: a control character"),
    "23 one endless line": (b"data_\nloop_\n_a\n" + b"x" * 70_000, "a line of more than 65536 characters"),
    "23 broken gz": (gzip.compress(GOOD.encode() * 50)[:-20], "is damaged: it cannot be decompressed"),
    "25 too few": ((HEAD + "a.mrc 1 2\nb.mrc 1\n").encode(), "line 8: this row has 2 values, but its table has 3 col"),
    "25 too many": ((HEAD + "a.mrc 1 2 9\n").encode(), "line 7: this row has 4 values, but its table has 3 columns"),
    "25 one value": ((PAIR + "1\n").encode(), "line 5: this row has 1 value, but its table has 2 columns"),
    "25 after a comment": ((PAIR + "1 2\n\n# note\n1 # 2\n").encode(), "line 8: this row has 1 value"),
    "25 blank in a path": ((HEAD + "my mics/a.mrc 1 2\n").encode(), "line 7: this row has 4 values"),
    "25 quoted and short": ((PAIR + '"1 2"\n').encode(), "line 5: this row has 1 value,"),
    "25 first of two": ((PAIR + "1 2\n1\n'1 2'\n").encode(), "line 6: this row has 1 value"),
    "25 open quote": ((HEAD + 'a.mrc 1 2\n"b.mrc 1 2\n').encode(), "line 8: a quote mark is not closed"),
    "25 glued quote": ((PAIR + '"a"b 2\n').encode(), "line 5: a quote mark is not closed"),
    "25 hash in a name": ((HEAD + "a#1.mrc 1 2\n").encode(), "line 7: the # in 'a#1.mrc' would cut it off"),
    "25 apostrophe": ((HEAD + "it's.mrc 1 2\n").encode(), "line 7: the apostrophe in it's.mrc"),
    "25 no loop_": (
        b"data_p\n\n_rlnMicrographName #1\n_rlnCoordinateX #2\n_rlnCoordinateY #3\na.mrc 1 2\n",
        "line 3: the table data_p has no loop_ line",
    ),
    "25 no loop_, bare columns": (b"data_p\n_rlnCoordinateX\n1\n", "line 2: the table data_p has no loop_ line"),
    "25 loop_ without columns": (b"data_\nloop_\n1 2\n", "line 3: this row follows a loop_ line without columns"),
    "25 text before data_": (("a.mrc 5 6\n" + GOOD).encode(), "line 1: 'a.mrc 5 6' stands before the first data_"),
    "25 loop_ before data_": (b"loop_\n_a\n1\ndata_x\n", "line 1: loop_ stands before the first data_"),
    "25 text between tables": ((PAIR + "1 2\n\nhello\n\ndata_x\n_a 1\n").encode(), "line 7: this row has 1 value"),
    "25 text in a block of values": (b"data_\n_a 1\nhello you\n_b 2\n", "line 3: 'hello you' belongs to no table"),
    "25 two values": (b"data_\n_a 1 2\n", "line 2: _a has 2 values"),
    "25 column among rows": ((PAIR + "1 2\n_c #3\n3 4\n").encode(), "line 6: the column _c stands among the rows"),
    "25 second table": ((PAIR + "1 2\n\nloop_\n_c\n3\n").encode(), "line 7: a second table begins inside its data_"),
    "30 block twice": ((PAIR + "1 2\n" + PAIR + "1 2\n").encode(), "line 6: a second table is named data_"),
    "30 column twice": (b"data_\nloop_\n_a #1\n_b #2\n_a #3\n1 2 3\n", "line 5: the column _a is there twice"),
    "30 value twice": (b"data_\n_a 1\n_a 2\n", "line 3: the column _a is there twice"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_is_no_well_formed_table_is_refused(tmp_path, case):
    content, message = UNREADABLE[case]
    path = tmp_path / "p.star"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_star(path)
    assert message in caught.value.message
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("case", [name for name, (content, _) in UNREADABLE.items() if b"data_" in content])
@pytest.mark.parametrize("size", [16, 100])
def test_the_line_is_right_however_the_file_falls_into_parts(tmp_path, monkeypatch, case, size):
    content, message = UNREADABLE[case]
    monkeypatch.setattr(star_text, "BLOCK_BYTES", size)
    path = tmp_path / "p.star"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_star(path, {"a"})
    assert message in caught.value.message


PIECES = st.sampled_from(
    [
        b"data_",
        b"loop_",
        b"_a",
        b"#",
        b'"',
        b"'",
        b"\n",
        b"\r\n",
        b" ",
        b"\t",
        b"1",
        b"nan",
        b"\xff",
        b"\0",
        b"1 2 3\n",
        b"\n_x 1\n",
    ]
)


@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3), PIECES), max_size=6))
def test_whatever_happens_to_a_file_ends_in_tables_or_in_one_sentence(tmp_path_factory, pieces):
    content = ("# version 30001\n\n" + OPTICS.format("1 300") + '_b #2\n1@a.mrcs 5\n"2@b c.mrcs" 6\n').encode()
    for place, taken, put in pieces:
        content = content[:place] + put + content[place + taken :]
    path = tmp_path_factory.mktemp("star") / "p.star"
    path.write_bytes(content)
    tables, told = {}, None
    try:
        tables = read_star(path)
    except InputError as err:
        told = err.message
    for table in tables.values():
        assert {len(values) for values in table.values()} <= {len(table.lines)}
    if told is not None:
        assert str(path) in told
        assert "\n" not in told
        assert "cannot be read as STAR" not in told  # starfile's own words are the last resort


POSITIONS = {
    "24 no Y": (
        "data_\nloop_\n_rlnMicrographName #1\n_rlnCoordinateX #2\na.mrc 1\n",
        "has no column _rlnCoordinateY; it has _rlnMicrographName, _rlnCoordinateX.",
    ),
    "24 a table of CTFs": (
        "data_\nloop_\n" + "".join(f"_c{i}\n" for i in range(12)) + " ".join("1" * 12) + "\n",
        "it has _c0, _c1, _c2, _c3, _c4, _c5, _c6, _c7 and 4 more.",
    ),
    "26 text": (
        HEAD + "a.mrc 1 2\n\na.mrc one 2\na.mrc 3 two\n",
        "line 9: 'one' in _rlnCoordinateX is no number. 2 of",
    ),
    "26 nan": (HEAD + "a.mrc 1 nan\n", "line 7: 'nan' in _rlnCoordinateY is no number."),
    "26 inf": (HEAD + "a.mrc 1 2\na.mrc inf 2\n", "line 8: 'inf' in _rlnCoordinateX is no number."),
    "26 empty": (HEAD + 'a.mrc "" 2\n', "line 7: '' in _rlnCoordinateX is no number."),
    "29 centred Å": (
        "data_particles\nloop_\n_rlnTomoName #1\n_rlnCenteredCoordinateXAngst #2\n"
        "_rlnCenteredCoordinateYAngst #3\n_rlnCenteredCoordinateZAngst #4\nt 1 2 3\n",
        "has positions in Å from the centre of a tomogram",
    ),
    "29 subtomograms": (
        "data_particles\nloop_\n_rlnTomoName #1\n_rlnCoordinateX #2\n_rlnCoordinateY #3\n_rlnCoordinateZ #4\nt 1 2 3\n",
        "holds subtomograms",
    ),
    "30 no rows": (HEAD, "holds no positions: its table has no rows."),
}


@pytest.mark.parametrize("case", POSITIONS)
def test_positions_that_cannot_be_used_are_refused(tmp_path, case):
    content, message = POSITIONS[case]
    path = tmp_path / "p.star"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        co.read_particles(path)
    assert message in caught.value.message
    assert path.name in caught.value.message
    assert caught.value.hint


def test_rows_without_a_position_are_skipped_when_that_is_wished_and_counted(tmp_path):
    path, told = tmp_path / "p.star", []
    path.write_text(HEAD + "a.mrc 1 2\nb.mrc nan 2\na.mrc one 2\na.mrc 1e9 2\na.mrc 3 4\n")
    with pytest.raises(co.BadRowsError, match="3 of 5 rows"):
        co.read_particles(path)
    found = co.read_particles(path, co.Reading(skip_bad_rows=True, told=told.append))
    assert {name: xy.tolist() for name, xy in found.items()} == {"a.mrc": [[1, 2], [3, 4]]}
    assert told == ["3 rows without a position skipped in p.star (the first is line 8)."]


def test_a_file_with_bad_rows_only_is_refused_all_the_same(tmp_path):
    path = tmp_path / "p.star"
    path.write_text(HEAD + "a.mrc nan 2\n")
    with pytest.raises(co.BadRowsError, match="is no number"):
        co.read_particles(path, co.Reading(skip_bad_rows=True))


def test_a_ragged_row_is_never_skipped(tmp_path):
    """Which of its values is missing is unknown."""
    path = tmp_path / "p.star"
    path.write_text(HEAD + "a.mrc 1 2\na.mrc 1\n")
    with pytest.raises(InputError, match="line 8: this row has 2 values"):
        co.read_particles(path, co.Reading(skip_bad_rows=True))


GROUPS = {
    "29 not defined": (
        OPTICS.format("1 300") + "_rlnOpticsGroup #2\n1@a.mrcs 1\n1@b.mrcs 3\n1@c.mrcs 4\n",
        "line 12: optics group 3 is not defined in the optics table (it has 1); 2 rows use such groups.",
    ),
    "29 defined twice": (
        OPTICS.format("1 300\n2 200\n2 300") + "_rlnOpticsGroup #2\n1@a.mrcs 1\n",
        "defines optics group 2 twice.",
    ),
    "29 not said": (OPTICS.format("1 300\n2 200") + "1@a.mrcs\n", "2 optics groups, but its particles have no column"),
    "29 image 0": (OPTICS.format("1 300") + "000000@a.mrcs\n", "line 10: '000000@a.mrcs' is no image of a stack."),
    "29 no image": (GOOD, "has no column _rlnImageName; it has _rlnMicrographName"),
    "29 half a pair": (
        OPTICS.format("1 300") + "_rlnOriginXAngst #2\n1@a.mrcs 1\n",
        "has no column _rlnOriginYAngst",
    ),
    "29 origins without a pixel": (
        OPTICS.format("1 300") + "_rlnOriginX #2\n_rlnOriginY #3\n1@a.mrcs 1 2\n",
        "has origins in pixels, but no pixel size",
    ),
    "29 magnification 0": (
        "data_\nloop_\n_rlnImageName\n_rlnDetectorPixelSize\n_rlnMagnification\n1@a.mrcs 5 0\n",
        "line 6: the pixel size of this particle is inf Å.",
    ),
}


@pytest.mark.parametrize("case", GROUPS)
def test_particles_that_do_not_fit_their_optics_are_refused(tmp_path, case):
    content, message = GROUPS[case]
    path = tmp_path / "p.star"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_particles_table(path)
    assert message in caught.value.message
    assert caught.value.hint


def test_names_of_both_sides_are_shown_when_none_fits(tmp_path):
    positions = {f"mics/x{i}.mrc": np.ones((1, 2)) for i in range(3)}
    error = co.no_match_error(tmp_path / "p.star", positions, [tmp_path / f"y{i}.mrc" for i in range(3)])
    for name in ("mics/x0.mrc", "mics/x1.mrc", "y0.mrc", "y1.mrc"):
        assert name in error.message
    assert "x2" not in error.message


def test_a_uid_that_was_put_in_front_twice_is_no_obstacle(tmp_path):
    uid = "002345678901234567890_"
    found = co.match_names({f"J5/{uid}{uid}a.mrc": np.ones((2, 2))}, [tmp_path / "a.mrc"])
    assert len(found[tmp_path / "a.mrc"]) == 2
