"""Job `predict`: denoise whole micrographs with a trained model or a linear baseline."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from core.compute.overlap import overlapped
from core.compute.ranks import Rank, this_rank
from core.errors import InputError, ParamError
from core.io.atomic import write_json
from core.jobs.base import JobContext
from core.jobs.predict_steps import Result, denoise, doubts, existing, read_raw, write_result
from core.jobs.team import together
from core.params import Params, absolute, ui

if TYPE_CHECKING:
    from core.denoising.predict import Method
    from core.images.single import Single

SETTINGS_FILE = "denoised.json"  # in the output folder: how its micrographs were made
MOST_WARNINGS = 100  # of a run; the count of failures is told all the same


class PredictParams(Params):
    """Denoise whole micrographs."""

    micrographs: tuple[Path, ...] = Field(
        description="Raw micrographs: a folder, or files.", json_schema_extra=ui(dialog="files")
    )
    model: str = Field(
        description="model.safetensors of a training, or a baseline: gaussian:30 (half amplitude at 30 Å), wiener.",
        json_schema_extra=ui(dialog="open", pattern="Model (*.safetensors *.pth *.pt)"),
    )
    output: Path = Field(description="Folder of the denoised micrographs.", json_schema_extra=ui(dialog="folder"))
    keep_raw: float = Field(
        0.5,
        ge=0,
        le=1,
        description="0: the network alone; 0.5: the measured balance of network and raw data; 1: filtered raw data.",
        json_schema_extra=ui(label="Keep raw detail"),
    )
    parts: bool = Field(
        True,
        description="Keep the pieces of every micrograph, so that raw detail can be changed without the network.",
        json_schema_extra=ui(label="Keep pieces", advanced=True),
    )
    noise: Path | None = Field(
        None,
        description="Noise boxes for the Wiener baseline (default: the calmest places of each micrograph).",
        json_schema_extra=ui(dialog="open", pattern="Noise boxes (*.txt *.star *.box)", advanced=True),
    )
    pixel_size: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Pixel size, where the files do not tell it.",
        json_schema_extra=ui(unit="Å/px", advanced=True),
    )
    device: str = Field("auto", description="auto, cpu, or cuda:0.")
    dtype: Literal["float32", "float16"] = Field(
        "float32", description="Number format of the output files.", json_schema_extra=ui(label="Number format")
    )
    overwrite: bool = Field(False, description="Denoise again what the output folder already holds.")


def run(params: PredictParams, ctx: JobContext) -> dict[str, Any]:
    """Denoise every micrograph that the output folder lacks; unreadable ones are named at the end.

    Started by torchrun, each process denoises its share of the micrographs, on a GPU of its own where there is one.
    """
    from core.denoising.collect import micrograph_names
    from core.denoising.predict import output_names
    from core.images.source import list_micrographs

    rank = this_rank()
    micrographs = list_micrographs(params.micrographs)
    targets = output_names(micrograph_names(micrographs), params.output)
    method, identity = make_method(params, micrographs)
    _check_targets(params, targets)
    _keep_pieces(params, method, targets)
    if rank.number == 0:
        _check_noise(params, ctx, method, micrographs)
    with together(params.output, rank, lambda: ctx.step(0, 1, "Waiting for the other processes")) as team:
        if rank.number == 0:
            _check_earlier(params, targets, identity)
            team.ready()
        else:
            team.wait_until_ready()
        report = _denoise_all(params, ctx, rank.share(micrographs), targets, method)
        reports = team.settle(report)
        if rank.number == 0 and not any(r["failures"] for r in reports):
            _all_made(params.output, targets)
    return _told(params, ctx, micrographs, targets, reports, rank)


def _check_noise(params: PredictParams, ctx: JobContext, method: Method, micrographs: list[Path]) -> None:
    """Warn before anything is computed when the model meets a noise that it has not learnt."""
    from core.denoising.noise_check import noise_warnings
    from core.denoising.predict import Network

    if isinstance(method, Network):
        for message in noise_warnings(method, micrographs, params.pixel_size):
            ctx.warn(message)


def _denoise_all(
    params: PredictParams, ctx: JobContext, micrographs: list[Path], targets: dict[Path, Path], method: Method
) -> dict[str, Any]:
    """The loop over the micrographs of this process: the next is read, and the one before written, meanwhile."""
    from core.images.single import Notes

    tell = Notes(ctx.warn)
    there, again = existing(targets.values()), _to_remake(params.output)
    missing = [m for m in micrographs if params.overwrite or targets[m] not in there or targets[m] in again]
    if ctx.continued and (params.overwrite or again):  # a continued run keeps what it has already made
        since = (ctx.run_dir / "job.toml").stat().st_mtime
        missing = [m for m in missing if targets[m] not in there or targets[m].stat().st_mtime < since]
    number = {m: i for i, m in enumerate(missing)}
    failed: list[tuple[str, str, str]] = []
    pixels, cpu = 0, time.process_time()
    last = (0.0, "")

    def step(micrograph: Path, part: float) -> None:
        nonlocal last
        last = (number[micrograph] + part, f"{number[micrograph] + 1} of {len(missing)}: {micrograph.name}")
        ctx.step(last[0], len(missing), last[1])

    def compute(micrograph: Path, raw: Single) -> Result:
        step(micrograph, 0)
        for doubt in doubts(method, raw):
            tell(doubt)
        return denoise(method, raw, params.dtype, lambda done, total: step(micrograph, done / max(total, 1)))

    def write(micrograph: Path, result: Result) -> int:
        return write_result(result, targets[micrograph], params.dtype, method.name)

    for outcome in overlapped(
        missing,
        lambda m: read_raw(m, params.pixel_size, tell),
        compute,
        write,
        lambda: ctx.step(last[0], max(len(missing), 1), last[1]),
    ):
        if outcome.error is None:
            pixels += outcome.value or 0
        elif isinstance(outcome.error, InputError):
            failed.append((outcome.item.name, outcome.error.message, outcome.error.hint))
            if len(failed) <= MOST_WARNINGS:
                ctx.warn(str(outcome.error))
        else:
            raise outcome.error
    return {
        "asked": len(missing),
        "skipped": len(micrographs) - len(missing),
        "failed": failed[:MOST_WARNINGS],
        "failures": len(failed),
        "pixels": pixels,
        "recomposed": getattr(method, "reused", 0),
        "cpu_seconds": time.process_time() - cpu,
    }


def _told(
    params: PredictParams,
    ctx: JobContext,
    micrographs: list[Path],
    targets: dict[Path, Path],
    reports: list[dict[str, Any]],
    rank: Rank,
) -> dict[str, Any]:
    """The result of the reports of one or all processes; raises for what failed in them."""
    asked, skipped, failures, pixels = (sum(r[k] for r in reports) for k in ("asked", "skipped", "failures", "pixels"))
    failed = [tuple(f) for r in reports for f in r["failed"]]
    if failed and rank.number == 0:  # torchrun ends all processes when one fails: only the last to end may
        raise InputError(
            f"{failures} of {asked} micrographs could not be denoised ({', '.join(f[0] for f in failed[:3])}): "
            f"{failed[0][1]}",
            (failed[0][2] + (f" The others are in {params.output}." if failures < asked else "")).lstrip(),
        )
    ctx.step(1, 1, "Done")
    reused = sum(r["recomposed"] for r in reports)  # their speed is not the network's
    speed = 0.0 if reused else pixels / 1e6 / max(sum(r["cpu_seconds"] for r in reports), 1e-9)
    mine = micrographs if rank.number == 0 else rank.share(micrographs)
    summary = f"{asked - failures} micrographs denoised in {params.output}"
    summary += f", {reused} of them recomposed from their pieces without the network" if reused else ""
    summary += f", {skipped} were there already" if skipped else ""
    summary += f"; {speed:.2f} Mpx per CPU-second" if speed else ""
    if not rank.alone:
        summary += f" (process {rank.number} of {rank.size})" if rank.number else f" by {rank.size} processes"
    return {
        "summary": summary,
        "output": str(params.output),
        "model": params.model,
        "files": [str(targets[m]) for m in mine],
        "inputs": [str(m) for m in mine],
        "skipped": skipped,
        "recomposed": reused,
        "megapixels_per_cpu_second": round(speed, 4) if speed else None,
    }


def make_method(params: PredictParams, micrographs: list[Path]) -> tuple[Method, dict[str, Any]]:
    """The denoiser and what identifies it, so that outputs of two models are never mixed in a folder."""
    from core.denoising.baselines import parse_baseline

    baseline = parse_baseline(params.model)
    identity: dict[str, Any] = {"dtype": params.dtype, "pixel_size": params.pixel_size}
    if baseline is not None:
        from core.denoising.predict import Gaussian, Wiener
        from core.io.coordinates import read_noise_boxes

        kind, resolution = baseline
        identity["method"] = f"gaussian:{resolution:g}" if kind == "gaussian" else "wiener"
        if kind == "gaussian":
            return Gaussian(resolution), identity
        identity["noise"] = str(params.noise) if params.noise else None
        boxes = read_noise_boxes(params.noise) if params.noise else None
        return Wiener(boxes, micrographs), identity

    from core.compute.devices import choose_device
    from core.compute.parallel import Workers
    from core.denoising.model import load_denoiser
    from core.denoising.model_files import model_digest
    from core.denoising.predict import Network

    path = absolute(Path(params.model))
    device = choose_device(params.device)
    denoiser = load_denoiser(path, device)
    digest = model_digest(path)
    identity |= {"method": "network", "model": path.name, "sha256": digest, "keep_raw": params.keep_raw}
    return Network(denoiser, params.keep_raw, Workers(device), digest=digest, reuse=not params.overwrite), identity


def _keep_pieces(params: PredictParams, method: Method, targets: dict[Path, Path]) -> None:
    """Say where the pieces of each micrograph lie. Only here: a method is also run on images that are no file."""
    from core.denoising.parts import parts_file
    from core.denoising.predict import Network

    if params.parts and isinstance(method, Network):
        method.parts_of = lambda source: parts_file(targets[source])


def _check_targets(params: PredictParams, targets: dict[Path, Path]) -> None:
    """Raw data are never written to, and two micrographs never share an output."""
    folders = {folder.resolve() for folder in {source.parent for source in targets}}
    resolved = {folder: folder.resolve() for folder in {target.parent for target in targets.values()}}
    first: dict[Path, Path] = {}
    for source, target in targets.items():
        if resolved[target.parent] in folders:
            raise ParamError(
                f"--output {params.output} is a folder of the raw micrographs.",
                "Choose another folder: raw data are never written to.",
                fields=("output",),
            )
        twin = first.setdefault(target, source)
        if twin != source:
            raise ParamError(
                f"{twin} and {source} would both be written to {target.name}.",
                "Denoise them into different folders.",
                fields=("micrographs",),
            )


def _check_earlier(params: PredictParams, targets: dict[Path, Path], identity: dict[str, Any]) -> None:
    """Outputs that are there must have been made like this, from these files; then note how this run makes its own."""
    settings = params.output / SETTINGS_FILE
    try:
        before = json.loads(settings.read_text(encoding="utf-8"))
        made, sources = before["method"], before["sources"]
    except (OSError, ValueError, KeyError, TypeError):
        made, sources = None, {}
    key = {t: t.relative_to(params.output).as_posix() for t in targets.values()}
    now = {key[t]: [str(s), s.stat().st_size, s.stat().st_mtime_ns] for s, t in targets.items()}
    there = [key[t] for t in targets.values() if t.exists()]
    foreign = [name for name in there if name not in sources]
    if foreign:
        raise ParamError(
            f"{params.output} already holds {foreign[0]}, which was not denoised by this program.",
            "Choose another folder.",
            fields=("output",),
        )
    other = [name for name in there if sources[name] != now[name]]
    recompose = params.parts and not other and _differ_in_keep_only(made, identity)
    if not params.overwrite and there and (other or (made != identity and not recompose)):
        what = (
            f"{other[0]} denoised from another file" if other else "micrographs denoised with another model or settings"
        )
        raise ParamError(
            f"{params.output} holds {what}.", "Choose another folder, or --overwrite.", fields=("output", "overwrite")
        )
    again = _to_remake(params.output)
    if there and made != identity:
        if not params.overwrite:
            _check_pieces(params.output, there, sources)
        again |= {params.output / name for name in there}
    left = sorted(t.relative_to(params.output).as_posix() for t in again)
    write_json(settings, {"method": identity, "sources": sources | now} | ({"remake": left} if left else {}))


def _differ_in_keep_only(made: Any, identity: dict[str, Any]) -> bool:
    """Were these outputs made by the same network, with nothing else than another share of raw detail?"""
    if not isinstance(made, dict) or identity["method"] != "network":
        return False
    return made != identity and made | {"keep_raw": None} == identity | {"keep_raw": None}


def _check_pieces(output: Path, there: list[str], sources: dict[str, Any]) -> None:
    """Another share of raw detail is for all outputs of a folder, and needs the pieces of all."""
    from core.denoising.parts import parts_file

    forgotten = [name for name in sources if name not in there and (output / name).exists()]
    bare = [name for name in there if not parts_file(output / name).is_file()]
    if forgotten or bare:
        name = (forgotten or bare)[0]
        why = f"{name} too, which this run does not name" if forgotten else f"{name} without the pieces it was made of"
        raise ParamError(
            f"{output} holds micrographs with another share of raw detail, and {why}.",
            "Name all its micrographs." if forgotten else "Choose another folder, or --overwrite.",
            fields=("micrographs",) if forgotten else ("output", "overwrite"),
        )


def _to_remake(output: Path) -> set[Path]:
    """Outputs that are still as an earlier run with other settings made them: a later one was not finished."""
    try:
        names = json.loads((output / SETTINGS_FILE).read_text(encoding="utf-8"))["remake"]
        return {output / str(name) for name in names}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _all_made(output: Path, targets: dict[Path, Path]) -> None:
    """The outputs of this run are now as the settings file says."""
    before = _to_remake(output)
    left = sorted(t.relative_to(output).as_posix() for t in before - set(targets.values()))
    if before:
        settings = json.loads((output / SETTINGS_FILE).read_text(encoding="utf-8")) | {"remake": left}
        write_json(output / SETTINGS_FILE, {k: v for k, v in settings.items() if k != "remake" or left})
