"""The clean library and the training pairs drawn from it."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.ndimage as ndi

from core.denoising import pairs
from core.denoising.noise_source import SpectrumNoise
from core.denoising.pairs import CROP, PairMaker, Recipe
from core.physics.fourier import frequency_grid
from core.physics.phantom import DIAMETER, build_library, project_points, random_rotation


@pytest.fixture(scope="module")
def library():
    return build_library(seed=3, phantoms=6, views=4)


@pytest.fixture(scope="module")
def maker(library):
    noise = np.random.default_rng(0).standard_normal((40, 32, 32)).astype(np.float32)
    return PairMaker(library, noise, np.repeat([0, 1], 20), Recipe(32.0, (3.75, 3.75), 0.07, 1.8, seed=5))


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


def test_input_minus_target_is_noise_of_sigma_one_and_independent_of_the_signal(maker, monkeypatch):
    monkeypatch.setattr(pairs, "DIRTY_FIELDS", 0.0)
    noisy, target, presence, level = maker.batch(4, 32)
    noise = noisy - target
    assert noisy.shape == target.shape == presence.shape == (32, 1, CROP, CROP)
    assert float(noise.std()) == pytest.approx(1.0, abs=0.05)
    correlation = (noise * target).mean() / (noise.std() * target.std())
    assert abs(float(correlation)) < 0.02
    assert level.min() > np.log(0.07) - 1
    assert level.max() < np.log(1.8) + 1


def test_particles_are_dark_and_their_strength_is_the_told_level(maker):
    rng = np.random.default_rng(8)
    fields = [maker.clean_field(rng) for _ in range(40)]
    strong = [f.image for f in fields if f.image.any() and f.snr > 0.3]
    assert np.mean([f.min() + f.max() for f in strong]) < 0  # the deepest values are negative
    ratio = [(f.image**2).mean() / f.snr for f in fields if f.image.any()]
    assert 0.05 < np.median(ratio) < 1.0  # in-particle power over the covered share of the field


def test_most_pairs_lie_about_the_focus_and_none_beyond_the_range(library):
    recipe = Recipe(32.0, (2.0, 6.0), 0.05, 1.8, focus=0.2, seed=1)
    drawn = [PairMaker(library, None, None, recipe).clean_field(np.random.default_rng(i)) for i in range(60)]
    snr = np.array([f.snr for f in drawn])
    near = np.abs(np.log(snr / 0.2)) < np.log(pairs.FOCUS_WIDTH)
    assert near.mean() > 0.6
    assert snr.min() > 0.05
    assert snr.max() < 1.8
    assert min(f.pixel_size_a for f in drawn) > 2.0
    assert max(f.pixel_size_a for f in drawn) < 6.0


def test_contaminants_never_reach_the_target(maker, monkeypatch):
    changed = 0
    for step in range(8):
        monkeypatch.setattr(pairs, "DIRTY_FIELDS", 0.0)
        clean = maker.batch(step, 1)
        monkeypatch.setattr(pairs, "DIRTY_FIELDS", 1.0)
        dirty = maker.batch(step, 1)
        assert dirty.target.equal(clean.target)
        assert dirty.presence.equal(clean.presence)
        changed += not dirty.noisy.equal(clean.noisy)
        assert dirty.noisy.abs().max() < 30  # hot pixels are cleared as the pipeline clears them
    assert changed == 8


def test_presence_is_one_inside_particles_and_zero_in_empty_fields(maker):
    yy, xx = np.mgrid[:CROP, :CROP]
    disc = np.where(np.hypot(xx - 40, yy - 70) < 16, -np.sqrt(0.3), 0.0).astype(np.float32)
    presence = pairs.CleanField(disc, 0.3, 3.75, 2.0, np.ones(1)).presence(32.0)
    assert presence[70, 40] == 1
    assert presence[np.hypot(xx - 40, yy - 70) > 30].max() == 0
    rng = np.random.default_rng(3)
    for clean in (maker.clean_field(rng) for _ in range(60)):
        presence = clean.presence(32.0)
        assert presence.shape == (CROP, CROP)
        assert presence.max() == (1.0 if clean.image.any() else 0.0) or clean.image.any()
        if not clean.image.any():
            assert not presence.any()


def test_shaped_particles_have_the_asked_spectrum(library):
    maker = PairMaker(library, None, None, Recipe(32.0, (3.75, 3.75), 0.07, 1.8, seed=5))
    shells = np.linspace(0, 0.5, 65)
    asked = pairs.library_spectrum(maker) / (1 + (shells / 0.1) ** 2)
    maker.recipe = replace(maker.recipe, shaping=pairs.shape_to(asked, np.full(65, 1e-9), maker))
    given = pairs.library_spectrum(maker, draws=48)
    band = slice(3, 33)  # 1/43 to 1/4 cycles/px
    ratio = (given / asked)[band]
    ratio = ndi.gaussian_filter1d(ratio / np.median(ratio), 2.0)
    np.testing.assert_allclose(ratio, 1.0, rtol=0.35)


def test_drawn_noise_has_variance_one_and_is_flattened_like_the_data():
    k = frequency_grid(CROP, CROP)
    flatten = 1 - np.exp(-2 * (np.pi * 12 * k) ** 2)
    source, plain = SpectrumNoise(CROP, flatten), SpectrumNoise(CROP, np.ones_like(k))
    rng = np.random.default_rng(2)
    fields = [source.field(rng, float(rng.uniform(2, 10)), float(rng.uniform(0.8, 3.5))) for _ in range(200)]
    assert np.mean([f.var() for f in fields]) == pytest.approx(1.0, abs=0.1)
    assert np.abs([f.mean() for f in fields]).max() < 0.05
    for seed in range(20):
        one, two = (s.spectrum(np.random.default_rng(seed), 4.0, 1.5) for s in (source, plain))
        ratio = (one / two)[k > 0.02] / flatten[k > 0.02] ** 2
        np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-3)
        assert one[0, 0] == 0
