"""Job `forward`: build the training set (CryoDDM's folder layout) by a forward diffusion with real noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from core.params import Params, ui


class ForwardParams(Params):
    """Build the training set: clean signal mixed with your own noise."""

    micrographs: tuple[Path, ...] = Field(
        description="Raw micrographs: a folder, or files.", json_schema_extra=ui(dialog="files")
    )
    particles: Path = Field(
        description="STAR file with the particle positions.",
        json_schema_extra=ui(dialog="open", pattern="STAR (*.star)"),
    )
    noise: Path = Field(
        description="Noise boxes from Home or pick-noise (.txt or .star).",
        json_schema_extra=ui(dialog="open", pattern="Noise boxes (*.txt *.star)"),
    )
    particle_diameter: float = Field(
        ge=16, le=4096, description="Particle diameter.", json_schema_extra=ui(unit="px")
    )
    output: Path = Field(description="Folder of the training set.", json_schema_extra=ui(dialog="folder"))
    method: Literal["noise-transfer", "cryoddm"] = Field(
        "noise-transfer",
        description="noise-transfer: clean signal of other specimens + your noise, target clean; "
        "cryoddm: CryoDDM's published schedule on the raw crops, for comparison.",
    )
    preset: Literal["config1", "config2", "custom"] = Field(
        "config1",
        description="Schedule: config1 (beta 0.1288, 5 steps, start 2), config2 (0.1, 6, 2), or custom. "
        "Under noise-transfer it bounds the range of noise levels.",
    )
    beta: float = Field(0.1288, gt=0, lt=1, description="Custom schedule: step size.")
    steps: int = Field(6, ge=1, le=100, description="Custom schedule: number of steps.")
    start: int = Field(2, ge=1, le=100, description="Custom schedule: first step that is used.")
    rsilb: float = Field(
        1.0,
        ge=0,
        le=100,
        description="Lower bound of residual structural information; the chain stops before it falls below.",
        json_schema_extra=ui(unit="bits", label="RSILB"),
    )
    noise_box: int | None = Field(
        None,
        ge=16,
        le=2048,
        description="Side of the noise boxes where the file does not say it (default: the particle diameter).",
        json_schema_extra=ui(unit="px"),
    )
    max_particles: int = Field(4000, ge=1, le=1_000_000, description="Most particles cut out.")
    contrast: Literal["auto", "dark", "light"] = Field(
        "auto", description="Are particles darker or lighter than the ice? auto measures it."
    )
    pixel_size: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Pixel size, where the files do not tell it.",
        json_schema_extra=ui(unit="Å/px", advanced=True),
    )
    seed: int = Field(0, ge=0, description="Seed of every random choice.", json_schema_extra=ui(advanced=True))
