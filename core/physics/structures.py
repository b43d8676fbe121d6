"""Atoms of structures from disk, PDB or mmCIF, through gemmi: for the clean library and for the simulator.

The library takes a file's coordinates as they are (no biological assembly is made). Waters and hydrogens are left out.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.errors import InputError

if TYPE_CHECKING:
    import gemmi

LIBRARY_FOLDER = Path(__file__).resolve().parents[2] / "resources" / "library"
ENDINGS = (".pdb", ".cif", ".pdb.gz", ".cif.gz")
BENCHMARK_SPECIMENS = ("1ake", "4ake", "1fha", "apoferritin", "emd-5505", "emd_5505")  # never in a library
MOST_FILES, MOST_BYTES = 2000, 256 << 20  # of a folder; of one file, unpacked
LEAST_ATOMS, MOST_ATOMS = 30, 3_000_000

Structures = dict[str, tuple[np.ndarray, np.ndarray]]


def load_structures(folder: Path = LIBRARY_FOLDER) -> Structures:
    """Atoms of the structures in a folder: name -> positions (n, 3) in Angstrom, atomic numbers (n,)."""
    structures: Structures = {}
    for path in structure_files(folder):
        name = path.name.lower().split(".")[0]
        if name in structures:
            raise InputError(f"{folder} holds {name} twice.", "Keep one of the two files.", folder)
        structures[name] = read_structure(path)
    return structures


def structure_files(folder: Path) -> list[Path]:
    """The structure files of a folder, sorted; refuses a folder without any and one with too many."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.", "Give a folder with .pdb or .cif files.", folder)
    files = [p for p in sorted(folder.iterdir()) if p.name.lower().endswith(ENDINGS) and p.is_file()]
    if not files:
        raise InputError(f"{folder} holds no structure.", "Put .pdb or .cif files (or .gz of them) there.", folder)
    if len(files) > MOST_FILES:
        raise InputError(f"{folder} holds {len(files)} structures.", f"Keep at most {MOST_FILES}.", folder)
    return files


def read_structure(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n, 3) in Angstrom and atomic numbers (n,) of the first model, or one sentence why not.

    A specimen of the benchmarks is refused, whatever the file is called.
    """
    _refuse_benchmark(path, (path.name.lower(),))
    atoms, said = _read(path, "")
    _refuse_benchmark(path, said)
    return atoms[:, :3], atoms[:, 3]


def read_atoms(path: Path, assembly: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Positions (n, 3) in Angstrom and weights (n,), atomic number times occupancy, of the first model of any file.

    `assembly` names a biological assembly that the file describes ("1"); without it the atoms are as they are there.
    """
    atoms, _ = _read(path, assembly)
    return atoms[:, :3], atoms[:, 3] * atoms[:, 4]


def parse_structure(path: Path) -> gemmi.Structure:
    """The structure of a file as it is there, all chains and models, or one sentence why it cannot be read."""
    with _explained(path):
        return _parse(path)


def _read(path: Path, assembly: str) -> tuple[np.ndarray, list[str]]:
    """x, y, z, atomic number and occupancy (n, 5) without waters and hydrogens, and what the file says it is."""
    with _explained(path):
        structure = _parse(path)
        said = [structure.name.lower(), *(str(v).lower() for v in dict(structure.info).values())]
        if assembly:  # before anything is taken out: assemblies name chains of water too
            _assemble(structure, assembly, path)
        structure.remove_waters()
        structure.remove_hydrogens()
        atoms = (
            [(*a.atom.pos.tolist(), a.atom.element.atomic_number, a.atom.occ) for a in structure[0].all()]
            if len(structure)
            else []
        )
    found = np.array(atoms, float).reshape(-1, 5)
    found = found[found[:, 3] > 0]
    if not LEAST_ATOMS <= len(found) <= MOST_ATOMS:
        raise InputError(
            f"{path} holds {len(found)} atoms; {LEAST_ATOMS} to {MOST_ATOMS} can be used.",
            "Take it out of the folder.",
            path,
        )
    if not np.isfinite(found).all() or np.ptp(found[:, :3], axis=0).max() < 1:
        raise InputError(f"{path} holds positions that are no molecule.", "Download it again.", path)
    return found, said


def _parse(path: Path) -> gemmi.Structure:
    import gemmi

    content = _unpacked(path)
    if any(ending in path.name.lower() for ending in (".cif", ".mmcif")):
        return gemmi.make_structure_from_block(gemmi.cif.read_string(content).sole_block())
    return gemmi.read_pdb_string(content)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What gemmi makes of odd content becomes one sentence."""
    try:
        yield
    except (RuntimeError, ValueError, IndexError, UnicodeDecodeError) as err:
        first = (str(err).splitlines() or ["it is not a structure"])[0][:200]
        raise InputError(f"{path} is not a readable structure ({first}).", "Download it again.", path) from None


def _assemble(structure: gemmi.Structure, name: str, path: Path) -> None:
    """Turn a structure into one of its biological assemblies; never beyond MOST_ATOMS."""
    import gemmi

    named = {a.name: a for a in structure.assemblies}
    if name not in named:
        known = ", ".join(named) or "none"
        raise InputError(f"{path} describes no assembly {name}.", f"It has: {known}.", path)
    copies = max(sum(len(g.operators) for g in named[name].generators), 1)
    if structure[0].count_atom_sites() * copies > MOST_ATOMS:
        raise InputError(f"Assembly {name} of {path} has more than {MOST_ATOMS} atoms.", "Use a smaller one.", path)
    structure.transform_to_assembly(name, gemmi.HowToNameCopiedChain.Dup)


def _refuse_benchmark(path: Path, said: Iterable[str]) -> None:
    """Specimens that the benchmarks measure on must not be learnt from, whatever the file is called."""
    for text in said:
        hit = next((name for name in BENCHMARK_SPECIMENS if text.startswith(name)), None)
        if hit is None and "ferritin" in text:
            hit = "ferritin"
        if hit is not None:
            raise InputError(
                f"{path} is {hit}, a specimen of the benchmarks: it must not be in a clean library.",
                "Take it out of the folder.",
                path,
            )


def _unpacked(path: Path) -> bytes:
    """The file's bytes, unpacked where it is .gz, never more than MOST_BYTES."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
        if path.name.lower().endswith(".gz"):
            unpacker = zlib.decompressobj(31)
            data = unpacker.decompress(data, MOST_BYTES + 1)
            if len(data) <= MOST_BYTES and not unpacker.eof:
                raise zlib.error("it ends too early")
    except (OSError, zlib.error) as err:
        raise InputError(f"{path} cannot be read: {err}.", "Download it again.", path) from None
    if len(data) > MOST_BYTES:
        raise InputError(f"{path} is larger than {MOST_BYTES >> 20} MiB.", "Take it out of the folder.", path)
    return data
