"""Is a patch clean background? Each is compared with the main population of patches of its own micrograph.

How to measure is core/denoising/patch_measure.py's, the words are patch_words.py's, where to look is patches.py's.
Limits come from how far clean patches lie apart, so that few of them are refused by chance; none is a grey value.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.ndimage as ndi
from scipy.special import ndtri, stdtrit

from core.denoising.particle_search import ParticleSearch
from core.denoising.patch_measure import Measured, band_deviation, expected_deviations, measure, spot_mask
from core.denoising.patch_words import CODES, Numbers, in_words
from core.denoising.population import PRIOR_WEIGHT, Surface, fit_surface, main_population, robust_scale

FALSE_REFUSAL = 0.02  # of clean patches; shared evenly by the tests
TESTS = ("uneven", "blob", "noise", "texture", "brightness", "edge", "crystal", "pixels", "particle")
CHANCE = FALSE_REFUSAL / len(TESTS)
MASKED = 0.05  # a larger share of one value in a box is a mask, not noise
MOST_GRID = 300  # windows that speak for a micrograph when no candidates are given
NATURAL = 0.03  # deviation of the log of the noise from place to place, as the ice grows thicker: no contamination
# Differences that no network would notice, however sure they are: as a factor (log) or in noise sigmas.
LEAST = {"uneven": 0.15, "blob": 0.15, "noise": 0.05, "texture": 0.15, "brightness": 0.1, "edge": 0.15}
# Of a listed particle's response: a weaker one is not called a particle, a stronger one is, unless noise reaches it.
LISTED_SHARES = (0.45, 0.5)
DROWNING = 0.6  # of it, which noise alone reaches: where less, a clean box lost is better than a particle let in
# Of a Gumbel distribution, in robust deviations from its median: how far a value lies that CHANCE exceed.
GUMBEL_LIMIT = float((-np.log(-np.log1p(-CHANCE)) + np.log(np.log(2))) / (1.4826 * 0.7670))

# The log of the largest |value| of a low-passed patch scatters more than that of its deviation, with a lighter tail.
BLOB_TO_SPREAD, BLOB_LIMIT = 1.5, 3.3
HUMP = 3.8  # in deviations of the low-passed patch: chance makes 3.1 in the middle, 4.4 in one of a hundred
TOGETHER = 1.35  # root of the sum of squares of scores that few in a thousand patches of pure noise exceed (measured)
FEW_ALIKE = 0.5  # of the places: fewer that look alike are worth a warning


@dataclass(frozen=True)
class Rating:
    """`code` is "" for a clean patch, else one of CODES; `scores`: test -> value, where above 1 is refused."""

    accepted: bool
    code: str = ""
    text: str = ""
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Background:
    """What clean patches of one micrograph look like. Small: fit to be kept while the micrograph is shown."""

    box: int
    shape: tuple[int, int]
    centre: np.ndarray  # (2 + k,) log spread, log deviation, log bands
    scale: np.ndarray
    brightness: Surface
    brightness_scale: float  # noise sigmas
    slope: np.ndarray  # (2,) noise sigmas a box
    slope_scale: np.ndarray
    limits: dict[str, tuple[float, float]]  # of blob, crystal, pixels, particle: what is usual, and the limit
    power: np.ndarray  # (b, b // 2 + 1) expected power
    search: ParticleSearch | None
    pixel_size_a: float | None
    alike: int  # patches of the main population
    asked: int  # of so many

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise, in grey values."""
        return float(np.exp(self.centre[1]))

    @property
    def mixed(self) -> bool:
        """Whether most places are unlike the background found: carbon, ice or unlisted particles prevail."""
        return self.asked >= 8 and self.alike < FEW_ALIKE * self.asked


def learn_background(
    image: np.ndarray,
    box: int,
    particles: np.ndarray | None = None,
    diameter: float | None = None,
    pixel_size_a: float | None = None,
) -> Background | None:
    """What clean patches of this micrograph look like, from a grid of boxes that keep clear of `particles` (n, 2).

    None where not one box fits into the image.
    """
    particles = np.empty((0, 2)) if particles is None else np.asarray(particles, float).reshape(-1, 2)
    centres = _grid(image.shape, box, particles, (box + max(diameter or 0.0, box)) / 2)
    if not len(centres):
        return None
    return background_of(image, centres, measure(image, centres, box), box, particles, diameter, pixel_size_a)


def rate_patches(
    image: np.ndarray,
    centres: np.ndarray,
    box: int,
    particles: np.ndarray | None = None,
    diameter: float | None = None,
    pixel_size_a: float | None = None,
) -> tuple[list[Rating], Background | None]:
    """Rate each box about `centres` (n, 2) x, y against the main population of these boxes themselves."""
    centres = np.asarray(centres, float).reshape(-1, 2)
    if not len(centres):
        return [], None
    particles = np.empty((0, 2)) if particles is None else np.asarray(particles, float).reshape(-1, 2)
    measured = measure(image, centres, box)
    background = background_of(image, centres, measured, box, particles, diameter, pixel_size_a)
    return rate(background, centres, measured), background


def rate_at(background: Background, image: np.ndarray, x: float, y: float) -> Rating:
    """Rate one box placed by hand, in about a millisecond. It must lie inside the image."""
    centres = np.array([[x, y]], float)
    return rate(background, centres, measure(image, centres, background.box))[0]


def background_of(
    image: np.ndarray,
    centres: np.ndarray,
    measured: Measured,
    box: int,
    particles: np.ndarray,
    diameter: float | None,
    pixel_size_a: float | None,
) -> Background:
    """Learn the background from measured boxes (at least one), most of which need not be clean."""
    shape = (image.shape[0], image.shape[1])
    values = _texture(measured)
    usable = measured.flat <= MASKED
    if not usable.any():
        usable[:] = True
    values, where = values[usable], np.flatnonzero(usable)
    calmest = where[np.argsort(values[:, 0])[: max(1, len(where) // 2)]]
    ideal = expected_deviations(np.median(measured.power[calmest], axis=0), box)
    expected = np.hypot(np.concatenate([ideal, band_deviation(box)]), NATURAL)
    found = main_population(values, expected, calm=values[:, 0] + values[:, 2:].mean(axis=1))
    sigma = float(np.exp(found.centre[1]))
    members = where[found.members]
    brightness, offset = fit_surface(centres[members], measured.mean[members] / sigma, shape)
    # the mean of a box varies about as the low-passed patch does, over sqrt(cells)
    least = float(np.exp(found.centre[0])) / sigma / np.sqrt(38.0)
    slope = measured.slope[members] / sigma
    least_slope = np.full(2, 3.5 * least)
    search = ParticleSearch(image, particles, diameter) if diameter and min(shape) > 2 * diameter else None
    power = _expected_power(measured.power[members])
    partial = Background(
        box=box,
        shape=shape,
        centre=found.centre,
        scale=found.scale,
        brightness=brightness,
        brightness_scale=float(robust_scale(offset[:, None], np.array([least]), trust=0)[0]),
        slope=np.median(slope, axis=0),
        slope_scale=robust_scale(slope, least_slope, trust=0),
        limits={},
        power=power,
        search=search,
        pixel_size_a=pixel_size_a,
        alike=len(members),
        asked=len(centres),
    )
    partial.limits.update(_extreme_limits(partial, measured, centres, members))
    return partial


def _grid(shape: tuple[int, ...], box: int, particles: np.ndarray, reach: float) -> np.ndarray:
    """Boxes side by side over the whole image, (n, 2); those near particles only if there are no others."""
    rows, cols = (np.arange(box // 2, n - (box - box // 2) + 1, box) for n in shape[:2])
    xy = np.stack(np.meshgrid(cols, rows), axis=-1).reshape(-1, 2).astype(float)
    if len(particles) and len(xy):
        clear = np.ones(len(xy), bool)
        for particle in particles:  # one at a time: thousands of windows times thousands of particles is much memory
            clear &= np.abs(xy - particle).max(axis=1) >= reach
        xy = xy[clear] if clear.sum() >= 8 else xy
    step = len(xy) / max(1, min(len(xy), MOST_GRID))
    return xy[(np.arange(min(len(xy), MOST_GRID)) * step).astype(int)]


def _texture(measured: Measured) -> np.ndarray:
    columns = [np.log(measured.spread), np.log(measured.deviation), *np.log(measured.bands).T]
    return np.stack(columns, axis=1)


def _expected_power(power: np.ndarray) -> np.ndarray:
    """Power of each coefficient of a clean patch: the median over some, smoothed the more the fewer there are."""
    some = power[:: max(1, len(power) // 100)]
    middle = np.median(some, axis=0) / np.log(2.0)
    size = 3 if len(some) >= 40 else 5 if len(some) >= 12 else 9
    return np.maximum(ndi.uniform_filter(middle, size, mode="nearest"), 1e-30)


def _extremes(background: Background, measured: Measured, centres: np.ndarray) -> dict[str, np.ndarray]:
    """Values whose limits are those of a largest of many."""
    mask = spot_mask(background.box)
    inverse = np.where(mask, 1.0 / background.power, 0.0).astype(np.float32)
    spots = (measured.power * inverse).reshape(len(measured), -1)
    found = {
        "blob": np.log(np.maximum(np.abs(measured.blob) * measured.spread, 1e-30)),
        "crystal": np.log(np.maximum(spots.max(axis=1), 1e-20)),
        "pixels": np.log(np.maximum(measured.spike, 1e-20)),
    }
    if background.search is not None:
        found["particle"] = background.search.score(centres, background.box)
    return found


def _extreme_limits(
    background: Background, measured: Measured, centres: np.ndarray, members: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Limits of the largest of many: where Gaussian noise puts them, wider where the clean patches are."""
    found = _extremes(background, measured, centres)
    # independent ones: the window joins neighbouring coefficients
    coefficients, pixels = int(spot_mask(background.box).sum()) // 2, background.box**2
    ideal = {  # median, limit
        "crystal": (np.log(np.log(coefficients / np.log(2))), np.log(np.log(coefficients / CHANCE))),
        "pixels": tuple(np.log(-ndtri(p / (2 * pixels))) for p in (np.log(2), CHANCE)),
    }
    limits = {}
    for name, values in found.items():
        clean = values[members]
        middle = float(np.median(clean))
        if name in ideal:
            usual, limit = ideal[name]
            middle = max(middle, usual)
            wider = _widening(clean, (limit - usual) / GUMBEL_LIMIT)
            limits[name] = (middle, middle + wider * (limit - usual))
        else:
            expected = BLOB_TO_SPREAD * float(background.scale[0]) if name == "blob" else 0.0
            scale = float(robust_scale(clean[:, None], np.array([expected]))[0])
            tail = BLOB_LIMIT if name == "blob" else GUMBEL_LIMIT
            limits[name] = (middle, middle + max(tail * scale, LEAST.get(name, 1e-12)))
    search = background.search
    if search is not None and search.listed is not None:
        # the noise between particles caps it: most candidates may lie on unlisted particles and must not be the norm
        low, high = (share * search.listed for share in LISTED_SHARES)
        noise = search.by_chance(background.box, CHANCE)
        cap = noise if noise > DROWNING * search.listed else high
        usual, limit = limits["particle"]
        limits["particle"] = (min(usual, search.by_chance(background.box, 0.5)), max(low, min(limit, cap)))
    return limits


def _widening(clean: np.ndarray, expected: float) -> float:
    return float(robust_scale(clean[:, None], np.array([expected]))[0]) / expected


def rate(background: Background, centres: np.ndarray, measured: Measured) -> list[Rating]:
    """Rate measured boxes (n) about `centres` (n, 2) against a background of the same box size."""
    values = _texture(measured)
    offset = measured.mean / background.sigma - background.brightness.at(centres)
    slope = measured.slope / background.sigma - background.slope
    extremes = _extremes(background, measured, centres)
    bands = _band_scores(background, values)
    scores = _scores(background, values, bands, offset / background.brightness.uncertainty(centres), slope)
    scores["masked"] = measured.flat / MASKED
    for name, found in extremes.items():
        usual, high = background.limits[name]
        scores[name] = (found - usual) / max(high - usual, 1e-12)
    # one broad hump rather than unevenness all over is told as a spot
    scores["blob"] = np.where(np.abs(measured.blob) >= HUMP, np.fmax(scores["blob"], scores["uneven"]), scores["blob"])
    codes = [code for code in CODES if code in scores]
    table = np.stack([scores[code] for code in codes], axis=1)
    numbers = Numbers(background, measured, values, offset, slope, extremes, bands)
    together = _together(scores)
    return [_rating(i, row, together[i], codes, numbers) for i, row in enumerate(table)]


def _limit(background: Background, chance: float, trust: float = PRIOR_WEIGHT) -> float:
    """How many scales off a clean value lies with this probability; more where few patches told the scale."""
    measured = max(2.0, 0.37 * background.alike)  # 0.37: what a median deviation knows of a Gaussian
    return float(-stdtrit(measured + trust, chance))


def _band_scores(background: Background, values: np.ndarray) -> np.ndarray:
    """Scores (n, k) of the bands; they share the chance of one test. Less power is held to twice the difference."""
    off = values[:, 2:] - background.centre[2:]
    least = np.where(off < 0, 2 * LEAST["texture"], LEAST["texture"])
    limit = _limit(background, CHANCE / (2 * off.shape[1]))
    return np.abs(off) / np.maximum(limit * background.scale[2:], least)


def _scores(
    background: Background, values: np.ndarray, bands: np.ndarray, offset: np.ndarray, slope: np.ndarray
) -> dict[str, np.ndarray]:
    """Scores of the values that lie about a centre; `offset` and `slope` in noise sigmas."""
    off = values - background.centre
    one, two = _limit(background, CHANCE), _limit(background, CHANCE / 2)
    noise_least = np.where(off[:, 1] < 0, 2 * LEAST["noise"], LEAST["noise"])
    free = _limit(background, CHANCE / 2, trust=0)  # nothing is known beforehand of how ice thickness varies
    tilt = np.sqrt(((slope / background.slope_scale) ** 2).sum(axis=1))
    # the length of two Gaussian numbers, widened like a single one where few patches told the scale
    tilt_limit = np.sqrt(-2 * np.log(CHANCE)) * _limit(background, CHANCE, trust=0) / -float(ndtri(CHANCE))
    return {
        "uneven": off[:, 0] / max(one * background.scale[0], LEAST["uneven"]),
        "noise": np.abs(off[:, 1]) / np.maximum(two * background.scale[1], noise_least),
        "texture": bands.max(axis=1),
        "brightness": np.abs(offset) / max(free * background.brightness_scale, LEAST["brightness"]),
        "edge": np.minimum(tilt / tilt_limit, np.hypot(slope[:, 0], slope[:, 1]) / LEAST["edge"]),
    }


def _together(scores: dict[str, np.ndarray]) -> np.ndarray:
    """Score (n,) of several weak signs of one thing, as of a particle that reaches in by a corner."""
    signs = [np.fmax(scores["uneven"], scores["blob"]), scores["edge"], scores["brightness"]]
    signs += [scores["particle"]] if "particle" in scores else []
    return np.sqrt(sum(np.maximum(s, 0.0) ** 2 for s in signs)) / TOGETHER


def _rating(i: int, row: np.ndarray, together: float, codes: list[str], numbers: Numbers) -> Rating:
    scores = {code: round(float(v), 3) for code, v in zip(codes, row, strict=True)}
    masked = scores["masked"] > 1.0  # a box without noise differs in everything else, too
    worst = codes.index("masked") if masked else int(np.argmax(row))
    if row[worst] > 1.0:
        return Rating(False, codes[worst], in_words(codes[worst], i, numbers), scores)
    if together > 1.0:
        text = f"Several weak signs. {in_words(codes[worst], i, numbers)}"
        return Rating(False, codes[worst], text, scores)
    return Rating(True, scores=scores)
