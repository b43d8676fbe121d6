"""From CryoSPARC's rotation vectors to RELION's Euler angles, in double precision, without a matrix.

CryoSPARC's pose is a rotation vector (axis times angle, radians); its rotation, applied to columns, is
Rz(rot) Ry(tilt) Rz(psi) in RELION's angles (ZYZ; RELION's matrix is its transpose).
"""

from __future__ import annotations

import numpy as np

_GIMBAL = 1e-9  # sine of half the tilt (or its cosine) below which rot and psi turn about the same axis


def to_euler(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """rot, tilt, psi (n,) in degrees of rotation vectors (n, 3) in radians.

    rot and psi lie in (-180, 180], tilt in [0, 180]. Where tilt is 0 or 180 only one of rot and psi is
    determined: rot is 0 there.
    """
    x, y, z, w = _quaternion(np.asarray(pose, np.float64))
    along, across = np.hypot(w, z), np.hypot(x, y)
    tilt = 2.0 * np.arctan2(across, along)
    half_sum, half_difference = np.arctan2(z, w), np.arctan2(x, y)  # of psi and rot: (psi + rot) / 2, (psi - rot) / 2
    rot, psi = half_sum - half_difference, half_sum + half_difference
    flat, over = across < _GIMBAL, along < _GIMBAL
    psi = np.where(flat, 2.0 * half_sum, np.where(over, 2.0 * half_difference, psi))
    rot = np.where(flat | over, 0.0, rot)
    return wrapped(np.degrees(rot)), np.degrees(tilt), wrapped(np.degrees(psi))


def _quaternion(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x, y, z, w (n,) of rotation vectors (n, 3)."""
    angle = np.sqrt(np.einsum("ij,ij->i", pose, pose))
    scale = 0.5 * np.sinc(angle / (2.0 * np.pi))  # sin(angle / 2) / angle, also at 0
    x, y, z = (pose * scale[:, None]).T
    return x, y, z, np.cos(0.5 * angle)


def wrapped(degrees: np.ndarray) -> np.ndarray:
    """The same angles in (-180, 180]."""
    return 180.0 - np.mod(180.0 - degrees, 360.0)
