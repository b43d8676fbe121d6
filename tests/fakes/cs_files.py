"""Small CryoSPARC datasets for tests, in both containers. Simulated values in CryoSPARC's real layout."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa

UID = "000090334788266266069_"
NY, NX = 4092, 5760


def particles(n: int = 12, seed: int = 0, **columns: np.ndarray) -> np.ndarray:
    """Particles with images, CTF, 3D alignments and locations; `columns` replace or add some (None takes away)."""
    rng = np.random.default_rng(seed)
    mic = np.arange(n) % 3
    given = {
        "uid": rng.permutation(np.arange(n, dtype=np.uint64) + np.uint64(2**63)),
        "blob/path": np.array([f">J5/extract/{UID}mic{i + 9}_particles.mrcs".encode() for i in mic]),
        "blob/idx": (np.arange(n) // 3).astype(np.uint32),
        "blob/shape": np.full((n, 2), 180, np.uint32),
        "blob/psize_A": np.full(n, 2.5, np.float32),
        "ctf/exp_group_id": np.zeros(n, np.uint32),
        "ctf/accel_kv": np.full(n, 300, np.float32),
        "ctf/cs_mm": np.full(n, 2.7, np.float32),
        "ctf/amp_contrast": np.full(n, 0.1, np.float32),
        "ctf/df1_A": rng.uniform(5000, 25000, n).astype(np.float32),
        "ctf/df2_A": rng.uniform(5000, 25000, n).astype(np.float32),
        "ctf/df_angle_rad": rng.uniform(-3, 3, n).astype(np.float32),
        "ctf/phase_shift_rad": rng.uniform(0, 3, n).astype(np.float32),
        "alignments3D/pose": rng.normal(size=(n, 3)).astype(np.float32),
        "alignments3D/shift": rng.normal(0, 5, (n, 2)).astype(np.float32),
        "alignments3D/psize_A": np.full(n, 2.5, np.float32),
        "alignments3D/split": (np.arange(n) % 2).astype(np.uint32),
        "alignments3D/class": np.zeros(n, np.uint32),
        "location/micrograph_path": np.array([f"J3/motioncorrected/{UID}mic{i + 9}.mrc".encode() for i in mic]),
        "location/micrograph_shape": np.tile(np.array([NY, NX], np.uint32), (n, 1)),
        "location/center_x_frac": rng.random(n).astype(np.float32),
        "location/center_y_frac": rng.random(n).astype(np.float32),
    } | {name.replace("__", "/"): values for name, values in columns.items()}
    return table({name: values for name, values in given.items() if values is not None})


def table(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Columns as a structured array."""
    kinds = [(name, v.dtype, v.shape[1:]) if v.ndim > 1 else (name, v.dtype) for name, v in columns.items()]
    rows = np.empty(len(next(iter(columns.values()))), kinds)
    for name, values in columns.items():
        rows[name] = values
    return rows


def only(rows: np.ndarray, *prefixes: str) -> np.ndarray:
    """uid and the columns that begin with one of `prefixes`."""
    return table({n: rows[n] for n in rows.dtype.names if n == "uid" or n.startswith(prefixes)})


def save(path: Path, rows: np.ndarray) -> Path:
    """As CryoSPARC writes its .cs files: numpy's container under another ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        np.lib.format.write_array(stream, rows, allow_pickle=False)
    return path


def csdat(rows: np.ndarray, compress: bool = True) -> bytes:
    """The same rows in CryoSPARC's compressed container; texts become offsets into a heap."""
    fields, parts, heap = [], [], bytearray(b"\0")
    for name in rows.dtype.names:
        values = np.ascontiguousarray(rows[name])
        if values.dtype.kind == "S":
            places = []
            for text in values.tolist():
                places.append(len(heap))
                heap += text + b"\0"
            fields.append([name, "|O"])
            values = np.array(places, np.uint64)
        else:
            fields.append([name, values.dtype.str, *([list(values.shape[1:])] if values.ndim > 1 else [])])
        raw = values.tobytes()
        parts.append(pa.compress(raw, "lz4_raw", asbytes=True) if compress and name != "uid" else raw)
    packed = [name for name in rows.dtype.names if name != "uid"] if compress else []
    header = {"length": len(rows), "dtype": fields, "compression": "lz4", "compressed_fields": packed}
    text = json.dumps(header).encode()
    body = b"".join(struct.pack("<I", len(part)) + part for part in parts) if len(rows) else b""
    return b"\x95CSDAT" + struct.pack("<I", len(text)) + text + body + bytes(heap)
