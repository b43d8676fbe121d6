"""Noise2Noise on frame halves: two micrographs of the same place, from the even and from the odd movie frames.

Their signal is the same and their noise is not. A network that is asked for one half when it is given the other can
only answer with what the two share (Lehtinen et al., "Noise2Noise", ICML 2018). Half pairs show it the user's own
specimen; they say nothing of where particles are, so training alternates them with pairs of noise transfer.

Each half is flattened by its own background, the same filter for both. A background taken from their mean would carry
the noise of one half into the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from core.denoising.canonical import Canonical, fine_sigma, to_canonical
from core.denoising.collect import MOST_CANONICAL_BYTES
from core.denoising.pairs import CROP, UNKNOWN, Batch, PairMaker
from core.errors import InputError, ParamError
from core.images.single import Warn, open_single, read_single
from core.images.source import list_micrographs
from core.io.coordinates import stem_of

HALF_DOSE = 0.5  # signal over noise power of one half, over that of the whole: it has half the frames
CROPS_PER_AREA = 2.0  # random fields cut, over those that would tile the micrograph
MOST_PAIRS = MOST_CANONICAL_BYTES // (2 * 2 * CROP * CROP)  # two float16 fields each
_HALF = re.compile(r"[_-]?(even|evn|odd)$", re.IGNORECASE)

Halves = dict[Path, tuple[Path, Path]]  # micrograph -> its even and its odd half


def match_halves(
    even: Sequence[Path], odd: Sequence[Path], micrographs: Sequence[Path], pixel_size_a: float | None
) -> Halves:
    """The two halves of every micrograph, matched by name and checked; empty where none are given."""
    if bool(even) != bool(odd):
        raise ParamError(
            f"Only --{'even' if even else 'odd'} is given: half micrographs come in pairs.",
            "Give both, or none.",
            fields=("even", "odd"),
        )
    if not even:
        return {}
    sides = [_by_stem(list_micrographs(files), flag) for files, flag in ((even, "--even"), (odd, "--odd"))]
    halves: Halves = {}
    for micrograph in micrographs:
        stem = stem_of(micrograph.name)
        found = [side.get(stem) for side in sides]
        if found[0] is None and found[1] is None:
            continue
        if found[0] is None or found[1] is None:
            raise InputError(
                f"{micrograph.name} has its {'odd' if found[0] is None else 'even'} half only.",
                "Halves are matched by name: NAME_even and NAME_odd.",
                micrograph,
            )
        halves[micrograph] = (found[0], found[1])
        _check_shapes(micrograph, halves[micrograph], pixel_size_a)
    if not halves:
        raise InputError(
            f"No half micrograph is named like a micrograph ({next(iter(sides[0].values())).name}, "
            f"{micrographs[0].name}).",
            "Halves are matched by name: NAME_even and NAME_odd.",
        )
    return halves


def _by_stem(files: Sequence[Path], flag: str) -> dict[str, Path]:
    """Files by the name of their micrograph, without _even, _EVN or _odd."""
    found: dict[str, Path] = {}
    for file in files:
        stem = _HALF.sub("", stem_of(file.name))
        if stem in found:
            raise InputError(
                f"{flag} holds two halves of {stem}: {found[stem].name} and {file.name}.", "Leave one out.", file
            )
        found[stem] = file
    return found


def _check_shapes(micrograph: Path, halves: tuple[Path, Path], pixel_size_a: float | None) -> None:
    """Halves must be the micrograph's own size and pixel size, and two files."""
    whole = open_single(micrograph)
    if halves[0] == halves[1]:
        raise ParamError(f"{halves[0]} is given as even and as odd half.", fields=("even", "odd"))
    for half in halves:
        source = open_single(half)
        if source.shape != whole.shape:
            shapes = [f"{s.shape[1]} x {s.shape[0]}" for s in (source, whole)]
            raise InputError(f"{half} has {shapes[0]} px, its micrograph {shapes[1]}.", "Sum the frames alike.", half)
        known = whole.pixel_size_a or pixel_size_a
        if source.pixel_size_a and known and abs(source.pixel_size_a / known - 1) > 0.01:
            raise InputError(
                f"{half} has {source.pixel_size_a:g} A/px, its micrograph {known:g}.", "Sum the frames alike.", half
            )


@dataclass
class HalfCrops:
    """Fields cut from both halves at the same places: float16 (128, 128), in noise sigmas of one half."""

    diameter: float  # px of the input
    micrographs: int  # that have halves: they share the room
    seed: int
    warn: Warn | None = None  # hears what is odd about their files
    even: list[np.ndarray] = field(default_factory=list)
    odd: list[np.ndarray] = field(default_factory=list)
    sigmas: dict[str, float] = field(default_factory=dict)  # micrograph name -> noise sigma of one half, input units

    def add(
        self,
        halves: tuple[Path, Path],
        name: str,
        noise: Callable[[Canonical], list[np.ndarray]],  # the empty crops of a half
        calibration: float,  # sigma of empty patches over fine_sigma
        number: int,
    ) -> None:
        """Read the two halves of one micrograph and cut random fields: particles and background as they come."""
        pair = [to_canonical(read_single(half, self.warn).image, self.diameter) for half in halves]
        patches = [np.asarray(noise(half)) for half in pair]
        if all(len(p) for p in patches):
            sigma = float(np.sqrt(np.mean([p.var() for p in patches])))
        else:
            sigma = calibration * float(np.mean([fine_sigma(half.image, half.valid) for half in pair]))
        self.sigmas[name] = sigma = max(sigma, 1e-12)
        valid = _valid(pair)
        most = max(1, min(MOST_PAIRS // self.micrographs, round(CROPS_PER_AREA * valid.size / CROP**2)))
        for top, left in _places(valid, most, np.random.default_rng([self.seed, 17, number])):
            box = slice(top, top + CROP), slice(left, left + CROP)
            for store, half in ((self.even, pair[0]), (self.odd, pair[1])):
                store.append((half.image[box] / sigma).astype(np.float16))

    def stacks(self) -> dict[str, np.ndarray]:
        """The arrays of training.safetensors: (n, 128, 128) each."""
        if not self.even:
            raise InputError(
                f"The half micrographs hold no field of {CROP} px at the scale of training.",
                "Leave --even and --odd out, or give larger micrographs.",
            )
        return {"even": np.stack(self.even), "odd": np.stack(self.odd)}


def _valid(pair: Sequence[Canonical]) -> np.ndarray:
    """Where both halves hold data: bool over the micrograph on the canonical grid, without its padding."""
    one = pair[0]
    height, width = int(one.shape[0] * one.scale_y), int(one.shape[1] * one.scale_x)
    valid = np.ones((height, width), bool)
    for half in pair:
        if half.valid is not None:
            valid &= half.valid[:height, :width]
    return valid


def _places(valid: np.ndarray, most: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """At most `most` random corners of fields that lie wholly on data."""
    rows, cols = valid.shape[0] - CROP, valid.shape[1] - CROP
    if rows < 0 or cols < 0:
        return []
    proposed = zip(rng.integers(0, rows + 1, 2 * most), rng.integers(0, cols + 1, 2 * most), strict=True)
    good = [(int(t), int(x)) for t, x in proposed if valid[t : t + CROP, x : x + CROP].all()]
    return good[:most]


class HalfPairs:
    """Draws batches whose input is one half and whose target is the other, turned and mirrored alike."""

    def __init__(self, even: np.ndarray, odd: np.ndarray, log_snr: float, seed: int) -> None:
        self.even, self.odd = even, odd  # (n, 128, 128)
        self.log_snr, self.seed = log_snr, seed

    def batch(self, step: int, count: int) -> Batch:
        """`count` pairs; where particles are is not known. Depends on seed and step only."""
        rng = np.random.default_rng([self.seed, 19, step])
        noisy, target = [], []
        for _ in range(count):
            i, turns = rng.integers(len(self.even)), int(rng.integers(4))
            pair = np.rot90(np.stack([self.even[i], self.odd[i]]), turns, axes=(1, 2))
            if rng.random() < 0.5:
                pair = pair[:, :, ::-1]
            if rng.random() < 0.5:
                pair = pair[::-1]
            noisy.append(pair[0])
            target.append(pair[1])
        one, two = (torch.from_numpy(np.stack(a).astype(np.float32))[:, None] for a in (noisy, target))
        level = torch.from_numpy(self.log_snr + 0.2 * rng.standard_normal(count)).float()
        return Batch(one, two, torch.full_like(two, UNKNOWN), level)


@dataclass(frozen=True)
class TakingTurns:
    """Pairs of noise transfer at odd steps, half pairs at even ones: the gate goes on learning."""

    transfer: PairMaker
    halves: HalfPairs

    def batch(self, step: int, count: int) -> Batch:
        """A batch of either; depends on seed and step only."""
        return (self.transfer if step % 2 else self.halves).batch(step, count)


def as_manifest(halves: Mapping[Path, tuple[Path, Path]], crops: HalfCrops, snr: float) -> dict[str, object]:
    """What manifest.json says about the halves."""
    return {
        "even": [str(e) for e, _ in halves.values()],
        "odd": [str(o) for _, o in halves.values()],
        "pairs": len(crops.even),
        "crop_px": CROP,
        "noise_sigma": crops.sigmas,
        "snr": HALF_DOSE * snr,
        "how": "half the signal-to-noise ratio of the whole: half the frames",
    }
