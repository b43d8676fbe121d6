"""Particles of CryoSPARC datasets, gathered column by column under names of their own, in CryoSPARC's units.

Rows stay in the order of the file. Which of several alignments counts is decided here; joining files is join.py's
business, conversion to RELION tables.py's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from core.io.cs import BLOCK_ROWS, Block, CsFile, as_text, open_cs, read_blocks

# our name -> columns of a dataset, the first that is there counts
NUMBERS: dict[str, tuple[str, ...]] = {
    "uid": ("uid",),
    "source_uid": ("sym_expand/src_uid",),
    "image_index": ("blob/idx",),  # 0-based
    "box": ("blob/shape",),  # px: rows, columns
    "pixel_size": ("blob/psize_A",),
    "micrograph_shape": ("location/micrograph_shape", "micrograph_blob/shape"),  # px: rows, columns
    "micrograph_pixel_size": ("location/micrograph_psize_A", "micrograph_blob/psize_A"),
    "x_fraction": ("location/center_x_frac",),
    "y_fraction": ("location/center_y_frac",),  # counted from the lower edge
    "defocus_u": ("ctf/df1_A",),
    "defocus_v": ("ctf/df2_A",),
    "defocus_angle": ("ctf/df_angle_rad",),
    "phase_shift": ("ctf/phase_shift_rad",),
    "voltage": ("ctf/accel_kv",),
    "spherical_aberration": ("ctf/cs_mm",),
    "amplitude_contrast": ("ctf/amp_contrast",),
    "exposure_group": ("ctf/exp_group_id", "location/exp_group_id"),
    "bfactor": ("ctf/bfactor",),
    "ctf_scale": ("ctf/scale",),
    "ctf_score": ("ctf/cross_corr_ctffind4",),
    "ctf_resolution": ("ctf/ctf_fit_to_A",),
    "beam_tilt": ("ctf/tilt_A",),
    "trefoil": ("ctf/trefoil_A",),
    "tetrafoil": ("ctf/tetra_A",),
    "magnification": ("ctf/anisomag",),
    "ctf_shift": ("ctf/shift_A",),
    "filament": ("filament/filament_uid",),
    "filament_angle": ("filament/filament_pose",),
    "filament_position": ("filament/position_A",),
    "pick_score": ("pick_stats/ncc_score",),
}
_SHAPES = {  # of one row, where it is no single number
    "box": ((2,),),
    "micrograph_shape": ((2,), (3,)),
    "beam_tilt": ((2,),),
    "trefoil": ((2,),),
    "tetrafoil": ((4,),),
    "magnification": ((4,),),
    "ctf_shift": ((2,),),
}
TEXTS: dict[str, tuple[str, ...]] = {
    "image": ("blob/path",),
    "micrograph": ("location/micrograph_path", "micrograph_blob/path"),
}
# what an alignment brings; `pose`: rotation vector (n, 3) rad, or one angle (n,) rad in two dimensions
ALIGNED = ("pose", "shift", "psize_A", "split", "class", "class_posterior")
_SEARCHED_ROWS = 1 << 14  # at a time, where only some rows are wanted
_CLASS = re.compile(r"^alignments_class_(\d+)/class_posterior$")
KINDS = ("alignments3D", "alignments3D_multi", "alignments_class", "alignments2D")  # the first that is there counts


@dataclass(frozen=True, eq=False)
class Names:
    """Texts of a column: row i is `values[which[i]]`."""

    values: list[str]
    which: np.ndarray  # (n,) int32


@dataclass(eq=False)
class Particles:
    """`n` particles: numbers (n, ...) and texts by our names; alignments as `align_pose` and so on."""

    n: int
    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    texts: dict[str, Names] = field(default_factory=dict)
    alignment: str = ""  # one of KINDS, or nothing
    classes: int = 0  # of which the most probable was taken for every particle

    def __contains__(self, name: str) -> bool:
        return name in self.numbers or name in self.texts

    def take(self, rows: np.ndarray) -> Particles:
        """The particles of these rows, in their order."""
        numbers = {name: values[rows] for name, values in self.numbers.items()}
        texts = {name: Names(names.values, names.which[rows]) for name, names in self.texts.items()}
        return Particles(len(rows), numbers, texts, self.alignment, self.classes)


def read_particles(
    path: CsFile | str,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    only: Sequence[np.ndarray] = (),
) -> Particles:
    """All particles of a dataset, or the first `limit`; `progress(rows done, rows in all)` between blocks of rows.

    With `only`, sets of uids, just the rows whose uid stands in one of them (`limit` does not count then);
    reading ends as soon as the first set has been met whole.
    """
    file = path if isinstance(path, CsFile) else open_cs(path)
    if only:
        return _read_only(file, only, progress)
    n = file.n if limit is None else min(limit, file.n)
    plan = _Plan(file)
    found = Particles(n, alignment=plan.kind, classes=len(plan.classes))
    coders = {name: _Coder() for name in plan.texts}
    found.texts = {name: Names(coder.values, np.empty(n, np.int32)) for name, coder in coders.items()}
    first = 0
    for block in read_blocks(file, plan.wanted.__contains__, min(BLOCK_ROWS, max(n, 1))):
        if progress is not None:
            progress(first, n)
        size = min(len(next(iter(block.values()))) if block else 0, n - first)
        part = slice(first, first + size)
        for name, values in plan.numbers_of(block, size):
            if name not in found.numbers:
                shape, dtype = (n, *values.shape[1:]), values.dtype.newbyteorder("=")
                found.numbers[name] = np.empty(shape, dtype)
            found.numbers[name][part] = values
        for name, column in plan.texts.items():
            found.texts[name].which[part] = coders[name].encode(block[column][:size])
        first += size
        if first >= n:
            break
    if not n:
        found.numbers = {name: np.empty(0, file.dtype[column].base) for name, column in plan.numbers.items()}
    return found


def _read_only(file: CsFile, only: Sequence[np.ndarray], progress: Callable[[int, int], None] | None) -> Particles:
    """The rows of some uids; no more than one block of the file is held beside them."""
    plan, wanted, missing = _Plan(file), np.unique(np.concatenate(only)), np.unique(only[0])
    found = Particles(0, alignment=plan.kind, classes=len(plan.classes))
    if "uid" not in plan.numbers or not len(wanted):
        return found
    coders = {name: _Coder() for name in plan.texts}
    numbers: dict[str, list[np.ndarray]] = {}
    texts: dict[str, list[np.ndarray]] = {name: [] for name in coders}
    first = 0
    for block in read_blocks(file, plan.wanted.__contains__, _SEARCHED_ROWS):
        if progress is not None:
            progress(first, file.n)
        uids = block[plan.numbers["uid"]]
        first += len(uids)
        rows = np.flatnonzero(wanted[np.searchsorted(wanted[:-1], uids)] == uids)
        if not len(rows):
            continue
        taken = {name: values[rows] for name, values in block.items()}
        found.n += len(rows)
        for name, values in plan.numbers_of(taken, len(rows)):
            numbers.setdefault(name, []).append(values.astype(values.dtype.newbyteorder("="), copy=False))
        for name, column in plan.texts.items():
            texts[name].append(coders[name].encode(taken[column]))
        missing = missing[~np.isin(missing, uids[rows])]
        if not len(missing):
            break
    found.numbers = {name: np.concatenate(parts) for name, parts in numbers.items()}
    found.texts = {name: Names(coders[name].values, np.concatenate(parts)) for name, parts in texts.items() if parts}
    if not found.n:
        found.numbers["uid"] = np.empty(0, wanted.dtype)
    return found


class _Plan:
    """Which columns of a dataset are read, and what becomes of them."""

    def __init__(self, file: CsFile) -> None:
        self.numbers = _first_there(file, NUMBERS, "biuf")
        self.texts = _first_there(file, TEXTS, "SUO")
        posteriors = sorted((int(m[1]), n) for n in file.names if (m := _CLASS.match(n)))
        self.classes = [name.rpartition("/")[0] for _, name in posteriors]
        prefixes = {name.rpartition("/")[0] for name in file.names}
        there = [k for k in KINDS if k in prefixes or (k == "alignments_class" and self.classes)]
        self.kind = there[0] if there else ""
        if self.kind != "alignments_class":
            self.classes = []
        self._aligned = {
            prefix: [key for key in ALIGNED if f"{prefix}/{key}" in file]
            for prefix in (self.classes or ([self.kind] if self.kind else []))
        }
        if self.kind == "alignments3D_multi" and "class_posterior" in self._aligned[self.kind]:
            shape = file.dtype[f"{self.kind}/class_posterior"].shape
            self.classes = [self.kind] * (shape[0] if len(shape) == 1 else 0)
        self.wanted = {*self.numbers.values(), *self.texts.values()}
        self.wanted |= {f"{prefix}/{key}" for prefix, keys in self._aligned.items() for key in keys}

    def numbers_of(self, block: Block, size: int) -> Iterable[tuple[str, np.ndarray]]:
        """Our names and values of the first `size` rows of a block."""
        for name, column in self.numbers.items():
            yield name, block[column][:size]
        chosen = self._chosen(block, size)
        for key in ALIGNED:
            plain = chosen[key].dtype.kind in "biuf" if key in chosen else False
            if plain and (key in ("pose", "shift") or chosen[key].ndim == 1):
                yield f"align_{key}", chosen[key]

    def _chosen(self, block: Block, size: int) -> dict[str, np.ndarray]:
        """Alignments of a block: of several classes, each particle's most probable one."""
        if not self.kind:
            return {}
        if self.kind == "alignments_class":
            return self._of_classes(block, size)
        values = {key: block[f"{self.kind}/{key}"][:size] for key in self._aligned[self.kind]}
        if self.kind == "alignments3D_multi" and self.classes:
            best = np.argmax(values["class_posterior"], axis=1)
            rows, count = np.arange(size), len(self.classes)
            values = {key: v[rows, best] if v.ndim > 1 and v.shape[1] == count else v for key, v in values.items()}
            values.setdefault("class", best.astype(np.uint32))
        return values

    def _of_classes(self, block: Block, size: int) -> dict[str, np.ndarray]:
        posterior = np.stack([block[f"{prefix}/class_posterior"][:size] for prefix in self.classes])
        best = np.argmax(posterior, axis=0)
        chosen: dict[str, np.ndarray] = {}
        for number, prefix in enumerate(self.classes):
            rows = best == number
            for key in self._aligned[prefix]:
                values = block[f"{prefix}/{key}"][:size]
                if key not in chosen:
                    chosen[key] = np.zeros(values.shape, values.dtype)
                chosen[key][rows] = values[rows]
        chosen["class"] = np.array([int(p.rpartition("_")[2]) for p in self.classes], np.uint32)[best]
        return chosen


def _first_there(file: CsFile, columns: Mapping[str, tuple[str, ...]], kinds: str) -> dict[str, str]:
    """Our name -> the column that gives it; those of another type or shape are as good as absent."""
    found: dict[str, str] = {}
    for name, candidates in columns.items():
        for column in candidates:
            if column not in file or file.dtype[column].base.kind not in kinds:
                continue
            if file.dtype[column].shape in _SHAPES.get(name, ((),)):
                found[name] = column
                break
    return found


class _Coder:
    """Gives every distinct text a number, in the order they appear."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self._numbers: dict[bytes, int] = {}

    def encode(self, texts: np.ndarray) -> np.ndarray:
        """Numbers (n,) of texts given as bytes (S or object)."""
        import pyarrow as pa

        if texts.dtype.kind == "S":
            packed = pa.py_buffer(np.ascontiguousarray(texts))
            array = pa.FixedSizeBinaryArray.from_buffers(pa.binary(texts.dtype.itemsize), len(texts), [None, packed])
        elif texts.dtype.kind == "U":
            array = pa.array(texts.tolist(), pa.string()).cast(pa.binary())
        else:
            array = pa.array(texts.tolist(), pa.binary())
        coded = array.dictionary_encode()
        numbers = np.array([self._number(text.rstrip(b"\0")) for text in coded.dictionary.to_pylist()], np.int32)
        return numbers[coded.indices.to_numpy()] if len(numbers) else np.zeros(len(texts), np.int32)

    def _number(self, text: bytes) -> int:
        number = self._numbers.setdefault(text, len(self.values))
        if number == len(self.values):
            self.values.append(as_text(text))
        return number
