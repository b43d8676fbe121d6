"""One of several processes that torchrun started for one job: which one, of how many, on which GPU.

Only the environment is read; nothing is connected, and torch is not imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from core.errors import ParamError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Rank:
    """Process `number` of `size`; `local` counts those of this machine. `launch` is the same for all of one launch."""

    number: int = 0
    size: int = 1
    local: int = 0
    launch: str = ""

    @property
    def alone(self) -> bool:
        """No torchrun, or a torchrun of one process."""
        return self.size == 1

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Every size-th item: neighbours in a list are often of like size."""
        return list(items[self.number :: self.size])


def this_rank(environment: Mapping[str, str] | None = None) -> Rank:
    """This process as torchrun describes it in RANK, WORLD_SIZE and LOCAL_RANK; alone without them."""
    env = os.environ if environment is None else environment
    if "RANK" not in env or "WORLD_SIZE" not in env:
        return Rank()
    try:
        number, size = int(env["RANK"]), int(env["WORLD_SIZE"])
        local = int(env.get("LOCAL_RANK", number))
    except ValueError:
        number, size, local = -1, 0, 0
    if not 0 <= number < size or local < 0:
        raise ParamError("RANK, WORLD_SIZE and LOCAL_RANK do not fit together.", "Start with torchrun, or unset them.")
    if size == 1:
        return Rank()
    names = ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT")
    return Rank(number, size, local, "/".join(env.get(name, "") for name in names))
