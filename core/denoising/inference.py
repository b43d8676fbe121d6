"""Prediction: overlapping tiles with a cosine blend, then the gate and the raw detail that is kept.

The network removes background better than any linear filter but breaks rings and shrinks faint particles. Where it
sees signal, low-pass filtered raw data are therefore given back; where it sees no more than in the user's own empty
patches, nothing is shown: out = gate * (net + keep * lowpass(raw - net)).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import scipy.ndimage as ndi
import torch

from core.compute.parallel import Workers
from core.denoising.unet import MULTIPLE, UNet

TILE, OVERLAP = 384, 48  # canonical px
ADD_BACK_SIGMA = 1.1 / 32  # of the low-pass, in particle diameters
GATE_WINDOW, GATE_BLUR = 5.0 / 32, 3.0 / 32  # diameters


def run_network(
    net: UNet,
    image: np.ndarray,  # (h, w), noise sigma 1
    log_snr: float,
    workers: Workers,
    step: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:  # (h, w)
    """The network on a whole canonical image, tile by tile: memory is that of a few tiles."""
    height, width = image.shape
    device = next(net.parameters()).device
    out = np.zeros_like(image)
    weight = np.zeros_like(image)
    tiles = list(_tiles(height, width))
    level = torch.tensor([log_snr], dtype=torch.float32, device=device)

    def denoise(tile: tuple[int, int, int, int]) -> np.ndarray:
        top, left, h, w = tile
        raw = image[top : top + h, left : left + w]
        padded = np.pad(raw, _margins(h, w), mode="reflect" if min(h, w) > 2 * MULTIPLE else "symmetric")
        with torch.inference_mode():
            tensor = torch.from_numpy(np.ascontiguousarray(padded))[None, None].to(device)
            result = net(tensor, level)[0, 0].float().cpu().numpy()
        return result[MULTIPLE : MULTIPLE + h, MULTIPLE : MULTIPLE + w]

    for i, result in enumerate(workers.map(denoise, tiles)):
        step(i, len(tiles))
        top, left, h, w = tiles[i]
        blend = _blend(h, top, height)[:, None] * _blend(w, left, width)[None]
        out[top : top + h, left : left + w] += blend * result
        weight[top : top + h, left : left + w] += blend
    step(len(tiles), len(tiles))
    out /= weight
    return out


def _tiles(height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    def starts(n: int) -> list[int]:
        if n <= TILE:
            return [0]
        count = -(-(n - OVERLAP) // (TILE - OVERLAP))
        return [round(i * (n - TILE) / (count - 1)) for i in range(count)]

    for top in starts(height):
        for left in starts(width):
            yield top, left, min(TILE, height), min(TILE, width)


def _margins(h: int, w: int) -> list[tuple[int, int]]:
    """At least MULTIPLE px around the tile, so that the convolutions' own border stays outside."""
    return [(MULTIPLE, MULTIPLE + -n % MULTIPLE) for n in (h, w)]


def _blend(n: int, start: int, total: int) -> np.ndarray:
    """Cosine ramps over the overlap at the inner borders of a tile, 1 elsewhere."""
    ramp = np.ones(n, np.float32)
    rise = (0.5 - 0.5 * np.cos(np.pi * (np.arange(OVERLAP) + 0.5) / OVERLAP)).astype(np.float32)
    if start > 0:
        ramp[:OVERLAP] = rise
    if start + n < total:
        ramp[-OVERLAP:] = rise[::-1]
    return ramp


def gate(net_output: np.ndarray, threshold: float, diameter: float) -> np.ndarray:
    """Where the network sees more than it does in empty ice: 0..1 from the local rms of its output (noise sigma 1).

    It opens at `threshold`, a multiple of the response on the user's own empty patches (see response.py), and is
    fully open at twice that.
    """
    local = np.sqrt(ndi.gaussian_filter(net_output * net_output, GATE_WINDOW * diameter))
    open_ = np.clip(local / max(threshold, 1e-6) - 1.0, 0.0, 1.0)
    return ndi.gaussian_filter(open_, GATE_BLUR * diameter)


def combine(net_output: np.ndarray, raw: np.ndarray, keep: float, threshold: float, diameter: float) -> np.ndarray:
    """The denoised image: gate * (network + keep * lowpass(raw - network)); all canonical, noise sigma 1."""
    out = net_output
    if keep > 0:
        out = out + np.float32(keep) * ndi.gaussian_filter(raw - net_output, ADD_BACK_SIGMA * diameter)
    return gate(net_output, threshold, diameter) * out
