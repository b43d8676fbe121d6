"""The injection test: known round particles are added to the raw micrograph at empty places, and looked for again.

Amplitudes are read off the denoised micrograph that holds the added particles, not off the difference of two
denoised micrographs: a method that answers to what it sees (a gate) makes that difference look better than it is.
The same reading of the raw micrograph is the measure: it has the same noise below the added particle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.denoising.collect import disc
from core.denoising.patches import pick_boxes
from core.denoising.quality import crops_at, flattened
from core.denoising.trust_picking import best_near, scores_of
from core.denoising.trust_scene import REACH, Runs, Scene, Template

LEVELS = (1.0, 0.5, 0.25)  # contrast of the added particles over that of the user's own
MOST_PLACES = 60  # on one micrograph
APART = 1.25  # diameters between two added particles
CLEAR = 1.1  # diameters from an added particle to a picked one
FEWEST_PLACES = 3  # of one micrograph: the levels take turns


@dataclass(frozen=True, eq=False)
class Injected:
    """Readings at one level, one value a place: projections on the template, and template scores."""

    level: float
    snr: float  # signal over noise variance inside the particle at this level
    denoised: np.ndarray  # (n,) projection of the denoised micrograph, 1 = as added
    raw: np.ndarray  # (n,) the same of the raw micrograph
    denoised_score: np.ndarray  # (n,) best template score near the place
    raw_score: np.ndarray


def places_for(scene: Scene, seed: int = 0) -> np.ndarray:
    """Empty places (n, 2) x, y with room for a template, APART diameters from each other and CLEAR from the picks.

    A noise box may be smaller than a particle: boxes too near to a pick are passed over, and places that hold a whole
    particle are looked for besides. Where there are too few of both, all noise boxes serve.
    """
    boxes, side = np.rint(scene.noise), 2 * round(scene.diameter / 2)
    if not scene.picked:
        return _spaced(boxes, scene)
    distance = np.array([np.hypot(*(scene.particles - b).T).min() for b in boxes])
    free = boxes[distance >= CLEAR * scene.diameter]
    if min(scene.image.shape) > 2 * side:
        extra = pick_boxes(
            scene.image,
            scene.particles,
            side,
            scene.diameter,
            (CLEAR - 1) * scene.diameter,
            MOST_PLACES,
            np.random.default_rng([seed, 29]),
            (),
            scene.diameter,
            scene.pixel_size_a,
        )
        free = np.concatenate([free, np.rint(extra.centres)])
    found = _spaced(free, scene)
    return found if len(found) >= FEWEST_PLACES else _spaced(boxes, scene)


def _spaced(places: np.ndarray, scene: Scene) -> np.ndarray:
    size = 2 * round(0.75 * scene.diameter)
    chosen: list[np.ndarray] = []
    for place in places:
        left, top = place - size // 2
        fits = left >= 0 and top >= 0 and left + size <= scene.image.shape[1] and top + size <= scene.image.shape[0]
        apart = not chosen or np.hypot(*(np.array(chosen) - place).T).min() >= APART * scene.diameter
        if fits and apart and len(chosen) < MOST_PLACES:
            chosen.append(place)
    return np.array(chosen).reshape(-1, 2)


def inject(runs: Runs, scene: Scene, template: Template) -> list[Injected]:
    """Add particles of all levels at once, in as many turns as there are levels: each place sees each level once.

    Returns one entry per level; none where the micrograph has no room.
    """
    places = places_for(scene)
    if len(places) < FEWEST_PLACES:
        return []
    order = np.arange(len(places)) % len(LEVELS)
    readings: dict[int, list[np.ndarray]] = {i: [] for i in range(len(LEVELS))}
    for turn in range(len(LEVELS)):
        which = (order + turn) % len(LEVELS)
        image = scene.image.copy()
        for place, level in zip(places, which, strict=True):
            _add(image, place, template.added * np.float32(LEVELS[level] * scene.sigma))
        raw = flattened(image, scene.diameter)
        out = runs(image, scene, f"added particles, {turn + 1} of {len(LEVELS)}")
        read = np.stack([*_read(out, places, template, scene), *_read(raw, places, template, scene)])
        for level in range(len(LEVELS)):
            readings[level].append(read[:, which == level])
    out_of = [np.concatenate(readings[i], axis=1) for i in range(len(LEVELS))]
    return [
        Injected(level, template.snr * level**2, r[0] / level, r[2] / level, r[1], r[3])
        for level, r in zip(LEVELS, out_of, strict=True)
    ]


def _add(image: np.ndarray, place: np.ndarray, what: np.ndarray) -> None:
    size = what.shape[0]
    left, top = (place - size // 2).astype(int)
    image[top : top + size, left : left + size] += what


def _read(flat: np.ndarray, places: np.ndarray, template: Template, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Regression of each place (n,) on the template, in units of the template; and the best scores near (n,)."""
    size = template.added.shape[0]
    crops = crops_at(flat, places, size)
    within = disc(size, REACH * scene.diameter)
    t = template.matched[within]
    inside = crops[:, within]
    amplitude = (inside @ t) / (float(t @ t) * scene.sigma)
    return amplitude, best_near(scores_of(flat, template), places, scene.diameter)


@dataclass(frozen=True)
class Recovery:
    """One level over all micrographs. `amplitude` is denoised over raw (1 = unbiased), with its standard error."""

    level: float
    snr: float
    places: int
    amplitude: float
    error: float
    spread: float  # standard deviation from place to place, denoised
    raw_spread: float
    raw_amplitude: float  # of the raw micrograph over what was added; near 1, or the places were not empty


def recovery(parts: Sequence[Injected]) -> Recovery:
    """Pool one level: mean reading of the denoised over mean reading of the raw micrographs."""
    denoised = np.concatenate([p.denoised for p in parts])
    raw = np.concatenate([p.raw for p in parts])
    mean = float(raw.mean())
    if mean <= 0.2:  # the noise drowns what was added: measured against what is known to be there
        mean = 1.0
    amplitude = float(denoised.mean()) / mean
    error = float(np.std(denoised - amplitude * raw) / mean / np.sqrt(len(raw)))
    return Recovery(
        parts[0].level,
        float(np.mean([p.snr for p in parts])),
        len(raw),
        amplitude,
        error,
        float(denoised.std() / mean),
        float(raw.std() / mean),
        float(raw.mean()),
    )
