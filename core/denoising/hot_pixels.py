"""Single pixels far beyond all others: found, and replaced by what lies around them.

A large dark or bright region (carbon, a grid bar) is no hot pixel: what counts is how a pixel stands out of its
own surroundings. What is left for a network to see is canonical.py's business.
"""

from __future__ import annotations

import numpy as np

HOT_SIGMAS = 32.0  # from the median of the image, and from that of the surroundings
_REACH = 3  # px: surroundings of 7 x 7
_MOST = 1 << 18  # pixels that are looked at, the strongest first
_AT_ONCE = 1 << 15


def without_hot_pixels(image: np.ndarray) -> np.ndarray:
    """Float32 (h, w) with hot pixels at the median of their surroundings; the image itself where there are none.

    Nothing is done where more than half of the pixels are alike: there is no spread to compare with.
    """
    step = max(1, int((image.size / 1e6) ** 0.5))
    low, middle, high = (float(v) for v in np.percentile(image[::step, ::step], [25, 50, 75]))
    limit = HOT_SIGMAS * (high - low) / 1.349
    if not limit > 0 or max(float(image.max()) - middle, middle - float(image.min())) <= limit:
        return image
    rows, cols = np.nonzero(np.abs(image - np.float32(middle)) > limit)
    if len(rows) > _MOST:
        strongest = np.argpartition(-np.abs(image[rows, cols] - middle), _MOST)[:_MOST]
        rows, cols = rows[strongest], cols[strongest]
    result = image.copy()
    padded = np.pad(image, _REACH, mode="reflect" if min(image.shape) > _REACH else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * _REACH + 1,) * 2)
    for start in range(0, len(rows), _AT_ONCE):
        at = rows[start : start + _AT_ONCE], cols[start : start + _AT_ONCE]
        around = np.median(windows[at].reshape(len(at[0]), -1), axis=1)
        result[at] = np.where(np.abs(image[at] - around) > limit, around, image[at])
    return result
