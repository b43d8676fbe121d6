"""One micrograph in, one denoised micrograph out: the methods that the predict job chooses from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from core.compute.parallel import Workers
from core.denoising import baselines
from core.denoising.canonical import Canonical, crop, fine_sigma, to_canonical
from core.denoising.collect import output_names as output_names
from core.denoising.inference import run_network
from core.denoising.model import Denoiser
from core.denoising.parts import Parts, file_mark, finish, load_parts, make_parts, save_parts
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
    """A trained network, and how much raw data is kept (core/denoising/parts.py)."""

    denoiser: Denoiser
    keep_raw: float
    workers: Workers
    parts_of: Callable[[Path], Path] | None = None  # where the pieces of a micrograph are kept
    digest: str = ""  # of the model file
    reuse: bool = True  # pieces that this model made of the same file before
    reused: int = 0  # micrographs that were put together from such pieces, without the network
    name: str = "network"

    def __call__(self, image: np.ndarray, path: Path, pixel_size_a: float | None, step: Step) -> np.ndarray:
        """Denoise one micrograph."""
        canonical = self.canonical(image, path, pixel_size_a)
        if self.parts_of is None:
            parts, sigma = self.take_apart(canonical, step)
            return finish(image, canonical, parts, sigma, self.keep_raw)
        made_by = self._made_by(path, pixel_size_a)
        kept = self._kept(self.parts_of(path), canonical, made_by)
        parts, sigma = kept or self.take_apart(canonical, step)
        if kept is not None:
            self.reused += 1
        else:
            save_parts(self.parts_of(path), parts, sigma, made_by)
        return finish(image, canonical, parts, sigma, self.keep_raw)

    def canonical(self, image: np.ndarray, path: Path, pixel_size_a: float | None) -> Canonical:
        """The micrograph at the network's scale, or one sentence why it cannot be brought there."""
        facts = self.denoiser.facts
        diameter = facts.diameter_for(pixel_size_a)
        if facts.canonical_diameter > MOST_ENLARGED * diameter or diameter > MOST_DIAMETER:
            raise InputError(
                f"{path.name}: a particle would be {diameter:.0f} px across at {pixel_size_a:g} A/px, which this model "
                f"({facts.particle_diameter_px:g} px at {facts.pixel_size_a:g} A/px) cannot work with.",
                "Check the pixel size of both, or train on micrographs like these.",
                path,
            )
        return to_canonical(image, diameter, facts.sign, facts.canonical_diameter)

    def take_apart(self, canonical: Canonical, step: Step) -> tuple[Parts, float]:
        """Run the network: the pieces of the denoised micrograph, and the noise sigma in the input's units."""
        facts = self.denoiser.facts
        sigma = fine_sigma(canonical.image, canonical.valid) * facts.calibration
        raw = canonical.image / np.float32(sigma)
        network, logit = run_network(self.denoiser.net, raw, math.log(facts.snr), self.workers, step)
        parts = make_parts(raw, network, logit, facts.gains, facts.opening, facts.canonical_diameter)
        if canonical.valid is not None:
            parts = parts.masked(canonical.valid)
        return parts, sigma

    def _made_by(self, path: Path, pixel_size_a: float | None) -> dict[str, Any]:
        """Of which file, by which model, at which scale: all that putting the pieces together needs to know."""
        facts = self.denoiser.facts
        scale = {"diameter_px": facts.diameter_for(pixel_size_a), "canonical_px": facts.canonical_diameter}
        return {"model": self.digest, **file_mark(path), **scale, "sign": facts.sign}

    def _kept(self, pieces: Path, canonical: Canonical, made_by: dict[str, Any]) -> tuple[Parts, float] | None:
        """Pieces that this model made of this file before: only the mixing is done anew."""
        if not self.digest or not self.reuse or not pieces.exists():
            return None
        try:
            parts, sigma, before = load_parts(pieces)
        except InputError:
            return None
        fits = before == made_by and parts.gate.shape == canonical.image.shape
        return (parts, sigma) if fits else None


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
