"""Contrast transfer of an isotropic, weak-phase image, as the denoiser uses it.

Sign: the value is negative at low frequency for positive (under-) defocus, so protein is dark, as in raw
micrographs. Formula: Rohou & Grigorieff, J Struct Biol 2015, equations 1 to 3. The transfer of particles, with
astigmatism and the opposite sign, is in optics.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_HC_EV_A = 12398.419843320026  # Planck's constant times the speed of light
_REST_EV = 510998.95069  # the electron's rest energy


def electron_wavelength_a(voltage_kv: float | np.ndarray) -> Any:
    """Relativistic wavelength in Angstrom (0.0197 at 300 kV)."""
    volts = voltage_kv * 1e3
    return _HC_EV_A / (volts * (2 * _REST_EV + volts)) ** 0.5


def ctf(
    frequency: np.ndarray,  # 1/Angstrom
    defocus_um: float | np.ndarray,  # positive is underfocus
    voltage_kv: float = 300.0,
    cs_mm: float = 2.7,
    amplitude_contrast: float = 0.1,
    b_factor_a2: float | np.ndarray = 0.0,
) -> np.ndarray:
    """CTF times envelope exp(-B k^2 / 4); broadcasts over frequency, defocus and B factor."""
    wavelength = electron_wavelength_a(voltage_kv)
    squared = frequency * frequency
    phase = np.pi * wavelength * squared * (np.asarray(defocus_um) * 1e4)
    phase = phase - 0.5 * np.pi * cs_mm * 1e7 * wavelength**3 * squared * squared
    envelope = np.exp(-0.25 * np.asarray(b_factor_a2) * squared)
    return -np.sin(phase + np.arcsin(amplitude_contrast)) * envelope
