"""Contaminants: dark or bright things that are not signal, drawn within what the pipeline lets through."""

import numpy as np
import pytest

from core.physics.contaminants import CLEARED, CONTAMINANTS, draw_contaminant
from core.physics.ctf import ctf
from core.physics.fourier import frequency_grid

SHAPE = (96, 128)


@pytest.mark.parametrize("kind", list(CONTAMINANTS))
def test_every_kind_is_finite_bounded_and_repeats(kind):
    strengths = []
    for seed in range(12):
        field, told = draw_contaminant(SHAPE, 32.0, None, np.random.default_rng(seed), kind)
        again, _ = draw_contaminant(SHAPE, 32.0, None, np.random.default_rng(seed), kind)
        np.testing.assert_array_equal(field, again)
        assert told == kind
        assert field.shape == SHAPE
        assert field.dtype == np.float32
        assert np.isfinite(field).all()
        strengths.append(np.abs(field).max())
    assert max(strengths) <= CLEARED
    assert max(strengths) > 1.5
    assert min(strengths) >= 0.29 or kind == "gold"


def test_kinds_are_drawn_by_their_share_and_some_are_faint():
    rng = np.random.default_rng(0)
    drawn = [draw_contaminant((64, 64), 32.0, None, rng) for _ in range(200)]
    assert {kind for _, kind in drawn} == set(CONTAMINANTS)
    strengths = [np.abs(field).max() for field, _ in drawn]
    assert np.percentile(strengths, 10) < 0.8
    assert np.percentile(strengths, 90) > 4


@pytest.mark.parametrize(("kind", "sign"), [("amorphous ice", -1), ("soft blob", -1), ("crack", 1)])
def test_ice_is_dark_and_cracks_are_bright(kind, sign):
    rng = np.random.default_rng(1)
    fields = [draw_contaminant((128, 128), 32.0, None, rng, kind)[0] for _ in range(30)]
    strongest = [field.flat[np.abs(field).argmax()] for field in fields]
    assert np.mean(np.sign(strongest) == sign) > 0.85


def test_carbon_is_grainy_on_one_side():
    rng = np.random.default_rng(3)
    contrast = []
    for _ in range(20):
        field, _ = draw_contaminant((128, 128), 24.0, None, rng, "carbon edge")
        fine = np.diff(field, axis=1)
        tiles = fine[:, :124].reshape(8, 16, 4, 31).std(axis=(1, 3))
        contrast.append(np.percentile(tiles, 80) / max(np.percentile(tiles, 20), 1e-6))
    assert np.median(contrast) > 2


def test_gold_is_cleared_where_the_pipeline_clears_it():
    rng = np.random.default_rng(5)
    holes = 0
    for _ in range(20):
        field, _ = draw_contaminant((128, 128), 32.0, None, rng, "gold")
        holes += field.min() < -3
        assert np.abs(field).max() <= CLEARED
    assert holes > 5


def test_the_given_transfer_makes_the_fringes():
    grid = frequency_grid(128, 128) / 3.75
    near, far = (ctf(grid, defocus) for defocus in (0.5, 3.0))
    before = near.copy()
    fields = [draw_contaminant((128, 128), 32.0, t, np.random.default_rng(7), "ice crystal")[0] for t in (near, far)]
    assert np.abs(fields[0] - fields[1]).max() > 0.1 * np.abs(fields[0]).max()
    np.testing.assert_array_equal(near, before)  # what a caller shares with its target stays as it was
