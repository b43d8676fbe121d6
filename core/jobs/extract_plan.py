"""What `extract` is to do, decided from headers and the table alone: the boxes of every micrograph, the pixel size."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.denoising.collect import micrograph_names, output_names
from core.errors import AppError, InputError
from core.images.extraction import inside, whole_pixels
from core.images.single import open_single, refuse_denoised
from core.images.source import ImageSource, list_micrographs
from core.io.coordinates import match_names, no_match_error
from core.io.extracted_star import Positions
from core.jobs.base import JobContext

if TYPE_CHECKING:
    from core.jobs.extract import ExtractParams

STACKS = "particles"
_DIFFERS = 0.01  # relative: a header and a table that do not tell the same pixel size
_MOST_NAMES = 5  # in a message


@dataclass
class Cut:
    """What is cut from one micrograph: rows of the table, centre pixels, origins in Å; where to."""

    path: Path
    stack: Path
    rows: np.ndarray
    centre: np.ndarray
    origins_a: np.ndarray


@dataclass
class Plan:
    """All that is to be done."""

    pixel_a: float
    cuts: list[Cut] = field(default_factory=list)
    edge: int = 0  # particles whose box leaves the micrograph
    unmatched: int = 0  # particles of micrographs that were not given
    failed: dict[str, AppError] = field(default_factory=dict)


def make_plan(params: ExtractParams, ctx: JobContext, source: Positions) -> Plan:
    """Every box; InputError where none can be cut, for denoised micrographs, and for pixel sizes that are not known."""
    micrographs = list_micrographs(params.micrographs)
    named = source.rows()
    matched = {path: rows[:, 0].astype(np.int64) for path, rows in match_names(named, micrographs).items() if len(rows)}
    if not matched:
        raise no_match_error(source.path, named, micrographs)
    stacks = output_names(micrograph_names(micrographs), params.output / STACKS)
    opened: dict[Path, ImageSource] = {}
    failed: dict[str, AppError] = {}
    for i, path in enumerate(matched):
        ctx.step(0.05 * i / len(matched), 1, f"Looking at {path.name}")
        try:
            opened[path] = open_single(path)
        except InputError as err:
            failed[path.name] = err
            ctx.warn(str(err))
        else:
            refuse_denoised(path)
    if not opened:
        raise failure(Plan(1.0, failed=failed), 0, params.output)
    plan = Plan(_pixel_size(params, ctx, source, list(opened.values())), failed=failed)
    origins = source.origins_a(plan.pixel_a)
    for path, one in opened.items():
        rows = matched[path]
        centre, rest = whole_pixels(source.xy[rows], origins[rows], plan.pixel_a, params.recentre)
        good = inside(centre, params.box, one.shape)
        plan.edge += int((~good).sum())
        if good.any():
            stack = stacks[path].with_suffix(".mrcs")
            plan.cuts.append(Cut(path, stack, rows[good], centre[good], rest[good]))
    plan.unmatched = len(source) - sum(map(len, matched.values()))
    if plan.unmatched:
        ctx.warn(f"{plan.unmatched} of {len(source)} particles are on micrographs that were not given: left out.")
    if not plan.cuts:
        if failed:
            raise failure(plan, 0, params.output)
        raise InputError(
            f"No box of {params.box} px around a particle of {source.path.name} lies inside its micrograph.",
            "Use a smaller --box, and check that the positions are pixels of these micrographs.",
            source.path,
        )
    return plan


def _pixel_size(params: ExtractParams, ctx: JobContext, source: Positions, opened: list[ImageSource]) -> float:
    """Å per pixel of the micrographs: given, of the table, of the headers."""
    headers = [one.pixel_size_a for one in opened if one.pixel_size_a]
    chosen = params.pixel_size or source.pixel_size_a
    if chosen is None and headers:
        if max(headers) - min(headers) > _DIFFERS * max(headers):
            raise InputError(
                f"The micrographs have pixel sizes from {min(headers):g} to {max(headers):g} Å.",
                "Extract them in groups of one pixel size.",
                params.micrographs[0],
            )
        return float(np.median(headers))
    chosen = chosen or source.original_a
    if chosen is None:
        raise InputError(
            f"Neither {source.path.name} nor the micrographs tell a pixel size.", "Give --pixel-size.", source.path
        )
    wrong = [one for one in headers if abs(one / chosen - 1) > _DIFFERS]
    if wrong:
        origin = "--pixel-size" if params.pixel_size else source.path.name
        ctx.warn(
            f"{origin} says {chosen:g} Å per pixel, the headers of {len(wrong)} micrographs {wrong[0]:g} Å: "
            f"{chosen:g} Å is used."
        )
    return chosen


def failure(plan: Plan, written: int, output: Path) -> AppError:
    """What to say when micrographs could not be used, and `written` particles of the others are there."""
    names = list(plan.failed)
    first = plan.failed[names[0]]
    shown = ", ".join(names[:_MOST_NAMES])
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    rest = f" The {written} particles of the others are in {output}." if written else ""
    return InputError(
        f"{len(names)} micrograph{'s' * (len(names) > 1)} could not be used ({shown}{more}): {first.message}",
        first.hint + rest,
    )
