"""The likelihood of a map, from the two sums of operator.py: 1/2 v' H v - b' v + constant, on CPU or GPU.

H is a convolution; it is applied on a box of twice the size, so that nothing wraps around. A circulant
approximation of it (Chan 1988), diagonal in the box's own Fourier space, tells how much the data know about
every Fourier coefficient, and preconditions the solvers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from core.reconstruction.operator import Sums


@dataclass(frozen=True, eq=False)
class Likelihood:
    """`b` (L, L, L), `spectrum` of the kernel (2L, 2L, L + 1) and `weight` (L, L, L // 2 + 1): data weight of every
    Fourier coefficient of an orthonormal transform, in 1 / (density squared)."""

    b: torch.Tensor
    spectrum: torch.Tensor
    weight: torch.Tensor

    @property
    def box(self) -> int:
        """Side of the map in voxels."""
        return self.b.shape[0]

    def apply(self, volume: torch.Tensor) -> torch.Tensor:
        """H v of maps (..., L, L, L)."""
        size = (2 * self.box,) * 3
        padded = torch.fft.rfftn(volume, size, dim=(-3, -2, -1))
        full = torch.fft.irfftn(padded * self.spectrum, size, dim=(-3, -2, -1))
        return full[..., : self.box, : self.box, : self.box]

    def residual(self, volume: torch.Tensor) -> torch.Tensor:
        """Minus the gradient: b - H v."""
        return self.b - self.apply(volume)


def likelihood(sums: Sums, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Likelihood:
    """Prepare the sums of some images."""
    box = sums.box
    kernel = sums.kernel.copy()
    kernel[0], kernel[:, 0], kernel[:, :, 0] = 0, 0, 0  # the distance -L, which no two voxels have
    centred = torch.from_numpy(np.fft.ifftshift(kernel)).to(dtype)
    spectrum = torch.fft.rfftn(centred).real
    return Likelihood(
        torch.from_numpy(sums.b).to(device, dtype),
        spectrum.to(device),
        torch.fft.rfftn(_circulant(centred, box)).real.clamp_min(0).to(device),
    )


def _circulant(kernel: torch.Tensor, box: int) -> torch.Tensor:
    """The circulant box^3 kernel next to the convolution in the Frobenius norm, along one axis after the other."""
    lag = torch.arange(box, dtype=kernel.dtype)
    ahead, behind = (box - lag) / box, lag / box  # shares of the lags j and j - box
    for axis in range(3):
        moved = kernel.movedim(axis, -1)
        kernel = (moved[..., :box] * ahead + moved[..., box:] * behind).movedim(-1, axis)
    return kernel


def fourier_precision(precision: torch.Tensor, volume: torch.Tensor) -> torch.Tensor:
    """R v for a prior that is diagonal in Fourier space: `precision` (L, L, L // 2 + 1) of an orthonormal transform."""
    spectrum = torch.fft.rfftn(volume, dim=(-3, -2, -1))
    return torch.fft.irfftn(spectrum * precision, volume.shape[-3:], dim=(-3, -2, -1))


def solve(
    data: Likelihood,
    right: torch.Tensor,
    regular: Callable[[torch.Tensor], torch.Tensor],
    precision: torch.Tensor | float,
    start: torch.Tensor | None = None,
    iterations: int = 30,
    tolerance: float = 1e-5,
    step: Callable[[int, torch.Tensor], None] | None = None,
) -> torch.Tensor:
    """(H + R)^-1 `right` (..., L, L, L) by preconditioned conjugate gradients.

    `regular` applies R, `precision` approximates it in Fourier space (for the preconditioner). `step(i, map)` is
    called after every iteration and may raise to stop.
    """
    inverse = 1 / (data.weight + precision)
    volume = torch.zeros_like(right) if start is None else start.clone()
    left = right - data.apply(volume) - regular(volume)
    towards = torch.zeros_like(right)
    before: torch.Tensor | None = None
    limit = tolerance**2 * _dot(right, right)
    for i in range(iterations):
        near = fourier_precision(inverse, left)
        size = _dot(left, near)
        towards = near if before is None else near + towards * (size / before.clamp_min(1e-30))
        before = size
        moved = data.apply(towards) + regular(towards)
        length = size / _dot(towards, moved).clamp_min(1e-30)
        volume = volume + length * towards
        left = left - length * moved
        if step is not None:
            step(i, volume)
        if bool((_dot(left, left) <= limit).all()):
            break
    return volume


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Inner products of maps (..., L, L, L), shaped to multiply them."""
    return (a * b).sum(dim=(-3, -2, -1), keepdim=True)
