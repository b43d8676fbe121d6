"""The report beside converted files: what each is for, what was written, left out, or could not be converted."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import core
from core.cryosparc import outputs
from core.cryosparc.find import Chosen
from core.cryosparc.join import Joined
from core.cryosparc.tables import Tables

_UPSIDE_DOWN = "--micrographs-are motioncor, in the window “Micrographs in RELION: others, upside-down”"
_PURPOSE = {
    outputs.PARTICLES: (
        "for RELION, with the same micrographs that CryoSPARC used. rlnCoordinateY counts from the first row of the "
        "micrograph file; CryoSPARC counts from the other edge."
    ),
    outputs.CLEANED: (
        "the same, with CryoSPARC's 21-digit numbers taken off the file names: for matching with micrographs that "
        "kept their own names. The stacks on disk still have the numbers."
    ),
    outputs.INVERT: (
        "the same, with rlnCoordinateY = NY - Y: for micrographs that lie upside-down to CryoSPARC's, such as those "
        "of MotionCor or RELION made again from the movies. Only positions are inverted: for poses and defocus "
        f"angles of such micrographs, convert again with {_UPSIDE_DOWN}."
    ),
}
_MIRRORED = (
    f"for RELION, with micrographs that lie upside-down to CryoSPARC's ({_UPSIDE_DOWN}): y is not "
    "inverted, and shifts, Euler angles, defocus angles, beam tilt and magnification are those of the mirrored images "
    "(the same map, seen from behind). Extract the particles again."
)
# what a reconstruction needs, in words
_RECONSTRUCTED = {
    "poses": ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"),
    "images": ("rlnImageName",),
    "CTF": ("rlnDefocusU", "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast"),
}
_MIRRORED_INVERT = "the same, with rlnCoordinateY = NY - Y: positions as CryoSPARC's own micrographs have them."


def report(
    chosen: Chosen, joined: Sequence[Joined], tables: Tables, files: Sequence[str], rows: int, mirrored: bool
) -> str:
    """The text, in lines of at most 100 characters; the same for the same input."""
    lines = [f"cs2star, Vitreous {core.__version__}", "", f"From {chosen.why}", f"in {chosen.main.parent}", ""]
    lines += _wrapped(f"{rows} particles read, {tables.n} written.")
    lines += [f"  {count} left out: {reason}" for reason, count in tables.dropped.items()]
    for one in joined:
        lines += _wrapped(f"{one.path.name}: {_counts(one)}")
    lines += ["", "Files"]
    purpose = dict(_PURPOSE)
    if mirrored:
        purpose |= {outputs.PARTICLES: _MIRRORED, outputs.INVERT: _MIRRORED_INVERT}
    for name in files:
        lines += _wrapped(f"{name}: {purpose[name]}", "  ")
    if outputs.INVERT not in files:
        lines += _wrapped(f"{outputs.INVERT} was not written: there are no positions.", "  ")
    lines += ["", "Columns"]
    lines += _wrapped(", ".join([*tables.optics, *tables.particles]), "  ")
    for title, texts in (("Not written", tables.absent), ("To be minded", tables.warnings)):
        if texts:
            lines += ["", title]
            for text in texts:
                lines += _wrapped(f"- {text}", "  ")
    return "\n".join([*lines, ""])


def _counts(one: Joined) -> str:
    parts = [f"{one.matched} particles joined by {'the uid they were expanded from' if one.by_source else 'uid'}"]
    if one.missing:
        parts.append(f"{one.missing} have no partner in it")
    if one.unused:
        parts.append(f"{one.unused} of its rows belong to other particles")
    if one.duplicates:
        parts.append(f"{one.duplicates} of its uids stand there twice, of which the first row counts")
    return ", ".join(parts) + "."


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        100,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def why_not_reconstructed(tables: Tables, mirrored: bool) -> str:
    """Why these particles cannot be reconstructed as they are; empty when they can."""
    columns = {*tables.optics, *tables.particles}
    lacking = {what: [name for name in names if name not in columns] for what, names in _RECONSTRUCTED.items()}
    if mirrored and [what for what, names in lacking.items() if names] == ["images"]:
        return "Reconstruct cannot use them yet: extract the particles from your micrographs first (no rlnImageName)."
    told = [f"{what} ({', '.join(names)})" for what, names in lacking.items() if names]
    return f"Reconstruct cannot use them: no {', no '.join(told)}." if told else ""


def summary(folder: Path, tables: Tables, files: Sequence[str]) -> str:
    """One sentence for the end of the job."""
    left = sum(tables.dropped.values())
    return f"{tables.n} particles written to {', '.join(files)} in {folder}" + (f"; {left} left out" if left else "")
