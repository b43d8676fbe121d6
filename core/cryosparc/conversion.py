"""One conversion from datasets to tables: read, join, convert. Used by the job, and by the tab's preview."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.cryosparc.find import Chosen, without_part
from core.cryosparc.join import Joined, join, together
from core.cryosparc.particles import Particles, read_particles
from core.cryosparc.tables import Options, Tables, convert
from core.errors import InputError
from core.io.cs import CsFile, open_cs

Progress = Callable[[float, float], None]
_PARTICLES = ("rlnImageName", "rlnCoordinateX", "rlnAnglePsi")  # one of these, or the table says nothing


@dataclass(eq=False)
class Conversion:
    """Tables, what was joined, and how many rows the main dataset has."""

    tables: Tables
    joined: list[Joined]
    rows: int


def run(
    chosen: Chosen,
    options: Options,
    drop_unmatched: bool = False,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Convert the chosen datasets, or the first `limit` rows; `progress(done, total)` may raise to stop.

    With a limit only the partners of these rows are read from the passthrough files, so `joined` does not know how
    many of their rows are not needed.
    `InputError` when there is nothing to convert, or when rows have no partner in a passthrough file and
    `drop_unmatched` does not say to leave them out.
    """
    files = [open_cs(path) for path in (chosen.main, *chosen.others)]
    if not files[0].n:
        raise InputError(
            f"{chosen.main} holds no particles (0 rows).", "Choose the dataset of another job.", chosen.main
        )
    total, done = sum(file.n for file in files), 0

    def step(rows: int, _: int) -> None:
        if progress is not None:
            progress(done + rows, total)

    main = read_particles(files[0], limit, step)
    rows, done = files[0].n, files[0].n
    matched = np.ones(main.n, bool)
    joined = []
    for family in _families(files[1:]):
        parts = []
        for file in family:
            parts.append(read_particles(file, None, step, () if limit is None else _keys(main)))
            done += file.n
        counts, found = join(main, chosen.main, together(parts), family[0].path)
        joined.append(counts)
        matched &= found
    warnings = _of_uids(main)
    warnings += [f"{one.path.name} has {one.ignored}, which was not used." for one in joined if one.ignored]
    step(0, total)
    if not matched.all():
        main = _without(main, matched, chosen, drop_unmatched, main.n < rows)
        warnings.append(f"{int((~matched).sum())} particles have no partner in a passthrough file and were left out.")
    tables = convert(main, options, lambda: step(0, total))
    tables.warnings[:0] = warnings
    return Conversion(tables, joined, rows)


def check(tables: Tables, main: Path) -> None:
    """`InputError` when the tables of `main` hold nothing that RELION could use as particles."""
    if not tables.n:
        raise InputError(f"No particle of {main} can be written.", "Look at its job in CryoSPARC.", main)
    if not any(label in tables.particles for label in _PARTICLES):
        raise InputError(
            f"{main} holds neither images nor positions nor alignments of particles.",
            "Choose a dataset of particles, or add its passthrough file.",
            main,
        )


def _families(files: list[CsFile]) -> list[list[CsFile]]:
    """Passthrough files of the classes or parts of one job are one file in several: their rows belong together."""
    families: dict[str, list[CsFile]] = {}
    for file in files:
        families.setdefault(without_part(file.path.name), []).append(file)
    return list(families.values())


def _keys(main: Particles) -> list[np.ndarray]:
    """The sets of uids by which other files can be joined."""
    return [main.numbers[name] for name in ("uid", "source_uid") if name in main] or [np.empty(0, np.uint64)]


def _of_uids(main: Particles) -> list[str]:
    if "uid" not in main:
        return []
    uids = np.sort(main.numbers["uid"])
    twice = int((uids[1:] == uids[:-1]).sum())
    return [f"{twice} uids stand twice in the dataset; every row is written."] if twice else []


def _without(main: Particles, matched: np.ndarray, chosen: Chosen, drop_unmatched: bool, part: bool) -> Particles:
    missing = int((~matched).sum())
    if not drop_unmatched:
        raise InputError(
            f"{missing} of {'the first ' if part else ''}{main.n} particles of {chosen.main.name} have no partner in "
            f"{', '.join(path.name for path in chosen.others)}.",
            "Choose the passthrough file of the same job, or leave these particles out with --drop-unmatched.",
            chosen.main,
        )
    return main.take(np.flatnonzero(matched))
