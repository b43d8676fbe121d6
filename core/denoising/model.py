"""A trained denoiser on disk: weights as safetensors with its facts as JSON, in the file and beside it.

No code runs when a model is loaded. Weights that PyTorch saved (.pth, .pt) are used when they are of this network;
their facts are in the JSON file of the same name.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from core.denoising.blend import SHELLS, Blend
from core.denoising.fit_weights import network_of
from core.denoising.model_files import facts_file
from core.denoising.parts import Gate
from core.denoising.set_kind import GENERIC_PATH as GENERIC_PATH
from core.denoising.unet import UNet
from core.errors import InputError
from core.io.atomic import atomic_path, write_json
from core.io.checkpoint import Weights, read_weights, shown
from core.io.json_file import read_json

FORMAT = "vitreous-denoiser-2"
MOST_FACTS = 1 << 20  # bytes of model.json
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
    weights = _weights(path)
    net = network_of(path, weights.tensors)
    values = _beside(path) if weights.metadata is None else _embedded(path, weights.metadata)
    try:
        facts = _facts(values)
        if tuple(facts.widths) != net.widths:
            raise ValueError(f"its facts are those of a network of widths {list(facts.widths)[:8]}")
    except (ValueError, KeyError, TypeError, OverflowError) as err:
        raise InputError(f"{path} is not a denoiser of this version ({shown(err)}).", "Train again.", path) from None
    net.on(device).eval()
    return Denoiser(net, facts)


def load_network(path: Path, device: torch.device) -> UNet:
    """The network of a model alone, as a start for a training: weights of PyTorch need no facts for that."""
    weights = _weights(path)
    if weights.metadata is not None:
        return load_model(path, device).net
    return network_of(path, weights.tensors).on(device)


def _weights(path: Path) -> Weights:
    if path.is_dir():
        raise InputError(f"{path} is a folder.", "Give the model.safetensors inside it.", path)
    if not path.is_file():
        raise InputError(
            f"{path} does not exist.", "Give a model.safetensors of a training, gaussian:30, or wiener.", path
        )
    return read_weights(path)


def _embedded(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """The facts that a safetensors file of this program carries."""
    try:
        if metadata.get("format") != FORMAT:
            raise ValueError("it was not written by this version of the program")
        return dict(json.loads(metadata["facts"]))
    except (ValueError, KeyError, TypeError, RecursionError) as err:
        raise InputError(f"{path} is not a denoiser of this version ({shown(err)}).", "Train again.", path) from None


def _beside(path: Path) -> dict[str, Any]:
    """The facts of weights that carry none: the JSON file of the same name, as a training writes it."""
    beside, what, hint = facts_file(path), "the facts of a denoiser", "Copy the model.json of its training there."
    try:
        values = read_json(beside, what, hint, MOST_FACTS)
    except FileNotFoundError:
        raise InputError(
            f"{path} holds weights alone: {beside.name} beside it, with particle size and noise level, is missing.",
            hint,
            path,
        ) from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise InputError(f"{beside} does not hold the facts of a denoiser of this version.", hint, beside)
    return values


def _facts(values: dict[str, Any]) -> Facts:
    known = {f.name for f in fields(Facts)}
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
    for name in ("particle_diameter_px", "canonical_diameter", "calibration", "snr"):
        if not 0 < float(values[name]) < 1e6:
            raise ValueError(f"{name} is {values[name]}")
    if values["sign"] not in (-1, 1):
        raise ValueError(f"sign is {values['sign']}")
    if values["pixel_size_a"] is not None and not 0 < float(values["pixel_size_a"]) < 1e6:
        raise ValueError(f"pixel_size_a is {values['pixel_size_a']}")
    facts = Facts(**values)
    numbers = np.array([*facts.gate, *(v for curve in facts.blend for v in curve)], float)
    sizes = [len(curve) for curve in facts.blend]
    wanted = [] if facts.method == GENERIC else [SHELLS] * 3
    if len(facts.gate) != 2 or not np.isfinite(numbers).all() or sizes != wanted:
        raise ValueError("its gate or its gains are not complete")
    return facts
