"""Finding the datasets to convert: in a job's folder, an export, a .csg file, or a .cs file given by name.

CryoSPARC writes a dataset per iteration, and what a job only passes on (locations, CTF, images) into
`*_passthrough_*` files. Which file was taken, and why, is said in words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError

_JOB = re.compile(r"^J(\d+)$")
_ITERATION = re.compile(r"^(?:(.*?)_)?(\d+)_particles\.cs$")  # any number of digits
_PASSTHROUGH = "passthrough"
# what a job put aside: never taken by itself
_ASIDE = re.compile(r"(excluded|rejected|removed|remainder|uncategorized|uncategorised|unused)", re.IGNORECASE)
_CHOSEN = re.compile(r"(selected|accepted|kept)", re.IGNORECASE)
_PART = re.compile(r"(?:class|split)_(\d+)")  # one of several outputs of a job
_PART_NAME = re.compile(r"(?:^|_)(?:class|split)$")  # before a number, which is then no iteration's
_METAFILE = re.compile(r"^\s*metafile:\s*['\"]?>?([^'\"\n]+?)['\"]?\s*$")
_CSG_BYTES = 4 << 20
_MOST_SHOWN = 6


@dataclass(frozen=True)
class Chosen:
    """Files of one conversion: `main` names the rows, `others` add columns by uid; `why` is a sentence."""

    main: Path
    others: tuple[Path, ...]
    why: str


@dataclass(frozen=True)
class Job:
    """One folder or file to convert, and the name of its output folder."""

    source: Path
    folder: str


def jobs(project: Path, count: int) -> tuple[list[Job], list[str]]:
    """The jobs to convert: `project` alone, or J<n> ... J<n + count - 1> beside it; and the names that are absent."""
    match = _JOB.match(project.name)
    if count == 1:
        return [Job(project, "class1")], []
    if match is None or project.is_file():
        raise InputError(
            f"{project} is not a job folder, so the {count - 1} after it are not known.",
            "Choose the folder J<number> of the first job, or ask for one job.",
            project,
        )
    if not project.is_dir():
        raise InputError(f"There is no folder {project}.", "Choose the folder of the first job.", project)
    numbered = [project.with_name(f"J{int(match[1]) + i}") for i in range(count)]
    there = [Job(folder, f"class{i}") for i, folder in enumerate(numbered, 1) if folder.is_dir()]
    return there, [folder.name for folder in numbered if not folder.is_dir()]


def choose(source: Path, passthrough: tuple[Path, ...] = ()) -> Chosen:
    """The datasets of a job folder, a .csg or a .cs file. `passthrough`: given ones replace those that are found."""
    if source.is_dir():
        main, why = _main_of(source)
    elif not source.exists():
        raise InputError(f"{source} does not exist.", "Choose a job folder or a .cs file.", source)
    elif source.suffix.lower() == ".csg":
        return _of_group(source, passthrough)
    else:
        main, why = source, f"{source.name}: as given"
    if passthrough:
        return Chosen(main, passthrough, why + _with(passthrough))
    found = tuple(_passthroughs(main))
    return Chosen(main, found, why + _with(found))


def _with(others: tuple[Path, ...]) -> str:
    return f", with {', '.join(o.name for o in others)}" if others else ""


def _datasets(folder: Path) -> list[Path]:
    try:
        files = [f for f in folder.iterdir() if f.suffix.lower() == ".cs" and not f.name.startswith(".")]
    except OSError as err:
        raise InputError(f"The folder {folder} cannot be read: {err.strerror}.", "Check it.", folder) from None
    return sorted(f for f in files if f.is_file())


def _main_of(folder: Path) -> tuple[Path, str]:
    """The dataset that names the particles of a job folder, and why it is that one."""
    files = _datasets(folder)
    if not files:
        raise _nothing(folder)
    mine = [f for f in files if _PASSTHROUGH not in f.name.lower() and not _ASIDE.search(f.name)]
    by_series: dict[str, list[tuple[int, Path]]] = {}
    for file in mine:
        match = _ITERATION.match(file.name)
        if match and not _PART_NAME.search(match[1] or ""):
            by_series.setdefault(match[1] or "", []).append((int(match[2]), file))
    if len(by_series) == 1:
        series = sorted(next(iter(by_series.values())))
        number, file = series[-1]
        which = f"the last of {len(series)} iterations" if len(series) > 1 else "the only iteration"
        return file, f"{file.name}: {which} (number {number})"
    if by_series:
        raise _ambiguous(folder, [max(series)[1] for series in by_series.values()])
    named = [f for f in mine if "particle" in f.name.lower()]
    for files_there, reason in (
        ([f for f in named if _CHOSEN.search(f.name)], "the particles that the job selected"),
        ([f for f in named if "exported" in f.name.lower()], "the particles of the export"),
        (named, "the only particles of the job"),
        ([f for f in mine if f.name.lower().startswith("split_")], "the only part of the split"),
        (mine, "the only dataset of the folder"),
    ):
        if len(files_there) == 1:
            return files_there[0], f"{files_there[0].name}: {reason}"
        if files_there:
            raise _ambiguous(folder, files_there)
    raise _nothing(folder)


def _nothing(folder: Path) -> InputError:
    """A folder without a dataset of its own: maybe a project, maybe an export with a .csg file."""
    inside = sorted(
        (f for f in folder.iterdir() if f.is_dir() and _JOB.match(f.name)), key=lambda f: int(f.name.removeprefix("J"))
    )
    if inside:
        names = ", ".join(f.name for f in inside[:_MOST_SHOWN]) + (", ..." if len(inside) > _MOST_SHOWN else "")
        return InputError(f"{folder} is a project with jobs {names}.", "Choose the folder of one job.", folder)
    return InputError(f"{folder} holds no particle dataset (.cs).", "Choose a job folder or a .cs file.", folder)


def _ambiguous(folder: Path, files: list[Path]) -> InputError:
    names = ", ".join(f.name for f in files[:_MOST_SHOWN]) + (", ..." if len(files) > _MOST_SHOWN else "")
    return InputError(f"{folder} holds several sets of particles: {names}.", "Choose one of these files.", folder)


def _passthroughs(main: Path) -> list[Path]:
    """What the job of `main` only passed on: beside it, and of the same part of the output."""
    if _PASSTHROUGH in main.name.lower():
        return []
    files = [f for f in _datasets(main.parent) if _PASSTHROUGH in f.name.lower()]
    files = [f for f in files if "particle" in f.name.lower() or f.name.endswith(main.name)]
    aside = bool(_ASIDE.search(main.name))
    return [f for f in files if bool(_ASIDE.search(f.name)) == aside and _same_job(main, f) and _same_part(main, f)]


def _same_part(main: Path, other: Path) -> bool:
    """Whether a passthrough file may know the particles of `main`: of its class or split, or of all."""
    mine, theirs = _PART.search(main.name), _PART.search(other.name)
    return mine is None or theirs is None or int(mine[1]) == int(theirs[1])


def without_part(name: str) -> str:
    """A file name without the number of its class or split: the same for all parts of one output."""
    return _PART.sub("", name)


def _same_job(main: Path, other: Path) -> bool:
    """Whether two names may belong to one job: exports of several jobs can share a folder."""
    numbers = [re.search(r"(?:^|_)J(\d+)_", f.name) for f in (main, other)]
    return not all(numbers) or numbers[0][1] == numbers[1][1]  # type: ignore[index]


def _of_group(group: Path, passthrough: tuple[Path, ...]) -> Chosen:
    """The datasets that a .csg file (YAML) lists."""
    with group.open("rb") as stream:
        text = stream.read(_CSG_BYTES).decode("utf-8", "replace")
    listed = dict.fromkeys(m[1].strip() for line in text.splitlines() if (m := _METAFILE.match(line)))
    if not listed:
        raise InputError(f"{group} lists no dataset.", "Choose a .csg file of a particle output.", group)
    places = [group.parent / name for name in listed]
    absent = [place for place in places if not place.is_file()]
    if absent:
        raise InputError(
            f"{group} lists {absent[0].name}, which is not beside it.",
            "Keep the .csg file in the folder of its export, or choose a .cs file.",
            group,
        )
    files = places
    files.sort(key=lambda f: _PASSTHROUGH in f.name.lower())
    others = passthrough or tuple(files[1:])
    return Chosen(files[0], others, f"{files[0].name}: listed by {group.name}" + _with(others))
