"""The CTF of particles: zeros, sign, envelope, and torch-ctf as a judge."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.physics.ctf import ctf, electron_wavelength_a
from core.physics.optics import Optics, ctf_grid


def judged(optics: Optics, shape: tuple[int, int], pixel: float) -> np.ndarray:
    torch_ctf = pytest.importorskip("torch_ctf", reason="the judge is a package for development")

    def t(values):
        return torch.tensor(values, dtype=torch.float64)

    return torch_ctf.calculate_ctf_2d(
        defocus=t((optics.defocus_u_a + optics.defocus_v_a) / 2e4),
        astigmatism=t((optics.defocus_u_a - optics.defocus_v_a) / 2e4),
        astigmatism_angle=t(optics.defocus_angle_deg),
        voltage=t(optics.voltage_kv),
        spherical_aberration=t(optics.cs_mm),
        amplitude_contrast=t(optics.amplitude_contrast),
        phase_shift=t(optics.phase_shift_deg),
        pixel_size=pixel,
        image_shape=shape,
        rfft=True,
        fftshift=False,
    ).numpy()


@given(
    mean=st.floats(3000, 10000),
    half_difference=st.floats(0, 200),
    angle=st.floats(-180, 180),
    voltage=st.sampled_from([100.0, 200.0, 300.0]),
    cs=st.sampled_from([0.0, 0.01, 2.7]),
    contrast=st.floats(0, 0.2),
    phase=st.floats(0, 120),
)
@settings(max_examples=25, deadline=None)
def test_torch_ctf_says_the_same(mean, half_difference, angle, voltage, cs, contrast, phase):
    optics = Optics.of(
        mean + half_difference, mean - half_difference, angle,
        voltage_kv=voltage, cs_mm=cs, amplitude_contrast=contrast, phase_shift_deg=phase,
    )  # fmt: skip
    # the judge works in single precision (its error grows with the phase) and adds 1e-7 to k^2 where it finds the
    # direction of astigmatism: both stay below 1e-5 in this range
    np.testing.assert_allclose(ctf_grid(optics, (40, 32), 5.0), judged(optics, (40, 32), 5.0), atol=1e-5)


def test_the_phase_is_right_at_high_defocus_and_frequency():
    optics = Optics.of(45000.0, 38000.0, 33.0, phase_shift_deg=20.0)
    ky, kx = np.fft.fftfreq(64, 0.8)[:, None], np.fft.rfftfreq(64, 0.8)[None]
    squared, wavelength = kx**2 + ky**2, electron_wavelength_a(300.0)
    defocus = 41500.0 + 3500.0 * np.cos(2 * (np.arctan2(ky, kx) - np.deg2rad(33.0)))
    phase = np.pi * wavelength * squared * defocus - np.pi / 2 * 2.7e7 * wavelength**3 * squared**2
    expected = np.sin(phase + np.arcsin(0.1) + np.deg2rad(20.0))
    assert phase.max() > 1000
    np.testing.assert_allclose(ctf_grid(optics, 64, 0.8)[0], expected, atol=1e-6)


def test_a_batch_is_its_images_one_by_one_on_any_shape():
    rng = np.random.default_rng(3)
    optics = Optics.of(rng.uniform(5e3, 4e4, 40), rng.uniform(5e3, 4e4, 40), rng.uniform(0, 180, 40),
                       b_factor_a2=rng.uniform(0, 200, 40), scale=rng.uniform(0.5, 1, 40))  # fmt: skip
    whole = ctf_grid(optics, (96, 130), 1.2)
    assert whole.dtype == np.float32
    assert whole.shape == (40, 96, 66)
    for i in (0, 17, 39):
        np.testing.assert_array_equal(ctf_grid(optics.take([i]), (96, 130), 1.2)[0], whole[i])


def test_zeros_lie_where_the_phase_is_a_multiple_of_pi():
    box, pixel = 64, 1.5
    k = np.fft.rfftfreq(box, pixel)[5:]
    # a defocus that puts a zero on each frequency of the x axis, for no Cs and no amplitude contrast
    n = np.arange(1, k.size + 1)
    optics = Optics.of(n / (electron_wavelength_a(300.0) * k**2), cs_mm=0, amplitude_contrast=0)
    values = ctf_grid(optics, box, pixel)[np.arange(k.size), 0, 5 + np.arange(k.size)]
    np.testing.assert_allclose(values, 0, atol=2e-6)


def test_particles_are_light_and_the_denoisers_transfer_is_the_opposite():
    optics = Optics.of(15000.0)
    k = np.hypot(np.fft.fftfreq(64, 1.3)[:, None], np.fft.rfftfreq(64, 1.3)[None])
    grid = ctf_grid(optics, 64, 1.3)[0]
    assert grid[0, 0] == pytest.approx(0.1, abs=1e-6)
    assert grid[0, 1] > 0
    np.testing.assert_allclose(grid, -ctf(k, 1.5), atol=1e-5)


def test_defocus_u_lies_along_its_angle_and_the_angle_counts_from_x_to_y():
    for angle, at in ((0, (0, 9)), (90, (9, 0)), (45, (7, 7)), (-45, (-7, 7))):
        astigmatic = ctf_grid(Optics.of(20000.0, 15000.0, angle), 64, 2.0)[0][at]
        assert astigmatic == pytest.approx(ctf_grid(Optics.of(20000.0), 64, 2.0)[0][at], abs=1e-5)


def test_turning_u_and_v_over_is_a_turn_by_90_degrees():
    one, other = Optics.of(18000.0, 12000.0, 20.0), Optics.of(12000.0, 18000.0, 110.0)
    np.testing.assert_allclose(ctf_grid(one, 48, 1.5), ctf_grid(other, 48, 1.5), atol=2e-6)


def test_a_phase_plate_shifts_and_the_envelope_and_scale_damp():
    plain = ctf_grid(Optics.of(0.0, cs_mm=0, amplitude_contrast=0, phase_shift_deg=90.0), 32, 2.0)
    np.testing.assert_allclose(plain, 1, atol=1e-6)
    damped = ctf_grid(
        Optics.of(0.0, cs_mm=0, amplitude_contrast=0, phase_shift_deg=90.0, b_factor_a2=100.0, scale=0.7), 32, 2.0
    )[0]
    squared = np.fft.fftfreq(32, 2.0)[:, None] ** 2 + np.fft.rfftfreq(32, 2.0) ** 2
    np.testing.assert_allclose(damped, 0.7 * np.exp(-25 * squared), rtol=1e-5)


@pytest.mark.parametrize(
    "bad",
    [{"defocus_u_a": np.nan}, {"defocus_u_a": 1e4, "voltage_kv": 0.0}, {"defocus_u_a": 1e4, "amplitude_contrast": 1.2}],
)
def test_what_is_no_optics_is_refused(bad):
    with pytest.raises(ValueError, match=r"optics|voltage"):
        Optics.of(**bad)
