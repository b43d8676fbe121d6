"""Writing STAR tables, small and very large: whole columns become text in Arrow, block after block of rows.

Files appear complete or not at all. Reading lives in star.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from core.errors import InputError
from core.io.atomic import atomic_path

if TYPE_CHECKING:
    import pyarrow

DECIMALS = 6
BLOCK_ROWS = 1 << 15  # a few tenths of a second at most between two looks at a stop
_STACK_DIGITS = 6  # 000001@stack.mrcs


@dataclass(frozen=True, eq=False)
class Texts:
    """A column of texts that repeat: row i holds `values[which[i]]`, as `NNNNNN@text` where `numbers[i]` is given."""

    values: Sequence[str]
    which: np.ndarray
    numbers: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.which)


Column = Sequence | np.ndarray | Texts


def write_star(path: Path, block: str, columns: Mapping[str, Column]) -> None:
    """Write one loop table, atomically. Numbers keep 6 decimals; texts that would be misread are quoted.

    A text with an apostrophe or a line end is refused: no quoting brings it back through STAR readers.
    """
    write_star_tables(path, {block: columns})


def write_star_tables(
    path: Path,
    tables: Mapping[str, Mapping[str, Column]],
    comments: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write several loop tables as `write_star` does one; each comment becomes a line of its own at the top.

    `progress(rows done, rows in all)` is called between blocks; what it raises ends the writing without a trace.
    """
    lengths = {block: _rows(columns) for block, columns in tables.items()}
    done, total = 0, sum(lengths.values())
    with atomic_path(path) as partial, partial.open("wb") as stream:
        head = ["# version 30001", *(f"# {' '.join(text.split())}" for text in comments)]
        stream.write("\n".join([*head, ""]).encode())
        for block, columns in tables.items():
            names = [f"_{name} #{i}" for i, name in enumerate(columns, 1)]
            stream.write("\n".join(["", f"data_{block}", "", "loop_", *names, ""]).encode())
            quoted = {name: _quoted(column, path) for name, column in columns.items()}
            for first in range(0, lengths[block], BLOCK_ROWS):
                if progress is not None:
                    progress(done, total)
                last = min(first + BLOCK_ROWS, lengths[block])
                _write_rows(stream, [_arrow(column, first, last, path) for column in quoted.values()])
                done += last - first
            if len(tables) > 1:
                stream.write(b"\n")
    if progress is not None:
        progress(total, total)


def _rows(columns: Mapping[str, Column]) -> int:
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise ValueError(f"columns of different lengths: {sorted(lengths)}")
    return lengths.pop() if lengths else 0


def _write_rows(stream: IO[bytes], arrays: list[pyarrow.Array]) -> None:
    """One line per row: the text of Arrow's joined column lies in memory as it shall lie in the file."""
    import pyarrow as pa
    from pyarrow import compute

    texts = [array.cast(pa.string()) for array in arrays]
    ends = compute.binary_join_element_wise(texts.pop(), "\n", "")
    joined = compute.binary_join_element_wise(*texts, ends, " ") if texts else ends
    _, offsets, data = joined.buffers()
    size = int(np.frombuffer(offsets, np.int32)[len(joined)])
    stream.write(memoryview(data)[:size])


def _quoted(column: Column, path: Path) -> Column:
    """Repeating texts are looked at once, not row after row."""
    if not isinstance(column, Texts):
        return column
    return Texts([_cell(text, path) for text in column.values], column.which, column.numbers)


def _arrow(column: Column, first: int, last: int, path: Path) -> pyarrow.Array:
    """Rows first ... last of a column as Arrow values that print as they shall stand in the file."""
    import pyarrow as pa

    if isinstance(column, Texts):
        return _repeated(column, first, last)
    part = column[first:last]
    if isinstance(part, np.ndarray) and part.dtype.kind in "iu":
        return pa.array(part)
    if isinstance(part, np.ndarray) and part.dtype.kind == "f":
        return pa.array(np.round(part.astype(np.float64), DECIMALS) + 0.0)  # + 0.0: no "-0"
    return pa.array([_cell(value, path) for value in part], pa.string())


def _repeated(column: Texts, first: int, last: int) -> pyarrow.Array:
    import pyarrow as pa
    from pyarrow import compute

    which = pa.array(column.which[first:last].astype(np.int32))

    def spread(values: Sequence[str]) -> pyarrow.Array:
        return pa.DictionaryArray.from_arrays(which, pa.array(values, pa.string())).dictionary_decode()

    if column.numbers is None:
        return spread(column.values)
    digits = compute.utf8_lpad(pa.array(column.numbers[first:last]).cast(pa.string()), _STACK_DIGITS, "0")
    if any(text.startswith('"') for text in column.values):  # the quote mark opens before the number
        digits = compute.binary_join_element_wise(
            spread(['"' * text.startswith('"') for text in column.values]), digits, ""
        )
    return compute.binary_join_element_wise(digits, spread([text.removeprefix('"') for text in column.values]), "@")


def _cell(value: object, path: Path) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{value:.{DECIMALS}f}"
    text = str(value)
    if "'" in text or "\0" in text or len(text.splitlines()) > 1 or text.endswith(("\n", "\r")):
        raise InputError(
            f"{text!r} cannot be written to {path}: STAR files have no way to keep its quote mark or line end.",
            "Rename the file.",
            path,
        )
    if text and not re.search(r'[\s"#]', text) and not text.startswith(("_", "data_", "loop_")):
        return text
    return '"' + text.replace('"', '""') + '"'
