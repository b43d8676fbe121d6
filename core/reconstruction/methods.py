"""Maps from the statistics of images: weighted backprojection, Wiener filter, and positivity.

All three start from the same likelihood (likelihood.py); the method with a learned prior is posterior.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from core.metrics.fsc import auto_mask
from core.reconstruction import shells
from core.reconstruction.likelihood import Likelihood, fourier_precision, solve

Step = Callable[[int, int, torch.Tensor], None]  # iteration, of how many, the map so far; may raise to stop

WIENER_ITERATIONS = 30
POSITIVE_ITERATIONS = 200
_EASED = 0.3  # share of the Gaussian prior's weight under positivity; .1 to 1 differ by .01 in correlation at most
_DAMPED = 0.1  # of the mean data weight of a shell, in half maps
_RIDGE = 1e-3  # of the mean data weight of a shell: what is not measured at all becomes zero, not noise


def backproject(data: Likelihood) -> torch.Tensor:
    """Weighted backprojection: b divided by the data weight of every Fourier coefficient, with a small ridge."""
    ridge = shells.spread(_RIDGE * shells.shell_mean(data.weight), data.box).to(data.weight) + 1e-12
    return fourier_precision(1 / (data.weight + ridge), data.b)


def half_map(data: Likelihood) -> torch.Tensor:
    """A map of half of the images for the FSC: backprojected, its spectrum not filtered.

    A filter that falls from shell to shell would let strong coarse shells leak through a mask into weak fine ones,
    where the halves of mere noise would then agree. Only what is measured much less than its shell is damped.
    """
    level = shells.spread(shells.shell_mean(data.weight), data.box).to(data.weight)
    return fourier_precision(1 / (data.weight + _DAMPED * level + 1e-12), data.b)


def sphere(box: int, radius: float | None = None, soft: float = 3.0) -> torch.Tensor:
    """Mask (L, L, L) of a ball of `radius` voxels (default: as large as fits) with a soft rim."""
    radius = box / 2 - soft - 1 if radius is None else radius
    axis = torch.arange(box, dtype=torch.float32) - box // 2
    distance = torch.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2)
    rim = ((radius + soft - distance) / soft).clamp(0, 1)
    return 0.5 - 0.5 * torch.cos(torch.pi * rim)


def signal_power(first: Likelihood, second: Likelihood, mask: torch.Tensor) -> torch.Tensor:
    """Power of the signal per shell (L // 2 + 1,) of an orthonormal transform, from two halves of the images.

    From the correlation F of the halves' backprojections inside `mask`: the power of their mean times
    2 F / (1 + F), falling to a small floor where they do not agree.
    """
    maps = [backproject(half) * mask for half in (first, second)]
    fsc = torch.from_numpy(shells.correlation(*(m.cpu() for m in maps))).clamp(0, 0.9999)
    mean = torch.fft.rfftn(0.5 * (maps[0] + maps[1]), norm="ortho")
    power = shells.shell_mean(mean.abs() ** 2) / float(mask.mean())
    share = 2 * fsc / (1 + fsc)
    below = torch.cumprod((fsc > 0.05).double(), 0)  # after the first loss of all agreement nothing is believed
    return power * torch.where(below > 0, share, torch.full_like(share, 0.01)).clamp_min(0.01)


def wiener(data: Likelihood, power: torch.Tensor, iterations: int = WIENER_ITERATIONS, step: Step | None = None):
    """The most probable map under a Gaussian prior with `power` (L // 2 + 1,) per shell."""
    precision = (1 / shells.spread(power, data.box).clamp_min(1e-12)).to(data.weight)
    return solve(
        data,
        data.b,
        lambda v: fourier_precision(precision, v),
        precision,
        iterations=iterations,
        step=None if step is None else lambda i, v: step(i, iterations, v),
    )


def positive(
    data: Likelihood,
    power: torch.Tensor,
    mask: torch.Tensor,
    iterations: int = POSITIVE_ITERATIONS,
    step: Step | None = None,
) -> torch.Tensor:
    """The most probable map without negative density inside `mask`, by accelerated projected gradients (FISTA).

    The Gaussian prior is `wiener`'s with less weight (_EASED): positivity regularises too.
    """
    precision = (_EASED / shells.spread(power, data.box).clamp_min(1e-12)).to(data.weight)
    support = (mask > 0.01).to(data.b)

    def gradient(v: torch.Tensor) -> torch.Tensor:
        return data.apply(v) + fourier_precision(precision, v) - data.b

    length = 1 / _largest(data, precision)
    volume = torch.zeros_like(data.b)
    ahead, momentum = volume, 1.0
    for i in range(iterations):
        after = (ahead - length * gradient(ahead)).clamp_min(0) * support
        if bool(((ahead - after) * (after - volume)).sum() > 0):  # overshot: start again from here
            momentum = 1.0
        following = 0.5 * (1 + (1 + 4 * momentum**2) ** 0.5)
        ahead = after + (momentum - 1) / following * (after - volume)
        volume, momentum = after, following
        if step is not None:
            step(i, iterations, volume)
    return volume


def _largest(data: Likelihood, precision: torch.Tensor) -> float:
    """Largest eigenvalue of H + R, with a margin."""
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(data.b.shape, generator=generator).to(data.b)
    size = 1.0
    for _ in range(12):
        v = data.apply(v) + fourier_precision(precision, v)
        size = float(v.norm())
        v = v / size
    return 1.05 * size


def sharpened(volume: torch.Tensor, fsc: torch.Tensor, b_factor_a2: float, pixel_size_a: float) -> torch.Tensor:
    """The map with a B factor (Å^2, positive sharpens) taken off, each shell weighted by sqrt(2 F / (1 + F)).

    F is the half maps' correlation `fsc` (L // 2 + 1,), so that noise is not sharpened (Rosenthal & Henderson, J Mol
    Biol 2003).
    """
    box = volume.shape[-1]
    frequency = torch.arange(box // 2 + 1, dtype=torch.float64) / (box * pixel_size_a)
    weight = (2 * fsc.clamp(0, 1) / (1 + fsc.clamp(0, 1))).sqrt()
    gain = weight * torch.exp(0.25 * b_factor_a2 * frequency**2)
    return fourier_precision(shells.spread(gain, box).to(volume), volume)


def first_map(
    data: Likelihood, halves: Sequence[Likelihood], ball: torch.Tensor, pixel_size_a: float
) -> tuple[np.ndarray, torch.Tensor]:
    """A first map (Wiener, L^3), and the signal's power inside it: noise around the particle would hide fine detail."""
    power = signal_power(halves[0], halves[1], ball)
    first = (wiener(data, power) * ball).cpu().numpy()
    tight = torch.from_numpy(auto_mask(first, pixel_size_a)).to(ball)
    return first, signal_power(halves[0], halves[1], tight)
