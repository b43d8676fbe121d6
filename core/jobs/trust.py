"""Job `trust`: what can be believed of a denoiser on one's own micrographs, without ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from core.errors import InputError, ParamError
from core.jobs.base import JobContext
from core.jobs.lock import exclusive
from core.params import Params, ui

if TYPE_CHECKING:
    from core.denoising.predict import Method
    from core.denoising.trust_files import Picture
    from core.denoising.trust_scene import Scene
    from core.images.single import Warn


class TrustParams(Params):
    """Check on your own micrographs what a denoiser keeps, loses and invents."""

    micrographs: tuple[Path, ...] = Field(
        description="Raw micrographs: a folder, or files.", json_schema_extra=ui(dialog="files")
    )
    model: str = Field(
        description="model.safetensors of a training, or a baseline: gaussian:30 (half amplitude at 30 Å), wiener.",
        json_schema_extra=ui(dialog="open", pattern="Model (*.safetensors *.pth *.pt)"),
    )
    output: Path = Field(
        description="Folder of trust.json, report.html and the pictures.", json_schema_extra=ui(dialog="folder")
    )
    particles: Path | None = Field(
        None,
        description="Particle positions (STAR or .box); without them fewer checks are made.",
        json_schema_extra=ui(dialog="open", pattern="Particles (*.star *.box)"),
    )
    noise: Path | None = Field(
        None,
        description="Noise boxes (default: found between the picks, or the calmest places).",
        json_schema_extra=ui(dialog="open", pattern="Noise boxes (*.txt *.star *.box)"),
    )
    particle_diameter: float | None = Field(
        None,
        ge=8,
        le=2048,
        description="Particle diameter (default: the model's; else as wide as 150 Å).",
        json_schema_extra=ui(unit="px"),
    )
    even: Path | None = Field(
        None,
        description="Folder of the sums of the even frames, under the micrographs' names (_EVN, _even and so on).",
        json_schema_extra=ui(dialog="folder", advanced=True),
    )
    odd: Path | None = Field(
        None,
        description="Folder of the sums of the odd frames.",
        json_schema_extra=ui(dialog="folder", advanced=True),
    )
    keep_raw: float = Field(
        0.5,
        ge=0,
        le=1,
        description="As in predict. 0: the network alone; 0.5: the measured balance; 1: filtered raw data.",
        json_schema_extra=ui(label="Keep raw detail"),
    )
    most: int = Field(3, ge=1, le=100, description="Micrographs that are examined, evenly chosen.")
    draws: int = Field(
        4, ge=2, le=64, description="Noise draws for the spread of the output.", json_schema_extra=ui(advanced=True)
    )
    pixel_size: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Pixel size, where the files do not tell it.",
        json_schema_extra=ui(unit="Å/px", advanced=True),
    )
    device: str = Field("auto", description="auto, cpu, or cuda:0.", json_schema_extra=ui(advanced=True))
    seed: int = Field(
        0, ge=0, le=2**63 - 1, description="Seed of every random choice.", json_schema_extra=ui(advanced=True)
    )


def run(params: TrustParams, ctx: JobContext) -> dict[str, Any]:
    """Examine some micrographs, judge, and write trust.json, report.html, pictures and maps."""
    from core.images.source import list_micrographs
    from core.jobs.predict import PredictParams, make_method

    if (params.even is None) != (params.odd is None):
        raise ParamError("--even and --odd belong together.", "Give both, or neither.", fields=("even", "odd"))
    micrographs = list_micrographs(params.micrographs)
    _check_output(params, micrographs)
    ctx.step(0, 1, "Reading")
    wanted = {"micrographs": params.micrographs, "model": params.model, "output": params.output}
    wanted |= {"keep_raw": params.keep_raw, "noise": params.noise, "pixel_size": params.pixel_size}
    method, identity = make_method(PredictParams.parse(wanted | {"device": params.device}), micrographs)
    with exclusive(params.output):
        return _run(params, ctx, micrographs, method, identity)


def _run(
    params: TrustParams, ctx: JobContext, micrographs: list[Path], method: Method, identity: dict[str, Any]
) -> dict[str, Any]:
    from core.denoising import trust
    from core.denoising import trust_output as output
    from core.denoising.trust_scene import Runs, template_of
    from core.images.single import Notes

    tell = Notes(ctx.warn)
    scenes, halves, notes = _scenes(params, ctx, tell, micrographs, method)
    template = template_of(scenes, _sign(method))
    total = sum(trust.runs_needed(s.path in halves, params.draws) for s in scenes)
    runs = Runs(method, total, ctx.step)
    examined = []
    pictures: list[Picture] = []
    for scene in scenes:
        both = tuple(_read(half, tell)[0] for half in halves[scene.path]) if scene.path in halves else None
        pair = (both[0], both[1]) if both else None
        one = trust.examine(runs, scene, template, pair, params.draws, seed=params.seed)
        output.write_maps(params.output, one)
        pictures = pictures or output.pictures_of(one)
        one.maps.clear()
        examined.append(one)
    ctx.step(1, 1, "Writing")
    answer = trust.judge(examined, template, params.draws)
    pictures += output.mean_particles(answer)
    facts = output.facts_of(answer, examined, template, _name(params, identity), notes, params.draws, params.seed)
    facts["identity"] = identity  # which model at which share of raw detail: what is checked tomorrow may be another
    report = output.write_folder(params.output, facts, pictures)
    return {
        "summary": f"{answer.verdict.upper()}: {answer.reason} Report: {report}. {trust.ADVICE}",
        "output": str(params.output),
        "report": str(report),
        "verdict": answer.verdict,
        "reason": answer.reason,
        "checks": facts["checks"],
        "missing": facts["missing"],
    }


def _name(params: TrustParams, identity: dict[str, Any]) -> str:
    """The method in words: the model's file, or the filter."""
    method = str(identity.get("method", ""))
    if method == "network":
        return f"{Path(params.model).parent.name}/{Path(params.model).name}"
    kind, _, size = method.partition(":")
    return f"Gaussian {size} Å" if kind == "gaussian" else kind.capitalize()


def _scenes(
    params: TrustParams, ctx: JobContext, tell: Warn, micrographs: list[Path], method: Method
) -> tuple[list[Scene], dict[Path, tuple[Path, Path]], list[str]]:
    """The micrographs that are examined, their halves, and what has to be said about the choice."""
    from core.denoising.trust_scene import default_box, make_scene
    from core.images.position_check import position_doubts
    from core.io.coordinates import read_noise_boxes

    picks = _positions(params.particles, micrographs)
    notes = list(position_doubts(picks, params.particles.name).sentences) if params.particles else []
    for doubt in notes:
        ctx.warn(doubt)
    halves = _halves(params, micrographs)
    chosen = _choose(micrographs, picks, halves, params.most)
    boxes = read_noise_boxes(params.noise) if params.noise else None
    noise = _matched(boxes.positions, params.noise, micrographs) if boxes and params.noise else {}
    read = [_read(path, tell) for path in chosen]
    pixel = params.pixel_size or read[0][1]
    diameter = params.particle_diameter or _diameter(method, pixel)
    if diameter is None:
        from core.denoising.predict import ASSUMED_DIAMETER_A

        diameter = ASSUMED_DIAMETER_A / (pixel or 1.0)
        notes.append(f"No particle diameter was given: {diameter:.0f} px ({ASSUMED_DIAMETER_A:g} Å) is assumed.")
        ctx.warn(notes[-1])
    smallest = min(min(image.shape) for image, _ in read)
    if smallest < 3 * diameter:
        raise ParamError(
            f"--particle-diameter: {diameter:.0f} px is more than a third of a micrograph of {smallest} px.",
            "Diameters are in pixels of the micrograph.",
            fields=("particle_diameter",),
        )
    box = boxes.box_size if boxes and boxes.box_size else default_box(diameter, (smallest,))
    nowhere = np.empty((0, 2))
    scenes = [
        make_scene(
            path,
            image,
            params.pixel_size or size,
            diameter,
            picks.get(path, nowhere),
            noise.get(path),
            box,
            params.seed,
        )
        for path, (image, size) in zip(chosen, read, strict=True)
    ]
    return scenes, {p: h for p, h in halves.items() if p in chosen}, notes


def _positions(path: Path | None, micrographs: list[Path]) -> dict[Path, np.ndarray]:
    from core.io.coordinates import read_particles

    return _matched(read_particles(path), path, micrographs) if path else {}


def _matched(positions: dict[str, np.ndarray], path: Path, micrographs: list[Path]) -> dict[Path, np.ndarray]:
    from core.io.coordinates import match_names, no_match_error

    matched = match_names(positions, micrographs)
    if not any(len(xy) for xy in matched.values()):
        raise no_match_error(path, positions, micrographs)
    return matched


def _halves(params: TrustParams, micrographs: list[Path]) -> dict[Path, tuple[Path, Path]]:
    from core.denoising.trust_halves import pair_halves
    from core.images.source import list_micrographs

    if params.even is None or params.odd is None:
        return {}
    found = pair_halves(micrographs, list_micrographs(params.even), list_micrographs(params.odd))
    if not found:
        raise InputError(
            f"No micrograph has a half in both {params.even} and {params.odd}.",
            "The halves carry the micrographs' names, with or without _EVN, _ODD, _even, _odd at the end.",
            params.even,
        )
    return found


def _choose(
    micrographs: list[Path], picks: dict[Path, np.ndarray], halves: dict[Path, tuple[Path, Path]], most: int
) -> list[Path]:
    """At most `most`, evenly over the list: of those with picks and halves, as far as these are given."""
    good = [m for m in micrographs if (not picks or len(picks[m])) and (not halves or m in halves)]
    good = good or [m for m in micrographs if not picks or len(picks[m])] or micrographs
    places = np.unique(np.linspace(0, len(good) - 1, min(most, len(good))).round().astype(int))
    return [good[i] for i in places]


def _read(path: Path, tell: Warn) -> tuple[np.ndarray, float | None]:
    """The image and its pixel size, as predict reads it."""
    from core.images.single import read_single

    raw = read_single(path, tell)
    return raw.image, raw.pixel_size_a


def _diameter(method: Method, pixel_size_a: float | None) -> float | None:
    """The particle diameter (px) that a trained model was made for; None for the linear filters."""
    facts = getattr(getattr(method, "denoiser", None), "facts", None)
    return float(facts.diameter_for(pixel_size_a)) if facts is not None else None


def _sign(method: Method) -> float:
    """+1 where particles are dark, as in raw micrographs, -1 where the model says that they are light."""
    facts = getattr(getattr(method, "denoiser", None), "facts", None)
    return float(getattr(facts, "sign", 1.0))


def _check_output(params: TrustParams, micrographs: list[Path]) -> None:
    folders = {m.parent.resolve() for m in micrographs}
    if params.output.resolve() in folders:
        raise ParamError(
            f"--output {params.output} is a folder of the raw micrographs.",
            "Choose another folder: raw data are never written to.",
            fields=("output",),
        )
