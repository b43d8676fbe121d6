"""Which device a job computes on."""

from __future__ import annotations

import torch

from core.errors import ParamError, ResourceError


def choose_device(name: str) -> torch.device:
    """`auto` takes the first CUDA device, else the CPU; `cpu` and `cuda:N` are taken at their word."""
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ParamError(f"--device: '{name}' is none of auto, cpu, cuda:0.", fields=("device",))
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ResourceError(
            f"There is no GPU {name} here ({torch.cuda.device_count()} found).", "Use --device cpu or auto."
        )
    return device
