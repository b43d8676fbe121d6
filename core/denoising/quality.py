"""Numbers that need no ground truth, measured on the user's own picks and empty patches.

Background suppression, the blank test, and average precision of ring-template picking. None of them is a resolution
or a signal-to-noise ratio, and none is called so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
from scipy.spatial import KDTree

from core.denoising.canonical import background, crop
from core.denoising.collect import disc, radial_mean
from core.physics.fourier import irfft2, rfft2
from core.physics.noise import noise_mosaic


def flattened(image: np.ndarray, diameter_px: float) -> np.ndarray:
    """A copy without its smooth background: every method is judged after this."""
    flat = image.astype(np.float32, copy=True)
    background(flat, diameter_px).add_to(flat, -1.0)
    return flat


def crops_at(image: np.ndarray, xy: np.ndarray, size: int) -> np.ndarray:
    """Boxes (n, size, size) at positions (n, 2) x, y; those beyond the border are left out."""
    found = [c for c in (crop(image, x, y, size) for x, y in xy) if c is not None]
    return np.stack(found) if found else np.empty((0, size, size), np.float32)


def blank_micrograph(patches: np.ndarray, shape: tuple[int, int], like: np.ndarray, seed: int) -> np.ndarray:
    """An empty micrograph in the input's units: a mosaic of empty flattened patches on the mean grey of `like`."""
    rng = np.random.default_rng([seed, 13])
    return noise_mosaic(patches - patches.mean(), shape, rng) + np.float32(like.mean())


@dataclass(frozen=True)
class Spread:
    """Standard deviations of a flattened micrograph: on empty boxes and inside particles."""

    noise: float
    particle: float


def spread(flat: np.ndarray, particles: np.ndarray, noise: np.ndarray, diameter: float, box: int) -> Spread:
    """Measure empty boxes of `box` px and particle discs of `diameter` px at positions (n, 2) x, y."""
    inside = disc(2 * round(diameter / 2), diameter / 2)
    discs = crops_at(flat, particles, inside.shape[0])[:, inside]
    return Spread(float(crops_at(flat, noise, box).std()), float(discs.std()))


def ring_template(crops: np.ndarray, diameter: float) -> np.ndarray:
    """Rotational average of particle crops (n, s, s), zero mean inside 0.7 diameters and zero beyond."""
    template = radial_mean(crops.mean(axis=0))
    inside = disc(template.shape[-1], 0.7 * diameter)
    return np.where(inside, template - template[inside].mean(), 0.0).astype(np.float32)


def template_scores(flat: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Cross-correlation of an image with a template centred at s // 2: (h, w)."""
    padded = np.zeros(flat.shape, np.float32)
    size = template.shape[0]
    padded[:size, :size] = template
    padded = np.roll(padded, (-(size // 2), -(size // 2)), (0, 1))
    product = rfft2(flat) * np.conj(rfft2(padded))
    return irfft2(product, flat.shape)


def peaks(scores: np.ndarray, apart: float, margin: int) -> tuple[np.ndarray, np.ndarray]:
    """Local maxima at least `apart` from any higher one and `margin` from the border: x, y (n, 2) and scores (n,)."""
    window = 2 * int(0.6 * apart) + 1  # a square one is separable; the exact distance is kept below
    rows, cols = np.nonzero(scores == ndi.maximum_filter(scores, window, mode="nearest"))
    height, width = scores.shape
    inner = (rows >= margin) & (rows < height - margin) & (cols >= margin) & (cols < width - margin)
    rows, cols = rows[inner], cols[inner]
    order = np.argsort(-scores[rows, cols])
    xy, score = np.stack([cols, rows], axis=1)[order].astype(float), scores[rows, cols][order]
    tree = KDTree(xy) if len(xy) else None
    keep = np.ones(len(xy), bool)
    for i in range(len(xy)):
        if keep[i] and tree is not None:
            keep[[j for j in tree.query_ball_point(xy[i], apart) if j > i]] = False
    return xy[keep], score[keep]


def match_peaks(found: np.ndarray, truth: np.ndarray, within: float) -> np.ndarray:
    """Which of the found positions (best first) hit a true one not yet taken: bool (n,)."""
    taken = np.zeros(len(truth), bool)
    hits = np.zeros(len(found), bool)
    for i, place in enumerate(found):
        distance = np.hypot(*(truth - place).T)
        distance[taken] = np.inf
        if len(truth) and distance.min() <= within:
            taken[distance.argmin()] = True
            hits[i] = True
    return hits


def average_precision(hits: np.ndarray, scores: np.ndarray, total: int) -> float:
    """Area under the precision-recall curve of detections with these scores, `total` true objects."""
    order = np.argsort(-scores)
    right = np.cumsum(hits[order])
    precision = right / np.arange(1, len(right) + 1)
    return float((precision * hits[order]).sum() / max(total, 1))
