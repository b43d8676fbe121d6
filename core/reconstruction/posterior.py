"""Samples of maps from the posterior of a learned prior and the images: annealed split Gibbs sampling.

At falling noise levels sigma the denoiser's answer to the map with noise stands for the prior: a Gaussian around it
whose width follows from sigma. The likelihood is exact: the draw from the product of both Gaussians is one linear
system (perturb and solve). The mean of several chains is the map, their standard deviation its uncertainty. After Wu
et al., "Principled probabilistic imaging using diffusion models as plug-and-play priors", NeurIPS 2024 (PnP-DM), and
Karras et al., NeurIPS 2022 (the denoiser).

A map made so holds density that comes from the prior alone where images say nothing: it is labelled, and no
resolution is ever computed from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from core.reconstruction.likelihood import Likelihood, solve

SIGMA_FIRST, SIGMA_LAST = 1.5, 0.04  # in units in which the maps of the prior's training have the deviation 0.5
SIGMA_DATA = 0.5
LEAST_DENSITY = -0.02  # of the prior's units: protein in vacuum has no holes below nothing
_ITERATIONS = 15


class Denoiser(Protocol):
    """What the sampler needs of a prior."""

    def denoise(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """The expected clean maps (k, L, L, L) of maps with noise of deviation `sigma`, in the prior's units."""
        ...


@dataclass(frozen=True, eq=False)
class Posterior:
    """`samples` (k, L, L, L) in the density of the images, and the `scale` of one unit of the prior."""

    samples: torch.Tensor
    scale: float

    @property
    def mean(self) -> torch.Tensor:
        """The map."""
        return self.samples.mean(dim=0)

    @property
    def deviation(self) -> torch.Tensor:
        """Its standard deviation, voxel by voxel; of one sample: zero, which means not known."""
        return self.samples.std(dim=0) if len(self.samples) > 1 else torch.zeros_like(self.samples[0])


def levels(count: int, first: float = SIGMA_FIRST, last: float = SIGMA_LAST) -> list[float]:
    """Falling noise levels in equal ratios."""
    return [first * (last / first) ** (i / max(count - 1, 1)) for i in range(count)]


def sample(
    data: Likelihood,
    prior: Denoiser,
    start: torch.Tensor,
    scale: float,
    mask: torch.Tensor,
    chains: int = 4,
    count: int = 24,
    seed: int = 0,
    step: Callable[[int, int, float, torch.Tensor], None] | None = None,
) -> Posterior:
    """Draw `chains` maps. `start` (L, L, L): a first map (Wiener's); `scale`: density of one unit of the prior;
    `mask`: where there may be density. `step(level, of how many, sigma, maps so far)` may raise to stop."""
    generator = torch.Generator().manual_seed(seed)
    noise_shape = (chains, *data.b.shape)

    def white() -> torch.Tensor:
        return torch.randn(noise_shape, generator=generator).to(data.b)

    maps = (start / scale).expand(noise_shape).clone()
    for i, sigma in enumerate(levels(count)):
        clean = prior.denoise(maps + sigma * white(), sigma).clamp_min(LEAST_DENSITY) * mask
        scale *= _fit(data, clean * scale)
        width = scale * sigma * SIGMA_DATA / (sigma**2 + SIGMA_DATA**2) ** 0.5
        maps = _product(data, clean * scale, width, white) / scale
        if step is not None:
            step(i, count, sigma, maps * scale)
    return Posterior(maps * scale, scale)


def _fit(data: Likelihood, clean: torch.Tensor) -> float:
    """Factor by which the images want the mean of these maps larger: the likelihood's own choice, kept near 1."""
    mean = clean.mean(dim=0)
    against = float((mean * data.apply(mean)).sum())
    if against <= 0:
        return 1.0
    return min(max(float((mean * data.b).sum()) / against, 0.8), 1.25)


def _product(data: Likelihood, around: torch.Tensor, width: float, white: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Draws from likelihood times a Gaussian of `width` around `around`: (H + 1/w^2)^-1 (b + around/w^2 + noise)."""
    tightness = 1 / width**2
    # noise of covariance H: white noise filtered with the root of its circulant neighbour, which is close to it
    spectrum = torch.fft.rfftn(white(), dim=(-3, -2, -1)) * data.weight.sqrt()
    measured = torch.fft.irfftn(spectrum, around.shape[-3:], dim=(-3, -2, -1))
    right = data.b + tightness * around + measured + tightness**0.5 * white()
    return solve(data, right, lambda v: tightness * v, tightness, start=around, iterations=_ITERATIONS)
