"""What the simulated microscope does to a signal, shared by the simulator and by the measures that know the truth.

Frequencies are in 1/Angstrom; everything is isotropic. The numbers are typical, not those of one instrument.
"""

from __future__ import annotations

import numpy as np

from core.physics.ctf import ctf
from core.physics.exposure import SIGNAL_FALL, detector
from core.physics.fourier import frequency_grid

B_FACTOR_A2 = 80.0
BACKGROUND_DIAMETERS = 1.5  # sigma of the Gaussian background that every measure takes off first


def transfer(side: int, pixel_size_a: float, defocus_um: float) -> np.ndarray:
    """CTF, envelope and detector on an rfft2 grid (side, side // 2 + 1); negative at low frequency: protein is dark."""
    k = frequency_grid(side, side) / pixel_size_a
    return ctf(k, defocus_um, b_factor_a2=B_FACTOR_A2) * detector((side, side), SIGNAL_FALL)


def flatten(image: np.ndarray, diameter_px: float) -> np.ndarray:
    """Take off a Gaussian background of 1.5 diameters, mirrored at the border (exact, by cosine transform)."""
    import scipy.fft

    sigma = BACKGROUND_DIAMETERS * diameter_px
    frequencies = [np.pi * np.arange(n) / n for n in image.shape]
    keep = [np.exp(-0.5 * (sigma * f) ** 2) for f in frequencies]
    waves = np.asarray(scipy.fft.dctn(image.astype(np.float64), norm="ortho"))
    waves *= 1 - np.outer(keep[0], keep[1])
    return np.asarray(scipy.fft.idctn(waves, norm="ortho"))


def discs(shape: tuple[int, ...], xy: np.ndarray, radius: float) -> np.ndarray:
    """Pixels (h, w) within `radius` of any position (n, 2) x, y."""
    inside = np.zeros(shape, bool)
    reach = int(np.ceil(radius))
    offset = np.arange(-reach, reach + 1)
    disc = np.hypot(offset[:, None], offset[None]) <= radius
    for x, y in np.asarray(xy, int).reshape(-1, 2):
        top, left = max(0, y - reach), max(0, x - reach)
        part = inside[top : y + reach + 1, left : x + reach + 1]
        first_y, first_x = top - (y - reach), left - (x - reach)
        part |= disc[first_y : first_y + part.shape[0], first_x : first_x + part.shape[1]]
    return inside
