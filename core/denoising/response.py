"""What a trained network does to the user's own data, measured without ground truth.

On known signals in the user's noise: how raw data and network are best mixed (the blend). On mosaics of the empty
patches and on the raw particle crops: where the gate opens. On the raw particle crops: how much of the mean particle is
lost (TSLM), by the network alone and in the final output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.ndimage as ndi
import torch

from core.compute.devices import reduced_precision
from core.compute.parallel import Workers
from core.denoising.blend import SHELLS, Blend, fit_blend
from core.denoising.collect import disc
from core.denoising.dataset import VALIDATION_STEP, TrainingSet
from core.denoising.inference import run_network
from core.denoising.parts import BALANCE, Gate, make_parts
from core.denoising.training import StructuralLoss
from core.denoising.unet import UNet
from core.physics.noise import noise_mosaic

BLANKS, BLANK_SIDE = 6, 256
KNOWN_BATCHES, KNOWN_PAIRS = 12, 6  # known signals, in pairs that are never trained on
KNOWN_FROM = VALIDATION_STEP + 10**6
SPREAD_OF_SNR = 1.4  # known signals are drawn between the user's SNR over this and times this
MOST_CROPS, LEAST_CROPS = 256, 20
MOST_CHANGE = 3.0  # of the contrast, by the user's own particles
SHUT_BLANK = 98.0  # percentile of the log odds on blanks that is shut where particles stand out
LEAST_BLANK = 86.0  # percentile of the log odds on blanks that is shut whatever the particles are
DISC_RADIUS, DISC_SHARE = 0.4, 20.0  # diameters; the gate is to be open on all but this percentage of a particle's disc
USUAL_SHARE = 10.0  # percentile of the particles from which on the gate is fully open
RAMP = 0.5  # log odds between shut and open


@dataclass(frozen=True)
class Response:
    """See core.denoising.model.Facts for the meaning of each."""

    blend: Blend
    gate: Gate
    blank_rms: float
    tslm: float
    tslm_network: float

    def as_facts(self) -> dict[str, Any]:
        """The same as fields of a model's facts."""
        curves = (self.blend.raw, self.blend.network, self.blend.wiener)
        return {
            "blend": tuple(tuple(round(float(v), 5) for v in curve) for curve in curves),
            "gate": (self.gate.low, self.gate.high),
            "blank_rms": self.blank_rms,
            "tslm": self.tslm,
            "tslm_network": self.tslm_network,
        }


def measure_response(net: UNet, data: TrainingSet, structural: StructuralLoss, workers: Workers) -> Response:
    """Measure a network on the training set's own empty patches and raw particles."""
    level = structural.log_snr
    if data.method == "cryoddm":  # as published: the network's output is the result
        return _as_published(net, structural)
    blend = fit_blend(_known_signals(net, data, level, structural.device), data.wiener())
    blanks = list(_blanks(net, data, level, workers))
    crops, outputs, logits = _particles(net, structural)
    blend = _keep_contrast(blend, crops, outputs, structural)
    gate = choose_gate(np.stack([logit for _, _, logit in blanks]), _on_discs(logits, data.recipe.diameter))
    diameter = data.recipe.diameter
    left = [make_parts(raw, out, logit, blend, gate, diameter).compose(BALANCE) for raw, out, logit in blanks]
    shown = [
        make_parts(raw, out, logit, blend, gate, diameter).compose(BALANCE)
        for raw, out, logit in zip(crops, outputs, logits, strict=True)
    ]
    return Response(
        blend,
        gate,
        float(np.sqrt(np.mean(np.square(left)))),
        _removed(structural, crops, np.stack(shown)),
        _removed(structural, crops, outputs),
    )


def _as_published(net: UNet, structural: StructuralLoss) -> Response:
    """The network alone, everywhere: its log odds are never trained and stay 0, which this gate leaves open.

    The scheme has no linear filter: beyond the balance the raw data come in as they are.
    """
    nothing = np.zeros(SHELLS, np.float32)
    removed = structural.whole(net)
    return Response(Blend(nothing, nothing + 1, nothing + 1), Gate(-2.0, -1.0), 0.0, removed, removed)


def choose_gate(blank: np.ndarray, particles: np.ndarray) -> Gate:
    """Where the gate opens, from the log odds on blanks (any shape) and those that particles (n,) mostly exceed.

    It is fully open on 90 % of the particles. Where these stand out from blanks it stays shut on nearly all of a blank;
    where they do not, rather some noise is shown than a particle left out.
    """
    shut, least = np.percentile(blank, [SHUT_BLANK, LEAST_BLANK])
    high = min(float(np.percentile(particles, USUAL_SHARE)), float(shut) + RAMP)
    low = max(high - RAMP, float(least))
    return Gate(low, max(high, low + RAMP))


def _known_signals(
    net: UNet, data: TrainingSet, level: float, device: torch.device
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Truth, input, output and weight of library particles in the user's noise, at about the user's SNR."""
    snr = float(np.exp(level))
    maker = data.pair_maker(snr / SPREAD_OF_SNR, snr * SPREAD_OF_SNR)
    for number in range(KNOWN_BATCHES):
        pairs = maker.batch(KNOWN_FROM + number, KNOWN_PAIRS)
        output, _ = _answers(net, pairs.noisy.to(device), level)
        columns = (pairs.target[:, 0].numpy(), pairs.noisy[:, 0].numpy(), output, pairs.presence[:, 0].numpy())
        for truth, raw, out, presence in zip(*columns, strict=True):
            if presence.max() > 0:
                yield truth, raw, out, ndi.gaussian_filter(np.clip(1.5 * presence, 0, 1), 1.0)


def _answers(net: UNet, images: torch.Tensor, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Signal and log odds (n, h, w) of images (n, 1, h, w) on the network's device."""
    levels = torch.full((len(images),), level, device=images.device)
    with torch.inference_mode(), reduced_precision(images.device):
        output, logit = net(images, levels)
    return output[:, 0].float().cpu().numpy(), logit[:, 0].float().cpu().numpy()


def _blanks(
    net: UNet, data: TrainingSet, level: float, workers: Workers
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    rng = np.random.default_rng([int(data.manifest["seed"]), 11])
    groups = [data.noise[data.group == g] for g in np.unique(data.group)]
    for i in range(BLANKS):
        blank = np.ascontiguousarray(noise_mosaic(groups[i % len(groups)], (BLANK_SIDE, BLANK_SIDE), rng))
        yield blank, *run_network(net, blank, level, workers)


def _particles(net: UNet, structural: StructuralLoss) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At most 256 raw particle crops, the network's signal and log odds on them: (n, s, s) each."""
    crops = np.ascontiguousarray(structural.crops[:MOST_CROPS], np.float32)
    images = torch.from_numpy(crops)[:, None].to(structural.device)
    return crops, *_answers(net, images, structural.log_snr)


def _on_discs(logits: np.ndarray, diameter: float) -> np.ndarray:
    """The log odds that most of each crop's disc exceeds: (n,)."""
    inside = disc(logits.shape[-1], DISC_RADIUS * diameter)
    return np.percentile(logits[:, inside], DISC_SHARE, axis=1)


def _keep_contrast(blend: Blend, crops: np.ndarray, outputs: np.ndarray, structural: StructuralLoss) -> Blend:
    """Scale the blend, and the filter alone, so that the user's mean particle comes out as strong as it went in.

    The known signals have set their contrast already; the user's particles, where there are enough, know it better.
    """
    if len(crops) < LEAST_CROPS:
        return blend
    applied = [blend.apply(raw, out) for raw, out in zip(crops, outputs, strict=True)]
    gains = []
    for images in zip(*applied, strict=True):
        kept = 1.0 - _removed(structural, crops, np.stack(images))
        gains.append(1.0 / min(max(kept, 1 / MOST_CHANGE), MOST_CHANGE))
    mixed, alone = gains
    return Blend(blend.raw * mixed, blend.network * mixed, blend.wiener * alone)


def _removed(structural: StructuralLoss, crops: np.ndarray, outputs: np.ndarray) -> float:
    """TSLM of outputs (n, s, s): share of the mean particle that they lack."""
    return float(((crops - outputs).mean(0) * structural.template.cpu().numpy()).sum())
