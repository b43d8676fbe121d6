"""The learner: network, moving average, optimiser and progress, and the checkpoint that restores all of them exactly.

A checkpoint is one safetensors file (no code runs when it is read); checkpoint.json repeats its facts for people.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from core.compute.parallel import Workers
from core.denoising.training import Piece, gradient, learning_rate, set_gradient
from core.errors import InputError, ParamError
from core.io.atomic import atomic_path, write_json

EMA_DECAY = 0.995
CHECKPOINT = "checkpoint.safetensors"

Net = TypeVar("Net", bound=nn.Module)


class Average(Generic[Net]):
    """Exponential moving average of the weights; what is validated and shipped."""

    def __init__(self, net: Net) -> None:
        self.net = copy.deepcopy(net).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, net: Net, step: int) -> None:
        """Follow the network; the average is short in the beginning."""
        decay = min(EMA_DECAY, (step + 1) / (step + 10))
        for mine, new in zip(self.net.parameters(), net.parameters(), strict=True):
            mine.lerp_(new, 1 - decay)


class Learner(Generic[Net]):
    """All that changes while training. `plan` is what must stay the same for a resume to be exact."""

    def __init__(self, net: Net, learning_rate: float, plan: dict[str, Any]) -> None:
        self.net = net
        self.average = Average(net)
        self.optimizer = torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=1e-4)
        self.peak_rate, self.rate = learning_rate, learning_rate
        self.plan = plan
        self.step, self.seconds = 0, 0.0
        self.best_loss: float | None = None
        self.best_step = 0
        self.best = self._weights()

    def _weights(self) -> dict[str, Tensor]:
        return {k: v.clone() for k, v in self.average.net.state_dict().items()}

    def learn(
        self, pieces: list[tuple[Net, Piece]], share: float, workers: Workers, report: Callable[[], None]
    ) -> float:
        """One step on an objective given in pieces; returns its value. `report` is called after each piece."""
        self.rate = learning_rate(self.step, share, self.peak_rate)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        loss, gradients = 0.0, []
        for value, piece_gradient in workers.map(gradient, pieces):
            report()
            loss += value
            gradients.append(piece_gradient)
        set_gradient(self.net, gradients)
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.average.update(self.net, self.step)
        self.step += 1
        return loss

    def judged(self, loss: float) -> None:
        """Remember the average's weights when they are the best so far; a loss that is no number never is."""
        if math.isfinite(loss) and (self.best_loss is None or loss < self.best_loss):
            self.best_loss, self.best_step, self.best = loss, self.step, self._weights()

    def _facts(self) -> dict[str, Any]:
        names = ("step", "seconds", "best_loss", "best_step", "plan")
        return {name: getattr(self, name) for name in names}

    def save(self, folder: Path) -> None:
        """Write everything an exact resume needs, complete or not at all."""
        tensors = {f"net.{k}": v for k, v in self.net.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.net.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
        plain = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        with atomic_path(folder / CHECKPOINT) as partial:
            save_file(plain, partial, metadata={"facts": json.dumps(self._facts())})
        write_json(folder / "checkpoint.json", self._facts())

    def restore(self, folder: Path) -> None:
        """Go back to what `save` wrote, or say in one sentence why not."""
        path = folder / CHECKPOINT
        try:
            with safe_open(path, framework="pt") as handle:
                facts = json.loads((handle.metadata() or {})["facts"])
                tensors = {k: handle.get_tensor(k) for k in handle.keys()}  # noqa: SIM118
            if facts["plan"] != self.plan:
                raise _other_settings(folder, facts["plan"], self.plan)
            self.net.load_state_dict(_under(tensors, "net."))
            self.average.net.load_state_dict(_under(tensors, "average."))
            self.best = _under(tensors, "best.")
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _under(tensors, "adam.").items():
                index, name = key.split(".", 1)
                state.setdefault(int(index), {})[name] = value
            groups = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({"state": state, "param_groups": groups})
            self.step, self.seconds = int(facts["step"]), float(facts["seconds"])
            self.best_loss, self.best_step = facts["best_loss"], int(facts["best_step"])
        except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as err:
            raise InputError(
                f"{path} cannot be resumed ({str(err).splitlines()[0]}).", "Train into a new folder.", path
            ) from None


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _other_settings(folder: Path, before: Any, now: dict[str, Any]) -> ParamError:
    """Name what differs between the training that a folder holds and the one that was asked for."""
    held = before if isinstance(before, dict) else {}
    differ = [
        f"{name.replace('_', ' ')} {_said(held.get(name))}, now {_said(value)}"
        for name, value in now.items()
        if held.get(name) != value
    ]
    return ParamError(
        f"{folder} was trained with other settings ({'; '.join(differ) or 'of another version'}).",
        "Resume with the same mode, seed, batch size, learning rate and training set, or use a new folder.",
    )


def _said(value: Any) -> str:
    return "none" if value in (None, "") else str(value)
