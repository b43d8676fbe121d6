"""A clean library on disk: library.safetensors, which training reads, and library.json, which says what is inside.

The safetensors file holds the projections and, as its metadata, the same list as JSON: names, kinds, seed, version and
sources. Reading runs no code and takes nothing larger than MOST_BYTES.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from core.errors import InputError
from core.io.atomic import atomic_path, write_json
from core.physics.phantom import BOX, Library

FORMAT = "vitreous-library-1"
MOST_BYTES = 8 << 30
MOST_TEXT = 64 << 20  # of the metadata


def save_library(folder: Path, library: Library, facts: dict[str, Any]) -> Path:
    """Write library.safetensors and library.json into `folder`, each complete or not at all."""
    path = folder / "library.safetensors"
    listed = {
        "format": FORMAT,
        "note": "Simulated projections; every specimen is listed, so that an evaluation can leave its own out.",
        **facts,
        "views": library.projections.shape[1],
        "counts": dict(Counter(library.kinds)),
        "specimens": [{"name": n, "kind": k} for n, k in zip(library.names, library.kinds, strict=True)],
    }
    with atomic_path(path) as partial:
        arrays = {"projections": np.ascontiguousarray(library.projections, np.float16)}
        save_file(arrays, partial, metadata={"format": FORMAT, "contents": json.dumps(listed)})
    write_json(folder / "library.json", listed)
    return path


def open_library(path: Path) -> Library:
    """Read a library (its file, or the folder it lies in), or say in one sentence why it cannot be used."""
    if path.is_dir():
        path = path / "library.safetensors"
    try:
        if not path.is_file():
            raise InputError(f"{path} does not exist.", "Build one with build-library.", path)
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} is larger than {MOST_BYTES >> 30} GiB.", "Build a smaller library.", path)
        with safe_open(path, framework="np") as handle:
            meta = handle.metadata() or {}
            if meta.get("format") != FORMAT:
                raise InputError(
                    f"{path} is not a clean library.", "Give the library.safetensors of build-library.", path
                )
            stored = handle.get_slice("projections")
            shape, kind = tuple(stored.get_shape()), stored.get_dtype()
            if kind != "F16" or len(shape) != 4 or 0 in shape or shape[2:] != (BOX, BOX):
                raise ValueError(f"its projections are {kind} {shape}")
            names, kinds = _listed(meta["contents"])
            if not len(names) == len(kinds) == shape[0]:
                raise ValueError(f"it lists {len(names)} specimens and holds {shape[0]}")
            projections = handle.get_tensor("projections")
        if not all(np.isfinite(of).all() for of in projections):
            raise ValueError("it holds values that are not numbers")
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as err:
        raise InputError(
            f"{path} is not a readable library ({err}).", "Build it again with build-library.", path
        ) from None
    return Library(projections, names, kinds)


def _listed(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and kinds from the metadata."""
    if len(text) > MOST_TEXT:
        raise ValueError("its list of specimens is too long")
    specimens = json.loads(text)["specimens"]
    return tuple(str(s["name"]) for s in specimens), tuple(str(s["kind"]) for s in specimens)
