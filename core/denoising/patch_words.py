"""Why a patch was refused, as a biologist would say it, with the numbers. Nothing is decided here."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.denoising.patch_measure import Measured, band_edges, spot_mask

if TYPE_CHECKING:
    from core.denoising.patch_rating import Background

# Code -> what a list of reasons calls several such places, in the order in which equal reasons are told.
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
_ONE = {"pixels": "hot or dead pixel", "edge": "edge", "particle": "unlisted particle", "blob": "spot"}

LINE = 58  # characters of a line in a tooltip
LARGER = 1.35  # times a listed particle: no particle of this kind


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
    """One short sentence about patch i, in one line."""
    return _SENTENCES[code](i, numbers)


def counted(code: str, count: int) -> str:
    """1 spot, 2 spots."""
    return f"{count} {_ONE.get(code, CODES[code]) if count == 1 else CODES[code]}"


def wrapped(text: str) -> str:
    """The text in lines that fit a tooltip."""
    return textwrap.fill(text, LINE, break_long_words=False)


def _times(ratio: float) -> str:
    """2.4 times, 12 times; without decimals where they mean nothing."""
    return f"{ratio:.0f} times" if ratio >= 9.5 else f"{ratio:.2g} times"


def _masked(i: int, n: Numbers) -> str:
    return f"A mask or a border: {n.measured.flat[i]:.0%} of its pixels equal their neighbours."


def _pixels(i: int, n: Numbers) -> str:
    usual = np.exp(n.background.limits["pixels"][0])
    return f"Hot or dead pixels: one stands out {_times(n.measured.spike[i] / usual)} as far as usual."


def _crystal(i: int, n: Numbers) -> str:
    box = n.background.box
    ratio = np.where(spot_mask(box), n.measured.power[i] / n.background.power, 0.0)
    row, col = np.unravel_index(int(ratio.argmax()), ratio.shape)
    cycles = np.hypot(min(row, box - row), col)
    return f"Crystalline ice: a sharp spot in the power spectrum at {_period(n, box / cycles)}."


def _period(n: Numbers, pixels: float, to: float | None = None) -> str:
    size = n.background.pixel_size_a
    last = "" if to is None else f" to {to:.3g}"
    text = f"{pixels:.3g}{last} px"
    if size:
        last = "" if to is None else f" to {to * size:.3g}"
        text += f" ({pixels * size:.3g}{last} Å)"
    return text


def _edge(i: int, n: Numbers) -> str:
    times = np.hypot(*n.slope[i]) / np.hypot(*n.background.slope_scale)
    return f"Brightness changes across the box, {_times(times)} as much as usual here: carbon or ice edge?"


def _brightness(i: int, n: Numbers) -> str:
    what, why = (
        ("Darker", "carbon, thick ice or a particle?") if n.offset[i] < 0 else ("Brighter", "thin ice or a hole?")
    )
    times = abs(n.offset[i]) / n.background.brightness_scale
    return f"{what} than its surroundings, {_times(times)} the usual difference: {why}"


def _particle(i: int, n: Numbers) -> str:
    search = n.background.search
    listed = search.listed if search is not None else None
    score = float(n.extremes["particle"][i])
    if listed and score > LARGER * listed:
        return f"Something {_times(score / listed)} as strong as a listed particle is in or beside it: ice or dirt?"
    if listed:
        return f"Looks like an unlisted particle: {score / listed:.0%} as strong as the listed ones."
    usual = n.background.limits["particle"][0]
    return f"Looks like a particle: {_times(score / max(usual, 1e-12))} the usual response at this diameter."


def _blob(i: int, n: Numbers) -> str:
    colour = "dark" if n.measured.blob[i] < 0 else "bright"
    times = np.exp(n.extremes["blob"][i] - n.background.limits["blob"][0])
    return f"A {colour} spot, {_times(times)} as strong as usual here: ice, gold, dirt or a particle?"


def _uneven(i: int, n: Numbers) -> str:
    times = np.exp(n.values[i, 0] - n.background.centre[0])
    return f"Uneven: broad features are {_times(times)} as strong as usual here. Ice, carbon or a particle?"


def _texture(i: int, n: Numbers) -> str:
    band = int(n.bands[i].argmax())
    change = np.exp(n.values[i, 2 + band] - n.background.centre[2 + band]) - 1
    edges = band_edges(n.background.box)
    where = _period(n, n.background.box / edges[band + 1], n.background.box / edges[band])
    why = "carbon or ice?" if change > 0 else "other ice thickness or an empty hole?"
    return f"{_change(change, 'more', 'less')} detail of {where} than usual here: {why}"


def _noise(i: int, n: Numbers) -> str:
    change = np.exp(n.values[i, 1] - n.background.centre[1]) - 1
    why = "carbon, ice or a particle?" if change > 0 else "an empty hole or a mask?"
    return f"Noise {_change(change, 'stronger', 'weaker')} than usual here: {why}"


def _change(change: float, more: str, less: str) -> str:
    return f"{_times(1 + change)} {more}" if change > 2 else f"{abs(change):.0%} {more if change > 0 else less}"


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
