"""Job `subset`: selected rows of a .cs or .star file, written back to the same format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from core.errors import InputError, ParamError
from core.io.cryodrgn import read_selection
from core.io.npy import load_npy
from core.jobs.base import JobContext
from core.params import Params, ui

_MOST_ROWS = 1 << 31
_SHOWN = 2  # names of each side in a message
_RANGE = re.compile(r"^(\d+)(?:-(\d+))?$")
_MICROGRAPHS = ("location/micrograph_path", "micrograph_blob/path", "blob/path")
_LABELS = ("rlnMicrographName", "rlnImageName")


class SubsetParams(Params):
    """Keep selected rows of a .cs or .star file."""

    input: Path = Field(
        description="Dataset (.cs) or STAR file.",
        json_schema_extra=ui(dialog="open", pattern="Particles (*.cs *.star)"),
    )
    output: Path = Field(
        description="New file, of the same format.",
        json_schema_extra=ui(dialog="save", pattern="Particles (*.cs *.star)"),
    )
    by: Literal["indices", "micrographs"] = Field(
        "indices", description="What the selection lists: numbers of rows, or names of micrographs."
    )
    rows: str = Field("", description="Rows, counted from 0 in the order of the file: 0-99,205.")
    selection: Path | None = Field(
        None,
        description="File of the selection: .txt with a row number or a micrograph name on each line, .npy of row "
        "numbers, .pkl of cryoDRGN, or .star with rlnMicrographName.",
        json_schema_extra=ui(dialog="open", pattern="Selection (*.txt *.npy *.pkl *.star)"),
    )
    exclude: bool = Field(False, description="Leave the selected rows out instead of keeping them.")
    overwrite: bool = Field(False, description="Replace an output file that is there.")


def run(params: SubsetParams, ctx: JobContext) -> dict[str, Any]:
    """Select and write; the new file appears complete or not at all."""
    _check(params, ctx)
    ctx.step(0, 1, f"Reading {params.input.name}")
    is_cs = _is_cs(params.input)
    return _of_cs(params, ctx) if is_cs else _of_star(params, ctx)


def _check(params: SubsetParams, ctx: JobContext) -> None:
    endings = [path.suffix.lower() for path in (params.input, params.output)]
    if endings[0] != endings[1]:
        raise ParamError(
            f"--output: the file keeps its format, so its name has to end in {endings[0]}.", fields=("output",)
        )
    if (params.selection is None) == (not params.rows):
        raise ParamError("Give either --rows or --selection.", fields=("rows", "selection"))
    if params.rows and params.by != "indices":
        raise ParamError("--rows are numbers: micrographs come from --selection.", fields=("rows", "by"))
    if params.output == params.input or (params.output.exists() and params.output.samefile(params.input)):
        raise ParamError("--output is the input file itself.", "Choose another name.", fields=("output",))
    if params.output.exists() and not params.overwrite and not ctx.continued:
        raise ParamError(
            f"--output: {params.output} is there already.", "Choose another name, or --overwrite.", fields=("output",)
        )


def _is_cs(path: Path) -> bool:
    from core.io.cs import CSDAT_MAGIC, NUMPY_MAGIC

    try:
        with path.open("rb") as stream:
            return stream.read(6) in (CSDAT_MAGIC, NUMPY_MAGIC) or path.suffix.lower() == ".cs"
    except OSError as err:
        raise InputError(f"{path} cannot be read: {err.strerror}.", "Choose a .cs or .star file.", path) from None


def _of_cs(params: SubsetParams, ctx: JobContext) -> dict[str, Any]:
    from core.io import cs, cs_write

    file = cs.open_cs(params.input)

    def names() -> list[str]:
        label = next((name for name in _MICROGRAPHS if name in file), None)
        if label is None:
            raise InputError(f"{params.input} names no micrographs.", "Select by --by indices.", params.input)
        return cs.read_columns(params.input, lambda name: name == label)[label].tolist()

    keep = _marks(params, file.n, names, ctx)
    cs_write.write_selected(file, keep, params.output, lambda done, total: ctx.step(done, total, "Writing"))
    return _result(params, keep)


def _of_star(params: SubsetParams, ctx: JobContext) -> dict[str, Any]:
    from core.io import star_select

    rows = star_select.scan(params.input, lambda row: ctx.step(0, 1, f"Counting: {row} rows"))

    def names() -> list[str]:
        label = next((name for name in _LABELS if name in rows.columns), None)
        if label is None:
            raise InputError(f"{params.input} names no micrographs.", "Select by --by indices.", params.input)
        return star_select.column(params.input, rows, label)

    keep = _marks(params, rows.n, names, ctx)
    star_select.write_selected(
        params.input, rows, keep, params.output, lambda done, total: ctx.step(done, total, "Writing")
    )
    return _result(params, keep)


def _result(params: SubsetParams, keep: np.ndarray) -> dict[str, Any]:
    kept = int(keep.sum())
    return {
        "summary": f"{kept} of {len(keep)} rows of {params.input.name} are in {params.output}",
        "output": str(params.output),
        "kept": kept,
        "rows": len(keep),
    }


def _marks(params: SubsetParams, n: int, names: Callable[[], list[str]], ctx: JobContext) -> np.ndarray:
    """Which rows (n,) are kept."""
    if params.by == "indices":
        wanted = _from_text(params.rows, n, params.input) if params.rows else _indices_of(params.selection, n)
        if wanted.size and int(wanted.max()) >= n:
            raise _beyond(int(wanted.max()), n, params.input)
        marks = np.zeros(n, bool)
        marks[wanted] = True
    else:
        marks = _by_micrograph(params, names(), ctx)
    keep = ~marks if params.exclude else marks
    if not keep.any():
        raise InputError(
            f"The selection keeps none of the {n} rows of {params.input}.", "Check the selection.", params.input
        )
    return keep


def _beyond(row: int, n: int, path: Path) -> InputError:
    return InputError(
        f"Row {row} is asked for, but {path} has {n} rows (0 to {n - 1}).", "Rows are counted from 0.", path
    )


def _from_text(text: str, n: int, path: Path) -> np.ndarray:
    parts = []
    for word in text.replace(",", " ").split():
        match = _RANGE.match(word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first or last >= _MOST_ROWS:
            raise ParamError(f"--rows: '{word}' is no row and no range.", "Write 0-99,205.", fields=("rows",))
        if last >= n:
            raise _beyond(last, n, path)
        parts.append(np.arange(first, last + 1))
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _indices_of(path: Path | None, n: int) -> np.ndarray:
    """Row numbers from a .npy (or one truth value for each of the n rows), a .pkl or a text file."""
    assert path is not None
    hint = "Write one whole number from 0 on per line, or save them with numpy.save."
    try:
        if path.suffix.lower() == ".pkl":
            return read_selection(path)
        if path.suffix.lower() == ".npy":
            values = load_npy(path)
        else:
            values = np.array(path.read_text(encoding="utf-8-sig").split(), np.float64)
    except OSError as err:
        raise InputError(f"{path} cannot be read: {err.strerror or err}.", hint, path) from None
    except ValueError:
        raise InputError(f"{path} is not a list of row numbers.", hint, path) from None
    if values.dtype.kind == "b" and values.ndim == 1:
        if len(values) != n:
            raise InputError(
                f"{path} has {len(values)} truth values for {n} rows.", "Choose the one of this file.", path
            )
        return np.flatnonzero(values)
    if values.dtype.kind not in "iuf" or values.ndim != 1 or (values.size and not _whole(values)):
        raise InputError(f"{path} is not a list of row numbers.", hint, path)
    return np.asarray(values, np.int64)


def _whole(values: np.ndarray) -> bool:
    return bool((values >= 0).all() and (values < _MOST_ROWS).all() and (values == np.floor(values)).all())


def _by_micrograph(params: SubsetParams, names: list[str], ctx: JobContext) -> np.ndarray:
    from core.io.coordinates import stem_of

    assert params.selection is not None
    wanted = _names_of(params.selection)
    stems = {stem_of(name): name for name in wanted}
    known = {name: stem_of(name.rpartition("@")[2]) for name in set(names)}
    found = set(known.values()) & set(stems)
    _refuse_doubt(wanted, known, params)
    if not found:
        there, here = ", ".join(wanted[:_SHOWN]), ", ".join(sorted(set(names))[:_SHOWN])
        raise InputError(
            f"No micrograph of {params.selection} is in {params.input} (it has {here}; the selection {there}).",
            "Names are compared without folders, endings and CryoSPARC's numbers.",
            params.selection,
        )
    missing = [name for stem, name in stems.items() if stem not in found]
    if missing:
        ctx.warn(f"{len(missing)} micrographs of the selection are not in the file, such as {missing[0]}.")
    chosen = {name for name, stem in known.items() if stem in found}
    return np.array([name in chosen for name in names], bool)


def _refuse_doubt(wanted: list[str], known: Mapping[str, str], params: SubsetParams) -> None:
    """One name that fits micrographs of several folders would select them all."""
    from core.io.coordinates import stem_of

    folders: dict[str, set[str]] = {}
    for name, stem in known.items():
        folders.setdefault(stem, set()).add(name.rpartition("@")[2])
    for name in wanted:
        several = sorted(folders.get(stem_of(name), ()))
        if len(several) > 1 and not set(several) <= set(wanted):
            raise InputError(
                f"{name} in {params.selection} could be {several[0]} or {several[1]} in {params.input.name}.",
                "Select by --by indices, or list all micrographs of that name as they stand in the file.",
                params.selection,
            )


def _names_of(path: Path) -> list[str]:
    """Micrograph names of a text or STAR file."""
    if path.suffix.lower() == ".star":
        from core.io.star import read_star

        table = next((t for t in read_star(path).values() if "rlnMicrographName" in t), None)
        names = [str(name) for name in table["rlnMicrographName"]] if table is not None else []
    else:
        try:
            names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as err:
            raise InputError(f"{path} cannot be read as a list of names: {err}.", "One name per line.", path) from None
    if not names:
        raise InputError(f"{path} lists no micrographs.", "Write one name per line.", path)
    return list(dict.fromkeys(names))
