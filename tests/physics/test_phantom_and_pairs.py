"""The clean library and the training pairs drawn from it."""

import numpy as np
import pytest

from core.denoising.pairs import CROP, PairMaker, Recipe
from core.physics.phantom import DIAMETER, build_library, project_points, random_rotation


@pytest.fixture(scope="module")
def library():
    return build_library(seed=3, phantoms=6, views=4)


@pytest.fixture(scope="module")
def maker(library):
    noise = np.random.default_rng(0).standard_normal((40, 32, 32)).astype(np.float32)
    return PairMaker(library, noise, np.repeat([0, 1], 20), Recipe(32.0, 3.75, 0.07, 1.8, seed=5))


def test_rotations_are_rotations_and_cover_the_sphere():
    rng = np.random.default_rng(0)
    turns = np.stack([random_rotation(rng) for _ in range(2000)])
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), turns.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    assert np.abs(turns[:, :, 2].mean(axis=0)).max() < 0.05


def test_projections_keep_the_mass_and_the_size():
    points = np.random.default_rng(1).standard_normal((20_000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)  # a shell: its projections are discs of the full diameter
    images = project_points(points, np.ones(len(points)), 3, np.random.default_rng(2))
    profile = images.mean(axis=(0, 1))
    inside = np.flatnonzero(profile > 0.1 * profile.max())
    assert abs((inside[-1] - inside[0]) - DIAMETER) < 4


def test_the_library_repeats_and_holds_no_ferritin(library):
    again = build_library(seed=3, phantoms=6, views=4)
    np.testing.assert_array_equal(library.projections, again.projections)
    assert {"1aki", "1mbn", "1ubi", "6vxx", "7pbl"} <= set(library.names)
    assert not any(word in n for n in library.names for word in ("fha", "1ake", "ferritin", "5505"))
    assert len(library.names) == len(library.kinds) == len(library.projections)


def test_pairs_depend_on_seed_and_step_only(maker):
    one, two = maker.batch(17, 3), maker.batch(17, 3)
    for a, b in zip(one, two, strict=True):
        assert a.equal(b)
    assert not maker.batch(18, 3)[0].equal(one[0])


def test_input_minus_target_is_noise_of_sigma_one_and_independent_of_the_signal(maker):
    noisy, target, level = maker.batch(4, 32)
    noise = noisy - target
    assert noisy.shape == (32, 1, CROP, CROP)
    assert float(noise.std()) == pytest.approx(1.0, abs=0.05)
    correlation = (noise * target).mean() / (noise.std() * target.std())
    assert abs(float(correlation)) < 0.02
    assert level.min() > np.log(0.07) - 1
    assert level.max() < np.log(1.8) + 1


def test_particles_are_dark_and_their_strength_is_the_told_level(maker):
    rng = np.random.default_rng(8)
    fields = [maker.clean_field(rng) for _ in range(40)]
    strong = [f for f, snr in fields if f.any() and snr > 0.3]
    assert np.mean([f.min() + f.max() for f in strong]) < 0  # the deepest values are negative
    ratio = [(f**2).mean() / snr for f, snr in fields if f.any()]
    assert 0.05 < np.median(ratio) < 1.0  # in-particle power over the covered share of the field
