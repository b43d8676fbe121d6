"""A trained denoiser on disk: weights as safetensors with its facts as JSON, in the file and beside it.

No code runs when a model is loaded. Files of other programs (.pth) are refused by name.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from core.denoising.blend import SHELLS, Blend
from core.denoising.parts import Gate
from core.denoising.set_kind import GENERIC_PATH as GENERIC_PATH
from core.denoising.unet import UNet
from core.errors import InputError
from core.io.atomic import atomic_path, write_json

FORMAT = "vitreous-denoiser-2"
GENERIC = "generic"  # method of a model that has seen nobody's noise: a start for trainings, not for use


@dataclass(frozen=True)
class Facts:
    """What a model must know about the data it was trained for."""

    method: str
    widths: tuple[int, ...]
    particle_diameter_px: float
    pixel_size_a: float | None
    canonical_diameter: float
    calibration: float  # sigma of real empty patches over fine_sigma
    sign: float  # -1 where particles are lighter than the ice
    snr: float  # in-particle, where the network is used
    steps: int
    val_loss: float
    gate: tuple[float, float] = (0.0, 1.0)  # log odds: shut below the first, open from the second on
    blend: tuple[tuple[float, ...], ...] = ()  # gains of core.denoising.blend.Blend: raw, network, wiener
    tslm: float = 0.0  # share of the mean particle that the final output removes
    tslm_network: float = 0.0  # the same of the network alone
    blank_rms: float = 0.0  # rms of the final output on the user's own noise, noise sigmas
    noise: dict[str, Any] | None = None  # fingerprint of the noise it was trained on
    specimens: tuple[str, ...] = ()
    started_from: str = ""
    version: str = ""

    @property
    def gains(self) -> Blend:
        """How raw data and network are mixed inside particles."""
        return Blend(*(np.asarray(curve, np.float32) for curve in self.blend))

    @property
    def opening(self) -> Gate:
        """Where the gate opens."""
        return Gate(*self.gate)

    def diameter_for(self, pixel_size_a: float | None) -> float:
        """Particle diameter in px of a micrograph with this pixel size; the training's where either is unknown."""
        if pixel_size_a and self.pixel_size_a:
            return self.particle_diameter_px * self.pixel_size_a / pixel_size_a
        return self.particle_diameter_px


@dataclass
class Denoiser:
    """Network and facts, ready to use."""

    net: UNet
    facts: Facts


def save_denoiser(path: Path, weights: dict[str, torch.Tensor], facts: Facts) -> None:
    """Write model.safetensors and model.json, each complete or not at all."""
    kind = torch.float16 if facts.method == GENERIC else torch.float32  # what is shipped is kept small
    plain = {k: v.detach().cpu().to(kind).contiguous() for k, v in weights.items()}
    meta = {"format": FORMAT, "facts": json.dumps(asdict(facts))}
    with atomic_path(path) as partial:
        save_file(plain, partial, metadata=meta)
    write_json(path.with_suffix(".json"), {"format": FORMAT, **asdict(facts)})


def load_denoiser(path: Path, device: torch.device) -> Denoiser:
    """Load a model for use, or say in one sentence why it cannot be used."""
    denoiser = load_model(path, device)
    if denoiser.facts.method == GENERIC:
        raise InputError(
            f"{path} is a generic model: it has not seen the noise of your micrographs.",
            "Train from it first; one minute is enough (train --mode quick).",
            path,
        )
    return denoiser


def load_model(path: Path, device: torch.device) -> Denoiser:
    """Load any model of this program, generic ones too."""
    if path.is_dir():
        raise InputError(f"{path} is a folder.", "Give the model.safetensors inside it.", path)
    if not path.is_file():
        raise InputError(
            f"{path} does not exist.", "Give a model.safetensors of a training, gaussian:30, or wiener.", path
        )
    if path.suffix in (".pth", ".pt", ".ckpt"):
        raise InputError(
            f"{path.name} is a PyTorch file of another program.",
            "Such files can run code when read; use a model.safetensors trained here.",
            path,
        )
    try:
        with safe_open(path, framework="pt") as handle:
            meta = handle.metadata() or {}
            weights = {k: handle.get_tensor(k).float() for k in handle.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as err:
        raise InputError(f"{path} is not a readable safetensors file ({err}).", "Train again.", path) from None
    try:
        if meta.get("format") != FORMAT:
            raise ValueError("it was not written by this version of the program")
        facts = _facts(json.loads(meta["facts"]))
        net = UNet(facts.widths)
        net.load_state_dict(weights)
        if not all(bool(w.isfinite().all()) for w in weights.values()):
            raise ValueError("it holds weights that are not numbers")
    except (ValueError, KeyError, TypeError, RuntimeError) as err:
        raise InputError(
            f"{path} is not a denoiser of this version ({str(err).splitlines()[0]}).", "Train again.", path
        ) from None
    net.on(device).eval()
    return Denoiser(net, facts)


def _facts(values: dict[str, Any]) -> Facts:
    known = {f.name for f in fields(Facts)}
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
    for name in ("particle_diameter_px", "canonical_diameter", "calibration", "snr"):
        if not 0 < float(values[name]) < 1e6:
            raise ValueError(f"{name} is {values[name]}")
    if values["pixel_size_a"] is not None and not 0 < float(values["pixel_size_a"]) < 1e6:
        raise ValueError(f"pixel_size_a is {values['pixel_size_a']}")
    facts = Facts(**values)
    numbers = np.array([*facts.gate, *(v for curve in facts.blend for v in curve)], float)
    sizes = [len(curve) for curve in facts.blend]
    wanted = [] if facts.method == GENERIC else [SHELLS] * 3
    if len(facts.gate) != 2 or not np.isfinite(numbers).all() or sizes != wanted:
        raise ValueError("its gate or its gains are not complete")
    return facts
