"""A STAR file of a million particles: starfile alone beside our reading through it, and Home while it loads one.

CPU seconds and peak memory of a process for each; of the window, the gaps between turns of its event loop, and how
long a cancel takes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROWS, PER_MICROGRAPH, OTHERS = 1_000_000, 500, 24
POSITIONS = ("rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY")
CHILD = """
import json, resource, sys, time
from pathlib import Path
path = Path(sys.argv[1])
{imports}
begin = time.process_time()
{read}
print(json.dumps({{
    "cpu_s": round(time.process_time() - begin, 2),
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
}}))
"""
READERS = {
    "starfile": ("import starfile", "starfile.read(path, always_dict=True)"),
    "ours_all_columns": ("import starfile\nfrom core.io.star import read_star", "read_star(path)"),
    "ours_positions": (
        "import starfile\nfrom core.io.coordinates import read_particles",
        "read_particles(path)",
    ),
}


def measure() -> dict[str, Any]:
    """Figures of the readers, and of the window."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        star = root / "particles.star"
        code = "from benchmarks.star import *; make_star(Path(sys.argv[1]), micrograph_names(), ROWS)"
        subprocess.run([sys.executable, "-c", code, str(star)], check=True)  # a child's peak begins with its parent's
        figures: dict[str, Any] = {"rows": ROWS, "columns": OTHERS + 6, "file_mb": star.stat().st_size >> 20}
        if sys.platform != "win32":
            figures |= {name: _read(star, *code) for name, code in READERS.items()}
        return figures | {"home": _window(root, star, micrograph_names())}


def micrograph_names() -> list[str]:
    """As an acquisition names them."""
    return [f"20170629_{i:05d}_frameImage.mrc" for i in range(ROWS // PER_MICROGRAPH)]


def make_star(path: Path, names: list[str], rows: int) -> Path:
    """A table as a refinement writes it, with an optics table."""
    from core.io.star_write import Texts, write_star_tables

    rng = np.random.default_rng(0)
    which, number = np.arange(rows) // PER_MICROGRAPH % len(names), np.arange(rows) % PER_MICROGRAPH + 1
    columns: dict[str, Any] = {
        "rlnCoordinateX": rng.uniform(0, 512, rows),
        "rlnCoordinateY": rng.uniform(0, 512, rows),
        "rlnImageName": Texts([f"Extract/job018/Movies/{name}s" for name in names], which, number),
        "rlnMicrographName": Texts([f"MotionCorr/job002/Movies/{name}" for name in names], which),
        "rlnOpticsGroup": np.ones(rows, int),
        "rlnClassNumber": rng.integers(1, 5, rows),
    } | {f"rlnOther{i}": rng.normal(0, 100, rows) for i in range(OTHERS)}
    optics = {"rlnOpticsGroup": [1], "rlnVoltage": [300.0], "rlnImagePixelSize": [1.2]}
    write_star_tables(path, {"optics": optics, "particles": columns})
    return path


def _read(star: Path, imports: str, read: str) -> dict[str, Any]:
    code = CHILD.format(imports=imports, read=read)
    done = subprocess.run([sys.executable, "-c", code, str(star)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _window(root: Path, star: Path, names: list[str]) -> dict[str, Any]:
    """Load the table on as many small micrographs as it names, once to the end and once until a cancel."""
    os.environ |= {"VITREOUS_RUNS": str(root / "runs"), "VITREOUS_CONFIG_DIR": str(root / "config")}
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from app.session import Session
    from app.startup import make_application
    from app.window import MainWindow
    from benchmarks.viewer_memory import GapMeter, settle
    from core.io.mrc import write_mrc

    image = np.random.default_rng(0).normal(0, 1, (512, 512)).astype(np.float32)
    for name in names:
        write_mrc(root / "mics" / name, image, 1.0)
    session = Session()
    make_application(session.settings.theme)
    window = MainWindow(session)
    window.resize(1280, 800)
    window.show()
    files = window.home.files
    window.home.open_paths([root / "mics"])
    settle(6.0)
    idle = GapMeter()
    settle(3.0)
    quiet = max(idle.gaps_ms)
    meter, begin = GapMeter(), time.monotonic()
    files.open([star], as_noise=False)
    while files.particles_path is None and time.monotonic() - begin < 120:
        settle(0.02)
    loaded = time.monotonic() - begin
    settle(1.0)
    gaps = np.array(meter.gaps_ms)
    picks = sum(map(len, files.particles.values()))
    files.open([star], as_noise=False)
    settle(1.0)
    begin = time.monotonic()
    files.cancel()
    while files.loading:
        settle(0.002)
    cancel = time.monotonic() - begin
    window.close()
    return {
        "picks": picks,
        "wall_s": round(loaded, 2),
        "longest_gap_ms": round(float(gaps.max()), 1),
        "p99_gap_ms": round(float(np.percentile(gaps, 99)), 1),
        "gaps_over_50_ms": int((gaps > 50).sum()),
        "longest_gap_when_idle_ms": round(quiet, 1),
        "cancel_s": round(cancel, 3),
    }
