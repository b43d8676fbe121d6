"""One micrograph as the trust checks see it: raw, flattened, where it is empty, where particles are, and a template.

Everything is in the micrograph's grey units and pixels. Positions are (n, 2) x, y; x is the column, row 0 first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.denoising.collect import disc, radial_mean
from core.denoising.patches import candidates, pick_boxes
from core.denoising.predict import Method
from core.denoising.quality import crops_at, flattened
from core.errors import InputError
from core.physics.noise import low_pass_spread

FEWEST_PICKS = 6  # whose rotational average is a template; fewer count as none
FEWEST_BOXES = 4  # empty places that a spectrum may be taken from
MOST_BOXES = 100  # of a micrograph
CALM = 1.25  # times the spread of the four calmest places: what still counts as empty where nobody says so
BOX_SHARE = 0.8  # diameters: side of a noise box that nobody chose
RIM = (0.62, 0.72)  # diameters: the background about a particle, which the template is measured against
REACH = 0.7  # diameters: radius of the template
DISC_SNR = 0.1  # in-particle signal over noise variance of the disc, where no particles are known


@dataclass(frozen=True, eq=False)
class Scene:
    """A micrograph with its empty places; `particles` is empty (0, 2) when there are no picks."""

    path: Path
    image: np.ndarray  # (h, w) float32, as stored
    flat: np.ndarray  # the same without its smooth background
    pixel_size_a: float | None
    diameter: float  # px
    particles: np.ndarray
    noise: np.ndarray
    box: int  # px, side of an empty place
    found: str  # how the empty places were found

    @property
    def sigma(self) -> float:
        """Noise of the empty places, in grey values."""
        return max(float(self.patches().std()), 1e-12)

    def patches(self) -> np.ndarray:
        """The empty places, flattened (m, box, box)."""
        return crops_at(self.flat, self.noise, self.box)

    @property
    def picked(self) -> bool:
        """Whether there are particles to measure on."""
        return len(self.particles) > 0


@dataclass(frozen=True, eq=False)
class Template:
    """A round particle in noise sigmas. `added` fades to 0 at its rim; `matched` is 0 on average inside it."""

    added: np.ndarray  # (s, s), centre at s // 2
    matched: np.ndarray
    snr: float  # mean square of `added` inside the diameter: signal over noise variance
    source: str  # where it is from, in words
    own: bool  # of the user's particles; otherwise a disc


class Runs:
    """A method that is run many times, with one progress bar over all runs and a check of what comes back."""

    def __init__(self, method: Method, total: int, report: Callable[[float, float, str], None]) -> None:
        self.method, self.total, self._report, self.done = method, max(total, 1), report, 0

    def __call__(self, image: np.ndarray, scene: Scene, what: str) -> np.ndarray:
        """Denoise `image` as if it were the scene's micrograph; flattened float32 of the same shape."""
        message = f"{scene.path.name}: {what}"

        def step(done: int, total: int) -> None:
            self._report(self.done + done / max(total, 1), self.total, message)

        step(0, 1)
        out = np.asarray(self.method(image, scene.path, scene.pixel_size_a, step), np.float32)
        self.done += 1
        if out.shape != image.shape or not np.isfinite(out).all():
            raise InputError(
                f"The method {self.method.name} gives values that are not numbers on {scene.path.name}.",
                "Check the model on another micrograph, or train it again.",
                scene.path,
            )
        return flattened(out, scene.diameter)


def make_scene(
    path: Path,
    image: np.ndarray,
    pixel_size_a: float | None,
    diameter: float,
    particles: np.ndarray,
    noise: np.ndarray | None = None,
    box: int | None = None,
    seed: int = 0,
) -> Scene:
    """Flatten a micrograph and find its empty places where none are given (None or empty)."""
    box = box or default_box(diameter, image.shape)
    flat = flattened(image, diameter)
    if noise is not None and len(noise):
        found = "given"
        noise = noise[np.random.default_rng([seed, 3]).permutation(len(noise))[:MOST_BOXES]]
    else:
        noise, found = _find_noise(flat, image, particles, box, diameter, pixel_size_a, seed)
    noise = _inside(noise, image.shape, box)
    if len(noise) < FEWEST_BOXES:
        raise InputError(
            f"{path.name} has {len(noise)} empty places of {box} px, and {FEWEST_BOXES} are needed.",
            "Place noise boxes by hand on Home, or use smaller ones.",
            path,
        )
    if not float(crops_at(flat, noise, box).std()) > 0:
        raise InputError(f"{path.name} holds no noise in its empty places.", "Choose other noise boxes.", path)
    return Scene(path, image, flat, pixel_size_a, diameter, particles, noise, box, found)


def default_box(diameter: float, shape: Sequence[int]) -> int:
    """Side (px) of the empty places for particles of this diameter."""
    return 2 * max(8, min(128, round(BOX_SHARE * diameter / 2), min(shape) // 8))


def _inside(xy: np.ndarray, shape: Sequence[int], box: int) -> np.ndarray:
    corner = np.rint(xy) - box // 2
    ok = (corner >= 0).all(axis=1) & (corner[:, 0] + box <= shape[1]) & (corner[:, 1] + box <= shape[0])
    return xy[ok]


def _find_noise(
    flat: np.ndarray,
    image: np.ndarray,
    particles: np.ndarray,
    box: int,
    diameter: float,
    pixel_size_a: float | None,
    seed: int,
) -> tuple[np.ndarray, str]:
    """Clean boxes between the picks, as pick-noise finds them; else the calmest places of the micrograph."""
    if len(particles):
        rng = np.random.default_rng([seed, 3])
        picked = pick_boxes(image, particles, box, diameter, 0.0, MOST_BOXES, rng, (), diameter, pixel_size_a)
        if len(picked.centres) >= FEWEST_BOXES:
            return picked.centres, "found between the picks"
    places = candidates(image, np.empty((0, 2)), box, box, 0.0)
    if len(places) < FEWEST_BOXES:
        return places, "too few"
    spread = np.array([low_pass_spread(c, box / 16) for c in crops_at(flat, places, box)])
    calm = spread <= CALM * np.sort(spread)[:FEWEST_BOXES].mean()
    kept = places[calm][np.argsort(spread[calm])[:MOST_BOXES]]
    return kept, "the calmest places; on a crowded micrograph some hold particles"


def template_of(scenes: Sequence[Scene], sign: float = 1.0) -> Template:
    """Rotational average of all picked particles in noise sigmas; a soft disc where there are too few picks.

    `sign` says how the disc looks: +1 dark, as in raw micrographs, -1 light.
    """
    diameter = scenes[0].diameter
    size = 2 * round(0.75 * diameter)
    crops = [crops_at(s.flat, s.particles, size) / s.sigma for s in scenes if s.picked]
    count = sum(len(c) for c in crops)
    radius = _radius(size)
    if count >= FEWEST_PICKS:
        mean = radial_mean(np.concatenate(crops).mean(axis=0))
        rim = (radius >= RIM[0] * diameter) & (radius <= RIM[1] * diameter)
        shape, source = mean - mean[rim].mean(), f"rotational mean of {count} particles"
    else:
        shape = -sign / (1 + np.exp((radius - 0.46 * diameter) / max(0.03 * diameter, 0.7)))
        inside = disc(size, diameter / 2)
        shape = shape * np.sqrt(DISC_SNR / (shape[inside] ** 2).mean())
        source = "soft disc, no CTF"
    fade = np.clip((REACH * diameter - radius) / (0.1 * diameter), 0.0, 1.0)
    added = (shape * (3 - 2 * fade) * fade**2).astype(np.float32)
    within = disc(size, REACH * diameter)
    matched = np.where(within, added - added[within].mean(), 0.0).astype(np.float32)
    own = count >= FEWEST_PICKS
    return Template(added, matched, float((added[disc(size, diameter / 2)] ** 2).mean()), source, own)


def _radius(size: int) -> np.ndarray:
    offset = np.arange(size) - size // 2
    return np.hypot(offset[:, None], offset[None])


def disc_std(flat: np.ndarray, particles: np.ndarray, diameter: float) -> float:
    """Standard deviation inside the particle discs of a flattened micrograph."""
    inside = disc(2 * round(diameter / 2), diameter / 2)
    return float(crops_at(flat, particles, inside.shape[0])[:, inside].std()) if len(particles) else 0.0
