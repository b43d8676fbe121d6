"""All methods on real micrographs of apoferritin with human picks: what can be said without a truth.

The first four ninths of the micrographs (at least one) are scored; methods that learn are trained on the others, and
the ring template comes from the others' raw particles. Each scored micrograph also gets two blanks made of its own
empty patches: noise with their spectrum and random phases, and a mosaic of them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.denoise.child import ROOT, run
from benchmarks.denoise.methods import METHODS, Task, cpu_seconds, denoise
from core.denoising import quality
from core.denoising.collect import radial_mean
from core.physics.noise import gaussian_noise, noise_spectrum

BUNDLED = ROOT / "resources" / "demo"
DIAMETER_PX, NOISE_BOX_PX, PIXEL_SIZE_A = 80.0, 96, 1.5
KINDS = ("phases", "mosaic")  # of blanks


@dataclass(frozen=True)
class Scored:
    """One scored micrograph, raw and flattened, with its picks (n, 2) and empty boxes (m, 2) x, y."""

    path: Path
    flat: np.ndarray
    particles: np.ndarray
    noise: np.ndarray
    blanks: tuple[Path, ...]


@dataclass(frozen=True)
class RealSet:
    """The micrographs of one comparison as files, and the ring template."""

    training: list[Path]
    scored: list[Scored]
    particles: Path
    noise: Path
    template: np.ndarray


def prepared(source: Path, folder: Path) -> RealSet:
    """Copy micrographs as float32, pick noise with the product's job, make the blanks."""
    from core.io.coordinates import match_names, read_noise_boxes, read_particles
    from core.io.mrc import read_image, write_mrc
    from core.io.star_write import write_star

    positions = _positions(source)
    files: list[Path] = []
    for path in positions:
        copy = folder / "micrographs" / f"{path.name.split('.mrc')[0]}.mrc"
        if not copy.exists():
            write_mrc(copy, read_image(path), PIXEL_SIZE_A)
        files.append(copy)
    star, boxes = folder / "particles.star", folder / "noise_boxes.star"
    rows = [(f.name, x, y) for f, xy in zip(files, positions.values(), strict=True) for x, y in xy]
    names = ("rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY")
    write_star(star, "particles", {n: [r[i] for r in rows] for i, n in enumerate(names)})
    if not boxes.exists():
        job = ["pick-noise", "--micrographs", *files, "--particles", star, "--box-size", NOISE_BOX_PX,
               "--particle-diameter", DIAMETER_PX, "--output", boxes, "--runs", folder / "runs"]  # fmt: skip
        took = run([sys.executable, ROOT / "main.py", *job], folder / "pick-noise.log")
        if took.error:
            raise RuntimeError(f"pick-noise: {took.error}")
    particles = match_names(read_particles(star), files)
    noise = match_names(read_noise_boxes(boxes).positions, files)
    count = max(1, round(len(files) * 4 / 9))
    scored = [_scored(f, particles[f], noise[f], folder, i) for i, f in enumerate(files[:count])]
    training = files[count:] or files[:1]
    size = 2 * round(0.75 * DIAMETER_PX)
    crops = [quality.crops_at(quality.flattened(read_image(f), DIAMETER_PX), particles[f], size) for f in training]
    return RealSet(training, scored, star, boxes, quality.ring_template(np.concatenate(crops), DIAMETER_PX))


def _positions(source: Path) -> dict[Path, np.ndarray]:
    """Micrographs of a folder that have picks: one STAR file for all, or NAME.coords.star beside NAME.*.mrc."""
    from core.images.source import list_micrographs
    from core.io.coordinates import match_names, read_particles

    micrographs = [m for m in list_micrographs(source) if "frame" not in m.name]
    common = source / "particles.star"
    if common.exists():
        found = match_names(read_particles(common), micrographs)
        return {m: xy for m, xy in found.items() if len(xy)}
    stars = {m: source / f"{m.name.split('.bin')[0].split('.mrc')[0]}.coords.star" for m in micrographs}
    return {m: np.concatenate(list(read_particles(s).values())) for m, s in stars.items() if s.exists()}


def _scored(path: Path, particles: np.ndarray, noise: np.ndarray, folder: Path, seed: int) -> Scored:
    from core.io.mrc import read_image, write_mrc

    image = read_image(path)
    flat = quality.flattened(image, DIAMETER_PX)
    blanks = tuple(folder / "blanks" / f"{kind}_{path.name}" for kind in KINDS)
    patches = quality.crops_at(flat, noise, NOISE_BOX_PX)
    if len(patches) and not all(b.exists() for b in blanks):
        side = max(flat.shape) + max(flat.shape) % 2
        spectrum = noise_spectrum(patches - patches.mean(), side)
        randomised = gaussian_noise(spectrum, np.random.default_rng([seed, 5]))[: flat.shape[0], : flat.shape[1]]
        write_mrc(blanks[0], randomised + np.float32(image.mean()), PIXEL_SIZE_A)
        write_mrc(blanks[1], quality.blank_micrograph(patches, image.shape, image, seed), PIXEL_SIZE_A)
    return Scored(path, flat, particles, noise, blanks)


def measured(data: RealSet, folder: Path | None) -> dict[str, Any]:
    """The figures of one method's folder (None: raw)."""
    from core.io.mrc import read_image

    def read(path: Path) -> np.ndarray:
        return quality.flattened(read_image(path if folder is None else folder / path.name), DIAMETER_PX)

    hits, scores, total = [], [], 0
    noise, left, fitted, false = [], [], [], {kind: [] for kind in KINDS}
    for sample in data.scored:
        flat = read(sample.path)
        inner = _inner(sample.particles, flat.shape)
        score, hit = _rings(flat, data.template, inner)
        hits.append(hit)
        scores.append(score / flat.std())
        total += len(inner)
        spread = quality.spread(flat, sample.particles, sample.noise, DIAMETER_PX, NOISE_BOX_PX)
        noise.append(spread.noise / spread.particle)
        left.append(_left(sample.flat, flat, sample.particles))
        fitted.append(_left(sample.flat, flat, sample.particles, fitted=True))
        threshold = _best_f1(score, hit, len(inner))
        for kind, blank in zip(KINDS, sample.blanks, strict=True):
            found, _ = _rings(read(blank), data.template, np.empty((0, 2)))
            false[kind].append(float((found > threshold).sum() / (flat.size / 1e6)))
    return {
        "ring_ap": quality.average_precision(np.concatenate(hits), np.concatenate(scores), total),
        "noise_over_particle": float(np.mean(noise)),
        "left_in_residual": float(np.mean(left)),
        "left_at_fitted_gain": float(np.mean(fitted)),
        **{f"false_rings_per_mpx_{kind}": float(np.mean(v)) for kind, v in false.items()},
        "scored": [s.path.name for s in data.scored],
        "trained_on": len(data.training),
    }


def _inner(xy: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    margin = 0.5 * DIAMETER_PX
    return xy[((xy >= margin) & (xy < np.array(shape[::-1]) - margin)).all(axis=1)]


def _rings(flat: np.ndarray, template: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores of ring peaks, best first, and which of them hit a pick."""
    scores = quality.template_scores(flat, template)
    xy, score = quality.peaks(scores, 0.5 * DIAMETER_PX, round(0.5 * DIAMETER_PX))
    return score, quality.match_peaks(xy, truth, 0.25 * DIAMETER_PX)


def _best_f1(score: np.ndarray, hit: np.ndarray, total: int) -> float:
    """The score down to which peaks are taken when F1 is to be best."""
    right = np.cumsum(hit)
    return float(score[np.argmax(2 * right / (np.arange(1, len(hit) + 1) + total))])


def _left(raw: np.ndarray, denoised: np.ndarray, xy: np.ndarray, fitted: bool = False) -> float:
    """Share of the mean raw particle that is still in raw - gain * denoised; 0 is ideal.

    The gain is 1, or the one that fits best over the whole image. The latter makes up for a filter's weak fine detail
    with too much of the particle: a filter that keeps the mean particle exactly comes out negative.
    """
    gain = float((raw * denoised).sum() / max((denoised * denoised).sum(), 1e-30)) if fitted else 1.0
    size = 2 * round(0.6 * DIAMETER_PX)
    mean = quality.crops_at(raw, xy, size).mean(axis=0)
    rest = quality.crops_at(raw - np.float32(gain) * denoised, xy, size).mean(axis=0)
    mean = radial_mean(mean - mean.mean())  # of the round particle; what is not round is the noise of a finite mean
    return float((rest * mean).sum() / (mean * mean).sum())


def run_real(source: Path | None, folder: Path, chosen: Sequence[str], minutes: float, seed: int) -> dict[str, Any]:
    """{"methods": {name: figures, skipped or error}} on the bundled or the given micrographs."""
    data = prepared(source or BUNDLED, folder / "data")
    files = [p for s in data.scored for p in (s.path, *s.blanks)]
    task = Task(files, data.training, data.particles, data.noise, DIAMETER_PX, folder, minutes, seed)
    found: dict[str, Any] = {"raw": measured(data, None)}
    for name in chosen:
        done = denoise(METHODS[name], task)
        if "stages" in done and "error" not in done:
            cost = {"train_cpu_s": cpu_seconds(done["stages"], "train"), "cpu_s": cpu_seconds(done["stages"])}
            done = measured(data, task.output(name)) | cost
        found[name] = done
    return {"source": "given" if source else "bundled", "methods": found}
