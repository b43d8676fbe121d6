"""One micrograph as jobs need it: a single image with contrast, and the user told what is odd about its file.

Every job reads through here, so that the same file gets the same sentence from all. Opening is source.py.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.images.source import ImageSource, open_source
from core.io import tiff
from core.io.finite import Mended
from core.io.mrc_header import read_header

log = logging.getLogger(__name__)

_DENOISED = re.compile(r"Vitreous (?:Vitreous )?\S+ denoised \(")  # the label of core/jobs/predict_steps.py

MOST_TOLD = 50  # files of a run that are told about; of the others the log tells

Warn = Callable[[str], None]


class Notes:
    """Passes every sentence about a file on to `warn` once, however often the file is read; in any thread."""

    def __init__(self, warn: Warn) -> None:
        self._warn = warn
        self._said: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, sentence: str) -> None:
        """Tell it, unless it was told."""
        with self._lock:
            if sentence in self._said:
                return
            self._said.add(sentence)
            number = len(self._said)
        if number <= MOST_TOLD:
            self._warn(sentence)
        else:
            log.warning("%s", sentence)
        if number == MOST_TOLD + 1:
            self._warn("More files have such oddities: the log names them all.")


@dataclass(frozen=True)
class Single:
    """A micrograph: float32 (ny, nx), finite; Angstrom per pixel, None when unknown."""

    path: Path
    image: np.ndarray
    pixel_size_a: float | None


def open_single(path: Path, warn: Warn | None = None) -> ImageSource:
    """A file that holds one image; `InputError` for stacks and movies. `warn` hears what is odd about the file."""
    source = open_source(path)
    if source.frames:
        raise InputError(
            f"{path.name} is a raw movie of {source.frames} frames, not a micrograph.", "Motion-correct it first.", path
        )
    if source.n > 1:
        raise InputError(
            f"{path.name} holds {source.n} images: a movie or a stack, not a micrograph.",
            "Motion-correct movies first; of stacks, choose single micrographs.",
            path,
        )
    for note in source.notes:
        (warn or log.warning)(f"{path.name}: {note}.")
    return source


def refuse_denoised(path: Path) -> None:
    """InputError for a micrograph that predict has written, as its label says."""
    if not tiff.is_tiff(path) and any(_DENOISED.match(label) for label in read_header(path).labels):
        raise InputError(
            f"{path.name} is a denoised micrograph, as its label says; particles are extracted from raw ones.",
            "Choose the raw micrographs: positions are the same.",
            path,
        )


def read_single(path: Path, warn: Warn | None = None, source: ImageSource | None = None) -> Single:
    """Open and read one micrograph; `InputError` also when no pixel is finite or all are the same.

    `warn` (None: the log) hears of what was replaced. `source`: the file where it is open already.
    """
    opened = source or open_single(path, warn)
    mended: list[Mended] = []
    image = opened.read(0, tell=mended.append)
    for one in mended:
        if one.bad == one.total:
            raise InputError(
                f"{path.name} has no finite pixel: all {one.total} are NaN or infinite.",
                "Leave it out, or export it again.",
                path,
            )
        (warn or log.warning)(one.sentence)
    low, high = float(image.min()), float(image.max())
    if low == high:
        raise InputError(
            f"{path.name} has no contrast (all pixels = {low:g}).", "Leave it out, or export it again.", path
        )
    return Single(path, image, opened.pixel_size_a)
