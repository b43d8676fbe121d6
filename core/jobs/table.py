"""The jobs a user can run, by name, written out by hand.

A job's module is imported when it is asked for; its algorithms (torch, scipy) are imported inside its `run`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from core.errors import InputError
from core.params import Params

# name on the command line -> (module, Params class, one line for --help)
JOBS: dict[str, tuple[str, str, str]] = {
    "pick-noise": (
        "core.jobs.pick_noise",
        "PickNoiseParams",
        "Find boxes of pure background between the picked particles.",
    ),
    "forward": (
        "core.jobs.forward",
        "ForwardParams",
        "Build the training set: clean signal mixed with your own noise.",
    ),
    "train": ("core.jobs.train", "TrainParams", "Train the denoising U-Net."),
    "predict": ("core.jobs.predict", "PredictParams", "Denoise whole micrographs."),
    "build-library": (
        "core.jobs.build_library",
        "BuildLibraryParams",
        "Build a clean library: projections of many simulated specimens.",
    ),
    "pick-particles": (
        "core.jobs.pick_particles",
        "PickParticlesParams",
        "Find particles on denoised or raw micrographs.",
    ),
    "extract": ("core.jobs.extract", "ExtractParams", "Cut particles out of raw micrographs."),
    "trust": (
        "core.jobs.trust",
        "TrustParams",
        "Check on your own micrographs what a denoiser keeps, loses and invents.",
    ),
    "train-prior": (
        "core.jobs.train_prior",
        "TrainPriorParams",
        "Train the 3D prior of Reconstruct on structures.",
    ),
    "cs2star": ("core.jobs.cs2star", "Cs2StarParams", "Convert CryoSPARC's particles (.cs) to RELION's (.star)."),
    "subset": ("core.jobs.subset", "SubsetParams", "Keep selected rows of a .cs or .star file."),
    "reconstruct": (
        "core.jobs.reconstruct",
        "ReconstructParams",
        "Reconstruct a map from particles with known poses.",
    ),
    "simulate": (
        "core.jobs.simulate",
        "SimulateParams",
        "Simulate particle images or micrographs of a known structure.",
    ),
    "try-reconstruct": (
        "core.jobs.try_reconstruct",
        "TryReconstructParams",
        "Reconstruct simulated particles by all four methods, beside the truth.",
    ),
    "demo": (
        "core.jobs.demo",
        "DemoParams",
        "Run the whole path on three bundled real micrographs and write a report.",
    ),
}

SHARED = ("predict",)  # several processes of one torchrun launch share its work


def job_params(job: str) -> type[Params]:
    """The Params class of a job."""
    module, name, _ = _entry(job)
    return getattr(importlib.import_module(module), name)


def job_run(job: str) -> Callable[[Params, Any], dict[str, Any]]:
    """The `run(params, ctx)` function of a job."""
    module, _, _ = _entry(job)
    return importlib.import_module(module).run


def _entry(job: str) -> tuple[str, str, str]:
    if job not in JOBS:
        raise InputError(f"There is no job named '{job}'.", f"The jobs are: {', '.join(JOBS)}.")
    return JOBS[job]
