"""Job `predict`: denoise whole micrographs with a trained model or a linear baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from core.params import Params, ui


class PredictParams(Params):
    """Denoise whole micrographs."""

    micrographs: tuple[Path, ...] = Field(
        description="Raw micrographs: a folder, or files.", json_schema_extra=ui(dialog="files")
    )
    model: str = Field(
        description="model.safetensors of a training, or a baseline: gaussian:30 (full width in Å), wiener.",
        json_schema_extra=ui(dialog="open", pattern="Model (*.safetensors)"),
    )
    output: Path = Field(
        description="Folder of the denoised micrographs.", json_schema_extra=ui(dialog="folder")
    )
    keep_raw: float = Field(
        0.6,
        ge=0,
        le=1,
        description="Share of low-pass filtered raw detail kept where the network sees particles.",
        json_schema_extra=ui(label="Keep raw detail"),
    )
    noise: Path | None = Field(
        None,
        description="Noise boxes for the Wiener baseline (default: the calmest places of each micrograph).",
        json_schema_extra=ui(dialog="open", pattern="Noise boxes (*.txt *.star)", advanced=True),
    )
    pixel_size: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Pixel size, where the files do not tell it.",
        json_schema_extra=ui(unit="Å/px", advanced=True),
    )
    device: str = Field("auto", description="auto, cpu, or cuda:0.")
    dtype: Literal["float32", "float16"] = Field("float32", description="Number format of the output files.")
    overwrite: bool = Field(False, description="Denoise again what the output folder already holds.")
