"""Damaged headers, cut files and noise: a reader answers or refuses in one sentence, at once and in little memory."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest
from fuzz_formats import FORMATS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import NUMBERS

from core.errors import AppError

CPU_S = 2.0
MEMORY = 32 << 20
HEADER = 256  # bytes of a file where most of its numbers are
quick = settings(
    max_examples=50, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


class Fuzzed:
    """A format with its valid files, and a place to put damaged ones."""

    def __init__(self, name: str, folder: Path) -> None:
        self.form = FORMATS[name]
        self.seeds = self.form.seeds(folder)
        self.path = folder / f"input{self.form.suffix}"
        for suffix, content in self.form.beside(folder).items():
            self.path.with_suffix(suffix).write_bytes(content)
        for seed in self.seeds:  # also imports what the readers need, which is not counted below
            self.path.write_bytes(seed)
            for reader in self.form.readers:
                reader(self.path)

    def check(self, content: bytes) -> None:
        """Read `content` with all readers of the format."""
        self.path.write_bytes(content)
        tracemalloc.start()
        try:
            for reader in self.form.readers:
                began, said = time.process_time(), str(self.path)
                try:
                    reader(self.path)
                except AppError as error:
                    said = error.message
                assert str(self.path.parent) in said, "the file, or the one that it should become"
                assert "\n" not in said
                assert time.process_time() - began < CPU_S
            assert tracemalloc.get_traced_memory()[1] < MEMORY
        finally:
            tracemalloc.stop()


@pytest.fixture(scope="module", params=["mrc", "star", "box", "txt", "safetensors", "pth", "cs"])
def fuzzed(request, tmp_path_factory) -> Fuzzed:
    return Fuzzed(request.param, tmp_path_factory.mktemp(f"fuzz-{request.param}"))


@quick
@given(noise=st.binary(max_size=2000), data=st.data())
def test_noise_with_or_without_a_true_beginning(fuzzed, noise, data):
    seed = data.draw(st.sampled_from(fuzzed.seeds))
    fuzzed.check(seed[: data.draw(st.sampled_from((0, 4, 8, 16, 208, 1024)))] + noise)


@quick
@given(data=st.data())
def test_files_that_end_early(fuzzed, data):
    seed = data.draw(st.sampled_from(fuzzed.seeds))
    fuzzed.check(seed[: data.draw(st.integers(0, len(seed)))])


@quick
@given(data=st.data())
def test_numbers_of_the_header_that_lie(fuzzed, data):
    seed = bytearray(data.draw(st.sampled_from(fuzzed.seeds)))
    for _ in range(data.draw(st.integers(1, 3))):
        place = 4 * data.draw(st.integers(0, min(len(seed), HEADER) // 4 - 1))
        value = data.draw(st.sampled_from(NUMBERS) | st.integers(-(1 << 31), (1 << 31) - 1))
        seed[place : place + 4] = value.to_bytes(4, data.draw(st.sampled_from(("little", "big"))), signed=True)
    fuzzed.check(bytes(seed))


@quick
@given(data=st.data())
def test_bytes_that_were_exchanged(fuzzed, data):
    seed = bytearray(data.draw(st.sampled_from(fuzzed.seeds)))
    for _ in range(data.draw(st.integers(1, 8))):
        seed[data.draw(st.integers(0, len(seed) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(seed)
    if fuzzed.form.inside is not None and data.draw(st.booleans()):
        valid = data.draw(st.sampled_from(fuzzed.seeds))
        content = fuzzed.form.inside(valid, lambda held: _exchanged(held, data), data.draw(st.randoms()))
    fuzzed.check(content)


def _exchanged(held: bytes, data: st.DataObject) -> bytes:
    changed = bytearray(held)
    for _ in range(data.draw(st.integers(1, 4)) if held else 0):
        changed[data.draw(st.integers(0, len(held) - 1))] = data.draw(st.integers(0, 255))
    return bytes(changed)
