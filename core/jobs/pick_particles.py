"""Job `pick-particles`: particles by matched filter on denoised or raw micrographs, as a RELION STAR file.

Positions are always those of the raw micrographs. The search is core/picking/search.py, the threshold
core/picking/threshold.py, the reasons to leave a candidate out core/picking/exclusion.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from core.errors import AppError, InputError, ParamError
from core.jobs.base import JobContext
from core.params import Params, ui

if TYPE_CHECKING:
    from core.picking.inputs import Micrograph
    from core.picking.search import Candidates, Rules
    from core.picking.templates import Templates

MOST_NAMES = 5  # in a message
PICKED = "picked"  # folder in the run folder: what a continued run need not search again

TemplateOf = Callable[[Path], "Templates"]


class PickParticlesParams(Params):
    """Find particles on denoised or raw micrographs."""

    micrographs: tuple[Path, ...] = Field(
        description="Raw micrographs: a folder, or files. Names and positions are theirs.",
        json_schema_extra=ui(dialog="files"),
    )
    denoised: Path | None = Field(
        None,
        description="Folder of denoised micrographs, which are searched instead of the raw ones of the same name.",
        json_schema_extra=ui(dialog="folder"),
    )
    diameter: float = Field(
        ge=6, le=4096, description="Particle diameter.", json_schema_extra=ui(unit="px", label="Particle diameter")
    )
    output: Path = Field(
        description="Where the picks are written (.star); all candidates go beside it, to NAME.candidates.star.",
        json_schema_extra=ui(dialog="save", pattern="Particles (*.star)"),
    )
    template: Literal["blob", "ring", "class", "map"] = Field(
        "blob",
        description="What is looked for: a disc, a hollow shell (or, with a reference, the reference's round mean), "
        "class averages, or views of a 3D map.",
    )
    template_file: Path | None = Field(
        None,
        description="Class averages (.mrcs) or map (.mrc, .map, also .gz).",
        json_schema_extra=ui(dialog="open", pattern="Images and maps (*.mrcs *.mrc *.map *.gz)"),
    )
    threshold: float | None = Field(
        None,
        ge=0,
        le=1000,
        description="Lowest score of a pick, in robust sigmas of the background's scores (default: from the scores).",
        json_schema_extra=ui(unit="sigma"),
    )
    reference: Path | None = Field(
        None,
        description="Known particles: precision and recall are told, and the ring is measured from them.",
        json_schema_extra=ui(dialog="open", pattern="Particles (*.star *.box)"),
    )
    contrast: Literal["auto", "dark", "light"] = Field(
        "auto",
        description="Particles are darker than the ice (raw micrographs), lighter, or as the data say.",
        json_schema_extra=ui(advanced=True),
    )
    min_distance: float | None = Field(
        None,
        ge=1,
        le=8192,
        description="Smallest distance of two picks (default: 0.6 diameters).",
        json_schema_extra=ui(unit="px", advanced=True),
    )
    border: float | None = Field(
        None,
        ge=0,
        le=8192,
        description="Smallest distance of a pick from the border (default: half the diameter).",
        json_schema_extra=ui(unit="px", advanced=True),
    )
    exclude: Path | None = Field(
        None,
        description="Excluded areas drawn on Home (.marks.json); picks keep out of them.",
        json_schema_extra=ui(dialog="open", pattern="Excluded areas (*.marks.json)", advanced=True),
    )
    pixel_size: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Pixel size of the micrographs, where the files do not tell it.",
        json_schema_extra=ui(unit="Å/px", advanced=True),
    )
    template_pixel_size: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Pixel size of the template file, where it does not tell it.",
        json_schema_extra=ui(unit="Å/px", advanced=True),
    )
    angle_step: float = Field(
        15.0,
        ge=2,
        le=90,
        description="Step by which class averages and views are turned in their plane.",
        json_schema_extra=ui(unit="°", advanced=True),
    )
    overwrite: bool = Field(False, description="Replace an output file that is there.")


@dataclass
class _Found:
    """What the search brought, by micrograph name."""

    picks: dict[str, Candidates] = field(default_factory=dict)
    pixel_sizes: dict[str, float | None] = field(default_factory=dict)
    failed: dict[str, AppError] = field(default_factory=dict)

    def scores(self) -> np.ndarray:
        return np.concatenate([np.empty(0), *(p.score[p.reason == ""] for p in self.picks.values())])

    def null(self) -> np.ndarray:
        return np.concatenate([np.empty(0), *(p.null for p in self.picks.values())])


def run(params: PickParticlesParams, ctx: JobContext) -> dict[str, Any]:
    """Search every micrograph, choose the threshold over all of them, write picks and candidates."""
    from core.denoising.collect import micrograph_names
    from core.images.position_check import position_doubts
    from core.images.single import Notes
    from core.images.source import list_micrographs
    from core.io.marks import marks_by_micrograph
    from core.picking.inputs import check_denoised, read_micrograph, reference_positions
    from core.picking.prepare import known_sign
    from core.picking.search import SPACING, Rules

    micrographs = list_micrographs(params.micrographs)
    names = micrograph_names(micrographs)
    _check(params, ctx, micrographs)
    searched = check_denoised(names, params.denoised)
    reference = reference_positions(params.reference, micrographs)
    if params.reference is not None:
        for doubt in position_doubts(reference, params.reference.name).sentences:
            ctx.warn(doubt)
    areas, _ = marks_by_micrograph(params.exclude, micrographs)
    spacing = params.min_distance or SPACING * params.diameter
    border = params.diameter / 2 if params.border is None else params.border
    rules = Rules(params.diameter, spacing, border)

    tell = Notes(ctx.warn)

    def read(path: Path) -> Micrograph:
        return read_micrograph(path, searched[path], params.pixel_size, tell)

    ctx.step(0, len(micrographs), "Making the templates")
    sign, contrast = known_sign(params.contrast, micrographs, read, rules, ctx.warn)
    rules = replace(rules, sign=sign)
    template_of = _templates(params, ctx, micrographs, read, rules, reference)
    found = _Found()
    for i, path in enumerate(micrographs):
        ctx.step(i, len(micrographs), f"{i + 1} of {len(micrographs)}: {path.name}")
        try:
            kept = _kept(ctx, i, searched[path])
            one = read(path) if kept is None else None
            if one is not None:
                _check_size(path, one, rules)
                kept = _search(ctx, i, one, searched[path], template_of(path), rules, areas.get(path, []))
            assert kept is not None
            found.picks[names[path]] = kept
            found.pixel_sizes[names[path]] = _pixel_size(params, path)
        except InputError as err:
            found.failed[names[path]] = err
            ctx.warn(str(err))
    if not found.picks:
        raise _failure(found, params.output)
    result = _finish(params, ctx, found, rules, template_of(micrographs[0]), contrast)
    if params.reference is not None:
        result |= _evaluate(params, ctx, found, rules, {names[p]: (p, xy) for p, xy in reference.items()}, result)
    if found.failed:
        raise _failure(found, params.output)
    ctx.step(1, 1, "Done")
    return result


# ---- before the search -----------------------------------------------------------------------------------


def _check(params: PickParticlesParams, ctx: JobContext, micrographs: list[Path]) -> None:
    """Refuse what cannot be meant before anything is read."""
    from core.io.picks import candidates_path

    output, file = params.output, params.template_file
    if output.suffix.lower() != ".star" or output.is_dir():
        raise ParamError(f"--output: {output.name} must be a file name that ends in .star.", fields=("output",))
    inputs = [p for p in (params.reference, file, *micrographs) if p is not None and p.exists()]
    for target in (output, candidates_path(output)):
        if target.exists() and any(target.samefile(p) for p in inputs):
            raise ParamError(
                f"--output: {target} is one of the inputs, which are never overwritten.",
                "Choose another name.",
                fields=("output",),
            )
    own = ctx.continued and output.exists() and output.stat().st_mtime >= (ctx.run_dir / "job.toml").stat().st_mtime
    if output.exists() and not params.overwrite and not own:
        raise ParamError(
            f"--output: {output} is there already.", "Choose another name, or --overwrite.", fields=("output",)
        )
    if params.template in ("class", "map") and file is None:
        raise ParamError(
            f"--template {params.template} needs its file.",
            "Give class averages or a map with --template-file.",
            fields=("template_file",),
        )
    if params.template in ("blob", "ring") and file is not None:
        raise ParamError(
            f"--template {params.template} takes no file.",
            "Choose --template class or map, or leave --template-file out.",
            fields=("template", "template_file"),
        )


def _templates(
    params: PickParticlesParams,
    ctx: JobContext,
    micrographs: list[Path],
    read: Callable[[Path], Micrograph],
    rules: Rules,
    reference: Mapping[Path, np.ndarray],
) -> TemplateOf:
    """The templates for each micrograph; only those measured from a reference differ between them."""
    from core.picking import prepare, templates
    from core.picking.search import search_scale

    if params.template == "ring" and reference:
        return prepare.measured_rings(micrographs, read, rules, reference, ctx.warn)
    diameter = search_scale(params.diameter)
    if params.template_file is None:
        made = templates.blob(diameter) if params.template == "blob" else templates.ring(diameter)
    else:
        sizes = params.template_pixel_size, _pixel_size(params, micrographs[0])
        make = prepare.views if params.template == "map" else prepare.classes
        made = make(params.template_file, params.diameter, *sizes, params.angle_step, ctx.warn)
    return lambda _: made


def _pixel_size(params: PickParticlesParams, path: Path) -> float | None:
    from core.images.source import open_source

    return params.pixel_size or open_source(path).pixel_size_a


# ---- one micrograph --------------------------------------------------------------------------------------


def _search(
    ctx: JobContext,
    number: int,
    one: Micrograph,
    searched: Path | None,
    templates: Templates,
    rules: Rules,
    areas: list[np.ndarray],
) -> Candidates:
    """Search one micrograph and keep what was found in the run folder."""
    from core.picking.inputs import keep_candidates
    from core.picking.search import search_micrograph

    found = search_micrograph(one.image, templates, rules, areas)
    keep_candidates(ctx.run_dir / PICKED / f"{number:06d}.npz", searched, found)
    return found


def _check_size(path: Path, one: Micrograph, rules: Rules) -> None:
    """A micrograph that cannot hold one particle is a wrong file or a wrong diameter, and not an empty micrograph."""
    rows, columns = one.image.shape
    if min(rows, columns) < rules.diameter:
        raise InputError(
            f"{path.name} is {columns} x {rows} px, smaller than one particle of {rules.diameter:g} px.",
            "Check --diameter (px of the micrographs), or leave the file out.",
            path,
        )


def _kept(ctx: JobContext, number: int, searched: Path | None) -> Candidates | None:
    """What an earlier start of this run has found; None where it must be searched."""
    from core.picking.inputs import kept_candidates

    return kept_candidates(ctx.run_dir / PICKED / f"{number:06d}.npz", searched) if ctx.continued else None


def _failure(found: _Found, output: Path) -> AppError:
    first = next(iter(found.failed.values()))
    names = list(found.failed)
    shown = ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
    total = len(found.failed) + len(found.picks)
    rest = f" The picks of the others are in {output}." if found.picks else ""
    return InputError(
        f"{len(names)} of {total} micrographs could not be searched ({shown}): {first.message}", first.hint + rest
    )


# ---- after the search ------------------------------------------------------------------------------------


def _finish(
    params: PickParticlesParams,
    ctx: JobContext,
    found: _Found,
    rules: Rules,
    templates: Templates,
    contrast: dict[str, Any],
) -> dict[str, Any]:
    """Choose the threshold, write both tables, and say what was done."""
    from core.io.picks import ALL, candidates_path, write_candidates, write_picks
    from core.picking.outcome import by_template, in_words, provenance
    from core.picking.threshold import Threshold, automatic_threshold, histogram

    scores = found.scores()
    if params.threshold is None:
        threshold = automatic_threshold(scores, found.null())
    else:
        threshold = Threshold(params.threshold, "given", f"{params.threshold:g} sigmas, as given")
    if threshold.how == "none":
        ctx.warn("No candidate stands out of the noise: no particle was picked. Look at the scores, or try a template.")
    edges, counts = histogram(scores)
    ctx.preview("scores", np.stack([edges[:-1], edges[1:], counts]), threshold=threshold.value)
    comments = provenance(params.denoised, templates.name, rules, threshold, contrast["contrast"])
    picks = write_picks(params.output, found.picks, threshold.value, found.pixel_sizes, comments)
    beside = candidates_path(params.output)
    write_candidates(beside, found.picks, found.pixel_sizes, [*comments, ALL])
    left_out = Counter(str(r) for p in found.picks.values() for r in p.reason[p.score >= threshold.value] if r)
    per = {name: int(p.chosen(threshold.value).sum()) for name, p in found.picks.items()}
    ctx.metric("picks", picks, len(per))
    particles = "1 particle" if picks == 1 else f"{picks} particles"
    return {
        "summary": f"{particles} on {sum(c > 0 for c in per.values())} of {len(per)} micrographs, threshold "
        f"{threshold.words}; {in_words(left_out)}; written to {params.output}",
        "output": str(params.output),
        "candidates": str(beside),
        "picks": picks,
        "threshold": threshold.value,
        "threshold_from": threshold.how,
        "threshold_words": threshold.words,
        "searched": "denoised" if params.denoised else "raw",
        "denoised": str(params.denoised) if params.denoised else None,
        "template": templates.name,
        **contrast,
        "diameter": params.diameter,
        "reference": str(params.reference) if params.reference else None,
        "min_distance": round(rules.spacing, 3),
        "border": round(rules.border, 3),
        "left_out": sum(left_out.values()),
        "left_out_by_reason": dict(left_out.most_common()),
        "per_micrograph": per,
        "picks_by_template": by_template(found.picks.values(), templates, threshold.value),
        "histogram": {"edges": [round(float(e), 4) for e in edges], "counts": [int(c) for c in counts]},
    }


def _evaluate(
    params: PickParticlesParams,
    ctx: JobContext,
    found: _Found,
    rules: Rules,
    reference: Mapping[str, tuple[Path, np.ndarray]],
    result: dict[str, Any],
) -> dict[str, Any]:
    """Hold the picks against the reference, on the micrographs that it lists."""
    from core.images.source import open_source
    from core.picking.evaluate import Evaluation

    evaluation = Evaluation(params.diameter, rules.border)
    for name, picks in found.picks.items():
        path, xy = reference.get(name, (None, np.empty((0, 2))))
        if path is not None and len(xy):
            evaluation.add(picks, xy, open_source(path).shape)
    figures = evaluation.at(float(result["threshold"]))
    for name in ("precision", "recall", "f1", "average_precision"):
        ctx.metric(name, float(figures[name]), evaluation.micrographs)
    words = (
        f"against the reference: precision {figures['precision']:.3f}, recall {figures['recall']:.3f}, "
        f"average precision {figures['average_precision']:.3f}"
    )
    return {"evaluation": figures, "summary": f"{result['summary']}; {words}"}
