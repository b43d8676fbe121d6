"""How long until the window is visible: wall and CPU seconds of a whole process, and how much it imports.

Measured off-screen and, where xvfb-run is installed, on a virtual X server. The first start of each kind is
left out: it compiles the modules and fills the file cache. `first_wall_s` is a start on a display that was never
used before: the OpenGL probe runs beside it.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 3
XVFB = ["xvfb-run", "-a", "-s", "-screen 0 1920x1080x24 +extension GLX +render -noreset"]
HEAVY = ("torch", "scipy", "pandas", "starfile", "pyqtgraph", "OpenGL", "numpy", "pydantic")
CHILD = """
import gc, json, sys, time
gc.disable()  # as main.py does
from app.startup import build
app, window = build()
window.show()
end = time.monotonic() + 20
while not window.windowHandle().isExposed() and time.monotonic() < end:
    app.processEvents()
app.processEvents()
visible, cpu = time.time(), time.process_time()
print(json.dumps({"visible": visible, "cpu": cpu, "modules": sorted(sys.modules)}), flush=True)
window.close()
"""

PARENT = """
import json, subprocess, sys, time
for _ in range(int(sys.argv[1])):
    begin = time.time()
    done = subprocess.run([sys.executable, "-c", sys.argv[2]], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    print(json.dumps(json.loads(done.stdout.splitlines()[-1]) | {"begin": begin}), flush=True)
"""


def measure() -> dict[str, Any]:
    """Figures per platform: medians and all values."""
    platforms = {"offscreen": []}
    if sys.platform == "linux" and shutil.which("xvfb-run"):
        platforms["xcb"] = XVFB
    return {name: _platform(name, prefix) for name, prefix in platforms.items()}


def _platform(name: str, prefix: list[str]) -> dict[str, Any]:
    _starts(name, prefix, 1)
    first, *starts = _starts(name, prefix, 1 + REPEATS)
    walls, cpus = [s["wall_s"] for s in starts], [s["cpu"] for s in starts]
    modules = starts[-1]["modules"]
    return {
        "wall_s": round(statistics.median(walls), 3),
        "first_wall_s": round(first["wall_s"], 3),
        "cpu_s": round(statistics.median(cpus), 3),
        "walls_s": [round(w, 3) for w in walls],
        "cpus_s": [round(c, 3) for c in cpus],
        "modules": len(modules),
        "heavy_modules": [m for m in HEAVY if m in modules],
    }


def _starts(name: str, prefix: list[str], count: int) -> list[dict[str, Any]]:
    """Starts on one display with settings of their own; the X server's own start is not counted."""
    with tempfile.TemporaryDirectory() as home:
        environment = dict(os.environ) | {
            "QT_QPA_PLATFORM": name,
            "VITREOUS_CONFIG_DIR": home,
            "VITREOUS_RUNS": str(Path(home) / "runs"),
        }
        done = subprocess.run(
            [*prefix, sys.executable, "-c", PARENT, str(count), CHILD],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60 + 60 * count,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError((done.stderr.strip().splitlines() or ["no output"])[-1])
        answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return [answer | {"wall_s": answer["visible"] - answer["begin"]} for answer in answers]


if __name__ == "__main__":
    began = time.monotonic()
    print(json.dumps(measure(), indent=2))
    print(f"measured in {time.monotonic() - began:.0f} s", file=sys.stderr)
