"""Is a protein related to what a prior was trained on? Sequence identity by pairwise alignment (gemmi, BLOSUM62).

Only protein chains are compared: nucleic acids and chains below LEAST_RESIDUES carry no fold to give away. A global
alignment of unequal lengths finds 30 % identity between random sequences, so pieces of one chain are aligned with
windows of the same length of the other; 25 % over a piece then means relatives, and random pairs stay below it.
Structural relatives without sequence identity are not found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import gemmi

from core.errors import InputError
from core.physics.structures import parse_structure

MOST_IDENTITY = 0.25  # above it two chains count as relatives
LEAST_RESIDUES = 30
PIECE = 120  # residues: about one domain
_GOOD_SCORE = 0.35  # BLOSUM62 half bits per residue: chance stays below, relatives do not


@dataclass(frozen=True)
class Trained:
    """One structure of a training list: its name and the sequences of its protein chains, each once."""

    name: str
    sequences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Match:
    """The closest structure of a training list: identity 0..1, and its name ("" when none is closer than chance)."""

    identity: float
    name: str

    @property
    def related(self) -> bool:
        """Whether the target's family was in the training."""
        return self.identity > MOST_IDENTITY


def check(target: Path | str | Sequence[str], trained: Iterable[Trained]) -> Match:
    """The training structure closest to a target: a structure file, one sequence, or the sequences of its chains.

    Sequences are one-letter codes. `InputError` when the file cannot be read or a sequence holds no letters.
    """
    if isinstance(target, Path):
        chains = sequences(parse_structure(target))
    else:
        chains = (target,) if isinstance(target, str) else tuple(target)
    chains = tuple(dict.fromkeys(_cleaned(chain) for chain in chains))
    worst = Match(0.0, "")
    for entry in trained:
        for mine in chains:
            for theirs in entry.sequences:
                found = identity(mine, theirs)
                if found > worst.identity:
                    worst = Match(found, entry.name)
    return worst


def sequences(structure: gemmi.Structure) -> tuple[str, ...]:
    """Sequences of the observed protein residues of the first model, each once; X for what has no letter."""
    structure.setup_entities()
    found: dict[str, None] = {}
    for chain in structure[0] if len(structure) else ():
        polymer = chain.get_polymer()
        if polymer.check_polymer_type() in (gemmi.PolymerType.PeptideL, gemmi.PolymerType.PeptideD):
            found["".join(_letter(residue.name) for residue in polymer)] = None
    return tuple(found)


def _letter(residue: str) -> str:
    """One-letter code; that of the parent for a modified residue (selenomethionine is M)."""
    letter = gemmi.find_tabulated_residue(residue).one_letter_code.strip().upper()
    return letter or "X"


def identity(first: str, second: str) -> float:
    """Largest share (0..1) of identical residues over a domain-sized piece of the shorter chain.

    0 where a chain is shorter than LEAST_RESIDUES or no piece aligns better than chance.
    """
    short, long = sorted((first, second), key=len)
    if len(short) < LEAST_RESIDUES:
        return 0.0
    if short in long:
        return 1.0
    a, b = (gemmi.expand_one_letter_sequence(s, gemmi.ResidueKind.AA) for s in (short, long))
    size = min(PIECE, len(a))
    return max(_piece_identity(a[i : i + size], b) for i in _starts(len(a), size, size // 2))


def _piece_identity(piece: list[str], whole: list[str]) -> float:
    """Identity of a piece with the window of the whole that it aligns with best."""
    size, scoring = len(piece), gemmi.AlignmentScoring("b")

    def best_of(starts: Iterable[int]) -> tuple[int, int, int]:
        """Score, identical residues and start of the best of some windows."""
        results = ((i, gemmi.align_string_sequences(piece, whole[i : i + size], [], scoring)) for i in starts)
        return max((result.score, result.match_count, i) for i, result in results)

    best = best_of(_starts(len(whole), size, size // 6))
    for step in (size // 12, size // 24):  # an offset costs gaps at both ends: look closer
        near = {best[2] - step, best[2], best[2] + step}
        best = best_of(i for i in near if 0 <= i <= len(whole) - size)
    return best[1] / size if best[0] > _GOOD_SCORE * size else 0.0


def _starts(length: int, size: int, step: int) -> list[int]:
    """First positions of windows that cover a length, the last one flush with its end."""
    last = max(0, length - size)
    return sorted({*range(0, last, step), last})


def _cleaned(sequence: str) -> str:
    """A sequence in capitals without blanks, or `InputError`."""
    letters = "".join(sequence.split()).upper()
    if not letters.isalpha() or not letters.isascii():
        raise InputError(f"'{sequence[:40]}' is not a protein sequence.", "Give one-letter codes, such as MKTAYIAK.")
    return letters
