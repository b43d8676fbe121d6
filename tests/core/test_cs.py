"""Reading and writing .cs files: both containers say the same, and what is broken or dangerous is one sentence."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tracemalloc
from pathlib import Path

import cs_files
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.io import cs
from core.io.cs_write import write_selected


def assert_same(found: dict[str, np.ndarray], rows: np.ndarray) -> None:
    assert set(found) == set(rows.dtype.names)
    for name, values in found.items():
        expected = rows[name]
        if expected.dtype.kind == "S":
            assert values.tolist() == [text.decode() for text in expected.tolist()]
        else:
            np.testing.assert_array_equal(values, expected)
            assert values.dtype.isnative


@pytest.fixture(params=["numpy", "csdat", "csdat-plain"])
def dataset(request, tmp_path: Path):
    def write(rows: np.ndarray) -> Path:
        path = tmp_path / "particles.cs"
        if request.param == "numpy":
            return cs_files.save(path, rows)
        path.write_bytes(cs_files.csdat(rows, compress=request.param == "csdat"))
        return path

    return write


def test_both_containers_read_alike(dataset):
    rows = cs_files.particles(31)
    file = cs.open_cs(dataset(rows))
    assert file.n == 31
    assert "blob/path" in file
    assert_same(cs.read_columns(file.path), rows)


def test_no_rows_is_no_error(dataset):
    path = dataset(cs_files.particles(0))
    assert cs.open_cs(path).n == 0
    assert len(cs.read_columns(path)["alignments3D/pose"]) == 0


def test_blocks_join_to_the_whole(dataset):
    rows = cs_files.particles(31)
    file = cs.open_cs(dataset(rows))
    blocks = list(cs.read_blocks(file, {"blob/idx", "alignments3D/pose"}.__contains__, rows=7))
    assert [len(block["blob/idx"]) for block in blocks] == [7, 7, 7, 7, 3]
    assert set(blocks[0]) == {"blob/idx", "alignments3D/pose"}
    for name in blocks[0]:
        np.testing.assert_array_equal(np.concatenate([block[name] for block in blocks]), rows[name])


def test_big_endian_columns_become_native(tmp_path):
    rows = cs_files.table({"uid": np.arange(5, dtype=">u8"), "blob/psize_A": np.arange(5, dtype=">f4")})
    assert_same(cs.read_columns(cs_files.save(tmp_path / "b.cs", rows)), rows)


@pytest.mark.parametrize("length", [14_390, 70_000, 400_000])
def test_long_headers_are_read(tmp_path, length):
    names = [f"alignments_class_{i}/class_posterior" for i in range(length // 50)]
    rows = cs_files.table({name: np.full(3, i, np.float32) for i, name in enumerate(names)})
    file = cs.open_cs(cs_files.save(tmp_path / "many.cs", rows))
    assert len(file.names) == len(names)
    assert file.offset > 0.8 * length


@settings(max_examples=25, deadline=None)
@given(marks=st.lists(st.booleans(), min_size=1, max_size=40), packed=st.booleans())
def test_selected_rows_come_back_as_they_were(tmp_path_factory, marks, packed):
    rows, keep = cs_files.particles(len(marks), seed=len(marks)), np.array(marks)
    path = tmp_path_factory.mktemp("cs") / "in.cs"
    path.write_bytes(cs_files.csdat(rows)) if packed else cs_files.save(path, rows)
    output = path.with_name("out.cs")
    write_selected(cs.open_cs(path), keep, output)
    again = cs.open_cs(output)
    assert again.csdat == packed
    assert again.names == rows.dtype.names
    assert_same(cs.read_columns(output), rows[keep])
    if not packed:
        assert np.load(output, allow_pickle=False).dtype == rows.dtype


# ---- bad input ------------------------------------------------------------------------------------------


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def numpy_bytes(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


WHOLE = numpy_bytes(cs_files.particles(800))
PACKED = cs_files.csdat(cs_files.particles(50))
JSON = PACKED[10 : 10 + struct.unpack("<I", PACKED[6:10])[0]]
ROW = cs_files.particles(800).dtype.itemsize


def packed_with(header: dict) -> bytes:
    text = json.dumps(json.loads(JSON) | header).encode()
    return PACKED[:6] + struct.pack("<I", len(text)) + text + PACKED[10 + len(JSON) :]


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "it is empty"),
    "C# source": (b"using System;\nnamespace Hello { }\n", "C# source code"),
    "csv": (b"uid,blob/path\n1,a.mrc\n", "it is text that begins with 'uid,blob/path'"),
    "web page": (b"\n<!DOCTYPE html><html>", "web page"),
    "zip": (b"PK\x03\x04" + bytes(100), "zip archive"),
    "other binary": (b"\x00\x01\x02" * 100, "another binary file"),
    "plain array": (numpy_bytes(np.arange(10.0)), "plain array"),
    "two dimensions": (numpy_bytes(np.zeros((2, 2), [("a", "f4")])), "plain array"),
    "cut short": (WHOLE[: len(WHOLE) - 402 * ROW], "800 rows are declared, 398 are present"),
    "cut in the header": (WHOLE[:60], "damaged header"),
    "nonsense header": (b"\x93NUMPY\x01\x00\x10\x00{'descr': spam()}", "damaged header"),
    "huge header": (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b"{", "damaged header"),
    "huge shape": (WHOLE.replace(b"(800,)", b"(9**99,)"[:6]), "damaged header"),
    "negative shape": (WHOLE.replace(b"(800,)", b"(-80,)"), "-80 rows|damaged header"),
    "csdat header cut": (PACKED[:40], "damaged CSDAT header"),
    "csdat header no JSON": (PACKED[:10] + b"[" * len(JSON) + PACKED[10 + len(JSON) :], "damaged CSDAT header"),
    "csdat huge header": (PACKED[:6] + b"\xff\xff\xff\xff{}", "damaged CSDAT header"),
    "csdat no length": (packed_with({"length": None}), "damaged CSDAT header"),
    "csdat negative length": (packed_with({"length": -5}), "damaged CSDAT header"),
    "csdat odd type": (packed_with({"dtype": [["uid", "spam"]]}), "damaged CSDAT header"),
    "csdat claims billions": (packed_with({"length": 10**10}), "cut short"),
    "csdat claims 2^39 rows": (packed_with({"length": 1 << 39}), "cut short"),
    "csdat column cut": (PACKED[: 10 + len(JSON) + 100], "cut short"),
    "csdat texts cut": (PACKED[:-2000], "cut short"),
    "csdat damaged column": (
        PACKED[: 10 + len(JSON) + 420] + b"\xff" * 30 + PACKED[10 + len(JSON) + 450 :],
        "damaged|cut short",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_broken_files_are_one_sentence_and_cost_nothing(tmp_path, case):
    data, words = BAD[case]
    path = tmp_path / "broken.cs"
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(InputError, match=words) as caught:
        cs.read_columns(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "broken.cs" in caught.value.message
    assert caught.value.hint
    assert peak < 20e6


def test_pickled_objects_are_refused_and_not_run(tmp_path):
    trap = tmp_path / "was-here"
    rows = np.empty(1, [("uid", "u8"), ("blob/path", object)])
    rows["blob/path"][0] = Trap(trap)
    path = tmp_path / "trap.cs"
    path.write_bytes(numpy_bytes(rows, allow_pickle=True))
    with pytest.raises(InputError, match="could run code"):
        cs.open_cs(path)
    path.write_bytes(pickle.dumps(Trap(trap)))
    with pytest.raises(InputError, match="not a CryoSPARC dataset"):
        cs.open_cs(path)
    assert not trap.exists()


def test_a_dataset_that_shrinks_while_it_is_read(tmp_path):
    path = cs_files.save(tmp_path / "p.cs", cs_files.particles(300))
    file = cs.open_cs(path)
    path.write_bytes(WHOLE[: file.offset + 100 * ROW])
    with pytest.raises(InputError, match="changed while it was read"):
        list(cs.read_blocks(file, lambda name: True))


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        cs.open_cs(tmp_path / "none.cs")
    with pytest.raises(InputError, match="is a folder"):
        cs.open_cs(tmp_path)
