"""The learned 3D prior on disk and in use: weights as safetensors, its facts as JSON inside. Reading one runs no code.

Grey scale: the prior works on maps divided by the scale at which the standard deviation over the whole box is
SIGMA_DATA (`Prior.scale_of`); sigma is on that scale, too. How it is trained is in core/jobs/train_prior.py; sampling
with it is not here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from core.compute.devices import reduced_precision
from core.errors import InputError
from core.io.atomic import atomic_path
from core.reconstruction.denoiser import MULTIPLE, Denoiser
from core.reconstruction.leakage import Trained
from core.reconstruction.prior_data import shell_index
from core.reconstruction.shipped import BUNDLED_PATH

BUNDLED = "bundled"
FORMAT = "vitreous-prior-1"
MOST_BYTES = 256 << 20
MOST_WIDTH, MOST_BOX = 1024, 512
_AGAIN = "Train one with train-prior, or use the bundled one."

Volumes = TypeVar("Volumes", np.ndarray, Tensor)


@dataclass(frozen=True)
class Facts:
    """What a prior knows about itself."""

    box: int
    pixel_size_a: float
    widths: tuple[int, ...]
    spectrum: tuple[float, ...]  # mean power of the training maps per Fourier voxel, shells 0 .. box // 2
    trained: tuple[Trained, ...]  # the training list
    held_out: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()  # name, reason
    steps: int = 0
    seed: int = 0
    val_loss: float = 0.0  # of the held-out structures; 1 = nothing learnt
    held_out_mse: tuple[tuple[float, float], ...] = ()  # sigma, mean squared error over SIGMA_DATA squared
    version: str = ""


@dataclass(frozen=True)
class Prior:
    """A trained denoiser of maps, ready to use."""

    net: Denoiser
    facts: Facts

    @property
    def box(self) -> int:
        """Side of the training maps, voxels; other multiples of MULTIPLE can be denoised, too."""
        return self.facts.box

    @property
    def pixel_size_a(self) -> float:
        """Voxel size of the training maps, Angstrom."""
        return self.facts.pixel_size_a

    @property
    def training_list(self) -> tuple[Trained, ...]:
        """Names and protein sequences of the structures it has seen, for core/reconstruction/leakage.py."""
        return self.facts.trained

    @property
    def spectrum(self) -> np.ndarray:
        """Mean power of the training maps per Fourier voxel in shells 0 .. box // 2 (white noise of sigma 1 has 1)."""
        return np.array(self.facts.spectrum)

    def denoise(self, x: Volumes, sigma: float, turns: int = 1) -> Volumes:
        """Expected clean maps behind x = clean + sigma * white noise, both on the prior's grey scale.

        x is float32 (k, L, L, L), numpy or torch; the answer is of the same kind, shape and device. Deterministic; each
        map is treated on its own. `turns` (1 to 24) orientations of the cube are denoised and averaged: the error falls
        by 5 to 15 % with 8 of them, for 8 times the work. `ValueError` for a sigma that is not positive, or a box that
        the network cannot take.
        """
        if not (math.isfinite(sigma) and sigma > 0):
            raise ValueError(f"sigma is {sigma}")
        if not 1 <= turns <= 24:
            raise ValueError(f"{turns} turns: a cube has 1 to 24")
        if x.ndim != 4 or any(side % MULTIPLE for side in x.shape[1:]) or len(set(x.shape[1:])) != 1:
            raise ValueError(f"maps of shape {tuple(x.shape)}: (k, L, L, L) with L a multiple of {MULTIPLE} is needed")
        device = next(self.net.parameters()).device
        maps = (torch.from_numpy(x) if isinstance(x, np.ndarray) else x).to(device, torch.float32)
        level = torch.full((1,), float(sigma), device=device)
        clean = torch.zeros_like(maps)
        with torch.no_grad(), reduced_precision(device):
            for i, one in enumerate(maps):
                for turn in range(turns):
                    clean[i] += _turned_back(self.net(_turned(one, turn)[None, None], level)[0, 0], turn)
        clean /= turns
        if isinstance(x, np.ndarray):
            return clean.cpu().numpy()
        return clean.to(x.device)

    def scale_of(
        self, volume: np.ndarray, resolution_a: float = 0.0, noise_power: Sequence[float] | None = None
    ) -> float:
        """What to divide a map of the prior's box and pixel size by to bring it to the prior's grey scale.

        The power of the map in the shells coarser than `resolution_a` (default: all) is compared with the mean power of
        the training maps there; DC is left out. Give the resolution that the data support, so that neither noise nor
        regularisation spoils the scale, or the noise's power per Fourier voxel and shell. `InputError` when nothing
        is left, `ValueError` for another shape.
        """
        if volume.shape != (self.box,) * 3:
            raise ValueError(f"a map of shape {volume.shape}: {(self.box,) * 3} is needed")
        index = shell_index(self.box)
        counts = np.bincount(index.ravel())
        power = np.bincount(index.ravel(), (np.abs(np.fft.rfftn(volume)) ** 2).ravel()) / volume.size / counts
        shells = np.arange(1, self.box // 2)
        if resolution_a > 0:
            shells = shells[: max(1, int(self.box * self.pixel_size_a / resolution_a))]
        if noise_power is not None:
            power = power - np.asarray(noise_power)[: len(power)]
        weight = counts[shells]
        found = float((weight * power[shells]).sum() / (weight * self.spectrum[shells]).sum())
        if not found > 0:
            raise InputError("The map holds no signal above its noise.", "Use more particles.")
        return math.sqrt(found)


def _turned(volume: Tensor, number: int) -> Tensor:
    """One of the 24 orientations of a cube (L, L, L), without interpolation."""
    face, quarters = number % 6, number // 6 + number
    tilted = volume.rot90(face, (0, 1)) if face < 4 else volume.rot90(2 * face - 9, (0, 2))
    return tilted.rot90(quarters % 4, (1, 2))


def _turned_back(volume: Tensor, number: int) -> Tensor:
    """The inverse of _turned."""
    face, quarters = number % 6, number // 6 + number
    tilted = volume.rot90(-(quarters % 4), (1, 2))
    return tilted.rot90(-face, (0, 1)) if face < 4 else tilted.rot90(9 - 2 * face, (0, 2))


def load_prior(path: Path | str = BUNDLED, device: torch.device | str = "cpu") -> Prior:
    """Load a prior, or the bundled one by its name, or say in one sentence why it cannot be used."""
    path = BUNDLED_PATH if str(path) == BUNDLED else Path(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file.", _AGAIN, path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES >> 20} MiB")
        with safe_open(path, framework="pt") as handle:
            meta = handle.metadata() or {}
            weights = {k: handle.get_tensor(k).float() for k in handle.keys()}  # noqa: SIM118
        if meta.get("format") != FORMAT:
            raise ValueError("it was not written by train-prior of this version")
        facts = _facts(json.loads(meta["facts"]))
        with torch.device("meta"):  # takes no memory, whatever widths the file claims
            net = Denoiser(facts.widths)
        net.load_state_dict(weights, assign=True)
        if not all(bool(w.isfinite().all()) for w in weights.values()):
            raise ValueError("it holds weights that are not numbers")
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError, RecursionError) as err:
        reason = (str(err).splitlines() or ["damaged"])[0][:200]
        raise InputError(f"{path} is not a prior ({reason}).", _AGAIN, path) from None
    return Prior(net.on(torch.device(device)).eval().requires_grad_(False), facts)


def save_prior(path: Path, weights: dict[str, Tensor], facts: Facts) -> None:
    """Write weights (as float16) and facts, complete or not at all."""
    plain = {k: v.detach().cpu().to(torch.float16).contiguous() for k, v in weights.items()}
    meta = {"format": FORMAT, "facts": json.dumps(asdict(facts), separators=(",", ":"))}
    with atomic_path(path) as partial:
        save_file(plain, partial, metadata=meta)


def _facts(values: dict[str, Any]) -> Facts:
    """Facts from JSON, checked before anything is made from them."""
    known = {f.name for f in fields(Facts)}
    values = {k: _frozen(v) for k, v in values.items() if k in known}
    values["trained"] = tuple(Trained(str(t["name"]), tuple(t["sequences"])) for t in values["trained"])
    facts = Facts(**values)
    if not (isinstance(facts.box, int) and MULTIPLE <= facts.box <= MOST_BOX and facts.box % MULTIPLE == 0):
        raise ValueError(f"its box is {facts.box}")
    if not 0.1 <= float(facts.pixel_size_a) <= 100:
        raise ValueError(f"its pixel size is {facts.pixel_size_a}")
    wide = [w for w in facts.widths if not (isinstance(w, int) and 8 <= w <= MOST_WIDTH and w % 8 == 0)]
    if wide or len(facts.widths) != 3:
        raise ValueError("its network is of another version")
    spectrum = np.array(facts.spectrum, float)
    if spectrum.shape != (facts.box // 2 + 1,) or not (np.isfinite(spectrum).all() and (spectrum > 0).all()):
        raise ValueError("its power spectrum is not complete")
    if not all(isinstance(s, str) for t in facts.trained for s in t.sequences):
        raise ValueError("its training list is not complete")
    return facts


def _frozen(value: Any) -> Any:
    """Lists as tuples, at every depth."""
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
