"""The first part of the job `reconstruct`: noise of the images, and the sums over all of them, kept and resumed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from core.errors import ResourceError
from core.jobs.base import JobContext

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from core.reconstruction.inputs import ParticleSet
    from core.reconstruction.statistics import Batch, Statistics

COUNTED = 0.6  # share of the job's time
_NOISE_IMAGES = 1000  # that the noise is measured on
_ENOUGH_IMAGES = 200  # from which on a first map tells the noise behind the particles
_BYTES = 48  # of memory for every voxel of the kernel's box
_SAVE_SECONDS = 30.0
_SAVE_EVERY = 20_000  # images between two savings of the statistics


def accumulate(output: Path, particles: ParticleSet, symmetry: str, ignore_ctf: bool, ctx: JobContext) -> Statistics:
    """Statistics of all particles; what an earlier run of the same particles has counted is taken up."""
    import numpy as np

    from core.physics.rotations import symmetry_matrices
    from core.reconstruction import outputs
    from core.reconstruction import statistics as st

    _check_memory(particles)
    path = output / outputs.STATISTICS
    key = f"{particles.key()} {symmetry.upper()} {ignore_ctf}"
    statistics = st.load(path, key)
    if statistics is None:
        statistics = st.empty(particles.box, particles.box_pixel_a, _noise(particles, ctx))
    turns = symmetry_matrices(symmetry)
    saved, since = statistics.done, time.monotonic()
    for batch in particles.batches(statistics.done):
        ctx.step(0.1 + (COUNTED - 0.1) * statistics.done / len(particles), 1, f"{statistics.done} particles read")
        st.add(statistics, batch, np.asarray(turns))
        if statistics.done - saved >= _SAVE_EVERY or time.monotonic() - since > _SAVE_SECONDS:
            st.save(statistics, path, key)
            saved, since = statistics.done, time.monotonic()
    if saved < statistics.done:
        st.save(statistics, path, key)
    return statistics


def _check_memory(particles: ParticleSet) -> None:
    """The kernels of both halves and the transform that makes them must fit into memory."""
    import psutil

    needed, free = _BYTES * (2 * particles.box) ** 3, psutil.virtual_memory().available
    if needed > 0.9 * free:
        raise ResourceError(
            f"A box of {particles.box} needs about {needed / 2**30:.0f} GiB of memory; {free / 2**30:.0f} are free.",
            "Give a smaller --box: the images lose their finer detail.",
        )


def _noise(particles: ParticleSet, ctx: JobContext) -> np.ndarray:
    """Noise power: from corners, then from what a first map of some images leaves of them."""
    import numpy as np

    from core.reconstruction import methods
    from core.reconstruction import statistics as st
    from core.reconstruction.likelihood import likelihood

    step = max(1, len(particles) // _NOISE_IMAGES)
    rows = particles.order[::step][:_NOISE_IMAGES]

    def some(message: str, first: float) -> Iterator[Batch]:
        for i, batch in enumerate(particles.batches(rows=rows)):
            ctx.step(first + 0.03 * i * len(batch) / len(rows), 1, message)
            yield batch

    power = st.corner_noise(some("Noise of the corners", 0.01), particles.box, particles.groups)
    if len(rows) < _ENOUGH_IMAGES:  # what a map of few images leaves of them is no noise
        return power
    first = st.empty(particles.box, particles.box_pixel_a, power)
    for batch in some("A first map", 0.04):
        st.add(first, batch, np.eye(3)[None])
    if min(half.n for half in first.halves) < 2:
        return power
    halves = [likelihood(half) for half in first.halves]
    ball = methods.sphere(particles.box)
    signal = methods.signal_power(halves[0], halves[1], ball)
    volume = (methods.wiener(likelihood(first.both), signal) * ball).numpy()
    return st.residual_noise(some("Noise of the images", 0.07), volume, particles.groups)
