"""Prediction on one simulated 8192 x 8192 float32 micrograph: megapixels per CPU-second and peak memory.

Runs at three pixel sizes, because the work depends on the particle's size in pixels. The network has random weights:
speed and memory do not depend on them. CryoDDM's U-Net needs about 1.06 CPU-s for a tile of 256 x 256 useful pixels
(0.06 Mpx per CPU-second, measured elsewhere on a like machine).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SIDE = int(os.environ.get("VITREOUS_BENCH_SIDE", "8192"))
DIAMETERS_PX = (32, 80, 200)

CHILD = """
import json, sys
from pathlib import Path
from core.jobs import rundir
from core.jobs.base import execute
from core.jobs.predict import PredictParams
root, micrograph, model, output = map(Path, sys.argv[1:5])
params = PredictParams.parse({"micrographs": [micrograph], "model": str(model), "output": output})
run = rundir.create("predict", params, root)
code = execute(run)
import psutil
peak = psutil.Process().memory_info()
try:
    import resource
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
except ImportError:
    peak_bytes = peak.peak_wset
result = rundir.inspect(run).result
print(json.dumps({"exit_code": code, "peak_gb": peak_bytes / 1e9, **result}))
"""


def measure() -> dict[str, Any]:
    """Megapixels per CPU-second and peak memory for each particle diameter."""
    import torch

    from core.denoising.blend import SHELLS
    from core.denoising.model import Facts, save_denoiser
    from core.denoising.unet import UNet
    from core.io.mrc import write_mrc

    figures: dict[str, Any] = {"side_px": SIDE}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rng = np.random.default_rng(0)
        write_mrc(root / "m.mrc", rng.standard_normal((SIDE, SIDE), dtype=np.float32) * 20 + 500, 1.0)
        for diameter in DIAMETERS_PX:
            net = UNet()
            torch.nn.init.normal_(net.head.weight, std=0.1)
            facts = Facts(
                method="none", widths=net.widths, particle_diameter_px=float(diameter), pixel_size_a=1.0,
                canonical_diameter=float(min(32, diameter)), calibration=1.0, sign=1.0, snr=0.5, steps=0,
                val_loss=1.0, gate=(-0.5, 0.5), blend=((0.5,) * SHELLS,) * 3,
            )  # fmt: skip
            model = root / f"model-{diameter}.safetensors"
            save_denoiser(model, net.state_dict(), facts)
            command = [sys.executable, "-c", CHILD, str(root / "runs"), str(root / "m.mrc"), str(model)]
            done = subprocess.run(
                [*command, str(root / f"out-{diameter}")], cwd=ROOT, capture_output=True, text=True, check=True
            )
            child = json.loads(done.stdout.strip().splitlines()[-1])
            figures[f"diameter_{diameter}_px"] = {
                "megapixels_per_cpu_second": round(child["megapixels_per_cpu_second"], 3),
                "peak_memory_gb": round(child["peak_gb"], 2),
            }
    return figures
