"""Short forms of file names that stand beside each other: what tells them apart stays, what they share goes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_MOST = 0.6  # part of the names that share an end worth leaving out
_LEAST = 4  # letters worth an ellipsis


def short_names(names: Sequence[str]) -> list[tuple[str, str]]:
    """(without the beginning that all share, without the end that most share either) of each name, with "…".

    Digits are not cut apart. Names of a group stay different from each other.
    """
    if len(set(names)) < 2:
        return [(name, name) for name in names]
    head, tail = shared_ends(names)
    head = head if head >= _LEAST else 0
    begin = "…" if head else ""
    rests = [name[head:] for name in names]
    end = _common_end(rests)
    shared = rests[0][len(rests[0]) - tail :] if tail >= _LEAST else ""
    end = end if len(end) > len(shared) and end.endswith(shared) else shared
    cores = [_without(rest, end, shared) for rest in rests]
    if len(set(cores)) < len(set(names)):
        cores = [_without(rest, shared, shared) for rest in rests]
    return [(begin + rest, begin + core) for rest, core in zip(rests, cores, strict=True)]


def _common_end(rests: Sequence[str]) -> str:
    """The longest end from a separator on that most have; "" when there is none worth it."""
    ends: Counter[str] = Counter()
    for rest in rests:
        ends.update(rest[match.start() :] for match in re.finditer(r"[._\- ]+", rest) if match.start())
    enough = [end for end, n in ends.items() if n >= _MOST * len(rests) and len(end) >= _LEAST]
    return max(enough, key=len, default="")


def _without(rest: str, end: str, shared: str) -> str:
    """A name without the end; one with another end loses what that has in common with it, and what all share."""
    if end and rest.endswith(end):
        return rest[: -len(end)] + "…"
    rest, after = (rest.removesuffix(shared), "…") if shared else (rest, "")
    parts = re.split(r"(?<=[._\- ])", end.removesuffix(shared))  # each ends with its separator
    for stop in range(len(parts) - 1, 0, -1):
        piece = "".join(parts[:stop])
        if len(piece) >= _LEAST and piece in rest[1:]:
            return "…".join(rest.rsplit(piece, 1)) + after
    return rest + after


def shared_ends(names: Sequence[str]) -> tuple[int, int]:
    """Lengths of the common beginning and the common end of several different names; digits are not cut apart."""
    if len(set(names)) < 2:
        return 0, 0
    low, high = min(names), max(names)
    head = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    turned = [n[head:][::-1] for n in names]
    low, high = min(turned), max(turned)
    tail = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    name = names[0]
    while head and name[head - 1].isdigit():
        head -= 1
    while tail and name[len(name) - tail].isdigit():
        tail -= 1
    return head, tail
