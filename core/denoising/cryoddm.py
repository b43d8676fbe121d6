"""Training pairs of CryoDDM's published scheme, for comparison by name (`forward --method cryoddm`).

Three kinds take turns: s1, a raw crop onto itself; s2, one step back along the chain (noisier to less noisy: the
public code's validation runs the other way, which is not repeated); s3, one noise field onto another.
"""

from __future__ import annotations

import numpy as np
import torch

from core.denoising.dataset import TrainingSet
from core.denoising.pairs import UNKNOWN, Batch
from core.physics.noise import noise_mosaic


class CryoddmPairs:
    """Draws batches like core.denoising.pairs.PairMaker, from the stacks of a cryoddm training set."""

    def __init__(self, training: TrainingSet) -> None:
        self.particles = training.particles
        self.noise = training.noise
        self.inputs = training.stack("s2/input.mrcs")
        self.labels = training.stack("s2/label.mrcs")
        self.seed = int(training.manifest["seed"])

    def batch(self, step: int, count: int) -> Batch:
        """Pairs (n, 1, s, s) with log SNR 0 and no presence: the scheme knows neither noise level nor places."""
        rng = np.random.default_rng([self.seed, 5, step])
        kind = step % 3
        if kind == 0:
            chosen = self.particles[rng.integers(len(self.particles), size=count)]
            pair = chosen, chosen
        elif kind == 1:
            index = rng.integers(len(self.inputs), size=count)
            pair = self.inputs[index], self.labels[index]
        else:
            shape = self.particles.shape[1:]
            fields = [np.stack([noise_mosaic(self.noise, shape, rng) for _ in range(count)]) for _ in range(2)]
            pair = fields[0], fields[1]
        noisy, target = (torch.from_numpy(np.ascontiguousarray(a, np.float32))[:, None] for a in pair)
        return Batch(noisy, target, torch.full_like(target, UNKNOWN), torch.zeros(count))
