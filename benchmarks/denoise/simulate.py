"""Micrographs whose truth is known, as files: what a user would have, and beside it what only the judge may read.

A particle is a projection of a density; the CTF and the detector act on it. Structural noise of the ice sees the same
CTF, shot noise does not. Everything is relative to the mean number of electrons and ends as Poisson counts.

    micrographs/*.mrc   electron counts, particles and blanks    particles.star, noise_boxes.star   as a user gives them
    truth/*.mrc         the signal alone, in counts              truth.json, specimen.mrc
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.denoise import optics
from benchmarks.denoise.projection import project
from benchmarks.denoise.specimens import Specimen, density, with_box
from core.physics import exposure
from core.physics.density import diameter_px
from core.physics.rotations import random_rotations

REFERENCE_SIDE = 1024  # the specimens' numbers of particles are for this side


@dataclass(frozen=True)
class Settings:
    """One simulated data set."""

    seed: int = 1
    side: int = 1024  # px
    micrographs: int = 3
    blanks: int = 1
    faint: float = 0.15  # share of particles at half contrast
    ice_share: float = exposure.ICE_SHARE  # of the noise variance
    empty: float = 0.25  # right part of the field without particles
    noise_box: int = 128  # px
    noise_boxes: int = 25  # most on one micrograph
    dose_e_a2: float = exposure.DOSE_E_A2


@dataclass
class _Field:
    """One micrograph before the electrons: relative signal (h, w) and where it came from."""

    defocus_um: float
    xy: np.ndarray  # (n, 2)
    faint: np.ndarray  # (n,) bool
    rotations: np.ndarray  # (n, 3, 3)
    signal: np.ndarray


def simulate(specimen: Specimen, folder: Path, settings: Settings = Settings()) -> dict[str, Any]:
    """Write one data set; returns what truth.json holds. The same arguments give the same files."""
    from core.io.mrc import write_mrc

    rng = np.random.default_rng([settings.seed, 404])
    volume = density(specimen)
    specimen = with_box(specimen, volume)
    pixel, diameter = specimen.pixel_size_a, diameter_px(volume)
    count = max(1, round(specimen.particles * (settings.side / REFERENCE_SIDE) ** 2))
    fields = [_field(volume, specimen, settings, count, diameter, rng) for _ in range(settings.micrographs)]
    dose = settings.dose_e_a2 * pixel**2
    noise = exposure.relative_noise((settings.side, settings.side), dose, settings.ice_share)
    scale = np.sqrt(specimen.snr) * noise / _spread_inside(fields, diameter)
    blank = np.zeros((settings.side,) * 2)
    nothing = np.empty((0, 2), int), np.empty(0, bool), np.empty((0, 3, 3))
    fields += [_Field(float(rng.uniform(1, 3)), *nothing, blank) for _ in range(settings.blanks)]

    write_mrc(folder / "specimen.mrc", volume, pixel)
    about = []
    for number, field in enumerate(fields):
        is_blank = number >= settings.micrographs
        name = f"blank_{number - settings.micrographs:02d}.mrc" if is_blank else f"mic_{number:02d}.mrc"
        transfer = optics.transfer(settings.side, pixel, field.defocus_um)
        ice = noise * np.sqrt(settings.ice_share)
        counts = exposure.exposed(field.signal * scale, transfer, pixel, dose, ice, rng)
        write_mrc(folder / "micrographs" / name, counts.astype(np.float32), pixel)
        write_mrc(folder / "truth" / name, (dose * scale * field.signal).astype(np.float32), pixel)
        boxes = _noise_boxes(field.xy, diameter, settings, rng)
        about.append({"name": name, "blank": is_blank, "defocus_um": field.defocus_um, "xy": field.xy.tolist(),
                      "faint": field.faint.tolist(), "rotations": field.rotations.tolist(),
                      "noise_boxes": boxes.tolist()})  # fmt: skip
    facts = {
        "specimen": specimen.name, "symmetry": specimen.symmetry, "pixel_size_a": pixel, "box": specimen.box,
        "diameter_px": diameter, "snr": specimen.snr, "dose_e_px": dose, "noise_counts": dose * noise,
        **dataclasses.asdict(settings), "micrographs": about,
    }  # fmt: skip
    _write_positions(folder, about, settings.noise_box)
    (folder / "truth.json").write_text(json.dumps(facts), encoding="utf-8")  # last: a folder that has it is complete
    return facts


def _field(
    volume: np.ndarray, specimen: Specimen, settings: Settings, count: int, diameter: float, rng: np.random.Generator
) -> _Field:
    xy = _places(count, specimen.box, diameter, settings, rng)
    rotations = random_rotations(len(xy), rng)
    faint = np.zeros(len(xy), bool)
    faint[rng.permutation(len(xy))[: round(settings.faint * len(xy))]] = True
    defocus = float(rng.uniform(1, 3))
    pure = np.zeros((settings.side,) * 2)
    half = specimen.box // 2
    for (x, y), weak, image in zip(xy, faint, project(volume, rotations), strict=True):
        pure[y - half : y - half + specimen.box, x - half : x - half + specimen.box] += (0.5 if weak else 1) * image
    signal = exposure.filtered(pure, optics.transfer(settings.side, specimen.pixel_size_a, defocus))
    return _Field(defocus, xy, faint, rotations, signal)


def _places(count: int, box: int, diameter: float, settings: Settings, rng: np.random.Generator) -> np.ndarray:
    """Centres (n, 2) x, y: whole pixels, apart from each other, left of the strip that stays empty."""
    right = min(settings.side - (box - box // 2), settings.side * (1 - settings.empty) - diameter / 2)
    chosen = np.empty((0, 2), int)
    for _ in range(20_000):
        if len(chosen) == count:
            break
        place = np.array([rng.integers(box // 2, int(right) + 1), rng.integers(box // 2, settings.side - box // 2)])
        if not len(chosen) or np.hypot(*(chosen - place).T).min() >= 1.05 * diameter:
            chosen = np.concatenate([chosen, place[None]])
    return chosen


def _spread_inside(fields: list[_Field], diameter: float) -> float:
    """Standard deviation of the signal inside the discs of particles of full contrast, over all micrographs."""
    inside = [f.signal[optics.discs(f.signal.shape, f.xy[~f.faint], diameter / 2)] for f in fields]
    return float(np.concatenate(inside).std())


def _noise_boxes(xy: np.ndarray, diameter: float, settings: Settings, rng: np.random.Generator) -> np.ndarray:
    """Centres (m, 2) of boxes that touch no particle, at random places as a user would click."""
    box, side = settings.noise_box, settings.side
    if box + 2 > side:
        return np.empty((0, 2), int)
    tried = rng.integers(box // 2 + 1, side - box // 2, (4000, 2))
    apart = np.abs(tried[:, None] - xy[None]).max(axis=2) > (box + diameter) / 2
    return tried[apart.all(axis=1)][: settings.noise_boxes]


def _write_positions(folder: Path, about: list[dict[str, Any]], box: int) -> None:
    from core.io.coordinates import write_noise_boxes
    from core.io.star_write import write_star

    rows = [(m["name"], x, y) for m in about for x, y in m["xy"]]
    columns = {"rlnMicrographName": [r[0] for r in rows], "rlnCoordinateX": [float(r[1]) for r in rows],
               "rlnCoordinateY": [float(r[2]) for r in rows]}  # fmt: skip
    write_star(folder / "particles.star", "particles", columns)
    write_noise_boxes(folder / "noise_boxes.star", {m["name"]: np.array(m["noise_boxes"]) for m in about}, box)


def read_truth(folder: Path) -> dict[str, Any]:
    """What truth.json holds."""
    return json.loads((Path(folder) / "truth.json").read_text(encoding="utf-8"))
