"""Shells of a map's Fourier space: averages over them, correlation of two maps on them, values spread back."""

from __future__ import annotations

import functools

import numpy as np
import torch


@functools.lru_cache(maxsize=8)
def shell_index(box: int) -> torch.Tensor:
    """Shell 0 ... L // 2 (the last holds the corners too) of every rfftn coefficient: (L, L, L // 2 + 1) int64."""
    full = torch.fft.fftfreq(box) * box
    half = torch.arange(box // 2 + 1, dtype=torch.float32)
    radius = torch.sqrt(full[:, None, None] ** 2 + full[None, :, None] ** 2 + half**2)
    return torch.clamp(torch.round(radius).long(), max=box // 2)


@functools.lru_cache(maxsize=8)
def _doubled(box: int) -> torch.Tensor:
    """How often a coefficient of rfftn stands in the whole transform."""
    times = torch.full((box // 2 + 1,), 2.0)
    times[0] = times[-1] = 1.0
    return times.expand(box, box, box // 2 + 1)


def shell_mean(values: torch.Tensor) -> torch.Tensor:
    """Mean over shells (L // 2 + 1,) of a real (L, L, L // 2 + 1) array of rfftn's shape."""
    box = values.shape[0]
    index = shell_index(box).reshape(-1)
    times = _doubled(box).reshape(-1).double()
    total = torch.zeros(box // 2 + 1, dtype=torch.float64)
    total.index_add_(0, index, values.detach().cpu().double().reshape(-1) * times)
    return total / torch.zeros_like(total).index_add_(0, index, times)


def spread(shells: torch.Tensor, box: int) -> torch.Tensor:
    """A value per shell (L // 2 + 1,) at every coefficient: (L, L, L // 2 + 1), float32."""
    return shells.float()[shell_index(box)]


def whole(half: torch.Tensor) -> torch.Tensor:
    """All coefficients (L, L, L) of a real array (L, L, L // 2 + 1) that is the same at k and -k."""
    box = half.shape[0]
    back = -torch.arange(box) % box
    rest = half[back][:, back][:, :, 1 : box // 2].flip(-1)
    return torch.cat([half, rest], dim=-1)


def correlation(first: np.ndarray | torch.Tensor, second: np.ndarray | torch.Tensor) -> np.ndarray:
    """Fourier shell correlation (L // 2 + 1,) of two maps (L, L, L); 0 where one has nothing."""
    one, two = (torch.fft.rfftn(torch.as_tensor(v, dtype=torch.float32)) for v in (first, second))
    cross = shell_mean((one * two.conj()).real)
    norm = torch.sqrt(shell_mean(one.abs() ** 2) * shell_mean(two.abs() ** 2))
    return torch.where(norm > 0, cross / norm.clamp_min(1e-300), torch.zeros_like(norm)).numpy()


def resolution_a(fsc: np.ndarray, box: int, pixel_size_a: float, threshold: float) -> float | None:
    """Resolution in Å at which the curve first falls below `threshold`, between shells; None when it never does."""
    below = np.flatnonzero(fsc[1 : box // 2] < threshold)
    if not below.size:
        return None
    shell = int(below[0]) + 1
    before = fsc[shell - 1] if shell > 1 else 1.0
    place = shell - (threshold - fsc[shell]) / max(float(before - fsc[shell]), 1e-12)
    return box * pixel_size_a / max(place, 1e-6)
