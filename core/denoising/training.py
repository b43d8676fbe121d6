"""What training minimises: the denoising loss and the structural loss (TSLM), and how their gradient is computed.

The weights live in core/denoising/learner.py, the loop in core/jobs/train.py.

TSLM, as this program defines it: the share of the mean raw particle of s1 that the network removes,
mean over crops of <y - f(y), t> / <t, t>, where t is the rotational average of all s1 crops. Noise has no part in it
on average; 0 is ideal, 1 means that the particles are gone. Its square is in the objective.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from core.compute.devices import reduced_precision
from core.denoising.collect import disc, radial_mean
from core.denoising.pairs import Batch
from core.denoising.unet import MULTIPLE, UNet

POWER_FLOOR = 0.004  # noise variances: weighs empty fields like the faintest particles
GATE_WEIGHT = 0.5  # of the presence loss beside the denoising loss
AMPLITUDE_WEIGHT = 0.1  # of the particles' contrast beside the denoising loss
WARM_UP = 30  # steps
FINAL_RATE = 0.02  # of the peak learning rate
STRUCTURAL_EVERY = 4  # steps
MOST_PAIRS = 8  # computed at once on one core: a stop is seen between parts


def denoising_loss(
    output: Tensor,  # (b, 1, h, w)
    target: Tensor,  # (b, 1, h, w)
) -> Tensor:
    """log(1 + error power over signal power), averaged over the fields.

    Every noise level counts about the same, and a field whose contamination is far stronger than any signal cannot
    drown the others.

    The target may be the other frame half, with noise n of its own (Noise2Noise). The error power of a field is then
    |f - s|^2 - 2 <f - s, n> + |n|^2; f has not seen n, so the middle term is 0 on average and the last one is the same
    for every f. The logarithm weighs each field by 1 / (error + power), which depends on n by about one part in a
    hundred (means over 128 x 128 px). The best f is that of the clean target; a step towards it is smaller and noisier.
    """
    power = target.square().mean((1, 2, 3))
    error = (output - target).square().mean((1, 2, 3))
    return torch.log1p(error / (power + POWER_FLOOR)).mean()


def presence_loss(
    logit: Tensor,  # (b, 1, h, w) log odds
    presence: Tensor,  # (b, 1, h, w) 0..1, or UNKNOWN
) -> Tensor:
    """Binary cross-entropy of the gate where the truth is known."""
    known = presence >= 0
    loss = functional.binary_cross_entropy_with_logits(logit, presence.clamp(min=0.0), reduction="none")
    return (loss * known).sum() / known.sum().clamp(min=1)


def amplitude_loss(output: Tensor, target: Tensor, presence: Tensor) -> Tensor:
    """Squared error of the contrast of what lies inside particles: ((<f, t> - <t, t>) / <t, t>)^2 in every quarter.

    The squared error alone lets an unsure network shrink; a quarter of a field is about the size of four particles.
    """
    inside = presence.clamp(min=0.0)
    size = output.shape[-1] // 4
    moment, power = (functional.avg_pool2d(inside * target * image, size) for image in (output, target))
    known = power > POWER_FLOOR
    share = (moment - power) / power.clamp(min=POWER_FLOOR)
    return (share.square().clamp(max=4.0) * known).sum() / known.sum().clamp(min=1)


class StructuralLoss:
    """TSLM on the raw particle crops of s1: (n, s, s), canonical, noise sigmas, centred at s // 2."""

    def __init__(self, particles: np.ndarray, diameter: float, log_snr: float, device: torch.device) -> None:
        side = particles.shape[-1] - particles.shape[-1] % MULTIPLE
        first = particles.shape[-1] // 2 - side // 2
        inner = slice(first, first + side)
        self.crops = particles[:, inner, inner]
        self.log_snr, self.device = log_snr, device
        template = radial_mean(particles.mean(axis=0)) * disc(particles.shape[-1], 0.7 * diameter)
        template = template[inner, inner]
        self.template = torch.from_numpy(template / max(float((template**2).sum()), 1e-12)).to(device)

    def removed(self, net: UNet, crops: np.ndarray) -> Tensor:
        """Share of the mean particle removed from these crops (b, s, s)."""
        images = torch.from_numpy(np.ascontiguousarray(crops, np.float32))[:, None].to(self.device)
        level = torch.full((len(crops),), self.log_snr, device=self.device)
        residual = (images - net(images, level)[0])[:, 0].mean(0)
        return (residual * self.template).sum()

    def loss(self, net: UNet, step: int, seed: int, count: int = 16) -> Tensor:
        """Squared share on a random batch that depends on (seed, step) only."""
        rng = np.random.default_rng([seed, 3, step])
        chosen = rng.integers(len(self.crops), size=count)
        turned = np.rot90(self.crops[chosen], int(rng.integers(4)), axes=(1, 2))
        return self.removed(net, turned).square()

    def whole(self, net: UNet, most: int = 512) -> float:
        """TSLM over (at most `most` of) the set."""
        values = []
        with torch.inference_mode():
            for first in range(0, min(len(self.crops), most), 64):
                values.append(float(self.removed(net, self.crops[first : min(first + 64, most)])))
        return float(np.mean(values))


def learning_rate(step: int, share: float, peak: float) -> float:
    """Warm-up over the first steps, then a cosine over the share (0..1) of the training that is done."""
    cosine = FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    return peak * min(1.0, (step + 1) / WARM_UP) * cosine


Piece = Callable[[], Tensor]  # a part of the objective; the parts add up


def pair_loss(net: UNet, pairs: Batch) -> Tensor:
    """The objective of some pairs: denoising, presence and contrast."""
    output, logit = net(pairs.noisy, pairs.log_snr)
    loss = denoising_loss(output, pairs.target)
    loss = loss + GATE_WEIGHT * presence_loss(logit, pairs.presence)
    return loss + AMPLITUDE_WEIGHT * amplitude_loss(output, pairs.target, pairs.presence)


def objective(
    net: UNet, batch: Batch, structural: StructuralLoss | None, step: int, params: Any, parts: int
) -> list[tuple[UNet, Piece]]:
    """The objective of one step in parts that can be computed side by side: slices of the batch, and TSLM."""
    count = len(batch.noisy)
    size = max(1, min(MOST_PAIRS, -(-count // parts)))
    device = batch.noisy.device

    def slice_loss(part: slice) -> Tensor:
        pairs = Batch(*(t[part] for t in batch))
        with reduced_precision(device):
            return pair_loss(net, pairs) * (len(pairs.noisy) / count)

    pieces: list[Piece] = [partial(slice_loss, slice(i, i + size)) for i in range(0, count, size)]
    if structural is not None and params.structural_weight > 0 and step % STRUCTURAL_EVERY == 0:
        weight = STRUCTURAL_EVERY * params.structural_weight

        def structural_loss() -> Tensor:
            with reduced_precision(device):
                return weight * structural.loss(net, step, params.seed)

        pieces.append(structural_loss)
    return [(net, piece) for piece in pieces]


def gradient(piece: tuple[nn.Module, Piece]) -> tuple[float, tuple[Tensor, ...]]:
    """Value of one part and its gradient by the weights; touches nothing shared."""
    net, compute = piece
    value = compute()
    return float(value.detach()), torch.autograd.grad(value, list(net.parameters()))


def set_gradient(net: nn.Module, gradients: list[tuple[Tensor, ...]]) -> None:
    """Add the parts up in their order, so that the sum does not depend on timing."""
    for weight, *parts in zip(net.parameters(), *gradients, strict=True):
        total = parts[0].clone()
        for part in parts[1:]:
            total += part
        weight.grad = total
