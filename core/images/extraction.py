"""Cutting particles out of a micrograph: which boxes lie inside, background, smaller boxes.

Images are (n, box, box) float32 with the particle's centre at pixel box // 2. No files here: jobs/extract.py has them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.physics.fourier import fourier_resample

BACKGROUND = 0.75  # of the box: the circle around the particle, where no diameter is given


def whole_pixels(
    xy: np.ndarray, origins_a: np.ndarray, pixel_size_a: float, recentre: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Centre pixels (n, 2) int64 of the boxes, and the origins (n, 2) in Å that the particles have in them.

    `xy` (n, 2): positions in px; `origins_a`: the shift in Å that brings the particle into the middle of a box at `xy`.
    `recentre`: boxes are moved to where the origins say the particles are.
    """
    particle = xy - origins_a / pixel_size_a
    centre = np.rint(particle if recentre else xy).astype(np.int64)
    return centre, (centre - particle) * pixel_size_a


def inside(centre: np.ndarray, box: int, shape: tuple[int, int]) -> np.ndarray:
    """Which boxes (n,) about these pixels (n, 2: x, y) lie wholly within a micrograph (ny, nx)."""
    first = centre - box // 2
    return np.all((first >= 0) & (first + box <= np.array(shape[::-1])), axis=1)


def boxes(image: np.ndarray, centre: np.ndarray, box: int) -> Iterator[np.ndarray]:
    """Views (box, box) of a micrograph about pixels (n, 2), which must be `inside`."""
    for x, y in centre - box // 2:
        yield image[y : y + box, x : x + box]


class Finish:
    """What is done to every box: reduced to `size` px in Fourier space, flattened and normalised, inverted.

    Normalised: a plane through the background (outside the circle of `diameter_px`, in px of the uncut box) is taken
    off, and its standard deviation becomes 1. Without it grey values stay.
    """

    def __init__(self, box: int, size: int, diameter_px: float | None, normalise: bool) -> None:
        self.box, self.size, self.normalise, self.sign = box, size, normalise, 1.0
        radius = (BACKGROUND * box if diameter_px is None else diameter_px) / 2 * size / box
        axis = np.arange(size) - size // 2
        self._outside = np.hypot(axis[:, None], axis[None]).ravel() > radius
        y, x = (grid.ravel() / size for grid in np.meshgrid(axis, axis, indexing="ij"))
        self._plane = np.stack([np.ones_like(x), x, y], axis=1)
        self._fit = np.linalg.pinv(self._plane[self._outside])

    @property
    def background(self) -> int:
        """Pixels of the background."""
        return int(self._outside.sum())

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """A box (box, box) as it is written: float32 (size, size)."""
        values = fourier_resample(np.ascontiguousarray(image, np.float32), (self.size, self.size))
        if self.normalise:
            flat = values.ravel().astype(np.float64)
            flat = flat - self._plane @ (self._fit @ flat[self._outside])
            spread = flat[self._outside].std()
            values = (flat / spread if spread > 0 else flat).reshape(values.shape)
        return (self.sign * values).astype(np.float32)
