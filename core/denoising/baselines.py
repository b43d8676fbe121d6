"""The linear filters a learned denoiser has to beat: Gaussian low-pass and Wiener.

Both keep the input's units and its smooth background, like the network.
"""

from __future__ import annotations

import re

import numpy as np
import scipy.ndimage as ndi

from core.denoising.canonical import background
from core.denoising.patches import CALMEST
from core.errors import ParamError
from core.physics.fourier import frequency_grid, irfft2, rfft2, shell_average
from core.physics.noise import low_pass_spread

HALF_AMPLITUDE = np.sqrt(2 * np.log(2)) / (2 * np.pi)  # sigma of a Gaussian over its half-amplitude resolution


def parse_baseline(text: str) -> tuple[str, float] | None:
    """('gaussian', resolution in Angstrom) or ('wiener', 0); None when the text names a file."""
    if text.strip().lower() == "wiener":
        return "wiener", 0.0
    match = re.fullmatch(r"\s*gaussian\s*:\s*([0-9.]+)\s*(a|å)?\s*", text.lower())
    if match:
        try:
            resolution = float(match[1])
        except ValueError:
            resolution = 0.0
        if not 1 <= resolution <= 10_000:
            raise ParamError(f"--model {text}: the resolution must be 1 to 10000 A.", fields=("model",))
        return "gaussian", resolution
    if text.lower().startswith("gaussian"):
        raise ParamError(f"--model {text}: a Gaussian needs its resolution, as in gaussian:30.", fields=("model",))
    return None


def gaussian(image: np.ndarray, resolution_a: float, pixel_size_a: float) -> np.ndarray:
    """Gaussian low-pass of a float32 (h, w) image whose amplitude is one half at `resolution_a`."""
    return ndi.gaussian_filter(image, HALF_AMPLITUDE * resolution_a / pixel_size_a, mode="reflect")


def wiener(image: np.ndarray, patches: np.ndarray, diameter_px: float) -> np.ndarray:
    """Radial Wiener filter of a float32 (h, w) image: gain = 1 - noise power / power, from (m, b, b) empty patches."""
    box = patches.shape[-1]
    smooth = background(image, diameter_px)
    flat = image.copy()
    smooth.add_to(flat, -1.0)
    step = max(1, box // 2)
    rows = range(0, flat.shape[0] - box + 1, step)
    cols = range(0, flat.shape[1] - box + 1, step)
    everywhere = _spectrum(
        np.stack([flat[i : i + box, j : j + box] for i in rows for j in cols[:: max(1, len(cols) // 40)]])
    )
    gain = np.clip(1.0 - _spectrum(patches) / np.maximum(everywhere, 1e-12), 0.0, 1.0)
    gain = ndi.gaussian_filter1d(gain, 1.0)
    height, width = flat.shape
    response = np.interp(frequency_grid(height, width) * box, np.arange(gain.size), gain).astype(np.float32)
    out = irfft2(rfft2(flat) * response, flat.shape).astype(np.float32)
    smooth.add_to(out)
    return out


def _spectrum(patches: np.ndarray) -> np.ndarray:
    """Mean power per shell of Hann-windowed patches (m, b, b)."""
    box = patches.shape[-1]
    window = np.hanning(box)[:, None] * np.hanning(box)[None]
    power = 0.0
    for patch in patches:
        power = power + np.abs(rfft2((patch - patch.mean()) * window)) ** 2
    return shell_average(np.asarray(power) / len(patches), box)


def calm_patches(image: np.ndarray, box: int, diameter_px: float) -> np.ndarray:
    """The calmest tenth (at least four) of the windows of an image, flattened: (m, box, box).

    A stand-in where no empty patches are given; on a crowded micrograph some hold particles.
    """
    flat = image.copy()
    background(image, diameter_px).add_to(flat, -1.0)
    step = max(1, box // 2)
    windows = [
        flat[i : i + box, j : j + box]
        for i in range(0, flat.shape[0] - box + 1, step)
        for j in range(0, flat.shape[1] - box + 1, step)
    ]
    order = np.argsort([low_pass_spread(w, box / 16) for w in windows])
    return np.stack([windows[i] for i in order[: max(CALMEST, len(windows) // 10)]])
