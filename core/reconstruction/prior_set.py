"""Which structures a prior learns from, which judge it, and which are left out and why. Maps are prior_data.py's.

Nothing that is related to a test structure is learnt from, and nothing that is related to a held-out one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from core.compute.devices import reduced_precision
from core.errors import InputError
from core.physics.structures import parse_structure, structure_files
from core.reconstruction.denoiser import SIGMA_DATA, Denoiser
from core.reconstruction.leakage import Match, Trained, check, sequences
from core.reconstruction.prior_data import Entry, Maps, mean_spectrum, read_entry

HELD_OUT_SHARE, MOST_HELD_OUT = 0.1, 12
LEAST_TO_HOLD_OUT = 8  # entries; fewer are all learnt from
JUDGED_SIGMAS = (0.1, 0.3, 1.0)
JUDGED_MAPS = 12
SPECTRUM_MAPS = 200
_JUDGE_STREAM = 2**40  # random streams that no training step has

Report = Callable[[float, str], None]


@dataclass(frozen=True)
class TrainingSet:
    """Maps to learn from, maps to judge with (the same ones where there are too few entries), and the lists."""

    maps: Maps
    held_out: Maps
    trained: tuple[Trained, ...]
    held_out_names: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]  # name, reason

    def spectrum(self, seed: int) -> np.ndarray:
        """Mean power spectrum of the training maps, (L // 2 + 1,)."""
        rng = np.random.default_rng([seed, _JUDGE_STREAM])
        return mean_spectrum(self.maps.draw(rng) for _ in range(SPECTRUM_MAPS))


def open_set(
    folder: Path,
    tests: Path | None,
    exclude: Iterable[str],
    box: int,
    pixel_size_a: float,
    seed: int,
    report: Report,
) -> TrainingSet:
    """Read, check and divide the structures of a folder; `report(share, message)` is called now and then.

    `InputError` when a folder cannot be read or nothing is left to learn from.
    """
    entries, left_out = _read(folder, tuple(exclude), report)
    fitting = []
    for entry in entries:
        if Maps([entry], box, pixel_size_a).entries:
            fitting.append(entry)
        else:
            left_out.append((entry.name, f"no chain of it fits a box of {box * pixel_size_a:.0f} Å"))
    if tests is not None:
        wanted = [Trained(path.name, sequences(parse_structure(path))) for path in structure_files(tests)]
        fitting, related = _unrelated(fitting, wanted, lambda share, text: report(0.3 + 0.3 * share, text))
        left_out += related
    if not fitting:
        raise InputError(
            f"{folder} holds no structure to learn from ({len(left_out)} left out).", "Add structures.", folder
        )
    held, rest = _divide(fitting, seed)
    if held:
        judges = [Trained(entry.name, entry.sequences) for entry in held]
        rest, related = _unrelated(rest, judges, lambda share, text: report(0.6 + 0.4 * share, text))
        left_out += related
    if not rest:
        raise InputError(
            f"All structures of {folder} are related to each other: none can judge the training.",
            "Add structures of other proteins.",
            folder,
        )
    maps = Maps(rest, box, pixel_size_a)
    return TrainingSet(
        maps,
        Maps(held, box, pixel_size_a) if held else maps,
        tuple(Trained(entry.name, entry.sequences) for entry in rest),
        tuple(entry.name for entry in held),
        tuple(left_out),
    )


def _read(folder: Path, exclude: tuple[str, ...], report: Report) -> tuple[list[Entry], list[tuple[str, str]]]:
    """The entries of a folder; a file that cannot be read is left out, with its reason."""
    entries: list[Entry] = []
    left_out: list[tuple[str, str]] = []
    files = structure_files(folder)
    for i, path in enumerate(files):
        report(0.3 * i / len(files), f"Reading {path.name}")
        name = path.name.lower().split(".")[0]
        if any(name.startswith(word.lower()) for word in exclude):
            left_out.append((name, "excluded by name"))
            continue
        try:
            entry = read_entry(path)
        except InputError as err:
            left_out.append((name, err.message))
            continue
        if entry.specimens:
            entries.append(entry)
        else:
            left_out.append((name, "too few atoms, or a trace of C-alpha only"))
    return entries, left_out


def _unrelated(
    entries: list[Entry], others: list[Trained], report: Report
) -> tuple[list[Entry], list[tuple[str, str]]]:
    """The entries without a relative among the others, and the rest with the reason."""
    kept, out = [], []
    for i, entry in enumerate(entries):
        report(i / len(entries), f"Comparing the sequences of {entry.name}")
        match = check(entry.sequences, others) if entry.sequences else Match(0.0, "")
        if match.related:
            out.append((entry.name, f"{100 * match.identity:.0f} % identical to {match.name}"))
        else:
            kept.append(entry)
    return kept, out


def _divide(entries: list[Entry], seed: int) -> tuple[list[Entry], list[Entry]]:
    """Held-out entries and the rest."""
    if len(entries) < LEAST_TO_HOLD_OUT:
        return [], entries
    count = min(MOST_HELD_OUT, max(1, round(HELD_OUT_SHARE * len(entries))))
    chosen = set(np.random.default_rng([seed, _JUDGE_STREAM + 1]).choice(len(entries), count, replace=False).tolist())
    held = [entry for i, entry in enumerate(entries) if i in chosen]
    return held, [entry for i, entry in enumerate(entries) if i not in chosen]


class Judge:
    """The same noisy maps of held-out structures every time: how well they are denoised, and one as a picture."""

    def __init__(self, maps: Maps, device: torch.device, seed: int = 0) -> None:
        rng = np.random.default_rng([seed, _JUDGE_STREAM + 2])
        clean = np.stack([maps.draw(rng) for _ in range(JUDGED_MAPS)])[:, None]
        self.clean = torch.from_numpy(clean).to(device)
        self.noise = torch.from_numpy(rng.standard_normal(clean.shape).astype(np.float32)).to(device)

    def errors(self, net: Denoiser, between: Callable[[], None] = lambda: None) -> dict[float, float]:
        """Mean squared error over SIGMA_DATA squared, for each of JUDGED_SIGMAS; `between` is called after each map."""
        totals = dict.fromkeys(JUDGED_SIGMAS, 0.0)
        for clean, noise in zip(self.clean, self.noise, strict=True):
            with torch.no_grad(), reduced_precision(clean.device):
                for sigma in JUDGED_SIGMAS:
                    level = torch.full((1,), sigma, device=clean.device)
                    error = (net(clean[None] + sigma * noise[None], level) - clean).square().mean()
                    totals[sigma] += float(error) / SIGMA_DATA**2
            between()
        return {sigma: total / len(self.clean) for sigma, total in totals.items()}

    def picture(self, net: Denoiser, sigma: float = 0.5) -> np.ndarray:
        """Middle sections of a held-out map, of it with noise, and denoised: (3, L, L)."""
        noisy = self.clean[:1] + sigma * self.noise[:1]
        with torch.no_grad(), reduced_precision(noisy.device):
            denoised = net(noisy, torch.full((1,), sigma, device=noisy.device))
        middle = noisy.shape[-1] // 2
        return torch.cat([self.clean[:1], noisy, denoised])[:, 0, middle].float().cpu().numpy()


def weighted_loss(errors: dict[float, float]) -> float:
    """One figure of the errors by sigma, as the training weighs them: 1 = nothing learnt."""
    return float(np.mean([e * (sigma**2 + SIGMA_DATA**2) / sigma**2 for sigma, e in errors.items()]))
