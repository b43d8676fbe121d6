"""A prior of the right form that has learnt nothing: for tests of what happens around it."""

from __future__ import annotations

from pathlib import Path

import torch

from core.reconstruction.denoiser import Denoiser
from core.reconstruction.leakage import Trained
from core.reconstruction.prior import Facts, save_prior

NOBODY = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQ"


def save_tiny_prior(path: Path, sequence: str = NOBODY) -> Path:
    """Write random weights for a box of 32 voxels of 3 Å, "trained" on one sequence."""
    torch.manual_seed(0)
    widths = (8, 8, 8)
    facts = Facts(32, 3.0, widths, (0.25,) * 17, (Trained("nobody", (sequence,)),))
    save_prior(path, Denoiser(widths).state_dict(), facts)
    return path
