"""Which device a job computes on."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager

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


@functools.lru_cache(maxsize=8)
def fast_bfloat16(device_type: str) -> bool:
    """Whether this kind of device multiplies bfloat16 in hardware (half the work of float32 and half the memory)."""
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # not in every version of torch
    return bool(device_type == "cpu" and probe is not None and probe())


def reduced_precision(device: torch.device) -> AbstractContextManager[object]:
    """Convolutions in bfloat16 where the machine is faster with it; sums and results stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=fast_bfloat16(device.type))
