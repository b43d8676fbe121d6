"""Prediction beside Topaz: megapixels per CPU second and peak memory of whole processes, on one micrograph."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.denoise.methods import METHODS, Task, denoise

PIXEL_SIZE_A = 1.0


def run_speed(folder: Path, side: int, models: dict[str, Path]) -> dict[str, Any]:
    """{name: figures} for Topaz and for each trained network, whose `set` and `model` folders are under its path.

    The picture is noise: what it shows does not change the work. One thread each, start of the program included.
    """
    from core.io.mrc import write_mrc

    image = folder / f"noise_{side}.mrc"
    if not image.exists():
        noise = np.random.default_rng(3).standard_normal((side, side), np.float32)
        write_mrc(image, 640 + 25 * noise, PIXEL_SIZE_A)
    found: dict[str, Any] = {"side_px": side}
    for name in ("topaz", *models):
        method = METHODS[name]
        arguments = method.commands[-1]
        if name in models:
            own = (("{work}/model/model.safetensors", str(models[name] / "model" / "model.safetensors")),)
            arguments = (*_replaced(arguments, own), "--pixel-size", f"{_pixel_size(models[name]):g}")
        single = dataclasses.replace(method, commands=(arguments,))
        task = Task([image], [], image, image, 0.0, folder)
        found[name] = _figures(denoise(single, task), side)
    return found


def _replaced(arguments: Sequence[str], pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    known = dict(pairs)
    return tuple(known.get(a, a) for a in arguments)


def _pixel_size(work: Path) -> float:
    """The pixel size that a model was trained at: the work depends on the particle's size in pixels."""
    import torch

    from core.denoising.model import load_denoiser

    facts = load_denoiser(work / "model" / "model.safetensors", torch.device("cpu")).facts
    return float(facts.pixel_size_a or PIXEL_SIZE_A)


def _figures(done: dict[str, Any], side: int) -> dict[str, Any]:
    if "stages" not in done or "error" in done:
        return done
    took = done["stages"]["predict"]
    cpu = took["cpu_s"]
    return {
        "mpx_per_cpu_s": None if not cpu else round(side * side / 1e6 / cpu, 3),
        "cpu_s": cpu,
        "peak_gb": took["peak_gb"],
    }
