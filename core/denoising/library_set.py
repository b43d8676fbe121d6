"""A training set without anybody's data: the clean library with drawn noise, from which the generic model is trained.

It answers what core/jobs/train.py asks of a TrainingSet; there are no raw particles, so nothing is measured on them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from core.denoising.canonical import CANONICAL_DIAMETER
from core.denoising.dataset import VALIDATION_STEP
from core.denoising.model import GENERIC
from core.denoising.pairs import PairMaker, Recipe
from core.physics.library_file import open_library

DIAMETERS_A = (60.0, 350.0)  # particles that the generic model is meant for
SNR_RANGE = (0.02, 3.0)
VALIDATION_PAIRS = 48
PAIRS_PER_EPOCH = 4096


def is_library(folder: Path) -> bool:
    """Whether a folder holds a clean library and not a training set."""
    return (folder / "library.safetensors").is_file() and not (folder / "manifest.json").exists()


class LibrarySet:
    """A clean library opened for training."""

    method = GENERIC
    pairs_per_epoch = PAIRS_PER_EPOCH
    log_snr = math.log(0.12)
    particles = None  # nobody's data
    halves = None

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.library = open_library(folder)
        pixels = (DIAMETERS_A[0] / CANONICAL_DIAMETER, DIAMETERS_A[1] / CANONICAL_DIAMETER)
        self.recipe = Recipe(CANONICAL_DIAMETER, pixels, *SNR_RANGE, seed=seed)
        self.created = f"{len(self.library.names)} specimens, first {self.library.names[0]}, seed {seed}"

    def pairs(self) -> PairMaker:
        """The source of fresh pairs."""
        return PairMaker(self.library, None, None, self.recipe)

    def validation(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Held-out input, target (n, h, w) and log SNR (n,)."""
        pairs = self.pairs().batch(VALIDATION_STEP, VALIDATION_PAIRS)
        return pairs.noisy[:, 0].numpy(), pairs.target[:, 0].numpy(), pairs.log_snr.numpy()

    def facts(self) -> dict[str, Any]:
        """What a model must know about it."""
        return {
            "method": GENERIC,
            "particle_diameter_px": self.recipe.diameter,
            "pixel_size_a": None,
            "canonical_diameter": self.recipe.diameter,
            "calibration": 1.0,
            "sign": 1.0,
            "snr": math.exp(self.log_snr),
            "specimens": self.library.names,
        }
