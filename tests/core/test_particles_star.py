"""Particles for 3D work: optics joined, units and signs, dialects; and where the files of a STAR file are."""

from pathlib import Path

import numpy as np
import pytest

from core.io.particles_star import read_particles_table
from core.io.star_paths import resolve, split_image

V31 = """data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnVoltage #3
_rlnImagePixelSize #4
_rlnSphericalAberration #5
_rlnAmplitudeContrast #6
low 7 200 2.5 1.4 0.1
high 2 300 1.25 2.7 0.07

data_particles

loop_
_rlnImageName #1
_rlnOpticsGroup #2
_rlnMicrographName #3
_rlnCoordinateX #4
_rlnCoordinateY #5
_rlnAngleRot #6
_rlnAngleTilt #7
_rlnAnglePsi #8
_rlnOriginXAngst #9
_rlnOriginYAngst #10
_rlnDefocusU #11
_rlnDefocusV #12
_rlnDefocusAngle #13
_rlnPhaseShift #14
_rlnRandomSubset #15
_rlnClassNumber #16
000012@Extract/a.mrcs 2 m/a.mrc 10 20 1 2 3 -4 5 15000 14000 30 90 2 3
000001@Extract/b.mrcs 7 m/b.mrc 11 21 4 5 6 0 1 16000 15500 -60 0 1 1
"""
V30 = """data_

loop_
_rlnImageName #1
_rlnDetectorPixelSize #2
_rlnMagnification #3
_rlnVoltage #4
_rlnOriginX #5
_rlnOriginY #6
_rlnAnglePsi #7
000003@a.mrcs 5 40000 300 2 -4 15
b.mrc 5 50000 200 1 0 -15
"""


def read(tmp_path: Path, text: str):
    path = tmp_path / "p.star"
    path.write_text(text)
    return read_particles_table(path)


def test_optics_are_joined_by_group_number_not_by_row(tmp_path):
    table = read(tmp_path, V31)
    assert len(table) == 2
    assert table.pixel_size_a.tolist() == [1.25, 2.5]
    assert table.voltage_kv.tolist() == [300, 200]
    assert table.cs_mm.tolist() == [2.7, 1.4]
    assert table.amplitude_contrast.tolist() == [0.07, 0.1]
    assert table.optics_group.tolist() == [2, 7]


def test_images_poses_and_ctf_come_in_our_units(tmp_path):
    table = read(tmp_path, V31)
    assert table.image_index.tolist() == [11, 0]
    assert table.image_path.tolist() == ["Extract/a.mrcs", "Extract/b.mrcs"]
    assert table.micrograph.tolist() == ["m/a.mrc", "m/b.mrc"]
    assert table.xy.tolist() == [[10, 20], [11, 21]]
    assert table.angles_deg.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert table.origins_a.tolist() == [[-4, 5], [0, 1]]
    assert table.defocus_u_a.tolist() == [15000, 16000]
    assert table.defocus_angle_deg.tolist() == [30, -60]
    assert table.phase_shift_deg.tolist() == [90, 0]
    assert table.half.tolist() == [2, 1]
    assert table.class_number.tolist() == [3, 1]
    for values in (table.pixel_size_a, table.xy, table.angles_deg, table.origins_a, table.defocus_v_a):
        assert values.dtype == np.float64


def test_relion_30_has_its_pixel_size_in_the_magnification(tmp_path):
    table = read(tmp_path, V30)
    np.testing.assert_allclose(table.pixel_size_a, [1.25, 1.0])
    np.testing.assert_allclose(table.origins_a, [[2.5, -5.0], [1.0, 0.0]])
    assert table.angles_deg.tolist() == [[0, 0, 15], [0, 0, -15]]  # a 2D alignment
    assert table.image_index.tolist() == [2, 0]
    assert table.voltage_kv.tolist() == [300, 200]
    assert table.xy is None
    assert table.micrograph is None
    assert table.defocus_u_a is None
    assert table.half is None


def test_one_group_holds_for_particles_that_name_none(tmp_path):
    text = V31.replace("low 7 200 2.5 1.4 0.1\n", "").replace("_rlnOpticsGroup #2\n_rlnMicro", "_other #2\n_rlnMicro")
    assert read(tmp_path, text).voltage_kv.tolist() == [300, 300]


def test_one_image_that_is_named_without_a_stack():
    assert split_image("000012@a@b.mrcs") == (11, "a@b.mrcs")
    assert split_image("a.mrc") == (0, "a.mrc")
    for bad in ("0@a.mrcs", "x@a.mrcs", "@a.mrcs", "1@", "-1@a", "²@a"):
        with pytest.raises(ValueError):
            split_image(bad)


def test_paths_are_looked_for_beside_the_star_file_then_above_it(tmp_path):
    star = tmp_path / "project" / "Extract" / "job1" / "particles.star"
    star.parent.mkdir(parents=True)
    near, root = star.parent / "Movies/a.mrcs", tmp_path / "project/Movies/a.mrcs"
    for file in (near, root):
        file.parent.mkdir()
        file.touch()
    assert resolve("Movies/a.mrcs", star) == near
    near.unlink()
    assert resolve("Movies/a.mrcs", star) == root
    assert resolve("Movies\\a.mrcs", star) == root
    assert resolve(str(near), star) == near


def test_a_path_that_is_nowhere_is_placed_in_the_project(tmp_path):
    star = tmp_path / "project" / "Extract" / "p.star"
    star.parent.mkdir(parents=True)
    assert resolve("m/gone.mrc", star) == star.parent / "m/gone.mrc"
    (tmp_path / "project/default_pipeline.star").touch()
    assert resolve("m/gone.mrc", star) == tmp_path / "project/m/gone.mrc"
    for odd in ("x" * 5000, "a\0b"):
        assert resolve(odd, star) == tmp_path / "project" / odd


SHARED = Path(__file__).resolve().parents[2] / "../shared/data/particles"


@pytest.mark.skipif(not SHARED.exists(), reason="the shared example files are not here")
def test_six_optics_groups_of_a_real_file():
    table = read_particles_table(SHARED / "relion31.6opticsgroups.star")
    assert len(np.unique(table.optics_group)) == 6
    assert np.isfinite(table.pixel_size_a).all()
    assert (table.voltage_kv == 200).all()
