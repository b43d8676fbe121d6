"""A look at a conversion before it is made: which file is taken, what its first rows become, what cannot be written.

The look is made of the first rows of the main dataset and of their partners in the passthrough files. Of numpy's
container no more than some blocks of rows are read; a CSDAT dataset has to be unpacked whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.cryosparc import find, outputs, single_table
from core.cryosparc.conversion import check, run
from core.cryosparc.join import Joined
from core.cryosparc.tables import Options, Tables
from core.errors import JobStopped
from core.io import star_write
from core.io.star_write import Column, Texts

MOST_READ = 2000  # rows of the main dataset
MOST_SHOWN = 200
INVERTED_Y = f"rlnCoordinateY in {outputs.INVERT}"


@dataclass(frozen=True)
class ShownColumn:
    """A column of the table: its label, whether it holds numbers, and its cells as they stand in the file."""

    label: str
    numeric: bool
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Preview:
    """`rows` are in the dataset, `read` of them were looked at. `files` are those a conversion writes."""

    source: Path
    main: Path
    why: str
    rows: int
    read: int
    optics_groups: int
    joined: tuple[Joined, ...]
    files: tuple[str, ...]
    columns: tuple[ShownColumn, ...]
    dropped: dict[str, int]  # reason -> rows of those read that are left out
    absent: tuple[str, ...]
    warnings: tuple[str, ...]
    jobs: tuple[str, ...] = field(default=())  # names of all jobs to convert, when there are several
    missing: tuple[str, ...] = field(default=())  # names of those that are not there

    @property
    def shown(self) -> int:
        """Rows of the table."""
        return len(self.columns[0].cells) if self.columns else 0


def preview(
    project: Path,
    passthrough: Sequence[Path] = (),
    options: Options | None = None,
    drop_unmatched: bool = False,
    cancelled: Callable[[], bool] = lambda: False,
    relion: str = "3.1",
    count: int = 1,
) -> Preview:
    """Look at the first of `count` jobs. `AppError` as the conversion itself; `JobStopped` when `cancelled()`."""

    def step(_done: float, _total: float) -> None:
        if cancelled():
            raise JobStopped

    step(0, 1)
    jobs, missing = find.jobs(project, count)
    chosen = find.choose(jobs[0].source, tuple(passthrough))
    step(0, 1)
    made = run(chosen, options or Options(), drop_unmatched, MOST_READ, step)
    tables = made.tables
    if tables.n or made.rows <= MOST_READ:  # otherwise later rows may be better
        check(tables, chosen.main)
    groups = len(tables.optics.get("rlnOpticsGroup", ()))
    if relion == "3.0":
        single_table.join_optics(tables)
    files, _ = outputs.variants(tables)
    step(1, 1)
    return Preview(
        source=jobs[0].source,
        main=chosen.main,
        why=chosen.why,
        rows=made.rows,
        read=min(made.rows, MOST_READ),
        optics_groups=groups,
        joined=tuple(made.joined),
        files=tuple(files),
        columns=_columns(tables),
        dropped=dict(tables.dropped),
        absent=tuple(tables.absent),
        warnings=tuple(tables.warnings),
        jobs=tuple(job.source.name for job in jobs) if count > 1 else (),
        missing=tuple(missing),
    )


def _columns(tables: Tables) -> tuple[ShownColumn, ...]:
    """The first rows of particles_relion.star as texts, and the other y beside its own."""
    shown = []
    ready = star_write.prepared(tables.particles, Path(outputs.PARTICLES))
    for label, column in ready.items():
        shown.append(_shown(label, column, tables.n))
        if label == "rlnCoordinateY" and tables.inverted_y is not None:
            shown.append(_shown(INVERTED_Y, tables.inverted_y, tables.n))
    return tuple(shown)


def _shown(label: str, column: Column, n: int) -> ShownColumn:
    cells = star_write.as_texts(column, 0, min(n, MOST_SHOWN), Path(outputs.PARTICLES))
    return ShownColumn(label, not isinstance(column, Texts), tuple(cells.to_pylist()))
