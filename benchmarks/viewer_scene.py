"""The picture that the viewer benchmark shows, and what a fitted view of it should look like.

Only numpy: rivals run this in environments of their own.
"""

from __future__ import annotations

import numpy as np

MEAN, NOISE = 20.0, 2.0
BLACK, WHITE = MEAN - 3 * NOISE, MEAN + 3 * NOISE
DISC_RADIUS, DISC_DEPTH = 28, 0.5  # px; depth in units of the noise: one pixel says almost nothing
_CELL = 150  # px: one disc in every other square of this side
_BLOCK = 512


def micrograph(ny: int, nx: int, seed: int = 0) -> np.ndarray:
    """float32 (ny, nx): white noise and weak dark discs with soft edges, at the same places every time."""
    rng = np.random.default_rng(seed)
    image = np.empty((ny, nx), np.float32)
    for top in range(0, ny, _BLOCK):
        rng.standard_normal(out=image[top : top + _BLOCK], dtype=np.float32)
    reach = DISC_RADIUS + 8
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    disc = (DISC_DEPTH / (1 + np.exp((np.hypot(y, x) - DISC_RADIUS) / 1.5))).astype(np.float32)
    for _ in range(ny * nx // (2 * _CELL**2)):
        row, column = rng.integers(reach, ny - reach), rng.integers(reach, nx - reach)
        image[row - reach : row + reach + 1, column - reach : column + reach + 1] -= disc
    image *= np.float32(NOISE)
    image += np.float32(MEAN)
    return image


def fit_zoom(shape: tuple[int, int], view: tuple[int, int]) -> float:
    """Device pixels per image pixel when (ny, nx) just fits into (width, height)."""
    return min(view[0] / shape[1], view[1] / shape[0])


def _row_means(image: np.ndarray, zoom: float, count: int) -> np.ndarray:
    """Exact means of the rows below each of `count` screen rows: (count, nx) float64."""
    ny, nx = image.shape
    edges = np.minimum(np.arange(count + 1) / zoom, ny)
    low = np.minimum(edges.astype(int), ny - 1)
    part = (edges - low)[:, None]
    means = np.empty((count, nx))
    for left in range(0, nx, _BLOCK):
        block = image[:, left : left + _BLOCK]
        sums = np.zeros((ny + 1, block.shape[1]))
        np.cumsum(block, axis=0, dtype=np.float64, out=sums[1:])
        means[:, left : left + _BLOCK] = np.diff(sums[low] + part * block[low], axis=0)
    return means / np.diff(edges)[:, None]


def area_means(image: np.ndarray, zoom: float) -> np.ndarray:
    """What each screen pixel of the whole image at `zoom` (<= 1) covers, averaged exactly.

    The image's corner lies on a pixel's corner; float64 (round(ny * zoom), round(nx * zoom)).
    """
    rows, columns = (max(1, round(side * zoom)) for side in image.shape)
    return _row_means(_row_means(image, zoom, rows).T, zoom, columns).T


def correlation(shown: np.ndarray, exact: np.ndarray, left: int, top: int) -> float:
    """Pearson correlation of the middle of `exact` with what is shown there, its corner at (left, top) of `shown`.

    A viewer may round its corner differently: the best of shifts by up to one pixel counts.
    """
    margin = min(exact.shape) // 9
    inner = exact[margin:-margin, margin:-margin]
    best = 0.0
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            y, x = top + margin + dy, left + margin + dx
            seen = shown[max(y, 0) : y + inner.shape[0], max(x, 0) : x + inner.shape[1]]
            if seen.shape == inner.shape and seen.std() > 0:
                best = max(best, float(np.corrcoef(seen.ravel(), inner.ravel())[0, 1]))
    return best
