"""Why a patch was refused, as a biologist would say it, with the numbers. Nothing is decided here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.denoising.patch_measure import Measured, band_edges, spot_mask

if TYPE_CHECKING:
    from core.denoising.patch_rating import Background

# Code -> what a summary calls it, in the order in which equal reasons are told.
CODES = {
    "masked": "masked",
    "pixels": "hot or dead pixels",
    "crystal": "crystalline ice",
    "edge": "edges",
    "brightness": "brighter or darker",
    "particle": "unlisted particles",
    "blob": "spots",
    "uneven": "uneven",
    "texture": "other texture",
    "noise": "other noise",
}

LARGER = 1.6  # times a listed particle: no particle of this kind


@dataclass(frozen=True)
class Numbers:
    """What the sentences quote, for n patches."""

    background: Background
    measured: Measured
    values: np.ndarray  # (n, 2 + k) log spread, log deviation, log bands
    offset: np.ndarray  # (n,) brightness against the surroundings, noise sigmas
    slope: np.ndarray  # (n, 2) noise sigmas a box
    extremes: dict[str, np.ndarray]
    bands: np.ndarray  # (n, k) scores


def in_words(code: str, i: int, numbers: Numbers) -> str:
    """One sentence about patch i."""
    return _SENTENCES[code](i, numbers)


def _masked(i: int, n: Numbers) -> str:
    return f"{n.measured.flat[i]:.0%} of its pixels equal their neighbours: a mask or a border."


def _pixels(i: int, n: Numbers) -> str:
    usual = np.exp(n.background.limits["pixels"][0])
    return f"A pixel lies {n.measured.spike[i]:.0f} sigma off (usual: {usual:.1f}): hot or dead pixels."


def _crystal(i: int, n: Numbers) -> str:
    box = n.background.box
    ratio = np.where(spot_mask(box), n.measured.power[i] / n.background.power, 0.0)
    row, col = np.unravel_index(int(ratio.argmax()), ratio.shape)
    cycles = np.hypot(min(row, box - row), col)
    return f"A sharp spot in its spectrum at a period of {_period(n, box / cycles)}: crystalline ice."


def _period(n: Numbers, pixels: float, to: float | None = None) -> str:
    size = n.background.pixel_size_a
    last = "" if to is None else f" to {to:.3g}"
    text = f"{pixels:.3g}{last} px"
    if size:
        last = "" if to is None else f" to {to * size:.3g}"
        text += f" ({pixels * size:.3g}{last} Å)"
    return text


def _edge(i: int, n: Numbers) -> str:
    return (
        f"Its grey values change by {np.hypot(*n.slope[i]):.2g} sigma from side to side "
        f"(usual: {np.hypot(*n.background.slope_scale):.1g}): the edge of carbon, ice or a particle."
    )


def _brightness(i: int, n: Numbers) -> str:
    offset, scale = n.offset[i], n.background.brightness_scale
    what, why = ("Darker", "carbon, thick ice or a particle") if offset < 0 else ("Brighter", "thin ice or a hole")
    return f"{what} than the background around it by {abs(offset):.2g} sigma (usual: {scale:.1g}): {why}."


def _particle(i: int, n: Numbers) -> str:
    search = n.background.search
    listed = search.listed if search is not None else None
    score = float(n.extremes["particle"][i])
    if listed and score > LARGER * listed:
        return f"In or beside it is something {score / listed:.1f} times as strong as a listed particle: ice or dirt."
    if listed:
        return f"It looks like an unlisted particle: {score / listed:.0%} as strong as the listed ones."
    usual = n.background.limits["particle"][0]
    return f"It looks like a particle: {score / max(usual, 1e-12):.1f} times the usual response at this diameter."


def _blob(i: int, n: Numbers) -> str:
    colour = "dark" if n.measured.blob[i] < 0 else "bright"
    times = np.exp(n.extremes["blob"][i] - n.background.limits["blob"][0])
    return f"A {colour} spot, {times:.1f} times as strong as chance makes: ice, gold, dirt or part of a particle."


def _uneven(i: int, n: Numbers) -> str:
    times = np.exp(n.values[i, 0] - n.background.centre[0])
    return f"Uneven: broad features are {times:.1f} times as strong as in clean patches (ice, carbon or a particle)."


def _texture(i: int, n: Numbers) -> str:
    band = int(n.bands[i].argmax())
    change = np.exp(n.values[i, 2 + band] - n.background.centre[2 + band]) - 1
    edges = band_edges(n.background.box)
    where = _period(n, n.background.box / edges[band + 1], n.background.box / edges[band])
    why = "carbon or ice" if change > 0 else "another thickness, or an empty hole"
    return f"{abs(change):.0%} {'more' if change > 0 else 'less'} power at periods of {where}: {why}."


def _noise(i: int, n: Numbers) -> str:
    change = np.exp(n.values[i, 1] - n.background.centre[1]) - 1
    what, why = ("stronger", "carbon, ice or a particle") if change > 0 else ("weaker", "an empty hole or a mask")
    return f"Its noise is {abs(change):.0%} {what} than that of clean patches: {why}."


_SENTENCES = {
    "masked": _masked,
    "pixels": _pixels,
    "crystal": _crystal,
    "edge": _edge,
    "brightness": _brightness,
    "particle": _particle,
    "blob": _blob,
    "uneven": _uneven,
    "texture": _texture,
    "noise": _noise,
}
