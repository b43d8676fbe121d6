"""Before a model is used: is the noise of these micrographs the noise it was trained for?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from core.denoising.noise_fingerprint import NoiseFingerprint, fingerprint_of_micrograph, noise_mismatch
from core.denoising.predict import Network
from core.errors import AppError
from core.images.source import open_source

MOST_LOOKED_AT = 3


def noise_warnings(network: Network, micrographs: Sequence[Path], pixel_size_a: float | None) -> Iterator[str]:
    """One sentence for each of (at most three, evenly chosen) micrographs whose noise the model has not learnt.

    Micrographs that cannot be read are left to the prediction, which names them.
    """
    facts = network.denoiser.facts
    try:
        learnt = NoiseFingerprint.from_dict(facts.noise or {})
    except ValueError:  # a model of a training set without fingerprint
        return
    chosen = np.unique(np.linspace(0, len(micrographs) - 1, MOST_LOOKED_AT).round().astype(int))
    for path in (micrographs[i] for i in chosen):
        try:
            opened = open_source(path)
            raw_pixel = pixel_size_a or opened.pixel_size_a
            canonical = network.canonical(opened.read(0), path, raw_pixel)
        except AppError:
            continue
        known = raw_pixel or facts.pixel_size_a
        pixel = known / canonical.scale_x if known and learnt.unit != "cycles/px" else None
        met = fingerprint_of_micrograph(canonical, facts.canonical_diameter, pixel, raw_pixel)
        reason = noise_mismatch(learnt, met) if met is not None else ""
        if reason:
            yield f"{path.name}: this model has learnt another noise. {reason} Train it on these micrographs."
