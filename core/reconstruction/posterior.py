"""Samples of maps from the posterior of a learned prior and the images: annealed split Gibbs sampling.

At falling noise levels sigma the denoiser's answer to the map with noise stands for the prior: a Gaussian around it
whose width follows from sigma. The likelihood is exact: the most probable map under the product of both is one linear
system. With `exact`, a draw from the product takes its place (perturb and solve), which is what sampling demands and
gives rougher maps; without, the chains differ by the noise that the denoiser sees. The mean of several chains is the
map, their standard deviation its uncertainty. After Wu et al., "Principled probabilistic imaging using diffusion models
as plug-and-play priors", NeurIPS 2024 (PnP-DM), Zhu et al., CVPR Workshops 2023 (DiffPIR, without the draw), and Karras
et al., NeurIPS 2022 (the denoiser).

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
# The width is a little larger than that of a Gaussian of independent voxels: chosen on simulated 1AKE and 1AKI (.7 to
# 2.8 tried, 4 chains; at 1.4 the correlation with the truth is highest or within .001 of it in all five cases)
EASE = 1.4
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
    exact: bool = False,
    step: Callable[[int, int, float, torch.Tensor], None] | None = None,
) -> Posterior:
    """Run `chains` chains. `start` (L, L, L): a first map (Wiener's); `scale`: density of one unit of the prior;
    `mask`: where there may be density. `step(level, of how many, sigma, maps so far)` may raise to stop."""
    generator = torch.Generator().manual_seed(seed)
    noise_shape = (chains, *data.b.shape)

    def white() -> torch.Tensor:
        return torch.randn(noise_shape, generator=generator).to(data.b)

    maps = (start / scale).expand(noise_shape).clone()
    for i, sigma in enumerate(levels(count)):
        clean = prior.denoise(maps + sigma * white(), sigma) * mask
        scale *= _fit(data, clean * scale)
        width = EASE * scale * sigma * SIGMA_DATA / (sigma**2 + SIGMA_DATA**2) ** 0.5
        maps = _product(data, clean * scale, width, white if exact else None) / scale
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


def _product(
    data: Likelihood, around: torch.Tensor, width: float, white: Callable[[], torch.Tensor] | None
) -> torch.Tensor:
    """The peak of likelihood times a Gaussian of `width` around `around`, (H + 1/w^2)^-1 (b + around/w^2).

    Draws from it where `white` gives noise.
    """
    tightness = 1 / width**2
    right = data.b + tightness * around
    if white is not None:
        # noise of covariance H: white noise filtered with the root of its circulant neighbour, which is close to it
        spectrum = torch.fft.rfftn(white(), dim=(-3, -2, -1)) * data.weight.sqrt()
        right = right + torch.fft.irfftn(spectrum, around.shape[-3:], dim=(-3, -2, -1)) + tightness**0.5 * white()
    return solve(data, right, lambda v: tightness * v, tightness, start=around, iterations=_ITERATIONS)
