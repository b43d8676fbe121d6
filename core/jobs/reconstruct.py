"""Job `reconstruct`: a map from particles with known poses, by four methods on the same statistics.

The statistics of the images (core/reconstruction/statistics.py) are kept in the output folder: another method, or the
same run continued, starts from them. Half maps and resolution always come from the images alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from core.errors import InputError, ParamError
from core.jobs.base import JobContext
from core.jobs.lock import exclusive
from core.jobs.reconstruct_sums import accumulate, counting_share
from core.params import Params, ui

if TYPE_CHECKING:
    import numpy as np
    import torch

    from core.metrics.fsc import HalfMapFsc
    from core.reconstruction.inputs import ParticleSet
    from core.reconstruction.likelihood import Likelihood
    from core.reconstruction.statistics import Statistics

_PRIOR_FITS = 0.05  # a pixel size that differs by less from the prior's is taken for it


class ReconstructParams(Params):
    """Reconstruct a map from particles with known poses."""

    particles: Path = Field(
        description="Particles with poses: STAR file of RELION (3.0 to 5), cs2star or extract; or a stack (.mrcs, or a "
        ".txt list of stacks) with --poses and --ctf.",
        json_schema_extra=ui(dialog="open", pattern="Particles (*.star *.mrcs *.mrc *.txt)"),
    )
    output: Path = Field(description="Folder of the maps.", json_schema_extra=ui(dialog="folder"))
    method: Literal["auto", "backproject", "wiener", "positive", "dps"] = Field(
        "auto",
        description="backproject: images only. wiener: filtered by what the half maps agree on. positive: no negative "
        "density. dps: with a learned prior, several samples and their spread. auto: by what the images know.",
    )
    symmetry: str = Field("C1", description="Point group: C1, Cn, Dn, T, O, I, I1.")
    box: int | None = Field(
        None,
        ge=8,
        le=1024,
        description="Box of the map; the images lose their finer detail (default: theirs).",
        json_schema_extra=ui(unit="px"),
    )
    mask: Path | None = Field(
        None,
        description="Mask for the resolution (.mrc, 0 to 1, size of the map; default: drawn around the density).",
        json_schema_extra=ui(dialog="open", pattern="Maps (*.mrc *.map)"),
    )
    contrast: Literal["auto", "light", "dark"] = Field("auto", description="Particles are light or dark in the images.")
    ignore_ctf: bool = Field(
        False, description="The images have no CTF (simulated, or corrected).", json_schema_extra=ui(label="Ignore CTF")
    )
    poses: Path | None = Field(
        None,
        description="Poses of cryoDRGN for a stack.",
        json_schema_extra=ui(dialog="open", pattern="cryoDRGN (*.pkl *.npy)", advanced=True),
    )
    ctf: Path | None = Field(
        None,
        description="CTF of cryoDRGN for a stack.",
        json_schema_extra=ui(dialog="open", pattern="cryoDRGN (*.pkl *.npy)", advanced=True),
    )
    indices: Path | None = Field(
        None,
        description="Particles that are used, as row numbers from 0 (ind.pkl of cryoDRGN, or .npy; default: all).",
        json_schema_extra=ui(dialog="open", pattern="Selection (*.pkl *.npy)", advanced=True),
    )
    pixel_size: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Pixel size of the images, where the file tells a wrong one or none.",
        json_schema_extra=ui(unit="Å/px", advanced=True),
    )
    sharpen: float | None = Field(
        None,
        ge=0,
        le=2000,
        description="Also write a sharpened map: this B factor is taken off, weighted by the half maps' correlation.",
        json_schema_extra=ui(unit="Å²", advanced=True),
    )
    prior: Path | None = Field(
        None,
        description="Learned prior of dps (default: the one that is shipped).",
        json_schema_extra=ui(dialog="open", pattern="Priors (*.safetensors)", advanced=True),
    )
    exact_draws: bool = Field(
        False,
        description="Draw every map of dps from the likelihood too, instead of taking its peak: rougher maps.",
        json_schema_extra=ui(advanced=True),
    )
    chains: int = Field(
        8,
        ge=1,
        le=64,
        description="Samples of dps: their mean is the map, their spread its uncertainty.",
        json_schema_extra=ui(advanced=True),
    )
    levels: int = Field(24, ge=4, le=400, description="Noise levels of dps.", json_schema_extra=ui(advanced=True))
    seed: int = Field(0, ge=0, le=2**63 - 1, description="Seed of dps.", json_schema_extra=ui(advanced=True))
    device: str = Field("auto", description="auto, cpu or cuda:0.", json_schema_extra=ui(advanced=True))
    overwrite: bool = Field(False, description="Replace maps that are in the output folder.")


def run(params: ReconstructParams, ctx: JobContext) -> dict[str, Any]:
    """Read, accumulate, reconstruct, measure, write."""
    from core.physics.rotations import symmetry_matrices
    from core.reconstruction import outputs

    symmetry_matrices(params.symmetry)  # an error now, not after the images
    with exclusive(params.output):
        there = params.output / outputs.MAP
        if there.exists() and not params.overwrite and not ctx.continued:
            raise ParamError(
                f"--output: {there} is there already.",
                "Choose another folder, or --overwrite.",
                fields=("output", "overwrite"),
            )
        return _reconstruct(params, ctx)


def _reconstruct(params: ReconstructParams, ctx: JobContext) -> dict[str, Any]:
    import numpy as np
    import torch

    from core.compute.devices import choose_device
    from core.metrics.fsc import coverage_of, directional_resolution, half_map_fsc
    from core.physics.rotations import count_views, symmetry_matrices
    from core.reconstruction import advice, inputs, methods, outputs, shells
    from core.reconstruction.likelihood import likelihood
    from core.reconstruction.sources import Given

    device = str(choose_device(params.device))
    ctx.step(0, 1, "Reading particles")
    particles = inputs.open_particles(
        params.particles,
        params.box,
        params.contrast,
        params.ignore_ctf,
        lambda: ctx.step(0, 1, "Reading particles"),
        Given(params.poses, params.ctf, params.indices, params.pixel_size),
        ctx.warn,
    )
    _check_halves(params, particles)
    _check_mask(params, particles)
    prior = _prior(params, particles, ctx) if params.method in ("auto", "dps") else None
    ctx.preview("views", count_views(particles.matrices))
    counted = counting_share(len(particles), params.method)
    rest = 1 - counted
    statistics = accumulate(params.output, particles, params.symmetry, params.ignore_ctf, counted, ctx)
    box, pixel = particles.box, particles.box_pixel_a
    ctx.step(counted, 1, "Half maps")
    data = likelihood(statistics.both, device)
    halves = [likelihood(half, device) for half in statistics.halves]
    ball = methods.sphere(box).to(device)
    first, power = methods.first_map(data, halves, ball, pixel)
    half_maps = [(methods.half_map(half) * ball).cpu().numpy() for half in halves]
    ctx.step(counted + 0.05 * rest, 1, "Resolution")
    mask = _mask(params, first, pixel, ctx)
    share = advice.data_share(data, power).cpu()
    order = len(symmetry_matrices(params.symmetry))
    fsc = half_map_fsc(half_maps[0], half_maps[1], mask, pixel, coverage_of(share), order)
    _curve(ctx, fsc)
    if fsc.nothing:
        ctx.warn("The half maps agree on nothing: these images show no structure. What the map shows is noise.")
    method, why = params.method, "as asked"
    if method == "auto":
        method, why = advice.choose(data, power, prior is not None, fsc.nothing)
    volume, extra = _make(method, params, ctx, data, power, ball, prior, counted + 0.1 * rest)
    if params.sharpen is not None:
        corrected = torch.from_numpy(fsc.reported)
        extra["sharpened"] = methods.sharpened(volume, corrected, params.sharpen, pixel)
    directions, along = directional_resolution(half_maps[0] * mask, half_maps[1] * mask, pixel)
    made = volume.cpu().numpy()
    if not np.isfinite(made).all():
        raise InputError(
            f"The images of {params.particles} make no map: their values are all the same, or far too large.",
            "Look at the stack in the viewer, and extract the particles again.",
            params.particles,
        )
    ctx.step(1 - 0.02 * rest, 1, "Writing")
    facts: dict[str, Any] = {
        "method": method,
        "why": why,
        "particles": len(particles),
        "box": box,
        "pixel_size_a": round(pixel, 6),
        "symmetry": params.symmetry,
        "resolution_a_0.143": _rounded(fsc.resolution_a(0.143)),
        "resolution_a_0.5": _rounded(fsc.resolution_a(0.5)),
        "resolution_a_worst_direction": round(float(along.max()), 3),
        "worst_direction_xyz": directions[along.argmax()].round(3).tolist(),
        "resolution_a_best_direction": round(float(along.min()), 3),
        "nothing_resolved": fsc.nothing,
        "nyquist_a": round(2 * pixel, 4),
        "data_share_half_nyquist": round(float(shells.shell_mean(share)[1 : box // 4 + 1].mean()), 4),
        "prior_used": method == "dps",
    }
    _write(params, statistics, made, half_maps, mask, share, extra, fsc, facts)
    _show(ctx, made, method)
    ctx.step(1, 1, "Done")
    told = facts["resolution_a_0.143"]
    at = "to " + (f"{told:.1f} Å" if told else f"Nyquist ({facts['nyquist_a']:.1f} Å)")
    at = "on nothing: no resolution" if fsc.nothing else at
    return {
        "summary": f"{method} map of {len(particles)} particles; half maps from images alone agree {at}",
        "output": str(params.output),
        "map": str(params.output / outputs.MAP),
        **facts,
        "negative_share": round(float((np.asarray(made) < 0).mean()), 4),
        "torch": torch.__version__,
    }


def _prior(params: ReconstructParams, particles: ParticleSet, ctx: JobContext) -> Any:
    """The learned prior, when it fits box and pixel size; an error when dps was asked for and it does not."""
    from core.reconstruction import prior as priors

    if params.prior is None and not priors.BUNDLED_PATH.is_file():
        missing = "The learned prior that is shipped is not in this installation."
        if params.method == "dps":
            raise InputError(missing, "Train one with train-prior and give it as --prior, or choose positive.")
        ctx.warn(f"{missing} Only methods from images alone are chosen from.")
        return None
    prior = priors.load_prior(params.prior or priors.BUNDLED)
    fits = prior.box == particles.box and abs(particles.box_pixel_a / prior.pixel_size_a - 1) < _PRIOR_FITS
    if not fits and params.method == "dps":
        raise ParamError(
            f"The prior is for a box of {prior.box} at {prior.pixel_size_a:g} Å; this is {particles.box} at "
            f"{particles.box_pixel_a:.3g} Å.",
            _prior_advice(prior.box, prior.pixel_size_a, particles),
            fields=("box", "prior"),
        )
    return prior if fits else None


def _prior_advice(box: int, pixel_a: float, particles: ParticleSet) -> str:
    """What makes the particles fit a prior, or what else to do: a box changes the voxels, never the width."""
    width = particles.pixel_size_a * particles.size
    if box <= particles.size and abs(width / box / pixel_a - 1) < _PRIOR_FITS:
        return f"Use --box {box}."
    return (
        f"The particles are {width:.4g} Å wide in {particles.size} pixels; the prior needs {box * pixel_a:.4g} Å "
        f"({box} voxels of {pixel_a:g} Å): choose positive, or train a prior for this box with train-prior."
    )


def _check_halves(params: ReconstructParams, particles: ParticleSet) -> None:
    if len(set(particles.half.tolist())) < 2:
        raise InputError(f"{params.particles} has particles of one half only.", "Use all particles.", params.particles)


def _check_mask(params: ReconstructParams, particles: ParticleSet) -> None:
    from core.io.mrc_header import read_header

    if params.mask is None:
        return
    shape = read_header(params.mask).shape
    if shape != (particles.box,) * 3:
        raise InputError(
            f"{params.mask} has {' x '.join(map(str, shape))} voxels, the map {' x '.join([str(particles.box)] * 3)}.",
            "Make the mask for this box, or leave it out.",
            params.mask,
        )


def _make(
    method: str,
    params: ReconstructParams,
    ctx: JobContext,
    data: Likelihood,
    power: torch.Tensor,
    ball: torch.Tensor,
    prior: Any,
    begin: float,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The map, and what else the method gives: `std`, `samples`. Progress goes on from `begin`."""
    from core.reconstruction import methods, posterior

    def told(i: int, count: int, volume: torch.Tensor) -> None:
        ctx.step(begin + 0.97 * (1 - begin) * (i + 1) / count, 1, f"{method}: {i + 1} of {count}")
        if (i + 1) % max(1, count // 12) == 0:
            ctx.metric("residual", float(data.residual(volume).norm() / data.b.norm()), i + 1)
            _show(ctx, volume.cpu().numpy(), method)

    if method == "backproject":
        return methods.backproject(data) * ball, {}
    if method == "wiener":
        return methods.wiener(data, power, step=told) * ball, {}
    first = methods.positive(data, power, ball, step=told if method == "positive" else None)
    if method == "positive":
        return first, {}

    def level(i: int, count: int, sigma: float, maps: torch.Tensor) -> None:
        ctx.metric("noise level", sigma, i + 1)
        told(i, count, maps.mean(dim=0))

    scale = prior.scale_of(first.cpu().numpy())
    made = posterior.sample(
        data, prior, first, scale, ball, params.chains, params.levels, params.seed, params.exact_draws, level
    )
    return made.mean, {"std": made.deviation, "samples": made.samples}


def _mask(params: ReconstructParams, mean: np.ndarray, pixel: float, ctx: JobContext) -> np.ndarray:
    import numpy as np

    from core.io.mrc import open_mrc
    from core.metrics.fsc import auto_mask

    if params.mask is None:
        return auto_mask(mean, pixel)
    mask = np.asarray(open_mrc(params.mask), np.float32)
    mask = np.clip(np.nan_to_num(mask), 0, 1)
    if not mask.any():
        raise InputError(f"{params.mask} masks everything: it is 0 throughout.", "Choose another mask.", params.mask)
    soft, inside = float(((mask > 0.02) & (mask < 0.98)).sum()), float((mask >= 0.98).sum())
    if soft < 0.3 * inside ** (2 / 3):
        ctx.warn(f"{params.mask.name} has a hard rim, which makes halves agree that do not: give it a soft one.")
    return mask


def _write(
    params: ReconstructParams,
    statistics: Statistics,
    volume: np.ndarray,
    half_maps: Iterable[np.ndarray],
    mask: np.ndarray,
    share: torch.Tensor,
    extra: dict[str, torch.Tensor],
    fsc: HalfMapFsc,
    facts: dict[str, Any],
) -> None:
    import numpy as np

    from core.io.atomic import write_json
    from core.reconstruction import outputs, shells

    folder, pixel = params.output, statistics.pixel_size_a
    for name, half in zip((outputs.HALF1, outputs.HALF2), half_maps, strict=True):
        outputs.write_map(folder, name, half, pixel, "half map from images only, not filtered")
    outputs.write_map(folder, outputs.MASK, mask, pixel, "mask of the resolution")
    outputs.write_map(
        folder, outputs.WEIGHT, np.fft.fftshift(shells.whole(share).numpy()), pixel, "Fourier space: share of the data"
    )
    for old in (folder / outputs.SAMPLES).glob("[0-9][0-9].mrc"):
        old.unlink()
    if "std" in extra and len(extra["samples"]) > 1:
        outputs.write_map(folder, outputs.STD, extra["std"].cpu().numpy(), pixel, "standard deviation of the samples")
        for i, sample in enumerate(extra["samples"].cpu().numpy(), 1):
            outputs.write_map(folder, f"{outputs.SAMPLES}/{i:02d}.mrc", sample, pixel, "ONE SAMPLE: images + prior")
    else:
        (folder / outputs.STD).unlink(missing_ok=True)
    if "sharpened" in extra:
        label = f"{outputs.LABELS[facts['method']].partition(',')[0]}; SHARPENED by {params.sharpen:g} A2"
        outputs.write_map(folder, outputs.SHARPENED, extra["sharpened"].cpu().numpy(), pixel, label)
    else:
        (folder / outputs.SHARPENED).unlink(missing_ok=True)
    outputs.write_fsc(folder, fsc)
    outputs.write_map(folder, outputs.MAP, volume, pixel, outputs.LABELS[facts["method"]])
    write_json(folder / outputs.RESULT, facts)


def _curve(ctx: JobContext, fsc: HalfMapFsc) -> None:
    import numpy as np

    curves = np.stack([fsc.unmasked, fsc.masked, fsc.randomised, fsc.reported]).astype(np.float32)
    frequency = np.arange(curves.shape[1]) / (fsc.box * fsc.pixel_size_a)
    ctx.preview("fsc", curves, frequency=frequency.round(6).tolist())


def _show(ctx: JobContext, volume: np.ndarray, method: str) -> None:
    """Three slices through the middle, across z, y and x, for a look."""
    import numpy as np

    middle = volume.shape[0] // 2
    slices = np.stack([volume[middle], volume[:, middle], volume[:, :, middle]])
    ctx.preview("map", slices.astype(np.float32), method=method)


def _rounded(value: float | None) -> float | None:
    return round(value, 3) if value is not None and math.isfinite(value) else None
