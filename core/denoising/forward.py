"""What the forward job is made of: its inputs gathered and checked, the chain, and the files of a training set."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import KDTree

import core
from core.denoising import diffusion
from core.denoising.blend import signal_spectrum
from core.denoising.canonical import canonical_diameter
from core.denoising.collect import Collected, Plan, by_micrograph, crop_sizes, micrograph_names, plan_cuts
from core.denoising.dataset import MANIFEST_VERSION, VALIDATION_STEP, recipe_dict, write_working_set
from core.denoising.diffusion import PRESETS, Schedule
from core.denoising.halves import Halves, match_halves
from core.denoising.pairs import CROP, PairMaker, Recipe, library_spectrum, shape_to
from core.errors import InputError, ParamError
from core.images.position_check import position_doubts
from core.images.single import Warn, open_single
from core.images.source import list_micrographs
from core.io.atomic import write_json
from core.io.coordinates import match_names, no_match_error, read_noise_boxes, read_particles
from core.io.mrc import MrcStackWriter
from core.physics.fourier import shell_average
from core.physics.noise import noise_mosaic, noise_spectrum
from core.physics.phantom import build_library

LEAST_SNR = 0.01  # below this the variance excess is not distinguishable from 0
FALLBACK_SNR = 0.12
LEAST_NOISE_CROP = 8  # canonical px
FEW_NOISE_BOXES = 8
NEAR_CENTRE = 0.25  # particle diameters: a noise box centred so near to a particle is a picture of it
SAMPLE_PAIRS = 128  # of s2
VALIDATION_PAIRS = 48
MOST_MEASURED = 1000  # particle crops that the signal's spectrum is measured on
PHANTOMS, VIEWS = 240, 24


@dataclass(frozen=True)
class Source:
    """Checked inputs of one forward run."""

    micrographs: list[Path]
    names: dict[Path, str]
    plan: Plan
    pixel_size: float | None
    diameter: float  # canonical px
    raw_crop: int
    canonical_crop: int
    canonical_noise: int
    noise_box: int
    warnings: list[str]
    halves: Halves  # micrograph -> its even and odd half; mostly empty


def schedule_of(params: Any) -> Schedule:
    """The preset's schedule, or the custom one, checked."""
    if params.preset != "custom":
        return PRESETS[params.preset]
    if params.beta * params.steps >= 1:
        raise ParamError(
            f"--beta {params.beta:g} times --steps {params.steps} must stay below 1: no image would be left.",
            fields=("beta", "steps"),
        )
    if params.start > params.steps:
        raise ParamError(f"--start {params.start} lies behind the last step {params.steps}.", fields=("start", "steps"))
    return Schedule(params.beta, params.steps, params.start)


def gather(params: Any, warn: Warn) -> Source:
    """Read positions, match them to the micrographs, decide every crop; raises AppError in one sentence.

    `warn` hears what is odd about the files of micrographs.
    """
    schedule_of(params)
    micrographs = list_micrographs(params.micrographs)
    names = micrograph_names(micrographs)
    particles = read_particles(params.particles)
    boxes = read_noise_boxes(params.noise)
    noise_box = boxes.box_size or params.noise_box or round(params.particle_diameter)
    matched = [match_names(p, micrographs) for p in (particles, boxes.positions)]
    for path, found, wanted in zip(
        (params.particles, params.noise), matched, (particles, boxes.positions), strict=True
    ):
        if not any(len(xy) for xy in found.values()):
            raise no_match_error(path, wanted, micrographs)
    doubts = position_doubts(matched[0], params.particles.name).sentences
    used = [m for m in micrographs if len(matched[0][m]) or len(matched[1][m])]
    sources = {m: open_single(m, warn) for m in used}
    pixel_size, warnings = _common_pixel_size(sources, params.pixel_size)
    warnings += doubts
    unused = _unused_schedule(params)
    if unused:
        warnings.append(f"--{', --'.join(unused)} have no effect with --preset {params.preset}.")
    raw, canonical, canonical_noise = crop_sizes(params.particle_diameter, noise_box)
    if canonical_noise < LEAST_NOISE_CROP:
        least = round(LEAST_NOISE_CROP * params.particle_diameter / canonical_diameter(params.particle_diameter))
        raise ParamError(
            f"Noise boxes of {noise_box} px are too small beside particles of {params.particle_diameter:g} px.",
            f"Pick boxes of at least {least} px.",
            fields=("noise", "noise_box"),
        )
    shapes = {m: s.shape for m, s in sources.items()}
    plan = plan_cuts(shapes, matched[0], matched[1], raw, noise_box, params.max_particles, params.seed)
    if not plan.particles:
        raise InputError(
            f"No particle of {params.particles} lies {raw // 2} px inside a micrograph.",
            "Are the positions in pixels of these micrographs?",
            params.particles,
        )
    if not plan.noise:
        raise InputError(f"No noise box of {params.noise} lies inside a micrograph.", "Pick noise again.", params.noise)
    warnings += _doubtful_noise(params, by_micrograph(plan.noise), matched[0])
    if plan.dropped_particles or plan.dropped_noise:
        dropped = {"particles": plan.dropped_particles, "noise boxes": plan.dropped_noise}
        warnings.append(
            f"{' and '.join(f'{n} {what}' for what, n in dropped.items() if n)} reach over a border: left out."
        )
    return Source(
        used, names, plan, pixel_size, canonical_diameter(params.particle_diameter), raw, canonical,
        canonical_noise, noise_box, warnings, _halves(params, used, pixel_size, warnings),
    )  # fmt: skip


def _doubtful_noise(params: Any, noise: Mapping[Path, np.ndarray], particles: Mapping[Path, np.ndarray]) -> list[str]:
    """Warnings about boxes that are few or lie on picked particles; refuses a list that is mostly particles.

    Centres (n, 2) in px of the micrographs. A network that learns particles as noise takes them away.
    """
    total = sum(len(xy) for xy in noise.values())
    near = NEAR_CENTRE * params.particle_diameter
    on = 0
    for micrograph, boxes in noise.items():
        picked = np.asarray(particles[micrograph], float).reshape(-1, 2)
        if len(picked):
            on += int((KDTree(picked).query(np.asarray(boxes, float))[0] < near).sum())
    if on > total / 2:
        raise InputError(
            f"{on} of {total} noise boxes of {params.noise} lie on picked particles.",
            "Choose the noise boxes of Home or pick-noise, not the particles.",
            params.noise,
        )
    found = [f"{on} of {total} noise boxes lie on picked particles: look at them on Home."] if on else []
    if total < FEW_NOISE_BOXES:
        found.append(f"Only {total} noise boxes: the noise is known badly. Pick {FEW_NOISE_BOXES} or more.")
    return found


def _halves(params: Any, micrographs: list[Path], pixel_size: float | None, warnings: list[str]) -> Halves:
    """The frame halves of the micrographs, where they are given."""
    if params.method == "cryoddm" and (params.even or params.odd):
        raise ParamError("--even and --odd have no place in CryoDDM's scheme.", fields=("method", "even", "odd"))
    halves = match_halves(params.even, params.odd, micrographs, pixel_size)
    if halves and len(halves) < len(micrographs):
        warnings.append(f"{len(micrographs) - len(halves)} of {len(micrographs)} micrographs have no halves.")
    return halves


def _unused_schedule(params: Any) -> list[str]:
    """Schedule values that were given beside a preset and are neither its own nor the defaults."""
    if params.preset == "custom":
        return []
    preset = PRESETS[params.preset]
    fields = type(params).model_fields
    names = ("beta", "steps", "start")
    return [n for n in names if getattr(params, n) not in (fields[n].default, getattr(preset, n))]


def _common_pixel_size(sources: dict[Path, Any], given: float | None) -> tuple[float | None, list[str]]:
    if given:
        return given, []
    sizes = {m: s.pixel_size_a for m, s in sources.items()}
    known = sorted({round(p, 4) for p in sizes.values() if p})
    if len(known) > 1 and known[-1] / known[0] > 1.01:
        raise InputError(
            f"The micrographs have different pixel sizes ({known[0]:g} to {known[-1]:g} A).",
            "Use micrographs of one pixel size, or state it with --pixel-size.",
        )
    if not known:
        return None, ["The files do not tell their pixel size: 1 A is assumed for the CTF of the clean signal."]
    return float(np.median([p for p in sizes.values() if p])), []


class Chain:
    """The forward chain on this data: spectra, information per step, the steps kept, and the pairs themselves."""

    def __init__(
        self,
        params: Any,
        source: Source,
        particles: np.ndarray,  # (n, s, s), noise sigmas, dark
        noise: np.ndarray,  # (m, h, h)
        group: np.ndarray,  # (m,)
        snr: float,
        measured: bool,
    ) -> None:
        self.method = params.method
        self.seed = params.seed
        self.schedule = schedule_of(params)
        self.particles, self.noise, self.group = particles, noise.astype(np.float32), group
        self.pixel_size = (source.pixel_size or 1.0) * params.particle_diameter / source.diameter
        self.library = build_library(params.seed, PHANTOMS, VIEWS)
        ratios = diffusion.transfer_snr(self.schedule)
        first = min(self.schedule.start, len(ratios)) - 1
        pixels = (self.pixel_size, self.pixel_size)
        self.recipe = Recipe(source.diameter, pixels, float(ratios[-1]), float(ratios[first]), seed=params.seed)
        self.maker = PairMaker(self.library, self.noise, group, self.recipe)
        spectrum = noise_spectrum(self.noise[: min(len(self.noise), 500)], CROP)
        shells = shell_average(spectrum, CROP)
        if measured:
            signal = signal_spectrum(particles[:MOST_MEASURED], spectrum, source.diameter)
            self._use(focus=snr, shaping=shape_to(signal, shells, self.maker))
        self.spectra = np.stack([library_spectrum(self.maker), shells])
        if self.method == "cryoddm":
            ratios = snr * diffusion.cryoddm_snr(self.schedule)
        self.ratios = ratios  # signal over noise variance after each step
        self.information = diffusion.structural_information(self.spectra[0], self.spectra[1], ratios)
        self.kept = diffusion.steps_kept(self.information, params.rsilb, self.schedule.start)
        low = float(diffusion.transfer_snr(self.schedule)[self.kept - 1])
        self._use(snr_low=low, snr_high=max(self.recipe.snr_high, low * 1.01))
        self.validation_log_snr: list[float] = []

    @property
    def frequency_a(self) -> np.ndarray:
        """Shell frequencies of the spectra, 1/Angstrom."""
        return np.arange(self.spectra.shape[1]) / (CROP * self.pixel_size)

    def _use(self, **changes: Any) -> None:
        """Change the recipe."""
        self.recipe = replace(self.recipe, **changes)
        self.maker.recipe = self.recipe

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, 2, *key])

    def cryoddm_chain(self, crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The states x_0 .. x_T of CryoDDM's chain on one crop (s, s), fresh real noise at each step."""
        states = [crop.astype(np.float32)]
        for c, n in zip(*diffusion.cryoddm_factors(self.schedule), strict=True):
            states.append(c * states[-1] + n * noise_mosaic(self.noise, crop.shape, rng))
        return np.stack(states)

    def strip(self) -> np.ndarray:
        """One particle across the kept steps, (kept + 1, s, s): x_0 first."""
        rng = self._rng(7)
        if self.method == "cryoddm":
            return self.cryoddm_chain(self.particles[0], rng)[: self.kept + 1]
        drawn = self.maker.clean_field(rng)
        while not drawn.image.any():
            drawn = self.maker.clean_field(rng)
        clean = drawn.image / np.sqrt(drawn.snr)  # in-particle variance 1
        noise = self.maker.noise_field(rng, drawn)
        bars = [1.0, *self.schedule.alpha_bars[: self.kept]]
        return np.stack([np.sqrt(b) * clean + np.sqrt(1 - b) * noise for b in bars])

    def strip_labels(self) -> list[str]:
        """What each picture of the strip is."""
        start = ["raw crop" if self.method == "cryoddm" else "simulated"]
        return start + [f"t = {i}" for i in range(1, self.kept + 1)]

    def write_pairs(self, folder: Path) -> Iterator[tuple[int, int]]:
        """Write s2 and val; yields (done, total) after each pair."""
        write = self._cryoddm_pairs if self.method == "cryoddm" else self._transfer_pairs
        yield from write(folder)

    def _writers(self, folder: Path, name: str, count: int, side: int) -> list[MrcStackWriter]:
        return [
            MrcStackWriter(folder / name / f"{kind}.mrcs", count, side, side, self.pixel_size)
            for kind in ("input", "label")
        ]

    def _transfer_pairs(self, folder: Path) -> Iterator[tuple[int, int]]:
        total, done = SAMPLE_PAIRS + VALIDATION_PAIRS, 0
        for name, count, first in (("s2", SAMPLE_PAIRS, 0), ("val", VALIDATION_PAIRS, VALIDATION_STEP)):
            one, two = self._writers(folder, name, count, CROP)
            with one as inputs, two as labels:
                for i in range(count):
                    pair = self.maker.batch(first + i, 1)
                    inputs.append(pair.noisy[0, 0].numpy())
                    labels.append(pair.target[0, 0].numpy())
                    if name == "val":
                        self.validation_log_snr.append(float(pair.log_snr[0]))
                    done += 1
                    yield done, total

    def _cryoddm_pairs(self, folder: Path) -> Iterator[tuple[int, int]]:
        """Pairs noisier -> less noisy of the steps start..kept; the last step is the validation set."""
        count, side = len(self.particles), self.particles.shape[-1]
        steps = range(self.schedule.start, self.kept + 1)
        trained = max(len(steps) - 1, 1)
        s2, val = (
            self._writers(folder, "s2", count * trained, side),
            self._writers(folder, "val", count, side),
        )
        with s2[0] as s2_in, s2[1] as s2_out, val[0] as val_in, val[1] as val_out:
            for i, particle in enumerate(self.particles):
                states = self.cryoddm_chain(particle, self._rng(8, i))
                for step in steps:
                    last = step == steps[-1]
                    if last:
                        val_in.append(states[step])
                        val_out.append(states[step - 1])
                    if not last or len(steps) == 1:
                        s2_in.append(states[step])
                        s2_out.append(states[step - 1])
                yield i + 1, count
        self.validation_log_snr = [0.0] * count


def write_set(
    params: Any,
    source: Source,
    collected: Collected,
    chain: Chain,
    sign: float,
    snr: float,
    measured: bool,
    noise_model: dict[str, Any],
    left_out: dict[int, str],  # number of a noise crop -> why training does not use it
    paired: dict[str, np.ndarray],  # crops of the frame halves, or nothing
    about_halves: dict[str, Any] | None,
) -> None:
    """Write the working set and, last of all, the manifest: a folder without it is not a training set."""
    write_working_set(params.output, chain.particles, chain.noise, chain.group, paired)
    crops = [
        {"set": name, "index": i, "micrograph": source.names[c.micrograph], "x": c.x, "y": c.y}
        for name, cuts in (("s1", source.plan.particles), ("s3", source.plan.noise))
        for i, c in enumerate(cuts)
    ]
    for crop in crops:
        if crop["set"] == "s3" and crop["index"] in left_out:
            crop["left_out"] = left_out[crop["index"]]
    calibration = float(np.median(collected.calibration)) if collected.calibration else 1.0
    manifest = {
        "version": MANIFEST_VERSION,
        "program": f"Vitreous {core.__version__}",
        "created": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "method": params.method,
        "sources": {
            "micrographs": [str(m) for m in source.micrographs],
            "particles": str(params.particles),
            "noise": str(params.noise),
        },
        "units": {
            "s1, s3": "grey values and pixel size of the input",
            "s2, val": "noise sigmas at the canonical pixel size, particles dark",
            "x, y": "px of the input, column and row of the centre pixel (index size // 2), row 0 first",
        },
        "pixel_size_a": source.pixel_size,
        "particle_diameter_px": params.particle_diameter,
        "particle_crop_px": source.raw_crop,
        "noise_box_px": source.noise_box,
        "canonical": {"diameter_px": source.diameter, "pixel_size_a": chain.pixel_size},
        "normalisation": {
            "background": "Gaussian of 1.5 particle diameters, subtracted",
            "outliers": f"beyond 8 robust sigmas set to the background: {collected.outliers} px",
            "noise_sigma": collected.sigmas,
            "calibration": calibration,
        },
        "noise_model": noise_model,
        "halves": about_halves,
        "contrast": "dark" if sign > 0 else "light",
        "snr": {"value": snr, "measured": measured, "how": "variance excess inside the particle disc"},
        "schedule": {
            "preset": params.preset,
            "beta": chain.schedule.beta,
            "steps": chain.schedule.steps,
            "start": chain.schedule.start,
            "kept": chain.kept,
            "rsilb_bound_bits": params.rsilb,
            "rsilb_bits": [float(b) for b in chain.information],
        },
        "recipe": recipe_dict(chain.recipe),
        "library": {
            "seed": params.seed,
            "phantoms": PHANTOMS,
            "views": VIEWS,
            "specimens": chain.library.names,
        },
        "pairs_per_epoch": max(64, len(source.plan.particles)),
        "validation": {"log_snr": chain.validation_log_snr, "direction": "input is noisier than label"},
        "seed": params.seed,
        "crops": crops,
    }
    write_json(params.output / "manifest.json", manifest)
