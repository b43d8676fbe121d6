"""The forward process: schedules, the residual structural information, and CryoDDM's published chain.

Noise transfer is variance preserving, x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) n (Ho et al. 2020, eq. 4), with real
noise as n. CryoDDM's step (bioRxiv 10.64898/2025.12.10.693455, public code) is kept for comparison.

RSILB, as this program defines it: I_t = sum over shells of 1/2 log2(1 + SNR_t(k)) bits. The chain stops at the last
step whose I_t is not below the chosen bound: beyond it a training pair asks the network to invent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Schedule:
    """alpha_i = 1 - beta * i for i = 1..steps; pairs are used from step `start` on."""

    beta: float
    steps: int
    start: int

    @property
    def alphas(self) -> np.ndarray:
        """alpha_1 .. alpha_steps."""
        return 1.0 - self.beta * np.arange(1, self.steps + 1)

    @property
    def alpha_bars(self) -> np.ndarray:
        """Products of the alphas: the signal's share of the variance after i steps."""
        return np.cumprod(self.alphas)


PRESETS = {"config1": Schedule(0.1288, 5, 2), "config2": Schedule(0.1, 6, 2)}


def transfer_snr(schedule: Schedule) -> np.ndarray:
    """Signal over noise variance after each step of the variance-preserving chain: abar / (1 - abar)."""
    bars = schedule.alpha_bars
    return bars / (1.0 - bars)


def cryoddm_factors(schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
    """Per step: factor on the image and factor on the fresh noise.

    r = (sqrt(a) - 1) x + sqrt(1 - a) n;  x' = sqrt(a) x + sqrt(1 - a) r, written out.
    """
    alpha = schedule.alphas
    root, rest = np.sqrt(alpha), np.sqrt(1.0 - alpha)
    return root + rest * (root - 1.0), 1.0 - alpha


def cryoddm_snr(schedule: Schedule) -> np.ndarray:
    """Signal over noise after each CryoDDM step, relative to the raw crop (unit noise variance at the start)."""
    image_factor, noise_factor = cryoddm_factors(schedule)
    amplitude, variance, ratio = 1.0, 1.0, []
    for c, n in zip(image_factor, noise_factor, strict=True):
        amplitude, variance = amplitude * c, variance * c * c + n * n
        ratio.append(amplitude * amplitude / variance)
    return np.array(ratio)


def structural_information(
    signal: np.ndarray,  # (shells,) power of unit-variance signal
    noise: np.ndarray,  # (shells,) power of unit-variance noise
    snr: np.ndarray,  # (steps,) variance ratio
) -> np.ndarray:
    """I_t in bits for each step: sum over shells of 1/2 log2(1 + snr_t * signal(k) / noise(k))."""
    ratio = signal / np.maximum(noise, 1e-12)
    return 0.5 * np.log2(1.0 + snr[:, None] * ratio[None]).sum(axis=1)


def steps_kept(information: np.ndarray, bound: float, start: int) -> int:
    """Number of the last step whose information is not below the bound; at least the start step."""
    above = np.flatnonzero(information >= bound)
    last = int(above[-1]) + 1 if above.size else 0
    return max(last, min(start, len(information)))
