"""Which device a job computes on."""

from __future__ import annotations

import torch

from core.compute.ranks import this_rank
from core.errors import ParamError, ResourceError


def choose_device(name: str) -> torch.device:
    """`auto` takes the first CUDA device, else the CPU; `cpu` and `cuda:N` are taken at their word.

    Of several processes of a torchrun launch, each takes the device of its LOCAL_RANK.
    """
    if name == "auto":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return torch.device(f"cuda:{this_rank().local % count}" if count else "cpu")
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
