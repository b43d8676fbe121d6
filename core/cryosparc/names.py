"""Names in CryoSPARC's datasets: marks of exports, numbers before file names, and the natural order of paths.

Names are only ever text here: nothing is opened by them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

_UIDS = re.compile(r"^(?:\d{21}_)+")


def without_export_mark(path: str) -> str:
    """An export writes paths relative to itself with a leading `>`."""
    return path.removeprefix(">")


def without_uid(path: str) -> str:
    """The path without the 21 digits and underscore (also twice) that CryoSPARC puts before a file's name."""
    folder, slash, name = path.rpartition("/")
    return folder + slash + (_UIDS.sub("", name) or name)


def cleaned(paths: Sequence[str]) -> tuple[list[str], int]:
    """Paths without numbers before the names; those that would no longer be distinct keep theirs, and are counted."""
    short = [without_uid(path) for path in paths]
    shared = Counter(dict(zip(paths, short, strict=True)).values())
    kept = [path if shared[name] > 1 else name for path, name in zip(paths, short, strict=True)]
    return kept, sum(1 for path, name in zip(paths, short, strict=True) if shared[name] > 1 and path != name)


def ranks(paths: Sequence[str]) -> np.ndarray:
    """Place (n,) of each path in their natural order, in which `m2` comes before `m10`; equal paths share one."""
    distinct = sorted(set(paths), key=_natural)
    place = {path: i for i, path in enumerate(distinct)}
    return np.array([place[path] for path in paths], np.int64)


def _natural(path: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path)
    return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts]
