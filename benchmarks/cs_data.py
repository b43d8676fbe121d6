"""Simulated CryoSPARC datasets in the layout of a refinement's exported particles, for benchmarks.cs2star.

`python -m benchmarks.cs_data FOLDER ROWS` writes four files: whole.cs, main.cs with passthrough.cs (shuffled), and
packed.cs (the CSDAT container). The same every time. Run it as a process of its own: a child started from a process
that once held much memory counts that memory as its own peak.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np

PER_MICROGRAPH = 250
NY, NX = 4092, 5760
BOX = 360
PIXEL_A = 0.83
WHOLE, MAIN, PASSTHROUGH, PACKED = "whole.cs", "main.cs", "passthrough.cs", "packed.cs"
_UID_STEP = 0x9E3779B97F4A7C15  # odd: multiples of it differ modulo 2^64
_SCALARS = ("error", "error_min", "resid_pow", "slice_pow", "image_pow", "cross_cor", "alpha", "weight")
_NAME = "{:021d}_{:08d}_EER_patch_aligned_doseweighted"


def particles(n: int) -> np.ndarray:
    """Structured array (n,): 38 columns, 348 bytes a row, 250 particles in each micrograph."""
    rng = np.random.default_rng(n)
    of = np.arange(n) // PER_MICROGRAPH
    columns: dict[str, Any] = {
        "uid": (np.arange(1, n + 1, dtype=np.uint64) * np.uint64(_UID_STEP)),
        "blob/path": _names(">J5/extract/", _NAME + "_particles.mrc", of),
        "blob/idx": (np.arange(n) % PER_MICROGRAPH).astype(np.uint32),
        "blob/shape": np.full((n, 2), BOX, np.uint32),
        "blob/psize_A": np.float32(PIXEL_A),
        "blob/sign": np.float32(-1),
        "ctf/type": b"imported",
        "ctf/exp_group_id": (of % 4).astype(np.uint32),
        "ctf/accel_kv": np.float32(300),
        "ctf/cs_mm": np.float32(2.7),
        "ctf/amp_contrast": np.float32(0.1),
        "ctf/df1_A": rng.uniform(8000, 25000, n).astype(np.float32),
        "ctf/df2_A": rng.uniform(8000, 25000, n).astype(np.float32),
        "ctf/df_angle_rad": rng.uniform(-np.pi, np.pi, n).astype(np.float32),
        "ctf/phase_shift_rad": np.float32(0),
        "ctf/scale": np.float32(1),
        "ctf/bfactor": np.float32(0),
        "alignments3D/split": rng.integers(0, 2, n, np.uint32),
        "alignments3D/shift": rng.normal(0, 4, (n, 2)).astype(np.float32),
        "alignments3D/pose": rng.normal(0, 1.2, (n, 3)).astype(np.float32),
        "alignments3D/psize_A": np.float32(PIXEL_A),
        **{f"alignments3D/{key}": rng.gamma(9, 100, n).astype(np.float32) for key in _SCALARS},
        "alignments3D/class_posterior": np.float32(1),
        "alignments3D/class": np.uint32(0),
        "alignments3D/class_ess": np.float32(1),
        "location/micrograph_uid": of.astype(np.uint64),
        "location/exp_group_id": (of % 4).astype(np.uint32),
        "location/micrograph_path": _names(">J3/motioncorrected/", _NAME + ".mrc", of),
        "location/micrograph_shape": np.tile(np.array([NY, NX], np.uint32), (n, 1)),
        "location/center_x_frac": rng.random(n, np.float32),
        "location/center_y_frac": rng.random(n, np.float32),
    }
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    rows = np.empty(n, [(name, v.dtype, v.shape[1:]) for name, v in arrays.items()])
    for name, values in arrays.items():
        rows[name] = values
    return rows


def _names(folder: str, pattern: str, of: np.ndarray) -> np.ndarray:
    """One name for each micrograph number in `of`, as bytes of fixed length."""
    count = int(of[-1]) + 1 if len(of) else 0
    names = [(folder + pattern.format(9033478826626606 + 7919 * i, 20415000 + i)).encode() for i in range(count)]
    return np.array(names, "S")[of]


def write(folder: Path, n: int) -> None:
    """The four files with `n` rows in each."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = particles(n)
    _save(folder / WHOLE, rows)
    _save_packed(folder / PACKED, rows)
    names = rows.dtype.names or ()
    _save(folder / MAIN, _only(rows, [name for name in names if not name.startswith("location/")]))
    shuffled = np.random.default_rng(1).permutation(n)
    _save(folder / PASSTHROUGH, _only(rows, ["uid", *(c for c in names if c.startswith("location/"))])[shuffled])


def _only(rows: np.ndarray, names: list[str]) -> np.ndarray:
    chosen = np.empty(len(rows), [(name, rows.dtype[name]) for name in names])
    for name in names:
        chosen[name] = rows[name]
    return chosen


def _save(path: Path, rows: np.ndarray) -> None:
    with path.open("wb") as stream:
        np.lib.format.write_array(stream, rows, allow_pickle=False)


def _save_packed(path: Path, rows: np.ndarray) -> None:
    """CSDAT: a JSON header, one LZ4 block for each column; texts are offsets into a heap of different texts."""
    import pyarrow

    fields, blocks, heap = [], [], bytearray(b"\0")
    names = rows.dtype.names or ()
    for name in names:
        values = np.ascontiguousarray(rows[name])
        if values.dtype.kind == "S":
            texts, which = np.unique(values, return_inverse=True)
            places = []
            for text in texts.tolist():
                places.append(len(heap))
                heap += text + b"\0"
            fields.append([name, "|O"])
            values = np.array(places, np.uint64)[which]
        else:
            fields.append([name, values.dtype.str, *([list(values.shape[1:])] if values.ndim > 1 else [])])
        blocks.append(bytes(pyarrow.compress(values.tobytes(), "lz4_raw", asbytes=True)))
    header = {"length": len(rows), "dtype": fields, "compression": "lz4", "compressed_fields": list(names)}
    text = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(b"\x95CSDAT" + struct.pack("<I", len(text)) + text)
        for block in blocks:
            stream.write(struct.pack("<I", len(block)) + block)
        stream.write(heap)


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
