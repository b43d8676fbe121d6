"""Job `predict`: denoise whole micrographs with a trained model or a linear baseline."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

import core
from core.errors import AppError, InputError, ParamError
from core.io.atomic import write_json
from core.jobs.base import JobContext
from core.jobs.lock import exclusive
from core.params import Params, absolute, ui

if TYPE_CHECKING:
    from core.denoising.predict import Method, Step

SETTINGS_FILE = "denoised.json"  # in the output folder: how its micrographs were made


class PredictParams(Params):
    """Denoise whole micrographs."""

    micrographs: tuple[Path, ...] = Field(
        description="Raw micrographs: a folder, or files.", json_schema_extra=ui(dialog="files")
    )
    model: str = Field(
        description="model.safetensors of a training, or a baseline: gaussian:30 (half amplitude at 30 Å), wiener.",
        json_schema_extra=ui(dialog="open", pattern="Model (*.safetensors)"),
    )
    output: Path = Field(description="Folder of the denoised micrographs.", json_schema_extra=ui(dialog="folder"))
    keep_raw: float = Field(
        0.5,
        ge=0,
        le=1,
        description="0: the network alone; 0.5: the balance of raw data and network measured in training; "
        "1: linearly filtered raw data.",
        json_schema_extra=ui(label="Keep raw detail"),
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
    dtype: Literal["float32", "float16"] = Field("float32", description="Number format of the output files.")
    overwrite: bool = Field(False, description="Denoise again what the output folder already holds.")
    parts: bool = Field(
        True,
        description="Keep what the network answered in the folder parts, so that another share of raw detail "
        "does not need it again.",
        json_schema_extra=ui(advanced=True, label="Keep the pieces"),
    )


def run(params: PredictParams, ctx: JobContext) -> dict[str, Any]:
    """Denoise every micrograph that the output folder lacks; unreadable ones are named at the end."""
    from core.denoising.collect import micrograph_names
    from core.denoising.predict import output_names
    from core.images.source import list_micrographs

    micrographs = list_micrographs(params.micrographs)
    targets = output_names(micrograph_names(micrographs), params.output)
    method, identity = _method(params, micrographs)
    _check_targets(params, targets)
    _keep_pieces(params, method, targets)
    with exclusive(params.output):
        _check_earlier(params, targets, identity)
        return _denoise_all(params, ctx, micrographs, targets, method)


def _denoise_all(
    params: PredictParams, ctx: JobContext, micrographs: list[Path], targets: dict[Path, Path], method: Method
) -> dict[str, Any]:
    """The loop over the micrographs."""
    missing = [m for m in micrographs if params.overwrite or not targets[m].exists()]
    if ctx.continued and params.overwrite:  # a continued run keeps what it has already made
        since = (ctx.run_dir / "job.toml").stat().st_mtime
        missing = [m for m in missing if not targets[m].exists() or targets[m].stat().st_mtime < since]
    skipped = len(micrographs) - len(missing)
    failed: dict[str, AppError] = {}
    pixels, cpu = 0, time.process_time()
    for i, micrograph in enumerate(missing):
        message = f"{i + 1} of {len(missing)}: {micrograph.name}"

        def step(done: int, total: int, i: int = i, message: str = message) -> None:
            ctx.step(i + done / max(total, 1), len(missing), message)

        step(0, 1)
        try:
            size, clipped = _denoise(params, method, micrograph, targets[micrograph], step)
            pixels += size
            if clipped:
                ctx.warn(f"{micrograph.name} has grey values beyond 65504, which float16 cannot hold: clipped.")
        except InputError as err:
            failed[micrograph.name] = err
            ctx.warn(str(err))
    cpu = time.process_time() - cpu
    if failed:
        first = next(iter(failed.values()))
        raise InputError(
            f"{len(failed)} of {len(missing)} micrographs could not be denoised ({', '.join(list(failed)[:3])}): "
            f"{first.message}",
            first.hint + f" The others are in {params.output}.",
        )
    ctx.step(1, 1, "Done")
    speed = pixels / 1e6 / max(cpu, 1e-9)
    return {
        "summary": f"{len(missing)} micrographs denoised in {params.output}"
        + (f", {skipped} were there already" if skipped else "")
        + (f"; {speed:.2f} Mpx per CPU-second" if missing else ""),
        "output": str(params.output),
        "model": params.model,
        "files": [str(targets[m]) for m in micrographs],
        "inputs": [str(m) for m in micrographs],
        "skipped": skipped,
        "megapixels_per_cpu_second": round(speed, 4) if missing else None,
    }


def _denoise(params: PredictParams, method: Method, source: Path, target: Path, step: Step) -> tuple[int, bool]:
    """Denoise one file; returns its number of pixels, and whether float16 clipped it."""
    from core.images.source import open_source
    from core.io.mrc import write_mrc

    opened = open_source(source)
    if opened.n > 1:
        raise InputError(
            f"{source.name} is a stack of {opened.n} images, not a micrograph.",
            "Average movies first (motion correction).",
            source,
        )
    pixel_size = params.pixel_size or opened.pixel_size_a
    image = opened.read(0)
    if not float(image.std()) > 0:
        raise InputError(f"{source.name} holds one value only.", "Leave it out, or export it again.", source)
    result = method(image, source, pixel_size, step)
    if not np.isfinite(result).all():
        raise InputError(
            f"{source.name} gives values that are not numbers.", "Its grey values may be too large for float32.", source
        )
    label = f"Vitreous {core.__version__} denoised ({method.name}): for seeing and picking"
    is_mrc = not source.name.lower().endswith((".tif", ".tiff"))
    write_mrc(target, result, pixel_size, like=source if is_mrc else None, dtype=params.dtype, label=label)
    return image.size, params.dtype == "float16" and float(np.abs(result).max()) > 65504


def _method(params: PredictParams, micrographs: list[Path]) -> tuple[Method, dict[str, Any]]:
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
    from core.denoising.predict import Network

    path = absolute(Path(params.model))
    device = choose_device(params.device)
    denoiser = load_denoiser(path, device)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    identity |= {"method": "network", "model": path.name, "sha256": digest, "keep_raw": params.keep_raw}
    return Network(denoiser, params.keep_raw, Workers(device), digest=digest), identity


def _keep_pieces(params: PredictParams, method: Method, targets: dict[Path, Path]) -> None:
    """Say where the pieces of each micrograph lie. Only here: a method is also run on images that are no file."""
    from core.denoising.parts import parts_file
    from core.denoising.predict import Network

    if params.parts and isinstance(method, Network):
        method.parts_of = lambda source: parts_file(targets[source])


def _check_targets(params: PredictParams, targets: dict[Path, Path]) -> None:
    """Raw data are never written to, and two micrographs never share an output."""
    folders = {source.parent.resolve() for source in targets}
    for source, target in targets.items():
        if target.parent.resolve() in folders:
            raise ParamError(
                f"--output {params.output} is a folder of the raw micrographs.",
                "Choose another folder: raw data are never written to.",
                fields=("output",),
            )
        twin = next((s for s, t in targets.items() if t == target and s != source), None)
        if twin is not None:
            raise ParamError(
                f"{source} and {twin} would both be written to {target.name}.",
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
    if not params.overwrite and there and (made != identity or other):
        what = (
            f"{other[0]} denoised from another file" if other else "micrographs denoised with another model or settings"
        )
        raise ParamError(
            f"{params.output} holds {what}.", "Choose another folder, or --overwrite.", fields=("output", "overwrite")
        )
    write_json(settings, {"method": identity, "sources": sources | now})
