"""Small CryoSPARC datasets in both containers, and what reads, selects and converts them, for fuzz_formats.py."""

from __future__ import annotations

import io
import json
import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROWS = 6
COLUMNS = [
    ("uid", "<u8"), ("blob/path", "S24"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,)), ("blob/psize_A", "<f4"),
    ("location/micrograph_path", "S32"), ("location/micrograph_shape", "<u4", (2,)),
    ("location/center_x_frac", "<f4"), ("location/center_y_frac", "<f4"),
    ("ctf/df1_A", "<f4"), ("ctf/df2_A", "<f4"), ("ctf/df_angle_rad", "<f4"), ("ctf/accel_kv", "<f4"),
    ("ctf/cs_mm", "<f4"), ("ctf/amp_contrast", "<f4"), ("ctf/exp_group_id", "<u4"), ("ctf/anisomag", "<f4", (4,)),
    ("alignments3D/pose", "<f4", (3,)), ("alignments3D/shift", "<f4", (2,)), ("alignments3D/psize_A", "<f4"),
    ("alignments3D/split", "<u4"),
]  # fmt: skip


def table() -> np.ndarray:
    """Particles with all that a conversion uses."""
    rng = np.random.default_rng(0)
    rows = np.zeros(ROWS, COLUMNS)
    for name in rows.dtype.names or ():
        kind = rows.dtype[name].base.kind
        if kind == "f":
            rows[name] = rng.random(rows[name].shape)
        elif kind == "u":
            rows[name] = rng.integers(1, 300, rows[name].shape)
    rows["uid"] = rng.integers(1 << 60, 1 << 63, ROWS)
    rows["blob/path"] = [f"J1/extract/{i // 3}.mrc" for i in range(ROWS)]
    rows["location/micrograph_path"] = [f"J1/imported/{10**20 + i // 3}_m.mrc" for i in range(ROWS)]
    for name, value in (("ctf/df1_A", 15000), ("ctf/df2_A", 14000), ("ctf/accel_kv", 300), ("ctf/cs_mm", 2.7)):
        rows[name] = value
    return rows


def npy_seeds(folder: Path) -> list[bytes]:
    stream, short = io.BytesIO(), io.BytesIO()
    np.save(stream, table())
    np.save(short, table()[["uid", "blob/path", "alignments3D/pose"]])
    return [stream.getvalue(), short.getvalue()]


def csdat_seeds(folder: Path) -> list[bytes]:
    """Every second column is packed; texts lie in a heap."""
    import pyarrow as pa

    rows = table()
    fields, packed, parts, heap = [], [], [], bytearray(b"\0")
    for number, name in enumerate(rows.dtype.names or ()):
        base, shape = rows.dtype[name].base, list(rows.dtype[name].shape)
        values = rows[name]
        if base.kind == "S":
            places = []
            for text in values.tolist():
                places.append(len(heap))
                heap += text + b"\0"
            values = np.array(places, "<u8")
        raw = values.tobytes()
        if number % 2:
            packed.append(name)
            raw = pa.compress(raw, codec="lz4_raw", asbytes=True)
        fields.append([name, "|O" if base.kind == "S" else base.str, *([shape] if shape else [])])
        parts.append(struct.pack("<I", len(raw)) + raw)
    header = json.dumps({"length": ROWS, "dtype": fields, "compression": "lz4", "compressed_fields": packed}).encode()
    return [b"\x95CSDAT" + struct.pack("<I", len(header)) + header + b"".join(parts) + bytes(heap)]


def header_inside(data: bytes, change: Callable[[bytes], bytes], rng: random.Random) -> bytes:
    """Another header, with its true length before it, in front of the same rows: both containers."""
    size, kind = (4, "<I") if data[1:6] == b"CSDAT" else (2, "<H")
    start = 6 if size == 4 else 8
    end = start + size + struct.unpack_from(kind, data, start)[0]
    header = change(data[start + size : end])[: (1 << 8 * size) - 1]
    return data[:start] + struct.pack(kind, len(header)) + header + data[end:]


def read(path: Path) -> None:
    from core.io.cs import open_cs, read_blocks, read_columns

    file = open_cs(path)
    for block in read_blocks(file, lambda name: True, 4):
        assert {len(values) for values in block.values()} <= set(range(1, 5))
    assert {len(values) for values in read_columns(path).values()} <= {file.n}


def select(path: Path) -> None:
    from core.io.cs import open_cs
    from core.io.cs_write import write_selected

    file = open_cs(path)
    keep = np.arange(file.n) % 2 == 0
    write_selected(file, keep, path.with_name("selected.cs"))
    assert open_cs(path.with_name("selected.cs")).n == int(keep.sum())


def convert(path: Path) -> None:
    from core.cryosparc import conversion, outputs
    from core.cryosparc.find import Chosen
    from core.cryosparc.tables import Options

    tables = conversion.run(Chosen(path, (), ""), Options(keep_uid=True)).tables
    files, _ = outputs.variants(tables)
    if tables.n:
        outputs.write(path.parent / "class1", tables, files, "", path.name)
