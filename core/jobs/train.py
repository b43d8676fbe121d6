"""Job `train`: the training loop of the denoising U-Net, in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from core.params import Params, ui


class TrainParams(Params):
    """Train the denoising U-Net."""

    input: Path = Field(
        description="Training set made by forward.", json_schema_extra=ui(dialog="folder", label="Training set")
    )
    output: Path = Field(description="Folder of the model.", json_schema_extra=ui(dialog="folder"))
    minutes: float = Field(
        5.0, gt=0, le=10000, description="Training time; not used when epochs are given.",
        json_schema_extra=ui(unit="min"),
    )
    epochs: int | None = Field(None, ge=1, le=100_000, description="Train this many epochs instead of a time.")
    batch_size: int = Field(8, ge=1, le=512, description="Pairs in one step.")
    learning_rate: float = Field(
        2e-3, gt=0, le=1, description="Peak learning rate of AdamW.", json_schema_extra=ui(advanced=True)
    )
    structural_weight: float = Field(
        0.2,
        ge=0,
        le=10,
        description="Weight of the structural loss on the raw particles (TSLM) in the objective.",
        json_schema_extra=ui(advanced=True, label="TSLM weight"),
    )
    patience: int = Field(
        20,
        ge=1,
        le=10000,
        description="Stop early after this many validations without improvement.",
        json_schema_extra=ui(advanced=True),
    )
    device: str = Field("auto", description="auto, cpu, or cuda:0.")
    resume: bool = Field(False, description="Continue the training that the output folder holds.")
    seed: int = Field(0, ge=0, description="Seed of every random choice.", json_schema_extra=ui(advanced=True))
