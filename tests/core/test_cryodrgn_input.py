"""cryoDRGN's poses, CTF and selections: conventions beside a STAR file, every refusal, and pickles that run nothing."""

from __future__ import annotations

import os
import pickle
import pickletools
import struct
import subprocess
import sys
import tracemalloc
from dataclasses import fields
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from core.errors import InputError, ParamError
from core.io.cryodrgn import read_ctf, read_poses, read_selection
from core.io.mrc import write_mrc
from core.io.plain_pickle import read_pickle
from core.io.star_write import write_star_tables
from core.physics.rotations import angles, random_rotations
from core.reconstruction.inputs import open_particles
from core.reconstruction.sources import Given, list_particles

N, BOX, PIXEL = 12, 16, 3.0
SHARED = Path(__file__).resolve().parents[3] / "shared/bench/het_benchmark.py"


def pickled(path: Path, values, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(values, protocol))
    return path


class Made:
    """The same particles as a STAR file, and as a stack with cryoDRGN's poses and CTF."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(3)
        self.folder, self.stack, self.star = folder, folder / "p.mrcs", folder / "p.star"
        self.rotations = random_rotations(N, rng)
        shifts_px = rng.uniform(-3, 3, (N, 2))  # where the particles lie off the middle
        u, v, angle = rng.uniform(8e3, 2e4, N), rng.uniform(8e3, 2e4, N), rng.uniform(0, 180, N)
        images = rng.normal(size=(N, BOX, BOX)).astype(np.float32)
        images[:, 4:12, 4:12] += 2
        write_mrc(self.stack, images, PIXEL)
        self.translations = (-shifts_px / BOX).astype(np.float32)
        self.table = np.stack(
            [np.full(N, BOX), np.full(N, PIXEL), u, v, angle, np.full(N, 200.0), np.full(N, 1.4), np.full(N, 0.07),
             np.full(N, 30.0)], axis=1,
        ).astype(np.float32)  # fmt: skip
        self.poses = pickled(folder / "poses.pkl", (self.rotations.astype(np.float32), self.translations))
        self.ctf = pickled(folder / "ctf.pkl", self.table)
        rot, tilt, psi = angles(self.rotations).T
        particles = {
            "rlnImageName": [f"{i + 1:06d}@p.mrcs" for i in range(N)],
            "rlnAngleRot": rot, "rlnAngleTilt": tilt, "rlnAnglePsi": psi,
            "rlnOriginXAngst": -shifts_px[:, 0] * PIXEL, "rlnOriginYAngst": -shifts_px[:, 1] * PIXEL,
            "rlnDefocusU": u, "rlnDefocusV": v, "rlnDefocusAngle": angle, "rlnPhaseShift": np.full(N, 30.0),
            "rlnOpticsGroup": np.ones(N, int),
        }  # fmt: skip
        optics = {
            "rlnOpticsGroup": [1], "rlnVoltage": [200.0], "rlnSphericalAberration": [1.4],
            "rlnAmplitudeContrast": [0.07], "rlnImagePixelSize": [PIXEL],
        }  # fmt: skip
        write_star_tables(self.star, {"optics": optics, "particles": particles})

    @property
    def given(self) -> Given:
        return Given(self.poses, self.ctf)


@pytest.fixture
def made(tmp_path) -> Made:
    return Made(tmp_path)


def assert_same_particles(one, other, ctf: float = 1e-4) -> None:
    np.testing.assert_allclose(one.matrices, other.matrices, atol=2e-6)
    np.testing.assert_allclose(one.origins_a, other.origins_a, atol=1e-4)
    assert (one.sign, one.size, one.pixel_size_a) == (other.sign, other.size, pytest.approx(other.pixel_size_a))
    for first, second in zip(one.batches(), other.batches(), strict=True):
        np.testing.assert_array_equal(first.images, second.images)
        np.testing.assert_allclose(first.ctf, second.ctf, atol=ctf)
        np.testing.assert_allclose(first.shift_px, second.shift_px, atol=1e-4)


def test_both_ways_give_the_same_matrices_shifts_and_ctf(made):
    assert_same_particles(open_particles(made.star), open_particles(made.stack, given=made.given))


def test_rows_of_the_rotation_are_the_axes_of_the_image_in_the_map(made):
    # cryoDRGN turns the grid of an image into the map by (kx, ky, 0) @ rotation: A^T k, as the slice of RELION's A
    found = open_particles(made.stack, given=made.given).matrices
    k = np.array([0.3, -0.2, 0.0])
    np.testing.assert_allclose(np.einsum("nij,i->nj", found, k), k @ made.rotations, atol=1e-6)


def test_npy_and_poses_without_translations_and_lists_of_stacks_are_read(made):
    np.save(made.folder / "rot.npy", made.rotations)
    np.save(made.folder / "ctf.npy", made.table)
    (made.folder / "all.txt").write_text("p.mrcs\n\np.mrcs\n", encoding="utf-8")
    poses = pickled(made.folder / "two.pkl", np.concatenate([made.rotations] * 2))
    ctf = pickled(made.folder / "two_ctf.pkl", np.concatenate([made.table] * 2))
    plain = list_particles(made.stack, Given(made.folder / "rot.npy", made.folder / "ctf.npy"))
    np.testing.assert_allclose(plain.matrices, made.rotations)
    assert not plain.origins_a.any()
    both = list_particles(made.folder / "all.txt", Given(poses, ctf))
    assert both.place.tolist() == [*range(N), *range(N)]
    assert both.which.tolist() == [0] * N + [1] * N


def test_a_selection_takes_rows_and_is_checked(made):
    whole = list_particles(made.stack, made.given)
    ind = pickled(made.folder / "ind.pkl", np.array([7, 2, 2, 5]))
    some = list_particles(made.stack, Given(made.poses, made.ctf, ind))
    assert some.place.tolist() == [2, 5, 7]
    np.testing.assert_array_equal(some.origins_a, whole.origins_a[[2, 5, 7]])
    assert some.optics is not None
    assert whole.optics is not None
    np.testing.assert_array_equal(some.optics.defocus_u_a, whole.optics.defocus_u_a[[2, 5, 7]])
    assert len(list_particles(made.star, Given(indices=ind))) == 3
    for values, says in ((np.array([N]), f"asks for particle {N}"), (np.array([], int), "no particles")):
        with pytest.raises(InputError, match=says):
            list_particles(made.stack, Given(made.poses, made.ctf, pickled(ind, values)))


def test_a_ctf_of_larger_images_is_scaled_as_cryodrgn_does_and_told(made):
    table = made.table.copy()
    table[:, 0], table[:, 1] = 2 * BOX, PIXEL / 2
    said: list[str] = []
    given = Given(made.poses, pickled(made.folder / "large.pkl", table))
    listed = list_particles(made.stack, given, told=said.append)
    assert listed.pixel_size_a == pytest.approx(PIXEL)
    assert "large.pkl is of images of 32 px, p.mrcs has 16 px" in said[0]
    table[:, 1] = PIXEL
    pickled(made.folder / "large.pkl", table)
    with pytest.raises(InputError, match="do not show the same field"):
        list_particles(made.stack, given)


def test_a_given_pixel_size_counts_and_the_shifts_follow_the_box(made):
    said: list[str] = []
    listed = list_particles(made.stack, Given(made.poses, made.ctf, pixel_size_a=3.3), told=said.append)
    assert listed.pixel_size_a == 3.3
    np.testing.assert_allclose(listed.origins_a, made.translations * BOX * 3.3, rtol=1e-6)
    assert said == ["ctf.pkl says 3 Å per pixel; --pixel-size 3.3 Å is used."]


def test_what_is_missing_or_too_much_is_said(made):
    for path, values, says in (
        (made.stack, Given(), "images alone have no poses"),
        (made.stack, Given(made.poses), "Nothing tells the CTF"),
        (made.star, Given(made.poses), "--poses belongs to a stack"),
        (made.star, Given(ctf=made.ctf), "--ctf belongs to a stack"),
    ):
        with pytest.raises((InputError, ParamError), match=says):
            list_particles(path, values)
    assert list_particles(made.stack, Given(made.poses), ignore_ctf=True).optics is None
    (made.folder / "none.txt").write_text("\n", encoding="utf-8")
    (made.folder / "gone.txt").write_text("nowhere.mrcs\n", encoding="utf-8")
    for name, says in (("none.txt", "names no stacks"), ("gone.txt", "are not there, such as")):
        with pytest.raises(InputError, match=says):
            list_particles(made.folder / name, made.given)


EYE = np.eye(3)[None].repeat(4, 0)
MIRROR = EYE * np.array([1, 1, -1.0])


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.zeros((4, 3)), r"holds 4 x 3 numbers, not rotations \(N, 3, 3\)"),
        (np.zeros((4, 3, 4)), "holds 4 x 3 x 4 numbers"),
        ("text", "holds a str"),
        ((EYE, EYE, EYE), "holds a tuple of 3"),
        ({"rot": EYE}, "holds a dict"),
        (np.zeros((0, 3, 3)), "it has no rows"),
        (np.concatenate([EYE, MIRROR]), "4 of 8 matrices are reflections .* first in row 4"),
        (EYE * 1.1, "4 of 4 matrices are no rotations"),
        (np.where(np.arange(4)[:, None, None] == 2, np.nan, EYE), "1 of 4 rotations hold values .* row 2"),
        ((EYE, np.zeros((3, 2))), "has 4 rotations, but 3 translations"),
        ((EYE, np.zeros((4, 3))), "4 x 3 numbers for the translations"),
        ((EYE, np.full((4, 2), np.inf)), "4 of 4 translations are not numbers"),
        ((EYE, np.full((4, 2), 5.0)), "they seem to be in pixels"),
    ],
)
def test_poses_that_are_none_are_one_sentence(tmp_path, values, says):
    with pytest.raises(InputError, match=says) as err:
        read_poses(pickled(tmp_path / "poses.pkl", values))
    assert "poses.pkl" in err.value.message
    assert "\n" not in err.value.message


def with_column(column: int, value: float) -> np.ndarray:
    table = np.tile([64, 1.5, 1e4, 1e4, 0, 300, 2.7, 0.1, 0.0], (4, 1))
    table[1, column] = value
    return table


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.zeros((4, 8)), r"holds 4 x 8 numbers, not the CTF of particles \(N, 9\)"),
        ([1, 2], "holds a list of 2"),
        (np.zeros((0, 9)), "it has no rows"),
        (with_column(2, np.nan), "1 of 4 rows hold values that are not numbers, the first is row 1"),
        (with_column(0, 128), "different box sizes, from 64 to 128"),
        (with_column(1, 3.0), "different pixel sizes, from 1.5 to 3"),
        (with_column(5, 0), "row 1: 0 kV"),
        (with_column(7, 1.5), "amplitude contrast 1.5"),
        (np.zeros((4, 9)), "images of 0 px"),
    ],
)
def test_a_ctf_that_is_none_is_one_sentence(tmp_path, values, says):
    with pytest.raises(InputError, match=says):
        read_ctf(pickled(tmp_path / "ctf.pkl", values))


def test_lengths_that_differ_are_told(made):
    for poses, ctf, name in (
        (made.rotations[:-1], made.table, "poses.pkl"),
        (made.rotations, made.table[:-1], "ctf.pkl"),
    ):
        given = Given(pickled(made.poses, poses), pickled(made.ctf, ctf))
        with pytest.raises(InputError, match=f"{name} has 11 rows, but p.mrcs holds 12 images"):
            list_particles(made.stack, given)


# ---- pickles ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_protocol_are_read_as_pickle_reads_them(tmp_path, protocol):
    for values in (
        np.arange(12, dtype="f4").reshape(3, 4), np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(3, dtype=">i4"), np.zeros((0, 3)), np.array([True, False]),
    ):  # fmt: skip
        found = read_pickle(pickled(tmp_path / "a.pkl", (values, [1, 2.5], None), protocol))
        np.testing.assert_array_equal(found[0], values)
        assert found[0].dtype == values.dtype
        assert found[1:] == ([1, 2.5], None)
    assert read_selection(pickled(tmp_path / "i.pkl", [np.int64(3), 1], protocol)).tolist() == [3, 1]


class Runs:
    """Runs a command where a pickle is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_no_code_of_a_pickle_runs(tmp_path):
    mark = tmp_path / "ran"
    bad = [Runs(mark), (EYE, Runs(mark)), {"a": Runs(mark)}, np.array([Runs(mark)], object), Path("x")]
    for values in (*bad, np.array(["text"]), np.array([(1, 2)], "i4,i4"), np.ndarray, np.dtype("f4")):
        with pytest.raises(InputError, match="more than numbers"):
            read_pickle(pickled(tmp_path / "a.pkl", values))
    assert not mark.exists()


def called(name: str, *arguments: bytes) -> bytes:
    """A pickle that calls a function of numpy with arguments made by opcodes."""
    module, _, function = name.rpartition(".")
    return b"\x80\x04c" + f"{module}\n{function}\n".encode() + b"(" + b"".join(arguments) + b"tR."


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04",
        b"not a pickle at all",
        called("numpy.ndarray", b"(J\xff\xff\xff\x7ft"),  # an array of 2 GB without values
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.",  # bytes that are not there
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"x.",
        b"\x80\x04Nr" + struct.pack("<I", 1 << 31) + b".",  # a memo of 16 GB
        b"\x80\x04c__builtin__\neval\nX\x01\x00\x00\x001\x85R.",
        b"\x80\x04cnumpy\ndtype\n}b.",  # a function that is changed
        b"\x80\x04" + b"(" * 20_000 + b"l" * 20_000 + b".",
        pickle.dumps(np.arange(50.0))[:-40] + b".",
    ],
)
def test_pickles_that_lie_are_refused_at_no_cost(tmp_path, content):
    (tmp_path / "a.pkl").write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"a\.pkl"):
            read_poses(tmp_path / "a.pkl")
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


def test_a_file_far_too_large_is_refused_unread(tmp_path):
    with (tmp_path / "a.pkl").open("wb") as stream:
        stream.truncate(3 << 30)
    with pytest.raises(InputError, match="too large"):
        read_pickle(tmp_path / "a.pkl")
    with pytest.raises(InputError, match="does not exist"):
        read_pickle(tmp_path / "none.pkl")


WHOLE = pickle.dumps((EYE.astype(np.float32), np.zeros((4, 2), np.float32)))
OPCODES = sorted({code.code.encode("latin1") for code in pickletools.opcodes})


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(st.integers(0, len(WHOLE) - 1), st.sampled_from(OPCODES), st.booleans())
def test_damaged_pickles_end_in_one_sentence_or_in_numbers(tmp_path_factory, place, code, cut):
    path = tmp_path_factory.getbasetemp() / "damaged.pkl"
    path.write_bytes(WHOLE[:place] + code + (b"" if cut else WHOLE[place + 1 :]))
    said = ""
    try:
        said = f"{path} has {len(read_poses(path))} poses"
    except InputError as err:
        said = err.message
    assert "damaged.pkl" in said
    assert "\n" not in said


@pytest.mark.skipif(not SHARED.is_file(), reason="needs the shared benchmark's recipe")
def test_the_benchmark_of_two_states_is_read_the_same_both_ways(tmp_path):
    made = [sys.executable, str(SHARED), "make", "--out", str(tmp_path), "--n", "200", "--box", "32", "--apix", "8"]
    subprocess.run(made, check=True, capture_output=True)
    star = open_particles(tmp_path / "particles.star")
    stack = open_particles(tmp_path / "particles.mrcs", given=Given(tmp_path / "poses.pkl", tmp_path / "ctf.pkl"))
    assert_same_particles(star, stack)
    assert star.optics is not None
    assert stack.optics is not None
    for f in fields(star.optics):
        np.testing.assert_allclose(getattr(star.optics, f.name), getattr(stack.optics, f.name), atol=0.06)
