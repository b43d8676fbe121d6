"""How much the images know, and which method that speaks for. Says why in a sentence."""

from __future__ import annotations

import torch

from core.reconstruction import shells
from core.reconstruction.likelihood import Likelihood

PLENTY = 0.9  # mean share of the data up to half of Nyquist from which on a prior adds little
CLEAN = 0.98  # and from which on the images are as good as free of noise


def data_share(data: Likelihood, power: torch.Tensor) -> torch.Tensor:
    """Share (L, L, L // 2 + 1) of each Fourier coefficient that comes from the images, not from a Gaussian prior:
    weight / (weight + 1 / signal power)."""
    inverse = (1 / shells.spread(power, data.box).clamp_min(1e-12)).to(data.weight)
    return data.weight / (data.weight + inverse)


def choose(data: Likelihood, power: torch.Tensor, prior_fits: bool, nothing: bool = False) -> tuple[str, str]:
    """Method and reason. `prior_fits`: there is a prior for this box and pixel size; `nothing`: halves do not agree."""
    if nothing:
        return "wiener", "the half maps agree on nothing, and a prior would make up a map of its own"
    by_shell = shells.shell_mean(data_share(data, power))
    share = float(by_shell[1 : data.box // 4 + 1].mean())
    told = f"the images know {100 * share:.0f} % of the map up to half of Nyquist"
    if share >= CLEAN:
        return "positive", f"{told}: nothing is left for a prior, and density is not negative"
    if not prior_fits:
        return "positive", f"{told}; there is no learned prior for this box and pixel size"
    if share >= PLENTY:
        return "positive", f"{told}: a learned prior adds little"
    return "dps", f"{told}: a learned prior helps where they say little"
