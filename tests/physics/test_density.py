"""Density from atoms and maps: mass, place and width are those of the atoms; maps keep their values on new grids."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.physics.density import b_factor_of, resample, voxelise


def axes(box: int, pixel: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    axis = (np.arange(box) - box // 2) * pixel
    return axis[None, None, :], axis[None, :, None], axis[:, None, None]


def moments(volume: np.ndarray, pixel: float) -> tuple[np.ndarray, np.ndarray]:
    xyz = axes(volume.shape[0], pixel)
    wide = volume.astype(np.float64)
    centre = np.array([(wide * a).sum() for a in xyz]) / wide.sum()
    spread = np.array([(wide * (a - c) ** 2).sum() for a, c in zip(xyz, centre, strict=True)]) / wide.sum()
    return centre, spread


@given(
    place=st.tuples(*[st.floats(-8, 8)] * 3),
    spread=st.floats(2.6, 3.8),
    pixel=st.floats(1.8, 2.2),
)
@settings(max_examples=20, deadline=None)
def test_an_atom_has_its_place_its_width_and_its_mass(place, spread, pixel):
    volume = voxelise(np.array([place]), np.array([7.0]), 32, pixel, b_factor_of(spread))
    assert volume.dtype == np.float32
    centre, found = moments(volume, pixel)
    assert volume.sum(dtype=np.float64) == pytest.approx(7.0, rel=1e-4)
    np.testing.assert_allclose(centre, place, atol=0.01 * pixel)
    np.testing.assert_allclose(found, spread**2, rtol=0.01)


def test_atoms_are_the_sum_of_their_gaussians():
    rng = np.random.default_rng(4)
    places, weights, spread, pixel = rng.uniform(-15, 15, (12, 3)), rng.uniform(1, 8, 12), 2.2, 1.5
    x, y, z = axes(40, pixel)
    expected = np.zeros((40, 40, 40))
    for (px, py, pz), w in zip(places, weights, strict=True):
        away = (x - px) ** 2 + (y - py) ** 2 + (z - pz) ** 2
        expected += w * np.exp(-0.5 * away / spread**2) * (pixel / (np.sqrt(2 * np.pi) * spread)) ** 3
    volume = voxelise(places, weights, 40, pixel, b_factor_of(spread))
    assert np.abs(volume - expected).max() < 1e-4 * expected.max()


def test_what_is_beyond_nyquist_is_not_there():
    volume = voxelise(np.array([[1.0, 2.0, -3.0]]), np.ones(1), 24, 3.0, 20.0)
    spectrum = np.abs(np.fft.fftn(volume))
    k = np.fft.fftfreq(24, 1 / 24)
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    assert spectrum[radius >= 12].max() < 1e-5
    np.testing.assert_allclose(spectrum[radius < 12], np.exp(-5.0 * (radius[radius < 12] / 72) ** 2), rtol=1e-3)


def test_a_map_on_a_finer_or_coarser_grid_is_the_same_density():
    rng = np.random.default_rng(5)
    places, weights, b = rng.uniform(-12, 12, (10, 3)), rng.uniform(1, 8, 10), b_factor_of(3.0)
    source = voxelise(places, weights, 36, 1.7, b) / 1.7**3
    for box, pixel in ((48, 1.3), (24, 2.5), (36, 1.7), (64, 1.7)):
        expected = voxelise(places, weights, box, pixel, b) / pixel**3
        assert np.abs(resample(source, 1.7, box, pixel) - expected).max() < 2e-3 * expected.max()


def test_a_map_of_odd_and_unequal_sides_keeps_its_centre():
    source = np.zeros((15, 18, 21), np.float32)
    zyx = np.meshgrid(*(np.arange(n) - n // 2 for n in source.shape), indexing="ij")
    source += np.exp(-0.5 * sum((a - c) ** 2 for a, c in zip(zyx, (0.5, -1, 2), strict=True)) / 1.5**2)
    centre, spread = moments(resample(source, 2.0, 32, 1.5), 1.5)
    np.testing.assert_allclose(centre, (4, -2, 1), atol=0.02)
    np.testing.assert_allclose(spread, 9.0, rtol=0.02)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="outside of the box"):
        voxelise(np.array([[40.0, 0, 0]]), np.ones(1), 16, 2.0, 100.0)
    with pytest.raises(ValueError, match="even number"):
        voxelise(np.zeros((1, 3)), np.ones(1), 15, 2.0, 100.0)
