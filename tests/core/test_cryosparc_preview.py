"""The look before a conversion: the same text as the files, few rows read, the partners of a passthrough, a stop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cs_files import csdat, save

from core.cryosparc import preview as previewing
from core.cryosparc.labels import MEANINGS
from core.cryosparc.particles import read_particles
from core.cryosparc.preview import INVERTED_Y, MOST_READ, MOST_SHOWN, Preview, preview
from core.cryosparc.tables import Options
from core.errors import InputError, JobStopped
from core.io import cs

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "cs2star"
HEIGHT = 4000
MAIN = [
    ("uid", "<u8"),
    ("alignments3D/pose", "<f4", 3),
    ("alignments3D/shift", "<f4", 2),
    ("alignments3D/psize_A", "<f4"),
    ("ctf/df1_A", "<f4"),
    ("ctf/df2_A", "<f4"),
    ("ctf/df_angle_rad", "<f4"),
    ("blob/path", "S40"),
    ("blob/idx", "<u4"),
    ("blob/psize_A", "<f4"),
]
LOCATION = [
    ("uid", "<u8"),
    ("location/micrograph_path", "S40"),
    ("location/center_x_frac", "<f4"),
    ("location/center_y_frac", "<f4"),
    ("location/micrograph_shape", "<u4", 2),
]


def particles(n: int) -> np.ndarray:
    rows = np.zeros(n, MAIN)
    rows["uid"] = np.arange(n) * 7 + 10**15
    rows["alignments3D/pose"] = np.random.default_rng(1).normal(size=(n, 3))
    rows["alignments3D/psize_A"] = rows["blob/psize_A"] = 1.5
    rows["ctf/df1_A"], rows["ctf/df2_A"] = 20_000, 18_000
    rows["blob/path"] = b"J5/extract/a_particles.mrcs"
    rows["blob/idx"] = np.arange(n)
    return rows


def locations(uids: np.ndarray) -> np.ndarray:
    """All at one eighth of the height from the edge that CryoSPARC counts from: 500 px."""
    rows = np.zeros(len(uids), LOCATION)
    rows["uid"] = uids
    rows["location/micrograph_path"] = b"J3/a.mrc"
    rows["location/center_x_frac"] = 0.25
    rows["location/center_y_frac"] = 0.125
    rows["location/micrograph_shape"] = (HEIGHT, 5000)
    return rows


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """Folder J24 with three iterations of 300 particles, and a passthrough in another order."""
    folder = tmp_path / "J24"
    rows = particles(300)
    for number in (1, 2, 3):
        save(folder / f"J24_{number:03d}_particles.cs", rows)
    save(folder / "J24_passthrough_particles.cs", locations(rows["uid"][::-1]))
    return folder


def cells(look: Preview, label: str) -> tuple[str, ...]:
    return next(column.cells for column in look.columns if column.label == label)


def labels(look: Preview) -> list[str]:
    return [column.label for column in look.columns]


def test_it_says_what_was_chosen_and_joined_and_shows_the_first_rows(job: Path) -> None:
    look = preview(job)
    assert look.why == ("J24_003_particles.cs: the last of 3 iterations (number 3), with J24_passthrough_particles.cs")
    assert (look.rows, look.read, look.shown) == (300, 300, MOST_SHOWN)
    assert [(one.path.name, one.matched, one.missing) for one in look.joined] == [
        ("J24_passthrough_particles.cs", 300, 0)
    ]
    assert cells(look, "rlnImageName")[:2] == (
        "000001@J5/extract/a_particles.mrcs",
        "000002@J5/extract/a_particles.mrcs",
    )
    assert cells(look, "rlnCoordinateY")[0] == "3500"
    assert cells(look, INVERTED_Y)[0] == "500"
    at = labels(look).index("rlnCoordinateY")
    assert labels(look)[at + 1] == INVERTED_Y
    assert [c.numeric for c in look.columns[:3]] == [False, False, True]
    assert look.files == ("particles_relion.star", "cleaned_particles_relion.star", "Invert.star")
    assert set(labels(look)) - {INVERTED_Y} <= set(MEANINGS)


def test_the_cells_are_the_text_of_the_file(job: Path, tmp_path: Path) -> None:
    from core.jobs.base import execute
    from core.jobs.rundir import create
    from core.jobs.table import job_params

    params = job_params("cs2star").parse({"project": str(job), "output": str(tmp_path / "out")})
    assert execute(create("cs2star", params, tmp_path / "runs")) == 0
    text = (tmp_path / "out" / "class1" / "particles_relion.star").read_text().split("data_particles")[1]
    rows = [line.split() for line in text.splitlines() if line[:1].isdigit()]
    look = preview(job)
    own = [column for column in look.columns if column.label != INVERTED_Y]
    assert [list(row) for row in zip(*(c.cells for c in own), strict=True)] == rows[:MOST_SHOWN]
    inverted = (tmp_path / "out" / "class1" / "Invert.star").read_text().split("data_particles")[1]
    at = labels(look).index("rlnCoordinateY")
    written = [line.split()[at] for line in inverted.splitlines() if line[:1].isdigit()]
    assert list(cells(look, INVERTED_Y)) == written[:MOST_SHOWN]


def test_options_change_what_is_shown(job: Path) -> None:
    other = preview(job, options=Options(y_value=None, mirrored=True, keep_uid=True))
    assert cells(other, "rlnCoordinateY")[0] == "500"  # not turned over
    assert "rlnImageName" not in labels(other)
    assert any(text.startswith("rlnImageName") for text in other.absent)
    assert cells(other, "vitreousCryosparcUid")[0] == str(10**15)
    taller = preview(job, options=Options(y_value=HEIGHT + 10))
    assert cells(taller, INVERTED_Y)[0] == "510"
    assert any("4010 px" in text for text in taller.warnings)
    old = preview(job, relion="3.0")
    assert "rlnOpticsGroup" not in labels(old)
    assert {"rlnOriginX", "rlnDetectorPixelSize"} <= set(labels(old))


def test_of_a_large_dataset_few_rows_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first rows of the main file; of the passthrough as many blocks as the partners lie in."""
    rows = particles(200_000)
    save(tmp_path / "J2" / "J2_000_particles.cs", rows)
    save(tmp_path / "J2" / "J2_passthrough_particles.cs", locations(rows["uid"]))
    read: dict[str, int] = {}
    fill = cs._fill

    def counted(stream, out: np.ndarray) -> int:
        name = (out.dtype.names or ("", ""))[1]
        read[name] = read.get(name, 0) + len(out)
        return fill(stream, out)

    monkeypatch.setattr(cs, "_fill", counted)
    look = preview(tmp_path / "J2")
    assert (look.rows, look.read, look.shown) == (200_000, MOST_READ, MOST_SHOWN)
    assert look.joined[0].matched == MOST_READ
    assert read["alignments3D/pose"] == MOST_READ
    assert read["location/micrograph_path"] <= 1 << 15


def test_only_the_rows_of_some_uids_are_kept(tmp_path: Path) -> None:
    uids = np.arange(100_000, dtype=np.uint64)
    path = save(tmp_path / "a_passthrough_particles.cs", locations(uids))
    wanted = np.array([99_999, 3, 70_000, 10**9], np.uint64)
    found = read_particles(str(path), only=(wanted,))
    assert sorted(found.numbers["uid"].tolist()) == [3, 70_000, 99_999]
    assert found.n == len(found.numbers["x_fraction"]) == len(found.texts["micrograph"].which) == 3
    assert found.texts["micrograph"].values == ["J3/a.mrc"]
    assert read_particles(str(path), only=(np.array([], np.uint64),)).n == 0
    assert read_particles(str(path), only=(np.array([10**9], np.uint64),)).n == 0


def test_both_containers_give_the_same_preview(job: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "J24"
    other.mkdir(parents=True)
    rows = particles(300)
    for number in (1, 2, 3):
        (other / f"J24_{number:03d}_particles.cs").write_bytes(csdat(rows))
    (other / "J24_passthrough_particles.cs").write_bytes(csdat(locations(rows["uid"][::-1])))
    plain, packed = preview(job), preview(other)
    assert packed.columns == plain.columns
    assert packed.joined[0].matched == 300


def test_symmetry_expanded_particles_are_joined_by_where_they_come_from(tmp_path: Path) -> None:
    rows = particles(60)
    expanded = np.zeros(60, [*MAIN, ("sym_expand/src_uid", "<u8")])
    for name in rows.dtype.names or ():
        expanded[name] = rows[name]
    expanded["sym_expand/src_uid"] = np.arange(60) // 3 + 500
    save(tmp_path / "J7" / "J7_particles.cs", expanded)
    save(tmp_path / "J7" / "J7_passthrough_particles.cs", locations(np.arange(500, 520, dtype=np.uint64)))
    look = preview(tmp_path / "J7")
    assert look.joined[0].by_source
    assert look.joined[0].matched == 60


def test_particles_without_partner_are_refused_or_left_out(tmp_path: Path) -> None:
    rows = particles(MOST_READ + 500)
    save(tmp_path / "J2" / "J2_particles.cs", rows)
    save(tmp_path / "J2" / "J2_passthrough_particles.cs", locations(rows["uid"][5:]))
    with pytest.raises(InputError, match=f"5 of the first {MOST_READ} particles of J2_particles.cs"):
        preview(tmp_path / "J2")
    look = preview(tmp_path / "J2", drop_unmatched=True)
    assert look.joined[0].missing == 5
    assert cells(look, "rlnImageName")[0].startswith("000006@")


def test_the_first_of_several_jobs_is_shown(job: Path) -> None:
    save(job.parent / "J26" / "J26_particles.cs", particles(3))
    look = preview(job, count=3)
    assert look.source == job
    assert look.jobs == ("J24", "J26")
    assert look.missing == ("J25",)
    assert preview(job).jobs == ()


def test_nothing_to_convert_is_told_as_the_job_tells_it(tmp_path: Path) -> None:
    save(tmp_path / "J1" / "J1_particles.cs", particles(0))
    with pytest.raises(InputError, match="0 rows"):
        preview(tmp_path / "J1")
    with pytest.raises(InputError, match="does not exist"):
        preview(tmp_path / "J9")
    bare = np.zeros(3, [("uid", "<u8"), ("ctf/df1_A", "<f4")])
    with pytest.raises(InputError, match="neither images nor positions"):
        preview(save(tmp_path / "bare.cs", bare))
    save(tmp_path / "J2" / "J2_particles.cs", particles(9))
    with pytest.raises(InputError, match="no uid is shared"):
        preview(tmp_path / "J2", [save(tmp_path / "x.cs", locations(np.arange(9, dtype=np.uint64)))])


def test_it_stops_between_blocks_when_it_is_no_longer_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = particles(100_000)
    save(tmp_path / "J2" / "J2_particles.cs", rows)
    save(tmp_path / "J2" / "J2_passthrough_particles.cs", locations(rows["uid"][::-1]))  # partners lie at the end
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 5

    monkeypatch.setattr(previewing, "_columns", lambda _: pytest.fail("went on"))
    with pytest.raises(JobStopped):
        preview(tmp_path / "J2", cancelled=cancelled)
    assert asked == 6
    with pytest.raises(JobStopped):
        preview(tmp_path / "J9", cancelled=lambda: True)  # not even looked for


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the shared CryoSPARC datasets")
@pytest.mark.parametrize("path", sorted(DATA.glob("*.cs")), ids=lambda p: p.name)
def test_real_datasets_can_be_looked_at(path: Path) -> None:
    if path.name.startswith("s13"):
        with pytest.raises(InputError, match="0 rows"):
            preview(path)
        return
    look = preview(path)
    assert look.shown == min(look.rows, MOST_SHOWN)
    assert len({len(column.cells) for column in look.columns}) == 1
    assert set(labels(look)) - {INVERTED_Y} <= set(MEANINGS)
