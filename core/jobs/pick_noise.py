"""Job `pick-noise`: boxes of pure background between the particles, and why other places were refused.

The search itself is core/denoising/patches.py, the judgement core/denoising/patch_rating.py.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from core.errors import InputError, ParamError
from core.jobs.base import JobContext
from core.params import Params, ui

if TYPE_CHECKING:
    from core.denoising.patches import PickedBoxes
    from core.images.single import Single
    from core.io.refused import Refused

MOST_PER_MICROGRAPH, MOST_IN_RESULT = 200, 2000  # refused places told in the result; the file holds all
MOST_NAMES = 5  # in a warning


class PickNoiseParams(Params):
    """Find boxes of pure background between the picked particles."""

    micrographs: tuple[Path, ...] = Field(
        description="Micrographs: a folder, or files.", json_schema_extra=ui(dialog="files")
    )
    particles: Path = Field(
        description="Particle positions: STAR (RELION 3.0 to 5), or EMAN .box (a file or a folder of them).",
        json_schema_extra=ui(dialog="open", pattern="Particles (*.star *.box)"),
    )
    box_size: int = Field(ge=16, le=2048, description="Side of a noise box.", json_schema_extra=ui(unit="px"))
    output: Path = Field(
        description="Where the boxes are written: .star, .txt (name x y) or EMAN .box.",
        json_schema_extra=ui(dialog="save", pattern="Noise boxes (*.txt *.star *.box)"),
    )
    particle_diameter: float | None = Field(
        None,
        ge=1,
        le=4096,
        description="Particle diameter; boxes keep clear of it when it is larger than the box, and unlisted "
        "particles are looked for.",
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
    exclude: Path | None = Field(
        None,
        description="Excluded areas drawn on Home (.marks.json); boxes keep out of them.",
        json_schema_extra=ui(dialog="open", pattern="Excluded areas (*.marks.json)"),
    )
    seed: int = Field(
        0, ge=0, le=2**63 - 1, description="Seed of the random order.", json_schema_extra=ui(advanced=True)
    )


@dataclass
class _Found:
    """What the search brought, by micrograph name."""

    boxes: dict[str, np.ndarray] = field(default_factory=dict)
    refused: dict[str, Refused] = field(default_factory=dict)
    roughness: dict[str, np.ndarray] = field(default_factory=dict)
    unlike: dict[str, str] = field(default_factory=dict)  # "12 of 40", of micrographs whose places differ

    def add(self, name: str, picked: PickedBoxes) -> None:
        from core.denoising.patch_sets import roughness
        from core.io.refused import Refused

        self.boxes[name] = picked.centres
        self.refused[name] = Refused(picked.refused, [r.code for r in picked.ratings], [r.text for r in picked.ratings])
        if picked.background is not None:
            self.roughness[name] = roughness(picked.background)
            if picked.background.mixed:
                self.unlike[name] = f"{picked.background.alike} of {picked.background.asked}"


def run(params: PickNoiseParams, ctx: JobContext) -> dict[str, Any]:
    """Search every micrograph, write the boxes and, beside them, the refused places; returns counts."""
    from core.denoising.collect import micrograph_names
    from core.denoising.patch_words import CODES
    from core.images.position_check import position_doubts
    from core.images.single import Notes, read_single
    from core.images.source import list_micrographs
    from core.io.coordinates import match_names, no_match_error, read_particles, write_noise_boxes
    from core.io.marks import marks_by_micrograph
    from core.io.refused import refused_path, write_refused

    micrographs = list_micrographs(params.micrographs)
    names = micrograph_names(micrographs)
    _check_output(params, micrographs)
    positions = read_particles(params.particles)
    matched = match_names(positions, micrographs)
    if not any(len(xy) for xy in matched.values()):
        raise no_match_error(params.particles, positions, micrographs)
    for doubt in position_doubts(matched, params.particles.name).sentences:
        ctx.warn(doubt)
    areas, ticked = marks_by_micrograph(params.exclude, micrographs)

    found, tell = _Found(), Notes(ctx.warn)
    for i, micrograph in enumerate(micrographs):
        name = names[micrograph]
        ctx.step(i, len(micrographs), micrograph.name)
        if micrograph in ticked:
            continue
        if not len(matched[micrograph]):
            ctx.warn(f"{name} has no particles in {params.particles.name}: skipped, because its particles are unknown.")
            continue
        one = read_single(micrograph, tell)
        found.add(name, _pick(params, one, matched[micrograph], areas.get(micrograph, []), i))
        if not len(found.boxes[name]):
            ctx.warn(_nowhere(name, params.box_size, len(found.refused[name].codes)))
    _warn_of_carbon(found, ctx)
    counts = {name: len(xy) for name, xy in found.boxes.items()}
    total = sum(counts.values())
    reasons = Counter(code for refused in found.refused.values() for code in refused.codes)
    if total == 0:
        raise _nothing(params, reasons)
    write_noise_boxes(params.output, found.boxes, params.box_size)
    beside = refused_path(params.output)
    write_refused(beside, found.refused, params.box_size, CODES)
    ctx.step(len(micrographs), len(micrographs), "Done")
    boxes = "box" if total == 1 else "boxes"
    return {
        "summary": f"{total} noise {boxes} on {sum(c > 0 for c in counts.values())} of {len(micrographs)} "
        f"micrographs; {_tally(reasons)}; written to {params.output}",
        "output": str(params.output),
        "boxes": total,
        "refused": sum(reasons.values()),
        "refused_by_reason": dict(reasons.most_common()),
        "refused_file": str(beside),
        "refused_places": _some(found.refused),
        "box_size": params.box_size,
        "per_micrograph": counts,
    }


def _pick(
    params: PickNoiseParams, one: Single, particles: np.ndarray, areas: list[np.ndarray], number: int
) -> PickedBoxes:
    from core.denoising.patches import pick_boxes

    return pick_boxes(
        one.image,
        particles,
        params.box_size,
        params.particle_diameter or params.box_size,
        params.clearance,
        params.max_per_micrograph,
        np.random.default_rng([params.seed, number]),
        areas,
        params.particle_diameter,
        one.pixel_size_a,
    )


def _nowhere(name: str, box: int, refused: int) -> str:
    if refused:
        were = "1 was" if refused == 1 else f"{refused} were"
        return f"{name} has no clean place for a box of {box} px: {were} refused."
    return f"{name} has no free place for a box of {box} px."


def _nothing(params: PickNoiseParams, reasons: Counter[str]) -> InputError:
    if reasons:
        return InputError(
            f"No clean place for a box of {params.box_size} px was found: {_tally(reasons)}.",
            "Use a smaller --box-size, or place boxes by hand on Home.",
        )
    return InputError(
        f"No box of {params.box_size} px fits between the particles of {params.particles.name}.",
        "Use a smaller --box-size or --clearance.",
    )


def _tally(reasons: Counter[str]) -> str:
    """The refused places in words: 12 places refused (7 uneven, 3 crystalline ice, 2 unlisted particles)."""
    from core.denoising.patch_words import counted

    total = sum(reasons.values())
    if not total:
        return "no place refused"
    parts = ", ".join(counted(code, count) for code, count in reasons.most_common())
    return f"{total} {'place' if total == 1 else 'places'} refused ({parts})"


def _some(refused: dict[str, Refused]) -> dict[str, list[list[Any]]]:
    """A bounded part of the refused places: name -> rows of x, y, code, text."""
    told: dict[str, list[list[Any]]] = {}
    room = MOST_IN_RESULT
    for name, one in refused.items():
        rows = [
            [float(x), float(y), code, text]
            for (x, y), code, text in zip(one.centres, one.codes, one.texts, strict=True)
        ][: min(MOST_PER_MICROGRAPH, room)]
        if rows:
            told[name] = rows
        room -= len(rows)
    return told


def _warn_of_carbon(found: _Found, ctx: JobContext) -> None:
    """Say which micrographs may be something else than ice; one message for all, there may be thousands."""
    from core.denoising.patch_sets import rough_ones

    if found.unlike:
        ctx.warn(
            "Fewer than half of the places look alike; the others may be carbon, ice crystals or unlisted particles. "
            f"Look at the boxes of {_names({n: f'{n} ({t})' for n, t in found.unlike.items()})}."
        )
    rough = rough_ones(found.roughness)
    if rough:
        ctx.warn(
            "The background is far rougher than on the other micrographs, as on carbon or ruined exposures. "
            f"Look at the boxes of {_names({n: f'{n} ({t:.1f} times)' for n, t in rough.items()})}."
        )


def _names(told: dict[str, str]) -> str:
    shown = ", ".join(list(told.values())[:MOST_NAMES])
    return shown if len(told) <= MOST_NAMES else f"{shown} and {len(told) - MOST_NAMES} more"


def _check_output(params: PickNoiseParams, micrographs: list[Path]) -> None:
    """Refuse a file type that nobody reads, and to write over an input."""
    output = params.output
    if output.suffix.lower() not in (".txt", ".star", ".box"):
        raise ParamError(f"--output: {output.name} must end in .txt, .star or .box.", fields=("output",))
    if output.is_dir() and output.suffix.lower() != ".box":
        raise ParamError(f"--output: {output} is a folder.", "Give a file name in it.", fields=("output",))
    if output.exists() and any(p.exists() and output.samefile(p) for p in (params.particles, *micrographs)):
        raise ParamError(
            f"--output: {output} is one of the inputs, which are never overwritten.",
            "Choose another name.",
            fields=("output",),
        )
