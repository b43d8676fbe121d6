"""Handing maps to ChimeraX: a command file beside the maps, and where the program is.

The commands are those of the ChimeraX user guide (open, volume, transparency, color sample); the file can be read
and changed. Starting the program is the window's business.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.images.colour import table
from core.io.atomic import write_text

PALETTE_COLOURS = 7
_NAMES = ("chimerax", "ChimeraX", "chimerax-daily")
_PLACES = {
    "linux": ("/usr/lib/ucsf-chimerax*/bin/ChimeraX", "/opt/UCSF/ChimeraX*/bin/ChimeraX"),
    "darwin": ("/Applications/ChimeraX*.app/Contents/bin/ChimeraX",),
    "win32": ("C:/Program Files/ChimeraX*/bin/ChimeraX.exe", "C:/Program Files/UCSF ChimeraX*/bin/ChimeraX.exe"),
}


@dataclass(frozen=True)
class Shown:
    """A map file with its contour level (None: not drawn, only opened) and colour "#rrggbb"."""

    path: Path
    level: float | None
    colour: str = "#8fb7d9"
    transparency: int = 0  # per cent


def quoted(path: Path) -> str:
    """A path as ChimeraX reads it, in quotes; line breaks would begin a command of their own."""
    text = str(path).replace("\\", "/").replace("\n", " ").replace("\r", " ")
    return '"' + text.replace('"', "") + '"'


def commands(
    maps: Sequence[Shown], colour_by: Path | None = None, limits: tuple[float, float] | None = None, title: str = ""
) -> str:
    """The text of a .cxc file: open the maps in order, contour them, colour the first by another map."""
    lines = [f"# {title}".replace("\n", " ")] if title else []
    lines.append("# Open this file in a ChimeraX that shows nothing else: models are counted from 1.")
    for number, shown in enumerate(maps, 1):
        lines.append(f"open {quoted(shown.path)}")
        if shown.level is None:
            lines.append(f"volume #{number} hide")
            continue
        lines.append(f"volume #{number} style surface level {shown.level:.6g} step 1 color {shown.colour}")
        if shown.transparency:
            lines.append(f"transparency #{number} {shown.transparency}")
    if colour_by is not None:
        number = len(maps) + 1
        lines += [f"open {quoted(colour_by)}", f"volume #{number} hide"]
        lines.append(f"color sample #1 map #{number} palette {palette(limits)}")
    lines += ["lighting soft", "view"]
    return "\n".join(lines) + "\n"


def palette(limits: tuple[float, float] | None = None, lut: str = "viridis") -> str:
    """Colours from low to high in ChimeraX's words, with their values between `limits`."""
    places = np.linspace(0.0, 1.0, PALETTE_COLOURS)
    colours = ["#" + bytes(table(lut)[round(255 * place)]).hex() for place in places]
    if limits is None:
        return ":".join(colours)
    values = [limits[0] + place * (limits[1] - limits[0]) for place in places]
    return ":".join(f"{value:.6g},{colour}" for value, colour in zip(values, colours, strict=True))


def write_commands(
    path: Path,
    maps: Sequence[Shown],
    colour_by: Path | None = None,
    limits: tuple[float, float] | None = None,
    title: str = "",
) -> Path:
    """Write the command file, all or nothing."""
    write_text(path, commands(maps, colour_by, limits, title))
    return path


def find_program() -> Path | None:
    """ChimeraX on this machine: on the path, then where its installers put it; the newest. None: nowhere."""
    for name in _NAMES:
        found = shutil.which(name)
        if found:
            return Path(found)
    for pattern in _PLACES.get(sys.platform, ()):
        anchor = Path(Path(pattern).anchor)
        places = sorted(anchor.glob(str(Path(pattern).relative_to(anchor))))
        usable = [place for place in places if place.is_file() and os.access(place, os.X_OK)]
        if usable:
            return usable[-1]
    return None
