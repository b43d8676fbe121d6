"""Which device a job computes on."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager

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
