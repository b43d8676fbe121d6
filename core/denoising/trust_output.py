"""What a trust check leaves in its folder: maps of whole micrographs, small pictures, trust.json and report.html."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage as ndi

import core
from core.denoising.trust import ADVICE, Examined, Trust, shown_part
from core.denoising.trust_files import FORMAT, PICTURES, REPORT_FILE, TRUST_FILE, Picture
from core.denoising.trust_report import write_trust_report
from core.denoising.trust_scene import Template
from core.denoising.trust_spread import STRENGTH
from core.images.contrast import auto_levels
from core.io.atomic import atomic_path, write_json
from core.io.coordinates import stem_of
from core.io.mrc import write_mrc

SMOOTH = 0.05  # diameters: sigma of the low-pass that makes particles visible in a residual


def write_maps(folder: Path, one: Examined) -> None:
    """Residual and spread of a whole micrograph, as MRC for the viewer."""
    texts = {
        "residual": "raw minus denoised, background removed",
        "spread": f"spread of the output when the noise changes, a = {STRENGTH:g}",
    }
    for name, text in texts.items():
        target = folder / f"{name}_{stem_of(one.scene.path.name)}.mrc"
        write_mrc(target, one.maps[name], one.scene.pixel_size_a, label=f"Vitreous {core.__version__}: {text}")


def pictures_of(one: Examined) -> list[Picture]:
    """What is shown of a micrograph, with grey levels that make the pictures comparable."""
    part = shown_part(one.scene)
    raw, denoised = one.scene.flat[part], one.maps["denoised"][part]
    residual, spread, ratio = (one.maps[k][part] for k in ("residual", "spread", "spread_over_signal"))
    grey, made = auto_levels(raw), auto_levels(denoised)
    smooth, left = (ndi.gaussian_filter(i, SMOOTH * one.scene.diameter, mode="reflect") for i in (raw, residual))
    calm = auto_levels(smooth)
    blank = next(b for b in one.blanks if b.kind == "phase")
    listed = [
        ("raw", "micrograph", f"{one.scene.path.name}, raw (background removed)", raw, grey),
        ("denoised", "micrograph", "denoised: for seeing and picking", denoised, made),
        ("residual", "micrograph", "residual: raw minus denoised, grey scale of raw", residual, grey),
        ("raw_smooth", "residual", "raw, smoothed", smooth, calm),
        ("residual_smooth", "residual", "residual, smoothed, same grey scale", left, calm),
        ("spread", "spread", "spread of the output when the noise changes, grey values", spread, auto_levels(spread)),
        ("spread_over_signal", "spread", "the same over the local contrast, 0 black to 1 white", ratio, (0.0, 1.0)),
        ("blank_raw", "blank", "blank of random phases, grey scale of raw", blank.raw, grey),
        ("blank_denoised", "blank", "the same, denoised, grey scale of denoised", blank.out, made),
    ]
    return [Picture(k, g, t, np.ascontiguousarray(i, np.float32), levels) for k, g, t, i, levels in listed]


def mean_particles(answer: Trust) -> list[Picture]:
    """Mean raw, denoised and residual particle on one grey scale; none without picks."""
    if answer.mean is None:
        return []
    levels = auto_levels(answer.mean.raw)
    words = {"raw": "raw", "denoised": "denoised", "residual": "left in the residual"}
    start = f"mean of {answer.mean.particles} particles"
    images = {key: np.ascontiguousarray(getattr(answer.mean, key), np.float32) for key in words}
    return [Picture(f"mean_{k}", "particles", f"{start}, {text}", images[k], levels) for k, text in words.items()]


def facts_of(
    answer: Trust,
    examined: Sequence[Examined],
    template: Template,
    method: str,
    notes: Sequence[str],
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """trust.json without its list of pictures."""
    first = examined[0].scene
    facts = {
        "format": FORMAT,
        "program": f"Vitreous {core.__version__}",
        "method": method,
        "verdict": answer.verdict,
        "reason": answer.reason,
        "advice": ADVICE,
        "micrographs": [str(e.scene.path) for e in examined],
        "unit": "Å" if first.pixel_size_a else "px",
        "missing": [*notes, *answer.missing],
        "checks": [asdict(c) for c in answer.checks],
        "curves": [asdict(c) for c in answer.curves],
        "settings": {
            "Micrographs": ", ".join(e.scene.path.name for e in examined),
            "Particle diameter": f"{first.diameter:g} px",
            "Empty places": f"{sum(len(e.scene.noise) for e in examined)} of {first.box} px, {first.found}",
            "Added particle": f"{template.source}, SNR {template.snr:.3g} at full contrast",
            "Noise draws": f"K = {draws}, a = {STRENGTH:g}",
            "Gain of the residual": "1: the output keeps the grey values of the raw micrograph",
            "Seed": str(seed),
            "Program": f"Vitreous {core.__version__}",
        },
    }
    return _finite(facts)


def write_folder(folder: Path, facts: dict[str, Any], pictures: Sequence[Picture]) -> Path:
    """Write pictures, report and, last, trust.json: where it is, all of it is there. Returns the report."""
    for picture in pictures:
        with atomic_path(folder / PICTURES / f"{picture.key}.npy") as partial, partial.open("wb") as handle:
            np.save(handle, picture.image, allow_pickle=False)
    listed = [{"key": p.key, "group": p.group, "title": p.title, "levels": _finite(p.levels)} for p in pictures]
    write_trust_report(folder / REPORT_FILE, facts, pictures)
    write_json(folder / TRUST_FILE, facts | {"pictures": listed})
    return folder / REPORT_FILE


def _finite(value: Any) -> Any:
    """JSON knows no NaN and no infinity: they become null."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value
