"""All methods of `reconstruct` on the same simulated particles, beside the truth: `python -m benchmarks.reconstruct`.

Options: --models FILE ... (structures), --seeds N, --cases NAME ..., --prior FILE, --json. Simulated data throughout:
structures blurred to the grid, views, CTF and white noise by the job `simulate`, maps by the job `reconstruct`, each as
a user runs it. What the columns mean is in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
MODELS = (ROOT / "resources/library/1aki.pdb.gz",)
METHODS = ("backproject", "wiener", "positive", "dps")
BOX, PIXEL_A = 32, 3.0
CASES: dict[str, dict[str, Any]] = {
    "3 views, clean": {"few": 3, "clean": True, "ctf": False},
    "10 views, clean": {"few": 10, "clean": True, "ctf": False},
    "50 views, SNR .1": {"views": 50, "snr": 0.1},
    "200 views, SNR .1": {"views": 200, "snr": 0.1},
    "200 views, SNR .02": {"views": 200, "snr": 0.02},
    "1000 views, SNR .1": {"views": 1000, "snr": 0.1},
    "41 tilts +-60, SNR .5": {"views": 41, "snr": 0.5, "tilt": "-60:60"},
    "30 degree cone, 1000 views, SNR .1": {"views": 1000, "snr": 0.1, "cone": 30.0},
}


def measure() -> dict[str, Any]:
    """The figures of `make bench`: one model, one seed, four cases."""
    names = [name for name in CASES if name.startswith(("10", "50", "200 views, SNR .1", "41"))]
    return {"simulated": True, "rows": list(rows(MODELS, 1, names, None))}


def rows(models: tuple[Path, ...], seeds: int, cases: list[str], prior: Path | None) -> Iterator[dict[str, Any]]:
    """One row per model, seed, case and method."""
    for model in models:
        for seed in range(1, seeds + 1):
            for case in cases:
                with tempfile.TemporaryDirectory() as folder:
                    yield from _case(Path(folder), model, seed, case, prior)


def _case(folder: Path, model: Path, seed: int, case: str, prior: Path | None) -> Iterator[dict[str, Any]]:
    from core.io.mrc import open_mrc
    from core.metrics.fsc import directional_fsc
    from core.reconstruction import shells

    asked = {"model": model, "output": folder / "sim", "box": BOX, "pixel_size": PIXEL_A, "seed": seed, **CASES[case]}
    run("simulate", folder, asked)
    truth = np.array(open_mrc(folder / "sim/truth.mrc"))
    for method in METHODS:
        values: dict[str, Any] = {
            "particles": folder / "sim/particles.star",
            "output": folder / "maps",
            "method": method,
            "ignore_ctf": not CASES[case].get("ctf", True),
            "contrast": "light",
            "seed": seed,
            "overwrite": True,
        }
        cpu = time.process_time()
        made = run("reconstruct", folder, values | ({"prior": prior} if prior else {}))
        cpu = time.process_time() - cpu
        volume = np.array(open_mrc(folder / "maps/map.mrc"))
        fsc = shells.correlation(volume, truth)
        row = {
            "model": model.name.split(".")[0],
            "seed": seed,
            "case": case,
            "method": method,
            "cc": round(centred_cc(volume, truth), 4),
            "cc_uncentred": round(uncentred_cc(volume, truth), 4),
            "fsc_0.5_a": _rounded(shells.resolution_a(fsc, BOX, PIXEL_A, 0.5)),
            "fsc_auc": round(float(fsc[1 : BOX // 2].mean()), 4),
            "cpu_s": round(cpu, 2),
            "reported_0.143_a": made.get("resolution_a_0.143"),
        }
        if "cone" in case:
            row["in_cone_fsc"] = round(
                float(directional_fsc(volume, truth, np.array([[0, 0, 1.0]]))[0, 1:16].mean()), 3
            )
        if method == "wiener":
            row |= _honesty(folder, truth)
        if method == "dps":
            row["std_against_error"] = round(_calibration(folder, volume, truth), 3)
        yield row


def _honesty(folder: Path, truth: np.ndarray) -> dict[str, Any]:
    """Mean over shells of what the half maps predict for the whole map, minus what is true, inside the mask."""
    from core.io.mrc import open_mrc
    from core.reconstruction import shells

    curves = json.loads((folder / "maps/fsc.json").read_text(encoding="utf-8"))
    half = np.clip(np.array(curves["corrected"]), 0, 1)
    mask = np.array(open_mrc(folder / "maps/mask.mrc"))
    volume = np.array(open_mrc(folder / "maps/map.mrc"))
    true = shells.correlation(volume * mask, truth * mask)
    told = np.sqrt(2 * half / (1 + half))
    return {"reported_minus_true_fsc": round(float((told - true)[1 : BOX // 2].mean()), 3)}


def _calibration(folder: Path, volume: np.ndarray, truth: np.ndarray) -> float:
    """Correlation of the standard deviation told with the error made, inside the ball."""
    from core.io.mrc import open_mrc

    std = np.array(open_mrc(folder / "maps/std.mrc"))
    ball = _ball(len(truth))
    return float(np.corrcoef(std[ball], np.abs(volume - truth)[ball])[0, 1])


def equicryo(folder: Path, views: int) -> dict[str, Any]:
    """EquiCryo's own task: C-alpha atoms of lysozyme on 64^3 at 1 Å, clean known views, its uncentred correlation."""
    from core.io.mrc import open_mrc, write_mrc
    from core.physics.density import voxelise

    with gzip.open(ROOT / "resources/library/1aki.pdb.gz", "rt") as stream:
        atoms = [line for line in stream if line.startswith("ATOM") and line[12:16].strip() == "CA"]
    xyz = np.array([[float(line[i : i + 8]) for i in (30, 38, 46)] for line in atoms])
    volume = voxelise(xyz - xyz.mean(axis=0), np.ones(len(xyz)), 64, 1.0, 8 * np.pi**2)
    write_mrc(folder / "ca.mrc", volume, 1.0, volume=True, label="simulated: C-alpha atoms of 1AKI")
    run(
        "simulate",
        folder,
        {"model": folder / "ca.mrc", "output": folder / f"s{views}", "few": views, "clean": True, "ctf": False},
    )
    cpu = time.process_time()
    values = {"particles": folder / f"s{views}/particles.star", "output": folder / f"m{views}", "ignore_ctf": True}
    run("reconstruct", folder, values | {"method": "positive", "contrast": "light"})
    cpu = time.process_time() - cpu
    truth = np.array(open_mrc(folder / f"s{views}/truth.mrc"))
    made = np.array(open_mrc(folder / f"m{views}/map.mrc"))
    return {"views": views, "cc_uncentred": round(uncentred_cc(made, truth), 4), "cpu_s": round(cpu, 2)}


def run(job: str, folder: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Run a job in this process, as `run DIR` does, and return its result."""
    from core.jobs import rundir
    from core.jobs.base import execute
    from core.jobs.table import job_params

    events: list[dict[str, Any]] = []
    execute(rundir.create(job, job_params(job).parse(values), folder / "runs"), events.append)
    if events[-1]["kind"] != "finished":
        raise RuntimeError(f"{job}: {events[-1].get('message')} {events[-1].get('trace', '')}")
    return events[-1]["result"]


def _ball(box: int) -> np.ndarray:
    axis = np.arange(box) - box // 2
    return np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2) < 0.47 * box


def centred_cc(volume: np.ndarray, truth: np.ndarray) -> float:
    """Correlation coefficient inside a ball of radius .47 of the box, means taken off."""
    ball = _ball(len(truth))
    return float(np.corrcoef(volume[ball], truth[ball])[0, 1])


def uncentred_cc(volume: np.ndarray, truth: np.ndarray) -> float:
    """EquiCryo's: the cosine between both maps over the whole box."""
    return float((volume * truth).sum() / np.sqrt((volume**2).sum() * (truth**2).sum()))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def main(argv: list[str]) -> int:
    """Print the table, or all figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--models", type=Path, nargs="+", default=list(MODELS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cases", nargs="+", default=list(CASES))
    parser.add_argument("--prior", type=Path)
    parser.add_argument("--equicryo", action="store_true", help="only EquiCryo's own task")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    if options.equicryo:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps([equicryo(Path(folder), views) for views in (10, 3)]))
        return 0
    found = []
    for row in rows(tuple(options.models), options.seeds, options.cases, options.prior):
        found.append(row)
        if not options.json:
            print("  ".join(f"{value}" for value in row.values()), flush=True)
    if options.json:
        print(json.dumps({"simulated": True, "rows": found}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
