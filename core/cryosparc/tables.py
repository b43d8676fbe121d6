"""From gathered particles to RELION's tables: units, angles, optics groups, and what could not be converted.

RELION >= 3.1: an optics table and a particle table. Angles in degrees, defocus and shifts in Å, coordinates in
pixels of the micrograph, x = column, y = row from the top. CryoSPARC counts y from the lower edge:
y = (1 - y_fraction) * NY. Poses: poses.py. Shifts: pixels of the alignment's own pixel size times that size.
Beam tilt (mrad) = 1000 asin(tilt_A / (Cs in mm * 1e7)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.cryosparc import names
from core.cryosparc.optics import Optics, optics_of
from core.cryosparc.particles import Particles
from core.cryosparc.poses import to_euler, wrapped
from core.cryosparc.usable import usable
from core.io.star_write import Column, Texts

MICROGRAPHS = ("cryosparc", "motioncor")


@dataclass(frozen=True)
class Options:
    """`y_value`: height in px by which Invert.star mirrors, None for the dataset's own; `mirrored`: micrographs
    that lie upside-down to those of the dataset; `keep_uid`: add CryoSPARC's number of every particle."""

    y_value: int | None = None
    mirrored: bool = False
    keep_uid: bool = False


@dataclass(eq=False)
class Tables:
    """RELION's tables of one set of particles; `inverted_y` replaces rlnCoordinateY in Invert.star."""

    optics: dict[str, list[Any]]
    particles: dict[str, Column]
    inverted_y: np.ndarray | None
    n: int
    dropped: dict[str, int] = field(default_factory=dict)  # reason -> rows left out
    warnings: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)  # what could not be written, and why
    y_range: tuple[float, float] | None = None


def convert(found: Particles, options: Options, check: Callable[[], None] = lambda: None) -> Tables:
    """RELION's tables of `found`, sorted by stack and image number (by micrograph where there are no images).

    `check()` is called between the parts of the work and may raise to stop.
    """
    warnings: list[str] = []
    found, dropped, said = usable(found)
    warnings += said
    check()
    found = _sorted(found)
    check()
    optics = optics_of(found)
    check()
    warnings += optics.warnings
    tables = Tables(dict(optics.columns), {}, None, found.n, dropped, warnings)
    columns = tables.particles
    _names(found, tables, options)
    _coordinates(found, tables, options)
    check()
    _alignments(found, tables, options)
    check()
    _ctf(found, tables, options)
    check()
    _labels(found, tables, optics)
    if options.keep_uid and "uid" in found:
        columns["vitreousCryosparcUid"] = found.numbers["uid"]
    for label in ("rlnBeamTiltY", "rlnMagMat01", "rlnMagMat10") if options.mirrored else ():
        if label in tables.optics:
            tables.optics[label] = [-value for value in tables.optics[label]]
    _refuse_guessing(found, tables)
    return tables


def _sorted(found: Particles) -> Particles:
    """By stack and image number, or by micrograph in the order of the dataset."""
    label = next((name for name in ("image", "micrograph") if name in found.texts), None)
    if label is None or not found.n:
        return found
    texts = found.texts[label]
    keys = [names.ranks(texts.values)[texts.which]]
    if label == "image" and "image_index" in found:
        keys.insert(0, found.numbers["image_index"])
    if all((key[1:] >= key[:-1]).all() for key in keys[-1:]) and len(keys) == 1:
        return found
    order = np.lexsort(keys)
    return found if (order[1:] > order[:-1]).all() else found.take(order)


# ---- columns --------------------------------------------------------------------------------------------


def _names(found: Particles, tables: Tables, options: Options) -> None:
    columns = tables.particles
    if options.mirrored:
        tables.absent.append(
            "rlnImageName: CryoSPARC's stacks are not upside-down; extract the particles again from the micrographs."
        )
    elif "image" in found and "image_index" in found:
        paths = [names.without_export_mark(path) for path in found.texts["image"].values]
        numbers = found.numbers["image_index"].astype(np.int64) + 1
        columns["rlnImageName"] = Texts(paths, found.texts["image"].which, numbers)
        _warn_of_paths(paths, tables)
    else:
        tables.absent.append("rlnImageName: the dataset names no image stacks (blob/path); add the passthrough file.")
    if "micrograph" in found:
        paths = [names.without_export_mark(path) for path in found.texts["micrograph"].values]
        columns["rlnMicrographName"] = Texts(paths, found.texts["micrograph"].which)
    else:
        tables.absent.append("rlnMicrographName: the dataset has no location/micrograph_path.")


def _warn_of_paths(paths: Sequence[str], tables: Tables) -> None:
    if any(set(path) & set(' \t"') for path in paths):
        tables.warnings.append(
            "Some stack names contain blanks or quote marks. They are quoted, which RELION may not read: link them to "
            "names without."
        )
    plain = sum(1 for path in paths if path.lower().endswith(".mrc"))
    if plain:
        tables.warnings.append(
            f"{plain} stack(s) end in .mrc, and RELION reads particle stacks only as .mrcs: make links that end so, "
            "and put the ending into the STAR file."
        )


def _coordinates(found: Particles, tables: Tables, options: Options) -> None:
    shape = found.numbers.get("micrograph_shape")
    if "x_fraction" not in found or "y_fraction" not in found:
        tables.absent.append(
            "rlnCoordinateX, rlnCoordinateY: the dataset has no location/center_x_frac, center_y_frac."
        )
        return
    if shape is None or shape.ndim != 2 or shape.shape[1] < 2 or (found.n and not shape[:, -2:].any()):
        tables.absent.append("rlnCoordinateX, rlnCoordinateY: the size of the micrographs is not in the dataset.")
        return
    height, width = shape[:, -2].astype(np.float64), shape[:, -1].astype(np.float64)
    x_share = found.numbers["x_fraction"].astype(np.float64)
    y_share = found.numbers["y_fraction"].astype(np.float64)
    outside = int(((x_share < 0) | (x_share > 1) | (y_share < 0) | (y_share > 1)).sum())
    if outside:
        tables.warnings.append(f"{outside} positions lie outside of their micrographs; they are written as they are.")
    unknown = int(((height == 0) | (width == 0)).sum())
    if unknown:
        tables.warnings.append(f"{unknown} particles have no micrograph size: their position is written as 0, 0.")
    share = y_share if options.mirrored else 1.0 - y_share
    y = share * height
    tables.particles["rlnCoordinateX"] = x_share * width
    tables.particles["rlnCoordinateY"] = y
    mirror = height
    if options.y_value is not None:
        own = np.unique(height)
        if (own != options.y_value).any():
            shown = ", ".join(f"{value:g}" for value in own[:3])
            tables.warnings.append(
                f"The height you gave is {options.y_value} px, the dataset says {shown} px: Invert.star uses yours."
            )
        mirror = np.full(found.n, float(options.y_value))
    # mirrored as the number stands in the file, so that mirroring twice gives the same number again
    tables.inverted_y = mirror - np.round(y, 6)
    if found.n:
        tables.y_range = (float(y.min()), float(y.max()))


def _alignments(found: Particles, tables: Tables, options: Options) -> None:
    columns, flip = tables.particles, -1.0 if options.mirrored else 1.0
    pose, shift = found.numbers.get("align_pose"), found.numbers.get("align_shift")
    if pose is None or pose.shape not in ((found.n, 3), (found.n,), (found.n, 1)):
        tables.absent.append("rlnAngleRot, rlnAngleTilt, rlnAnglePsi: the dataset has no alignments.")
    elif pose.shape == (found.n, 3):
        rot, tilt, psi = to_euler(pose)
        if options.mirrored:  # an image upside-down is the same map seen from behind: diag(1, -1, -1) A
            rot, tilt, psi = wrapped(rot + 180.0), 180.0 - tilt, -psi
        columns["rlnAngleRot"], columns["rlnAngleTilt"], columns["rlnAnglePsi"] = rot, tilt, psi
    else:
        columns["rlnAnglePsi"] = wrapped(flip * np.degrees(pose.reshape(found.n).astype(np.float64)))
        tables.warnings.append(
            "Angles and shifts come from 2D classification. Programs disagree about their sign; here it is that of "
            "3D alignments, which no average has confirmed. Do not build on it without a check."
        )
    if shift is None or shift.shape != (found.n, 2):
        return
    size = _alignment_pixel(found, tables)
    if size is None:
        tables.absent.append("rlnOriginXAngst, rlnOriginYAngst: no pixel size is in the dataset.")
        return
    columns["rlnOriginXAngst"] = shift[:, 0].astype(np.float64) * size
    columns["rlnOriginYAngst"] = flip * shift[:, 1].astype(np.float64) * size


def _alignment_pixel(found: Particles, tables: Tables) -> np.ndarray | None:
    """Å per pixel (n,) of the shifts: the alignment's own; where there is none, the images'."""
    own, images = found.numbers.get("align_psize_A"), found.numbers.get("pixel_size")
    own = None if own is None else own.astype(np.float64)
    good = np.zeros(found.n, bool) if own is None else np.isfinite(own) & (own > 0)
    if own is not None and good.all():
        return own
    if images is None:
        return None
    tables.warnings.append(
        f"{int((~good).sum())} alignments do not say their pixel size; their shifts are taken in pixels of the images."
    )
    images = images.astype(np.float64)
    return images if own is None else np.where(good, own, images)


def _ctf(found: Particles, tables: Tables, options: Options) -> None:
    columns, numbers = tables.particles, found.numbers
    if "defocus_u" in found and "defocus_v" in found and "defocus_angle" in found:
        angle = np.degrees(numbers["defocus_angle"].astype(np.float64))
        columns["rlnDefocusU"] = numbers["defocus_u"].astype(np.float64)
        columns["rlnDefocusV"] = numbers["defocus_v"].astype(np.float64)
        columns["rlnDefocusAngle"] = -angle if options.mirrored else angle
    else:
        tables.absent.append("rlnDefocusU, rlnDefocusV, rlnDefocusAngle: the dataset has no CTF.")
    phase = numbers.get("phase_shift")  # no phase plate where none is told
    columns["rlnPhaseShift"] = np.zeros(found.n) if phase is None else np.degrees(phase.astype(np.float64))
    if "bfactor" in found:
        columns["rlnCtfBfactor"] = numbers["bfactor"].astype(np.float64)
    if "ctf_scale" in found and (numbers["ctf_scale"] != 1).any():
        columns["rlnCtfScalefactor"] = numbers["ctf_scale"].astype(np.float64)
    for key, label in (("ctf_score", "rlnCtfFigureOfMerit"), ("ctf_resolution", "rlnCtfMaxResolution")):
        if key in found:
            columns[label] = numbers[key].astype(np.float64)


def _labels(found: Particles, tables: Tables, optics: Optics) -> None:
    columns, numbers = tables.particles, found.numbers
    if "filament" in found:
        columns["rlnHelicalTubeID"] = _tubes(found)
        if "filament_position" in found:
            columns["rlnHelicalTrackLengthAngst"] = _along(found, columns["rlnHelicalTubeID"])
    if "pick_score" in found:
        columns["rlnAutopickFigureOfMerit"] = numbers["pick_score"].astype(np.float64)
    columns["rlnOpticsGroup"] = optics.group
    split = numbers.get("align_split")
    if split is not None and found.n:
        if (split == split[0]).all():
            tables.absent.append("rlnRandomSubset: all particles are in one half.")
        else:
            columns["rlnRandomSubset"] = split.astype(np.int64) + 1
    if "align_class" in found:
        columns["rlnClassNumber"] = numbers["align_class"].astype(np.int64) + 1
    posterior = numbers.get("align_class_posterior")
    if posterior is not None and posterior.ndim == 1 and (posterior != 1).any():
        columns["rlnMaxValueProbDistribution"] = posterior.astype(np.float64)


def _tubes(found: Particles) -> np.ndarray:
    """Filaments (n,) numbered 1, 2, ... within every micrograph, in the order of the rows."""
    micrograph = found.texts["micrograph"].which if "micrograph" in found else np.zeros(found.n, np.int32)
    numbered: dict[int, dict[int, int]] = {}
    tubes = np.empty(found.n, np.int64)
    for row, (where, uid) in enumerate(zip(micrograph.tolist(), found.numbers["filament"].tolist(), strict=True)):
        here = numbered.setdefault(where, {})
        tubes[row] = here.setdefault(uid, len(here) + 1)
    return tubes


def _along(found: Particles, tubes: Any) -> np.ndarray:
    """Length (n,) in Å from the first particle of every filament."""
    position = found.numbers["filament_position"].astype(np.float64)
    _, which = np.unique(found.numbers["filament"], return_inverse=True)
    start = np.full(int(which.max(initial=-1)) + 1, np.inf)
    np.minimum.at(start, which, position)
    return position - start[which]


def _refuse_guessing(found: Particles, tables: Tables) -> None:
    """What RELION could hold, but whose sign or order nobody has verified: said, not written."""
    for key, what, label in (
        ("trefoil", "Trefoil", "rlnOddZernike"),
        ("tetrafoil", "Tetrafoil", "rlnEvenZernike"),
        ("ctf_shift", "A shift of the CTF", ""),
    ):
        values = found.numbers.get(key)
        if values is not None and np.any(values):
            reason = f"its conversion to {label} is not verified" if label else "RELION has no column for it"
            tables.warnings.append(f"{what} is not zero and was not written: {reason}. Refine it again in RELION.")
    if "filament_angle" in found:
        tables.warnings.append(
            "Filament angles were not written as rlnAnglePsiPrior: programs disagree about them by 90 degrees."
        )
    if found.classes > 1:
        tables.warnings.append(
            f"Every particle goes with the most probable of its {found.classes} classes; the others are not written."
        )
    if not found.n:
        tables.absent.append("particles: the dataset has no rows.")
