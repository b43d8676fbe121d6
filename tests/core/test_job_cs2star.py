"""The job `cs2star`: files as RELION and CryoDDM's users expect them, whole or not there, the same every time."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import cs_files
import numpy as np
import pytest
import starfile

from core.cryosparc import conversion, find, outputs
from core.cryosparc.tables import Options
from core.errors import JobStopped

SHARED = Path(__file__).resolve().parents[3] / "shared"
REFERENCES = SHARED / "data/cs2star"
NAMES = {outputs.PARTICLES, outputs.CLEANED, outputs.INVERT, outputs.REPORT}


def convert(run_job, source: Path, output: Path, **values):
    return run_job("cs2star", project=source, output=output, **values)


def job(root: Path, rows: np.ndarray | None = None, name: str = "J24") -> Path:
    rows = cs_files.particles(60) if rows is None else rows
    cs_files.save(root / name / f"cryosparc_P1_{name}_000_particles.cs", rows[:2])
    cs_files.save(root / name / f"cryosparc_P1_{name}_001_particles.cs", cs_files.only(rows, "alignments3D/", "ctf/"))
    cs_files.save(root / name / f"{name}_passthrough_particles.cs", cs_files.only(rows, "blob/", "location/"))
    return root / name


def test_three_files_and_a_report(tmp_path, run_job):
    rows = cs_files.particles(60)
    end = convert(run_job, job(tmp_path, rows), tmp_path / "out")
    assert end["exit_code"] == 0
    folder = tmp_path / "out/class1"
    assert {path.name for path in folder.iterdir()} == NAMES
    plain = starfile.read(folder / outputs.PARTICLES)
    clean = starfile.read(folder / outputs.CLEANED)
    invert = starfile.read(folder / outputs.INVERT)
    made = conversion.run(find.choose(tmp_path / "J24"), Options()).tables
    for label, values in made.particles.items():
        if isinstance(values, np.ndarray):
            np.testing.assert_allclose(plain["particles"][label], values, atol=6e-7, err_msg=label)
    assert list(plain) == ["optics", "particles"]
    # cleaned: names without numbers, the image number and the optics table kept
    assert (
        clean["particles"]["rlnImageName"] == plain["particles"]["rlnImageName"].str.replace(cs_files.UID, "")
    ).all()
    assert clean["particles"]["rlnImageName"].is_unique
    assert clean["optics"].equals(plain["optics"])
    # inverted: NY - Y, twice gives the original; nothing else changes
    y, inverted = plain["particles"]["rlnCoordinateY"], invert["particles"]["rlnCoordinateY"]
    np.testing.assert_allclose(inverted, cs_files.NY - y, atol=1e-6)
    np.testing.assert_allclose(cs_files.NY - inverted, y, atol=1e-6)
    for table in (clean, invert):
        same = [c for c in plain["particles"] if c not in ("rlnCoordinateY", "rlnImageName", "rlnMicrographName")]
        assert table["particles"][same].equals(plain["particles"][same])
    assert invert["particles"]["rlnImageName"].equals(plain["particles"]["rlnImageName"])
    report = (folder / outputs.REPORT).read_text(encoding="utf-8")
    for word in ("60 particles read, 60 written", "001_particles.cs: the last of 2 iterations", "NY - Y", *NAMES):
        assert word in report or word == outputs.REPORT
    assert max(map(len, report.splitlines())) < 140
    assert end["result"]["star"] == str(folder / outputs.PARTICLES)


def test_two_runs_are_equal_to_the_byte(tmp_path, run_job):
    source = job(tmp_path)
    for name in ("a", "b"):
        assert convert(run_job, source, tmp_path / name)["exit_code"] == 0
    for name in NAMES:
        assert (tmp_path / "a/class1" / name).read_bytes() == (tmp_path / "b/class1" / name).read_bytes()


def test_several_jobs_each_in_its_folder(tmp_path, run_job):
    for i in (24, 26):
        job(tmp_path, name=f"J{i}")
    end = convert(run_job, tmp_path / "J24", tmp_path / "out", jobs=3)
    assert end["exit_code"] == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["class1", "class3"]
    assert any("no J25" in event["message"] for event in run_job.of("warning"))
    assert end["result"]["particles"] == 120
    refused = convert(run_job, tmp_path / "J24", tmp_path / "o2", jobs=3, passthrough=(tmp_path / "J24/x.cs",))
    assert refused["exit_code"] == 2


def test_files_of_an_earlier_run_are_safe_until_told(tmp_path, run_job):
    source = job(tmp_path)
    convert(run_job, source, tmp_path / "out")
    before = (tmp_path / "out/class1" / outputs.INVERT).read_bytes()
    end = convert(run_job, source, tmp_path / "out")
    assert end["exit_code"] == 2
    assert "output" in end["fields"]
    assert (tmp_path / "out/class1" / outputs.INVERT).read_bytes() == before
    # without positions there is no Invert.star: the old one must not stay beside the new files
    bare = cs_files.save(tmp_path / "bare.cs", cs_files.only(cs_files.particles(9), "blob/", "ctf/"))
    assert convert(run_job, bare, tmp_path / "out", overwrite=True)["exit_code"] == 0
    assert {path.name for path in (tmp_path / "out/class1").iterdir()} == NAMES - {outputs.INVERT}
    assert "Invert.star was not written" in (tmp_path / "out/class1" / outputs.REPORT).read_text(encoding="utf-8")


def test_stopping_leaves_nothing(tmp_path, run_job, monkeypatch):
    monkeypatch.setattr("core.io.star_write.BLOCK_ROWS", 10)

    def stop(_folder, _tables, _files, _report, _source, progress):
        blocks = iter(range(3))

        def stopping(done, total):
            progress(done, total)
            if next(blocks, None) is None:
                raise JobStopped

        return write(_folder, _tables, _files, _report, _source, stopping)

    write = outputs.write
    monkeypatch.setattr(outputs, "write", stop)
    end = convert(run_job, job(tmp_path), tmp_path / "out")
    assert end["exit_code"] == 130
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path, run_job, monkeypatch):
    """The error of the system, at the moment the third block is written."""
    monkeypatch.setattr("core.io.star_write.BLOCK_ROWS", 10)
    from core.io import star_write

    joined, calls = star_write.joined, []

    def full(texts):
        calls.append(1)
        if len(calls) > 8:
            raise OSError(errno.ENOSPC, "No space left on device")
        return joined(texts)

    monkeypatch.setattr(star_write, "joined", full)
    end = convert(run_job, job(tmp_path), tmp_path / "out")
    assert end["exit_code"] == 4
    assert "disk is full" in end["message"]
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_a_really_full_disk(tmp_path, run_job):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    try:
        end = convert(run_job, job(tmp_path, cs_files.particles(2000)), disk / "out")
        assert end["exit_code"] == 4
        assert "disk is full" in end["message"]
        assert [path for path in disk.rglob("*") if path.is_file()] == []
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (cs_files.particles(0), "holds no particles"),
        (cs_files.only(cs_files.particles(3), "ctf/", "location/micrograph_path"), "neither images nor positions"),
    ],
)
def test_datasets_with_nothing_to_write(tmp_path, run_job, rows, words):
    end = convert(run_job, cs_files.save(tmp_path / "few.cs", rows), tmp_path / "out")
    assert end["exit_code"] == 3
    assert words in end["message"]
    assert "few.cs" in end["message"]
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_all_rows_unusable(tmp_path, run_job):
    rows = cs_files.particles(4)
    rows["alignments3D/pose"] = np.nan
    end = convert(run_job, cs_files.save(tmp_path / "nan.cs", rows), tmp_path / "out")
    assert end["exit_code"] == 3
    assert "No particle of" in end["message"]


def test_names_are_text_and_nothing_else(tmp_path, run_job):
    """Absolute, climbing and Windows paths are written as they are; none is opened or made."""
    paths = np.array(
        [b"/etc/passwd", b"../../up.mrcs", b"C:\\data\\x.mrcs", "J1/\u00e4 b.mrcs".encode(), b"\xff\xfe.mrc"]
    )
    rows = cs_files.particles(5, blob__path=paths, blob__idx=np.zeros(5, "u4"))
    end = convert(run_job, cs_files.save(tmp_path / "in" / "p.cs", rows), tmp_path / "out")
    assert end["exit_code"] == 0
    found = starfile.read(tmp_path / "out/class1" / outputs.PARTICLES)["particles"]["rlnImageName"].tolist()
    assert {name.partition("@")[2] for name in found} == {
        "/etc/passwd",
        "../../up.mrcs",
        "C:\\data\\x.mrcs",
        "J1/\u00e4 b.mrcs",
        "\\xff\\xfe.mrc",
    }
    assert any("blanks" in event["message"] for event in run_job.of("warning"))
    assert {p.name for p in tmp_path.iterdir()} == {"in", "out", "runs"}


def test_csdat_gives_the_same_files(tmp_path, run_job):
    rows = cs_files.particles(40)
    convert(run_job, cs_files.save(tmp_path / "a" / "p.cs", rows), tmp_path / "one")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/p.cs").write_bytes(cs_files.csdat(rows))
    convert(run_job, tmp_path / "b/p.cs", tmp_path / "two")
    for name in NAMES - {outputs.REPORT}:
        assert (tmp_path / "one/class1" / name).read_bytes() == (tmp_path / "two/class1" / name).read_bytes()


# ---- beside another converter ----------------------------------------------------------------------------

# columns that the other converter does not know
MORE = ("rlnMaxValueProbDistribution", "rlnBeamTilt", "rlnMagMat", "rlnAutopickFigureOfMerit", "rlnOpticsGroupName")


@pytest.mark.skipif(not REFERENCES.is_dir(), reason="the reference conversions are not beside this clone")
@pytest.mark.parametrize(
    ("name", "reference", "file", "values"),
    [
        ("r02_cryosparc_J2_particles_exported", "pyem", outputs.PARTICLES, {}),
        ("r03_empiar_10076_7", "pyem", outputs.PARTICLES, {}),
        ("s02_exported_particles", "pyem", outputs.PARTICLES, {}),
        ("s02_exported_particles", "pyem_inverty_flag", outputs.INVERT, {}),
        ("s02_exported_particles", "pyem_strip_uid", outputs.CLEANED, {}),
        ("s02_exported_particles", "pyem_relion2", outputs.PARTICLES, {"relion": "3.0"}),
        ("s03_multiclass_v44_particles", "pyem", outputs.PARTICLES, {}),
        ("s05_optics_groups_aberrations_particles", "pyem", outputs.PARTICLES, {}),
        ("s08_locations_only_particles", "pyem", outputs.PARTICLES, {}),
    ],
)
def test_equal_to_the_reference_conversions(tmp_path, run_job, name, reference, file, values):
    assert convert(run_job, REFERENCES / f"{name}.cs", tmp_path / "out", **values)["exit_code"] == 0
    check = subprocess.run(
        [
            sys.executable,
            SHARED / "bench/star_diff.py",
            REFERENCES / f"{name}.{reference}.star",
            tmp_path / "out/class1" / file,
            "--relabel",
            "rlnOpticsGroup",
        ],
        capture_output=True,
        text=True,
    )
    differ = [line for line in check.stdout.splitlines() if line.startswith("DIFF ")]
    assert all("only in the candidate" in line and any(more in line for more in MORE) for line in differ), check.stdout
    assert "rows compared" in check.stdout


def test_a_series_goes_on_where_one_job_cannot_be_converted(tmp_path, run_job):
    for name in ("J10", "J12"):
        job(tmp_path, name=name)
    (tmp_path / "J11").mkdir()
    end = convert(run_job, tmp_path / "J10", tmp_path / "out", jobs=3)
    assert end["exit_code"] == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["class1", "class3"]
    assert any("J11 was not converted" in event["message"] for event in run_job.of("warning"))


def test_what_a_killed_run_left_goes_and_folders_stay(tmp_path, run_job):
    left = tmp_path / "out/class1" / f"{outputs.PARTICLES}.123-0.partial"
    left.parent.mkdir(parents=True)
    left.write_text("half", encoding="utf-8")
    assert convert(run_job, job(tmp_path), tmp_path / "out")["exit_code"] == 0
    assert {path.name for path in left.parent.iterdir()} == NAMES
    (tmp_path / "o2/class1" / outputs.INVERT).mkdir(parents=True)
    end = convert(run_job, tmp_path / "J24", tmp_path / "o2", overwrite=True)
    assert end["exit_code"] == 2
    assert {path.name for path in (tmp_path / "o2/class1").iterdir()} == {outputs.INVERT}
