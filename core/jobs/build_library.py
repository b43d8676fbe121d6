"""Job `build-library`: the clean library of trainings as a file, with the list of its contents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

import core
from core.errors import ParamError
from core.jobs.base import JobContext
from core.jobs.lock import exclusive
from core.params import Params, ui

if TYPE_CHECKING:
    import numpy as np

    from core.physics.phantom import Library
    from core.physics.structures import Structures

SHEET_COLUMNS = 25
MOST_MIB = 4096


class BuildLibraryParams(Params):
    """Build a clean library: projections of many simulated specimens."""

    output: Path = Field(description="Folder of the library.", json_schema_extra=ui(dialog="folder"))
    structures: Path | None = Field(
        None,
        description="Folder with more structures (.pdb, .cif, or .gz of them) beside the bundled ones.",
        json_schema_extra=ui(dialog="folder"),
    )
    phantoms: int = Field(395, ge=0, le=20_000, description="Number of procedural assemblies.")
    views: int = Field(40, ge=1, le=1000, description="Projections of every specimen.")
    kinds: str = Field("", description="Only these kinds, separated by commas (default: all).")
    exclude: str = Field("", description="Leave out these names or kinds, separated by commas.")
    seed: int = Field(
        0, ge=0, le=2**63 - 1, description="Seed of every random choice.", json_schema_extra=ui(advanced=True)
    )


def run(params: BuildLibraryParams, ctx: JobContext) -> dict[str, Any]:
    """Draw, project and write; what is in the folder is whole or not there."""
    with exclusive(params.output):
        return _build(params, ctx)


def _build(params: BuildLibraryParams, ctx: JobContext) -> dict[str, Any]:
    import numpy as np

    from core.io.png import write_png
    from core.physics.library_file import save_library
    from core.physics.phantom import BOX, KINDS, Library, planned, specimens
    from core.physics.structures import load_structures

    kinds, exclude = _words(params.kinds), _words(params.exclude)
    unknown = [k for k in kinds if k not in KINDS]
    if unknown:
        raise ParamError(
            f"--kinds {unknown[0]}: there is no such kind.", f"The kinds are: {', '.join(KINDS)}.", fields=("kinds",)
        )
    ctx.step(0, 1, "Reading structures")
    bundled = load_structures()
    given = load_structures(params.structures) if params.structures else {}
    structures = bundled | given
    plan = planned(params.phantoms, params.seed, structures, kinds, exclude)
    if not plan:
        raise ParamError("Nothing is left to put into the library.", "Exclude less.", fields=("exclude", "kinds"))
    known = {*KINDS} | {n for n, _ in planned(params.phantoms, params.seed, structures)}
    for word in (w for w in exclude if w not in known):
        ctx.warn(f"--exclude {word}: no specimen or kind has this name.")
    size = len(plan) * params.views * BOX * BOX * 2 / 2**20
    if size > MOST_MIB:
        raise ParamError(
            f"{len(plan)} specimens of {params.views} views are {size:.0f} MiB; at most {MOST_MIB} are built.",
            "Ask for fewer.",
            fields=("phantoms", "views"),
        )
    projections = np.empty((len(plan), params.views, BOX, BOX), np.float16)
    drawn = specimens(params.seed, params.phantoms, params.views, kinds, exclude, structures)
    for i, (name, _, images) in enumerate(drawn):
        ctx.step(i, len(plan), f"Projecting {name}")
        projections[i] = images
    library = Library(projections, tuple(n for n, _ in plan), tuple(k for _, k in plan))
    ctx.step(0.99, 1.0, "Writing")
    facts = {
        "version": core.__version__,
        "seed": params.seed,
        "phantoms": params.phantoms,
        "kinds": kinds,
        "excluded": exclude,
        "sources": _sources(library, structures, set(given)),
    }
    path = save_library(params.output, library, facts)
    sheet = contact_sheet(library)
    write_png(params.output / "contact.png", sheet.shape, [sheet], {"Description": "Simulated projections."})
    ctx.preview("library", sheet)
    ctx.step(1.0, 1.0, "Done")
    found = len(set(library.kinds))
    return {
        "summary": f"{len(plan)} simulated specimens of {found} kinds, {params.views} views each; {path}",
        "library": str(path),
        "specimens": len(plan),
    }


def _words(text: str) -> tuple[str, ...]:
    """The words between commas (or spaces), each once, in lower case."""
    return tuple(dict.fromkeys(text.lower().replace(",", " ").split()))


def _sources(library: Library, structures: Structures, given: set[str]) -> list[dict[str, Any]]:
    """Where every deposited specimen comes from, and under which licence."""
    sources: list[dict[str, Any]] = []
    for name, kind in zip(library.names, library.kinds, strict=True):
        if kind != "deposited":
            continue
        licence = "not known to this program; given by the user" if name in given else "CC0 1.0 (Protein Data Bank)"
        sources.append({"name": name, "atoms": len(structures[name][0]), "licence": licence})
    sources.append(
        {"name": "procedural assemblies", "licence": "made by this program from seeds and bundled CC0 structures"}
    )
    return sources


def contact_sheet(library: Library) -> np.ndarray:
    """One projection of every specimen side by side, 8 bit, with a thin grid: (64 rows, 1600)."""
    import numpy as np

    count, _, box, _ = library.projections.shape
    columns = min(SHEET_COLUMNS, count)
    sheet = np.zeros((-(-count // columns) * box, columns * box), np.uint8)
    for i in range(count):
        row, column = box * (i // columns), box * (i % columns)
        image = library.projections[i, 0].astype(np.float32)
        grey = np.clip(image * (235 / max(float(np.percentile(image, 99.7)), 1e-6)), 0, 255)
        sheet[row : row + box, column : column + box] = grey.astype(np.uint8)
    sheet[::box], sheet[:, ::box] = 60, 60
    return sheet
