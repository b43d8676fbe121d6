"""Seconds from asking a job to stop until its process is gone, for every job, asked at several moments."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
DELAYS_S = (0.0, 0.7, 1.9)  # after the job's first sign of life


def measure() -> dict[str, Any]:
    """Longest seconds until gone and the final state, per job."""
    from core.jobs import launch, rundir
    from core.jobs.table import job_params

    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VITREOUS_RUNS"] = str(Path(folder) / "runs")
        for job, values in _jobs(Path(folder)):
            waits, states = [], set()
            for i, delay in enumerate(DELAYS_S):
                values = values | {"output": Path(folder) / f"{job}-{i}{'.star' if job == 'pick-noise' else ''}"}
                run_dir = rundir.create(job, job_params(job).parse(values))
                process = launch.start(run_dir)
                while rundir.inspect(run_dir).state == "queued" and process.poll() is None:
                    time.sleep(0.01)
                time.sleep(delay)
                asked = time.monotonic()
                launch.request_stop(run_dir)
                process.wait(timeout=60)
                waits.append(time.monotonic() - asked)
                states.add(rundir.inspect(run_dir).state)
            figures[job] = {"longest_s": round(max(waits), 2), "states": sorted(states)}
    return figures


def _jobs(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every job with inputs that keep it busy: simulated 8192 px micrographs, the demo's training set."""
    from core.io.mrc import write_mrc
    from core.io.star_write import write_star
    from core.jobs import rundir
    from core.jobs.base import execute
    from core.jobs.table import job_params

    big = folder / "big"
    rng = np.random.default_rng(0)
    image = rng.standard_normal((8192, 8192), dtype=np.float32)
    for i in range(2):
        write_mrc(big / f"b{i}.mrc", image, 1.5)
    xy = rng.uniform(300, 7800, (800, 2))
    table = {
        "rlnMicrographName": ["b0.mrc", "b1.mrc"] * 400,
        "rlnCoordinateX": xy[:, 0].tolist(),
        "rlnCoordinateY": xy[:, 1].tolist(),
    }
    write_star(folder / "p.star", "particles", table)
    picks = {"micrographs": [big], "particles": folder / "p.star", "box_size": 80}
    yield "pick-noise", picks
    noise = folder / "noise.star"
    for job, values in (
        ("pick-noise", picks | {"output": noise}),
        (
            "forward",
            {
                "micrographs": [big],
                "particles": folder / "p.star",
                "noise": noise,
                "particle_diameter": 80,
                "output": folder / "set",
            },
        ),
    ):
        if execute(rundir.create(job, job_params(job).parse(values))) != 0:
            raise RuntimeError(f"{job} failed")
    yield "forward", {"micrographs": [big], "particles": folder / "p.star", "noise": noise, "particle_diameter": 80}
    yield "train", {"input": folder / "set", "minutes": 10}
    yield "predict", {"micrographs": [big], "model": "wiener"}
    yield "demo", {"minutes": 5}
