"""What a search needs before the first micrograph: the sign of the particles, and the templates at its scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.denoising.canonical import to_canonical
from core.denoising.quality import crops_at
from core.errors import InputError
from core.images.source import open_source
from core.picking import templates
from core.picking.inputs import Micrograph
from core.picking.map_views import map_views
from core.picking.search import Rules, contrast_sign, search_scale
from core.picking.templates import Templates, class_averages, round_mean, template_size

PROBED = 3  # micrographs that say whether particles are dark or light
UNSURE = 0.3  # sigmas: dark and light stand out so equally that it must be said
MEASURED_ON = 30  # micrographs, at most, whose reference particles are averaged
FEWEST = 10  # particles whose mean is a template
SMALLEST = 0.8  # diameters a template file must be across

Read = Callable[[Path], Micrograph]
Warn = Callable[[str], None]


def known_sign(
    contrast: str, micrographs: Sequence[Path], read: Read, rules: Rules, warn: Warn
) -> tuple[float, dict[str, Any]]:
    """1 for dark particles, -1 for light ones, and what to tell; `auto` is measured with a disc on some micrographs."""
    if contrast != "auto":
        return (1.0 if contrast == "dark" else -1.0), {"contrast": contrast, "contrast_measured": None}
    disc = templates.blob(search_scale(rules.diameter))
    margins = []
    for path in micrographs[:: max(1, len(micrographs) // PROBED)][:PROBED]:
        try:
            margins.append(contrast_sign(read(path).image, disc, rules))
        except InputError:  # it is told when its turn comes
            continue
    margin = float(np.median(margins)) if margins else 0.0
    word = "dark" if margin >= 0 else "light"
    if abs(margin) < UNSURE:
        warn(f"Dark and light places stand out alike; particles are taken for {word}. Say it with --contrast.")
    return (1.0 if margin >= 0 else -1.0), {"contrast": word, "contrast_measured": round(margin, 3)}


def classes(
    file: Path, diameter: float, pixel_size: float | None, micrograph_a: float | None, step: float, warn: Warn
) -> Templates:
    """Class averages; `diameter` in raw px, `pixel_size` and `micrograph_a` in Angstrom per px where they are known."""
    scale = template_scale(file, diameter, pixel_size, micrograph_a, warn)
    made, empty = class_averages(file, search_scale(diameter), scale, step)
    if empty:
        warn(f"{file.name}: empty images are left out ({', '.join(map(str, empty[:10]))}).")
    return made


def views(
    file: Path, diameter: float, pixel_size: float | None, micrograph_a: float | None, step: float, warn: Warn
) -> Templates:
    """Views of a map; arguments as for `classes`."""
    scale = template_scale(file, diameter, pixel_size, micrograph_a, warn)
    return map_views(file, search_scale(diameter), scale, step)


def template_scale(
    file: Path, diameter: float, pixel_size: float | None, micrograph_a: float | None, warn: Warn
) -> float:
    """Px of the search per px of the template file."""
    source = open_source(file)
    theirs = pixel_size or source.pixel_size_a
    if not theirs or not micrograph_a:
        warn(
            f"The pixel size of {file.name if not theirs else 'the micrographs'} is not known: {file.name} is taken to "
            "have that of the micrographs. Say them with --pixel-size and --template-pixel-size."
        )
    ratio = theirs / micrograph_a if theirs and micrograph_a else 1.0
    across = min(source.shape) * ratio
    if across < SMALLEST * diameter:
        raise InputError(
            f"{file.name} is {across:.0f} px of the micrographs across, less than a particle of {diameter:g} px.",
            "Check --diameter, --pixel-size and --template-pixel-size.",
            file,
        )
    return ratio * search_scale(diameter) / diameter


def measured_rings(
    micrographs: Sequence[Path],
    read: Callable[[Path], Micrograph],
    rules: Rules,
    reference: Mapping[Path, np.ndarray],
    warn: Callable[[str], None],
) -> Callable[[Path], Templates]:
    """A template for each micrograph: the round mean of the reference particles of the others.

    With one listed micrograph it is measured on that one, and `warn` says so.
    """
    diameter = search_scale(rules.diameter)
    size = template_size(diameter)
    sums: dict[Path, tuple[np.ndarray, int]] = {}
    for path in [m for m in micrographs if len(reference.get(m, ()))][:MEASURED_ON]:
        try:
            small = to_canonical(read(path).image, rules.diameter, rules.sign, diameter)
        except InputError:  # it is told when its turn comes
            continue
        crops = crops_at(small.image, small.centres(reference[path]), size)
        if len(crops):
            sums[path] = (crops.sum(axis=0, dtype=np.float64) / max(float(small.image.std()), 1e-20), len(crops))
    total = sum((s for s, _ in sums.values()), start=np.zeros((size, size)))
    count = sum(n for _, n in sums.values())
    if count < FEWEST:
        raise InputError(
            f"The reference has {count} particles inside these micrographs: too few to measure a ring from.",
            f"Give {FEWEST} or more, or leave --reference out.",
        )
    whole = round_mean(total / count, diameter)
    shared = [path for path, (_, n) in sums.items() if count - n < FEWEST]
    if shared:
        warn(
            f"The ring that {shared[0].name} is searched with was measured on that micrograph itself: precision and "
            "recall flatter."
        )

    def template_of(path: Path) -> Templates:
        own, n = sums.get(path, (0.0, 0))
        return whole if not n or path in shared else round_mean((total - own) / (count - n), diameter)

    return template_of
