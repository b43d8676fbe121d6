"""What a trained network does to the user's own data, measured without ground truth.

On mosaics of the empty patches: how much it invents, which sets the threshold of the gate. On the raw
particle crops: how much of the mean particle is lost (TSLM), of the network alone and of the final output.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
import torch

from core.compute.parallel import Workers
from core.denoising.dataset import TrainingSet
from core.denoising.inference import GATE_WINDOW, combine, run_network
from core.denoising.training import StructuralLoss
from core.denoising.unet import UNet
from core.physics.noise import noise_mosaic

BLANKS, BLANK_SIDE = 6, 256
# where the gate opens, chosen on the demo data: the larger of the two
BLANK_SAFETY = 1.7  # times the 99th percentile of the local response on blanks
PARTICLE_SHARE = 0.25  # of the median local response at particle centres
LEAST_THRESHOLD = 0.02  # noise sigmas
KEEP = 0.8  # the share of raw detail that TSLM is reported for


@dataclass(frozen=True)
class Response:
    """See core.denoising.model.Facts for the meaning of each."""

    blank_rms: float
    gate_threshold: float
    tslm: float
    tslm_network: float


def measure_response(net: UNet, data: TrainingSet, structural: StructuralLoss, workers: Workers) -> Response:
    """Measure a network on the training set's own empty patches and raw particles."""
    diameter = data.recipe.diameter
    level = structural.log_snr
    rng = np.random.default_rng([int(data.manifest["seed"]), 11])
    groups = [data.noise[data.group == g] for g in np.unique(data.group)]
    rms, local = [], []
    for i in range(BLANKS):
        blank = noise_mosaic(groups[i % len(groups)], (BLANK_SIDE, BLANK_SIDE), rng)
        out = run_network(net, np.ascontiguousarray(blank), level, workers)
        rms.append(float((out**2).mean()))
        local.append(np.sqrt(ndi.gaussian_filter(out * out, GATE_WINDOW * diameter)))
    noise_level = BLANK_SAFETY * float(np.percentile(np.stack(local), 99))
    particle_level = PARTICLE_SHARE * _particle_response(net, structural, diameter)
    threshold = max(LEAST_THRESHOLD, noise_level, particle_level)
    alone = structural.whole(net)
    return Response(float(np.sqrt(np.mean(rms))), threshold, _of_output(net, structural, threshold, diameter), alone)


def _outputs(net: UNet, structural: StructuralLoss) -> np.ndarray:
    """The network on (at most 256) raw particle crops: (n, s, s)."""
    crops = structural.crops[:256]
    with torch.inference_mode():
        images = torch.from_numpy(np.ascontiguousarray(crops, np.float32))[:, None].to(structural.device)
        level = torch.full((len(crops),), structural.log_snr, device=structural.device)
        return net(images, level)[:, 0].float().cpu().numpy()


def _particle_response(net: UNet, structural: StructuralLoss, diameter: float) -> float:
    """Median local rms of the network's output at the centres of the raw particles, noise sigmas."""
    centre = structural.crops.shape[-1] // 2
    local = [ndi.gaussian_filter(o * o, GATE_WINDOW * diameter)[centre, centre] for o in _outputs(net, structural)]
    return float(np.sqrt(np.median(local)))


def _of_output(net: UNet, structural: StructuralLoss, threshold: float, diameter: float) -> float:
    template = structural.template.cpu().numpy()
    shares = []
    for crop, output in zip(structural.crops, _outputs(net, structural), strict=False):
        result = combine(output, crop, KEEP, threshold, diameter)
        shares.append(float(((crop - result) * template).sum()))
    return float(np.mean(shares))
