"""Job `extract`: particles cut out of raw micrographs, as one stack per micrograph and a STAR file.

    particles.star  particles/mic_0001.mrcs ...       in the output folder

Streamed: memory holds one micrograph. The table is written last: a folder that has it is complete. A run that was
stopped goes on with the micrographs that it had not done. Which boxes: extract_plan.py; the cutting:
core/images/extraction.py; the table: core/io/extracted_star.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from core.errors import InputError, ParamError
from core.jobs.base import JobContext
from core.jobs.lock import exclusive
from core.params import Params, ui

if TYPE_CHECKING:
    from core.images.extraction import Finish
    from core.images.single import Notes
    from core.io.extracted_star import Positions
    from core.jobs.extract_plan import Cut, Plan

STAR = "particles.star"
_PROBED, _LOOKED_AT = 5, 400  # micrographs, and images, that say whether particles are dark or light
_SHOWN = 25  # images of the preview
_LEAST_BACKGROUND = 32  # px


class ExtractParams(Params):
    """Cut particles out of raw micrographs."""

    micrographs: tuple[Path, ...] = Field(
        description="Raw micrographs: a folder, or files. Denoised ones are refused.",
        json_schema_extra=ui(dialog="files"),
    )
    particles: Path = Field(
        description="Positions, with poses and CTF where there are any: STAR file of RELION (3.0 to 5), cs2star, "
        "pick-particles or simulate.",
        json_schema_extra=ui(dialog="open", pattern="Particles (*.star)"),
    )
    box: int = Field(ge=16, le=4096, description="Box on the micrograph, even.", json_schema_extra=ui(unit="px"))
    output: Path = Field(
        description=f"Folder of {STAR} and of the stacks.",
        json_schema_extra=ui(dialog="folder"),
    )
    scale_to: int | None = Field(
        None,
        ge=8,
        le=4096,
        description="Box of the images, even, reduced in Fourier space (default: no reduction).",
        json_schema_extra=ui(unit="px"),
    )
    diameter: float | None = Field(
        None,
        ge=4,
        le=4096,
        description="Particle diameter: what lies outside is background (default: 0.75 of the box).",
        json_schema_extra=ui(unit="px", label="Particle diameter"),
    )
    invert: Literal["auto", "yes", "no"] = Field(
        "auto", description="Turn dark particles light, as reconstructions want them. auto: as the micrographs say."
    )
    normalise: bool = Field(
        True, description="Take a plane through the background off, and make its mean 0 and its deviation 1."
    )
    recentre: bool = Field(False, description="Move the boxes to where the shifts (origins) say the particles are.")
    pixel_size: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Pixel size of the micrographs, where the files tell a wrong one or none.",
        json_schema_extra=ui(unit="Å/px", advanced=True),
    )
    overwrite: bool = Field(False, description="Replace particles that are in the output folder.")


def run(params: ExtractParams, ctx: JobContext) -> dict[str, Any]:
    """Plan every box from the headers, find the contrast, cut micrograph by micrograph, write the table."""
    from core.images.extraction import Finish
    from core.images.single import Notes
    from core.io.extracted_star import read_positions
    from core.jobs.extract_plan import make_plan

    size = _check(params)
    finish = Finish(params.box, size, params.diameter, params.normalise)
    if params.normalise and finish.background < _LEAST_BACKGROUND:
        raise ParamError(
            f"--diameter {params.diameter:g}: a box of {params.box} px leaves no background around such a particle.",
            "Use a larger --box, about 1.5 diameters.",
            fields=("diameter", "box"),
        )
    with exclusive(params.output):
        ctx.step(0, 1, f"Reading {params.particles.name}")
        source = read_positions(params.particles, lambda _: ctx.step(0, 1, f"Reading {params.particles.name}"))
        plan = make_plan(params, ctx, source)
        _make_room(params, ctx, plan)
        tell = Notes(ctx.warn)
        finish.sign = -1.0 if params.invert == "yes" else 1.0 if params.invert == "no" else _sign(plan, ctx, finish)
        _cut_all(params, ctx, plan, finish, tell)
        return _write(params, ctx, source, plan, finish)


def _check(params: ExtractParams) -> int:
    """The box that is written; ParamError for odd boxes and one that would grow."""
    size = params.scale_to or params.box
    for key, value in (("box", params.box), ("scale_to", size)):
        if value % 2:
            raise ParamError(f"--{key.replace('_', '-')} {value} is odd.", "Boxes are even.", fields=(key,))
    if size > params.box:
        raise ParamError(
            f"--scale-to {size} is larger than --box {params.box}.",
            "Images are only reduced.",
            fields=("scale_to", "box"),
        )
    return size


# ---- before the first box -------------------------------------------------------------------------------


def _make_room(params: ExtractParams, ctx: JobContext, plan: Plan) -> None:
    """Refuse to replace what was not asked for, and inputs always; the old table goes first."""
    from core.io import atomic

    star = params.output / STAR
    inputs = [params.particles, *(cut.path for cut in plan.cuts)]
    there = [path for path in (star, *(cut.stack for cut in plan.cuts)) if path.exists()]
    for path in there:
        if any(path.samefile(one) for one in inputs):
            raise ParamError(
                f"--output: {path} is one of the inputs, which are never overwritten.",
                "Choose another folder.",
                fields=("output",),
            )
    if there and not params.overwrite and not ctx.continued:
        raise ParamError(
            f"--output: {there[0].name} is in {there[0].parent} already.",
            "Choose another folder, or --overwrite.",
            fields=("output", "overwrite"),
        )
    atomic.remove(star)


# ---- cutting ---------------------------------------------------------------------------------------------


def _sign(plan: Plan, ctx: JobContext, finish: Finish) -> float:
    """-1 where particles are dark in the micrographs, measured on those with the most; dark where it is unclear."""
    from core.images.contrast_sign import ContrastSign
    from core.images.extraction import boxes
    from core.images.single import read_single

    contrast, box = ContrastSign(finish.size), finish.box
    for cut in sorted(plan.cuts, key=lambda one: -len(one.rows))[:_PROBED]:
        ctx.step(0.05, 1, f"Dark or light particles: {cut.path.name}")
        try:
            image = read_single(cut.path, lambda _: None).image
        except InputError:
            continue  # told when its turn comes
        for one in boxes(image, cut.centre[: _LOOKED_AT // _PROBED], box):
            contrast.add(finish(one))
    if contrast.sign == 0:
        ctx.warn(
            "It cannot be told whether the particles are dark or light: taken as dark, as in raw micrographs. "
            "Say it with --invert yes or no."
        )
    return contrast.sign or -1.0


def _cut_all(params: ExtractParams, ctx: JobContext, plan: Plan, finish: Finish, tell: Notes) -> None:
    """Write the stack of every micrograph; those that cannot be read are told and left out of the plan."""
    from core.jobs.extract_plan import failure

    done: list[Cut] = []
    total = sum(len(cut.rows) for cut in plan.cuts)
    count = 0
    for i, cut in enumerate(plan.cuts):
        told = f"{i + 1} of {len(plan.cuts)}: {cut.path.name}"
        ctx.step(0.06 + 0.92 * count / total, 1, told)
        count += len(cut.rows)
        try:
            if not _kept(cut, finish.size, ctx):
                _cut(cut, plan, finish, ctx, (0.06 + 0.92 * count / total, told), tell, show=not done)
            done.append(cut)
        except InputError as err:
            plan.failed[cut.path.name] = err
            ctx.warn(str(err))
    plan.cuts = done
    if not done:
        raise failure(plan, 0, params.output)


def _cut(cut: Cut, plan: Plan, finish: Finish, ctx: JobContext, at: tuple[float, str], tell: Notes, show: bool) -> None:
    from core.images.extraction import boxes
    from core.images.single import read_single
    from core.io.mrc import MrcStackWriter

    image = read_single(cut.path, tell).image
    pixel = plan.pixel_a * finish.box / finish.size
    shown: list[np.ndarray] = []
    with MrcStackWriter(cut.stack, len(cut.rows), finish.size, finish.size, pixel, "particles from raw") as writer:
        for one in boxes(image, cut.centre, finish.box):
            ctx.step(at[0], 1, at[1])
            made = finish(one)
            writer.append(made)
            if show and len(shown) < _SHOWN:
                shown.append(made)
    if show:
        ctx.preview("particles", np.stack(shown))


def _kept(cut: Cut, size: int, ctx: JobContext) -> bool:
    """Whether an earlier start of this run has written this stack, whole, since the micrograph was changed."""
    from core.io.mrc import read_header

    if not ctx.continued or not cut.stack.exists():
        return False
    written = cut.stack.stat().st_mtime_ns
    if written < max(cut.path.stat().st_mtime_ns, (ctx.run_dir / "job.toml").stat().st_mtime_ns):
        return False
    try:
        return read_header(cut.stack).shape == (len(cut.rows), size, size)
    except InputError:
        return False


# ---- afterwards ------------------------------------------------------------------------------------------


def _write(params: ExtractParams, ctx: JobContext, source: Positions, plan: Plan, finish: Finish) -> dict[str, Any]:
    import core
    from core.io.extracted_star import Extracted, named_from, write_extracted
    from core.jobs.extract_plan import failure

    ctx.step(0.98, 1, "Writing the table")
    counts = [len(cut.rows) for cut in plan.cuts]
    root = named_from(params.output)
    pixel = plan.pixel_a * finish.box / finish.size
    made = Extracted(
        np.concatenate([cut.rows for cut in plan.cuts]),
        [cut.stack.relative_to(root).as_posix() for cut in plan.cuts],
        np.repeat(np.arange(len(counts)), counts),
        np.concatenate([np.arange(1, count + 1) for count in counts]),
        np.concatenate([cut.centre for cut in plan.cuts]),
        np.concatenate([cut.origins_a for cut in plan.cuts]),
        finish.size,
        pixel,
        plan.pixel_a,
    )
    star = params.output / STAR
    said = "normalised" if params.normalise else "not normalised"
    turned = "inverted" if finish.sign < 0 else "not inverted"
    comment = f"extracted by Vitreous {core.__version__} from raw micrographs: box {params.box} px, {said}, {turned}"
    write_extracted(star, source, made, [comment])
    n = len(made.rows)
    if plan.failed:
        raise failure(plan, n, params.output)
    ctx.step(1, 1, "Done")
    left = f"; {plan.edge} left out, whose box leaves the micrograph" if plan.edge else ""
    return {
        "summary": f"{n} particles of {len(counts)} micrographs, {finish.size} px of {pixel:.4g} Å{left}; {star}",
        "output": str(params.output),
        "star": str(star),
        "particles": n,
        "micrographs": len(counts),
        "left_out_edge": plan.edge,
        "left_out_unmatched": plan.unmatched,
        "box": params.box,
        "size": finish.size,
        "pixel_size_a": round(pixel, 6),
        "inverted": finish.sign < 0,
        "normalised": params.normalise,
    }
