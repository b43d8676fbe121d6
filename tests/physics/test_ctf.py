"""The CTF against known wavelengths, its zeros and its sign."""

import numpy as np
import pytest

from core.physics.ctf import ctf, electron_wavelength_a


@pytest.mark.parametrize(("voltage", "wavelength"), [(100, 0.03701), (200, 0.02508), (300, 0.01969)])
def test_relativistic_wavelengths(voltage, wavelength):
    assert electron_wavelength_a(voltage) == pytest.approx(wavelength, rel=5e-4)


def test_zeros_lie_where_the_phase_is_a_multiple_of_pi():
    wavelength, defocus = electron_wavelength_a(300), 1.5
    n = np.arange(1, 6)
    zeros = np.sqrt((n * np.pi) / (np.pi * wavelength * defocus * 1e4))
    np.testing.assert_allclose(ctf(zeros, defocus, cs_mm=0, amplitude_contrast=0), 0, atol=1e-9)


def test_protein_is_dark_at_low_frequency_and_the_envelope_only_damps():
    frequency = np.linspace(1e-4, 0.3, 500)
    plain, damped = ctf(frequency, 1.5), ctf(frequency, 1.5, b_factor_a2=100.0)
    assert plain[0] < 0
    assert plain[0] == pytest.approx(-0.1, abs=0.01)  # the amplitude contrast
    np.testing.assert_allclose(damped, plain * np.exp(-25 * frequency**2))
