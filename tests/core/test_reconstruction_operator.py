"""The operator of reconstruction: adjoint, convolution, projection-slice; statistics that add up; the solvers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from core.reconstruction import methods, shells, statistics
from core.reconstruction.likelihood import fourier_precision, likelihood, solve
from core.reconstruction.operator import Sums, disc, project, slice_points, spectra

L, VIEWS = 16, 7
RNG = np.random.default_rng(5)
USED = disc(L)
MATRICES = Rotation.random(VIEWS, random_state=3).as_matrix()
CTF = RNG.normal(size=(VIEWS, len(USED)))
VOLUME = RNG.normal(size=(L, L, L))


def summed(values: np.ndarray, dtype: str = "f8") -> Sums:
    sums = Sums(L)
    points = slice_points(MATRICES, USED)
    sums.add(points, (USED.share * CTF * values).ravel(), (USED.share * CTF**2).ravel(), VIEWS, dtype)
    return sums


def test_backprojection_is_the_adjoint_of_projection():
    shown = CTF * project(VOLUME, MATRICES, USED, "f8")
    values = RNG.normal(size=shown.shape) + 1j * RNG.normal(size=shown.shape)
    in_images = float((USED.share * (shown.conj() * values).real).sum())
    in_map = float((VOLUME * summed(values).b).sum())
    assert in_map == pytest.approx(in_images, rel=1e-9)


def test_the_kernel_is_projection_and_backprojection():
    shown = CTF * project(VOLUME, MATRICES, USED, "f8")
    expected = summed(shown).b
    data = likelihood(summed(shown), dtype=torch.float64)
    found = data.apply(torch.from_numpy(VOLUME)).numpy()
    assert np.abs(found - expected).max() < 1e-8 * np.abs(expected).max()
    single = likelihood(summed(shown, "f4"))
    found = single.apply(torch.from_numpy(VOLUME).float()).numpy()
    assert np.abs(found - expected).max() < 2e-4 * np.abs(expected).max()


def test_a_view_along_z_is_the_sum_along_z():
    image = VOLUME.sum(axis=0).astype(np.float32)[None]
    np.testing.assert_allclose(
        project(VOLUME, np.eye(3)[None], USED, "f8"), spectra(image, USED), atol=2e-4 * np.abs(image).sum()
    )


def test_shifts_move_the_particle_into_the_middle():
    image = np.zeros((1, L, L), np.float32)
    image[0, L // 2 + 2, L // 2 - 3] = 1  # 3 px left, 2 px below the middle
    values = spectra(image, USED, np.array([[3.0, -2.0]]))
    np.testing.assert_allclose(values, np.ones_like(values), atol=1e-5)


def test_larger_images_keep_their_coarse_detail():
    fine = np.zeros((1, 2 * L, 2 * L), np.float32)
    fine[0, L - 3 : L + 4, L - 2 : L + 5] = RNG.normal(size=(7, 7))
    values = spectra(fine, USED)
    ky, kx = USED.frequency[:, 1] * L, USED.frequency[:, 0] * L
    y, x = np.nonzero(fine[0])
    wave = np.exp(-2j * np.pi * (np.outer(kx, x - L) + np.outer(ky, y - L)) / (2 * L))
    np.testing.assert_allclose(values[0], wave @ fine[0, y, x] / 4, atol=1e-4)


def test_friedel_pairs_give_real_sums_and_half_the_disc_is_used():
    full = sum(np.hypot(x, y) < L / 2 for x in range(-L // 2, L // 2) for y in range(-L // 2, L // 2))
    assert int(USED.share.sum()) == full
    pairs = {tuple(np.round(f * L).astype(int)) for f in USED.frequency}
    assert not any((-x, -y) in pairs for x, y in pairs - {(0, 0)})


def test_conjugate_gradients_solve_the_system():
    data = likelihood(summed(CTF * project(VOLUME, MATRICES, USED, "f8")), dtype=torch.float64)
    precision = 0.1 * data.weight.mean()
    right = torch.from_numpy(RNG.normal(size=(2, L, L, L)))
    found = solve(data, right, lambda v: precision * v, precision, iterations=300, tolerance=1e-10)
    np.testing.assert_allclose(data.apply(found) + precision * found, right, atol=1e-7)


def test_the_circulant_weight_is_the_kernel_of_a_complete_set():
    """With every direction measured alike, H is nearly diagonal in Fourier space, and `weight` is its diagonal."""
    many = Rotation.random(3000, random_state=0).as_matrix()
    sums = Sums(L)
    sums.add(slice_points(many, USED), np.zeros(3000 * len(USED)), np.tile(USED.share, 3000), 3000)
    data = likelihood(sums)
    smooth = torch.from_numpy(VOLUME).float() * methods.sphere(L, 4)
    direct, diagonal = data.apply(smooth), fourier_precision(data.weight, smooth)
    assert float((direct * diagonal).sum() / (direct.norm() * diagonal.norm())) > 0.98


def batch(n: int, seed: int = 0, half: np.ndarray | None = None) -> statistics.Batch:
    rng = np.random.default_rng(seed)
    return statistics.Batch(
        rng.normal(size=(n, L, L)).astype(np.float32),
        Rotation.random(n, random_state=seed).as_matrix(),
        rng.normal(size=(n, 2)),
        rng.normal(size=(n, len(USED))).astype(np.float32),
        np.arange(n) % 2 if half is None else half,
        np.zeros(n, np.int64),
    )


def parts_of(whole: statistics.Batch, size: int):
    for first in range(0, len(whole), size):
        rows = slice(first, first + size)
        yield statistics.Batch(
            *(getattr(whole, name)[rows] for name in ("images", "matrices", "shift_px", "ctf", "half", "group"))
        )


def test_batches_add_up_and_halves_stay_apart(tmp_path):
    whole, power = batch(12), np.full((1, L // 2), 3.0)
    once = statistics.empty(L, 2.0, power)
    statistics.add(once, whole, np.eye(3)[None])
    slowly = statistics.empty(L, 2.0, power)
    for part in parts_of(whole, 5):
        statistics.add(slowly, part, np.eye(3)[None])
        statistics.save(slowly, tmp_path / "s.npz", "key")
        slowly = statistics.load(tmp_path / "s.npz", "key")
        assert slowly is not None
    assert slowly.done == 12
    for a, b in zip(once.halves, slowly.halves, strict=True):
        assert a.n == b.n == 6
        assert np.linalg.norm(a.b - b.b) < 2e-4 * np.linalg.norm(a.b)
        assert np.linalg.norm(a.kernel - b.kernel) < 2e-4 * np.linalg.norm(a.kernel)
    alone = statistics.empty(L, 2.0, power)
    statistics.add(alone, batch(12, half=np.zeros(12, int)), np.eye(3)[None])
    assert alone.halves[1].n == 0
    assert not alone.halves[1].b.any()
    assert np.linalg.norm(alone.halves[0].b - once.both.b) < 2e-4 * np.linalg.norm(once.both.b)
    assert statistics.load(tmp_path / "s.npz", "another") is None
    (tmp_path / "s.npz").write_bytes((tmp_path / "s.npz").read_bytes()[:500])
    assert statistics.load(tmp_path / "s.npz", "key") is None


def test_symmetry_counts_every_view_in_all_its_places():
    turns = Rotation.from_euler("z", [[0], [180]], degrees=True).as_matrix()
    both = statistics.empty(L, 2.0, np.ones((1, L // 2)))
    statistics.add(both, batch(6), turns)
    b = both.both.b[1:, 1:, 1:]  # without the planes that have no partner
    np.testing.assert_allclose(b, b[:, ::-1, ::-1], atol=1e-3 * np.abs(b).max())
    assert both.both.n == 6


def test_noise_is_measured_in_corners_and_in_what_is_left():
    rng = np.random.default_rng(1)
    images = rng.normal(0, 2, (400, L, L)).astype(np.float32)
    n = len(images)
    white = statistics.Batch(
        images, np.tile(np.eye(3), (n, 1, 1)), np.zeros((n, 2)), None, np.zeros(n, int), np.arange(n) % 2
    )
    for power in (
        statistics.corner_noise([white], L, 3),
        statistics.residual_noise([white], np.zeros((L, L, L), np.float32), 3),
    ):
        np.testing.assert_allclose(power[:, 1:].mean(axis=1), 4 * L**2, rtol=0.08)
        assert power.shape == (3, L // 2)


def test_shells():
    volume = torch.from_numpy(VOLUME).float()
    ones = shells.shell_mean(torch.ones(L, L, L // 2 + 1))
    np.testing.assert_allclose(ones, 1)
    np.testing.assert_allclose(shells.correlation(volume, volume), 1, atol=1e-6)
    np.testing.assert_allclose(shells.correlation(volume, -3 * volume), -1, atol=1e-6)
    assert np.abs(shells.correlation(volume, RNG.normal(size=(L, L, L)))[3:]).max() < 0.3
    assert shells.resolution_a(np.linspace(1, 0, 9), 16, 2.0, 0.5) == pytest.approx(16 * 2 / 4)
    assert shells.resolution_a(np.ones(9), 16, 2.0, 0.5) is None
    power = shells.shell_mean(torch.fft.rfftn(volume, norm="ortho").abs() ** 2)
    assert float(power[1:8].mean()) == pytest.approx(1, abs=0.15)
