"""Do positions fit their micrographs? Those that lie outside are counted, and an inverted Y is seen in the pictures.

Inverting Y, y -> NY - y, takes no position into a micrograph that was outside of it, and none out: coordinates
alone never tell that Y runs the other way. Particles are darker or brighter than what surrounds them, though, and
places that have nothing to do with particles are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import AppError
from core.images.source import ImageSource, open_source

MOST_IMAGES, MOST_HEADERS = 5, 100  # micrographs whose picture, and whose size is looked at
_MOST_OUTSIDE, _NEARLY_NONE = 0.05, 0.01
_SIDE = 512  # px of the reduced picture
_SIZES = 0.014 * 2.0 ** (np.arange(7) / 2)  # diameters that are tried, as fractions of the longer side
_CLEAR, _LESS = 12.0, 1 / 3  # in sigmas of unrelated pixels: places drawn at random reach 7 (EMPIAR-10146)
_FEWEST = 20  # positions that say something

Matched = Mapping[Path, np.ndarray]


@dataclass(frozen=True)
class Doubts:
    """What speaks against positions, in sentences; `inverted`: they fit the pictures when Y is inverted."""

    sentences: tuple[str, ...] = ()
    inverted: bool = False


def position_doubts(matched: Matched, name: str, cancelled: Callable[[], bool] = lambda: False) -> Doubts:
    """Look at positions (n, 2; px, row 0 first) on their micrographs; `name` is that of their file in the sentences.

    Reads the headers of up to 100 micrographs and the pictures of the 5 with the most positions; one that cannot
    be read, or is a stack, is left out. After a yes of `cancelled()`, what was seen until then is answered.
    """
    filled = [path for path, xy in matched.items() if len(xy)]
    step = max(1, len(filled) // MOST_HEADERS)
    richest = sorted(filled, key=lambda path: -len(matched[path]))[:MOST_IMAGES]
    sources: dict[Path, ImageSource] = {}
    for path in dict.fromkeys([*richest, *filled[::step]]):
        if cancelled():
            return Doubts()
        try:
            source = open_source(path)
        except AppError:
            continue
        if source.n == 1:
            sources[path] = source
    found = outside({path: matched[path] for path in sources}, {p: s.shape for p, s in sources.items()}, name)
    inverted = _inverted([(sources[p], matched[p]) for p in richest if p in sources], cancelled)
    if inverted:
        found = (*found, f"The positions of {name} fit the micrographs better when Y is inverted: is Y inverted?")
    return Doubts(found, inverted)


def outside(matched: Matched, shapes: Mapping[Path, tuple[int, int]], name: str) -> tuple[str, ...]:
    """A sentence when more than 5 % of the positions lie outside of their micrographs (`shapes`: ny, nx), else none."""
    total = sum(map(len, matched.values()))
    if not total:
        return ()
    xy = np.concatenate(list(matched.values()))
    limits = np.concatenate(
        [np.tile(np.array(shapes[path][::-1], float), (len(xy), 1)) for path, xy in matched.items()]
    )
    out = (xy < 0) | (xy > limits)
    count = int(out.any(axis=1).sum())
    if count <= _MOST_OUTSIDE * total:
        return ()

    def fits(other: np.ndarray) -> bool:
        return int(((other < 0) | (other > limits)).any(axis=1).sum()) <= _NEARLY_NONE * total

    if fits(xy * [1, -1]):
        ask = "Y is negative: is Y inverted?"
    elif fits(xy[:, ::-1]):
        ask = "Are X and Y exchanged?"
    elif not out[:, 0].any():
        ask = "Only Y is too large or small: was Y inverted with the height of other micrographs?"
    else:
        ask = "Are they in pixels of these micrographs?"
    share = 100 * count / total
    return (f"{count} of {total} positions of {name} ({share:.0f} %) lie outside of their micrographs. {ask}",)


def _inverted(pictures: list[tuple[ImageSource, np.ndarray]], cancelled: Callable[[], bool]) -> bool:
    """Whether the positions are on particles, clearly, only when Y is inverted."""
    pictures = [(source, xy) for source, xy in pictures if len(xy) >= _FEWEST]
    if not pictures:
        return False
    total = np.zeros((2, len(_SIZES)))
    for source, xy in pictures:
        if cancelled():
            return False
        try:
            image = source.read(0, cancelled)
        except AppError:
            continue
        if not cancelled():
            total += contrast(image, [xy, invert_y(xy, image.shape[0])])
    given, inverted = np.abs(total).max(axis=1) / np.sqrt(len(pictures))
    return bool(inverted >= _CLEAR and given <= _LESS * inverted)


def invert_y(xy: np.ndarray, height: int) -> np.ndarray:
    """Positions (n, 2) with y -> NY - y, as CryoDDM and RELION's converters invert them."""
    return xy * [1.0, -1.0] + [0.0, float(height)]


def contrast(image: np.ndarray, sets: list[np.ndarray]) -> np.ndarray:
    """How dark (-) or bright (+) an image (ny, nx) is at sets of positions (n, 2): (sets, sizes tried).

    The mean of the band-passed image there over its standard deviation, times the root of the number of positions.
    """
    factor = max(1, round(max(image.shape) / _SIDE))
    ny, nx = (max(1, side // factor) * factor for side in image.shape)
    if min(image.shape) < factor:
        return np.zeros((len(sets), len(_SIZES)))
    small = image[:ny, :nx].reshape(ny // factor, factor, nx // factor, factor).mean((1, 3), dtype=np.float32)
    low, high = np.percentile(small, [0.5, 99.5])
    small = np.clip(small, low, high)  # ice and hot pixels
    result = np.zeros((len(sets), len(_SIZES)))
    spectrum = np.fft.rfft2(small - small.mean())  # no scipy: it takes long to import, and this runs beside a window
    square = np.fft.fftfreq(small.shape[0])[:, None] ** 2 + np.fft.rfftfreq(small.shape[1])[None] ** 2
    for j, size in enumerate(_SIZES):
        blur = np.exp(-2 * (np.pi * size * max(small.shape) / 4) ** 2 * square)  # sigma is a quarter of the diameter
        band = np.fft.irfft2(spectrum * (blur - blur**4), small.shape)  # blur**4: twice the sigma
        spread = float(band.std())
        for i, xy in enumerate(sets):
            at = np.floor(xy / factor).astype(np.int64)
            at = at[((at >= 0) & (at < small.shape[::-1])).all(axis=1)]
            if len(at) and spread > 0:
                result[i, j] = band[at[:, 1], at[:, 0]].mean() / spread * np.sqrt(len(at))
    return result
