"""Are particles light or dark? Told from the rotational mean of many of their images.

The density of a particle shows as a disc, or as a ring where it is hollow, and both are stronger than the fringes of
the opposite sign that the CTF lays around and inside: the sign of what stands out most is the sign of the particle.
The middle alone says nothing of shells.
"""

from __future__ import annotations

import numpy as np

_RINGS = 16  # from the middle to the edge of the box, at most
_RIM = 0.45  # of the box: beyond is background
_CLEAR, _FEW = 5.0, 4.0  # standard errors (the strongest ring of noise reaches 3.5), more for few images
_ONE_SIDED = 0.1  # of the cubes' sum of both signs: shells of apoferritin reach 0.27, compact particles 0.9


class ContrastSign:
    """Collects images (box, box), particle in the middle, and says whether particles are light."""

    def __init__(self, box: int) -> None:
        axis = np.arange(box) - box // 2
        radius = np.hypot(axis[:, None], axis[None])
        self._rim = radius > _RIM * box
        self._inside = radius < box / 2
        self._ring = (radius[self._inside] / max(1.0, box / 2 / _RINGS)).astype(np.int64)
        self._pixels = np.bincount(self._ring)
        self._profiles: list[np.ndarray] = []

    def add(self, image: np.ndarray) -> None:
        """One more image; one without contrast is left out."""
        spread = float(image.std())
        if spread > 0:
            values = (image[self._inside] - image[self._rim].mean()) / spread
            self._profiles.append(np.bincount(self._ring, values) / self._pixels)

    @property
    def sign(self) -> float:
        """1 for light particles, -1 for dark ones, 0 where it cannot be told."""
        if len(self._profiles) < 2:
            return 0.0
        profiles = np.stack(self._profiles)
        mean = profiles.mean(axis=0)
        error = profiles.std(axis=0) / np.sqrt(len(profiles))
        if not (np.abs(mean) > _CLEAR * (1 + _FEW / len(profiles)) * error).any():
            return 0.0
        cubes = self._pixels * mean**3
        share = cubes.sum() / np.abs(cubes).sum()
        return float(np.sign(share)) if abs(share) > _ONE_SIDED else 0.0
