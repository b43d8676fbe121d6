"""Projections against what they must be: slices of the transform, sums along z, analytic Gaussian beads."""

import numpy as np
import pytest
import torch

from core.physics.density import b_factor_of, voxelise
from core.physics.projection import (
    central_slices,
    project,
    project_exact,
    project_rays,
    shift_phases,
    to_images,
    to_spectra,
    views_at_once,
)
from core.physics.rotations import matrices, random_rotations, symmetry_matrices

BOX, PIXEL, SPREAD = 40, 2.0, 4.0


@pytest.fixture(scope="module")
def beads() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(6)
    return rng.uniform(-13, 13, (15, 3)), rng.uniform(1, 8, 15)


@pytest.fixture(scope="module")
def volume(beads) -> np.ndarray:
    return voxelise(*beads, BOX, PIXEL, b_factor_of(SPREAD))


@pytest.fixture(scope="module")
def turns() -> np.ndarray:
    return random_rotations(12, np.random.default_rng(7))


def bead_images(places: np.ndarray, weights: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """What beads look like: 2D Gaussians at (A p)[:2]."""
    axis = (np.arange(BOX) - BOX // 2) * PIXEL
    images = np.zeros((len(turns), BOX, BOX))
    for image, turn in zip(images, turns, strict=True):
        for place, weight in zip(places @ turn.T, weights, strict=True):
            away = (axis[None] - place[0]) ** 2 + (axis[:, None] - place[1]) ** 2
            image += weight * np.exp(-0.5 * away / SPREAD**2) * PIXEL**2 / (2 * np.pi * SPREAD**2)
    return images


def error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_exact_projections_are_the_analytic_ones(beads, volume, turns):
    assert error(project_exact(volume, turns), bead_images(*beads, turns)) < 2e-4


def test_without_a_turn_it_is_the_sum_along_z(volume):
    assert error(project_exact(volume, np.eye(3)[None])[0], volume.sum(0)) < 1e-4


def test_quarter_turns_are_the_volume_summed_along_its_axes(volume):
    # rot 0, tilt 90: the view looks along the map's x axis
    a = matrices(np.array([[0.0, 90.0, 0.0]]))
    np.testing.assert_allclose(a[0, 2], [1, 0, 0], atol=1e-12)
    image = project_exact(volume, a)[0]
    expected = volume.sum(2)  # (z, y), and the image's x axis is the map's -z
    np.testing.assert_allclose(image[:, 1:], expected.T[:, :0:-1], atol=2e-4 * expected.max())


def test_the_spectrum_of_a_projection_is_a_slice_of_the_volumes(volume):
    a = symmetry_matrices("O")  # turns the grid onto itself
    cube = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(volume)))
    slices = central_slices(volume, a)
    for ky, kx in ((0, 0), (3, 5), (-7, 2), (11, 9)):
        k = np.rint(a.transpose(0, 2, 1) @ np.array([kx, ky, 0])).astype(int) + BOX // 2
        np.testing.assert_allclose(slices[:, ky, kx], cube[k[:, 2], k[:, 1], k[:, 0]], atol=1e-4 * np.abs(cube).max())


def test_slices_keep_friedels_law_and_end_at_nyquist(volume, turns):
    slices = central_slices(volume, turns)
    np.testing.assert_allclose(slices[:, 1:, 0], slices[:, :0:-1, 0].conj(), atol=1e-4 * np.abs(slices).max())
    assert np.abs(slices[:, 0, 0].imag).max() < 1e-4 * np.abs(slices).max()
    assert (slices[:, BOX // 2] == 0).all()
    assert (slices[:, :, BOX // 2] == 0).all()
    np.testing.assert_allclose(to_spectra(to_images(slices)), slices, atol=1e-5 * np.abs(slices).max())


def test_interpolated_slices_are_within_half_a_percent(volume, turns):
    images = project(torch.from_numpy(volume), torch.from_numpy(turns).float())
    assert error(images.numpy(), project_exact(volume, turns)) < 0.005


def test_ray_sums_show_the_same_and_both_torch_projectors_can_be_differentiated(volume, turns):
    start, a = torch.from_numpy(volume).requires_grad_(), torch.from_numpy(turns[:2]).float()
    exact = project_exact(volume, turns[:2])
    assert error(project_rays(start, a).detach().numpy(), exact) < 0.05
    for projector in (project, project_rays):
        (gradient,) = torch.autograd.grad((projector(start, a) * torch.from_numpy(exact)).sum(), start)
        assert torch.isfinite(gradient).all()
        # <A x, y> = <x, A^T y>
        back, forth = (gradient * start).sum().item(), (projector(start, a).detach().numpy() * exact).sum()
        assert back == pytest.approx(float(forth), rel=1e-3)


def test_a_shift_moves_the_particle_to_where_it_says(beads, volume):
    offsets = np.array([[0.0, 0.0], [3.0, -2.0], [0.37, 1.81]])
    a = np.repeat(random_rotations(1, np.random.default_rng(8)), 3, axis=0)
    moved = to_images(central_slices(volume, a) * shift_phases(BOX, offsets))
    np.testing.assert_allclose(moved[1], np.roll(moved[0], (-2, 3), (0, 1)), atol=1e-4 * moved.max())
    axis = np.arange(BOX) - BOX // 2
    centres = np.array([[(m * axis).sum(), (m * axis[:, None]).sum()] for m in moved]) / moved.sum((1, 2))[:, None]
    np.testing.assert_allclose(centres - centres[0], offsets, atol=0.01)


def test_odd_boxes_are_refused_and_batches_are_bounded():
    with pytest.raises(ValueError, match="even size"):
        central_slices(np.zeros((15, 15, 15), np.float32), np.eye(3)[None])
    assert views_at_once(32) > views_at_once(128) > views_at_once(256) > 20
