"""Small 8-bit images of a particle stack, made in tasks as they are wanted: a few at a time, what is seen first.

The stack is a function `read(first, count) -> float32 (count, h, w)`. Showing the images is gallery_grid.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QObject, Signal

from core.errors import AppError
from core.images.cache import ImageCache
from core.images.contrast import auto_levels, to_8bit
from workers.task import run_task

CHUNK_BYTES = 4 << 20  # of float32 read at once: some milliseconds
MOST_IN_CHUNK = 64
CACHE_BYTES = 64 << 20
SAMPLE = 16  # images from which a common contrast is taken
LARGEST = np.float32(1e30)  # of a value: beyond is damage, of which no sums can be made
LEAST_SIDE = 12  # px of a smoothed image

Read = Callable[[int, int], np.ndarray]
_tokens = itertools.count()


@dataclass(frozen=True, eq=False)
class Stack:
    """`n` images of `shape` (h, w); `read(first, count)` gives some of them, in any thread."""

    n: int
    shape: tuple[int, int]
    read: Read
    pixel_size_a: float | None = None

    @property
    def chunk(self) -> int:
        """How many images are read at once."""
        return int(min(max(CHUNK_BYTES // (4 * self.shape[0] * self.shape[1]), 1), MOST_IN_CHUNK))


def bin_factor(shape: tuple[int, int], side: int, smooth: bool) -> int:
    """Pixels whose mean is one of the small image, for cells of `side` device pixels."""
    longest = max(shape)
    factor = max(1, longest // max(1, side))
    if smooth:
        factor = max(factor, min(max(4, 2 * factor), longest // LEAST_SIDE))
    return max(1, min(factor, min(shape)))


def reduced(images: np.ndarray, factor: int) -> np.ndarray:
    """Means of squares of `factor` px of (n, h, w), smaller ones at the right and bottom; float32, finite."""
    from core.images.gallery import binned  # reads files too: not needed before there are images

    images = np.asarray(images, np.float32)
    if images.size and not (images.min() >= -LARGEST and images.max() <= LARGEST):
        images = np.clip(np.nan_to_num(images, nan=0.0, posinf=0.0, neginf=0.0), -LARGEST, LARGEST)
    n, h, w = images.shape
    small = np.empty((n, -(-h // factor), -(-w // factor)), np.float32)
    binned(images, factor, small)
    return small


def prepare(images: np.ndarray, factor: int, levels: tuple[float, float] | None) -> np.ndarray:
    """uint8 (n, h, w): binned, between common `levels`, or each image between its own (None)."""
    small = reduced(images, factor)
    return np.stack([to_8bit(image, *(levels or auto_levels(image))) for image in small])


class GalleryLoader(QObject):
    """Give it a stack and say what is wanted; `loaded(first, count)` when images have come, `failed(AppError)`."""

    loaded = Signal(int, int)
    failed = Signal(object)

    def __init__(self, cache: ImageCache | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cache = cache or ImageCache(CACHE_BYTES)
        self.stack: Stack | None = None
        self._token = 0
        self._factor, self._common = 1, False
        self._levels: dict[int, tuple[float, float]] = {}  # by factor
        self._broken: set[int] = set()  # chunks that cannot be read
        self._wanted: list[int] = []  # chunks, the most wanted first
        self._again: set[int] = set()  # chunks wanted once more since somebody moved
        self._busy = False

    def set_stack(self, stack: Stack | None) -> None:
        """Another stack; what was asked for the last one is forgotten."""
        self.stack, self._token = stack, next(_tokens)
        self._levels, self._broken, self._wanted, self._again = {}, set(), [], set()

    def set_style(self, side: int, smooth: bool, common: bool) -> None:
        """For cells of `side` device pixels; contrast of each image, or common to all."""
        if self.stack is not None:
            self._factor = bin_factor(self.stack.shape, side, smooth)
        self._common = common

    @property
    def factor(self) -> int:
        """Pixels whose mean is a pixel of the small images."""
        return self._factor

    def image(self, index: int) -> np.ndarray | None:
        """Image `index` as uint8 (h, w), None when it is not here (yet)."""
        stack = self.stack
        if stack is None or not 0 <= index < stack.n:
            return None
        chunk, place = divmod(index, stack.chunk)
        images = self._cache.get(self._key(chunk))
        return None if images is None else images[place]

    def _key(self, chunk: int) -> tuple:
        return ("gallery", self._token, chunk, self._factor, self._common)

    def want_again(self, first: int, last: int) -> None:
        """Images on the screen are missing although nobody moved: the cache let them go. Each is made once more."""
        stack = self.stack
        if stack is None or self._busy or last < first:
            return
        self._wanted = [c for c in range(first // stack.chunk, last // stack.chunk + 1) if c not in self._again]
        self._again.update(self._wanted)
        self._next()

    def want(self, first: int, last: int) -> None:
        """Images `first` .. `last` are on the screen; then those of a screen below and above are made too."""
        self._again = set()
        stack = self.stack
        if stack is None or last < first:
            return
        begin, end = max(first, 0) // stack.chunk, min(last, stack.n - 1) // stack.chunk
        more, highest = end - begin + 1, (stack.n - 1) // stack.chunk
        after = range(end + 1, min(end + more, highest) + 1)
        before = range(begin - 1, max(begin - more, 0) - 1, -1)
        self._wanted = [*range(begin, end + 1), *after, *before]
        self._next()

    def _next(self) -> None:
        if self._busy or self.stack is None:
            return
        chunk = next((c for c in self._wanted if c not in self._broken and self._key(c) not in self._cache), None)
        if chunk is None:
            return
        self._busy = True
        stack, token, factor, common = self.stack, self._token, self._factor, self._common
        key, levels = self._key(chunk), self._levels.get(self._factor) if common else None
        first = chunk * stack.chunk
        count = min(stack.chunk, stack.n - first)

        def work() -> tuple:
            try:
                found = levels or (_common_levels(stack, factor) if common else None)
                some, problem = _as_many(stack, first, count)
                images = _filled(prepare(some, factor, found), count)
            except AppError as err:
                return token, chunk, first, count, factor, None, None, err, key
            return token, chunk, first, count, factor, found, images, problem, key

        run_task(work, self._on_made, self._on_bug, self)

    def _on_made(self, made: tuple) -> None:
        token, chunk, first, count, factor, levels, images, problem, key = made
        self._busy = False
        if token == self._token:
            if images is None:
                self._broken.add(chunk)
            else:
                if levels is not None:
                    self._levels[factor] = levels
                self._cache.put(key, images)
                self.loaded.emit(first, count)
            if problem is not None:
                self.failed.emit(problem)
        self._next()

    def _on_bug(self, err: AppError) -> None:
        self._busy, self._wanted = False, []
        self.failed.emit(err)


def _checked(stack: Stack, first: int, count: int) -> np.ndarray:
    images = np.asarray(stack.read(first, count))
    if images.shape != (count, *stack.shape):
        raise AppError(f"The stack gave {images.shape} instead of {(count, *stack.shape)}.", "Open it again.")
    return images


def _as_many(stack: Stack, first: int, count: int) -> tuple[np.ndarray, AppError | None]:
    """The images, or those before the first that cannot be read, and what is wrong with that one."""
    try:
        return _checked(stack, first, count), None
    except AppError as err:
        if count == 1:
            raise
        problem = err
    found: list[np.ndarray] = []
    try:
        while len(found) < count:
            found.append(_checked(stack, first + len(found), 1))
    except AppError as err:
        problem = err
    if not found:
        raise problem
    return np.concatenate(found), problem


def _filled(images: np.ndarray, count: int) -> np.ndarray:
    """Black images in place of those that are missing at the end."""
    missing = count - len(images)
    return np.concatenate([images, np.zeros((missing, *images.shape[1:]), np.uint8)]) if missing else images


def _common_levels(stack: Stack, factor: int) -> tuple[float, float]:
    """(black, white) for all images, from some that are spread over the stack."""
    some = []
    for place in np.unique(np.linspace(0, stack.n - 1, SAMPLE).astype(int)):
        try:
            some.append(reduced(_checked(stack, int(place), 1), factor))
        except AppError:
            if not some:
                raise
            break  # the stack is cut short
    values = np.concatenate(some)
    return auto_levels(values.reshape(-1, values.shape[2]))
