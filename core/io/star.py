"""STAR tables: reading through starfile, in parts and behind checks. Writing lives in star_write.py.

star_scan.py finds the shape of the file and refuses what starfile would misread; here starfile reads the values,
some ten thousand rows and only the wanted columns at a time. pandas stays inside this module.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError
from core.io.star_scan import Block, Cancelled, Progress, Rows, no_table, scan

TEXT = frozenset({"rlnMicrographName", "rlnMicrographCoordinates", "rlnImageName"})  # 001 is a name, no number
SUFFIXES = (".star", ".star.gz")
_ALL_DIFFER = 1 << 13  # distinct texts from which on a column that has no others is not searched for repeats


class Table(dict[str, np.ndarray]):
    """One table: column name without the leading underscore -> values, all of one length.

    `names`: all columns in the file, also those that were not asked for; `lines` (n,): where each row stands, from 1.
    """

    def __init__(self, columns: dict[str, np.ndarray] | None = None, names: Iterable[str] = ()) -> None:
        super().__init__(columns or {})
        self.names = tuple(names) or tuple(self)
        self.lines = np.empty(0, np.int64)


def is_star(path: Path) -> bool:
    """Whether a file's name says STAR, compressed or not."""
    return path.name.lower().endswith(SUFFIXES)


def read_star(
    path: Path,
    columns: Collection[str] | None = None,
    *,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> dict[str, Table]:
    """All tables of a STAR file, also a gzipped one: block name (without `data_`) -> columns.

    Single values become length 1. `columns`: what is needed of every table, None for all; fewer need less memory.
    `progress(bytes done, bytes in all)` is called at least every 16384 rows, and JobStopped is raised soon after
    `cancelled()` says yes. Raises InputError with the line of what is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Choose a STAR file.", path)
    wanted = None if columns is None else frozenset(columns)
    tables, mixed = _read(path, wanted, TEXT, progress, cancelled)
    if mixed:  # numbers first and texts later: what the numbers looked like has to be read again
        names = frozenset(name for _, name in mixed)
        again, _ = _read(path, names, TEXT | names, progress, cancelled)
        for block, name in mixed:
            tables[block][name] = again[block][name]
    if not any(table.names for table in tables.values()):
        raise no_table(path)
    return tables


def _read(
    path: Path,
    wanted: frozenset[str] | None,
    texts: frozenset[str],
    progress: Progress | None,
    cancelled: Cancelled | None,
) -> tuple[dict[str, Table], set[tuple[str, str]]]:
    """The tables, and (block, column) that hold numbers in one part and texts in another: missing there."""
    blocks: list[tuple[Block, _Parts]] = []
    for found in scan(path, progress, cancelled):
        if isinstance(found, Block):
            blocks.append((found, _Parts(texts)))
        else:
            blocks[-1][1].add(found, wanted, path)
    tables: dict[str, Table] = {}
    mixed: set[tuple[str, str]] = set()
    for block, parts in blocks:
        loop = block.is_loop
        tables[block.name] = parts.table(block, wanted, mixed) if loop else _single(block, wanted, texts, path)
    return tables, mixed


def _starfile(text: bytes, path: Path, texts: Collection[str]) -> Any:
    """starfile's reading of the one block of a checked text, without a way round by the disk."""
    from starfile.parser import StarParser

    class Parser(StarParser):
        """starfile's parser, on lines in memory: its own are read through linecache, which threads share."""

        def __init__(self) -> None:
            self.lines = ["", *text.decode("utf-8").split("\n")]
            self.n_lines_in_file = len(self.lines) - 1
            self.n_blocks_to_read = 1
            self.data_blocks = {}
            self.parse_as_string = list(texts)
            self.current_line_number = 0
            self.parse_file()

        @property
        def current_line(self) -> str:
            number = self.current_line_number
            return self.lines[number] if number <= self.n_lines_in_file else ""

    try:
        return next(iter(Parser().data_blocks.values()))
    except Exception as err:  # starfile raises whatever its parser trips over
        told = str(err).splitlines()[0] if str(err) else type(err).__name__
        raise InputError(f"{path} cannot be read as STAR: {told}.", "Check its rows and quote marks.", path) from None


def _single(block: Block, wanted: frozenset[str] | None, texts: frozenset[str], path: Path) -> Table:
    chosen = [(name, value) for name, value in block.singles if wanted is None or name in wanted]
    names = [name for name, _ in block.singles]
    if not chosen:
        return Table({}, names)
    lines = [f"_c{i} ".encode() + value for i, (_, value) in enumerate(chosen)]
    as_text = [f"c{i}" for i, (name, _) in enumerate(chosen) if name in texts]
    values = _starfile(b"data_\n" + b"\n".join(lines) + b"\n", path, as_text)
    table = Table({name: np.array([values[f"c{i}"]], object) for i, (name, _) in enumerate(chosen)}, names)
    table.lines = np.array([block.line])
    return table


class _Parts:
    """What was read of one loop so far, column by column."""

    def __init__(self, texts: frozenset[str]) -> None:
        self._texts = texts
        self._columns: dict[str, list[np.ndarray]] = {}
        self._lines: list[np.ndarray] = []
        self._known: dict[str, dict[object, object]] = {}

    def add(self, rows: Rows, wanted: frozenset[str] | None, path: Path) -> None:
        """Some more rows."""
        names = rows.block.columns
        chosen = [i for i, name in enumerate(names) if wanted is None or name in wanted]
        self._lines.append(rows.lines.astype(np.int32 if rows.lines[-1] < 1 << 31 else np.int64))
        if not chosen:
            return
        whole = len(chosen) == len(names) and not _begins_like_header(rows)
        head = [*([] if whole else ["first"]), *(f"c{i}" for i in chosen)]
        text = (
            b"data_\nloop_\n"
            + "".join(f"_{c}\n" for c in head).encode()
            + (_whole(rows) if whole else _cut(rows, chosen))
        )
        frame = _starfile(text, path, [f"c{i}" for i in chosen if names[i] in self._texts])
        for i in chosen:
            values = frame[f"c{i}"].to_numpy()
            self._columns.setdefault(names[i], []).append(self._shared(names[i], values))

    def _shared(self, name: str, values: np.ndarray) -> np.ndarray:
        """Equal texts become one object: a name that stands in a thousand rows takes the memory of one."""
        if values.dtype != object:
            return values
        known = self._known.setdefault(name, {})
        seen = sum(map(len, self._columns.get(name, ())))
        if len(known) > max(_ALL_DIFFER, seen // 2):
            return values
        return np.array([known.setdefault(v, v) for v in values], object)

    def table(self, block: Block, wanted: frozenset[str] | None, mixed: set[tuple[str, str]]) -> Table:
        """All rows; the names of columns that changed from numbers to texts or back go to `mixed`."""
        table = Table({}, block.columns)
        self._known.clear()
        for name in block.columns:
            if wanted is not None and name not in wanted:
                continue
            parts = self._columns.pop(name, [np.empty(0)])
            kinds = {"number" if p.dtype.kind in "iuf" else p.dtype.kind for p in parts}
            if len(kinds) > 1:
                mixed.add((block.name, name))
                table[name] = np.empty(0)  # keeps its place
            else:
                table[name] = _joined(parts)
        table.lines = np.concatenate(self._lines) if self._lines else table.lines
        return table


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    if len(parts) == 1:
        return parts[0]
    kinds = {p.dtype.kind for p in parts}
    if kinds == {"i", "u"} and all(p.min() >= 0 for p in parts):  # a mixture would become float
        return np.concatenate([p.astype(np.uint64) for p in parts])
    return np.concatenate(parts)


def _begins_like_header(rows: Rows) -> bool:
    """Whether a row begins with a value that starfile would take for a block or a column."""
    heads = rows.text[rows.starts[:, 0]]
    if (heads == ord("_")).any():
        return True
    return any(rows.text[a : a + 5].tobytes() == b"data_" for a in rows.starts[heads == ord("d"), 0])


def _whole(rows: Rows) -> bytes:
    """The lines as they stand in the file."""
    text = rows.text[rows.starts[0, 0] :].tobytes()
    return text[: text.index(b"\n", int(rows.stops[-1, -1] - rows.starts[0, 0])) + 1]


def _cut(rows: Rows, chosen: list[int]) -> bytes:
    """The chosen values as lines of text, after a 0: a first value like data_1/a.mrc would begin a block."""
    starts, sizes = rows.starts[:, chosen], (rows.stops - rows.starts)[:, chosen]
    widths = sizes.max(axis=0)
    total = int(widths.sum()) + len(chosen) + 2
    if total * len(starts) > 4 * len(rows.text) + (1 << 20):  # one value is far longer than the others
        text = rows.text.tobytes()
        lines = zip(starts.tolist(), sizes.tolist(), strict=True)
        return b"".join(
            b"0 " + b" ".join([text[a : a + n] for a, n in zip(*line, strict=True)]) + b"\n" for line in lines
        )
    out = np.full((len(starts), total), ord(" "), np.uint8)
    out[:, 0], out[:, -1] = ord("0"), ord("\n")
    place = 2
    last = len(rows.text) - 1
    for j, width in enumerate(map(int, widths)):
        at = np.arange(width)
        picked = rows.text[np.minimum(starts[:, j, None] + at, last)]
        np.copyto(out[:, place : place + width], picked, where=at < sizes[:, j, None])
        place += width + 1
    return out.tobytes()


def numbers(table: Table, column: str, path: Path) -> np.ndarray:
    """A column as float64, or an InputError that names the first line without a finite number there."""
    result = as_numbers(table[column])
    bad = np.flatnonzero(~np.isfinite(result))
    if bad.size:
        more = f", nor have {bad.size - 1} more rows" if bad.size > 1 else ""
        raise InputError(
            f"{path}, line {table.lines[bad[0]]}: no number in _{column} ({table[column][bad[0]]!s:.40}){more}.",
            "Correct or delete the row.",
            path,
        )
    return result


def as_numbers(values: np.ndarray) -> np.ndarray:
    """Values as float64; NaN where there is no number."""
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        return np.array([_to_float(v) for v in values])


def _to_float(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return float("nan")


def missing_column(path: Path, names: Iterable[str], table: Table, hint: str) -> InputError:
    """The sentence for a table that lacks columns: which, and what it has."""
    lacking = " and ".join(f"_{name}" for name in names if name not in table.names)
    shown = ", ".join(f"_{name}" for name in table.names[:8]) or "none"
    more = f" and {len(table.names) - 8} more" if len(table.names) > 8 else ""
    return InputError(f"{path} has no column {lacking}; it has {shown}{more}.", hint, path)
