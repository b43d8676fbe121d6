"""Writing STAR tables, small and very large: whole columns become text in Arrow, block after block of rows.

Files appear complete or not at all. `write_star` and `write_star_tables` are for whole files; the parts they are
made of serve those who write several files of the same rows (core/cryosparc/outputs.py). Reading lives in star.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def write_star_tables(path: Path, tables: Mapping[str, Mapping[str, Column]], comments: Sequence[str] = ()) -> None:
    """Write several loop tables as `write_star` does one; each comment becomes a line of its own at the top."""
    with atomic_path(path) as partial, partial.open("wb") as stream:
        stream.write(top_lines(comments))
        for block, columns in tables.items():
            stream.write(table_lines(block, columns))
            ready = prepared(columns, path)
            for first, last in row_blocks(rows_of(columns)):
                stream.write(joined([as_texts(column, first, last, path) for column in ready.values()]))
            if len(tables) > 1:
                stream.write(b"\n")


def top_lines(comments: Sequence[str] = ()) -> bytes:
    """The first lines of a STAR file."""
    return "\n".join(["# version 30001", *(f"# {' '.join(text.split())}" for text in comments), ""]).encode()


def table_lines(block: str, labels: Iterable[str]) -> bytes:
    """The lines before the rows of a loop table."""
    names = [f"_{name} #{i}" for i, name in enumerate(labels, 1)]
    return "\n".join(["", f"data_{block}", "", "loop_", *names, ""]).encode()


def row_blocks(n: int) -> Iterator[tuple[int, int]]:
    """First and last row (exclusive) of blocks of `n` rows."""
    for first in range(0, n, BLOCK_ROWS):
        yield first, min(first + BLOCK_ROWS, n)


def rows_of(columns: Mapping[str, Column]) -> int:
    """Rows of a table; ValueError when its columns differ."""
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise ValueError(f"columns of different lengths: {sorted(lengths)}")
    return lengths.pop() if lengths else 0


def prepared(columns: Mapping[str, Column], path: Path) -> dict[str, Column]:
    """Columns whose repeating texts are looked at, and quoted, once for all rows."""
    return {
        name: Texts([_cell(text, path) for text in column.values], column.which, column.numbers)
        if isinstance(column, Texts)
        else column
        for name, column in columns.items()
    }


def as_texts(column: Column, first: int, last: int, path: Path) -> pyarrow.Array:
    """Rows first ... last of a prepared column as the texts that shall stand in the file."""
    import pyarrow as pa

    if isinstance(column, Texts):
        return _repeated(column, first, last)
    part = column[first:last]
    if isinstance(part, np.ndarray) and part.dtype.kind in "iu":
        return pa.array(part).cast(pa.string())
    if isinstance(part, np.ndarray) and part.dtype.kind == "f":
        return pa.array(np.round(part.astype(np.float64), DECIMALS) + 0.0).cast(pa.string())  # + 0.0: no "-0"
    return pa.array([_cell(value, path) for value in part], pa.string())


def _functions() -> Any:
    """Arrow's functions of columns; they are made when the library is loaded, unseen by type checkers."""
    from pyarrow import compute

    return compute


def beside(texts: Sequence[pyarrow.Array]) -> pyarrow.Array:
    """Columns of texts as one, with blanks between."""
    return _functions().binary_join_element_wise(*texts, " ") if len(texts) > 1 else texts[0]


def joined(texts: Sequence[pyarrow.Array]) -> memoryview:
    """One line per row: the text of Arrow's joined column lies in memory as it shall lie in the file."""
    ends = _functions().binary_join_element_wise(texts[-1], "\n", "")
    lines = beside([*texts[:-1], ends])
    _, offsets, data = lines.buffers()
    return memoryview(data)[: int(np.frombuffer(offsets, np.int32)[len(lines)])]


def _repeated(column: Texts, first: int, last: int) -> pyarrow.Array:
    import pyarrow as pa

    which = pa.array(column.which[first:last].astype(np.int32))

    def spread(values: Sequence[str]) -> pyarrow.Array:
        return pa.DictionaryArray.from_arrays(which, pa.array(values, pa.string())).dictionary_decode()

    if column.numbers is None:
        return spread(column.values)
    digits = _functions().utf8_lpad(pa.array(column.numbers[first:last]).cast(pa.string()), _STACK_DIGITS, "0")
    if any(text.startswith('"') for text in column.values):  # the quote mark opens before the number
        digits = _functions().binary_join_element_wise(
            spread(['"' * text.startswith('"') for text in column.values]), digits, ""
        )
    return _functions().binary_join_element_wise(
        digits, spread([text.removeprefix('"') for text in column.values]), "@"
    )


def _cell(value: object, path: Path) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{value:.{DECIMALS}f}"
    text = str(value)
    if set(text) & set("'\0") or len(text.splitlines()) > 1 or text.endswith(("\n", "\r")):
        raise InputError(
            f"{text!r} cannot be written to {path}: STAR files have no way to keep its quote mark or line end.",
            "Rename the file.",
            path,
        )
    if text and not re.search(r'[\s"#]', text) and not text.startswith(("_", "data_", "loop_")):
        return text
    return '"' + text.replace('"', '""') + '"'
