"""The job `subset`: the chosen rows in the same format, everything else untouched."""

from __future__ import annotations

import pickle
from pathlib import Path

import cs_files
import numpy as np
import pytest

from core.io import cs
from core.io.star import read_star

STAR = """# made by hand

data_optics

loop_
_rlnOpticsGroup #1
_rlnVoltage #2
1 300.0

data_particles

loop_
_rlnImageName #1
_rlnMicrographName #2
_rlnCoordinateX #3
000001@s.mrcs  mics/000090334788266266069_a.mrc   1.5000
000002@s.mrcs  mics/b.mrc 2.25   # a word
000003@s.mrcs  'mics/c d.mrc' 3

000004@s.mrcs  mics/b.mrc 4
"""


@pytest.fixture
def star(tmp_path: Path) -> Path:
    path = tmp_path / "in.star"
    path.write_text(STAR, encoding="utf-8")
    return path


def subset(run_job, source: Path, **values):
    output = values.pop("output", source.with_name(f"out{source.suffix}"))
    return output, run_job("subset", input=source, output=output, **values)


def test_rows_of_a_star_file_and_every_other_line(star, run_job):
    output, end = subset(run_job, star, rows="0,2-3")
    assert end["exit_code"] == 0
    lines = STAR.splitlines(keepends=True)
    assert output.read_text(encoding="utf-8") == "".join(line for line in lines if "2.25" not in line)
    output, end = subset(run_job, star, rows="0,2-3", exclude=True, overwrite=True)
    assert read_star(output)["particles"]["rlnCoordinateX"].tolist() == [2.25]


def test_a_selection_of_cryodrgn(star, run_job, tmp_path):
    chosen = tmp_path / "ind.pkl"
    chosen.write_bytes(pickle.dumps(np.array([3, 1])))
    output, end = subset(run_job, star, selection=chosen)
    assert end["exit_code"] == 0
    assert read_star(output)["particles"]["rlnCoordinateX"].tolist() == [2.25, 4]
    chosen.write_bytes(pickle.dumps(Path("x")))
    _, end = subset(run_job, star, selection=chosen, overwrite=True)
    assert "more than numbers" in end["message"]


def test_micrographs_of_a_star_file(star, run_job, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("/data/a.mrc\nelsewhere/c d.tif\nnot-there.mrc\n", encoding="utf-8")
    output, end = subset(run_job, star, by="micrographs", selection=names)
    assert end["exit_code"] == 0
    assert read_star(output)["particles"]["rlnCoordinateX"].tolist() == [1.5, 3]
    assert "not-there.mrc" in run_job.of("warning")[0]["message"]
    names.write_text("x.mrc\ny.mrc\n", encoding="utf-8")
    _, end = subset(run_job, star, by="micrographs", selection=names, overwrite=True)
    assert end["exit_code"] == 3
    for name in ("x.mrc", "y.mrc", "mics/b.mrc"):
        assert name in end["message"]


@pytest.mark.parametrize("packed", [False, True])
def test_rows_of_a_dataset(tmp_path, run_job, packed):
    rows = cs_files.particles(20)
    source = tmp_path / "p.cs"
    source.write_bytes(cs_files.csdat(rows)) if packed else cs_files.save(source, rows)
    chosen = tmp_path / "chosen.npy"
    np.save(chosen, np.array([3, 7, 19]))
    output, end = subset(run_job, source, selection=chosen)
    assert end["result"]["kept"] == 3
    np.testing.assert_array_equal(cs.read_columns(output)["uid"], rows["uid"][[3, 7, 19]])
    assert cs.open_cs(output).csdat == packed
    names = tmp_path / "mics.star"
    names.write_text("data_\n\nloop_\n_rlnMicrographName\nmic9.mrc\nmic11.mrc\n", encoding="utf-8")
    output, end = subset(run_job, source, by="micrographs", selection=names, overwrite=True)
    keep = np.arange(20) % 3 != 1
    np.testing.assert_array_equal(cs.read_columns(output)["uid"], rows["uid"][keep])


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        ({}, 2, "either --rows or --selection"),
        ({"rows": "0", "by": "micrographs"}, 2, "--rows are numbers"),
        ({"rows": "5-2"}, 2, "'5-2' is no row"),
        ({"rows": "one"}, 2, "'one' is no row"),
        ({"rows": "0-99999999999"}, 2, "is no row"),
        ({"rows": "4"}, 3, "has 4 rows"),
        ({"rows": "0-3", "exclude": True}, 3, "keeps none"),
        ({"selection": "half.txt"}, 3, "not a list of row numbers"),
        ({"selection": "text.npy"}, 3, "not a list of row numbers"),
        ({"selection": "absent.txt"}, 3, "cannot be read"),
        ({"rows": "0", "output": "in.star"}, 2, "the input file itself"),
    ],
)
def test_bad_selections_are_one_sentence(star, run_job, tmp_path, values, code, words):
    (tmp_path / "half.txt").write_text("1\n2.5\n", encoding="utf-8")
    np.save(tmp_path / "text.npy", np.array(["a"]))
    values = {k: tmp_path / v if k in ("selection", "output") else v for k, v in values.items()}
    output, end = subset(run_job, star, **values)
    assert end["exit_code"] == code
    assert words in end["message"]
    assert output == star or not output.exists()
    assert star.read_text(encoding="utf-8") == STAR


def test_rows_that_begin_like_a_block_are_rows(tmp_path, run_job):
    source = tmp_path / "d.star"
    source.write_text(STAR.replace("000003@s.mrcs  'mics/c d.mrc' 3", "data_3@s.mrcs mics/c.mrc 3"), encoding="utf-8")
    output, end = subset(run_job, source, rows="0-1")
    assert end["result"]["rows"] == 4
    assert read_star(output)["particles"]["rlnCoordinateX"].tolist() == [1.5, 2.25]


def test_doubtful_selections_are_refused(tmp_path, run_job):
    rows = cs_files.particles(6, location__micrograph_path=np.array([b"A/mic.mrc", b"B/mic.mrc"] * 3))
    source = cs_files.save(tmp_path / "p.cs", rows)
    np.save(tmp_path / "mask.npy", np.ones(4, bool))
    _, end = subset(run_job, source, selection=tmp_path / "mask.npy")
    assert "4 truth values for 6 rows" in end["message"]
    (tmp_path / "names.txt").write_text("A/mic.mrc\n", encoding="utf-8")
    _, end = subset(run_job, source, by="micrographs", selection=tmp_path / "names.txt")
    assert "could be A/mic.mrc or B/mic.mrc" in end["message"]
    _, end = subset(run_job, source, rows="0-2000000000")
    assert "has 6 rows" in end["message"]
    _, end = subset(run_job, source, rows="0", output=tmp_path / "p.star")
    assert "end in .cs" in end["message"]
    (tmp_path / "z.star.gz").write_bytes(b"\x1f\x8b\x08\x00\xff\xfe")
    _, end = subset(run_job, tmp_path / "z.star.gz", rows="0", output=tmp_path / "y.star.gz")
    assert "it is compressed" in end["message"]
