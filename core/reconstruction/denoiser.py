"""The network of the 3D prior: a small U-Net that denoises density maps, preconditioned after Karras et al. 2022 (EDM).

Maps are (b, 1, L, L, L) in units where a map's standard deviation over the box is SIGMA_DATA; L is a multiple of
MULTIPLE. Weights only: the loop is in core/jobs/train_prior.py, what is on disk in prior.py.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

SIGMA_DATA = 0.5
WIDTHS = (48, 64, 96)  # channels at 1/2, 1/4 and 1/8 of the box
MULTIPLE = 8  # box sides must be multiples of this
LEVEL_FEATURES, LEVEL_WIDTH = 16, 128
GROUPS = 8
MEAN_LOG_SIGMA, SPREAD_LOG_SIGMA = -1.2, 1.2  # noise levels of the training: log-normal


class Denoiser(nn.Module):
    """D(x; sigma): the expected clean map behind x = clean + sigma * white noise."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.widths = tuple(widths)
        first = widths[0]
        self.level = nn.Sequential(nn.Linear(2 * LEVEL_FEATURES, LEVEL_WIDTH), nn.SiLU())
        self.enter = nn.Conv3d(8, first, 3, padding=1)
        self.down = nn.ModuleList([Block(first, first), *(Block(a, b) for a, b in pairwise(widths))])
        self.narrow = nn.ModuleList([nn.Conv3d(b, a, 1) for a, b in pairwise(widths)])
        self.up = nn.ModuleList([Block(a, a) for a in widths[:-1]])
        self.leave = nn.Sequential(nn.GroupNorm(GROUPS, first), nn.SiLU(), nn.Conv3d(first, 8, 3, padding=1))
        _zero(self.leave[-1])

    def on(self, device: torch.device) -> Denoiser:
        """Move to a device, in the memory layout that convolutions like."""
        self.to(device)
        for weight in self.parameters():
            if weight.dim() == 5:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last_3d)
        return self

    def forward(
        self,
        noisy: Tensor,  # (b, 1, L, L, L)
        sigma: Tensor,  # (b,) > 0
    ) -> Tensor:  # (b, 1, L, L, L) float32
        """Preconditioned denoising: as sigma goes to 0 the answer goes to the input, whatever the weights are."""
        sigma = sigma.float()
        skip, out, enter = (factor[:, None, None, None, None] for factor in preconditioning(sigma))
        return skip * noisy.float() + out * self.network(enter * noisy.float(), sigma)

    def network(self, scaled: Tensor, sigma: Tensor) -> Tensor:
        """What is learnt: F of EDM, an estimate of unit variance, (b, 1, L, L, L)."""
        level = self.level(_features(sigma))
        x = self.enter(space_to_depth(scaled).contiguous(memory_format=torch.channels_last_3d))
        skips = []
        for i, block in enumerate(self.down):
            x = block(functional.avg_pool3d(x, 2) if i else x, level)
            skips.append(x)
        for i in reversed(range(len(self.up))):
            x = skips[i] + functional.interpolate(self.narrow[i](x), scale_factor=2, mode="nearest")
            x = self.up[i](x, level)
        return depth_to_space(self.leave(x).float())


class Block(nn.Module):
    """Residual block: two convolutions, the second one scaled and shifted by the noise level (adaptive GroupNorm)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(GROUPS, inputs), nn.SiLU(), nn.Conv3d(inputs, outputs, 3, padding=1))
        self.norm = nn.GroupNorm(GROUPS, outputs, affine=False)
        self.adapt = nn.Linear(LEVEL_WIDTH, 2 * outputs)
        self.second = nn.Conv3d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv3d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        _zero(self.adapt)
        _zero(self.second)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Same size, other channels."""
        scale, shift = self.adapt(level)[:, :, None, None, None].chunk(2, dim=1)
        inner = functional.silu(self.norm(self.first(x)) * (1 + scale) + shift)
        return self.skip(x) + self.second(inner)


def preconditioning(sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """c_skip, c_out and c_in of EDM for noise levels of any shape."""
    total = sigma.square() + SIGMA_DATA**2
    return SIGMA_DATA**2 / total, sigma * SIGMA_DATA / total.sqrt(), total.rsqrt()


def denoising_loss(net: nn.Module, clean: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """Mean squared error of the denoised maps, weighted so that every noise level counts the same (1 = nothing learnt).

    clean and noise (b, 1, L, L, L), sigma (b,).
    """
    answer = net(clean + sigma[:, None, None, None, None] * noise, sigma)
    error = (answer - clean).square().mean((1, 2, 3, 4))
    return (error * (sigma.square() + SIGMA_DATA**2) / (sigma * SIGMA_DATA).square()).mean()


def draw_sigma(count: int, generator: torch.Generator) -> Tensor:
    """Noise levels of a training step: (count,) log-normal."""
    return (MEAN_LOG_SIGMA + SPREAD_LOG_SIGMA * torch.randn(count, generator=generator)).exp()


def space_to_depth(maps: Tensor) -> Tensor:
    """(b, 1, L, L, L) -> (b, 8, L/2, L/2, L/2): every 2x2x2 cell becomes channels."""
    b, _, d, h, w = maps.shape
    cells = maps.reshape(b, d // 2, 2, h // 2, 2, w // 2, 2)
    return cells.permute(0, 2, 4, 6, 1, 3, 5).reshape(b, 8, d // 2, h // 2, w // 2)


def depth_to_space(cells: Tensor) -> Tensor:
    """The inverse of space_to_depth."""
    b, _, d, h, w = cells.shape
    maps = cells.reshape(b, 2, 2, 2, d, h, w).permute(0, 4, 1, 5, 2, 6, 3)
    return maps.reshape(b, 1, 2 * d, 2 * h, 2 * w)


def _features(sigma: Tensor) -> Tensor:
    """Sines and cosines of log(sigma) / 4: (b, 2 * LEVEL_FEATURES)."""
    rates = 2.0 ** torch.linspace(-1, 4, LEVEL_FEATURES, device=sigma.device)
    angle = sigma.log()[:, None] / 4 * rates * math.pi
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def _zero(layer: nn.Module) -> None:
    for weight in layer.parameters():
        nn.init.zeros_(weight)
