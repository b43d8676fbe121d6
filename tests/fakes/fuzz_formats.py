"""The formats whose readers are fuzzed: small valid files made here, and what reads them. One entry per format."""

from __future__ import annotations

import bz2
import dataclasses
import functools
import gzip
import io
import json
import os
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import fuzz_cs
import numpy as np

Mutate = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Format:
    """`seeds(folder)`: valid files. `readers`: all may raise nothing but AppError. `suffix` of the file that is read.

    `inside(data, mutate, rng)` changes what a container holds and closes it properly again. `beside`: files that
    lie beside the input, by suffix. `known`: faults that are known and not looked for, as `fault_of` names them.
    """

    suffix: str
    seeds: Callable[[Path], list[bytes]]
    readers: tuple[Callable[[Path], object], ...]
    inside: Callable[[bytes, Mutate, random.Random], bytes] | None = None
    beside: Callable[[Path], dict[str, bytes]] = lambda folder: {}
    known: tuple[str, ...] = field(default=())


def _mrc_seeds(folder: Path) -> list[bytes]:
    import mrcfile

    rng = np.random.default_rng(0)
    seeds = []
    for shape, dtype in (((9, 14), np.float32), ((7, 12), np.int16), ((3, 6, 8), np.float16), ((5, 6), np.int8)):
        with mrcfile.new(folder / "s.mrc", (rng.standard_normal(shape) * 30).astype(dtype), overwrite=True) as mrc:
            mrc.voxel_size = 1.5
        seeds.append((folder / "s.mrc").read_bytes())
    header = bytearray(seeds[0][:1024])
    header[92:96] = (80).to_bytes(4, "little")
    return [*seeds, bytes(header) + bytes(80) + seeds[0][1024:]]


def _read_mrc(path: Path) -> None:
    from core.io.mrc import open_mrc, read_extended_header, read_header, read_image

    info = read_header(path)
    read_extended_header(info)
    assert np.isfinite(read_image(path)).all()
    read_image(path, info.shape[0] - 1)
    np.array(open_mrc(path))


def _read_source(path: Path) -> None:
    from core.images.source import open_source

    source = open_source(path)
    source.read(0)


def _packed(pack: Callable[[bytes], bytes], unpack: Callable[[bytes], bytes]):
    return lambda data, change, rng: pack(change(unpack(data)))


def _tiff_seeds(folder: Path) -> list[bytes]:
    import tifffile

    rng = np.random.default_rng(0)
    seeds = []
    for dtype, options in (
        ("float32", {}),
        ("uint16", {"compression": "zlib", "rowsperstrip": 4}),
        ("uint8", {"tile": (16, 16)}),
        ("int16", {"byteorder": ">", "bigtiff": True}),
    ):
        stream = io.BytesIO()
        tifffile.imwrite(stream, (rng.random((10, 13)) * 99).astype(dtype), photometric="minisblack", **options)
        seeds.append(stream.getvalue())
    return seeds


def _read_tiff(path: Path) -> None:
    from core.io.tiff import read_tiff, read_tiff_header

    info = read_tiff_header(path)
    assert np.isfinite(read_tiff(path)).all()
    read_tiff(path, info.shape[0] - 1)


def _tiff_rows(path: Path) -> None:
    from core.io.rows import read_rows
    from core.io.tiff import tiff_rows

    layout = tiff_rows(path)
    if layout is not None:
        read_rows(layout)


RELION = b"""
data_optics

loop_
_rlnOpticsGroup #1
_rlnImagePixelSize #2
1 1.5

data_particles

loop_
_rlnMicrographName #1
_rlnCoordinateX #2
_rlnCoordinateY #3
_rlnAutopickFigureOfMerit #4
MotionCorr/job002/mic_0.mrc 10.5 20.25 0.5
MotionCorr/job002/mic_0.mrc 30 40 -1e-3
"name with blanks.mrc" 50.125 60 0
"""
NOISE = b"""# made by hand
data_noise_boxes

loop_
_rlnMicrographName #1
_rlnCoordinateX #2
_rlnCoordinateY #3
_vitreousBoxSize #4
a.mrc 10 20 64
b.mrc 30 40 64
"""
SINGLE = (
    b"data_general\n\n_rlnTag 3\n_rlnName 'two words'\n\ndata_\n\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n1 2\n3 4\n\n"
)
BOXES = [b"10\t20\t64\t64\n-5\t7\t64\t64\n", b"1.5 2.5 32 32 0.25\n\n# x\n9 9 32 32 1\n"]
POINTS = [b"a.mrc 10 20\nname with blanks.mrc 30 40\n# x\nb.mrc 1 2\n"]


def _read_star(path: Path) -> None:
    from core.io.star import read_star

    read_star(path)


def _select_star(path: Path) -> None:
    from core.io.star_select import column, scan, write_selected

    rows = scan(path)
    column(path, rows, rows.columns[-1])
    write_selected(path, rows, np.arange(rows.n) % 2 == 0, path.with_name("selected.star"))


def _read_particles(path: Path) -> None:
    from core.io.coordinates import read_particles

    for xy in read_particles(path).values():
        assert np.isfinite(xy).all()
        assert xy.shape[1:] == (2,)


def _read_noise(path: Path) -> None:
    from core.io.coordinates import read_noise_boxes

    for xy in read_noise_boxes(path).positions.values():
        assert np.isfinite(xy).all()
        assert xy.shape[1:] == (2,)


def _model(folder: Path):
    import torch

    from core.denoising.blend import SHELLS
    from core.denoising.model import FORMAT, Facts, save_denoiser
    from core.denoising.unet import UNet

    torch.manual_seed(0)
    net = UNet((1, 2))
    facts = Facts(
        method="noise-transfer", widths=(1, 2), particle_diameter_px=24.0, pixel_size_a=2.5, canonical_diameter=24.0,
        calibration=1.0, sign=1.0, snr=0.5, steps=1, val_loss=1.0, gate=(-0.5, 0.5), blend=((0.5,) * SHELLS,) * 3,
    )  # fmt: skip
    save_denoiser(folder / "s.safetensors", net.state_dict(), facts)
    beside = json.dumps({"format": FORMAT, **dataclasses.asdict(facts)}).encode()
    return net.state_dict(), (folder / "s.safetensors").read_bytes(), beside


def _safetensors_seeds(folder: Path) -> list[bytes]:
    return [_model(folder)[1]]


def _pth_seeds(folder: Path) -> list[bytes]:
    import torch

    state = _model(folder)[0]
    seeds = []
    for content in (state, {"epoch": 3, "state_dict": {f"module.{k}": v.half() for k, v in state.items()}}):
        torch.save(content, folder / "s.pth")
        seeds.append((folder / "s.pth").read_bytes())
    return seeds


def _read_model(path: Path) -> None:
    import torch

    from core.denoising.model import load_model

    net = load_model(path, torch.device("cpu")).net
    assert all(bool(w.isfinite().all()) for w in net.parameters())


def _read_weights(path: Path) -> None:
    from core.io.checkpoint import read_weights

    read_weights(path)


def _parts_seeds(folder: Path) -> list[bytes]:
    from core.denoising.parts import NAMES, Parts, save_parts

    rng = np.random.default_rng(0)
    parts = Parts(*(rng.random((6, 7), np.float32) for _ in NAMES))
    save_parts(folder / "p.safetensors", parts, 17.25, {"model": "ab", "n": 3})
    return [(folder / "p.safetensors").read_bytes()]


def _read_parts(path: Path) -> None:
    from core.denoising.parts import load_parts

    load_parts(path)


def _library_seeds(folder: Path) -> list[bytes]:
    from core.physics.library_file import save_library
    from core.physics.phantom import BOX, Library

    projections = np.random.default_rng(0).random((2, 1, BOX, BOX), np.float32)
    save_library(folder / "library", Library(projections, ("a", "b"), ("deposited", "shell")), {"seed": 3})
    return [(folder / "library" / "library.safetensors").read_bytes()]


def _read_library(path: Path) -> None:
    from core.physics.library_file import open_library

    assert np.isfinite(open_library(path).projections).all()


def _header_inside(data: bytes, change: Mutate, rng: random.Random) -> bytes:
    """Another JSON header of a safetensors file, with its true length before it."""
    length = int.from_bytes(data[:8], "little")
    header = change(data[8 : 8 + length])
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def _member_inside(data: bytes, change: Mutate, rng: random.Random) -> bytes:
    """Another content of one member of a zip archive, mostly of the pickle; checksums and sizes are right again."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(m.filename, archive.read(m)) for m in archive.infolist()]
    names = [name for name, _ in members]
    chosen = next(n for n in names if n.endswith("data.pkl")) if rng.random() < 0.8 else rng.choice(names)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", rng.choice((zipfile.ZIP_STORED,) * 9 + (zipfile.ZIP_DEFLATED,))) as archive:
        for name, content in members:
            archive.writestr(name, change(content) if name == chosen else content)
    return stream.getvalue()


def _trust_seeds(folder: Path) -> list[bytes]:
    stream = io.BytesIO()
    np.save(stream, np.random.default_rng(0).random((5, 6), np.float32))
    return [stream.getvalue()]


def _index_seeds(folder: Path) -> list[bytes]:
    seeds = []
    for values in (np.arange(9), np.array([True, False, True]), np.array([1.0, 5.0], ">f8")):
        stream = io.BytesIO()
        np.save(stream, values)
        seeds.append(stream.getvalue())
    return seeds


def _read_indices(path: Path) -> None:
    from core.jobs.subset import _indices_of

    rows = _indices_of(path, 1000)
    assert rows.ndim == 1
    assert rows.dtype == np.int64


def _read_picture(path: Path) -> None:
    from core.denoising.trust_files import read_trust

    (path.parent / "pictures").mkdir(exist_ok=True)
    (path.parent / "pictures" / "a.npy").write_bytes(path.read_bytes())
    picture = {"key": "a", "group": "g", "title": "t", "levels": [0, 1]}
    answer = {"format": 1, "verdict": "green", "checks": [], "curves": [], "pictures": [picture]}
    (path.parent / "trust.json").write_text(json.dumps(answer))
    read_trust(path.parent)


CS = (fuzz_cs.read, fuzz_cs.select, fuzz_cs.convert)
MRC = (_read_mrc, _read_source)
POSITIONS = (_read_particles, _read_noise)
FORMATS: dict[str, Format] = {
    "mrc": Format(".mrc", _mrc_seeds, MRC),
    "mrc-gz": Format(
        ".mrc.gz",
        lambda folder: [gzip.compress(seed, 6, mtime=0) for seed in _mrc_seeds(folder)],
        MRC,
        _packed(functools.partial(gzip.compress, mtime=0), gzip.decompress),
    ),
    "mrc-bz2": Format(
        ".mrc.bz2",
        lambda folder: [bz2.compress(seed) for seed in _mrc_seeds(folder)],
        MRC,
        _packed(bz2.compress, bz2.decompress),
    ),
    "tiff": Format(
        ".tif",
        _tiff_seeds,
        (_read_tiff, _tiff_rows, _read_source),
    ),
    "star": Format(
        ".star",
        lambda folder: [RELION, NOISE, SINGLE],
        (_read_star, _select_star, *POSITIONS),
    ),
    "box": Format(".box", lambda folder: BOXES, POSITIONS),
    "txt": Format(".txt", lambda folder: POINTS, (_read_noise,)),
    "safetensors": Format(".safetensors", _safetensors_seeds, (_read_weights, _read_model), _header_inside),
    "parts": Format(".safetensors", _parts_seeds, (_read_parts,), _header_inside),
    "library": Format(".safetensors", _library_seeds, (_read_library,), _header_inside),
    "pth": Format(
        ".pth", _pth_seeds, (_read_weights, _read_model), _member_inside, lambda folder: {".json": _model(folder)[2]}
    ),
    "facts": Format(
        ".json",
        lambda folder: [_model(folder)[2]],
        (lambda path: _read_model(path.with_suffix(".pth")),),
        beside=lambda folder: {".pth": _pth_seeds(folder)[0]},
    ),
    "cs": Format(
        ".cs",
        fuzz_cs.npy_seeds,
        CS,
        fuzz_cs.header_inside,
    ),
    "csdat": Format(
        ".cs",
        fuzz_cs.csdat_seeds,
        CS,
        fuzz_cs.header_inside,
    ),
    "indices": Format(".npy", _index_seeds, (_read_indices,)),
    "npy": Format(".npy", _trust_seeds, (_read_picture,)),
}


def _trap(spring: Callable[[], object]) -> Format:
    def read(path: Path) -> None:
        if path.read_bytes() != b"good":
            spring()

    return Format(".bin", lambda folder: [b"good"], (read,))


def _hang() -> None:
    while True:
        pass


def _refused_for_memory() -> None:
    from core.errors import ResourceError

    try:
        np.zeros(1 << 30, np.uint8)
    except MemoryError as err:
        raise ResourceError("It does not fit.") from err


TRAPS: dict[str, Format] = {  # what the fuzzer must notice
    "hang": _trap(_hang),
    "crash": _trap(os.abort),
    "memory": _trap(_refused_for_memory),
    "bug": _trap(lambda: {}["nothing"]),
}
