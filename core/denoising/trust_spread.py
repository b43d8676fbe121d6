"""How much the output depends on the noise that happened to be there: spread over draws of the user's own noise.

To first order the output moves by (spread of f(y + a n_k)) / a when the noise is another one of the same kind. It is
no error bar of the particle: what a method always gets wrong, it gets wrong in every draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi

from core.denoising.collect import disc
from core.denoising.quality import crops_at
from core.denoising.trust_picking import silent
from core.denoising.trust_scene import Runs, Scene
from core.physics.noise import noise_mosaic

DRAWS = 4  # K
STRENGTH = 0.5  # a, of the noise added over the noise that is there
LOCAL = 0.2  # diameters: sigma of the window in which spread and signal are compared


@dataclass(frozen=True, eq=False)
class NoiseSpread:
    """Maps (h, w): `spread` in grey values, `ratio` over the local contrast of the denoised micrograph, 0 to about 1.

    `inside` and `empty` are medians of the ratio in particles (None without picks) and at empty places.
    """

    spread: np.ndarray
    ratio: np.ndarray
    inside: float | None
    empty: float
    typical: float  # median of the spread, in raw noise sigmas


def noise_spread(
    runs: Runs, scene: Scene, denoised: np.ndarray, draws: int = DRAWS, strength: float = STRENGTH, seed: int = 0
) -> NoiseSpread:
    """Denoise the micrograph with `draws` real-noise mosaics added, each at `strength` times its own noise."""
    rng = np.random.default_rng([seed, 23])
    patches = scene.patches()
    patches = patches - patches.mean(axis=(1, 2), keepdims=True)
    mean, square = np.zeros(scene.image.shape), np.zeros(scene.image.shape)
    for k in range(draws):
        noise = noise_mosaic(patches, (scene.image.shape[0], scene.image.shape[1]), rng)
        out = runs(scene.image + np.float32(strength) * noise, scene, f"noise draw {k + 1} of {draws}")
        change = out - mean  # Welford: the maps of the draws are not kept
        mean += change / (k + 1)
        square += change * (out - mean)
    variance = square / max(draws - 1, 1) / strength**2
    sigma = max(1.0, LOCAL * scene.diameter)
    contrast = np.sqrt(np.maximum(ndi.gaussian_filter(np.square(denoised, dtype=np.float64), sigma), 0.0))
    local = np.sqrt(np.maximum(ndi.gaussian_filter(variance, sigma), 0.0))
    floor = 1e-3 * float(contrast.max())
    if silent(denoised, scene) or floor <= 0:
        ratio = np.ones(scene.image.shape)  # nothing there: nothing that could be believed
    else:
        ratio = local / np.maximum(contrast, floor)
    disc_mask = disc(2 * round(scene.diameter / 2), scene.diameter / 2)
    discs = crops_at(ratio, scene.particles, disc_mask.shape[0])[:, disc_mask] if scene.picked else np.empty(0)
    spread = np.sqrt(np.maximum(variance, 0.0)).astype(np.float32)
    return NoiseSpread(
        spread,
        ratio.astype(np.float32),
        float(np.median(discs)) if discs.size else None,
        float(np.median(crops_at(ratio, scene.noise, scene.box))),
        float(np.median(spread)) / scene.sigma,
    )


def pooled_inside(parts: Sequence[NoiseSpread]) -> float | None:
    """Mean over micrographs of the ratio inside particles; None without picks."""
    values = [p.inside for p in parts if p.inside is not None]
    return float(np.mean(values)) if values else None
