"""Job `demo`: the whole path on three bundled real micrographs, with a report. Real data, a short training."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

import core
from core.io.atomic import atomic_path, write_text
from core.jobs import rundir
from core.jobs.base import JobContext
from core.jobs.lock import claim
from core.params import Params, ui

if TYPE_CHECKING:
    from core.denoising.report import Row


class DemoParams(Params):
    """Run the whole path on three bundled real micrographs and write a report."""

    minutes: float = Field(2.0, gt=0, le=600, description="Training time.", json_schema_extra=ui(unit="min"))
    output: Path = Field(
        Path("vitreous-demo"),
        description="Folder of everything the demo makes.",
        json_schema_extra=ui(dialog="folder"),
    )
    window: bool = Field(True, description="Open the window on the result where there is a display.")
    seed: int = Field(
        0, ge=0, le=2**63 - 1, description="Seed of every random choice.", json_schema_extra=ui(advanced=True)
    )


DEMO_FOLDER = Path(__file__).resolve().parents[2] / "resources" / "demo"
DIAMETER_PX = 80
NOISE_BOX_PX = 64
KEEP_RAW = 0.5
GAUSSIANS_A = (15, 20, 30, 40, 60)
PICTURE = slice(300, 812)  # the part of each micrograph that the report shows
OURS, ALONE = "Vitreous network", "network alone"


def run(params: DemoParams, ctx: JobContext) -> dict[str, Any]:
    """pick-noise, forward, train, predict with the jobs a user would run, then the comparison."""
    from core.jobs import forward, pick_noise, predict, train

    out = params.output
    claim(out, "demo")
    micrographs, picks = _copy_data(out)
    noise = out / "noise_boxes.star"
    pick_noise.run(
        pick_noise.PickNoiseParams.parse(
            {
                "micrographs": [micrographs],
                "particles": picks,
                "box_size": NOISE_BOX_PX,
                "output": noise,
                "particle_diameter": DIAMETER_PX,
                "seed": params.seed,
            }
        ),
        ctx.part(0.0, 0.02, "Noise boxes"),
    )
    training_set = out / "training-set"
    forward.run(
        forward.ForwardParams.parse(
            {
                "micrographs": [micrographs],
                "particles": picks,
                "noise": noise,
                "particle_diameter": DIAMETER_PX,
                "output": training_set,
                "seed": params.seed,
            }
        ),
        ctx.part(0.02, 0.10, "Training set"),
    )
    model_folder = out / "model"
    if not ctx.continued and model_folder.exists():  # a demo starts afresh
        shutil.rmtree(model_folder)
    trained = train.run(
        train.TrainParams.parse(
            {
                "input": training_set,
                "output": model_folder,
                "mode": _mode(ctx),
                "minutes": params.minutes,
                "seed": params.seed,
            }
        ),
        ctx.part(0.10, 0.80, "Training"),
    )
    denoised = predict.run(
        predict.PredictParams.parse(
            {
                "micrographs": [micrographs],
                "model": trained["model"],
                "output": out / "denoised",
                "keep_raw": KEEP_RAW,
                "overwrite": True,
            }
        ),
        ctx.part(0.80, 0.85, "Denoising"),
    )
    rows = _compare(micrographs, picks, noise, Path(trained["model"]), ctx.part(0.85, 0.99, "Comparing"))
    report = out / "report.html"
    _write_report(report, rows, micrographs, denoised, trained, params, ctx)
    ctx.step(1, 1, "Done")
    from core.denoising.report import as_text

    return {
        "summary": f"{as_text(rows)}\n"
        f"Real data (EMPIAR-10146), a training of {params.minutes:g} minutes. Report: {report}",
        "report": str(report),
        "output": str(out),
        "micrographs": str(micrographs),
        "particles": str(picks),
        "noise": str(noise),
        "denoised": str(out / "denoised"),
        "model": trained["model"],
        "particle_diameter": DIAMETER_PX,
        "table": [asdict(row) for row in rows],
    }


def _mode(ctx: JobContext) -> str:
    """How the demo trains: from the generic model, where it is there."""
    from core.denoising.model import GENERIC_PATH

    if GENERIC_PATH.is_file():
        return "quality"
    ctx.warn("The generic model is missing: the network learns from scratch, which needs more time to be as good.")
    return "scratch"


def _copy_data(out: Path) -> tuple[Path, Path]:
    """Unpack the bundled micrographs as plain MRC, so that every program can open them."""
    folder = out / "micrographs"
    for packed in sorted(DEMO_FOLDER.glob("*.mrc.gz")):
        target = folder / packed.name.removesuffix(".gz")
        if not target.exists():
            with atomic_path(target) as partial, gzip.open(packed) as source, partial.open("wb") as handle:
                shutil.copyfileobj(source, handle)
    picks = folder / "particles.star"
    write_text(picks, (DEMO_FOLDER / "particles.star").read_text().replace(".mrc.gz", ".mrc"))
    return folder, picks


def _compare(micrographs: Path, picks: Path, noise: Path, model: Path, ctx: JobContext) -> list[Row]:
    """Judge raw, the Gaussians, Wiener and the network on the same micrographs; keep the best Gaussian."""
    import torch

    from core.compute.parallel import Workers
    from core.denoising import predict, report
    from core.denoising.model import load_denoiser
    from core.images.source import list_micrographs, open_source
    from core.io.coordinates import match_names, read_noise_boxes, read_particles

    files = list_micrographs(micrographs)
    boxes = read_noise_boxes(noise)
    places, empty = match_names(read_particles(picks), files), match_names(boxes.positions, files)
    samples = [report.Sample(f, open_source(f).read(0), places[f], empty[f]) for f in files if len(empty[f])]
    pixel = open_source(files[0]).pixel_size_a
    device = torch.device("cpu")
    methods: dict[str, Any] = {"raw": None}
    methods |= {f"Gaussian {a} Å": predict.Gaussian(a) for a in GAUSSIANS_A}
    methods["Wiener"] = predict.Wiener(boxes, files, DIAMETER_PX)
    denoiser = load_denoiser(model, device)
    methods[ALONE] = predict.Network(denoiser, 0.0, Workers(device))
    methods[OURS] = predict.Network(denoiser, KEEP_RAW, Workers(device))
    rows = []
    for i, (name, method) in enumerate(methods.items()):

        def step(i: int = i, name: str = name) -> None:
            ctx.step(i, len(methods), name)

        def denoise(sample: report.Sample, image: np.ndarray, method: Any = method) -> np.ndarray:
            return image if method is None else method(image, sample.path, pixel, lambda done, total: None)

        rows.append(report.judge(name, denoise, samples, DIAMETER_PX, boxes.box_size or NOISE_BOX_PX, step=step))
    return report.with_suppression(_with_best_gaussian(rows))


def _with_best_gaussian(rows: list[Row]) -> list[Row]:
    """Of the Gaussian sweep keep the one with the lowest background, chosen in its favour on these micrographs."""
    sweep = [r for r in rows if r.method.startswith("Gaussian")]
    best = min(sweep, key=lambda r: r.noise_over_particle)
    named = replace(best, method=f"{best.method} (best of {len(sweep)})")
    return [named if r is best else r for r in rows if r is best or r not in sweep]


def _write_report(
    path: Path,
    rows: list[Row],
    micrographs: Path,
    denoised: dict[str, Any],
    trained: dict[str, Any],
    params: DemoParams,
    ctx: JobContext,
) -> None:
    from core.denoising.demo_report import write_report
    from core.images.source import list_micrographs, open_source

    pictures = []
    for raw, result in zip(list_micrographs(micrographs), denoised["files"], strict=True):
        before, after = (
            open_source(raw).read(0)[PICTURE, PICTURE],
            open_source(Path(result)).read(0)[PICTURE, PICTURE],
        )
        pictures.append({f"{raw.name}, raw": before, "denoised: for seeing and picking": after})
    events = rundir.EventReader(ctx.run_dir).read_new()
    curves = {
        title: [(e["step"], e["value"]) for e in events if e["kind"] == "metric" and e["name"] == name]
        for title, name in (
            ("Validation loss on held-out pairs", "val_loss"),
            ("Share of the mean particle that the network removes (TSLM)", "tslm"),
        )
    }
    facts = {
        "Data": "EMPIAR-10146 apoferritin, 3 of its micrographs (CC0), 1.5 Å/px, frame sums",
        "Training": f"{params.minutes:g} minutes, {trained['steps']} steps, "
        f"{'from the generic model' if trained['started_from'] else 'from scratch'}, seed {params.seed}",
        "Structural loss (TSLM)": f"{trained['tslm']:+.3f} of the mean particle; "
        f"{trained['tslm_network']:+.3f} network alone",
        "Speed of prediction": f"{denoised['megapixels_per_cpu_second']:.2f} Mpx per CPU-second",
        "Program": f"Vitreous {core.__version__}",
    }
    write_report(path, rows, OURS, pictures, curves, facts)
