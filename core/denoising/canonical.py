"""The canonical scale every network works at, and the exact way back to the input's units.

A micrograph is flattened (its smooth background removed), cleared of outliers, Fourier-resampled so that a
particle is CANONICAL_DIAMETER px across, and divided by its own noise sigma. One network then serves any pixel
size, with up to tens of times fewer pixels. Prediction multiplies by the same sigma and adds the background.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage as ndi

from core.denoising.hot_pixels import without_hot_pixels
from core.physics.fourier import fourier_resample

CANONICAL_DIAMETER = 32.0  # px; smaller particles stay at their own size
BACKGROUND_DIAMETERS = 1.5  # sigma of the Gaussian background
OUTLIER_SIGMAS = 8.0
MASK_BLOCK = 8  # px
PADDING = 32  # px, at least, between the end of an image and its periodic repetition


def canonical_diameter(diameter_px: float) -> float:
    """Particle diameter at the canonical scale, px."""
    return min(CANONICAL_DIAMETER, float(diameter_px))


@dataclass(frozen=True)
class SmoothField:
    """A smooth image kept on a coarse grid: `small` (m, n) float32, interpolated linearly to `shape`.

    Pixel i of a column lies at (i - offset) / step[0] of the coarse grid, and alike along a row.
    """

    small: np.ndarray
    step: tuple[float, float]  # input px per coarse px, along a column and along a row
    offset: float
    shape: tuple[int, int]

    def rows(self, top: int, bottom: int) -> np.ndarray:
        """The rows top..bottom of the full image: float32 (bottom - top, width)."""
        low, high, u = self._weights(np.arange(top, bottom), 0)
        first, last = int(low.min()), int(high.max()) + 1
        left, right, t = self._weights(np.arange(self.shape[1]), 1)
        part = self.small[first:last]
        wide = part[:, left] * (1 - t) + part[:, right] * t
        return wide[low - first] * (1 - u[:, None]) + wide[high - first] * u[:, None]

    def add_to(self, image: np.ndarray, sign: float = 1.0) -> None:
        """Add sign * field to a float32 image of `shape`, in place, a few rows at a time."""
        for top in range(0, self.shape[0], 256):
            bottom = min(top + 256, self.shape[0])
            image[top:bottom] += np.float32(sign) * self.rows(top, bottom)

    def _weights(self, pixels: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coarse pixels before and behind, and how far between."""
        m = self.small.shape[axis]
        position = np.clip((pixels - self.offset) / self.step[axis], 0, m - 1)
        low = np.minimum(position.astype(int), max(m - 2, 0))
        return low, np.minimum(low + 1, m - 1), (position - low).astype(np.float32)


def background(image: np.ndarray, diameter_px: float) -> SmoothField:
    """Smooth background of a float32 (h, w) image: Gaussian of 1.5 particle diameters, reflected at the border.

    Computed on block means, because nothing finer than an eighth of sigma survives the Gaussian; without hot pixels,
    one of which could lift it for particle diameters around.
    """
    image = without_hot_pixels(image)
    sigma = BACKGROUND_DIAMETERS * diameter_px
    factor = max(1, int(sigma // 8))
    small = ndi.gaussian_filter(_block_mean(image, factor), sigma / factor, mode="reflect")
    return SmoothField(small, (factor, factor), (factor - 1) / 2, (image.shape[0], image.shape[1]))


def _block_mean(image: np.ndarray, factor: int) -> np.ndarray:
    """Means over factor x factor blocks; the last block of a row or column may be smaller."""
    if factor == 1:
        return image
    rows = np.arange(0, image.shape[0], factor)
    cols = np.arange(0, image.shape[1], factor)
    sums = np.add.reduceat(np.add.reduceat(image, rows, axis=0, dtype=np.float32), cols, axis=1)
    heights: np.ndarray = np.diff(np.append(rows, image.shape[0]))
    widths: np.ndarray = np.diff(np.append(cols, image.shape[1]))
    areas = np.outer(heights, widths).astype(np.float32)
    return np.asarray(sums / areas, np.float32)


@dataclass
class Canonical:
    """A micrograph at the canonical scale: `image` float32 (h, w), flattened, in the input's units.

    `scale_y`, `scale_x`: canonical px per input px. `shape`: the input's. `sign`: -1 where particles are light.
    """

    image: np.ndarray
    background: SmoothField
    shape: tuple[int, int]
    padded: tuple[int, int]
    sign: float
    outliers: int
    valid: np.ndarray | None = None  # (h, w) bool, where the image is not masked out; None: everywhere

    @property
    def scale_y(self) -> float:
        """Canonical pixels per input pixel along a column."""
        return self.image.shape[0] / self.padded[0]

    @property
    def scale_x(self) -> float:
        """Canonical pixels per input pixel along a row."""
        return self.image.shape[1] / self.padded[1]

    def restore(self, image: np.ndarray) -> np.ndarray:
        """A canonical (h, w) result back on the input's grid, units and background: float32 `shape`."""
        full = image if image.shape == self.padded else fourier_resample(image, self.padded)
        full = np.ascontiguousarray(full[: self.shape[0], : self.shape[1]])
        if self.sign < 0:
            full = -full
        elif full is image:
            full = full.copy()
        self.background.add_to(full)
        return full

    def smooth(self, image: np.ndarray) -> SmoothField:
        """A smooth canonical (h, w) image on the input's grid, by linear interpolation."""
        return SmoothField(image, (1 / self.scale_y, 1 / self.scale_x), 0.0, self.shape)

    def centres(self, xy: np.ndarray) -> np.ndarray:
        """Input positions (n, 2) x, y on the canonical grid."""
        return np.asarray(xy, float) * [self.scale_x, self.scale_y]


def to_canonical(image: np.ndarray, diameter_px: float, sign: float = 1.0, canonical: float | None = None) -> Canonical:
    """Flatten and resample one micrograph so that a particle of `diameter_px` is `canonical` px across.

    `sign` -1 turns light particles dark. Masked regions (blocks of one value) count neither for the background
    nor for the noise level, and are 0 in the result.
    """
    height, width = image.shape
    scale = (canonical or canonical_diameter(diameter_px)) / diameter_px
    resample = abs(scale - 1) > 1e-6
    padded, shape = _grids(image.shape, scale) if resample else ((height, width), (height, width))
    flat = np.zeros(padded, np.float32)
    inner = flat[:height, :width]
    np.copyto(inner, image)
    masked = masked_pixels(image)
    if masked is not None and not masked.all():
        inner[masked] = np.median(image[~masked][:: max(1, int((~masked).sum() // 1_000_000))])
    smooth = background(inner, diameter_px)
    smooth.add_to(inner, -1.0)
    if masked is not None:
        inner[masked] = 0.0
    outliers = _clear_outliers(inner, masked)
    if sign < 0:
        np.negative(inner, out=inner)
    _close_period(flat, height, axis=0)
    _close_period(flat, width, axis=1)
    resampled = fourier_resample(flat, shape) if resample else flat
    valid = None if masked is None else _valid_at(masked, resampled.shape, padded)
    return Canonical(resampled, smooth, (height, width), padded, sign, outliers, valid)


def masked_pixels(image: np.ndarray) -> np.ndarray | None:
    """Where blocks of MASK_BLOCK x MASK_BLOCK px hold a single value: bool (h, w), or None when nowhere."""
    rows, cols = (n // MASK_BLOCK for n in image.shape)
    if not rows or not cols:
        return None
    blocks = image[: rows * MASK_BLOCK, : cols * MASK_BLOCK].reshape(rows, MASK_BLOCK, cols, MASK_BLOCK)
    constant = blocks.max(axis=(1, 3)) == blocks.min(axis=(1, 3))
    if not constant.any():
        return None
    full = np.repeat(np.repeat(constant, MASK_BLOCK, axis=0), MASK_BLOCK, axis=1)
    return np.pad(full, [(0, n - m) for n, m in zip(image.shape, full.shape, strict=True)], mode="edge")


def _valid_at(masked: np.ndarray, shape: tuple[int, ...], padded: tuple[int, int]) -> np.ndarray:
    """The unmasked pixels on the canonical grid; the padding counts as masked."""
    rows = np.minimum(np.arange(shape[0]) * padded[0] // shape[0], padded[0] - 1)
    cols = np.minimum(np.arange(shape[1]) * padded[1] // shape[1], padded[1] - 1)
    valid = np.zeros(shape, bool)
    inside_r, inside_c = rows < masked.shape[0], cols < masked.shape[1]
    valid[np.ix_(inside_r, inside_c)] = ~masked[np.ix_(rows[inside_r], cols[inside_c])]
    return valid


def _close_period(flat: np.ndarray, size: int, axis: int) -> None:
    """Fill the padding behind `size` so that the end runs smoothly into the beginning, in place.

    The transform sees the image as periodic: a jump there would ring through the whole resampled image.
    """
    view = flat if axis == 0 else flat.T
    padding = view.shape[0] - size
    if padding:
        fade = (0.5 - 0.5 * np.cos(np.pi * (np.arange(padding) + 0.5) / padding)).astype(np.float32)[:, None]
        offset = np.arange(padding)  # modulo the size: a tiny image is shorter than its padding
        end, beginning = view[size - 1 - offset % size], view[offset[::-1] % size]
        view[size:] = end * (1 - fade) + beginning * fade


def _clear_outliers(flat: np.ndarray, masked: np.ndarray | None) -> int:
    """Set hot and dead pixels of a flattened image to 0, in place; returns how many."""
    limit = OUTLIER_SIGMAS * robust_sigma(flat if masked is None else flat[~masked])
    count = 0
    for top in range(0, flat.shape[0], 512):
        rows = flat[top : top + 512]
        bad = np.abs(rows) > limit
        found = int(bad.sum())
        if found:
            rows[bad] = 0.0
            count += found
    return count


def _fast(n: int) -> int:
    """The next size from n on that transforms quickly."""
    return scipy.fft.next_fast_len(n, real=True) or n


def _grids(shape: tuple[int, ...], scale: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """Even, FFT-friendly padded input grid and the canonical grid nearest to `scale`."""
    padded, small = [], []
    for n in shape:
        p = n + min(PADDING, n) + n % 2
        while _fast(p) != p or p % 2:
            p = _fast(p + 1)
        padded.append(p)
        small.append(max(16, 2 * round(p * scale / 2)))
    return (padded[0], padded[1]), (small[0], small[1])


def robust_sigma(image: np.ndarray) -> float:
    """Standard deviation from the quartiles of about a million pixels; never 0."""
    if not image.size:
        return 1e-12
    step = max(1, int((image.size / 1e6) ** (1 / image.ndim)))
    low, high = np.percentile(image[(slice(None, None, step),) * image.ndim], [25, 75])
    return max(float(high - low) / 1.349, 1e-12)


def fine_sigma(image: np.ndarray, valid: np.ndarray | None = None) -> float:
    """Noise level from the finest detail, without picks: robust spread of the 3 x 3 noise kernel of Immerkaer (1996).

    Particles hardly reach those frequencies, so a crowded and an empty micrograph give the same answer. For white
    noise it is sigma; training stores its ratio to the sigma of real empty patches.
    """
    rows = image[:-2] - 2 * image[1:-1] + image[2:]
    detail = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    if valid is not None:
        detail = detail[valid[1:-1, 1:-1]]
    return robust_sigma(detail) / 6.0


def crop(image: np.ndarray, x: float, y: float, size: int) -> np.ndarray | None:
    """The (size, size) box whose pixel size // 2 lies on the pixel nearest to (x, y); None beyond the border."""
    left, top = round(x) - size // 2, round(y) - size // 2
    if left < 0 or top < 0 or left + size > image.shape[1] or top + size > image.shape[0]:
        return None
    return image[top : top + size, left : left + size]


def cut(image: np.ndarray, x: int, y: int, size: int) -> np.ndarray:
    """`crop` for a box that is known to lie inside."""
    piece = crop(image, x, y, size)
    if piece is None:
        raise ValueError(f"a box of {size} px at ({x}, {y}) reaches over the border of {image.shape}")
    return piece
