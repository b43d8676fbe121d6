"""The training set on disk: CryoDDM's folder layout plus a manifest and the working set that training reads.

s1/particles.mrcs                raw particle crops, input units and pixel size
s2/input.mrcs  s2/label.mrcs     a fixed sample of pairs, canonical scale, noise sigma 1
s3/noise.mrcs                    raw noise crops, input units and pixel size
val/input.mrcs val/label.mrcs    held-out pairs, never trained on
manifest.json                    units, normalisation, seeds, sources, schedule, recipe, and the place of every crop
training.safetensors             particle and noise crops at the canonical scale, flattened, in noise sigmas; with
                                 frame halves also `even` and `odd`, fields of both halves at the same places
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from core.denoising.blend import signal_spectrum
from core.denoising.collect import CROP_MULTIPLE as MULTIPLE
from core.denoising.pairs import CROP, PairMaker, Recipe
from core.errors import InputError
from core.io.atomic import atomic_path
from core.io.mrc import open_mrc
from core.physics.fourier import shell_average
from core.physics.noise import noise_spectrum
from core.physics.phantom import Library, build_library

if TYPE_CHECKING:
    from core.denoising.cryoddm import CryoddmPairs
    from core.denoising.halves import TakingTurns

MANIFEST_VERSION = 2
HALVES = "noise2noise on frame halves"  # method of a model that was trained on them, beside noise transfer
VALIDATION_STEP = 10**8  # pairs from here on are never trained on


class TrainingSet:
    """A training set that forward has written, opened for training."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        try:
            arrays = load_file(folder / "training.safetensors")
        except (OSError, SafetensorError) as err:
            raise InputError(
                f"{folder / 'training.safetensors'} cannot be read: {err}.",
                "Run forward again into this folder.",
                folder,
            ) from None
        try:
            self.particles = arrays["particles"].astype(np.float32)  # (n, s, s)
            self.noise = arrays["noise"].astype(np.float32)  # (m, h, h)
            self.group = arrays["group"]  # (m,)
            self.halves: tuple[np.ndarray, np.ndarray] | None = None  # even and odd, (k, 128, 128) each
            if self.manifest.get("halves") is not None:
                self.halves = arrays["even"].astype(np.float32), arrays["odd"].astype(np.float32)
            self._check()
        except (KeyError, TypeError, ValueError, IndexError) as err:
            raise InputError(
                f"{folder} is not a complete training set ({err}).", "Run forward again.", folder
            ) from None

    def _check(self) -> None:
        """Raise where something that training needs is missing or does not fit together."""
        sizes = {"particles": self.particles.ndim, "noise": self.noise.ndim}
        if set(sizes.values()) != {3} or not len(self.particles) or len(self.noise) != len(self.group):
            raise ValueError("its crops do not fit together")
        if self.particles.shape[-1] < MULTIPLE:
            raise ValueError("its particle crops are too small")
        if not (np.isfinite(self.particles).all() and np.isfinite(self.noise).all()):
            raise ValueError("its crops hold values that are not numbers")
        if self.halves is not None:
            one, two = self.halves
            if one.shape != two.shape or one.shape[1:] != (CROP, CROP) or not len(one):
                raise ValueError("its frame halves do not fit together")
            if not (np.isfinite(one).all() and np.isfinite(two).all()):
                raise ValueError("its frame halves hold values that are not numbers")
            if not math.isfinite(self.half_log_snr):
                raise ValueError("the signal-to-noise ratio of its frame halves is no number")
        needed = (self.method, self.recipe, self.log_snr, self.manifest["pairs_per_epoch"], self.manifest["seed"])
        of = self.manifest["library"]
        more = (of["seed"], of["phantoms"], of["views"], of["specimens"], self.manifest["validation"]["log_snr"])
        facts = ("created", "contrast", "particle_diameter_px", "pixel_size_a", "normalisation")
        if None in (*needed, *more) or any(name not in self.manifest for name in facts):
            raise KeyError("manifest.json lacks something")

    @property
    def method(self) -> str:
        """noise-transfer or cryoddm."""
        return self.manifest["method"]

    @property
    def created(self) -> str:
        """When it was made: a resumed training must find the same set."""
        return str(self.manifest["created"])

    @property
    def pairs_per_epoch(self) -> int:
        """Pairs that count as one epoch."""
        return int(self.manifest["pairs_per_epoch"])

    def facts(self) -> dict[str, Any]:
        """What a model must know about it (core.denoising.model.Facts)."""
        of = self.manifest
        return {
            "method": self.method if self.halves is None else HALVES,
            "particle_diameter_px": of["particle_diameter_px"],
            "pixel_size_a": of["pixel_size_a"],
            "canonical_diameter": self.recipe.diameter,
            "calibration": of["normalisation"]["calibration"],
            "sign": 1.0 if of["contrast"] == "dark" else -1.0,
            "snr": math.exp(self.log_snr),
            "noise": (of.get("noise_model") or {}).get("fingerprint"),
            "specimens": tuple(of["library"]["specimens"]),
        }

    @property
    def recipe(self) -> Recipe:
        """What pairs are drawn from."""
        stored = dict(self.manifest["recipe"])
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        return Recipe(**values)

    @property
    def log_snr(self) -> float:
        """The noise level told to the network on this data; CryoDDM's scheme knows none."""
        return 0.0 if self.method == "cryoddm" else math.log(min(max(self.manifest["snr"]["value"], 1e-3), 1e2))

    @property
    def half_log_snr(self) -> float:
        """The noise level told to the network on one frame half."""
        return math.log(min(max(float(self.manifest["halves"]["snr"]), 1e-3), 1e2))

    def pairs(self) -> PairMaker | CryoddmPairs | TakingTurns:
        """What training draws its batches from."""
        if self.method == "cryoddm":
            from core.denoising.cryoddm import CryoddmPairs

            return CryoddmPairs(self)
        if self.halves is not None:
            from core.denoising.halves import HalfPairs, TakingTurns

            seed = int(self.manifest["seed"])
            return TakingTurns(self.pair_maker(), HalfPairs(*self.halves, self.half_log_snr, seed))
        return self.pair_maker()

    def library(self) -> Library:
        """The clean library, built again from its seed."""
        of = self.manifest["library"]
        return build_library(of["seed"], of["phantoms"], of["views"])

    def pair_maker(self, snr_low: float | None = None, snr_high: float | None = None) -> PairMaker:
        """The source of fresh pairs, of the recipe's levels or of others."""
        recipe = self.recipe
        if snr_low is not None and snr_high is not None:
            recipe = replace(recipe, snr_low=snr_low, snr_high=snr_high, focus=None)
        return PairMaker(self.library(), self.noise, self.group, recipe)

    def wiener(self) -> np.ndarray | None:
        """Gain S / (S + N) of the linear filter inside the user's particles, (SHELLS,); None when S is not measured."""
        if not self.manifest["snr"]["measured"]:
            return None
        noise = noise_spectrum(self.noise[:500], CROP)
        signal = np.maximum(signal_spectrum(self.particles[:1000], noise, self.recipe.diameter), 0.0)
        return signal / np.maximum(signal + shell_average(noise, CROP), 1e-12)

    def stack(self, name: str) -> np.ndarray:
        """A stack of the set, e.g. val/input.mrcs, as float32 (n, h, w)."""
        array = np.asarray(open_mrc(self.folder / name), np.float32)
        return array if array.ndim == 3 else array[None]

    def validation(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Held-out input, target (n, h, w) and log SNR (n,)."""
        levels = np.asarray(self.manifest["validation"]["log_snr"], np.float32)
        return self.stack("val/input.mrcs"), self.stack("val/label.mrcs"), levels


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a training set, or one sentence why this is none."""
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{folder} is not a training set: it has no manifest.json.", "Run forward first.", folder
        ) from None
    except (OSError, ValueError) as err:
        raise InputError(f"{path} cannot be read: {err}.", "Run forward again.", folder) from None
    if not isinstance(manifest, dict) or manifest.get("version") != MANIFEST_VERSION:
        raise InputError(f"{path} is not a manifest of this program's version.", "Run forward again.", folder)
    return manifest


def write_working_set(
    folder: Path, particles: np.ndarray, noise: np.ndarray, group: np.ndarray, halves: dict[str, np.ndarray]
) -> None:
    """Write training.safetensors: crops as float16 in noise sigmas, the micrograph number of each patch.

    `halves`: `even` and `odd` fields of frame halves in sigmas of one half, where there are any.
    """
    arrays = {
        "particles": particles.astype(np.float16),
        "noise": noise.astype(np.float16),
        "group": group.astype(np.int32),
    } | {name: np.ascontiguousarray(crops.astype(np.float16)) for name, crops in halves.items()}
    with atomic_path(folder / "training.safetensors") as partial:
        save_file(arrays, partial)


def recipe_dict(recipe: Recipe) -> dict[str, Any]:
    """A recipe as JSON."""
    return asdict(recipe)
