"""The 3D prior beside the Wiener filter: error of denoised maps of structures that it has not seen, as JSON.

`python -m benchmarks.prior --structures DIR [--prior FILE]`. Both get the same noisy maps, turned and shifted anew with
a fixed seed; the Wiener filter has the mean power spectrum of the prior's training maps and knows their band limit.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from core.physics.structures import structure_files
from core.reconstruction.leakage import check
from core.reconstruction.prior import BUNDLED, Prior, load_prior
from core.reconstruction.prior_data import Maps, read_entry, shell_index

SIGMAS = (0.1, 0.3, 1.0)  # the maps' standard deviation over the box is 0.5


def wiener(noisy: np.ndarray, spectrum: np.ndarray, sigma: float) -> np.ndarray:
    """The best linear filter (k, L, L, L) for maps of this mean power spectrum."""
    box = noisy.shape[-1]
    full, half = np.fft.fftfreq(box, 1 / box), np.fft.rfftfreq(box, 1 / box)
    inside = full[:, None, None] ** 2 + full[:, None] ** 2 + half**2 < (box / 2) ** 2
    gain = inside * (spectrum / (spectrum + sigma**2))[shell_index(box)]
    return np.fft.irfftn(gain * np.fft.rfftn(noisy, axes=(1, 2, 3)), noisy.shape[1:], axes=(1, 2, 3))


def compare(prior: Prior, path: Path, maps: int, seed: int) -> dict[str, object]:
    """Errors over the variance of the maps, for one structure."""
    drawn = Maps([read_entry(path)], prior.box, prior.pixel_size_a)
    rng = np.random.default_rng(seed)
    clean = np.stack([drawn.draw(rng) for _ in range(maps)])
    match = check(path, prior.training_list)
    row: dict[str, object] = {"structure": path.name, "identity": round(match.identity, 3), "closest": match.name}
    for sigma in SIGMAS:
        noisy = clean + np.float32(sigma) * rng.standard_normal(clean.shape).astype(np.float32)
        began = time.process_time()
        answers = {"prior": prior.denoise(noisy, sigma), "wiener": wiener(noisy, prior.spectrum, sigma)}
        row["ms_per_map"] = round(1000 * (time.process_time() - began) / maps, 1)
        errors = {name: float(((answer - clean) ** 2).mean() / clean.var()) for name, answer in answers.items()}
        row[f"sigma_{sigma:g}"] = {
            **{name: round(error, 4) for name, error in errors.items()},
            "ratio": round(errors["prior"] / errors["wiener"], 3),
        }
    return row


def main() -> None:
    """Print one JSON object: a row for each structure, and the mean ratio of the errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--structures", type=Path, required=True, help="folder with .pdb or .cif files")
    parser.add_argument("--prior", default=BUNDLED)
    parser.add_argument("--maps", type=int, default=8, help="maps of each structure")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    prior = load_prior(options.prior)
    rows = [compare(prior, path, options.maps, options.seed) for path in structure_files(options.structures)]
    ratios = {f"sigma_{s:g}": [row[f"sigma_{s:g}"]["ratio"] for row in rows] for s in SIGMAS}  # type: ignore[index]
    print(
        json.dumps({"rows": rows, "mean_ratio": {k: round(float(np.mean(v)), 3) for k, v in ratios.items()}}, indent=1)
    )


if __name__ == "__main__":
    main()
