"""The files of a conversion, written together: they appear all at once, or none of them does.

particles_relion.star and Invert.star differ in one column, cleaned_particles_relion.star in two: every number is
made into text once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

import core
from core.cryosparc import names
from core.cryosparc.tables import Tables
from core.io import star_write
from core.io.atomic import PARTIAL_SUFFIX, atomic_path
from core.io.star_write import Column, Texts

PARTICLES, CLEANED, INVERT, REPORT = (
    "particles_relion.star",
    "cleaned_particles_relion.star",
    "Invert.star",
    "report.txt",
)
NAMES = (PARTICLES, CLEANED, INVERT, REPORT)
_TEXT_COLUMNS = ("rlnImageName", "rlnMicrographName")


def existing(folder: Path) -> list[Path]:
    """Files of an earlier conversion in `folder`."""
    return [folder / name for name in NAMES if (folder / name).exists()]


def variants(tables: Tables) -> tuple[dict[str, dict[str, Column]], int]:
    """File name -> the columns in which it differs from particles_relion.star; and how many names kept their uid."""
    clean: dict[str, Column] = {}
    kept = 0
    for label in _TEXT_COLUMNS:
        column = tables.particles.get(label)
        if isinstance(column, Texts):
            short, same = names.cleaned(column.values)
            kept += same
            clean[label] = Texts(short, column.which, column.numbers)
    files: dict[str, dict[str, Column]] = {PARTICLES: {}, CLEANED: clean}
    if tables.inverted_y is not None:
        files[INVERT] = {"rlnCoordinateY": tables.inverted_y}
    return files, kept


def write(
    folder: Path,
    tables: Tables,
    files: Mapping[str, Mapping[str, Column]],
    report: str,
    source: str,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write `files` (of `variants`) and the report into `folder`; `progress(rows done, rows)` may raise to stop.

    Files of an earlier conversion that are not made this time are removed at the end.
    """
    for left in (p for name in NAMES for p in folder.glob(f"{name}.*{PARTIAL_SUFFIX}")):  # of a run that was killed
        left.unlink(missing_ok=True)
    stale = [path for path in existing(folder) if path.name not in files and path.name != REPORT]
    with ExitStack() as stack:
        partials = {name: stack.enter_context(atomic_path(folder / name)) for name in [*files, REPORT]}
        partials[REPORT].write_text(report, encoding="utf-8", newline="\n")
        streams = {name: stack.enter_context(partials[name].open("wb")) for name in files}
        _write_all(streams, folder, tables, files, source, progress)
        for stream in streams.values():  # a full disk is told now, before anything is renamed
            stream.close()
    for path in stale:
        path.unlink(missing_ok=True)
    return [folder / name for name in [*files, REPORT]]


def _write_all(
    streams: Mapping[str, IO[bytes]],
    folder: Path,
    tables: Tables,
    files: Mapping[str, Mapping[str, Column]],
    source: str,
    progress: Callable[[int, int], None] | None,
) -> None:
    optics = {label: _typed(values) for label, values in tables.optics.items()}
    for name, stream in streams.items():
        stream.write(star_write.top_lines([f"Vitreous {core.__version__} cs2star: {source}"]))
        if optics:
            stream.write(star_write.table_lines("optics", optics))
            ready = star_write.prepared(optics, folder / name)
            rows = star_write.rows_of(optics)
            if rows:
                texts = [star_write.as_texts(column, 0, rows, folder / name) for column in ready.values()]
                stream.write(star_write.joined(texts))
            stream.write(b"\n")
        stream.write(star_write.table_lines("particles", tables.particles))
    shared = star_write.prepared(tables.particles, folder / PARTICLES)
    own = {name: star_write.prepared(columns, folder / name) for name, columns in files.items()}
    changing = {label for columns in files.values() for label in columns}
    runs = _runs(list(shared), changing)
    for first, last in star_write.row_blocks(tables.n):
        if progress is not None:
            progress(first, tables.n)
        texts = {
            run: star_write.beside([star_write.as_texts(shared[c], first, last, folder / PARTICLES) for c in run])
            for run in runs
        }
        for name, stream in streams.items():
            mine: dict[tuple[str, ...], Any] = {
                (c,): star_write.as_texts(column, first, last, folder / name) for c, column in own[name].items()
            }
            stream.write(star_write.joined([mine.get(run, texts[run]) for run in runs]))


def _typed(values: list[Any]) -> Column:
    """Numbers as an array, so that they print like those of the particle table."""
    return values if values and isinstance(values[0], str) else np.array(values)


def _runs(labels: Sequence[str], changing: set[str]) -> list[tuple[str, ...]]:
    """Columns in their order, those between two changing ones together."""
    runs: list[tuple[str, ...]] = []
    for label in labels:
        if label in changing or not runs or runs[-1][-1] in changing:
            runs.append((label,))
        else:
            runs[-1] = (*runs[-1], label)
    return runs
