"""From named tensors of any origin to this program's network: is it ours, of which widths, and what does not fit.

Reading files is core/io/checkpoint.py; what a model must know besides its weights is model.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor

from core.denoising.unet import UNet
from core.errors import InputError
from core.io.checkpoint import shown

MOST_SCALES = 16
_HINT = "Use a model that was trained by this version, or train again."


def network_of(path: Path, tensors: Mapping[str, Tensor]) -> UNet:
    """The network with these weights, on the CPU; `InputError` says in one sentence why there is none."""
    widths = _widths(tensors)
    if widths is None:
        raise InputError(
            f"{path} looks like a network of {len(tensors)} tensors (first {_some(tensors)}); "
            "only Vitreous' own U-Net can be used.",
            "Train a model on your micrographs.",
            path,
        )
    with torch.device("meta"):  # shapes only: nothing is allocated for a network that does not fit
        wanted = UNet(widths).state_dict()
    missing = [name for name in wanted if name not in tensors]
    extra = [name for name in tensors if name not in wanted]
    other = [name for name in wanted if name in tensors and tensors[name].shape != wanted[name].shape]
    words = [
        f"{len(names)} {word} ({_some(names)})"
        for names, word in ((missing, "missing"), (extra, "unexpected"), (other, "of another shape"))
        if names
    ]
    if words:
        raise InputError(
            f"{path} does not fit the network of this version: of {len(wanted)} tensors, {', '.join(words)}.",
            _HINT,
            path,
        )
    whole = next((name for name in wanted if not tensors[name].is_floating_point()), None)
    if whole is not None:
        kind = str(tensors[whole].dtype).removeprefix("torch.")
        raise InputError(f"{path} holds {kind} in {whole}, where weights are decimal numbers.", _HINT, path)
    net = UNet(widths)
    net.load_state_dict(dict(tensors))
    return net


def _widths(tensors: Mapping[str, Tensor]) -> tuple[int, ...] | None:
    """Channels of each scale, read off the first layer of each; None when this is no network of ours."""
    widths: list[int] = []
    while len(widths) < MOST_SCALES and (first := tensors.get(f"down.{len(widths)}.0.weight")) is not None:
        if first.dim() != 4 or 0 in first.shape:
            return None
        widths.append(int(first.shape[0]))
    return tuple(widths) if widths and "head.weight" in tensors else None


def _some(names: Collection[str]) -> str:
    listed = [shown(name) for name, _ in zip(names, range(3), strict=False)]
    return ", ".join(listed) + (", ..." if len(names) > 3 else "")
