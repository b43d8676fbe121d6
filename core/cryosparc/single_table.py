"""The one table of RELION 3.0 and before: optics stand in every row, shifts are in pixels of the images."""

from __future__ import annotations

import numpy as np

from core.cryosparc.tables import Tables

_MAGNIFICATION = 10_000.0  # with a detector pixel of so many µm as the image pixel has Å, RELION computes that pixel
_OLD_LABELS = {"rlnOriginXAngst": "rlnOriginX", "rlnOriginYAngst": "rlnOriginY"}
_IN_ROWS = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnBeamTiltX", "rlnBeamTiltY")


def join_optics(tables: Tables) -> None:
    """Turn `tables` into the old form, in place; what that form cannot hold is added to `absent`."""
    group = np.asarray(tables.particles.pop("rlnOpticsGroup")) - 1
    optics = {label: np.asarray(values) for label, values in tables.optics.items()}
    pixel = optics["rlnImagePixelSize"][group] if "rlnImagePixelSize" in optics else None
    columns = {}
    for label, values in tables.particles.items():
        if label in _OLD_LABELS:
            if pixel is None:
                tables.absent.append(f"{_OLD_LABELS[label]}: the pixel size of the images is not known.")
                continue
            columns[_OLD_LABELS[label]] = np.asarray(values) / pixel
        else:
            columns[label] = values
    for label in _IN_ROWS:
        if label in optics:
            columns[label] = optics[label][group]
    if pixel is not None:
        columns["rlnMagnification"] = np.full(tables.n, _MAGNIFICATION)
        columns["rlnDetectorPixelSize"] = pixel
    lost = [label for label in optics if label.startswith("rlnMagMat")]
    if lost:
        tables.absent.append(f"{', '.join(lost)}: RELION 3.0 has no place for them.")
    tables.particles, tables.optics = columns, {}
