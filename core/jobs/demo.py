"""Job `demo`: the whole path on three bundled real micrographs, with a report. Real data, a short training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from core.params import Params, ui


class DemoParams(Params):
    """Run the whole path on three bundled real micrographs and write a report."""

    minutes: float = Field(
        4.0, gt=0, le=600, description="Training time.", json_schema_extra=ui(unit="min")
    )
    output: Path = Field(
        Path("vitreous-demo"), description="Folder of everything the demo makes.", json_schema_extra=ui(dialog="folder")
    )
    window: bool = Field(True, description="Open the window on the result where there is a display.")
    seed: int = Field(0, ge=0, description="Seed of every random choice.", json_schema_extra=ui(advanced=True))
