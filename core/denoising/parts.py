"""What a denoised micrograph is put together from, and how: the gate, the network, the blend, the filtered raw data.

    out = gate x inside + (1 - gate) x floor x linear

`inside` is the blend of raw data and network that was best on known signals (core/denoising/blend.py); outside, the
linearly filtered raw data remain, faintly: a particle that the gate has missed can still be seen. One number,
`keep`, moves the whole: 0 is the network alone behind a closed gate, 1/2 the measured balance, 1 the linear filter
everywhere, without gate. Nothing of it needs the network again.

All images are canonical (h, w), flattened, particles dark, noise sigma 1.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage as ndi
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from core.denoising.blend import Blend
from core.denoising.canonical import OUTLIER_SIGMAS, Canonical
from core.errors import InputError
from core.io.atomic import atomic_path

BALANCE = 0.5  # keep, at the measured balance
FLOOR = 0.1  # of the filtered raw data that stay visible outside the gate, at the balance
TAIL = 0.1  # of the raw detail beyond the canonical band that is kept inside the gate, at most
TAIL_NOISE = 0.15  # its noise is at most this share of the picture's own spread inside particles
GATE_BLUR = 1.5 / 32  # diameters
ROWS = 512
FORMAT = "vitreous-parts-1"
FOLDER = "parts"  # in the folder of the denoised micrographs
NAMES = ("network", "blend", "linear", "gate")
DETAIL_LIMIT = 4.0  # a raw pixel is noisier than a canonical one by about the resampling factor


@dataclass(frozen=True)
class Gate:
    """Where the gate opens: shut below `low`, fully open from `high` on (log odds of the network)."""

    low: float
    high: float

    def open(self, logit: np.ndarray, diameter: float) -> np.ndarray:
        """0..1 of canonical log odds (h, w), smooth over a small part of a particle."""
        part = np.clip((logit - self.low) / max(self.high - self.low, 1e-6), 0.0, 1.0)
        return ndi.gaussian_filter(part.astype(np.float32), GATE_BLUR * diameter)


@dataclass(frozen=True)
class Parts:
    """The pieces of one denoised micrograph, float32 (h, w)."""

    network: np.ndarray
    blend: np.ndarray
    linear: np.ndarray
    gate: np.ndarray

    def compose(self, keep: float) -> np.ndarray:
        """The denoised canonical image."""
        below, above = min(keep / BALANCE, 1.0), max(keep - BALANCE, 0.0) / (1.0 - BALANCE)
        if above > 0:
            inside = self.blend + np.float32(above) * (self.linear - self.blend)
        else:
            inside = self.network + np.float32(below) * (self.blend - self.network)
        floor = np.float32(floor_of(keep))
        return self.gate * inside + (1 - self.gate) * (floor * self.linear)

    def masked(self, valid: np.ndarray) -> Parts:
        """The same, with nothing where the micrograph is masked out."""
        return Parts(*(np.where(valid, getattr(self, name), np.float32(0)) for name in NAMES))

    def shown(self, keep: float) -> np.ndarray:
        """How visible each place is, from the floor to 1."""
        floor = np.float32(floor_of(keep))
        return floor + (1 - floor) * self.gate


def floor_of(keep: float) -> float:
    """What stays visible outside the gate."""
    if keep <= BALANCE:
        return FLOOR * keep / BALANCE
    return FLOOR + (1.0 - FLOOR) * (keep - BALANCE) / (1.0 - BALANCE)


def make_parts(raw: np.ndarray, network: np.ndarray, logit: np.ndarray, blend: Blend, gate: Gate, d: float) -> Parts:
    """Put together what the network answered on a canonical image (h, w) with particles of d px."""
    mixed, linear = blend.apply(raw, network)
    return Parts(network, mixed, linear, gate.open(logit, d))


def finish(image: np.ndarray, canonical: Canonical, parts: Parts, sigma: float, keep: float) -> np.ndarray:
    """The denoised micrograph in the input's grid, units and background: float32, shape of `image`.

    The canonical picture holds nothing finer than two canonical pixels. Inside the gate a small share of the raw
    detail beyond is kept as it is, so that no frequency is emptied altogether. `sigma`: noise sigma of the canonical
    image, in the input's units.
    """
    composed = parts.compose(keep)
    tail = _tail(parts, composed) * min(keep / BALANCE, 1.0)
    shown = parts.shown(keep)
    if canonical.valid is not None:
        shown = np.where(canonical.valid, shown, np.float32(0))
    if tail <= 0 or canonical.image.shape == canonical.padded:
        return canonical.restore(composed * np.float32(sigma))
    out = canonical.restore(composed * np.float32(sigma) - np.float32(tail) * shown * canonical.image)
    _add_detail(out, image, canonical, shown, tail, sigma)
    return out


def _tail(parts: Parts, composed: np.ndarray) -> float:
    """Share of the fine raw detail that can be kept without making the particles visibly noisier."""
    inside = parts.gate > 0.5
    if not inside.any():
        return 0.0
    spread = float(composed[inside].std())
    return min(TAIL, TAIL_NOISE * spread)  # the raw noise is 1


def parts_file(output: Path) -> Path:
    """Where the pieces of the denoised micrograph `output` are kept."""
    return output.parent / FOLDER / f"{output.stem}.safetensors"


def file_mark(path: Path) -> dict[str, Any]:
    """What tells a file from another one, or from its own later state."""
    stat = path.stat()
    return {"file": str(path.absolute()), "size": stat.st_size, "time_ns": stat.st_mtime_ns}


def save_parts(path: Path, parts: Parts, sigma: float, made_by: dict[str, Any]) -> None:
    """Keep the pieces of one micrograph as float16 in a safetensors file; `made_by` says of what and by which model."""
    arrays = {name: np.clip(getattr(parts, name), -6e4, 6e4).astype(np.float16) for name in NAMES}
    meta = {"format": FORMAT, "sigma": repr(float(sigma)), "made_by": json.dumps(made_by, sort_keys=True)}
    with atomic_path(path) as partial:
        save_file(arrays, partial, metadata=meta)


def load_parts(path: Path) -> tuple[Parts, float, dict[str, Any]]:
    """The pieces, the noise sigma and `made_by` of one micrograph, or one sentence why they cannot be used."""
    try:
        with safe_open(path, framework="np") as handle:
            meta = handle.metadata() or {}
            if meta.get("format") != FORMAT:
                raise ValueError("it was not written by this program")
            arrays = {name: handle.get_tensor(name).astype(np.float32) for name in NAMES}
        sigma, made_by = float(meta["sigma"]), json.loads(meta["made_by"])
        shapes = {a.shape for a in arrays.values()}
        if len(shapes) != 1 or len(shapes.pop()) != 2 or not sigma > 0 or not isinstance(made_by, dict):
            raise ValueError("its pieces do not fit together")
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as err:
        raise InputError(f"{path} is not readable ({err}).", "Denoise the micrograph again.", path) from None
    return Parts(**arrays), sigma, made_by


def _add_detail(
    out: np.ndarray, image: np.ndarray, canonical: Canonical, shown: np.ndarray, tail: float, sigma: float
) -> None:
    """Add tail x shown x (image - background) to `out`, in place, a few rows at a time."""
    visible = canonical.smooth(shown)
    limit = np.float32(OUTLIER_SIGMAS * DETAIL_LIMIT * sigma)
    for top in range(0, canonical.shape[0], ROWS):
        bottom = min(top + ROWS, canonical.shape[0])
        detail = image[top:bottom] - canonical.background.rows(top, bottom)
        np.clip(detail, -limit, limit, out=detail)
        out[top:bottom] += np.float32(tail) * visible.rows(top, bottom) * detail
