"""What an output folder of `predict` holds: which micrographs, how they were made, and the pieces of each.

Read in a task; a folder may be on a slow disk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DENOISED = "denoised"


@dataclass(frozen=True)
class Made:
    """How the micrographs of an output folder were made."""

    label: str = DENOISED
    keep: float | None = None  # share of raw detail in the files
    unfinished: frozenset[str] = frozenset()  # files that a run is still to bring there


def made_by(output: Path | None) -> Made:
    """How the micrographs of an output folder were made, as its settings file says."""
    try:
        settings = json.loads((output / "denoised.json").read_text(encoding="utf-8")) if output else {}
    except (OSError, ValueError):
        return Made()
    if not isinstance(settings, dict):
        return Made()
    method, keep = settings.get("method", ""), None
    if isinstance(method, dict):  # what identifies the outputs: the method and its settings
        keep, method = method.get("keep_raw"), method.get("method", "")
    name, _, size = str(method).partition(":")
    if name == "gaussian":
        return Made(f"Gaussian {size} Å")
    if name == "wiener":
        return Made("Wiener")
    unfinished = settings.get("remake")
    names = frozenset(Path(str(n)).name for n in unfinished) if isinstance(unfinished, list) else frozenset()
    return Made(DENOISED, float(keep) if isinstance(keep, (int, float)) else None, names)


def list_pieces(outputs: Mapping[Path, Path], output: Path | None) -> dict[Path, Path]:
    """The pieces of each micrograph that has them."""
    folder = output / "parts" if output else None
    if folder is None or not folder.is_dir():
        return {}
    there = {p.stem: p for p in folder.iterdir() if p.suffix == ".safetensors"}
    return {source: there[made.stem] for source, made in outputs.items() if made.stem in there}


def list_pairs(given: list[Path], output: Path | None) -> tuple[list[Path], dict[Path, Path]]:
    """Micrographs of the inputs, and for each the file of the same name stem in the output folder."""
    from core.images.source import SUFFIXES, list_micrographs
    from core.io.coordinates import stem_of

    files = list_micrographs(given if len(given) > 1 else given[0])
    if output is None or not output.is_dir():
        return files, {}
    made = {stem_of(p.name): p for p in output.iterdir() if p.name.lower().endswith(SUFFIXES)}
    inputs = {f.absolute() for f in files}
    pairs = {f: made[stem_of(f.name)] for f in files if stem_of(f.name) in made}
    return files, {f: p for f, p in pairs.items() if p.absolute() not in inputs}
