"""How much of the raw data and how much of the network is shown inside particles, band by band.

Inside particles a micrograph is the sum of two estimates, each filtered radially:

    out(k) = a(k) raw(k) + b(k) network(k)

With the network left out, a(k) is the Wiener gain S / (S + N), S and N measured on the user's own particles and
patches. On known signals in the user's noise, `fit_blend` finds the least-squares answer for both, per shell the
minimum of <|t - a raw - b network|^2>. No other radial mixture is nearer to the known signals; but they are not the
user's specimen, and a network shrinks what is faint. The blend is therefore mostly the Wiener filter, and SHARE of
that answer.

Spectra are those of windowed pieces; frequencies are cycles per canonical pixel on an even grid from 0 to 1/2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi

from core.denoising.collect import disc
from core.physics.fourier import frequency_grid, irfft2, rfft2, shell_average, shell_counts

SHELLS = 65
SMOOTH = 1.5  # shells, over which the curves are averaged
SHARE = 0.15  # of the least-squares answer in the blend; the rest is the Wiener filter
LEAST_GAIN = 0.03  # of the largest gain: no frequency is emptied, or what leaks from others would fill it
RIDGE = 1e-3
MOST_GAIN = 6.0


@dataclass(frozen=True)
class Blend:
    """Gains on SHELLS frequencies from 0 to 1/2 cycles/px: of raw and network together, and of raw alone.

    Both are scaled so that known signals keep their contrast.
    """

    raw: np.ndarray
    network: np.ndarray
    wiener: np.ndarray

    def apply(self, raw: np.ndarray, network: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The blend and the linear filter of a canonical image (h, w) and its network output: float32, twice."""
        frequency = frequency_grid(*raw.shape)
        spectrum, other = rfft2(raw), rfft2(network)
        linear = irfft2(spectrum * _on(frequency, self.wiener), raw.shape)
        mixed = irfft2(spectrum * _on(frequency, self.raw) + other * _on(frequency, self.network), raw.shape)
        return mixed.astype(np.float32, copy=False), linear.astype(np.float32, copy=False)


def _on(frequency: np.ndarray, curve: np.ndarray) -> np.ndarray:
    return np.interp(frequency, np.linspace(0, 0.5, SHELLS), curve).astype(np.float32)


def fit_blend(
    pieces: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]], wiener: np.ndarray | None = None
) -> Blend:
    """Fit on known signals: each piece is (truth, raw, network, weight), all (128, 128); weight 1 inside particles.

    `wiener` (SHELLS,) is S / (S + N) as measured on the user's own particles, where it could be. Least squares shrink
    what is uncertain: both answers are scaled so that the known signals keep their contrast.
    """
    total = np.zeros((6, SHELLS))
    for truth, raw, network, weight in pieces:
        t, y, n = (rfft2(image * weight) for image in (truth, raw, network))
        products = np.stack([_real(y, y), _real(y, n), _real(n, n), _real(t, y), _real(t, n), _real(t, t)])
        total += shell_average(products, truth.shape[0])
    count = shell_counts(128)
    total = ndi.gaussian_filter1d(total, SMOOTH, axis=1, mode="nearest")
    yy, yn, nn, ty, tn, tt = total
    linear = np.clip(ty / np.maximum(yy, 1e-12), 0.0, 1.0) if wiener is None else wiener
    yy, nn = yy * (1 + RIDGE), nn * (1 + RIDGE)
    best = np.clip((tn * yy - ty * yn) / np.maximum(yy * nn - yn * yn, 1e-12), 0.0, 1.0)
    beside = np.clip((ty - best * yn) / np.maximum(yy, 1e-12), 0.0, 1.0)  # the best of raw beside the bounded network
    linear = np.maximum(linear, LEAST_GAIN * linear.max())
    network, raw = SHARE * best, (1 - SHARE) * linear + SHARE * beside
    energy = (count * tt).sum()
    kept = (count * (raw * ty + network * tn)).sum() / energy
    alone = (count * linear * ty).sum() / energy
    gain, gain_alone = (float(np.clip(1 / max(of, 1e-3), 1.0, MOST_GAIN)) for of in (kept, alone))
    return Blend(gain * raw, gain * network, gain_alone * linear)


def _real(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.real(a) * np.real(b) + np.imag(a) * np.imag(b)


def signal_spectrum(particles: np.ndarray, noise: np.ndarray, diameter: float) -> np.ndarray:
    """Power of the user's signal per shell, noise variances per pixel: (SHELLS,), from canonical crops.

    particles: (n, s, s) centred at s // 2; noise: (size, size // 2 + 1), power spectrum of the empty patches on a grid
    of size >= s. The noise is taken off as seen through the same window.
    """
    side, size = particles.shape[-1], noise.shape[0]
    window = ndi.gaussian_filter(disc(side, 0.5 * diameter).astype(np.float32), 0.06 * diameter)
    padded = np.zeros((size, size), np.float32)
    padded[:side, :side] = window
    lags = irfft2(np.abs(rfft2(padded)) ** 2, (size, size)) * irfft2(noise, (size, size))
    expected = np.real(rfft2(lags))
    power = np.zeros((size, size // 2 + 1))
    for crop in particles:
        padded[:side, :side] = window * crop
        power += np.abs(rfft2(padded)) ** 2
    excess = shell_average(power / len(particles) - expected, size) / float((window**2).sum())
    return ndi.gaussian_filter1d(excess, SMOOTH, mode="nearest")
