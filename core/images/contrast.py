"""From floating-point pixels to grey levels: automatic levels, 8-bit conversion, histogram.

Levels come from the pyramid level that is displayed: averaging narrows the noise, so the levels of the full
image would show a fitted micrograph flat and grey.
"""

from __future__ import annotations

import math

import numpy as np

SAMPLE = 1_000_000
LOW_PERCENT, HIGH_PERCENT = 0.5, 99.5
SIGMAS = 3.0


def subsample(image: np.ndarray, limit: int = SAMPLE) -> np.ndarray:
    """At most about `limit` pixels of (ny, nx), on a regular grid (a view)."""
    step = max(1, int(np.ceil(np.sqrt(image.size / limit))))
    return image[::step, ::step]


def auto_levels(image: np.ndarray, method: str = "percentile", limit: int = SAMPLE) -> tuple[float, float]:
    """(black, white) of a finite (ny, nx) image, black < white always.

    `percentile`: 0.5 and 99.5 %; `sigma`: mean -+ 3 standard deviations.
    """
    sample = subsample(image, limit).astype(np.float64)  # differences of float32 can leave its range
    if method == "percentile":
        low, high = (float(value) for value in np.percentile(sample, (LOW_PERCENT, HIGH_PERCENT)))
    elif method == "sigma":
        mean, std = float(sample.mean()), float(sample.std())
        low, high = mean - SIGMAS * std, mean + SIGMAS * std
    else:
        raise ValueError(f"unknown method {method}")
    return ordered(low, high)


def ordered(low: float, high: float) -> tuple[float, float]:
    """A usable (black, white) pair: constant images get a range around their value."""
    smallest = max(abs(low), abs(high), 1e-30) * 1e-6
    if not high - low > smallest:
        middle = (low + high) / 2
        half = max(abs(middle) * 0.5, 0.5)
        return middle - half, middle + half
    return low, high


def lookup_table(gamma: float = 1.0, invert: bool = False) -> np.ndarray:
    """256 grey values for a linear position 0..255 between black and white."""
    position = np.linspace(0.0, 1.0, 256)
    grey = np.rint(255.0 * position ** (1.0 / gamma)).astype(np.uint8)
    return grey[::-1].copy() if invert else grey


def positions(image: np.ndarray, black: float, white: float) -> np.ndarray:
    """uint8 of the shape of `image`: black -> 0, white -> 255, linear and rounded between; rows contiguous."""
    scale = np.float32(255.0 / (white - black))
    # Half a step is taken off black, so that cutting off the fraction rounds. Shaders do the same.
    scaled = np.subtract(image, np.float32(black) - np.float32(0.5) / scale, dtype=np.float32)
    np.multiply(scaled, scale, out=scaled)
    np.clip(scaled, 0.0, 255.0, out=scaled)
    return scaled.astype(np.uint8)


def to_8bit(image: np.ndarray, black: float, white: float, gamma: float = 1.0, invert: bool = False) -> np.ndarray:
    """uint8 (ny, nx): black -> 0, white -> 255, gamma > 1 brightens the middle; rows contiguous."""
    grey = positions(image, black, white)
    if gamma == 1.0:
        return np.subtract(255, grey, out=grey) if invert else grey
    return lookup_table(gamma, invert)[grey]


def histogram(image: np.ndarray, low: float, high: float, bins: int = 128) -> np.ndarray:
    """Counts of a subsample between `low` and `high`: what the contrast slider draws. Zeros for no such range."""
    reach = max(abs(low), abs(high))
    if not math.isfinite(reach) or not high - low > 4 * bins * np.spacing(reach):
        return np.zeros(bins, np.int64)
    sample = subsample(image, 1 << 16).astype(np.float64)  # runs in the window's thread: a few milliseconds
    return np.histogram(sample, bins=bins, range=(low, high))[0]
