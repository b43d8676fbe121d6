"""Job `pick-noise`: boxes of pure background between the particles. The search itself is core/denoising/patches.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from core.params import Params, ui


class PickNoiseParams(Params):
    """Find boxes of pure background between the picked particles."""

    micrographs: tuple[Path, ...] = Field(
        description="Micrographs: a folder, or files.", json_schema_extra=ui(dialog="files")
    )
    particles: Path = Field(
        description="STAR file with the particle positions (RELION 3.0 to 5).",
        json_schema_extra=ui(dialog="open", pattern="STAR (*.star)"),
    )
    box_size: int = Field(ge=16, le=2048, description="Side of a noise box.", json_schema_extra=ui(unit="px"))
    output: Path = Field(
        description="Where the boxes are written: .txt (name x y) or .star.",
        json_schema_extra=ui(dialog="save", pattern="Noise boxes (*.txt *.star)"),
    )
    particle_diameter: float | None = Field(
        None,
        ge=1,
        le=4096,
        description="Particle diameter; boxes keep clear of it when it is larger than the box.",
        json_schema_extra=ui(unit="px"),
    )
    max_per_micrograph: int = Field(100, ge=1, le=10000, description="Most boxes on one micrograph.")
    clearance: float = Field(
        0.0, ge=0, le=4096, description="Extra distance kept from every particle.", json_schema_extra=ui(unit="px")
    )
    seed: int = Field(0, ge=0, description="Seed of the random order.", json_schema_extra=ui(advanced=True))
