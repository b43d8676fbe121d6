"""The noise as the empty patches show it: spectra, how far patches differ, and whether they differ too much.

Patches are (m, h, h) at the canonical scale in noise sigmas, each of a micrograph `group`. A band's power in one patch
is a mean over few Fourier samples and scatters by chance even where the noise is the same everywhere: the log of a
mean of N exponential samples has the variance trigamma(N). All that is told here is what goes beyond it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chdtri, polygamma

from core.denoising.patch_measure import band_edges, band_weights, measure
from core.physics.fourier import irfft2, rfft2, shell_index

MOST_DISAGREEMENT = 0.2  # of the power in a band; beyond it the user is told
TAIL = 1.2816  # deviations from the middle of a Gaussian to its 10th and 90th percentile
CHANCE = 1e-3  # that patches of one and the same noise are said to differ
SIGMAS = 3.3  # the same for one micrograph's mean
MOST_NAMES = 3
LEAK = (
    1e-3  # of the strongest band's power; below it a patch's window shows what leaks from there, and nothing is judged
)
MOST_PATCHES = 4000  # measured; a random choice of more would say nothing new


@dataclass(frozen=True)
class NoiseModel:
    """What the patches say. Powers are of unit-variance noise per pixel; frequencies in cycles per canonical px."""

    box: int
    patches: int
    frequency: np.ndarray  # (s,)
    power: np.ndarray  # (s,) mean over all patches
    low: np.ndarray  # (s,) 10th percentile over patches beyond chance, as a factor of `power`
    high: np.ndarray  # (s,) 90th
    edges: np.ndarray  # (k + 1,) of the bands
    by_micrograph: dict[str, np.ndarray]  # name -> (k,) mean power in each band
    patch_disagreement: np.ndarray  # (k,) 90th over 10th percentile - 1, beyond chance
    micrograph_disagreement: dict[str, np.ndarray]  # name -> (k,) share above or below the middle, beyond chance
    restless: dict[str, float]  # name -> variance among its patches over the variance by chance

    @property
    def disagreement(self) -> float:
        """The largest share by which patches or micrographs differ in the power of a band, beyond chance."""
        return max(float(self.patch_disagreement.max(initial=0.0)), self._of_micrographs())

    def _of_micrographs(self) -> float:
        return max((float(v.max(initial=0.0)) for v in self.micrograph_disagreement.values()), default=0.0)

    def spread_at(self, frequency: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """10th and 90th percentile over patches as factors of the mean power, at frequencies in cycles/px."""
        return (
            np.interp(frequency, self.frequency, self.low),
            np.interp(frequency, self.frequency, self.high),
        )

    def warning(self, pixel_size_a: float | None = None) -> str:
        """One sentence about patches that differ too much, naming the worst micrographs; "" when they are alike."""
        if self.disagreement <= MOST_DISAGREEMENT:
            return ""
        between = self._of_micrographs()
        within = float(self.patch_disagreement.max(initial=0.0))
        if between >= within:
            worst = {name: float(v.max()) for name, v in self.micrograph_disagreement.items()}
            band = int(np.argmax(np.max(list(self.micrograph_disagreement.values()), axis=0)))
            what = "The noise differs between micrographs"
        else:
            worst, band = self.restless, int(self.patch_disagreement.argmax())
            what = "The empty patches differ among each other"
        names = sorted(worst, key=lambda n: -worst[n])[:MOST_NAMES]
        return (
            f"{what} by {max(between, within):.0%} in power at {self._range(band, pixel_size_a)}, more than chance "
            f"allows; most in {', '.join(names)}. The denoiser learns them as one noise: look at their noise boxes, "
            "or leave these micrographs out."
        )

    def _range(self, band: int, pixel_size_a: float | None) -> str:
        longest, shortest = 1 / self.edges[band], 1 / self.edges[band + 1]
        if pixel_size_a:
            return f"{longest * pixel_size_a:.3g} to {shortest * pixel_size_a:.3g} Å"
        return f"{longest:.3g} to {shortest:.3g} px of the training scale"

    def as_dict(self) -> dict[str, Any]:
        """As JSON, for the manifest."""
        return {
            "box_px": self.box,
            "patches": self.patches,
            "frequency_cycles_per_px": _rounded(self.frequency),
            "power": _rounded(self.power),
            "percentile_10": _rounded(self.power * self.low),
            "percentile_90": _rounded(self.power * self.high),
            "band_edges_cycles_per_px": _rounded(self.edges),
            "band_power": {name: _rounded(v) for name, v in self.by_micrograph.items()},
            "disagreement": round(self.disagreement, 4),
            "patch_disagreement": _rounded(self.patch_disagreement),
            "micrograph_disagreement": {n: _rounded(v) for n, v in self.micrograph_disagreement.items()},
        }


def describe_noise(patches: np.ndarray, group: np.ndarray, names: Mapping[int, str]) -> NoiseModel:
    """Spectra and disagreement of patches (m, h, h), m > 0; `names`: micrograph number of `group` (m,) -> its name."""
    patches, group = _thinned(patches, np.asarray(group))
    box = patches.shape[-1]
    stack = np.asarray(patches, np.float32).reshape(-1, box)  # one patch below the other: an image of boxes
    centres = np.stack([np.full(len(patches), box // 2), np.arange(len(patches)) * box + box // 2], axis=1)
    measured = measure(stack, centres, box)
    power = measured.power.reshape(len(patches), -1)
    mean = np.maximum(power.mean(axis=0, dtype=float), 1e-30)
    shells = np.maximum(power @ _shell_weights(box), 1e-30)
    scatter = _smoothed(
        _excess_deviation(np.log(shells), np.zeros(len(patches), int), _chance(_shell_weights(box), mean, box))
    )
    logs, chance = np.log(measured.bands), _chance(band_weights(box), mean, box)
    band_power = measured.bands.mean(axis=0)
    judged = band_power > LEAK * band_power.max()
    spread = np.where(judged, _excess_deviation(logs, group, chance, certain=True), 0.0)
    numbers = np.unique(group)
    means = np.stack([logs[group == g].mean(axis=0) for g in numbers])
    return NoiseModel(
        box=box,
        patches=len(patches),
        frequency=np.arange(1, box // 2 + 1) / box,
        power=shells.mean(axis=0),
        low=np.exp(-TAIL * scatter),
        high=np.exp(TAIL * scatter),
        edges=band_edges(box) / box,
        by_micrograph={names[g]: measured.bands[group == g].mean(axis=0) for g in numbers},
        patch_disagreement=np.expm1(2 * TAIL * spread),
        micrograph_disagreement=_between(means * judged, group, numbers, names, chance + spread**2),
        restless={
            names[g]: float((logs[group == g].var(axis=0) / chance).mean()) if (group == g).sum() > 1 else 0.0
            for g in numbers
        },
    )


def _thinned(patches: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(patches) <= MOST_PATCHES:
        return patches, group
    chosen = np.sort(np.random.default_rng(0).permutation(len(patches))[:MOST_PATCHES])
    return patches[chosen], group[chosen]


@functools.lru_cache(maxsize=8)
def _shell_weights(box: int) -> np.ndarray:
    """Weights (b * (b // 2 + 1), b // 2) that average an rfft2-shaped power over shells 1 .. b // 2."""
    index = shell_index(box)
    columns = []
    for shell in range(1, box // 2 + 1):
        weight = np.where(index == shell, 2.0, 0.0)
        weight[:, 0] /= 2  # the half-plane that rfft2 leaves out
        if box % 2 == 0:
            weight[:, -1] /= 2
        columns.append(weight.ravel() / weight.sum())
    return np.stack(columns, axis=1).astype(np.float32)


def _chance(weights: np.ndarray, power: np.ndarray, box: int) -> np.ndarray:
    """Variance (k,) of the log of a mean with weights (n, k), for Gaussian noise of `power` (n,) and a Hann window.

    The number of independent samples follows from how neighbouring coefficients repeat each other, and from the
    power: where it falls steeply inside a band, the few strong samples alone decide.
    """
    half, rest = box // 2 + 1, np.arange(box // 2 + 1, box)
    twice = np.ones(half)
    twice[1 : (box + 1) // 2] = 2.0
    mirrored = -np.arange(box) % box
    kernel = np.outer(*[_repeat(box)] * 2)
    variance = []
    for weight in weights.T:
        part = (weight * power).reshape(box, half) / twice
        whole = np.zeros((box, box))
        whole[:, :half] = part / max(float((part * twice).sum()), 1e-300)
        whole[:, rest] = whole[mirrored][:, box - rest]
        beside = irfft2(rfft2(whole) * rfft2(kernel), (box, box))
        variance.append(2 * (whole * beside).sum())  # twice: a coefficient and its mirror image are one sample
    return polygamma(1, 1.0 / np.array(variance))


def _repeat(box: int) -> np.ndarray:
    """Squared correlation (box,) of a Hann-windowed coefficient with the ones behind it, itself first."""
    window = np.hanning(box + 1)[:box]
    correlation = np.abs(np.fft.fft(window**2)) / (window**2).sum()
    return correlation**2


def _excess_deviation(logs: np.ndarray, group: np.ndarray, chance: np.ndarray, certain: bool = False) -> np.ndarray:
    """Deviation (k,) of logs (m, k) about their micrograph's mean beyond chance.

    `certain`: 0 unless equal patches would scatter so much in less than CHANCE of all cases.
    """
    numbers = np.unique(group)
    freedom = len(logs) - len(numbers)
    if freedom < 2:
        return np.zeros(logs.shape[1])
    squares = sum(((logs[group == g] - logs[group == g].mean(axis=0)) ** 2).sum(axis=0) for g in numbers)
    variance = np.asarray(squares) / freedom
    excess = np.sqrt(np.maximum(variance - chance, 0.0))
    if certain:
        limit = chdtri(freedom, CHANCE / logs.shape[1]) / freedom
        excess = np.where(variance > limit * chance, excess, 0.0)
    return excess


def _smoothed(deviation: np.ndarray) -> np.ndarray:
    """Root mean square over three shells: few patches tell a deviation badly."""
    padded = np.pad(deviation**2, 1, mode="edge")
    return np.sqrt((padded[:-2] + padded[1:-1] + padded[2:]) / 3)


def _between(
    means: np.ndarray, group: np.ndarray, numbers: np.ndarray, names: Mapping[int, str], variance: np.ndarray
) -> dict[str, np.ndarray]:
    """How far each micrograph's mean log power (g, k) lies from the middle of all, beyond what its patches allow."""
    if len(numbers) < 2:
        return {names[g]: np.zeros(means.shape[1]) for g in numbers}
    counts = np.array([(group == g).sum() for g in numbers])
    weights = counts / counts.sum()
    off = means - (weights[:, None] * means).sum(axis=0)
    error = variance[None] * (1 / counts - 1 / counts.sum())[:, None]
    certain = off**2 > SIGMAS**2 * error
    beyond = np.where(certain, np.sqrt(np.maximum(off**2 - error, 0.0)), 0.0)
    return {names[g]: np.expm1(row) for g, row in zip(numbers, beyond, strict=True)}


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{v:.5g}") for v in values]
