"""The network on whole canonical images: overlapping tiles with a cosine blend.

What a denoised micrograph is put together from, and how, is in core/denoising/parts.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from core.compute.devices import reduced_precision
from core.compute.parallel import Workers
from core.denoising.unet import MULTIPLE, UNet

TILE, OVERLAP = 384, 48  # canonical px


def run_network(
    net: UNet,
    image: np.ndarray,  # (h, w), noise sigma 1
    log_snr: float,
    workers: Workers,
    step: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[np.ndarray, np.ndarray]:  # (h, w) twice
    """Signal and log odds of a particle on a whole canonical image, tile by tile: memory is that of a few tiles."""
    height, width = image.shape
    device = next(net.parameters()).device
    out = np.zeros((2, height, width), np.float32)
    weight = np.zeros((height, width), np.float32)
    tiles = list(_tiles(height, width))
    level = torch.tensor([log_snr], dtype=torch.float32, device=device)

    def denoise(tile: tuple[int, int, int, int]) -> np.ndarray:
        top, left, h, w = tile
        raw = image[top : top + h, left : left + w]
        padded = np.pad(raw, _margins(h, w), mode="reflect" if min(h, w) > 2 * MULTIPLE else "symmetric")
        with torch.inference_mode(), reduced_precision(device):
            tensor = torch.from_numpy(np.ascontiguousarray(padded))[None, None].to(device)
            result = torch.cat(net(tensor, level))[:, 0].float().cpu().numpy()
        return result[:, MULTIPLE : MULTIPLE + h, MULTIPLE : MULTIPLE + w]

    for i, result in enumerate(workers.map(denoise, tiles)):
        step(i, len(tiles))
        top, left, h, w = tiles[i]
        blend = _blend(h, top, height)[:, None] * _blend(w, left, width)[None]
        out[:, top : top + h, left : left + w] += blend * result
        weight[top : top + h, left : left + w] += blend
    step(len(tiles), len(tiles))
    out /= weight
    return out[0], out[1]


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
