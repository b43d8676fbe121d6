"""Job `pick-noise`: boxes of pure background between the particles. The search itself is core/denoising/patches.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from core.errors import InputError, ParamError
from core.jobs.base import JobContext
from core.params import Params, ui


class PickNoiseParams(Params):
    """Find boxes of pure background between the picked particles."""

    micrographs: tuple[Path, ...] = Field(
        description="Micrographs: a folder, or files.", json_schema_extra=ui(dialog="files")
    )
    particles: Path = Field(
        description="STAR file with the particle positions (RELION 3.0 to 5).",
        json_schema_extra=ui(dialog="open", pattern="STAR (*.star)"),
    )
    box_size: int = Field(ge=16, le=2048, description="Side of a noise box.", json_schema_extra=ui(unit="px"))
    output: Path = Field(
        description="Where the boxes are written: .txt (name x y) or .star.",
        json_schema_extra=ui(dialog="save", pattern="Noise boxes (*.txt *.star)"),
    )
    particle_diameter: float | None = Field(
        None,
        ge=1,
        le=4096,
        description="Particle diameter; boxes keep clear of it when it is larger than the box.",
        json_schema_extra=ui(unit="px"),
    )
    max_per_micrograph: int = Field(100, ge=1, le=10000, description="Most boxes on one micrograph.")
    clearance: float = Field(
        0.0,
        ge=0,
        le=4096,
        description="Extra distance kept from every particle.",
        json_schema_extra=ui(unit="px"),
    )
    seed: int = Field(
        0, ge=0, le=2**63 - 1, description="Seed of the random order.", json_schema_extra=ui(advanced=True)
    )


def run(params: PickNoiseParams, ctx: JobContext) -> dict[str, Any]:
    """Search every micrograph and write the boxes; returns counts."""
    from core.denoising.collect import micrograph_names
    from core.denoising.patches import pick_boxes
    from core.images.source import list_micrographs
    from core.io.coordinates import match_names, no_match_error, read_particles, write_noise_boxes

    micrographs = list_micrographs(params.micrographs)
    names = micrograph_names(micrographs)
    _check_output(params, micrographs)
    positions = read_particles(params.particles)
    matched = match_names(positions, micrographs)
    if not any(len(xy) for xy in matched.values()):
        raise no_match_error(params.particles, positions, micrographs)

    found: dict[str, np.ndarray] = {}
    refused = 0
    for i, micrograph in enumerate(micrographs):
        ctx.step(i, len(micrographs), micrograph.name)
        if not len(matched[micrograph]):
            ctx.warn(
                f"{names[micrograph]} has no particles in {params.particles.name}: skipped, because its "
                "particles are unknown."
            )
            continue
        picked = pick_boxes(
            _read(micrograph),
            matched[micrograph],
            params.box_size,
            params.particle_diameter or params.box_size,
            params.clearance,
            params.max_per_micrograph,
            np.random.default_rng([params.seed, i]),
        )
        refused += picked.refused
        found[names[micrograph]] = picked.centres
        if not len(picked.centres):
            ctx.warn(f"{names[micrograph]} has no free place for a box of {params.box_size} px.")
    counts = {name: len(xy) for name, xy in found.items()}
    total = sum(counts.values())
    if total == 0:
        raise InputError(
            f"No box of {params.box_size} px fits between the particles of {params.particles.name}.",
            "Use a smaller --box-size or --clearance.",
        )
    write_noise_boxes(params.output, found, params.box_size)
    ctx.step(len(micrographs), len(micrographs), "Done")
    return {
        "summary": f"{total} noise boxes on {sum(c > 0 for c in counts.values())} of {len(micrographs)} "
        f"micrographs, {refused} places refused as uneven; written to {params.output}",
        "output": str(params.output),
        "boxes": total,
        "refused": refused,
        "box_size": params.box_size,
        "per_micrograph": counts,
    }


def _check_output(params: PickNoiseParams, micrographs: list[Path]) -> None:
    """Refuse a file type that nobody reads, and to write over an input."""
    output = params.output
    if output.suffix.lower() not in (".txt", ".star"):
        raise ParamError(f"--output: {output.name} must end in .txt or .star.", fields=("output",))
    if output.is_dir():
        raise ParamError(f"--output: {output} is a folder.", "Give a file name in it.", fields=("output",))
    if output.exists() and any(p.exists() and output.samefile(p) for p in (params.particles, *micrographs)):
        raise ParamError(
            f"--output: {output} is one of the inputs, which are never overwritten.",
            "Choose another name.",
            fields=("output",),
        )


def _read(micrograph: Path) -> np.ndarray:
    from core.images.source import open_source

    opened = open_source(micrograph)
    if opened.n > 1:
        raise InputError(
            f"{micrograph} is a stack of {opened.n} images, not a micrograph.",
            "Average movies first (motion correction).",
            micrograph,
        )
    return opened.read(0)
