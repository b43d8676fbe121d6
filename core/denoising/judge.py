"""The judge: held-out pairs that the network never learns from."""

from __future__ import annotations

import numpy as np
import torch

from core.denoising.dataset import TrainingSet
from core.denoising.library_set import LibrarySet
from core.denoising.training import denoising_loss
from core.denoising.unet import UNet

MOST_PAIRS = 48
MICRO_BATCH = 8  # pairs at a time


class Judge:
    """The held-out pairs: their loss, and one of them as a picture."""

    def __init__(self, data: TrainingSet | LibrarySet, device: torch.device) -> None:
        noisy, target, level = data.validation()
        self.noisy, self.target = (torch.from_numpy(a[:MOST_PAIRS].copy())[:, None].to(device) for a in (noisy, target))
        self.last = 0.0  # the newest loss
        self.level = torch.from_numpy(level[:MOST_PAIRS]).to(device)
        self.shown = int(np.argmax([float(t.std()) for t in self.target]))

    def loss(self, net: UNet) -> float:
        """Mean denoising loss over the held-out pairs."""
        values = []
        with torch.inference_mode():
            for part in torch.arange(len(self.noisy)).split(MICRO_BATCH):
                output = net(self.noisy[part], self.level[part])[0]
                values += [
                    float(denoising_loss(o[None], t[None])) for o, t in zip(output, self.target[part], strict=True)
                ]
        self.last = float(np.mean(values))
        return self.last

    def picture(self, net: UNet) -> np.ndarray:
        """Input, output and clean target of the same held-out pair: (3, h, w)."""
        one = slice(self.shown, self.shown + 1)
        with torch.inference_mode():
            output = net(self.noisy[one], self.level[one])[0]
        return torch.cat([self.noisy[one], output, self.target[one]])[:, 0].float().cpu().numpy()
