"""The microscope's optics per image, and its contrast transfer with astigmatism, phase shift and envelope.

Sign: particles are light, so the CTF is positive at low frequency for underfocus:
CTF = scale exp(-B k^2 / 4) sin(pi lambda dz(k) k^2 - pi/2 Cs lambda^3 k^4 + asin(w) + phase shift), RELION's, and
torch-ctf's (tests/physics/test_optics.py holds them together). Micrographs as they come, where particles are dark,
have the isotropic transfer of ctf.py, which has the opposite sign.
Grids are numpy's rfft2 grids, unshifted. dz(k) is the defocus along k; angles count from the x axis (columns) towards
y (rows).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from core.physics.ctf import electron_wavelength_a

_BLOCK = 1 << 17  # values of one block: about what a core's cache holds in double precision


@dataclass(frozen=True, eq=False)
class Optics:
    """The optics of n images: float64 arrays (n,), as RELION names them. Build with `Optics.of`."""

    voltage_kv: np.ndarray
    cs_mm: np.ndarray
    amplitude_contrast: np.ndarray  # 0 ... 1
    defocus_u_a: np.ndarray  # underfocus is positive
    defocus_v_a: np.ndarray
    defocus_angle_deg: np.ndarray  # from the x axis to the axis of U
    phase_shift_deg: np.ndarray
    b_factor_a2: np.ndarray
    scale: np.ndarray

    @staticmethod
    def of(
        defocus_u_a: float | np.ndarray,
        defocus_v_a: float | np.ndarray | None = None,
        defocus_angle_deg: float | np.ndarray = 0.0,
        *,
        voltage_kv: float | np.ndarray = 300.0,
        cs_mm: float | np.ndarray = 2.7,
        amplitude_contrast: float | np.ndarray = 0.1,
        phase_shift_deg: float | np.ndarray = 0.0,
        b_factor_a2: float | np.ndarray = 0.0,
        scale: float | np.ndarray = 1.0,
    ) -> Optics:
        """Optics from numbers and arrays, spread to one length; without V there is no astigmatism.

        ValueError for lengths that differ and for values that are no optics (not finite, no voltage, contrast > 1).
        """
        given = [voltage_kv, cs_mm, amplitude_contrast, defocus_u_a]
        given += [defocus_u_a if defocus_v_a is None else defocus_v_a]
        given += [defocus_angle_deg, phase_shift_deg, b_factor_a2, scale]
        columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, np.float64)) for v in given))
        if columns[0].ndim != 1 or not all(np.isfinite(c).all() for c in columns):
            raise ValueError("optics are finite numbers, one per image")
        optics = Optics(*(np.ascontiguousarray(c) for c in columns))
        if (optics.voltage_kv <= 0).any() or (np.abs(optics.amplitude_contrast) > 1).any():
            raise ValueError("a voltage must be above 0 and an amplitude contrast between 0 and 1")
        return optics

    def __len__(self) -> int:
        return len(self.voltage_kv)

    def take(self, rows: np.ndarray | slice) -> Optics:
        """The optics of some images: indices, a mask or a slice."""
        return Optics(*(getattr(self, f.name)[rows] for f in fields(self)))


def ctf_grid(optics: Optics, shape: int | tuple[int, int], pixel_size_a: float) -> np.ndarray:
    """CTF of every image on its rfft2 grid: float32 (n, height, width // 2 + 1); `shape` is a box or (height, width).

    The phase is summed in double precision and brought into one turn before the sine: right to 1e-6 at any defocus.
    """
    height, width = (shape, shape) if isinstance(shape, int) else shape
    ky, kx = np.fft.fftfreq(height, pixel_size_a), np.fft.rfftfreq(width, pixel_size_a)
    out = np.empty((len(optics), height, kx.size), np.float32)
    turns_of = _turns(optics)
    rows = min(height, max(1, _BLOCK // kx.size))
    images = max(1, _BLOCK // (rows * kx.size))
    for top in range(0, height, rows):
        y = ky[top : top + rows, None]
        basis = _basis(y, kx)
        for first in range(0, len(optics), images):
            some = slice(first, first + images)
            turns = turns_of[some] @ basis
            turns -= np.rint(turns)
            block = turns.astype(np.float32)
            block *= np.float32(2 * np.pi)
            np.sin(block, out=block)
            block = block.reshape(-1, y.size, kx.size)
            _damp(block, optics.take(some), y, kx)
            out[some, top : top + rows] = block
    return out


def _turns(optics: Optics) -> np.ndarray:
    """Factors (n, 5) of the basis functions: their sum is the phase in whole turns."""
    wavelength = electron_wavelength_a(optics.voltage_kv)
    mean, deviation = (optics.defocus_u_a + optics.defocus_v_a) / 2, (optics.defocus_u_a - optics.defocus_v_a) / 2
    twice = 2 * np.deg2rad(optics.defocus_angle_deg)
    constant = np.arcsin(optics.amplitude_contrast) / np.pi + optics.phase_shift_deg / 180
    columns = [
        wavelength * mean,
        wavelength * deviation * np.cos(twice),
        wavelength * deviation * np.sin(twice),
        -0.5 * optics.cs_mm * 1e7 * wavelength**3,
        constant,
    ]
    return 0.5 * np.stack(columns, axis=1)


def _basis(ky: np.ndarray, kx: np.ndarray) -> np.ndarray:
    """k^2, k^2 cos 2t, k^2 sin 2t, k^4 and 1 at frequencies (h, 1) and (w,), t the angle of k: (5, h w)."""
    x2, y2 = kx * kx, ky * ky
    squared = x2 + y2
    functions = [squared, x2 - y2, 2 * kx * ky, squared * squared, np.ones_like(squared)]
    return np.stack(functions).reshape(5, -1)


def _damp(block: np.ndarray, optics: Optics, ky: np.ndarray, kx: np.ndarray) -> None:
    """Scale and envelope, where there are any, in place."""
    if (optics.scale != 1).any():
        block *= optics.scale.astype(np.float32)[:, None, None]
    if optics.b_factor_a2.any():
        quarter = -0.25 * optics.b_factor_a2[:, None, None]
        block *= np.exp(quarter * (ky * ky)).astype(np.float32)
        block *= np.exp(quarter * (kx * kx)).astype(np.float32)
