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

_MAKING = {"dps": 20_000}  # images that could be counted in the time in which a map is made, roughly
_MAKING_OTHERS = 2000
_NOISE_IMAGES = 1000  # that the noise is measured on
_ENOUGH_IMAGES = 200  # from which on a first map tells the noise behind the particles
_BYTES = 48  # of memory for every voxel of the kernel's box
_SAVE_SECONDS = 30.0
_SAVE_EVERY = 20_000  # images between two savings of the statistics


def counting_share(n: int, method: str) -> float:
    """Which part of the job's time the sums over n particles take, 0 ... 1: the time left is told by it."""
    return n / (n + _MAKING.get(method, _MAKING_OTHERS))


def accumulate(
    output: Path, particles: ParticleSet, symmetry: str, ignore_ctf: bool, counted: float, ctx: JobContext
) -> Statistics:
    """Statistics of all particles; what an earlier run of the same particles has counted is taken up.

    `counted` is the job's progress at the end (`counting_share`).
    """
    import numpy as np

    from core.physics.rotations import symmetry_matrices
    from core.reconstruction import outputs
    from core.reconstruction import statistics as st

    _check_memory(particles)
    path = output / outputs.STATISTICS
    key = f"{particles.key()} {symmetry.upper()} {ignore_ctf}"
    statistics = st.load(path, key)
    n, sample = len(particles), 3 * min(len(particles), _NOISE_IMAGES)  # images read for the noise: three times
    begin = counted * sample / max(1, n + sample)
    if statistics is None:
        statistics = st.empty(particles.box, particles.box_pixel_a, _noise(particles, begin, ctx))
    turns = symmetry_matrices(symmetry)
    saved, since = statistics.done, time.monotonic()
    for batch in particles.batches(statistics.done):
        ctx.step(begin + (counted - begin) * statistics.done / n, 1, f"{statistics.done} particles read")
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


def _noise(particles: ParticleSet, end: float, ctx: JobContext) -> np.ndarray:
    """Noise power: from corners, then from what a first map of some images leaves of them. Progress 0 ... `end`."""
    import numpy as np

    from core.reconstruction import methods
    from core.reconstruction import statistics as st
    from core.reconstruction.likelihood import likelihood

    step = max(1, len(particles) // _NOISE_IMAGES)
    rows = particles.order[::step][:_NOISE_IMAGES]

    def some(message: str, turn: int) -> Iterator[Batch]:
        done = 0
        for batch in particles.batches(rows=rows):
            ctx.step(end / 3 * (turn + done / len(rows)), 1, message)
            done += len(batch.half)
            yield batch

    power = st.corner_noise(some("Noise of the corners", 0), particles.box, particles.groups)
    if len(rows) < _ENOUGH_IMAGES:  # what a map of few images leaves of them is no noise
        return power
    first = st.empty(particles.box, particles.box_pixel_a, power)
    for batch in some("A first map", 1):
        st.add(first, batch, np.eye(3)[None])
    if min(half.n for half in first.halves) < 2:
        return power
    halves = [likelihood(half) for half in first.halves]
    ball = methods.sphere(particles.box)
    signal = methods.signal_power(halves[0], halves[1], ball)
    volume = (methods.wiener(likelihood(first.both), signal) * ball).numpy()
    return st.residual_noise(some("Noise of the images", 2), volume, particles.groups)
