"""What pick-particles reads: raw and denoised micrographs, known particles; and what it keeps for a continued run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from core.denoising.collect import output_names
from core.errors import InputError
from core.images.single import Warn, open_single, read_single
from core.images.source import file_key, is_micrograph_name
from core.io.atomic import atomic_path
from core.io.coordinates import match_names, no_match_error, read_particles, stem_of
from core.picking.search import Candidates


@dataclass(frozen=True)
class Micrograph:
    """The image to be searched, float32 (h, w), raw or denoised."""

    image: np.ndarray
    pixel_size_a: float | None


def check_denoised(names: Mapping[Path, str], folder: Path | None) -> dict[Path, Path | None]:
    """The file that is searched for each raw micrograph; None where the denoised one is missing.

    InputError when the folder holds none of them at all.
    """
    if folder is None:
        return {path: path for path in names}
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.", "Choose the output folder of Predict.", folder)
    raw = {path.resolve() for path in names}
    direct = output_names(names, folder)  # as predict names them
    twins = Counter(stem_of(path.name) for path in names)
    stems: dict[str, list[Path]] = {}
    for path in folder.iterdir():
        if is_micrograph_name(path) and path.resolve() not in raw:
            stems.setdefault(stem_of(path.name), []).append(path)
    found: dict[Path, Path | None] = {}
    for path, target in direct.items():
        others = stems.get(stem_of(path.name), [])
        single = others[0] if len(others) == 1 and twins[stem_of(path.name)] == 1 else None
        usable = target.is_file() and target.resolve() not in raw
        found[path] = target if usable else single
    if not any(found.values()):
        first = next(iter(names))
        raise InputError(
            f"{folder} holds no denoised micrograph of these (none is named like {first.name}).",
            "Choose the output folder of Predict, or leave --denoised out.",
            folder,
        )
    return found


def read_micrograph(
    raw: Path, searched: Path | None, pixel_size_a: float | None, warn: Warn | None = None
) -> Micrograph:
    """Read what is to be searched; InputError when it is missing, a stack, flat, or not of the raw one's size.

    `warn` hears what is odd about the two files, and what was mended in the pixels.
    """
    if searched is None:
        raise InputError(f"{raw.name} has no denoised micrograph.", "Denoise it first (Predict), or leave it out.", raw)
    own = open_single(raw, warn)
    source = own if searched == raw else open_single(searched, warn)
    if source.shape != own.shape:
        raise InputError(
            f"{searched} is {source.shape[1]} x {source.shape[0]} px, but the raw {raw.name} is "
            f"{own.shape[1]} x {own.shape[0]} px.",
            "Choose the denoised micrographs of these raw ones.",
            searched,
        )
    return Micrograph(read_single(searched, warn, source).image, pixel_size_a or own.pixel_size_a)


def reference_positions(path: Path | None, micrographs: Sequence[Path]) -> dict[Path, np.ndarray]:
    """Known particles (n, 2) of each micrograph; empty without a file."""
    if path is None:
        return {}
    positions = read_particles(path)
    matched = match_names(positions, micrographs)
    if not any(len(xy) for xy in matched.values()):
        raise no_match_error(path, positions, micrographs)
    return matched


def keep_candidates(path: Path, searched: Path | None, found: Candidates) -> None:
    """Keep what was found on one micrograph, with the state of the file it was found on."""
    state = np.array(file_key(searched)[1:3] if searched else (0, 0), np.int64)
    with atomic_path(path) as partial, partial.open("wb") as handle:
        np.savez(
            handle,
            state=state,
            xy=found.xy,
            score=found.score,
            reason=found.reason,
            source=found.source,
            null=found.null,
        )


def kept_candidates(path: Path, searched: Path | None) -> Candidates | None:
    """What `keep_candidates` kept, while the file it was found on is still the same."""
    if searched is None or not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            if tuple(kept["state"]) != file_key(searched)[1:3]:
                return None
            return Candidates(*(kept[name] for name in ("xy", "score", "reason", "source", "null")))
    except (OSError, ValueError, KeyError, BadZipFile):
        return None
