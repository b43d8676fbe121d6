"""The one image cache: least recently used values go when the bytes exceed the budget.

Anything with `nbytes` can be kept. Who builds the values, and in which thread, is decided elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache

DEFAULT_BUDGET = 1 << 30


@dataclass(frozen=True)
class CacheStats:
    """What the status bar shows."""

    used_bytes: int
    budget_bytes: int
    items: int
    hits: int
    misses: int

    def text(self) -> str:
        """For people: `images in memory: 320 of 1024 MB`."""
        return f"images in memory: {self.used_bytes / 2**20:.0f} of {self.budget_bytes / 2**20:.0f} MB"


def _size(value: Any) -> int:
    return max(1, int(value.nbytes))


class ImageCache:
    """A thread-safe, byte-budgeted LRU cache. It holds the only lasting reference to its values."""

    def __init__(self, budget_bytes: int = DEFAULT_BUDGET) -> None:
        self._lock = threading.Lock()
        self._hits = self._misses = 0
        self._cache: LRUCache[Hashable, Any] = LRUCache(max(1, int(budget_bytes)), getsizeof=_size)

    def get(self, key: Hashable) -> Any | None:
        """The value, now the most recently used; None when it is not here."""
        with self._lock:
            value = self._cache.get(key)
            if value is None:
                self._misses += 1
            else:
                self._hits += 1
            return value

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._cache

    def put(self, key: Hashable, value: Any) -> bool:
        """Keep `value`; False when it alone exceeds the budget (then it is not kept, nor is an older one)."""
        with self._lock:
            if _size(value) > self._cache.maxsize:
                self._cache.pop(key, None)
                return False
            self._cache[key] = value
            return True

    def get_or_make(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The kept value, or `make()`'s (built outside the lock: two threads may build the same one)."""
        value = self.get(key)
        if value is None:
            value = make()
            self.put(key, value)
        return value

    def make_room(self, nbytes: int) -> None:
        """Evict the oldest until `nbytes` more fit: building a value then stays within the budget."""
        with self._lock:
            while self._cache and self._cache.currsize + nbytes > self._cache.maxsize:
                self._cache.popitem()

    def discard(self, key: Hashable) -> None:
        """Forget one value."""
        with self._lock:
            self._cache.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._cache.clear()

    def resize(self, budget_bytes: int) -> None:
        """Change the budget, keeping the most recently used values that still fit."""
        with self._lock:
            old, self._cache = self._cache, LRUCache(max(1, int(budget_bytes)), getsizeof=_size)
            while old and old.currsize > self._cache.maxsize:
                old.popitem()
            kept = []
            while old:
                kept.append(old.popitem())  # oldest first
            for key, value in kept:
                self._cache[key] = value

    def stats(self) -> CacheStats:
        """A snapshot of the counters."""
        with self._lock:
            return CacheStats(
                int(self._cache.currsize),
                int(self._cache.maxsize),
                len(self._cache),
                self._hits,
                self._misses,
            )
