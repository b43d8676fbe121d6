"""Contaminants of micrographs, drawn as fields that are not signal: ice, carbon, gold, soft blobs, bad pixels, cracks.

They are added to the input of a training pair only; its target stays without them, so that a network learns to leave
them out. All of them are simulated: shapes and strengths follow what micrographs show, not a model of their physics.
Fields are on the canonical scale in noise sigmas, dark is negative, particles are `diameter` px across.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.ndimage as ndi

from core.physics.ctf import ctf
from core.physics.fourier import frequency_grid, irfft2, rfft2

FAINT, STRONG = 0.3, 8.0  # noise sigmas
CLEARED = 8.0  # sigmas: the pipeline sets what lies beyond to the background (core/denoising/canonical.py)
FLATTENED = 1.5  # particle diameters: sigma of the Gaussian that the pipeline subtracts as background
PIXEL_SIZE_A = 3.75  # assumed where no transfer is given

Shape = tuple[int, int]
Rng = np.random.Generator


def draw_contaminant(
    shape: Shape, diameter: float, frequency_transfer: np.ndarray | None, rng: Rng, kind: str | None = None
) -> tuple[np.ndarray, str]:
    """One contaminant somewhere in a field: (float32 (h, w) in noise sigmas, its kind).

    `frequency_transfer` (h, w // 2 + 1) is the CTF of the field's rfft2 (negative at low frequency); without it one is
    made up. The largest value is log-uniform from 0.3 to 8 sigmas; gold goes beyond and is cleared as in the pipeline.
    Transforms are periodic: draw on a field with a margin and crop, as the particles are. `kind` asks for one of
    CONTAMINANTS; without it one is drawn by its share.
    """
    if kind is None:
        share = np.array([weight for _, weight in CONTAMINANTS.values()], float)
        kind = str(rng.choice(list(CONTAMINANTS), p=share / share.sum()))
    if frequency_transfer is None:
        frequency = frequency_grid(*shape) / PIXEL_SIZE_A
        frequency_transfer = ctf(frequency, float(rng.uniform(0.8, 3.5)), b_factor_a2=float(rng.uniform(40, 200)))
    field = CONTAMINANTS[kind][0](shape, diameter, frequency_transfer, rng)
    strength = float(np.exp(rng.uniform(np.log(FAINT), np.log(STRONG))))
    if kind == "gold":
        strength = float(rng.uniform(6, 40))
    field = field * (strength / max(float(np.abs(field).max()), 1e-6))
    if kind == "gold":
        field = ndi.gaussian_filter(np.where(np.abs(field) > CLEARED, 0.0, field), 0.4)
    return np.clip(field, -STRONG, STRONG).astype(np.float32), kind


def _imaged(density: np.ndarray, transfer: np.ndarray, diameter: float, share: float = 1.0) -> np.ndarray:
    """Density seen through the CTF (`share` of it, the rest plain absorption) and flattened as the pipeline does."""
    grid = frequency_grid(*density.shape)
    flatten = 1.0 - np.exp(-2.0 * (np.pi * FLATTENED * diameter * grid) ** 2)
    mixed = share * transfer - (1 - share) * np.exp(-((grid / 0.25) ** 2))
    return irfft2(rfft2(density.astype(np.float32)) * mixed * flatten, density.shape)


def _offsets(shape: Shape, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Row and column distance of every pixel from a random place in or just outside the field."""
    row, column = (rng.uniform(-0.08, 1.08) * n for n in shape)
    return np.arange(shape[0])[:, None] - row, np.arange(shape[1])[None] - column


def _clouds(shape: Shape, sigma: float, rng: Rng) -> np.ndarray:
    """Smooth random field (h, w) of spread 1."""
    field = ndi.gaussian_filter(rng.standard_normal(shape).astype(np.float32), sigma, mode="wrap")
    return field / max(float(field.std()), 1e-6)


def _lump(shape: Shape, radius: float, rough: float, rng: Rng, edge: float = 1.5) -> np.ndarray:
    """A soft-edged lump with an outline of random waves, 1 inside."""
    y, x = _offsets(shape, rng)
    angle, outline = np.arctan2(y, x), np.ones(shape)
    squash = rng.uniform(0.6, 1.0)
    turn = rng.uniform(0, np.pi)
    across = np.hypot(np.cos(turn) * x + np.sin(turn) * y, (np.cos(turn) * y - np.sin(turn) * x) / squash)
    for k in range(2, 7):
        outline = outline + rough / k * rng.standard_normal() * np.cos(k * angle + rng.uniform(0, 6.3))
    return 1 / (1 + np.exp(np.clip((across - radius * np.clip(outline, 0.3, 2)) / edge, -30, 30)))


def _crystal(shape: Shape, diameter: float, transfer: np.ndarray, rng: Rng) -> np.ndarray:
    """Crystalline ice: an angular, dense body, often with facets of unequal height; strong fringes."""
    y, x = _offsets(shape, rng)
    radius, sides = diameter * np.exp(rng.uniform(np.log(0.25), np.log(2.2))), int(rng.integers(4, 8))
    inside, height = np.full(shape, np.inf), np.zeros(shape)
    for i in range(sides):
        turn = 2 * np.pi * (i + rng.uniform(-0.3, 0.3)) / sides
        away = radius * rng.uniform(0.7, 1.1) - (np.cos(turn) * x + np.sin(turn) * y)
        inside = np.minimum(inside, away)
    height = np.clip(inside / 1.2, 0, 1) * (0.4 + np.clip(inside / radius, 0, 1) * rng.uniform(0, 2))
    return _imaged(height * (1 + 0.2 * rng.random() * _clouds(shape, 3, rng)), transfer, diameter, rng.uniform(0.3, 1))


def _amorphous(shape: Shape, diameter: float, transfer: np.ndarray, rng: Rng) -> np.ndarray:
    """Amorphous ice: one or more soft round lumps, thick in the middle."""
    density = np.zeros(shape)
    for _ in range(int(rng.choice([1, 1, 2, 4, 8]))):
        radius = diameter * np.exp(rng.uniform(np.log(0.15), np.log(1.6)))
        lump = _lump(shape, radius, 0.25, rng, 0.12 * radius + 0.8)
        density += rng.uniform(0.4, 1) * lump * (1 + 0.15 * _clouds(shape, max(2.0, 0.2 * radius), rng))
    return _imaged(density, transfer, diameter, rng.uniform(0.2, 0.9))


def _carbon(shape: Shape, diameter: float, transfer: np.ndarray, rng: Rng) -> np.ndarray:
    """The edge of a support film: on one side of a curved line it is darker and grainy, with a dark rim."""
    y, x = np.arange(shape[0])[:, None], np.arange(shape[1])[None]
    turn, bend = rng.uniform(0, 2 * np.pi), max(shape) * np.exp(rng.uniform(np.log(0.8), np.log(12)))
    middle = [rng.uniform(0.1, 0.9) * n for n in shape]
    centre = middle[0] + bend * np.sin(turn), middle[1] + bend * np.cos(turn)
    away = np.hypot(y - centre[0], x - centre[1]) - bend + 0.06 * diameter * _clouds(shape, 0.2 * diameter, rng)
    film = 1 / (1 + np.exp(np.clip(rng.choice([-1, 1]) * away / rng.uniform(0.8, 4), -30, 30)))
    rim = np.exp(-0.5 * (away / (0.06 * diameter + 1)) ** 2)
    body = _imaged(film + rng.uniform(0, 1) * rim, transfer, diameter, rng.uniform(0.2, 0.8))
    grain = irfft2(rfft2(rng.standard_normal(shape).astype(np.float32)) * transfer, shape)
    share = rng.uniform(0.15, 1.2) * np.abs(body).max() / 3
    return body + share * film * grain / max(float(grain.std()), 1e-6)


def _gold(shape: Shape, diameter: float, transfer: np.ndarray, rng: Rng) -> np.ndarray:
    """Gold beads: very dark sharp discs with fringes; beyond 8 sigmas nothing is left but their rim."""
    density = np.zeros(shape)
    radius = diameter * rng.uniform(0.12, 0.5)
    for _ in range(int(rng.choice([1, 1, 2, 5]))):
        y, x = _offsets(shape, rng)
        density += np.sqrt(np.clip(1 - (y * y + x * x) / radius**2, 0, 1))
    return _imaged(density, transfer, diameter, rng.uniform(0.1, 0.6))


def _blob(shape: Shape, diameter: float, transfer: np.ndarray, rng: Rng) -> np.ndarray:
    """Ethane and other soft blobs: dark, without sharp edge, sometimes many of one size."""
    density = np.zeros(shape)
    sigma = diameter * rng.uniform(0.12, 0.9)
    for _ in range(int(rng.choice([1, 2, 5, 12]))):
        y, x = _offsets(shape, rng)
        density += rng.uniform(0.5, 1) * np.exp(-0.5 * (y * y + x * x) / (sigma * rng.uniform(0.8, 1.2)) ** 2)
    return _imaged(density, transfer, diameter, rng.uniform(0, 0.4))


def _pixels(shape: Shape, diameter: float, transfer: np.ndarray, rng: Rng) -> np.ndarray:
    """Hot and dead pixels, a pixel or two wide after resampling, and short streaks of X-rays."""
    field = np.zeros(shape)
    for _ in range(int(rng.integers(1, 30))):
        row, column = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        turn, length = rng.uniform(0, np.pi), float(rng.uniform(2, 8)) if rng.random() < 0.15 else 0.0
        steps = np.linspace(0, length, int(2 * length) + 1)
        rows = np.clip(np.rint(row + steps * np.sin(turn)), 0, shape[0] - 1).astype(int)
        columns = np.clip(np.rint(column + steps * np.cos(turn)), 0, shape[1] - 1).astype(int)
        field[rows, columns] += rng.choice([-1, 1], p=[0.35, 0.65]) * rng.uniform(0.3, 1)
    return ndi.gaussian_filter(field, rng.uniform(0, 0.7))


def _crack(shape: Shape, diameter: float, transfer: np.ndarray, rng: Rng) -> np.ndarray:
    """A crack: a bright line with dark borders that wanders through the field, sometimes branched."""
    field = np.zeros(shape)
    width = rng.uniform(0.7, 0.12 * diameter + 1)
    row, column = (rng.uniform(0.1, 0.9) * n for n in shape)
    for branch in range(int(rng.choice([2, 2, 3]))):
        y, x, turn = row, column, rng.uniform(0, 2 * np.pi) + np.pi * branch
        while 0 <= y < shape[0] and 0 <= x < shape[1]:
            field[int(y), int(x)] = 1
            turn += rng.normal(0, 0.06) + (rng.normal(0, 0.6) if rng.random() < 0.02 else 0)
            y, x = y + 0.7 * np.sin(turn), x + 0.7 * np.cos(turn)
    bright = ndi.gaussian_filter(field, width)
    return -_imaged(bright, transfer, diameter, rng.uniform(0, 0.6))


# kind -> (what draws it, its share)
CONTAMINANTS: dict[str, tuple[Callable[[Shape, float, np.ndarray, Rng], np.ndarray], float]] = {
    "ice crystal": (_crystal, 20),
    "amorphous ice": (_amorphous, 25),
    "carbon edge": (_carbon, 18),
    "gold": (_gold, 8),
    "soft blob": (_blob, 12),
    "bad pixels": (_pixels, 9),
    "crack": (_crack, 8),
}
