"""What stands between a projected density and the counts of a micrograph: ice, its gradient, electrons, the detector.

Signals are relative to the mean number of electrons; the transfer that acts on them comes from ctf.py or optics.py,
negative at low frequency: particles are dark, as in raw micrographs. The numbers are typical, not those of one
instrument.
"""

from __future__ import annotations

import numpy as np

from core.physics.fourier import frequency_grid, irfft2, rfft2

SIGNAL_FALL, NOISE_FALL = 0.35, 0.20  # of the detector at Nyquist: exp(-fall), signal and shot noise
DOSE_E_A2 = 40.0
ICE_SHARE = 0.25  # of the noise variance that is structural
_SPACING_A = 100.0  # structural noise falls with frequency: half its power at this spacing


def detector(shape: tuple[int, int], fall: float) -> np.ndarray:
    """Amplitude that the detector passes on the rfft2 grid of a shape."""
    return np.exp(-fall * (2 * frequency_grid(*shape)) ** 2)


def filtered(image: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Images (..., h, w) times a response on their rfft2 grid."""
    return irfft2(rfft2(image) * response, image.shape)


def structural_noise(transfer: np.ndarray, white: np.ndarray, pixel_size_a: float) -> np.ndarray:
    """The ice's own density (..., h, w) as the microscope shows it, of spread 1: white noise, coloured, transferred."""
    height, width = white.shape[-2:]
    k = np.maximum(frequency_grid(height, width) / pixel_size_a, 1e-4)
    ice = filtered(white, transfer / np.sqrt(1 + k * _SPACING_A))
    return ice / ice.std(axis=(-2, -1), keepdims=True)


def relative_noise(shape: tuple[int, int], dose_e_px: float, ice_share: float = ICE_SHARE) -> float:
    """Standard deviation of all noise over the mean number of electrons of a pixel."""
    shot_variance = np.mean(detector(shape, NOISE_FALL) ** 2) / dose_e_px
    return float(np.sqrt(shot_variance / (1 - ice_share)))


def exposed(
    signal: np.ndarray,  # (h, w), relative
    transfer: np.ndarray,  # of the ice, on the rfft2 grid
    pixel_size_a: float,
    dose_e_px: float,
    ice: float,  # spread of the structural noise, relative
    rng: np.random.Generator,
) -> np.ndarray:
    """Electron counts (h, w) of a relative signal: with ice, its gradient of thickness, shot noise and the detector."""
    height, width = signal.shape
    grain = structural_noise(transfer, rng.standard_normal(signal.shape), pixel_size_a) * ice
    y, x = np.arange(height)[:, None] / height - 0.5, np.arange(width) / width - 0.5
    slope_x, slope_y = rng.uniform(-0.12, 0.12, 2)
    thickness = 1 + slope_x * x + slope_y * y + 0.06 * (x**2 + y**2)
    mean = dose_e_px * thickness * np.maximum(1 + signal + grain, 0)
    return shot(mean, detector(signal.shape, NOISE_FALL), rng)


def shot(mean: np.ndarray, response: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Poisson counts of this mean whose noise the detector blurs: variance = mean times the mean square response."""
    return mean + filtered(rng.poisson(mean) - mean, response)
