"""One micrograph in, one denoised micrograph out: the methods that the predict job chooses from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from core.compute.parallel import Workers
from core.denoising import baselines
from core.denoising.canonical import crop, fine_sigma, to_canonical
from core.denoising.collect import output_names as output_names
from core.denoising.inference import combine, run_network
from core.denoising.model import Denoiser
from core.errors import InputError
from core.io.coordinates import NoiseBoxes, match_names

Step = Callable[[int, int], None]
ASSUMED_DIAMETER_A = 150.0  # background scale of the linear filters, where no particle is known
MOST_ENLARGED, MOST_DIAMETER = 2.0, 4096  # a micrograph is enlarged at most twice; particles up to this many px
WIENER_BOX = 96  # px, where no patches are given


class Method(Protocol):
    """Denoises float32 (h, w) in the input's units; `pixel_size_a` may be unknown (None)."""

    name: str

    def __call__(self, image: np.ndarray, path: Path, pixel_size_a: float | None, step: Step) -> np.ndarray:
        """Denoise one micrograph."""
        ...


@dataclass
class Network:
    """A trained network, its gate, and the raw detail that is kept."""

    denoiser: Denoiser
    keep_raw: float
    workers: Workers
    name: str = "network"

    def __call__(self, image: np.ndarray, path: Path, pixel_size_a: float | None, step: Step) -> np.ndarray:
        """Denoise one micrograph."""
        facts = self.denoiser.facts
        diameter = facts.diameter_for(pixel_size_a)
        if facts.canonical_diameter > MOST_ENLARGED * diameter or diameter > MOST_DIAMETER:
            raise InputError(
                f"{path.name}: a particle would be {diameter:.0f} px across at {pixel_size_a:g} A/px, which this model "
                f"({facts.particle_diameter_px:g} px at {facts.pixel_size_a:g} A/px) cannot work with.",
                "Check the pixel size of both, or train on micrographs like these.",
                path,
            )
        canonical = to_canonical(image, diameter, facts.sign, facts.canonical_diameter)
        sigma = np.float32(fine_sigma(canonical.image, canonical.valid) * facts.calibration)
        raw = canonical.image / sigma
        out = run_network(self.denoiser.net, raw, math.log(facts.snr), self.workers, step)
        out = combine(out, raw, self.keep_raw, facts.gate_threshold, facts.canonical_diameter)
        return canonical.restore(out * sigma)


@dataclass
class Gaussian:
    """Gaussian low-pass with half amplitude at a resolution."""

    resolution_a: float
    name: str = "gaussian"

    def __call__(self, image: np.ndarray, path: Path, pixel_size_a: float | None, step: Step) -> np.ndarray:
        """Denoise one micrograph."""
        if pixel_size_a is None:
            raise InputError(
                f"{path.name} does not tell its pixel size, which gaussian:{self.resolution_a:g} needs.",
                "State it with --pixel-size.",
                path,
            )
        return baselines.gaussian(image, self.resolution_a, pixel_size_a)


@dataclass
class Wiener:
    """Radial Wiener filter; noise from the given boxes, else from the calmest places."""

    boxes: NoiseBoxes | None
    micrographs: Sequence[Path]  # all of them: which boxes belong to which is decided once
    diameter_px: float | None = None
    name: str = "wiener"

    def __post_init__(self) -> None:
        self._centres = match_names(self.boxes.positions, self.micrographs) if self.boxes else {}

    def __call__(self, image: np.ndarray, path: Path, pixel_size_a: float | None, step: Step) -> np.ndarray:
        """Denoise one micrograph."""
        diameter = self.diameter_px or ASSUMED_DIAMETER_A / (pixel_size_a or 1.0)
        patches = self._given(image, path)
        if patches is None:
            patches = baselines.calm_patches(image, min(WIENER_BOX, *image.shape), diameter)
        return baselines.wiener(image, patches, diameter)

    def _given(self, image: np.ndarray, path: Path) -> np.ndarray | None:
        if self.boxes is None or path not in self._centres:
            return None
        box = self.boxes.box_size or WIENER_BOX
        crops = (crop(image, x, y, box) for x, y in self._centres[path])
        found = [c for c in crops if c is not None]
        return np.stack(found) if found else None
