"""Does the window stutter? Gaps between turns of its event loop while a job uses all cores and 4K micrographs load.

The job is a real training (child process, as the window starts it); the micrographs are simulated, 4096 x 4096 float32.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

SIDE, COUNT, SECONDS = 4096, 12, 20


def measure() -> dict[str, Any]:
    """Percentiles of the gaps in milliseconds, with and without a running job."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ |= {"VITREOUS_RUNS": str(root / "runs"), "VITREOUS_CONFIG_DIR": str(root / "config")}
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        from benchmarks.viewer_memory import make_images

        (root / "mics").mkdir()
        make_images(root / "mics", COUNT, SIDE)
        training_set = _training_set(root)
        return _browse(root, training_set)


def _training_set(root: Path) -> Path:
    """A small training set of simulated data."""
    from core.io.mrc import write_mrc
    from core.io.star_write import write_star
    from core.jobs import rundir
    from core.jobs.base import execute
    from core.jobs.table import job_params

    rng = np.random.default_rng(0)
    write_mrc(root / "small" / "m.mrc", rng.standard_normal((900, 900)).astype(np.float32), 2.0)
    xy = rng.uniform(100, 800, (12, 2))
    star = root / "p.star"
    write_star(
        star,
        "p",
        {"rlnMicrographName": ["m.mrc"] * 12, "rlnCoordinateX": xy[:, 0].tolist(), "rlnCoordinateY": xy[:, 1].tolist()},
    )
    common = {"micrographs": [root / "small"], "particles": star}
    for job, values in (
        ("pick-noise", common | {"box_size": 48, "output": root / "n.star"}),
        ("forward", common | {"noise": root / "n.star", "particle_diameter": 48, "output": root / "set"}),
    ):
        if execute(rundir.create(job, job_params(job).parse(values))):
            raise RuntimeError(f"{job} failed")
    return root / "set"


def _browse(root: Path, training_set: Path) -> dict[str, Any]:
    from app.session import Session
    from app.startup import make_application
    from app.window import MainWindow
    from benchmarks.viewer_memory import GapMeter, settle
    from core.jobs import launch, rundir
    from core.jobs.table import job_params

    session = Session()
    make_application(session.settings.theme)
    window = MainWindow(session)
    window.resize(1280, 800)
    window.show()
    settle(1.0)
    window.home.open_paths([root / "mics"])
    settle(3.0)
    figures: dict[str, Any] = {"side_px": SIDE, "seconds": SECONDS}
    for name in ("no_job", "while_training"):
        run_dir, process = None, None
        if name == "while_training":
            values = {"input": training_set, "output": root / "model", "minutes": 10}
            run_dir = rundir.create("train", job_params("train").parse(values))
            process = launch.start(run_dir)
            while rundir.inspect(run_dir).total == 0 and process.poll() is None:
                settle(0.2)
            settle(5.0)
        meter = GapMeter()
        end = time.monotonic() + SECONDS
        shown = 0
        while time.monotonic() < end:
            window.home.panel.list.step(1)
            settle(0.4)
            shown += 1
        gaps = np.array(meter.gaps_ms)
        figures[name] = {
            "micrographs_shown": shown,
            "median_ms": round(float(np.median(gaps)), 2),
            "p99_ms": round(float(np.percentile(gaps, 99)), 2),
            "longest_ms": round(float(gaps.max()), 1),
            "over_50_ms": int((gaps > 50).sum()),
            "turns": len(gaps),
        }
        if run_dir is not None and process is not None:
            launch.request_stop(run_dir)
            process.wait(timeout=30)
            settle(1.0)  # the window has seen it: it asks no question when it closes
    window.close()
    return figures
