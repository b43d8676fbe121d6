"""What is looked for: a disc, a shell, the mean of given particles, class averages, views of a map.

All are brought to one scale (`search.SCALE` px across), darker inside than outside like protein in raw micrographs,
with zero mean and unit sum of squares inside REACH diameters and nothing beyond. Centre: pixel s // 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage as ndi

from core.denoising.collect import disc, radial_mean
from core.errors import InputError

REACH = 0.7  # diameters: radius of a template; a rim of background belongs to it
SHELL = 0.65  # inner over outer radius of the shell whose projection the `ring` is
SOFT = 0.06  # diameters: sigma that softens a drawn template
FINEST = 1 / 8  # diameters: templates of averages and maps hold no finer detail (sigma below)
LOWPASS_SIGMA = 0.187  # of a Gaussian over the resolution at which its amplitude is one half
MOST_CLASSES = 50


@dataclass(frozen=True)
class Templates:
    """`images` (t, s, s) float32; `source` (t,) says which class or view each is; `name` says what they are."""

    images: np.ndarray
    source: np.ndarray
    support: np.ndarray
    name: str

    @property
    def sources(self) -> int:
        """Number of different classes or views, empty ones included."""
        return int(self.source.max()) + 1


def template_size(diameter: float) -> int:
    """Side of the templates of a particle, px: odd."""
    return 2 * int(np.ceil(REACH * diameter)) + 1


def _radius(size: int) -> np.ndarray:
    offset = np.arange(size) - size // 2
    return np.hypot(offset[:, None], offset[None])


def normalised(images: Sequence[np.ndarray], diameter: float, name: str, source: Iterable[int]) -> Templates:
    """Templates of images (s, s); InputError when one of them is flat."""
    support = disc(template_size(diameter), REACH * diameter)
    ready = []
    for image in images:
        template = np.where(support, image - image[support].mean(), 0.0)
        length = float(np.sqrt((template**2).sum()))
        if not length > 1e-12 * max(float(np.abs(image).max()), 1e-30):
            raise InputError(f"The template ({name}) is empty.", "Choose another template.")
        ready.append((template / length).astype(np.float32))
    return Templates(np.stack(ready), np.array(list(source), int), support, name)


def blob(diameter: float) -> Templates:
    """A dark disc with a soft rim, and the surround it is compared with."""
    radius = _radius(template_size(diameter))
    return normalised([-1 / (1 + np.exp((radius - diameter / 2) / (0.02 * diameter)))], diameter, "blob", [0])


def ring(diameter: float) -> Templates:
    """The projection of a hollow shell."""
    radius, outer = _radius(template_size(diameter)), diameter / 2
    chord = np.sqrt(np.maximum(outer**2 - radius**2, 0)) - np.sqrt(np.maximum((SHELL * outer) ** 2 - radius**2, 0))
    return normalised([-ndi.gaussian_filter(chord, SOFT * diameter)], diameter, "ring", [0])


def round_mean(mean: np.ndarray, diameter: float) -> Templates:
    """The rotational average of the mean (s, s) of particles that are given."""
    return normalised([radial_mean(mean)], diameter, "ring measured from the reference", [0])


def class_averages(path: Path, diameter: float, scale: float, step_deg: float) -> tuple[Templates, list[int]]:
    """Class averages of a stack, turned by every `step_deg`, and the numbers of empty classes, which are left out.

    `scale`: template px per px of the stack. Averages with light particles are turned dark.
    """
    from core.images.source import open_source

    source = open_source(path)
    if source.n > MOST_CLASSES:
        raise InputError(
            f"{path.name} holds {source.n} images; class averages are {MOST_CLASSES} at most.",
            "Write the good classes into a stack of their own.",
            path,
        )
    images, origin, empty = [], [], []
    for number in range(source.n):
        image = _checked(path, number)
        if not float(image.std()) > 0:
            empty.append(number + 1)
            continue
        for angle in np.arange(0, 360, step_deg):
            images.append(_turned(image, template_size(diameter), scale, float(angle), diameter))
            origin.append(number)
    if not images:
        raise InputError(f"{path.name} holds only empty images.", "Choose a stack of class averages.", path)
    first = [images[origin.index(n)] for n in dict.fromkeys(origin)]
    signs = {n: _sign(i, diameter) for n, i in zip(dict.fromkeys(origin), first, strict=True)}
    dark = [i * signs[n] for i, n in zip(images, origin, strict=True)]
    return normalised(dark, diameter, path.name, origin), empty


def _checked(path: Path, number: int) -> np.ndarray:
    """One image of a stack; InputError where it holds values that are not numbers (a reader would mend them)."""
    from core.images.source import open_source
    from core.io.rows import read_rows

    source = open_source(path)
    layout = source.rows(number)
    image = read_rows(layout) if layout else source.read(number)
    if not np.isfinite(image).all():
        raise InputError(
            f"Image {number + 1} of {path.name} holds values that are not numbers.", "Export it again.", path
        )
    return image


def _turned(image: np.ndarray, size: int, scale: float, angle_deg: float, diameter: float) -> np.ndarray:
    """A square image about its pixel n // 2, scaled, low-passed and turned: (size, size)."""
    sigma = np.hypot(LOWPASS_SIGMA * FINEST * diameter, 0.4) / scale
    smooth = ndi.gaussian_filter(image.astype(np.float32) - np.float32(np.median(image)), sigma)
    angle = np.deg2rad(angle_deg)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / scale
    centre = np.array([n // 2 for n in image.shape], float)
    offset: Any = centre - matrix @ np.full(2, size // 2)
    return np.asarray(ndi.affine_transform(smooth, matrix, offset, (size, size), order=1))


def _sign(template: np.ndarray, diameter: float) -> float:
    """-1 for a light particle, 1 for a dark one, by its inside against its rim."""
    radius = _radius(template.shape[-1])
    inside, rim = template[radius <= 0.45 * diameter].mean(), template[radius >= 0.6 * diameter].mean()
    return -1.0 if inside > rim else 1.0


def turn_all(views: Sequence[np.ndarray], diameter: float, step_deg: float, name: str) -> Templates:
    """Views (s, s) at the templates' scale, each turned by every `step_deg`."""
    angles = np.arange(0, 360, step_deg)
    images = [_turned(v, template_size(diameter), 1.0, float(a), diameter) for v in views for a in angles]
    return normalised(images, diameter, name, np.repeat(np.arange(len(views)), len(angles)).tolist())
