"""Score one method on one simulated data set: `evaluate(sim_folder, method_folder) -> dict`.

A method folder holds a denoised file for every file of the set's micrographs/ under the same name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.denoise import measures, optics, picking, poses
from benchmarks.denoise.simulate import read_truth
from benchmarks.denoise.specimens import symmetry_rotations

RAW = "micrographs"  # the folder of the set that holds the raw images: the method "raw"


@dataclass
class Micrograph:
    """One micrograph and its truth, flattened; positions (n, 2) x, y."""

    name: str
    defocus_um: float
    xy: np.ndarray
    faint: np.ndarray
    rotations: np.ndarray
    truth: np.ndarray
    inside: np.ndarray  # pixels in discs of particles of full contrast
    empty: np.ndarray  # pixels far from every particle
    pattern: np.ndarray  # for picking


@dataclass
class DataSet:
    """A simulated set as the judge reads it."""

    folder: Path
    facts: dict[str, Any]
    micrographs: list[Micrograph]
    blanks: list[str]
    volume: np.ndarray
    grid: poses.Grid
    field: np.ndarray  # pixels that count: all but a rim of half a box

    def read(self, path: Path) -> np.ndarray:
        """A denoised micrograph, flattened."""
        from core.io.mrc import read_image

        return optics.flatten(read_image(path), self.facts["diameter_px"])

    @property
    def spread(self) -> float:
        """Standard deviation of the truth inside discs, averaged over micrographs."""
        return float(np.mean([m.truth[m.inside].std() for m in self.micrographs]))


@lru_cache(maxsize=1)
def load(folder: Path) -> DataSet:
    """Read a simulated set; the last one is kept."""
    from core.io.mrc import open_mrc, read_image

    facts = read_truth(folder)
    diameter, pixel, box = facts["diameter_px"], facts["pixel_size_a"], facts["box"]
    volume = np.array(open_mrc(folder / "specimen.mrc"), np.float32)
    grid = poses.make_grid(volume, pixel, diameter)
    field = measures.inner((facts["side"],) * 2, box // 2)
    micrographs = []
    for m in facts["micrographs"]:
        if m["blank"]:
            continue
        xy, faint = np.array(m["xy"], int), np.array(m["faint"], bool)
        truth = optics.flatten(read_image(folder / "truth" / m["name"]), diameter)
        pattern = picking.template(grid.mean, pixel, m["defocus_um"])
        inside = optics.discs(truth.shape, xy[~faint], diameter / 2) & field
        empty = ~optics.discs(truth.shape, xy, 0.9 * diameter) & field
        turned = np.array(m["rotations"])
        micrographs.append(Micrograph(m["name"], m["defocus_um"], xy, faint, turned, truth, inside, empty, pattern))
    blanks = [m["name"] for m in facts["micrographs"] if m["blank"]]
    return DataSet(folder, facts, micrographs, blanks, volume, grid, field)


@lru_cache(maxsize=8)
def _references(folder: Path, defocus_um: float) -> np.ndarray:
    return load(folder).grid.references(defocus_um)


@lru_cache(maxsize=4)
def _raw_false_peaks(folder: Path) -> int:
    data = load(folder)
    found = []
    for m in data.micrographs:
        score = picking.scores(data.read(folder / RAW / m.name), m.pattern)
        found.append(picking.find(score, m.xy, m.faint, data.facts["diameter_px"]))
    return picking.false_count(found)


def evaluate(sim_folder: Path, method_folder: Path | None = None, pose: bool = True) -> dict[str, Any]:
    """All measures of one method (None: the raw images) on one set: means, and `per_micrograph` of the first ones.

    `pose=False` leaves out projection matching and reconstruction, which take most of the time.
    """
    sim_folder = Path(sim_folder).resolve()
    method_folder = sim_folder / RAW if method_folder is None else Path(method_folder)
    data = load(sim_folder)
    diameter, pixel, box = (data.facts[n] for n in ("diameter_px", "pixel_size_a", "box"))
    rows, found, particles, errors = [], [], [], []
    for m in data.micrographs:
        flat = data.read(method_folder / m.name)
        rows.append(_measured(flat, m, data))
        found.append(picking.find(picking.scores(flat, m.pattern), m.xy, m.faint, diameter))
        if pose:
            cut = measures.boxes(flat, m.xy, box)
            particles.append(cut)
            best = poses.matched(cut, _references(sim_folder, m.defocus_um), data.grid)
            symmetry = symmetry_rotations(data.facts["symmetry"])
            errors.append(poses.pose_errors_deg(best, m.rotations, symmetry)[~m.faint])
    result: dict[str, Any] = {n: _mean([r[n] for r in rows]) for n in rows[0] if n != "gain"}
    result["blank_leak"] = _blank_leak(data, method_folder, _mean([r["gain"] for r in rows]))
    faint, full = picking.hit_rates(found, _raw_false_peaks(sim_folder))
    result |= {"faint_hit_rate": faint, "hit_rate": full}
    if pose:
        error = np.concatenate(errors)
        result |= {"pose_below_15": float((error < 15).mean()), "pose_median_deg": float(np.median(error))}
        turned = np.concatenate([m.rotations for m in data.micrographs])
        defoci = np.concatenate([np.full(len(m.xy), m.defocus_um) for m in data.micrographs])
        volume = poses.reconstruct(np.concatenate(particles), turned, defoci, pixel)
        result["fsc"] = poses.mean_fsc(volume, data.volume, pixel, diameter)
    return result | {"per_micrograph": {m.name: r for m, r in zip(data.micrographs, rows, strict=True)}}


def _measured(flat: np.ndarray, m: Micrograph, data: DataSet) -> dict[str, float]:
    """The measures of one micrograph."""
    slope = measures.slopes(flat, m.truth, m.xy[~m.faint], data.facts["box"])
    return {
        "snr_db": measures.snr_db(flat, m.truth, data.field),
        "snr_inside_db": measures.snr_db(flat, m.truth, m.inside),
        "slope_cv": float(slope.std() / max(abs(slope.mean()), 1e-12)),
        "frc": measures.mean_frc(flat, m.truth, data.facts["pixel_size_a"]),
        "d_prime": picking.d_prime(picking.scores(flat, m.pattern), m.xy[~m.faint], m.empty, data.facts["diameter_px"]),
        "gain": measures.gain(flat, m.truth, data.field),
    }


def _blank_leak(data: DataSet, folder: Path, gain: float) -> float | None:
    """Spread of the output where there is no particle, over that of the particles' signal, after matching the gain."""
    left = [data.read(folder / name)[data.field].std() for name in data.blanks]
    return float(np.mean(left) / max(abs(gain), 1e-12) / data.spread) if left else None


def bounds(sim_folder: Path) -> dict[str, float]:
    """What a radial linear filter could reach at best on the raw images of a set, in dB (measures.wiener_bounds_db)."""
    data = load(Path(sim_folder).resolve())
    rows = []
    for m in data.micrographs:
        raw = data.read(data.folder / RAW / m.name)
        inside, whole = measures.wiener_bounds_db(raw, m.truth, m.inside, data.field)
        textbook = measures.ssnr_bound_db(raw, m.truth, m.xy[~m.faint], data.facts["diameter_px"])
        rows.append((inside, whole, textbook))
    names = ("snr_inside_db", "snr_db", "snr_inside_by_shells_db")
    return {name: _mean([r[i] for r in rows]) for i, name in enumerate(names)}


def _mean(values: list[float]) -> float:
    return float(np.mean(values))
