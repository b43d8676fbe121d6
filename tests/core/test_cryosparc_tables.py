"""What each CryoSPARC column becomes in RELION's tables, by formula; and what is left out and said."""

from __future__ import annotations

from pathlib import Path

import cs_files
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from core.cryosparc import names, outputs, single_table
from core.cryosparc.particles import read_particles
from core.cryosparc.poses import to_euler, wrapped
from core.cryosparc.tables import Options, Tables, convert
from core.io.star_write import Texts


def tables_of(rows: np.ndarray, folder: Path, **options) -> Tables:
    return convert(read_particles(cs_files.save(folder / "particles.cs", rows)), Options(**options))


def sorted_rows(rows: np.ndarray) -> np.ndarray:
    """By stack and image number; the stacks' names in natural order (mic9 before mic10)."""
    numbers = [int(path.decode().partition("mic")[2].partition("_")[0]) for path in rows["blob/path"]]
    return rows[np.lexsort((rows["blob/idx"], numbers))]


def texts(column: Texts) -> list[str]:
    head = [""] * len(column) if column.numbers is None else [f"{n:06d}@" for n in column.numbers]
    return [h + column.values[w] for h, w in zip(head, column.which, strict=True)]


# ---- poses ----------------------------------------------------------------------------------------------


def relion_matrix(rot: np.ndarray, tilt: np.ndarray, psi: np.ndarray) -> np.ndarray:
    """RELION's matrix: what it multiplies coordinates of the map with to get those of the image."""
    return Rotation.from_euler("ZYZ", np.stack([rot, tilt, psi], 1), degrees=True).as_matrix().transpose(0, 2, 1)


def angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Degrees between rotations; by the chord, which is exact for small angles."""
    return np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(a - b, axis=(1, 2)) / np.sqrt(8), 0, 1)))


SPECIAL = np.array(
    [
        [0, 0, 0],
        [np.pi, 0, 0],
        [0, np.pi, 0],
        [0, 0, np.pi],
        [0, 0, 4.0],
        [0, 2 * np.pi, 0],
        [1e-20, 0, 0],
        [0, 0, 1e-20],
        [3e-10, 0, 2],
        [1e-5, 2e-5, -1],
        [np.pi * np.cos(0.3), np.pi * np.sin(0.3), 0],
        [0, np.pi - 1e-7, 1e-7],
    ]
)


def test_euler_angles_are_those_of_the_rotation_vector_after_printing():
    pose = np.concatenate([SPECIAL, np.random.default_rng(1).normal(0, 2, (20_000, 3))])
    printed = [np.round(angle, 6) for angle in to_euler(pose)]
    exact = Rotation.from_rotvec(pose).as_matrix().transpose(0, 2, 1)
    assert angle_between(relion_matrix(*printed), exact).max() < 1e-5
    assert (printed[1] >= 0).all()
    assert (printed[1] <= 180).all()


@given(st.floats(-1e6, 1e6))
def test_wrapped_angles(angle):
    inside = float(wrapped(np.array([angle]))[0])
    assert -180 < inside <= 180
    assert abs(np.sin(np.radians(angle - inside) / 2)) < 1e-7


def test_flat_poses_have_no_rot():
    rot, tilt, psi = to_euler(np.array([[0, 0, 1.0], [np.pi, 0, 0]]))
    assert rot.tolist() == [0, 0]
    np.testing.assert_allclose(tilt, [0, 180])
    assert psi[0] == pytest.approx(np.degrees(1.0))


# ---- the field table ------------------------------------------------------------------------------------


def test_every_column_by_its_formula(tmp_path):
    rows = cs_files.particles(12)
    tables, rows = tables_of(rows, tmp_path), sorted_rows(rows)
    c = tables.particles
    assert texts(c["rlnImageName"]) == [
        f"{i + 1:06d}@{p.decode().removeprefix('>')}" for i, p in zip(rows["blob/idx"], rows["blob/path"], strict=True)
    ]
    assert texts(c["rlnMicrographName"]) == [p.decode() for p in rows["location/micrograph_path"]]
    expected = {
        "rlnCoordinateX": rows["location/center_x_frac"].astype(float) * cs_files.NX,
        "rlnCoordinateY": (1 - rows["location/center_y_frac"].astype(float)) * cs_files.NY,
        "rlnOriginXAngst": rows["alignments3D/shift"][:, 0] * 2.5,
        "rlnOriginYAngst": rows["alignments3D/shift"][:, 1] * 2.5,
        "rlnDefocusU": rows["ctf/df1_A"],
        "rlnDefocusV": rows["ctf/df2_A"],
        "rlnDefocusAngle": np.degrees(rows["ctf/df_angle_rad"]),
        "rlnPhaseShift": np.degrees(rows["ctf/phase_shift_rad"]),
        "rlnRandomSubset": rows["alignments3D/split"] + 1,
        "rlnClassNumber": rows["alignments3D/class"] + 1,
        "rlnOpticsGroup": np.ones(12),
    }
    for label, values in expected.items():
        np.testing.assert_allclose(c[label], values, rtol=1e-6, atol=1e-6, err_msg=label)
    np.testing.assert_allclose(tables.inverted_y, rows["location/center_y_frac"] * float(cs_files.NY), atol=1e-3)
    assert tables.optics == {
        "rlnVoltage": [300],
        "rlnImagePixelSize": [2.5],
        "rlnSphericalAberration": [pytest.approx(2.7)],
        "rlnAmplitudeContrast": [pytest.approx(0.1)],
        "rlnOpticsGroup": [1],
        "rlnImageSize": [180],
        "rlnImageDimensionality": [2],
        "rlnOpticsGroupName": ["opticsGroup1"],
    }
    assert tables.dropped == {}
    assert tables.absent == []


def test_shifts_are_in_pixels_of_the_alignment(tmp_path):
    """A refinement that reduced the images has larger pixels than the images."""
    rows = cs_files.particles(9, alignments3D__psize_A=np.full(9, 2.5 * 180 / 128, np.float32))
    c, rows = tables_of(rows, tmp_path).particles, sorted_rows(rows)
    np.testing.assert_allclose(c["rlnOriginXAngst"], rows["alignments3D/shift"][:, 0] * 2.5 * 180 / 128, atol=1e-3)


def test_alignments_without_a_pixel_size_fall_back_with_a_word(tmp_path):
    rows = cs_files.particles(9, alignments3D__psize_A=None)
    tables, rows = tables_of(rows, tmp_path), sorted_rows(rows)
    np.testing.assert_allclose(tables.particles["rlnOriginYAngst"], rows["alignments3D/shift"][:, 1] * 2.5, rtol=1e-5)
    assert any("do not say their pixel size" in text for text in tables.warnings)
    bare = tables_of(cs_files.particles(9, alignments3D__psize_A=None, blob__psize_A=None), tmp_path)
    assert "rlnOriginXAngst" not in bare.particles
    assert any("no pixel size" in text for text in bare.absent)


def classes_44(posterior: np.ndarray, rng) -> dict[str, np.ndarray]:
    """alignments_class_0, _1, ...: CryoSPARC up to 4.4."""
    n = len(posterior)
    columns: dict[str, np.ndarray] = {}
    for k in range(posterior.shape[1]):
        columns |= {
            f"alignments_class_{k}/pose": rng.normal(size=(n, 3)).astype("f4"),
            f"alignments_class_{k}/shift": rng.normal(size=(n, 2)).astype("f4"),
            f"alignments_class_{k}/psize_A": np.full(n, 2.5, "f4"),
            f"alignments_class_{k}/class_posterior": posterior[:, k],
            f"alignments_class_{k}/split": (np.arange(n) % 2).astype("u4"),
        }
    return columns


@pytest.mark.parametrize("layout", ["4.4", "4.5"])
@pytest.mark.parametrize("also_2d", [False, True])
def test_of_several_classes_the_most_probable_counts(tmp_path, layout, also_2d):
    rng, n, k = np.random.default_rng(4), 30, 3
    posterior = rng.dirichlet(np.ones(k), n).astype("f4")
    old = classes_44(posterior, rng)
    poses = np.stack([old[f"alignments_class_{i}/pose"] for i in range(k)], 1)
    shifts = np.stack([old[f"alignments_class_{i}/shift"] for i in range(k)], 1)
    new = {
        "alignments3D_multi/pose": poses,
        "alignments3D_multi/shift": shifts,
        "alignments3D_multi/class_posterior": posterior,
        "alignments3D_multi/psize_A": np.full(n, 2.5, "f4"),
        "alignments3D_multi/split": (np.arange(n) % 2).astype("u4"),
    }
    flat = {"alignments2D/pose": np.ones(n, "f4"), "alignments2D/shift": np.ones((n, 2), "f4")}
    base = {f"alignments3D__{key}": None for key in ("pose", "shift", "psize_A", "split", "class")}
    rows = cs_files.particles(n, **base, **(old if layout == "4.4" else new), **(flat if also_2d else {}))
    found = read_particles(cs_files.save(tmp_path / "c.cs", rows))
    best = posterior.argmax(1)
    assert found.classes == k
    np.testing.assert_array_equal(found.numbers["align_pose"], poses[np.arange(n), best])
    np.testing.assert_array_equal(found.numbers["align_shift"], shifts[np.arange(n), best])
    np.testing.assert_array_equal(found.numbers["align_class"], best)
    tables = convert(found, Options())
    assert sorted(tables.particles["rlnClassNumber"]) == sorted(best + 1)
    np.testing.assert_allclose(sorted(tables.particles["rlnMaxValueProbDistribution"]), sorted(posterior.max(1)))
    assert any("most probable of its 3 classes" in text for text in tables.warnings)


def test_two_dimensional_alignments_are_written_with_a_warning(tmp_path):
    base = {f"alignments3D__{key}": None for key in ("pose", "shift", "psize_A", "split", "class")}
    flat = {
        "alignments2D/pose": np.array([0.5, 6.0, -3.0], "f4"),
        "alignments2D/shift": np.array([[1, 2], [3, 4], [5, 6]], "f4"),
        "alignments2D/psize_A": np.full(3, 5.0, "f4"),
        "alignments2D/class": np.array([0, 4, 2], "u4"),
    }
    tables = tables_of(cs_files.particles(3, **base, **flat), tmp_path)
    c = tables.particles
    np.testing.assert_allclose(c["rlnAnglePsi"], np.degrees([0.5, 6.0 - 2 * np.pi, -3.0]), rtol=1e-5)
    np.testing.assert_allclose(c["rlnOriginXAngst"], [5, 15, 25])
    assert list(c["rlnClassNumber"]) == [1, 5, 3]
    assert "rlnAngleRot" not in c
    assert any("2D classification" in text for text in tables.warnings)


def test_optics_groups_are_numbered_without_gaps_and_keep_their_name(tmp_path):
    groups = np.array([7, 0, 3, 3, 0, 7, 7, 0, 3], np.uint32)
    rows = cs_files.particles(9, ctf__exp_group_id=groups, ctf__accel_kv=np.where(groups == 7, 200, 300).astype("f4"))
    tables, rows = tables_of(rows, tmp_path), sorted_rows(rows)
    assert tables.optics["rlnOpticsGroup"] == [1, 2, 3]
    assert tables.optics["rlnOpticsGroupName"] == ["opticsGroup1", "opticsGroup4", "opticsGroup8"]
    assert tables.optics["rlnVoltage"] == [300, 300, 200]
    assert list(tables.particles["rlnOpticsGroup"]) == [{0: 1, 3: 2, 7: 3}[g] for g in rows["ctf/exp_group_id"]]


def test_one_exposure_group_with_two_pixel_sizes_becomes_two(tmp_path):
    sizes = np.where(np.arange(12) % 2, 1.25, 2.5).astype("f4")
    tables = tables_of(cs_files.particles(12, blob__psize_A=sizes), tmp_path)
    assert sorted(tables.optics["rlnImagePixelSize"]) == [1.25, 2.5]
    assert tables.optics["rlnOpticsGroupName"] == ["opticsGroup1", "opticsGroup1_2"]
    size = np.array(tables.optics["rlnImagePixelSize"])[np.asarray(tables.particles["rlnOpticsGroup"]) - 1]
    assert sorted(size) == sorted(sizes)
    assert any("1 more group(s)" in text for text in tables.warnings)


def test_aberrations(tmp_path):
    n = 6
    some = {
        "ctf/tilt_A": np.tile(np.array([270.0, -540.0], "f4"), (n, 1)),
        "ctf/anisomag": np.tile(np.array([0.002, -0.001, 0.0005, -0.003], "f4"), (n, 1)),
        "ctf/trefoil_A": np.ones((n, 2), "f4"),
        "ctf/tetra_A": np.ones((n, 4), "f4"),
        "ctf/shift_A": np.ones((n, 2), "f4"),
        "ctf/scale": np.full(n, 0.9, "f4"),
        "ctf/bfactor": np.full(n, 12.5, "f4"),
    }
    tables = tables_of(cs_files.particles(n, **some), tmp_path)
    # tilt_A is Cs times the tilt: 270 Å at 2.7 mm are 0.01 mrad
    assert tables.optics["rlnBeamTiltX"] == [pytest.approx(1e3 * np.arcsin(270 / 2.7e7))]
    assert tables.optics["rlnBeamTiltY"] == [pytest.approx(-2e-2, rel=1e-4)]
    matrix = [tables.optics[f"rlnMagMat{i}{j}"][0] for i in range(2) for j in range(2)]
    np.testing.assert_allclose(matrix, [1.002, -0.001, 0.0005, 0.997], rtol=1e-6)
    np.testing.assert_allclose(tables.particles["rlnCtfScalefactor"], 0.9, rtol=1e-6)
    np.testing.assert_allclose(tables.particles["rlnCtfBfactor"], 12.5)
    said = " ".join(tables.warnings)
    for word in ("Trefoil", "Tetrafoil", "shift of the CTF", "Beam tilt was written", "magnification was written"):
        assert word in said
    none = {name: np.zeros_like(values) for name, values in some.items()} | {"ctf/scale": np.ones(n, "f4")}
    plain = tables_of(cs_files.particles(n, **none), tmp_path)
    assert not {"rlnBeamTiltX", "rlnMagMat00"} & set(plain.optics)
    assert "rlnCtfScalefactor" not in plain.particles
    assert plain.warnings == []


def test_filaments(tmp_path):
    n = 6
    some = {
        "filament/filament_uid": np.array([2**63 + 5, 9, 2**63 + 5, 9, 77, 77], "u8"),
        "filament/position_A": np.array([10, 0, 30, 5, 100, 90], "f4"),
        "filament/filament_pose": np.ones(n, "f4"),
        "blob/path": np.array([b"a.mrcs"] * 4 + [b"b.mrcs"] * 2),
        "blob/idx": np.arange(n, dtype="u4"),
        "location/micrograph_path": np.array([b"a.mrc"] * 4 + [b"b.mrc"] * 2),
    }
    tables = tables_of(cs_files.particles(n, **some), tmp_path)
    assert list(tables.particles["rlnHelicalTubeID"]) == [1, 2, 1, 2, 1, 1]
    assert list(tables.particles["rlnHelicalTrackLengthAngst"]) == [0, 0, 20, 5, 10, 0]
    assert "rlnAnglePsiPrior" not in tables.particles
    assert any("rlnAnglePsiPrior" in text for text in tables.warnings)


def test_scores_and_pixel_sizes_of_micrographs(tmp_path):
    n = 4
    some = {
        "pick_stats/ncc_score": np.linspace(0.1, 0.4, n).astype("f4"),
        "ctf/cross_corr_ctffind4": np.full(n, 0.2, "f4"),
        "ctf/ctf_fit_to_A": np.full(n, 3.5, "f4"),
        "location/micrograph_psize_A": np.full(n, 0.5, "f4"),
        "micrograph_blob/path": np.array([b"other.mrc"] * n),
        "blob/idx": np.arange(n, dtype="u4"),
        "blob/path": np.array([b"a.mrcs"] * n),
    }
    tables = tables_of(cs_files.particles(n, **some), tmp_path)
    np.testing.assert_allclose(tables.particles["rlnAutopickFigureOfMerit"], [0.1, 0.2, 0.3, 0.4], rtol=1e-6)
    np.testing.assert_allclose(tables.particles["rlnCtfFigureOfMerit"], 0.2)
    np.testing.assert_allclose(tables.particles["rlnCtfMaxResolution"], 3.5)
    assert tables.optics["rlnMicrographPixelSize"] == [0.5]
    # the location wins when both name a micrograph
    assert all("motioncorrected" in name for name in texts(tables.particles["rlnMicrographName"]))


def test_picks_alone(tmp_path):
    rows = cs_files.only(cs_files.particles(7), "location/")
    tables = tables_of(rows, tmp_path)
    assert {"rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY", "rlnOpticsGroup"} <= set(tables.particles)
    assert any("rlnImageName" in text for text in tables.absent)
    assert any("rlnVoltage" in text for text in tables.warnings)


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({"location__micrograph_shape": None}, "size of the micrographs"),
        ({"location__micrograph_shape": np.zeros((6, 2), "u4")}, "size of the micrographs"),
        ({"location__center_x_frac": None}, "location/center_x_frac"),
        ({"ctf__df1_A": None}, "no CTF"),
        ({"alignments3D__pose": None}, "no alignments"),
        ({"location__micrograph_path": None}, "location/micrograph_path"),
        ({"blob__path": None}, "blob/path"),
        ({"alignments3D__split": np.ones(6, "u4")}, "one half"),
    ],
)
def test_what_is_missing_is_said_and_the_rest_written(tmp_path, columns, word):
    tables = tables_of(cs_files.particles(6, **columns), tmp_path)
    assert any(word in text for text in tables.absent)
    assert tables.n == 6
    assert len(tables.particles) >= 10


def test_rows_without_numbers_are_left_out_and_counted(tmp_path):
    rows = cs_files.particles(12)
    rows["alignments3D/pose"][2, 1] = np.nan
    rows["ctf/df1_A"][[2, 5]] = np.inf
    rows["location/center_x_frac"][7] = np.nan
    tables = tables_of(rows, tmp_path)
    assert tables.n == 9
    assert sum(tables.dropped.values()) == 3
    assert len(tables.dropped) == 3
    assert all(np.isfinite(v).all() for v in tables.particles.values() if isinstance(v, np.ndarray))


def test_positions_outside_are_counted(tmp_path):
    rows = cs_files.particles(12)
    rows["location/center_x_frac"][3] = 1.25
    rows["location/micrograph_shape"][4] = 0
    said = " ".join(tables_of(rows, tmp_path).warnings)
    assert "1 positions lie outside" in said
    assert "1 particles have no micrograph size" in said


def test_a_typed_height_that_differs_is_used_and_told(tmp_path):
    tables = tables_of(cs_files.particles(6), tmp_path, y_value=4000)
    np.testing.assert_allclose(tables.inverted_y, 4000 - np.asarray(tables.particles["rlnCoordinateY"]), atol=1e-6)
    assert any("4000" in text and "4092" in text for text in tables.warnings)
    assert tables_of(cs_files.particles(6), tmp_path, y_value=cs_files.NY).warnings == []


# ---- micrographs upside-down ----------------------------------------------------------------------------


def test_upside_down_micrographs_show_the_mirrored_particle(tmp_path):
    """Points of one map, projected by both tables: y changes its sign, as in an image turned upside-down."""
    some = {"ctf/tilt_A": [100.0, 300.0], "ctf/anisomag": [0.01, 0.02, 0.03, 0.04]}
    rows = cs_files.particles(12, **{k: np.tile(np.array(v, "f4"), (12, 1)) for k, v in some.items()})
    straight, mirrored = tables_of(rows, tmp_path), tables_of(rows, tmp_path, mirrored=True)
    points = np.random.default_rng(2).normal(size=(3, 50))
    angles = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
    here = relion_matrix(*[np.asarray(straight.particles[a]) for a in angles]) @ points
    there = relion_matrix(*[np.asarray(mirrored.particles[a]) for a in angles]) @ points
    np.testing.assert_allclose(there[:, 0], here[:, 0], atol=1e-9)
    np.testing.assert_allclose(there[:, 1], -here[:, 1], atol=1e-9)
    for label, sign in (("rlnOriginXAngst", 1), ("rlnOriginYAngst", -1), ("rlnDefocusAngle", -1), ("rlnDefocusU", 1)):
        np.testing.assert_allclose(mirrored.particles[label], sign * np.asarray(straight.particles[label]))
    np.testing.assert_allclose(mirrored.particles["rlnCoordinateY"], straight.inverted_y, atol=1e-6)
    np.testing.assert_allclose(mirrored.inverted_y, straight.particles["rlnCoordinateY"], atol=1e-6)
    assert mirrored.optics["rlnBeamTiltY"] == [pytest.approx(-straight.optics["rlnBeamTiltY"][0])]
    turn = np.diag([1.0, -1.0])
    straight_matrix, mirrored_matrix = (
        np.array([t.optics[f"rlnMagMat{i}{j}"][0] for i in range(2) for j in range(2)]).reshape(2, 2)
        for t in (straight, mirrored)
    )
    np.testing.assert_allclose(mirrored_matrix, turn @ straight_matrix @ turn)
    # the stacks are not upside-down, so they must not be named beside such poses
    assert "rlnImageName" not in mirrored.particles
    assert any("extract the particles again" in text for text in mirrored.absent)


# ---- names, order, the old form -------------------------------------------------------------------------


def test_export_marks_go_only_where_they_lead(tmp_path):
    paths = np.array([b">J1/a.mrcs", b"J2/b>c.mrcs", b">J1/>d.mrcs"])
    rows = cs_files.particles(3, blob__path=paths, blob__idx=np.zeros(3, "u4"))
    found = texts(tables_of(rows, tmp_path).particles["rlnImageName"])
    assert sorted(found) == ["000001@J1/>d.mrcs", "000001@J1/a.mrcs", "000001@J2/b>c.mrcs"]


def test_uids_come_off_names_and_nothing_else_does():
    uid = cs_files.UID
    paths = [f"J1/{uid}a.mrc", f"J1/{uid}{uid}b.mrc", "J1/20150917_05196_c.mrc", f"{uid}J1/d.mrc", f"J1/{uid}"]
    short, kept = names.cleaned(paths)
    assert short == ["J1/a.mrc", "J1/b.mrc", "J1/20150917_05196_c.mrc", f"{uid}J1/d.mrc", f"J1/{uid}"]
    assert kept == 0


def test_names_that_would_collide_keep_their_uid(tmp_path):
    paths = [f"J1/{cs_files.UID}a.mrc", "J1/000000000000000000001_a.mrc", f"J1/{cs_files.UID}b.mrc"]
    short, kept = names.cleaned(paths)
    assert short == [paths[0], paths[1], "J1/b.mrc"]
    assert kept == 2
    rows = cs_files.particles(3, blob__path=np.array([p.encode() for p in paths]), blob__idx=np.zeros(3, "u4"))
    files, kept = outputs.variants(tables_of(rows, tmp_path))
    assert kept == 2
    assert len(set(texts(files[outputs.CLEANED]["rlnImageName"]))) == 3


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), min_size=1, max_size=30, unique=True))
def test_rows_are_sorted_by_stack_and_number(tmp_path_factory, places):
    n = len(places)
    rows = cs_files.particles(
        n,
        blob__path=np.array([f"J1/mic{m}.mrcs".encode() for m, _ in places]),
        blob__idx=np.array([i for _, i in places], "u4"),
    )
    c = tables_of(rows, tmp_path_factory.mktemp("s")).particles
    assert texts(c["rlnImageName"]) == [f"{i + 1:06d}@J1/mic{m}.mrcs" for m, i in sorted(places)]
    by_name = {f"{r['blob/idx'] + 1:06d}@{r['blob/path'].decode()}": r["ctf/df1_A"] for r in rows}
    np.testing.assert_array_equal(c["rlnDefocusU"], [by_name[name] for name in texts(c["rlnImageName"])])


def test_the_uid_can_be_kept(tmp_path):
    rows = cs_files.particles(6)
    tables, rows = tables_of(rows, tmp_path, keep_uid=True), sorted_rows(rows)
    assert list(tables.particles["vitreousCryosparcUid"]) == list(rows["uid"])


def test_the_one_table_of_old_relion(tmp_path):
    rows = cs_files.particles(6, alignments3D__psize_A=np.full(6, 5.0, "f4"))
    tables, rows = tables_of(rows, tmp_path), sorted_rows(rows)
    single_table.join_optics(tables)
    c = tables.particles
    assert tables.optics == {}
    assert "rlnOpticsGroup" not in c
    np.testing.assert_allclose(c["rlnOriginX"], rows["alignments3D/shift"][:, 0] * 2, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(c["rlnDetectorPixelSize"]) * 1e4 / np.asarray(c["rlnMagnification"]), 2.5)
    np.testing.assert_allclose(c["rlnVoltage"], 300)


# ---- values without sense -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf])
def test_pixel_sizes_without_sense_are_not_passed_on(tmp_path, value):
    bad = np.full(6, value, "f4")
    tables = tables_of(cs_files.particles(6, blob__psize_A=bad, alignments3D__psize_A=bad), tmp_path)
    assert tables.n == 6
    assert "rlnImagePixelSize" not in tables.optics
    assert "rlnOriginXAngst" not in tables.particles
    assert any("pixel size in the dataset is 0 or no number" in text for text in tables.warnings)
    some = np.where(np.arange(6) == 2, value, 2.5).astype("f4")
    tables = tables_of(cs_files.particles(6, blob__psize_A=some), tmp_path)
    assert tables.n == 5
    assert tables.optics["rlnImagePixelSize"] == [2.5]
    assert tables.dropped == {"pixel size is 0 or no number": 1}


def test_unsigned_minus_one_means_none(tmp_path):
    none = np.where(np.arange(6) == 1, 2**32 - 1, 2).astype("u4")
    tables = tables_of(cs_files.particles(6, alignments3D__class=none, blob__idx=none), tmp_path)
    assert tables.n == 5
    assert tables.dropped == {"no image is named": 1}
    rows = cs_files.particles(6, alignments3D__class=none, ctf__exp_group_id=none)
    tables = tables_of(rows, tmp_path)
    assert sorted(tables.particles["rlnClassNumber"]) == [0, 3, 3, 3, 3, 3]
    assert tables.optics["rlnOpticsGroupName"] == ["opticsGroup0", "opticsGroup3"]
    assert any("1 particles have no class" in text for text in tables.warnings)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("location/center_x_frac", np.zeros((6, 1), "f4")),
        ("blob/psize_A", np.ones((6, 2), "f4")),
        ("ctf/tilt_A", np.ones(6, "f4")),
        ("ctf/accel_kv", np.ones(6, "c8")),
        ("alignments3D/split", np.ones((6, 2), "u4")),
        ("alignments3D/psize_A", np.ones((6, 3), "f4")),
        ("alignments3D/pose", np.ones((6, 4), "f4")),
    ],
)
def test_columns_of_another_shape_or_type_are_as_good_as_absent(tmp_path, name, values):
    tables = tables_of(cs_files.particles(6, **{name: values}), tmp_path)
    assert tables.n == 6
    assert "rlnDefocusU" in tables.particles
