"""The denoising network: a small U-Net told the noise level. Weights only; the loop is in core/jobs/train.py.

Input is the noisy image with noise sigma 1 (b, 1, h, w), h and w multiples of 32, and log SNR (b,). It has two
answers: the signal in the same units, and where there is any (the gate, as log odds). Pixel-unshuffling by 2 and a
low-pass copy as second input let few operations see far: about 0.02 million multiply-adds a pixel.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

WIDTHS = (32, 64, 96, 128, 160)  # multiples of 32 fill the vector units in bfloat16
MULTIPLE = 32  # image sides must be multiples of this
LOW_PASS_SIGMA = 1.6  # px
SNR_CENTRE, SNR_SPREAD = 0.25, 1.5  # log SNR is fed as (log snr - log centre) / spread


class UNet(nn.Module):
    """Pixel-unshuffle, five scales, skip connections, zero-initialised output: it starts by removing everything."""

    SIGNAL = 4  # channels of the head that are shuffled into the signal; one more is the gate

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.down = nn.ModuleList([_double_conv(9, widths[0]), *(_double_conv(a, b) for a, b in pairwise(widths))])
        self.up = nn.ModuleList([_double_conv(a + b, a) for a, b in pairwise(widths)])
        self.head = nn.Conv2d(widths[0], self.SIGNAL + 1, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]
        self.low_pass: Tensor
        self.register_buffer("low_pass", _unit_noise_gaussian(LOW_PASS_SIGMA), persistent=False)

    def on(self, device: torch.device) -> UNet:
        """Move to a device, in the memory layout that convolutions like."""
        self.to(device)
        for weight in self.parameters():
            if weight.dim() == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        return self

    def forward(
        self,
        noisy: Tensor,  # (b, 1, h, w)
        log_snr: Tensor,  # (b,)
    ) -> tuple[Tensor, Tensor]:  # (b, 1, h, w) twice, float32
        """Estimate the signal in the noisy images, and the log odds that a place lies in a particle."""
        radius = self.low_pass.shape[-1] // 2
        padded = functional.pad(noisy, (radius,) * 4, mode="reflect")
        smooth = functional.conv2d(functional.conv2d(padded, self.low_pass), self.low_pass.transpose(2, 3))
        x = functional.pixel_unshuffle(torch.cat([noisy, 0.5 * smooth], 1), 2)
        level = ((log_snr - math.log(SNR_CENTRE)) / SNR_SPREAD).to(x.dtype)
        level = level[:, None, None, None].expand(-1, 1, *x.shape[2:])
        x = torch.cat([x, level], 1).contiguous(memory_format=torch.channels_last)
        skips = []
        for i, block in enumerate(self.down):
            x = block(functional.avg_pool2d(x, 2) if i else x)
            skips.append(x)
        for i in reversed(range(len(self.up))):
            x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = self.up[i](torch.cat([x, skips[i]], 1))
        with torch.autocast(noisy.device.type, enabled=False):  # the answers keep all their digits
            answer = self.head(x.float())
            logit = functional.interpolate(answer[:, self.SIGNAL :], scale_factor=2, mode="bilinear")
            return functional.pixel_shuffle(answer[:, : self.SIGNAL], 2), logit


def _double_conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.SiLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.SiLU(inplace=True),
    )


def _unit_noise_gaussian(sigma: float) -> Tensor:
    """One axis of a separable Gaussian, (1, 1, 1, k), that leaves white noise at unit variance after both axes."""
    radius = round(3 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1).float() / sigma) ** 2)
    return (kernel / kernel.norm())[None, None, None]
