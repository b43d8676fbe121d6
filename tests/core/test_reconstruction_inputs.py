"""Particles for reconstruction: what is read, in which order; every file that cannot be used is one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import AppError, InputError
from core.io.mrc import write_mrc
from core.io.star_write import write_star, write_star_tables
from core.physics.rotations import matrices
from core.reconstruction.inputs import open_particles
from core.reconstruction.sources import Given

N, BOX, PIXEL = 10, 16, 2.5


class Made:
    """Two stacks of light particles and a STAR file that names them in no order; parts can be changed and written."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        self.folder, self.path = folder, folder / "p.star"
        self.images = rng.normal(size=(N, BOX, BOX)).astype(np.float32)
        self.images[:, 4:12, 4:12] += 3
        self.order = rng.permutation(N)  # of the rows: row i is image order[i]
        self.optics: dict = {
            "rlnOpticsGroup": [1], "rlnVoltage": [300.0], "rlnSphericalAberration": [2.7],
            "rlnAmplitudeContrast": [0.1], "rlnImagePixelSize": [PIXEL],
        }  # fmt: skip
        self.columns: dict = {
            "rlnImageName": [f"{i % 5 + 1}@{'ab'[i // 5]}.mrcs" for i in self.order],
            "rlnAngleRot": rng.uniform(-180, 180, N), "rlnAngleTilt": rng.uniform(0, 180, N),
            "rlnAnglePsi": rng.uniform(-180, 180, N), "rlnOriginXAngst": rng.uniform(-9, 9, N),
            "rlnOriginYAngst": rng.uniform(-9, 9, N), "rlnDefocusU": rng.uniform(1e4, 2e4, N),
            "rlnDefocusV": rng.uniform(1e4, 2e4, N), "rlnDefocusAngle": rng.uniform(0, 180, N),
            "rlnOpticsGroup": np.ones(N, int), "rlnRandomSubset": rng.permutation(np.arange(N) % 2 + 1),
        }  # fmt: skip

    def write(self) -> Path:
        for i, name in enumerate("ab"):
            write_mrc(self.folder / f"{name}.mrcs", self.images[5 * i : 5 * i + 5], PIXEL)
        self.table()
        return self.path

    def table(self) -> Path:
        write_star_tables(self.path, {"optics": self.optics, "particles": self.columns})
        return self.path


@pytest.fixture
def made(tmp_path) -> Made:
    made = Made(tmp_path)
    made.write()
    return made


def test_rows_keep_their_image_pose_shift_and_half_whatever_the_order(made):
    particles = open_particles(made.path)
    assert (len(particles), particles.size, particles.pixel_size_a, particles.sign) == (N, BOX, PIXEL, 1.0)
    np.testing.assert_array_equal(particles.read(np.arange(N)), made.images[made.order])
    angles = np.column_stack([made.columns[f"rlnAngle{k}"] for k in ("Rot", "Tilt", "Psi")])
    np.testing.assert_allclose(particles.matrices, matrices(angles), atol=1e-7)
    np.testing.assert_allclose(particles.origins_a[:, 1], made.columns["rlnOriginYAngst"], atol=1e-6)
    np.testing.assert_array_equal(particles.half, np.array(made.columns["rlnRandomSubset"]) - 1)
    # batches come in the order of the files
    images = np.concatenate([batch.images for batch in particles.batches()])
    np.testing.assert_array_equal(images, made.images)
    (batch,) = particles.batches(rows=np.array([7, 1]))
    np.testing.assert_allclose(batch.shift_px * PIXEL, particles.origins_a[[7, 1]])


def test_batches_are_small_and_go_on_anywhere(made, monkeypatch):
    particles = open_particles(made.path)
    monkeypatch.setattr("core.reconstruction.inputs._BATCH_BYTES", 3 * 4 * BOX * BOX)
    assert [len(batch) for batch in particles.batches()] == [3, 3, 3, 1]
    rest = np.concatenate([batch.images for batch in particles.batches(first=4)])
    np.testing.assert_array_equal(rest, made.images[4:])


def test_dark_particles_are_told_from_light_ones_and_nothing_is_guessed(made):
    made.images *= -1
    assert open_particles(made.write()).sign == -1
    (batch, *_) = open_particles(made.path).batches()
    assert batch.images[:, 6:10, 6:10].mean() > 1
    made.images[:] = np.random.default_rng(1).normal(size=made.images.shape) * 1e-3 + 5
    made.images -= made.images.mean(axis=0)
    with pytest.raises(InputError, match=r"whether the particles of .* are light or dark"):
        open_particles(made.write())
    assert open_particles(made.path, contrast="dark").sign == -1


def test_without_halves_every_second_particle_is_in_the_other(made):
    del made.columns["rlnRandomSubset"]
    assert open_particles(made.table()).half.tolist() == [0, 1] * 5
    made.columns["rlnRandomSubset"] = np.ones(N, int)
    assert open_particles(made.table()).half.tolist() == [0, 1] * 5


def test_the_key_changes_with_everything_that_changes_the_statistics(made):
    keys = [open_particles(made.path).key()]
    assert keys[0] == open_particles(made.path).key()
    keys.append(open_particles(made.path, box=8).key())
    keys.append(open_particles(made.path, contrast="dark").key())
    keys.append(open_particles(made.path, given=Given(pixel_size_a=2.6)).key())
    made.optics["rlnVoltage"] = [200.0]
    keys.append(open_particles(made.table()).key())
    made.columns["rlnAngleRot"] = np.zeros(N)
    keys.append(open_particles(made.table()).key())
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("in_pixels", [False, True])
def test_a_given_pixel_size_scales_origins_in_pixels_and_leaves_those_in_angstrom(made, in_pixels):
    if in_pixels:
        for axis in "XY":
            made.columns[f"rlnOrigin{axis}"] = made.columns.pop(f"rlnOrigin{axis}Angst")
        made.table()
    said: list[str] = []
    plain = open_particles(made.path)
    given = open_particles(made.path, given=Given(pixel_size_a=3.0), told=said.append)
    np.testing.assert_allclose(given.origins_a, plain.origins_a * (3.0 / PIXEL if in_pixels else 1))
    assert (given.pixel_size_a, given.box_pixel_a) == (3.0, 3.0)
    assert said == ["p.star says 2.5 Å per pixel; --pixel-size 3 Å is used."]
    open_particles(made.path, given=Given(pixel_size_a=PIXEL), told=said.append)
    assert len(said) == 1


def test_a_wrong_or_missing_pixel_size_can_be_given(made):
    said: list[str] = []
    made.optics["rlnImagePixelSize"] = [0.0]
    with pytest.raises(InputError, match="pixel size of this particle is 0"):
        open_particles(made.table())
    assert open_particles(made.path, given=Given(pixel_size_a=3.0), told=said.append).pixel_size_a == 3.0
    assert len(said) == 1
    del made.optics["rlnImagePixelSize"]
    assert open_particles(made.table()).pixel_size_a == PIXEL  # of the stacks
    write_mrc(made.folder / "a.mrcs", made.images[:5], None)
    write_mrc(made.folder / "b.mrcs", made.images[5:], None)
    with pytest.raises(InputError, match="does not say the pixel size"):
        open_particles(made.path)
    assert open_particles(made.path, given=Given(pixel_size_a=3.0)).pixel_size_a == 3.0


# ---- what cannot be used ---------------------------------------------------------------------------------


def says(path: Path, text: str, **values) -> None:
    """Opening, or reading all, ends in one sentence with a next step."""
    with pytest.raises(AppError, match=text) as err:
        for _ in open_particles(path, **values).batches():
            pass
    assert "\n" not in err.value.message
    assert err.value.hint


def test_a_missing_stack_is_named_and_all_are_counted(made):
    (made.folder / "b.mrcs").unlink()
    says(made.path, r"names 1 image stack\(s\) that are not there, such as .*b\.mrcs")


def test_a_stack_that_is_cut_short_is_told_when_its_images_are_needed(made):
    whole = (made.folder / "b.mrcs").read_bytes()
    (made.folder / "b.mrcs").write_bytes(whole[: 1024 + 4 * BOX * BOX * 3 + 100])
    says(made.path, r"Image 4 of .*b\.mrcs is missing: the file is cut short", contrast="light")
    (made.folder / "b.mrcs").write_bytes(whole[:500])
    says(made.path, r"b\.mrcs")


@pytest.mark.filterwarnings("ignore:invalid value")  # the statistics in the header of the stack that is made
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_told_with_their_image(made, value):
    made.images[7, 3, 3] = value
    says(made.write(), r"Image 3 of .*b\.mrcs holds values that are not numbers", contrast="light")


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        (("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), "has no poses"),
        (("rlnAngleTilt",), "no column _rlnAngleTilt"),
        (("rlnDefocusU",), "does not tell the CTF of its particles: defocus missing"),
        (("rlnImageName",), "no column _rlnImageName"),
        (("rlnOriginXAngst",), "no column _rlnOriginXAngst"),
    ],
)
def test_columns_that_are_missing_are_named(made, missing, text):
    for name in missing:
        del made.columns[name]
    says(made.table(), text)


def test_without_ctf_or_optics_table_the_reader_says_what_is_missing(made):
    write_star(made.path, "particles", {k: v for k, v in made.columns.items() if k != "rlnOpticsGroup"})
    says(made.path, "voltage, spherical aberration, amplitude contrast missing")
    particles = open_particles(made.path, ignore_ctf=True)
    assert particles.optics is None
    assert next(particles.batches()).ctf is None


def test_pixel_sizes_that_differ_are_refused(made):
    made.optics = {k: v * 2 for k, v in made.optics.items()} | {"rlnOpticsGroup": [1, 2]}
    made.optics["rlnImagePixelSize"] = [2.5, 2.6]
    made.columns["rlnOpticsGroup"] = np.arange(N) % 2 + 1
    says(made.table(), "pixel sizes from 2.5 to 2.6 Å")
    made.optics["rlnImagePixelSize"] = [2.5, 2.5]
    particles = open_particles(made.table())
    assert particles.groups == 2


def test_an_image_beyond_the_stack_is_told(made):
    made.columns["rlnImageName"][4] = "6@a.mrcs"
    says(made.table(), r"names image 6 of a\.mrcs, which holds 5; 1 particles are so")
    for name in ("0@a.mrcs", "x@a.mrcs"):
        made.columns["rlnImageName"][4] = name
        says(made.table(), "is no image of a stack")


@pytest.mark.parametrize("shape", [(15, 15), (16, 18), (18, 16)])
def test_images_that_are_odd_or_not_square_are_refused(made, shape):
    write_mrc(made.folder / "b.mrcs", np.ones((5, *shape), np.float32), PIXEL)
    says(made.path, rf"b\.mrcs, named by p\.star, has images of {shape[1]} x {shape[0]} px")


def test_stacks_of_two_sizes_are_refused(made):
    write_mrc(made.folder / "b.mrcs", np.ones((5, 20, 20), np.float32), PIXEL)
    says(made.path, "have different sizes: 16 px, 20 px")


@pytest.mark.parametrize("box", [7, 6, 18, 15])
def test_a_box_that_cannot_be_made_is_refused(made, box):
    says(made.path, f"A box of {box} px cannot be made of images of 16 px", box=box)


def test_files_that_are_none(made):
    (made.folder / "empty.star").write_text("")
    (made.folder / "binary.star").write_bytes(bytes(range(256)))
    (made.folder / "text.mrcs").write_text("no image")
    for name in ("empty.star", "binary.star", "none.star"):
        says(made.folder / name, name.replace(".", r"\."))
    says(made.folder / "text.mrcs", "images alone have no poses")
    made.columns["rlnImageName"][0] = "1@text.mrcs"
    says(made.table(), r"text\.mrcs")


def test_optics_that_are_none_are_one_sentence(made):
    for name, value, text in (("rlnVoltage", 0.0, "0 kV"), ("rlnAmplitudeContrast", 1.5, "amplitude contrast 1.5")):
        before = made.optics[name]
        made.optics[name] = [value]
        says(made.table(), rf"p\.star: .*{text} .*10 particles are so")
        made.optics[name] = before
