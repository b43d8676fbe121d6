"""The parts of the simulator: models of files, noise, places of particles, counts of electrons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from core.physics import exposure
from core.physics.micrographs import APART, draw_field, micrograph, usual_count
from core.physics.model import load_model
from core.physics.optics import Optics, ctf_grid
from core.physics.particle_images import draw_optics, draw_rotations, no_ctf, noise
from core.physics.structures import read_atoms

LYSOZYME = Path(__file__).resolve().parents[2] / "resources/library/1aki.pdb.gz"


def test_a_structure_is_centred_holds_all_its_mass_and_gets_a_box_of_its_own():
    model = load_model(LYSOZYME)
    positions, weights = read_atoms(LYSOZYME)
    assert model.pixel_size_a == 2.0
    assert model.volume.sum(dtype=np.float64) == pytest.approx(weights.sum(), rel=1e-4)
    axis = np.arange(len(model.volume)) - len(model.volume) // 2
    centre = [np.average(axis, weights=model.volume.sum(over, dtype=np.float64)) for over in ((1, 2), (0, 2), (0, 1))]
    np.testing.assert_allclose(centre, 0, atol=0.01)
    across = np.ptp(positions, axis=0).max() / 2
    assert 1.1 * across < len(model.volume) < 2.5 * across
    assert 0.5 * across < model.diameter_px < 1.3 * across


def test_the_box_is_only_as_large_as_memory_allows():
    with pytest.raises(InputError, match="needs a box"):
        load_model(LYSOZYME, pixel_size_a=0.1)


def test_structural_noise_has_the_colour_of_the_ctf_and_white_noise_none():
    transfer = np.repeat(ctf_grid(Optics.of(15000.0), 64, 2.0), 200, axis=0)
    white, ice = (noise(range(200), transfer, 2.0, 3, structural) for structural in (False, True))
    power = [(np.abs(np.fft.rfft2(n)) ** 2).mean(0) / 64**2 for n in (white, ice)]
    assert np.corrcoef(power[1].ravel(), (transfer[0] ** 2).ravel())[0, 1] > 0.3
    assert abs(np.corrcoef(power[0].ravel(), (transfer[0] ** 2).ravel())[0, 1]) < 0.1
    for one in (white, ice):
        np.testing.assert_allclose(one.std(axis=(1, 2)).mean(), 1, atol=0.01)
    np.testing.assert_array_equal(noise(range(7, 9), transfer[:2], 2.0, 3, True), ice[7:9])


def test_optics_are_drawn_from_their_ranges():
    optics = draw_optics(500, (1.0, 2.0), 0.1, np.random.default_rng(0), voltage_kv=200.0)
    mean = (optics.defocus_u_a + optics.defocus_v_a) / 2
    assert 10000 <= mean.min() < 10100
    assert 19900 < mean.max() <= 20000
    np.testing.assert_allclose(optics.defocus_u_a - optics.defocus_v_a, 1000)
    assert (optics.voltage_kv == 200).all()
    np.testing.assert_allclose(ctf_grid(no_ctf(2), 16, 2.0), 1, atol=1e-6)
    assert np.linalg.det(draw_rotations(5, "even", (0, 0), np.random.default_rng(0))).min() > 0.999


def test_particles_on_a_micrograph_keep_apart_and_inside():
    optics, rng = Optics.of(10000.0), np.random.default_rng(1)
    field = draw_field((300, 400), 30, 40, 30.0, optics, rng)
    away = np.linalg.norm(field.xy[:, None] - field.xy[None], axis=2) + 1e3 * np.eye(len(field.xy))
    assert len(field.xy) == len(field.matrices) == 30
    assert away.min() >= APART * 30
    assert field.xy.min() >= 20
    assert (field.xy.max(axis=0) <= (379, 279)).all()
    assert len(draw_field((300, 400), 5000, 40, 30.0, optics, rng).xy) < 300  # no more find room
    assert usual_count((300, 400), 30.0) == pytest.approx(42, abs=1)


def test_shot_noise_has_the_variance_of_its_mean():
    rng = np.random.default_rng(2)
    counts = exposure.shot(np.full((256, 256), 50.0), np.ones((256, 129)), rng)
    assert counts.mean() == pytest.approx(50, rel=0.01)
    assert counts.var() == pytest.approx(50, rel=0.03)
    blurred = exposure.detector((256, 256), exposure.NOISE_FALL)
    spread = exposure.shot(np.full((256, 256), 50.0), blurred, rng).std() / 50
    # relative_noise counts the ice in: shot noise is what is left of it
    whole = exposure.relative_noise((256, 256), 50.0)
    assert spread == pytest.approx(whole * np.sqrt(1 - exposure.ICE_SHARE), rel=0.03)


def test_an_empty_micrograph_has_the_noise_that_was_reckoned_with():
    model = load_model(LYSOZYME, 32, 3.0)
    field = draw_field((256, 256), 1, 32, 12.0, Optics.of(15000.0), np.random.default_rng(3))
    counts = micrograph(model.volume, 3.0, field, (256, 256), 0.0, 40.0, np.random.default_rng(4))
    assert counts.dtype == np.float32
    y, x = np.mgrid[:256, :256] / 256
    flat = np.stack([np.ones_like(x), x, y, x * x, y * y], axis=-1).reshape(-1, 5)
    rest = counts.ravel() - flat @ np.linalg.lstsq(flat, counts.ravel(), rcond=None)[0]
    assert rest.std() / counts.mean() == pytest.approx(exposure.relative_noise((256, 256), 360.0), rel=0.05)
