"""The files of `simulate`, and what is drawn for them from the seed: views, fields, tables in RELION's words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import core
from core.errors import ParamError
from core.io import atomic
from core.io.mrc import write_mrc
from core.io.star_write import Column, Texts, write_star_tables
from core.physics import particle_images as images
from core.physics.micrographs import Field, draw_field, usual_count
from core.physics.model import Model
from core.physics.optics import Optics
from core.physics.rotations import angles

if TYPE_CHECKING:
    from core.jobs.simulate import SimulateParams

STACK, PARTICLES, TRUTH = "particles.mrcs", "particles.star", "truth.mrc"
MICROGRAPHS, PICKS = "micrographs", "picks.star"
_OPTICS = [f.name for f in dataclasses.fields(Optics)]


@dataclass(frozen=True)
class Plan:
    """What is asked: number and spread of views with its angles, defocus (µm), (height, width) of micrographs."""

    views: int
    spread: images.Spread
    degrees: tuple[float, float]
    defocus_um: tuple[float, float]
    shape: tuple[int, int]


def micrograph_name(number: int) -> str:
    """File name of a micrograph, counted from 0."""
    return f"sim_{number + 1:04d}.mrc"


def clear(folder: Path, model: Path, allowed: bool, keep_micrographs: bool) -> None:
    """Make room: simulated data that are there are removed, tables first, or refused."""
    present = [folder / name for name in (PARTICLES, PICKS, STACK, TRUTH) if (folder / name).exists()]
    mics = sorted((folder / MICROGRAPHS).glob("sim_[0-9]*.mrc"))
    if any(path.samefile(model) for path in present + mics):
        raise ParamError(
            f"--model: {model} is in the output folder and would be replaced.",
            "Choose another folder.",
            fields=("model", "output"),
        )
    if (present or mics) and not allowed:
        raise ParamError(
            f"--output: {(present + mics)[0].name} is in {folder} already.",
            "Choose another folder, or --overwrite.",
            fields=("output", "overwrite"),
        )
    for path in present + ([] if keep_micrographs else mics):
        atomic.remove(path)


# ---- what is drawn ---------------------------------------------------------------------------------------


def draw_views(params: SimulateParams, plan: Plan, model: Model) -> images.Views:
    """All views of a stack of particles."""
    rng = np.random.default_rng([params.seed, 7])
    turns = images.draw_rotations(plan.views, plan.spread, plan.degrees, rng)
    offsets = rng.uniform(-params.shift, params.shift, (plan.views, 2))
    half = np.zeros(plan.views, np.int64)
    half[rng.permutation(plan.views)[::2]] = 1
    optics = _optics(params, plan, plan.views, rng) if params.ctf else images.no_ctf(plan.views)
    return images.Views(turns, offsets, optics, half + 1)


def _optics(params: SimulateParams, plan: Plan, n: int, rng: np.random.Generator) -> Optics:
    return images.draw_optics(
        n,
        plan.defocus_um,
        params.astigmatism,
        rng,
        voltage_kv=params.voltage,
        cs_mm=params.cs,
        amplitude_contrast=params.amplitude_contrast,
        phase_shift_deg=params.phase_shift,
        b_factor_a2=params.ctf_b_factor,
    )


def draw_fields(
    params: SimulateParams, plan: Plan, model: Model, progress: Callable[[int], None]
) -> tuple[list[Field], int]:
    """The particles of every micrograph, and how many were asked for on each."""
    box = model.volume.shape[0]
    if 2 * box > min(plan.shape):
        width, height = plan.shape[::-1]
        raise ParamError(
            f"--size: a micrograph of {width} x {height} px is too small for particles with a box of {box} px.",
            "Use larger micrographs or a larger --pixel-size.",
            fields=("size", "box"),
        )
    count = params.particles_per_micrograph or usual_count(plan.shape, model.diameter_px)
    fields = []
    for i in range(params.micrographs):
        progress(i)
        rng = np.random.default_rng([params.seed, 12, i])
        optics = _optics(params, plan, 1, rng)
        fields.append(draw_field(plan.shape, count, box, model.diameter_px, optics, rng))
    return fields, count


def field_variance(model: Model, fields: list[Field]) -> float:
    """Mean variance of the signal in a particle's box."""
    matrices, xy = _joined(fields)
    views = images.Views(matrices, np.zeros_like(xy), _per_particle(fields), np.ones(len(xy), np.int64))
    return images.signal_variance(model.volume, model.pixel_size_a, views)


def _joined(fields: list[Field]) -> tuple[np.ndarray, np.ndarray]:
    """Rotations and positions of the particles of all micrographs."""
    return np.concatenate([field.matrices for field in fields]), np.concatenate([field.xy for field in fields])


def _per_particle(fields: list[Field]) -> Optics:
    """The optics of every particle: those of its micrograph."""
    which = np.repeat(np.arange(len(fields)), [len(field.xy) for field in fields])
    return Optics(*(np.concatenate([getattr(f.optics, key) for f in fields])[which] for key in _OPTICS))


# ---- what is written -------------------------------------------------------------------------------------


def write_truth(folder: Path, volume: np.ndarray, pixel_size_a: float, words: str) -> None:
    """The density itself, on the grey scale of the images."""
    write_mrc(folder / TRUTH, volume, pixel_size_a, label=f"simulated: {words}", volume=True)


def write_particles(params: SimulateParams, views: images.Views, model: Model, gain: float) -> Path:
    """The table of a stack of particles."""
    n, pixel = len(views), model.pixel_size_a
    nothing = np.zeros(n, np.int32)
    particles: dict[str, Column] = {
        "rlnImageName": Texts([STACK], nothing, np.arange(1, n + 1)),
        "rlnMicrographName": Texts(["simulated.mrc"], nothing),
        **_poses(views.matrices, -views.offsets_px * pixel),
        **_ctf(views.optics),
        "rlnRandomSubset": views.half,
        "rlnOpticsGroup": nothing + 1,
    }
    sizes: dict[str, Column] = {"rlnImagePixelSize": [pixel], "rlnImageSize": [model.volume.shape[0]]}
    tables = {"optics": _group(views.optics) | sizes | {"rlnImageDimensionality": [2]}, "particles": particles}
    noise = "no noise" if params.clean else f"noise of spread 1, SNR {params.snr:g}"
    path = params.output / PARTICLES
    write_star_tables(path, tables, [*_said(params, model), f"{noise}, light on dark, seed {params.seed}"])
    return path


def write_picks(params: SimulateParams, fields: list[Field], model: Model) -> Path:
    """The true positions and poses of the particles of all micrographs."""
    which = np.repeat(np.arange(len(fields)), [len(field.xy) for field in fields])
    matrices, xy = _joined(fields)
    names = [f"{MICROGRAPHS}/{micrograph_name(i)}" for i in range(len(fields))]
    particles: dict[str, Column] = {
        "rlnMicrographName": Texts(names, which),
        "rlnCoordinateX": xy[:, 0],
        "rlnCoordinateY": xy[:, 1],
        **_poses(matrices, np.zeros_like(xy)),
        **_ctf(_per_particle(fields)),
        "rlnOpticsGroup": np.ones(len(xy), np.int64),
    }
    sizes: dict[str, Column] = {"rlnMicrographPixelSize": [model.pixel_size_a]}
    path = params.output / PICKS
    comments = [*_said(params, model), f"SNR {params.snr:g}, {params.dose:g} e/A^2, seed {params.seed}"]
    write_star_tables(path, {"optics": _group(fields[0].optics) | sizes, "particles": particles}, comments)
    return path


def _said(params: SimulateParams, model: Model) -> list[str]:
    said = f"simulated by Vitreous {core.__version__}: {model.words}"
    symmetry = params.symmetry.upper() or "C1"
    return [said.replace("Å", "A"), f"true poses, positions and CTF of symmetry {symmetry}; the density is {TRUTH}"]


def _poses(matrices: np.ndarray, origins_a: np.ndarray) -> dict[str, Column]:
    rot, tilt, psi = angles(matrices).T
    columns = {"rlnAngleRot": rot, "rlnAngleTilt": tilt, "rlnAnglePsi": psi}
    return columns | {"rlnOriginXAngst": origins_a[:, 0], "rlnOriginYAngst": origins_a[:, 1]}


def _ctf(optics: Optics) -> dict[str, Column]:
    columns: dict[str, Column] = {
        "rlnDefocusU": optics.defocus_u_a,
        "rlnDefocusV": optics.defocus_v_a,
        "rlnDefocusAngle": optics.defocus_angle_deg,
        "rlnPhaseShift": optics.phase_shift_deg,
    }
    return columns | ({"rlnCtfBfactor": optics.b_factor_a2} if optics.b_factor_a2.any() else {})


def _group(optics: Optics) -> dict[str, Column]:
    """The optics table: one group."""
    return {
        "rlnOpticsGroupName": ["simulated"],
        "rlnOpticsGroup": [1],
        "rlnVoltage": optics.voltage_kv[:1],
        "rlnSphericalAberration": optics.cs_mm[:1],
        "rlnAmplitudeContrast": optics.amplitude_contrast[:1],
    }
