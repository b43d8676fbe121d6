"""Atoms of files as the simulator wants them: any PDB or mmCIF, occupancies, hybrid-36 numbers, assemblies."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np
import pytest

from core.errors import InputError
from core.physics.structures import read_atoms, read_structure

BIOMT = [
    "REMARK 350 BIOMOLECULE: 1",
    "REMARK 350 APPLY THE FOLLOWING TO CHAINS: A",
    "REMARK 350   BIOMT1   1  1.000000  0.000000  0.000000        0.00000",
    "REMARK 350   BIOMT2   1  0.000000  1.000000  0.000000        0.00000",
    "REMARK 350   BIOMT3   1  0.000000  0.000000  1.000000        0.00000",
    "REMARK 350   BIOMT1   2 -1.000000  0.000000  0.000000       10.00000",
    "REMARK 350   BIOMT2   2  0.000000 -1.000000  0.000000        0.00000",
    "REMARK 350   BIOMT3   2  0.000000  0.000000  1.000000        0.00000",
]


def atom(serial: str, place: np.ndarray, element: str = "C", occupancy: float = 1.0, residue: str = "ALA") -> str:
    x, y, z = place
    return (
        f"ATOM  {serial:>5}  {element:<3} {residue:>3} A{1:4d}    {x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f}{10.0:6.2f}"
        f"          {element:>2}"
    )


@pytest.fixture
def places() -> np.ndarray:
    return np.round(np.random.default_rng(9).uniform(-20, 20, (40, 3)), 3)


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join([*lines, "END"]) + "\n")
    return path


def test_weights_are_atomic_numbers_times_occupancies_without_water_and_hydrogen(tmp_path, places):
    lines = [atom(str(i + 1), p, "CNOS"[i % 4], 0.5 if i == 5 else 1.0) for i, p in enumerate(places)]
    lines.append(atom("41", places[0] + 3, "O", residue="HOH"))
    lines.append(atom("42", places[0] + 1, "H"))
    positions, weights = read_atoms(write(tmp_path / "some.pdb", lines))
    np.testing.assert_allclose(positions, places)
    expected = np.array([(6, 7, 8, 16)[i % 4] for i in range(40)], float)
    expected[5] /= 2
    np.testing.assert_allclose(weights, expected)


def test_hybrid_36_numbers_are_read(tmp_path, places):
    serials = ["99998", "99999", "A0000", "A0001", *(f"A{i:04d}" for i in range(2, 38))]
    lines = [atom(serial, p) for serial, p in zip(serials, places, strict=True)]
    positions, _ = read_atoms(write(tmp_path / "huge.pdb", lines))
    np.testing.assert_allclose(positions, places)


@pytest.mark.parametrize("ending", [".pdb", ".cif"])
def test_an_assembly_is_built_when_it_is_asked_for(tmp_path, places, ending):
    water = atom("41", places[0] + 3, "O", residue="HOH")
    source = write(tmp_path / "two.pdb", [*BIOMT, *(atom(str(i + 1), p) for i, p in enumerate(places)), water])
    if ending == ".cif":
        structure = gemmi.read_structure(str(source))
        structure.setup_entities()
        structure.make_mmcif_document().write_file(str(tmp_path / "two.cif"))
    path = tmp_path / f"two{ending}"
    assert len(read_atoms(path)[0]) == 40
    positions, weights = read_atoms(path, "1")
    assert weights.shape == (80,)
    np.testing.assert_allclose(positions[:40], places, atol=1e-3)
    np.testing.assert_allclose(positions[40:], places * [-1, -1, 1] + [10, 0, 0], atol=1e-3)
    with pytest.raises(InputError, match=r"no assembly 7.*It has: 1"):
        read_atoms(path, "7")


def test_the_simulator_may_use_what_a_library_must_not(tmp_path, places):
    path = write(tmp_path / "1ake.pdb", [atom(str(i + 1), p) for i, p in enumerate(places)])
    assert len(read_atoms(path)[0]) == 40
    with pytest.raises(InputError, match="specimen of the benchmarks"):
        read_structure(path)
