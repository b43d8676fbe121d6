"""How far a training is: shared by the jobs that train. What is learnt lives in core/denoising/learner.py."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from core.denoising.learner import Learner

CHECKPOINT_EVERY_S = float(os.environ.get("VITREOUS_CHECKPOINT_S", "50"))


class Clock:
    """How much of the training is done: by steps when a total is given, otherwise by time (earlier runs included)."""

    def __init__(self, learner: Learner[Any], folder: Path, minutes: float, total: int | None = None) -> None:
        self.learner, self.folder, self.minutes, self.total = learner, folder, minutes, total
        self._began = time.monotonic() - learner.seconds
        self._saved = time.monotonic()

    def share(self) -> float:
        """0 at the start, 1 at the end."""
        if self.total:
            return self.learner.step / self.total
        return (time.monotonic() - self._began) / (60 * self.minutes)

    def checkpoint_due(self) -> bool:
        """Has it been long since the last checkpoint?"""
        return time.monotonic() - self._saved > CHECKPOINT_EVERY_S

    def save(self) -> None:
        """Write the checkpoint."""
        self.learner.seconds = time.monotonic() - self._began
        self.learner.save(self.folder)
        self._saved = time.monotonic()
