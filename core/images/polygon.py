"""Polygons on a micrograph: which points and which boxes lie in them. No Qt.

A polygon is (m, 2) x, y in pixels, m >= 3, closed by itself; crossing itself, it counts by the even-odd rule.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Which of the points (n, 2) lie in the polygon: (n,) bool, by counting crossings of a ray."""
    points, polygon = np.asarray(points, float).reshape(-1, 2), np.asarray(polygon, float).reshape(-1, 2)
    result = np.zeros(len(points), dtype=bool)
    x, y = points[:, 0], points[:, 1]
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        result ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return result


def touched(centres: np.ndarray, side: float, polygon: np.ndarray) -> np.ndarray:
    """Which squares of `side` px around the centres (n, 2) share some area with the polygon: (n,) bool."""
    centres, polygon = np.asarray(centres, float).reshape(-1, 2), np.asarray(polygon, float).reshape(-1, 2)
    half = side / 2
    low, high = polygon.min(axis=0) - half, polygon.max(axis=0) + half
    result = np.zeros(len(centres), dtype=bool)
    near = np.flatnonzero(((centres > low) & (centres < high)).all(axis=1))
    if not len(near):
        return result
    found = inside(centres[near], polygon)
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        found |= _crossed(centres[near], half, start, end)
    result[near] = found
    return result


def touched_by_any(centres: np.ndarray, side: float, polygons: Iterable[np.ndarray]) -> np.ndarray:
    """Which squares share area with one of the polygons: (n,) bool."""
    result = np.zeros(len(np.asarray(centres).reshape(-1, 2)), dtype=bool)
    for polygon in polygons:
        result |= touched(centres, side, polygon)
    return result


def _crossed(centres: np.ndarray, half: float, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Which open squares a line from start to end passes through (Liang and Barsky's clipping)."""
    enter, leave = np.zeros(len(centres)), np.ones(len(centres))
    ok = np.ones(len(centres), dtype=bool)
    for axis in (0, 1):
        offset, step = start[axis] - centres[:, axis], end[axis] - start[axis]
        if step == 0:
            ok &= np.abs(offset) < half
            continue
        first, last = (-half - offset) / step, (half - offset) / step
        enter, leave = np.maximum(enter, np.minimum(first, last)), np.minimum(leave, np.maximum(first, last))
    return ok & (enter < leave)
