"""Job `forward`: build the training set (CryoDDM's folder layout) by a forward diffusion with real noise."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from core.errors import InputError
from core.jobs.base import JobContext
from core.jobs.lock import exclusive
from core.params import Params, ui

if TYPE_CHECKING:
    from core.denoising.collect import Collected
    from core.denoising.forward import Source
    from core.denoising.halves import HalfCrops
    from core.denoising.noise_notes import NoiseNotes
    from core.images.single import Warn


class ForwardParams(Params):
    """Build the training set: clean signal mixed with your own noise."""

    micrographs: tuple[Path, ...] = Field(
        description="Raw micrographs: a folder, or files.", json_schema_extra=ui(dialog="files")
    )
    particles: Path = Field(
        description="Particle positions: STAR, or EMAN .box (a file or a folder).",
        json_schema_extra=ui(dialog="open", pattern="Particles (*.star *.box)"),
    )
    noise: Path = Field(
        description="Noise boxes from Home or pick-noise (.star, .txt or .box).",
        json_schema_extra=ui(dialog="open", pattern="Noise boxes (*.txt *.star *.box)"),
    )
    particle_diameter: float = Field(ge=16, le=4096, description="Particle diameter.", json_schema_extra=ui(unit="px"))
    output: Path = Field(description="Folder of the training set.", json_schema_extra=ui(dialog="folder"))
    method: Literal["noise-transfer", "cryoddm"] = Field(
        "noise-transfer",
        description="noise-transfer: clean signal of other specimens + your noise, target clean; "
        "cryoddm: CryoDDM's published schedule on the raw crops, for comparison.",
    )
    preset: Literal["config1", "config2", "custom"] = Field(
        "config1",
        description="Schedule: config1 (beta 0.1288, 5 steps, start 2), config2 (0.1, 6, 2), or custom. "
        "Under noise-transfer it bounds the range of noise levels.",
    )
    beta: float = Field(0.1288, gt=0, lt=1, description="Custom schedule: step size.")
    steps: int = Field(6, ge=1, le=100, description="Custom schedule: number of steps.")
    start: int = Field(2, ge=1, le=100, description="Custom schedule: first step that is used.")
    rsilb: float = Field(
        1.0,
        ge=0,
        le=100,
        description="Lower bound of residual structural information; the chain stops before it falls below.",
        json_schema_extra=ui(unit="bits", label="RSILB"),
    )
    noise_box: int | None = Field(
        None,
        ge=16,
        le=2048,
        description="Side of the noise boxes where the file does not say it (default: the particle diameter).",
        json_schema_extra=ui(unit="px"),
    )
    even: tuple[Path, ...] = Field(
        (),
        description="Half micrographs of the even frames, named like the micrographs: a folder, or files. With --odd, "
        "training also learns one half from the other (Noise2Noise).",
        json_schema_extra=ui(dialog="files", advanced=True, label="Even halves"),
    )
    odd: tuple[Path, ...] = Field(
        (),
        description="Half micrographs of the odd frames.",
        json_schema_extra=ui(dialog="files", advanced=True, label="Odd halves"),
    )
    max_particles: int = Field(4000, ge=1, le=1_000_000, description="Most particles cut out.")
    contrast: Literal["auto", "dark", "light"] = Field(
        "auto", description="Are particles darker or lighter than the ice? auto measures it."
    )
    pixel_size: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Pixel size, where the files do not tell it.",
        json_schema_extra=ui(unit="Å/px", advanced=True),
    )
    seed: int = Field(
        0, ge=0, le=2**63 - 1, description="Seed of every random choice.", json_schema_extra=ui(advanced=True)
    )


def run(params: ForwardParams, ctx: JobContext) -> dict[str, Any]:
    """Cut the crops, measure noise and signal, choose the range of t, write the training set."""
    with exclusive(params.output):
        return _build(params, ctx)


def _build(params: ForwardParams, ctx: JobContext) -> dict[str, Any]:
    """The job, with the output folder held."""
    from core.denoising import collect, forward
    from core.denoising.halves import as_manifest
    from core.images.single import Notes

    tell = Notes(ctx.warn)
    source = forward.gather(params, tell)
    for message in source.warnings:
        ctx.warn(message)
    (params.output / "manifest.json").unlink(missing_ok=True)  # until the last file is there, this is no set
    collected, notes, halves = _cut_crops(params, source, ctx, tell)
    paired = halves.stacks() if source.halves else {}
    for crops, path in ((collected.noise, params.noise), (collected.particles, params.particles)):
        if not crops:
            raise InputError(f"No position of {path} lies far enough inside a micrograph.", "Pick again.", path)
    particles, noise = np.stack(collected.particles), np.stack(collected.noise)
    sign = {"dark": 1.0, "light": -1.0}.get(params.contrast) or collect.measure_sign(particles, source.diameter)
    if sign < 0:
        particles, noise, paired = -particles, -noise, {name: -crops for name, crops in paired.items()}
    group = np.array(collected.group)
    model = notes.finish(noise, group, {i: source.names[m] for i, m in enumerate(source.micrographs)})
    for message in notes.warnings():
        ctx.warn(message)
    snr = collect.variance_excess(particles, source.diameter)
    measured = snr > forward.LEAST_SNR
    if not measured:
        ctx.warn(
            f"The particles' variance does not exceed the noise's ({snr:+.3f}): "
            f"a signal-to-noise ratio of {forward.FALLBACK_SNR} is assumed."
        )
        snr = forward.FALLBACK_SNR

    ctx.step(0.5, 1, "Building the clean library")
    chain = forward.Chain(params, source, particles, noise, group, snr, measured)
    for number, bits in enumerate(chain.information, 1):
        ctx.metric("rsilb", bits, number)
        ctx.metric("snr", chain.ratios[number - 1], number)
        ctx.metric("alpha_bar", chain.schedule.alpha_bars[number - 1], number)
    low, high = model.spread_at(chain.frequency_a * chain.pixel_size)
    rows = np.stack([chain.spectra[1], chain.spectra[0], chain.spectra[1] * low, chain.spectra[1] * high])
    ctx.preview("spectra", rows, frequency_a=chain.frequency_a.round(6).tolist())
    ctx.preview("strip", chain.strip(), labels=chain.strip_labels())
    if chain.kept < chain.schedule.steps:
        ctx.warn(f"The chain stops at step {chain.kept}: beyond it less than {params.rsilb:g} bits remain (RSILB).")

    for done, total in chain.write_pairs(params.output):
        ctx.step(0.6 + 0.4 * done / total, 1, "Writing pairs")
    about_halves = as_manifest(source.halves, halves, snr) if paired else None
    forward.write_set(
        params, source, collected, chain, sign, snr, measured, notes.as_dict(), notes.left_out, paired, about_halves
    )
    ctx.step(1, 1, "Done")
    return {
        "summary": f"Training set of {len(source.plan.particles)} particle and {len(source.plan.noise)} noise "
        f"crops in {params.output}; SNR in particles {snr:.2f}{'' if measured else ' (assumed)'}"
        f"{f'; {len(halves.even)} pairs of frame halves' if paired else ''}{notes.summary()}",
        "output": str(params.output),
        "particles": len(source.plan.particles),
        "noise_boxes": len(source.plan.noise),
        "half_pairs": len(halves.even),
        "snr": round(snr, 4),
        "snr_measured": measured,
        "contrast": "dark" if sign > 0 else "light",
        "steps_kept": chain.kept,
        "rsilb_bits": [round(float(b), 3) for b in chain.information],
        **notes.result(),
    }


def _cut_crops(
    params: ForwardParams, source: Source, ctx: JobContext, tell: Warn
) -> tuple[Collected, NoiseNotes, HalfCrops]:
    """Stream the micrographs once: raw crops to s1 and s3, canonical crops of what is used to memory."""
    from core.denoising.canonical import cut, to_canonical
    from core.denoising.collect import Collected, by_micrograph
    from core.denoising.halves import HalfCrops
    from core.denoising.noise_notes import NoiseNotes
    from core.images.single import read_single
    from core.io.mrc import MrcStackWriter

    out, plan, pixel = params.output, source.plan, source.pixel_size
    collected = Collected(source.canonical_crop, source.canonical_noise)
    notes = NoiseNotes(source.noise_box, params.particle_diameter, source.diameter, pixel)
    s1_file = MrcStackWriter(out / "s1/particles.mrcs", len(plan.particles), source.raw_crop, source.raw_crop, pixel)
    s3_file = MrcStackWriter(out / "s3/noise.mrcs", len(plan.noise), source.noise_box, source.noise_box, pixel)
    particles, noise = by_micrograph(plan.particles), by_micrograph(plan.noise)
    halves = HalfCrops(params.particle_diameter, max(1, len(source.halves)), params.seed, tell)
    written = 0
    with s1_file as s1, s3_file as s3:
        for i, micrograph in enumerate(source.micrographs):
            ctx.step(0.5 * i / len(source.micrographs), 1, micrograph.name)
            image = read_single(micrograph, tell).image
            centres = []
            for cuts, writer, side in ((particles, s1, source.raw_crop), (noise, s3, source.noise_box)):
                centres.append(cuts.get(micrograph, np.empty((0, 2), int)))
                for x, y in centres[-1]:
                    ctx.step(0.5 * i / len(source.micrographs), 1, micrograph.name)
                    writer.append(cut(image, x, y, side))
            name, boxes = source.names[micrograph], centres[1]
            numbers = written + np.arange(len(boxes))
            written += len(boxes)
            used = notes.screen(name, image, boxes, numbers, centres[0])
            canonical = to_canonical(image, params.particle_diameter)
            notes.measure(name, canonical)
            collected.add(canonical, i, name, centres[0], used)
            if micrograph in source.halves:
                ctx.step(0.5 * i / len(source.micrographs), 1, f"{micrograph.name}, halves")
                halves.add(source.halves[micrograph], name, partial(collected.empty_crops, xy=used), collected.ratio, i)
    return collected, notes, halves
