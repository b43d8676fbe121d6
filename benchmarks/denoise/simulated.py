"""All methods on the simulated sets: simulate, denoise in child processes, score, tune the Gaussian on other images."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.denoise import evaluate as judge
from benchmarks.denoise.child import ROOT, run
from benchmarks.denoise.methods import METHODS, SWEEP_A, Method, Task, cpu_seconds, denoise
from benchmarks.denoise.simulate import Settings, read_truth, simulate
from benchmarks.denoise.specimens import Specimen

TUNED = {"gaussian_field": "snr_db", "gaussian_inside": "snr_inside_db"}  # name -> what it is tuned by


def prepared(specimen: Specimen, settings: Settings, folder: Path) -> Path:
    """The simulated set in `folder`, made when it is not there or was made otherwise."""
    wanted = dataclasses.asdict(settings) | {"specimen": specimen.name, "snr": specimen.snr}
    del wanted["micrographs"]
    there = (folder / "truth.json").exists()
    if there:
        facts = read_truth(folder)
        count = sum(not m["blank"] for m in facts["micrographs"])
        there = count == settings.micrographs and all(facts.get(k) == v for k, v in wanted.items())
    if not there:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"{folder.name}: simulating ...", file=sys.stderr, flush=True)
        simulate(specimen, folder, settings)
    return folder


def task_of(folder: Path, work: Path, minutes: float, seed: int, noise: Path | None = None) -> Task:
    """What a user of this set would do: train on its particles' micrographs, denoise all."""
    facts = read_truth(folder)
    every = [(folder / judge.RAW / m["name"], m["blank"]) for m in facts["micrographs"]]
    return Task(
        [p for p, _ in every], [p for p, blank in every if not blank], folder / "particles.star",
        noise or folder / "noise_boxes.star", facts["diameter_px"], work, minutes, seed,
    )  # fmt: skip


def picked_noise(data: Path, folder: Path, box: int) -> Path:
    """Noise boxes as the product's own pick-noise job finds them, instead of the given ones."""
    output = folder / "picked_noise.star"
    if not output.exists():
        facts = read_truth(data)
        arguments = [
            "--micrographs", data / judge.RAW, "--particles", data / "particles.star", "--box-size", box,
            "--particle-diameter", facts["diameter_px"], "--output", output, "--runs", folder / "runs",
        ]  # fmt: skip
        took = run([sys.executable, ROOT / "main.py", "pick-noise", *arguments], folder / "pick-noise.log")
        if took.error:
            raise RuntimeError(f"pick-noise: {took.error}")
    return output


def run_set(
    specimen: Specimen, settings: Settings, folder: Path, chosen: Sequence[str], minutes: float, pick: bool = False
) -> dict[str, Any]:
    """{"bounds": ..., "methods": {name: figures, skipped or error}} of one specimen and seed."""
    data = prepared(specimen, settings, folder / "data")
    noise = picked_noise(data, folder, settings.noise_box) if pick else None
    task = task_of(data, folder, minutes, settings.seed, noise)
    found: dict[str, Any] = {"raw": judge.evaluate(data)}
    for name in chosen:
        found[name] = _one(METHODS[name], task, data)
    for name, measure in TUNED.items():
        resolutions = tuned(found, measure)
        if resolutions:
            found[name] = _composed(name, resolutions, task, data)
    return {"bounds": judge.bounds(data), "methods": found}


def _one(method: Method, task: Task, data: Path) -> dict[str, Any]:
    done = denoise(method, task)
    if "stages" not in done or "error" in done:
        return done
    stages = done["stages"]
    pixels = sum(np.prod(judge.load(data.resolve()).field.shape) for _ in task.micrographs) / 1e6
    cost = {
        "cpu_s": cpu_seconds(stages), "train_cpu_s": cpu_seconds(stages, "train"),
        "predict_cpu_s": cpu_seconds(stages, "predict"), "predict_peak_gb": stages["predict"]["peak_gb"],
        "predict_mpx": round(float(pixels), 2),
    }  # fmt: skip
    return judge.evaluate(data, task.output(method.name)) | cost


def tuned(found: dict[str, Any], measure: str) -> dict[str, int]:
    """For each micrograph the resolution of the Gaussian that is best on the *next* one (on itself when alone)."""
    sweep = {a: found[f"gaussian{a}"]["per_micrograph"] for a in SWEEP_A if "per_micrograph" in
             found.get(f"gaussian{a}", {})}  # fmt: skip
    if not sweep:
        return {}
    names = list(next(iter(sweep.values())))
    following = dict(zip(names, names[1:] + names[:1], strict=True))
    return {name: max(sweep, key=lambda a: sweep[a][following[name]][measure]) for name in names}


def _composed(name: str, resolutions: dict[str, int], task: Task, data: Path) -> dict[str, Any]:
    """A folder of the chosen Gaussians, scored like a method of its own; blanks take the first choice."""
    output = task.output(name)
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    first = next(iter(resolutions.values()))
    for path in task.micrographs:
        source = task.output(f"gaussian{resolutions.get(path.name, first)}") / path.name
        try:
            os.link(source, output / path.name)
        except OSError:
            shutil.copy(source, output / path.name)
    return judge.evaluate(data, output) | {"resolution_a": list(resolutions.values())}


def summarised(sets: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over seeds of every number of every method: {method: {figure: [mean, spread]}}."""
    names = dict.fromkeys(name for s in sets for name in s["methods"])
    out: dict[str, Any] = {}
    for name in names:
        rows = [s["methods"][name] for s in sets if name in s["methods"]]
        good = [r for r in rows if "snr_db" in r]
        if not good:
            out[name] = {k: v for k, v in rows[0].items() if k in ("skipped", "error")}
            continue
        figures = {k: _mean_and_spread([r.get(k) for r in good]) for k, v in good[0].items() if _is_number(v)}
        failures = [r["error"] for r in rows if "error" in r]
        out[name] = figures | ({"failed_seeds": failures} if failures else {})
    keys = sets[0]["bounds"]
    return {"bounds": {k: _mean_and_spread([s["bounds"][k] for s in sets]) for k in keys}, "methods": out}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mean_and_spread(values: list[Any]) -> list[float]:
    known = np.array([v for v in values if _is_number(v) and np.isfinite(v)], float)
    return [float(known.mean()), float(known.std())] if known.size else [float("nan"), float("nan")]
