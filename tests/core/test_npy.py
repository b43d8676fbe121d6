"""Arrays in .npy files, and pickles in places where arrays are expected: nothing of them is run."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from core.io.cs import open_cs, read_columns
from core.io.npy import load_npy
from core.jobs.subset import _indices_of


class Bomb:
    """Would write a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text.encode("latin-1")


PLAIN = "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }\n"
DAMAGED = {
    "empty": b"",
    "text": b"1 2 3\n",
    "cut short": header(PLAIN) + bytes(15),
    "header cut short": header(PLAIN)[:30],
    "shape that lies": header(PLAIN.replace("4,", "4000000000,")) + bytes(16),
    "shape without end": header(PLAIN.replace("4,", "9" * 30)) + bytes(16),
    "negative": header(PLAIN.replace("(4,)", "(-4,)")) + bytes(16),
    "brackets": header("(" * 3000) + bytes(16),
    "open line": header("{'descr': (") + bytes(16),
    "no literal": header("{'descr': open('x'), }\n") + bytes(16),
    "texts": header(PLAIN.replace("<f4", "|S4")) + bytes(16),
    "objects": header(PLAIN.replace("<f4", "|O")) + bytes(16),
    "long header": header(PLAIN.replace("}", " " * 9000 + "}")) + bytes(16),
}


def test_an_array_is_mapped_and_cannot_be_written(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(5.0))
    array = load_npy(tmp_path / "a.npy")
    assert array.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_arrays_are_one_kind_of_error(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError):
        load_npy(tmp_path / "a.npy")
    with pytest.raises(InputError, match=r"a\.npy"):
        _indices_of(tmp_path / "a.npy", 10)


def test_a_file_that_is_not_there_is_named_by_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_npy(tmp_path / "none.npy")


def test_pickles_in_arrays_and_datasets_are_not_run(tmp_path):
    mark = tmp_path / "ran"
    bomb = np.array([Bomb(mark)], dtype=object)
    table = np.zeros(2, [("uid", "<u8"), ("blob/path", object)])
    table["blob/path"] = [Bomb(mark), Bomb(mark)]
    np.save(tmp_path / "plain.npy", bomb, allow_pickle=True)
    np.save(tmp_path / "table.npy", table, allow_pickle=True)
    (tmp_path / "bare.npy").write_bytes(pickle.dumps(Bomb(mark)))
    for name in ("plain", "table", "bare"):
        with pytest.raises(ValueError):
            load_npy(tmp_path / f"{name}.npy")
        dataset = (tmp_path / f"{name}.npy").rename(tmp_path / f"{name}.cs")
        for reader in (open_cs, read_columns):
            with pytest.raises(InputError, match=rf"{name}\.cs"):
                reader(dataset)
    assert not mark.exists()
    pickle.loads((tmp_path / "bare.cs").read_bytes())
    assert mark.exists(), "the payload works where it is run"
